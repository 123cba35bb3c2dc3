//! The loop: takes what is asked for into the queue, and works it off.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::queue::Queue;
use super::reconcile::{Next, reconcile};
use super::{Memory, watches};
use crate::api::ApiError;
use crate::args::Namespaces;
use crate::backoff::{Backoff, chance, spread};
use crate::cache::Key;
use crate::context::{Asked, Context, Triggered};

/// How long to gather events about a resource's objects: they come in bursts.
const BURST: Duration = Duration::from_millis(50);
/// The same while reconciles of the resource fail: a change may be the cure, and must not be a way around the back-off.
const BURST_WHILE_FAILING: Duration = Duration::from_secs(1);
/// How long to wait for watches that neither list anything nor fail.
const LIST_LIMIT: Duration = Duration::from_secs(30);

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which namespaces to watch.
    pub namespaces: Namespaces,
    /// Most reconciles at one time.
    pub concurrency: NonZeroU16,
    /// After how long a resource is looked at without a reason.
    pub resync: Duration,
    /// How long to wait after failures.
    pub backoff: Backoff,
    /// After how long a reconcile is given up.
    pub reconcile_limit: Duration,
}

impl Options {
    /// The usual ones, for these namespaces.
    pub fn new(namespaces: Namespaces) -> Self {
        Self {
            namespaces,
            concurrency: const { NonZeroU16::new(16).unwrap() },
            resync: Duration::from_mins(5),
            backoff: Backoff::default(),
            reconcile_limit: Duration::from_mins(1),
        }
    }
}

/// Reconciles until `stop` is cancelled, and then until the reconciles that run have come to their end. Nothing of it
/// goes on when the future is dropped.
pub async fn run(
    context: Arc<Context>,
    triggered: Triggered,
    options: Options,
    stop: CancellationToken,
) {
    let mut watching = JoinSet::new();
    let (count, listed) = watches::start(&context, &options.namespaces, &mut watching);
    tokio::select! {
        () = all_listed(count, listed) => {}
        () = stop.cancelled() => return,
    }
    tracing::info!(
        resources = context.cache.keys().len(),
        "The watches have listed what there is"
    );
    Loop::new(context, options).run(triggered, stop).await;
}

/// A reconcile must not take for missing what was only not listed yet. A watch that fails is not waited for.
async fn all_listed(count: usize, mut listed: mpsc::Receiver<()>) {
    let all = async {
        for _ in 0..count {
            listed.recv().await;
        }
    };
    if timeout(LIST_LIMIT, all).await.is_err() {
        tracing::warn!("Not every watch has answered; reconciles begin without them");
    }
}

struct Loop {
    context: Arc<Context>,
    options: Options,
    queue: Queue<Key>,
    memories: HashMap<Key, Memory>,
    tasks: JoinSet<Done>,
    /// Whose a task is, for one that panics.
    running: HashMap<Id, Key>,
}

/// A reconcile that has come to its end.
struct Done {
    key: Key,
    memory: Memory,
    result: Result<Next, Failure>,
}

/// A reconcile that failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("it took too long")]
    TimedOut,
}

impl Loop {
    fn new(context: Arc<Context>, options: Options) -> Self {
        Self {
            context,
            options,
            queue: Queue::default(),
            memories: HashMap::new(),
            tasks: JoinSet::new(),
            running: HashMap::new(),
        }
    }

