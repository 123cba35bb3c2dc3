//! SIGTERM, SIGINT and the end of the parent process, heard from the first moment on and on threads of their
//! own.

use std::env;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::sync::watch;

use crate::progress::Progress;
use crate::{Cause, Watchdog, ending, lock};

/// The variable that makes a program stop when its standard input ends, if it is set and neither empty nor 0.
///
/// Whoever starts the program keeps the other end of that pipe open and never writes. When it ends, however
/// it ends, the system closes the pipe: so even SIGKILL leaves no orphans, and they stop as cleanly as by a
/// signal. A supervisor in a terminal needs it, since its children are in process groups of their own.
pub const STOP_WITH_PARENT: &str = "MESHCORE_STOP_WITH_PARENT";

/// A signal that asks the program to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// SIGTERM: the kubelet, systemd, `kill`.
    Terminate,
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// No signal of the system: the process that started this one has ended; see [`STOP_WITH_PARENT`].
    ParentGone,
}

impl Signal {
    /// The number of the signal. The end of the parent counts as a hang-up.
    pub const fn number(self) -> u8 {
        match self {
            Self::ParentGone => 1,
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }

    /// The name of the signal: `SIGTERM`, `SIGINT` or `ParentGone`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::ParentGone => "ParentGone",
            Self::Terminate => "SIGTERM",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The signals of this process; clones are handles to the same state.
///
/// The first signal is kept for [`Signals::first`], arms the watchdog of the
/// [`ShutdownManager`](crate::ShutdownManager) that was given these signals, and starts its
/// deadline. A second signal ends the process at once with 128 + its number. Both happen on a
/// thread, so they work while the runtime is blocked. The end of the parent is never a second
/// signal: a stop that has begun goes on.
#[derive(Clone, Debug)]
pub struct Signals {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    first: watch::Sender<Option<Arrival>>,
    watched: Mutex<Option<Watched>>,
    installed: bool,
}

/// The first signal and when it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) signal: Signal,
    pub(crate) at: Instant,
}

#[derive(Clone, Debug)]
struct Watched {
    progress: Arc<Progress>,
    watchdog: Watchdog,
}

impl Signals {
    /// Installs the handlers of SIGTERM and SIGINT. Call it before anything else in `main`: process
    /// 1 of a container ignores signals that it has no handler for. With [`STOP_WITH_PARENT`] in the
    /// environment, standard input is read to its end as well.
    ///
    /// # Errors
    /// When the handlers or their thread can't be set up.
    pub fn install() -> io::Result<Self> {
        let signals = Self::new(true);
        let mut pending = signal_hook::iterator::Signals::new([SIGTERM, SIGINT])?;
        let listener = signals.clone();
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for number in pending.forever() {
                    let signal = if number == SIGINT {
                        Signal::Interrupt
                    } else {
                        Signal::Terminate
                    };
                    listener.deliver(signal);
                }
            })?;
        if env::var_os(STOP_WITH_PARENT).is_some_and(|value| !value.is_empty() && value != "0") {
            let listener = signals.clone();
            thread::Builder::new()
                .name("parent".to_owned())
                .spawn(move || {
                    read_to_end(&mut io::stdin().lock());
                    listener.deliver(Signal::ParentGone);
                })?;
        }
        Ok(signals)
    }

    /// Signals without handlers, for tests and for programs that run inside another: only
    /// [`Signals::raise`] gives one, no watchdog is armed, and nothing ever ends the process.
    pub fn detached() -> Self {
        Self::new(false)
    }

    fn new(installed: bool) -> Self {
        let (first, _) = watch::channel(None);
        Self {
            shared: Arc::new(Shared {
                first,
                watched: Mutex::new(None),
                installed,
            }),
        }
    }

    /// Does what the arrival of `signal` does: the first one is kept, and a second one ends the
    /// process unless these signals are detached.
    pub fn raise(&self, signal: Signal) {
        self.deliver(signal);
    }

    /// Waits for the first signal, and gives it at once when it has come already.
    ///
    /// # Cancel safety
    /// Any number of callers may wait, again and again; all of them get the same signal.
    pub async fn first(&self) -> Signal {
        let mut first = self.shared.first.subscribe();
        loop {
            if let Some(arrival) = *first.borrow_and_update() {
                return arrival.signal;
            }
            // The sender lives in `self`, so there is always somebody to wait for.
            if first.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The first signal, if it has come.
    pub fn received(&self) -> Option<Signal> {
        self.arrival().map(|arrival| arrival.signal)
    }

    pub(crate) fn arrival(&self) -> Option<Arrival> {
        *self.shared.first.borrow()
    }

    pub(crate) fn is_detached(&self) -> bool {
        !self.shared.installed
    }

    /// Says what the first signal is to arm and a second one to report; a signal that has come
    /// before counts as well.
    pub(crate) fn watch_over(&self, progress: Arc<Progress>, watchdog: Watchdog) {
        let mut watched = lock(&self.shared.watched);
        let watched = watched.insert(Watched { progress, watchdog });
        if let Some(arrival) = self.arrival() {
            watched.begin(arrival);
        }
    }

    fn deliver(&self, signal: Signal) {
        let arrival = Arrival {
            signal,
            at: Instant::now(),
        };
        // Held until the signal is kept: either this or `watch_over` sees both and arms the watchdog.
        let watched = lock(&self.shared.watched);
        let is_first = self.shared.first.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(arrival);
            is_first
        });
        if is_first {
            if let Some(watched) = &*watched {
                watched.begin(arrival);
            }
        } else if self.shared.installed && signal != Signal::ParentGone {
            let progress = watched
                .as_ref()
                .map(|watched| Arc::clone(&watched.progress));
            drop(watched);
            ending::force(progress, signal);
        }
    }
}

/// Returns when `input` has ended or can't be read any more. What comes through it means nothing.
fn read_to_end(input: &mut impl Read) {
    let mut buffer = [0; 1024];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Somebody shares the pipe and made it so; it must not keep a processor busy.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(100));
            }
            Err(_) => return,
        }
    }
}

impl Watched {
    fn begin(&self, arrival: Arrival) {
        let deadline = self
            .progress
            .begin(&Cause::Signal(arrival.signal), arrival.at.into());
        self.watchdog
            .arm(crate::manager::watchdog_instant(deadline));
    }
}
