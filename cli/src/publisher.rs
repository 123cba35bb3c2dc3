//! Publishes many messages fast and loses none: a bounded number in flight, acknowledgements
//! counted, a new connection when the old one breaks, and everything unacknowledged sent again.

mod connection;
mod window;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rumqttc_v4::{MqttOptions, QoS};
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::sleep;

pub(crate) use connection::REFUSED;
use connection::{Connection, Ended};
use window::Window;

/// Messages that wait between the source and the connection. When there are so many, the source
/// waits. It is enough to keep the connection busy while the source is busy with something else.
const QUEUE: usize = 1_024;
/// The first wait before a new attempt to connect; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// One message to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The topic, without wildcards.
    pub topic: String,
    /// The body.
    pub payload: Bytes,
    /// Whether the broker shall keep it for later subscribers.
    pub retain: bool,
}

/// How to publish.
#[derive(Clone)]
pub struct PublisherOptions {
    /// Where to connect, and as whom.
    pub mqtt: MqttOptions,
    /// `QoS` 0 or 1.
    pub qos: QoS,
    /// Most messages sent and not acknowledged, at least 1.
    pub in_flight: u16,
    /// Told when the connection breaks and when there is a new one.
    pub on_notice: Arc<dyn Fn(Notice) + Send + Sync>,
}

/// What happens to the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It broke; a new one is being tried.
    Lost {
        /// Why, for people.
        reason: String,
    },
    /// There is a new one.
    Reconnected {
        /// Attempts that it took.
        attempts: u32,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { reason } => {
                write!(f, "Lost the broker ({reason}); trying to connect again")
            }
            Self::Reconnected { attempts: 1 } => write!(f, "Connected again"),
            Self::Reconnected { attempts } => {
                write!(f, "Connected again after {attempts} attempts")
            }
        }
    }
}

/// Why nothing more can be published.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// There is no broker, or no way to it.
    #[error("{reason}")]
    Unreachable {
        /// Why, for people.
        reason: String,
    },
    /// The broker does not know these credentials.
    #[error("the broker refuses these credentials; check --username and --password-file")]
    NotAuthorized,
    /// The broker does not want this client.
    #[error("the broker refuses the connection: {reason}")]
    Refused {
        /// The broker's return code.
        reason: String,
    },
    /// The broker was silent for too long.
    #[error("{missing} of the messages were not acknowledged within {} s", .waited.as_secs())]
    NotAcknowledged {
        /// Messages without acknowledgement.
        missing: u64,
        /// Time without any acknowledgement.
        waited: Duration,
    },
    /// The connection's task ended unexpectedly.
    #[error("the connection ended unexpectedly")]
    Ended,
}

/// How many messages went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages taken for publishing.
    pub accepted: u64,
    /// Messages sent, repetitions included.
    pub published: u64,
    /// Messages that the broker acknowledged (`QoS` 1).
    pub acknowledged: u64,
}

#[derive(Debug, Default)]
struct Counters {
    published: AtomicU64,
    acknowledged: AtomicU64,
}

impl Counters {
    fn add_published(&self) {
        self.published.fetch_add(1, Ordering::Relaxed);
    }

    fn add_acknowledged(&self) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the connection's task and the owner both see.
struct Shared {
    qos: QoS,
    in_flight: u16,
    /// One permit for each message that may still be sent.
    slots: Semaphore,
    counters: Counters,
}

/// A connection to a broker that publishes in the background.
pub struct Publisher {
    messages: mpsc::Sender<Message>,
    task: JoinHandle<Result<(), PublishError>>,
    shared: Arc<Shared>,
    accepted: u64,
}

impl Publisher {
    /// Connects. Later losses of the connection are repaired, but the first attempt must succeed.
    ///
    /// # Errors
    ///
    /// When the broker cannot be reached or does not want us.
    pub async fn connect(options: PublisherOptions) -> Result<Self, PublishError> {
        let PublisherOptions {
            mqtt,
            qos,
            in_flight,
            on_notice,
        } = options;
        let in_flight = in_flight.max(1);
        let connection = Connection::open(&mqtt, in_flight).await?;
        let shared = Arc::new(Shared {
            qos,
            in_flight,
            slots: Semaphore::new(usize::from(in_flight)),
            counters: Counters::default(),
        });
        let (messages, receiver) = mpsc::channel(QUEUE);
        let task = tokio::spawn(keep_publishing(
            connection,
            mqtt,
            receiver,
            Arc::clone(&shared),
            on_notice,
        ));
        Ok(Self {
            messages,
            task,
            shared,
            accepted: 0,
        })
    }

    /// Publishes a message; waits while too many are on their way.
    ///
    /// # Errors
    ///
    /// When the broker does not want us any more; [`Publisher::finish`] says why.
    ///
    /// # Cancel safety
    ///
    /// When it is dropped before it is ready, the message is not published.
    pub async fn publish(&mut self, message: Message) -> Result<(), PublishError> {
        self.messages
            .send(message)
            .await
            .map_err(|_| PublishError::Ended)?;
        self.accepted += 1;
        Ok(())
    }

    /// How far it is.
    pub fn totals(&self) -> Totals {
        let Counters {
            published,
            acknowledged,
        } = &self.shared.counters;
        Totals {
            accepted: self.accepted,
            published: published.load(Ordering::Relaxed),
            acknowledged: acknowledged.load(Ordering::Relaxed),
        }
    }

    /// Waits until all messages are sent and, at `QoS` 1, acknowledged, and disconnects.
    ///
    /// # Errors
    ///
    /// When nothing moves for as long as `patience`, or the broker does not want us any more. The
    /// totals are right in any case.
    pub async fn finish(mut self, patience: Duration) -> (Totals, Result<(), PublishError>) {
        let (closed, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.messages, closed));
        let mut before = self.totals();
        loop {
            if let Ok(joined) = tokio::time::timeout(patience, &mut self.task).await {
                let result = joined.unwrap_or(Err(PublishError::Ended));
                return (self.totals(), result);
            }
            let totals = self.totals();
            if totals == before {
                self.task.abort();
                let done = if self.shared.qos == QoS::AtMostOnce {
                    totals.published
                } else {
                    totals.acknowledged
                };
                let missing = totals.accepted.saturating_sub(done);
                let waited = patience;
                return (
                    totals,
                    Err(PublishError::NotAcknowledged { missing, waited }),
                );
            }
            before = totals;
        }
    }
}

/// Publishes through one connection after the other.
async fn keep_publishing(
    first: Connection,
    mqtt: MqttOptions,
    mut messages: mpsc::Receiver<Message>,
    shared: Arc<Shared>,
    on_notice: Arc<dyn Fn(Notice) + Send + Sync>,
) -> Result<(), PublishError> {
    let window = Mutex::new(Window::default());
    let mut connection = first;
    loop {
        match connection.run(&window, &mut messages, &shared).await {
            Ended::Done => return Ok(()),
            Ended::Lost(reason) => on_notice(Notice::Lost { reason }),
        }
        let mut attempts = 1;
        let mut wait = FIRST_WAIT;
        connection = loop {
            sleep(wait).await;
            match Connection::open(&mqtt, shared.in_flight).await {
                Ok(connection) => break connection,
                Err(PublishError::Unreachable { .. }) => {}
                Err(err) => return Err(err),
            }
            attempts += 1;
            wait = (wait * 2).min(LONGEST_WAIT);
        };
        on_notice(Notice::Reconnected { attempts });
    }
}
