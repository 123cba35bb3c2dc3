//! Keeps one program running, and stops it when told to.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use meshcore_lifecycle::exit_code;
use rustix::process::Signal;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::backoff::Backoff;
use super::ended::{code_of, describe};
use super::lines::LastWords;
use super::output::{Output, Who};
use super::program::{Life, Program};

/// What a program that got its second signal may take: it ends at once, unless it is stuck.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What the program is to do. Orders only ever go up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Run,
    Stop,
    StopAtOnce,
}

/// A program that is kept running.
#[derive(Debug)]
pub(super) struct Supervised {
    pub(super) who: Who,
    orders: watch::Sender<Order>,
    refused: watch::Receiver<Option<Refused>>,
    was_ready: Arc<AtomicBool>,
    lives: Arc<AtomicU32>,
    task: JoinHandle<End>,
}

/// A program says that it can't work like this; to start it again would change nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: u8,
    /// What it said.
    pub(super) sentence: String,
}

/// How the last life of a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As it was told.
    Stopped {
        code: u8,
        took: Duration,
        /// Its time was over, and it had to be killed.
        is_killed: bool,
    },
    /// By itself, before it was told; it was not started again.
    NotRunning { code: u8 },
}

impl End {
    /// The exit code that it counts for.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Stopped {
                is_killed: true, ..
            } => exit_code::DEADLINE,
            Self::Stopped { code, .. } | Self::NotRunning { code } => code,
        }
    }
}

impl Supervised {
    /// Starts the program, and again whenever it dies.
    pub(super) fn start(program: Program, output: Output) -> Self {
        let (orders, order) = watch::channel(Order::Run);
        let (refusal, refused) = watch::channel(None);
        let was_ready = Arc::new(AtomicBool::new(false));
        let lives = Arc::new(AtomicU32::new(0));
        let supervisor = Supervisor {
            output,
            order,
            refusal,
            was_ready: Arc::clone(&was_ready),
            lives: Arc::clone(&lives),
            backoff: Backoff::default(),
        };
        Self {
            who: program.who,
            orders,
            refused,
            was_ready,
            lives,
            task: tokio::spawn(supervisor.keep_running(program)),
        }
    }

    /// The program has shown that it can work: from here on whatever ends it is an accident.
    pub(super) fn accept(&self) {
        self.was_ready.store(true, Ordering::Relaxed);
    }

    /// How often the program was started.
    pub(super) fn lives(&self) -> u32 {
        self.lives.load(Ordering::Relaxed)
    }

    /// Waits until the program says that it can't work.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub(super) async fn refused(&self) -> Refused {
        let mut refused = self.refused.clone();
        let found = refused.wait_for(Option::is_some).await;
        if let Ok(Some(refused)) = found.as_deref() {
            return refused.clone();
        }
        std::future::pending().await
    }

    /// Gives the order to stop, and a way to have it done at once.
    pub(super) fn at_once(&self) -> impl Fn() + Send + 'static {
        let orders = self.orders.clone();
        move || _ = orders.send_replace(Order::StopAtOnce)
    }

    /// Stops the program and waits for its end.
    pub(super) async fn stop(self) -> End {
        self.orders.send_if_modified(|order| {
            let is_new = *order < Order::Stop;
            *order = (*order).max(Order::Stop);
            is_new
        });
        let failed = End::NotRunning {
            code: exit_code::FAILED,
        };
        self.task.await.unwrap_or(failed)
    }
}

struct Supervisor {
    output: Output,
    order: watch::Receiver<Order>,
    refusal: watch::Sender<Option<Refused>>,
    was_ready: Arc<AtomicBool>,
    lives: Arc<AtomicU32>,
    backoff: Backoff,
}

