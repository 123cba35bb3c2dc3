//! A writer that runs, and what it told.

use std::time::Duration;

use meshcore_store::{
    Commit, Condition, Describe, Error, Maintenance, Record, Retention, Store, Writer, WriterEvents,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// The longest that anything is waited for.
const LIMIT: Duration = Duration::from_mins(1);

/// What the writer told.
#[derive(Debug)]
pub(crate) enum Told {
    Committed(Commit, Vec<u64>),
    Condition(Condition),
}

/// Looks at the file while the writer tells of a commit.
pub(crate) type OnCommit = Box<dyn FnMut(&[u64]) + Send>;

struct Events {
    told: mpsc::UnboundedSender<Told>,
    on_commit: OnCommit,
}

impl WriterEvents<u64> for Events {
    fn committed(&mut self, commit: &Commit, tokens: Vec<u64>) {
        (self.on_commit)(&tokens);
        self.told.send(Told::Committed(commit.clone(), tokens)).ok();
    }

    fn condition(&mut self, condition: &Condition) {
        self.told.send(Told::Condition(condition.clone())).ok();
    }
}

/// How a writer is set up.
pub(crate) struct Setup<D> {
    pub(crate) retention: Retention,
    pub(crate) wal_limit: u64,
    pub(crate) linger: Duration,
    pub(crate) describe: D,
    pub(crate) on_commit: OnCommit,
}

impl Setup<fn(&meshcore_store::Reception) -> meshcore_store::Description> {
    pub(crate) fn new() -> Self {
        Self {
            retention: keep_everything(),
            wal_limit: 8_000,
            linger: Duration::ZERO,
            describe: super::describe,
            on_commit: Box::new(|_| ()),
        }
    }
}

impl<D: Describe + 'static> Setup<D> {
    /// Lets a writer run on `store`.
    pub(crate) fn start(self, store: Store) -> Running {
        let (queue, records) = mpsc::channel(100_000);
        let (told, hear) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let events = Events {
            told,
            on_commit: self.on_commit,
        };
        let maintenance = Maintenance::new(self.retention).with_wal_limit(self.wal_limit);
        let writer = Writer::new(
            store,
            records,
            events,
            self.describe,
            maintenance,
            self.linger,
        );
        let task = tokio::spawn(writer.run(async move {
            stopped.await.ok();
        }));
        Running {
            queue,
            told: hear,
            stop: Some(stop),
            task,
        }
    }
}

/// No limits to what is kept.
pub(crate) fn keep_everything() -> Retention {
    Retention {
        packets: None,
        nodes: None,
        observers: None,
        metrics: None,
        client_receptions: None,
        neighbor_edges: None,
        max_bytes: Some(0),
        vacuum_pages: 256,
    }
}

/// A writer that runs.
pub(crate) struct Running {
    pub(crate) queue: mpsc::Sender<(Record, u64)>,
    pub(crate) told: mpsc::UnboundedReceiver<Told>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<Store, Error>>,
}

impl Running {
    /// Queues packet number `n`, with `n` as its token.
    pub(crate) async fn send(&self, n: u64) {
        let record = super::record(super::reception(n, "a", ""));
        self.send_record(record, n).await;
    }

    pub(crate) async fn send_record(&self, record: Record, token: u64) {
        self.queue
            .send((record, token))
            .await
            .expect("the writer takes records");
    }

    /// Waits until the writer has taken everything that is queued.
    pub(crate) async fn until_taken(&self) {
        let taken = async {
            while self.queue.capacity() < self.queue.max_capacity() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, taken)
            .await
            .expect("the writer takes records in time");
    }

    /// The next thing the writer tells.
    pub(crate) async fn next(&mut self) -> Told {
        tokio::time::timeout(LIMIT, self.told.recv())
            .await
            .expect("the writer tells something in time")
            .expect("the writer runs")
    }

    /// The next commit and its tokens; conditions before it are passed over.
    pub(crate) async fn next_commit(&mut self) -> (Commit, Vec<u64>) {
        loop {
            if let Told::Committed(commit, tokens) = self.next().await {
                return (commit, tokens);
            }
        }
    }

    /// Waits until `n` tokens have been told; gives them back.
    pub(crate) async fn tokens(&mut self, n: usize) -> Vec<u64> {
        let mut all = Vec::new();
        while all.len() < n {
            all.extend(self.next_commit().await.1);
        }
        all
    }

    /// Waits for a change of condition; gives back what was acknowledged before it.
    pub(crate) async fn condition(&mut self) -> (Condition, Vec<u64>) {
        let mut before = Vec::new();
        loop {
            match self.next().await {
                Told::Condition(condition) => return (condition, before),
                Told::Committed(_, tokens) => before.extend(tokens),
            }
        }
    }

    /// Tells the writer to stop.
    pub(crate) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
        }
    }

    /// Waits for the writer's end.
    pub(crate) async fn end(self) -> Result<Store, Error> {
        tokio::time::timeout(LIMIT, self.task)
            .await
            .expect("the writer ends in time")
            .expect("the writer does not panic")
    }

    /// Stops it and waits for its end.
    pub(crate) async fn stopped(mut self) -> Store {
        self.stop();
        self.end().await.expect("the writer ends well")
    }
}
