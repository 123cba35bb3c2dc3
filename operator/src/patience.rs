//! How long a watch that fails waits before it is tried again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::runtime::utils;
use kube::runtime::watcher::Event;

use crate::backoff::{Backoff, chance};

/// The delays of a watch.
const DELAYS: Backoff = Backoff {
    first: Duration::from_millis(800),
    longest: Duration::from_secs(30),
};

/// Delays that grow until the watch has worked.
///
/// The usual way is to begin anew after whatever is not an error. But a watch says that it begins a list before it asks
/// for it, and so one whose list is refused would ask each second, for ever.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    has_worked: Arc<AtomicBool>,
    failures: u32,
}

/// Tells [`Patience`] that the watch has worked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Worked(Arc<AtomicBool>);

impl Patience {
    /// Patience with a watch, and what tells of it.
    pub(crate) fn new() -> (Self, Worked) {
        let patience = Self::default();
        let worked = Worked(Arc::clone(&patience.has_worked));
        (patience, worked)
    }
}

impl Worked {
    /// Hears what the watch says. Only an answer counts, and the beginning of a list is none.
    pub(crate) fn hear<K>(&self, event: &Event<K>) {
        if !matches!(event, Event::Init) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.has_worked.swap(false, Ordering::Relaxed) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        Some(DELAYS.delay(self.failures, chance()))
    }
}

impl utils::Backoff for Patience {
    /// Does nothing: that there is no error does not mean that anything has worked.
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use kube::runtime::utils::Backoff as _;

    use super::*;

    #[test]
    fn delays_grow_although_each_list_begins_without_an_error() {
        let (mut patience, _) = Patience::new();
        let delays: Vec<Duration> = (0..8)
            .map(|_| {
                patience.reset();
                patience.next().unwrap()
            })
            .collect();
        assert!(delays[0] < Duration::from_secs(1), "{delays:?}");
        assert!(delays[7] >= DELAYS.longest, "{delays:?}");
    }

    #[test]
    fn a_watch_that_has_worked_is_tried_again_soon() {
        let (mut patience, worked) = Patience::new();
        let last = patience.by_ref().take(8).last().unwrap();
        worked.hear(&Event::<()>::Init);
        assert!(patience.next().unwrap() >= last.mul_f64(0.8));
        worked.hear(&Event::<()>::InitDone);
        assert!(patience.next().unwrap() < DELAYS.first * 2);
    }
}