    async fn run(mut self, mut triggered: Triggered, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.start_due();
            let next = self.next_start();
            tokio::select! {
                () = stop.cancelled() => {}
                Some(done) = self.tasks.join_next_with_id() => self.finish(done),
                Some(asked) = triggered.receiver.recv() => self.take(asked, &mut triggered),
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
        tracing::info!(
            running = self.tasks.len(),
            "Nothing new is reconciled; what runs comes to its end"
        );
        while let Some(done) = self.tasks.join_next_with_id().await {
            self.finish(done);
        }
    }

    /// Starts what is due, as far as there is room.
    fn start_due(&mut self) {
        let now = Instant::now();
        while self.has_room()
            && let Some(key) = self.queue.take(now)
        {
            let memory = self.memories.remove(&key).unwrap_or_default();
            let span = tracing::info_span!("reconcile", resource = %key);
            let work = attempt(
                Arc::clone(&self.context),
                key.clone(),
                memory,
                self.options.clone(),
            );
            let task = self.tasks.spawn(work.instrument(span));
            self.running.insert(task.id(), key);
        }
        self.context.metrics.set_queue_depth(self.queue.depth(now));
    }

    fn has_room(&self) -> bool {
        self.tasks.len() < usize::from(self.options.concurrency.get())
    }

    /// When the next one can start; without room that is when another ends.
    fn next_start(&self) -> Option<Instant> {
        self.queue.next_due().filter(|_| self.has_room())
    }

    /// Takes one event, and all others that are there already.
    fn take(&mut self, asked: Asked, triggered: &mut Triggered) {
        self.ask(asked);
        while let Ok(asked) = triggered.receiver.try_recv() {
            self.ask(asked);
        }
    }

    fn ask(&mut self, asked: Asked) {
        let now = Instant::now();
        match asked {
            Asked::Changed(key) => self.queue.add(key, now),
            Asked::Touched(key) => {
                let is_failing = self
                    .memories
                    .get(&key)
                    .is_some_and(|memory| memory.failures > 0);
                let wait = if is_failing {
                    BURST_WHILE_FAILING
                } else {
                    BURST
                };
                self.queue.add(key, now + wait);
            }
            Asked::All => {
                for key in self.context.cache.keys() {
                    self.queue.add(key, now + BURST);
                }
            }
        }
    }

    fn finish(&mut self, done: Result<(Id, Done), JoinError>) {
        match done {
            Ok((id, done)) => {
                self.running.remove(&id);
                self.settle(done);
            }
            Err(error) => {
                let key = self.running.remove(&error.id());
                tracing::error!(?key, %error, "A reconcile panicked; please report this");
                self.context.metrics.reconcile_failed("panic");
                if let Some(key) = key {
                    let longest = self.options.backoff.longest;
                    self.queue.finish(&key, Some(Instant::now() + longest));
                }
            }
        }
    }

    fn settle(&mut self, done: Done) {
        let Done {
            key,
            mut memory,
            result,
        } = done;
        let failed = matches!(result, Err(_) | Ok(Next::Later));
        memory.failures = if failed {
            memory.failures.saturating_add(1)
        } else {
            0
        };
        let wait = match &result {
            Ok(Next::Gone | Next::Change) => None,
            Ok(Next::Resync) => Some(spread(self.options.resync, chance())),
            Ok(Next::After(wait)) => Some(spread(*wait, chance())),
            Ok(Next::Later) | Err(_) => Some(self.options.backoff.delay(memory.failures, chance())),
        };
        if let Err(failure) = &result {
            self.report(&key, failure, memory.failures);
        }
        if !matches!(result, Ok(Next::Gone)) {
            self.memories.insert(key.clone(), memory);
        }
        self.queue
            .finish(&key, wait.map(|wait| Instant::now() + wait));
    }

    fn report(&self, key: &Key, failure: &Failure, failures: u32) {
        let category = match failure {
            Failure::Api(error) => error.category(),
            Failure::TimedOut => "timeout",
        };
        self.context.metrics.reconcile_failed(category);
        let error: &dyn std::error::Error = failure;
        tracing::warn!(resource = %key, error, failures, "A reconcile failed; it is tried again");
    }
}

/// One reconcile, which ends in time.
async fn attempt(context: Arc<Context>, key: Key, mut memory: Memory, options: Options) -> Done {
    let Options {
        backoff,
        reconcile_limit: limit,
        ..
    } = options;
    let timer = context.metrics.reconcile_begins();
    // On the heap: there is one for each resource at work, and its bundle is large.
    let work = Box::pin(reconcile(&context, &key, &mut memory, backoff));
    let result = match timeout(limit, work).await {
        Ok(result) => result.map_err(Failure::from),
        Err(_) => Err(Failure::TimedOut),
    };
    drop(timer);
    Done {
        key,
        memory,
        result,
    }
}
