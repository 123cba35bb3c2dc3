//! A thread that ends the process when nothing else could.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::lock;

/// An alarm on a thread of its own, which no blocked runtime can delay.
///
/// It sleeps until it is armed, and then until its instant, when it calls its action once. The
/// thread lives as long as the process; a handle that is dropped leaves the alarm as it is.
#[derive(Clone, Debug)]
pub struct Watchdog {
    alarm: Arc<Alarm>,
}

#[derive(Debug, Default)]
struct Alarm {
    at: Mutex<Option<Instant>>,
    changed: Condvar,
}

impl Watchdog {
    /// Starts the thread, not yet armed.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub fn spawn(action: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let alarm = Arc::new(Alarm::default());
        let watched = Arc::clone(&alarm);
        thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || {
                watched.wait();
                action();
            })?;
        Ok(Self { alarm })
    }

    /// Sets the alarm to `at`. Of several calls the earliest instant counts: a deadline is never
    /// put off.
    pub fn arm(&self, at: Instant) {
        let mut armed = lock(&self.alarm.at);
        *armed = Some(armed.map_or(at, |earlier| earlier.min(at)));
        drop(armed);
        self.alarm.changed.notify_all();
    }

    /// Whether the alarm is set.
    pub fn is_armed(&self) -> bool {
        lock(&self.alarm.at).is_some()
    }
}

impl Alarm {
    /// Blocks until the armed instant.
    fn wait(&self) {
        let mut at = lock(&self.at);
        loop {
            at = match *at {
                None => self
                    .changed
                    .wait(at)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(instant) => {
                    let left = instant.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return;
                    }
                    self.changed
                        .wait_timeout(at, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const LONG: Duration = Duration::from_hours(1);
    const PATIENCE: Duration = Duration::from_mins(1);

    fn watchdog() -> (Watchdog, mpsc::Receiver<Instant>) {
        let (fired, receiver) = mpsc::channel();
        let watchdog = Watchdog::spawn(move || fired.send(Instant::now()).unwrap()).unwrap();
        (watchdog, receiver)
    }

    #[test]
    fn fires_at_its_instant_and_not_before() {
        let (watchdog, fired) = watchdog();
        assert!(!watchdog.is_armed());
        let at = Instant::now() + Duration::from_millis(20);
        watchdog.arm(at);
        assert!(watchdog.is_armed());
        assert!(fired.recv_timeout(PATIENCE).unwrap() >= at);
    }

    #[test]
    fn the_earliest_instant_counts() {
        let (watchdog, fired) = watchdog();
        watchdog.arm(Instant::now() + LONG);
        watchdog.arm(Instant::now());
        watchdog.arm(Instant::now() + LONG);
        fired.recv_timeout(PATIENCE).unwrap();
    }

    #[test]
    fn fires_after_its_handle_is_gone() {
        let (watchdog, fired) = watchdog();
        watchdog.arm(Instant::now());
        drop(watchdog);
        fired.recv_timeout(PATIENCE).unwrap();
    }
}
