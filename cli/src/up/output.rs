//! What `up` shows: its own lines and those of its children, each with a prefix and in one piece.
//!
//! One thread writes. When nobody reads the terminal it waits, the queue fills, and then the children wait with
//! their log lines. Nothing is lost that way, but a stop must not wait for a reader: once it has begun, a line that
//! finds no place in time is let go.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

/// Lines on their way to the terminal. More would only hide for longer that nobody reads.
const QUEUE: usize = 1_024;
/// How long a line of a stop may wait for its place. A child says some twenty of them.
const PATIENCE_OF_STOP: Duration = Duration::from_millis(100);
/// How long the last lines may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Up,
    Ingestor,
    Server,
    Broker,
    Demo,
}

impl Who {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Ingestor => "ingestor",
            Self::Server => "server",
            Self::Broker => "broker",
            Self::Demo => "demo",
        }
    }

    /// The number of a colour of terminals.
    fn colour(self) -> u8 {
        match self {
            Self::Up => 1,
            Self::Ingestor => 36,
            Self::Server => 35,
            Self::Broker => 33,
            Self::Demo => 32,
        }
    }
}

enum Job {
    Line(Who, Vec<u8>),
    Flush(oneshot::Sender<()>),
}

/// A handle to the writing thread; clones share it.
#[derive(Clone)]
pub(super) struct Output {
    jobs: mpsc::Sender<Job>,
    is_stopping: Arc<AtomicBool>,
}

impl Output {
    /// Starts to write to standard error.
    pub(super) fn start() -> io::Result<Self> {
        let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_coloured = io::stderr().is_terminal() && !wants_none;
        Self::to(io::stderr(), is_coloured)
    }

    fn to(mut out: impl Write + Send + 'static, is_coloured: bool) -> io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel(QUEUE);
        thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    match job {
                        Job::Line(who, text) => {
                            write(&mut out, &prefixed(who, &text, is_coloured));
                        }
                        // Who asked may have given up.
                        Job::Flush(done) => drop(done.send(())),
                    }
                }
            })?;
        Ok(Self {
            jobs,
            is_stopping: Arc::default(),
        })
    }

    /// Says each line of a text.
    pub(super) async fn say(&self, who: Who, text: &str) {
        for line in text.lines() {
            self.line(who, line.as_bytes().to_vec()).await;
        }
    }

    /// One line, without its end. Waits while the queue is full, but during a stop only for a moment.
    pub(super) async fn line(&self, who: Who, line: Vec<u8>) {
        let mut place = std::pin::pin!(self.jobs.reserve());
        let place = loop {
            let is_stopping = self.is_stopping.load(Ordering::Relaxed);
            match tokio::time::timeout(PATIENCE_OF_STOP, &mut place).await {
                Ok(place) => break place,
                Err(_) if is_stopping => return,
                Err(_) => {}
            }
        };
        // Fails only when the thread is gone, and then there is nobody to tell.
        if let Ok(place) = place {
            place.send(Job::Line(who, line));
        }
    }

    /// A stop begins: from here on nobody waits long for a terminal that nobody reads.
    pub(super) fn hurry(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// A line for places that can't wait; it is lost when the queue is full.
    pub(super) fn try_say(&self, who: Who, text: &str) {
        drop(self.jobs.try_send(Job::Line(who, text.as_bytes().to_vec())));
    }

    /// Waits until everything is written, but not for ever: the terminal may be what is stuck.
    pub(super) async fn flush(&self) {
        let (done, written) = oneshot::channel();
        let flushed = async {
            drop(self.jobs.send(Job::Flush(done)).await);
            drop(written.await);
        };
        drop(tokio::time::timeout(PATIENCE, flushed).await);
    }
}

/// `ingestor | text`, in one piece so that nothing comes between.
fn prefixed(who: Who, text: &[u8], is_coloured: bool) -> Vec<u8> {
    let mut line = if is_coloured {
        format!("\x1b[{}m{:<8} |\x1b[0m ", who.colour(), who.name())
    } else {
        format!("{:<8} | ", who.name())
    }
    .into_bytes();
    line.extend_from_slice(text);
    line.push(b'\n');
    line
}

/// Writes all of it, also to a pipe that somebody made non-blocking. When nobody can read any more, it is let go:
/// the programs go on.
fn write(out: &mut impl Write, mut line: &[u8]) {
    while !line.is_empty() {
        match out.write(line) {
            Ok(0) => return,
            Ok(count) => line = line.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::{Output, QUEUE, Who, prefixed};

    /// A terminal that nobody reads until the other end of the channel is dropped; then it takes everything in.
    struct Stuck(mpsc::Receiver<()>, mpsc::Sender<Vec<u8>>);

    impl Write for Stuck {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            // Nothing is ever sent.
            _ = self.0.recv();
            drop(self.1.send(line.to_vec()));
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn nothing_is_lost_while_nobody_reads_but_a_stop_does_not_wait_for_it() {
        let (unstick, stuck) = mpsc::channel();
        let (written, lines) = mpsc::channel();
        let output = Output::to(Stuck(stuck, written), false).unwrap();
        // One line is with the thread, the others fill the queue.
        for _ in 0..=QUEUE {
            output.line(Who::Server, b"kept".to_vec()).await;
        }
        let waiting = output.clone();
        let waiting =
            tokio::spawn(async move { waiting.line(Who::Server, b"last".to_vec()).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!waiting.is_finished(), "a line waits for its place");
        output.hurry();
        let begin = Instant::now();
        waiting.await.unwrap();
        output.line(Who::Up, b"let go".to_vec()).await;
        output.flush().await;
        assert!(
            begin.elapsed() < Duration::from_mins(1),
            "{:?}",
            begin.elapsed()
        );
        drop(unstick);
        for _ in 0..=QUEUE {
            let line = lines.recv_timeout(Duration::from_mins(1)).unwrap();
            assert!(line.ends_with(b"kept\n"), "{line:?}");
        }
        // What has found no place does not come behind them.
        output.flush().await;
        assert!(lines.try_recv().is_err());
    }

    #[test]
    fn prefixes_are_aligned() {
        assert_eq!(prefixed(Who::Ingestor, b"a", false), b"ingestor | a\n");
        assert_eq!(prefixed(Who::Server, b"\xff", false), b"server   | \xff\n");
        assert_eq!(
            prefixed(Who::Server, b"a", true),
            b"\x1b[35mserver   |\x1b[0m a\n"
        );
    }
}