impl Supervisor {
    async fn keep_running(mut self, program: Program) -> End {
        loop {
            self.lives.fetch_add(1, Ordering::Relaxed);
            let ended = match program.start(&self.output) {
                Err(error) => {
                    let why = format!("can't be started: {error}");
                    (exit_code::FAILED, Duration::ZERO, why)
                }
                Ok(mut life) => {
                    let status = tokio::select! {
                        status = life.child.wait() => status,
                        () = ordered(&mut self.order, Order::Stop) => {
                            return self.stop(&program, life).await;
                        }
                    };
                    let (code, lived) = (code_of_result(status), life.began.elapsed());
                    let words = life.last_words().await;
                    if self.is_refusal(code) {
                        return self.refuse(&program, code, &words);
                    }
                    (code, lived, why(code, &words))
                }
            };
            let (code, lived, why) = ended;
            let wait = self.backoff.after(lived);
            let (name, seconds) = (program.who.name(), wait.as_secs());
            let line = format!("The {name} {why}\nIt is started again in {seconds} s");
            self.output.say(Who::Up, &line).await;
            tokio::select! {
                () = sleep(wait) => {}
                () = ordered(&mut self.order, Order::Stop) => return End::NotRunning { code },
            }
        }
    }

    /// A program that has never been ready and can't use its configuration or database will not be able to in a
    /// second either.
    fn is_refusal(&self, code: u8) -> bool {
        let is_final = matches!(code, exit_code::CONFIG | exit_code::STORE_REFUSED);
        is_final && !self.was_ready.load(Ordering::Relaxed)
    }

    fn refuse(&self, program: &Program, code: u8, words: &LastWords) -> End {
        let sentence = words.of(&program.name()).or(words.lines().last());
        self.refusal.send_replace(Some(Refused {
            code,
            sentence: sentence.unwrap_or("it did not say why").to_owned(),
        }));
        End::NotRunning { code }
    }

    /// SIGTERM, its time, SIGKILL. When it is to end at once: a second SIGTERM, a moment, SIGKILL.
    async fn stop(mut self, program: &Program, mut life: Life) -> End {
        let began = Instant::now();
        life.terminate();
        let code = tokio::select! {
            status = life.child.wait() => Some(code_of_told(status)),
            () = sleep(program.patience) => None,
            () = ordered(&mut self.order, Order::StopAtOnce) => {
                life.terminate();
                let ended = tokio::time::timeout(AT_ONCE, life.child.wait()).await;
                ended.ok().map(code_of_result)
            }
        };
        let (code, is_killed) = if let Some(code) = code {
            (code, false)
        } else {
            // Fails only when it has ended already.
            drop(life.child.start_kill());
            (code_of_result(life.child.wait().await), true)
        };
        let end = End::Stopped {
            code,
            took: began.elapsed(),
            is_killed,
        };
        // So that its last lines come before what is said of its end.
        life.last_words().await;
        end
    }
}

/// Waits for an order of at least this weight.
async fn ordered(order: &mut watch::Receiver<Order>, least: Order) {
    if order.wait_for(|order| *order >= least).await.is_err() {
        // Whoever could give orders is gone, and the program with it.
        std::future::pending::<()>().await;
    }
}

fn code_of_result(status: std::io::Result<ExitStatus>) -> u8 {
    status.map_or(exit_code::FAILED, code_of)
}

/// The same of a program that got one SIGTERM. What dies of that had not begun: the first that each of them does is to
/// take signals in hand.
fn code_of_told(status: std::io::Result<ExitStatus>) -> u8 {
    match status {
        Ok(status) if status.signal() == Some(Signal::TERM.as_raw()) => exit_code::CLEAN,
        status => code_of_result(status),
    }
}

fn why(code: u8, words: &LastWords) -> String {
    let mut text = format!("has ended: {}", describe(code));
    for (at, line) in words.lines().enumerate() {
        text.push_str(if at == 0 {
            ". It said last:\n  "
        } else {
            "\n  "
        });
        text.push_str(line);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::output::Who;
    use super::*;

    #[tokio::test]
    async fn a_program_that_is_stopped_before_it_has_begun_has_stopped_well() {
        let (lifeline, _held) = std::io::pipe().unwrap();
        let program = Program {
            who: Who::Server,
            // Waits for its standard input, and takes no signal in hand.
            binary: "cat".into(),
            env: Vec::default(),
            lifeline,
            holds: None,
            patience: Duration::from_mins(1),
        };
        let supervised = Supervised::start(program, Output::start().unwrap());
        assert_eq!(supervised.stop().await.code(), exit_code::CLEAN);
    }
}
