//! One task for each source: connect, subscribe, hand messages on, reconnect.
//!
//! Polling never stops while messages wait for the writer: pings would stop too. What is at QoS 1 is bounded
//! by what the broker sends unacknowledged and always fits the queue; what is at QoS 0 is dropped and counted
//! when there is no room.

mod link;
mod mqtt4;
mod mqtt5;
mod sign_in;
pub(crate) mod tls;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use meshcore_store::Record;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use self::link::Ack;
pub use self::link::Version;
use self::link::{Incoming, Link, LinkClient, LinkError, LinkEvent, LinkOptions};
use crate::clock::Backlog;
use crate::config::{Protocol, Qos, Source as SourceConfig};
use crate::interpret::{Arrival, Interpreter, Origin};
use crate::metrics::{Metrics, SourceLabel};

/// The first and the longest pause before a reconnect.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// A connection that lived longer than this was a good one: the next pause is the first again.
const GOOD_CONNECTION: Duration = Duration::from_secs(30);
/// How many closes before any CONNACK it takes to fall back to 3.1.1.
const CLOSES_TO_FALL_BACK: u32 = 2;
/// How many equal failures to read what the broker sends it takes to give the session up.
const FAILURES_TO_CLEAR: u32 = 3;
/// How many short connections in a row look like two clients with one client id.
const SHORT_CONNECTIONS: u32 = 5;

/// What travels with a record to the writer and comes back with its commit.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) ack: Option<Ack>,
    /// Held by a message at QoS 0 until it leaves the queue.
    _slot: Option<QueueSlot>,
}

/// One of the places that messages at QoS 0 have in the queue.
#[derive(Debug)]
struct QueueSlot(Arc<AtomicUsize>);

impl QueueSlot {
    fn take(places: &Arc<AtomicUsize>) -> Option<Self> {
        places
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| {
                free.checked_sub(1)
            })
            .ok()
            .map(|_| Self(Arc::clone(places)))
    }
}

impl Drop for QueueSlot {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a source's state is, for people.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceState {
    /// The source's name.
    pub name: String,
    /// Connected, and the broker accepted a subscription.
    pub connected: bool,
    /// The protocol version in use.
    pub protocol: &'static str,
    /// What is wrong, if something is.
    pub problem: Option<String>,
    /// Unix milliseconds of the last message; 0 before the first.
    pub last_message_ms: i64,
}

/// What all sources share.
pub(crate) struct Shared {
    pub(crate) interpreter: Interpreter,
    pub(crate) queue: mpsc::Sender<(Record, Token)>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) instance: String,
    /// Set when nothing new is taken in any more.
    pub(crate) stop_intake: CancellationToken,
    /// How many more messages at QoS 0 may wait for the writer.
    pub(crate) qos0_places: Arc<AtomicUsize>,
    pub(crate) subscriptions: crate::subscriptions::Remembered,
}

/// A running source, as the rest of the program sees it.
#[derive(Clone)]
pub(crate) struct SourceHandle {
    state: Arc<Mutex<SourceState>>,
    client: Arc<Mutex<Option<LinkClient>>>,
    /// Ends the source, whatever it is doing.
    leave: CancellationToken,
}

impl SourceHandle {
    pub(crate) fn state(&self) -> SourceState {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn update(&self, change: impl FnOnce(&mut SourceState)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Asks for a DISCONNECT behind all acknowledgements; without a connection the source just ends.
    pub(crate) fn disconnect(&self) {
        let client = self
            .client
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if !client.is_some_and(|client| client.disconnect()) {
            self.leave.cancel();
        }
    }

    fn set_client(&self, client: Option<LinkClient>) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }
}

/// A source's task.
pub(crate) struct Source {
    config: SourceConfig,
    shared: Arc<Shared>,
    handle: SourceHandle,
    origin: Origin,
    version: Version,
    /// Closes before any CONNACK, in a row.
    closes: u32,
    /// The last failure to read what came, and how often in a row.
    unreadable: Option<(String, u32)>,
    short_connections: u32,
    label: SourceLabel,
}

/// How a connection went.
struct Ended {
    error: Option<LinkError>,
    was_connected: bool,
    lasted: Duration,
}

impl Source {
    pub(crate) fn new(config: SourceConfig, shared: Arc<Shared>) -> (Self, SourceHandle) {
        let version = match config.protocol {
            Protocol::V311 => Version::V4,
            Protocol::V5 | Protocol::Auto => Version::V5,
        };
        let state = SourceState {
            name: config.name.clone(),
            connected: false,
            protocol: version.as_str(),
            problem: Some("not connected yet".to_owned()),
            last_message_ms: 0,
        };
        let handle = SourceHandle {
            state: Arc::new(Mutex::new(state)),
            client: Arc::default(),
            leave: CancellationToken::new(),
        };
        let origin = Origin {
            name: config.name.clone(),
            iata_filter: config.iata_filter.iter().cloned().collect(),
            region: config
                .region
                .as_ref()
                .map(|region| region.to_ascii_uppercase()),
            backlog: Backlog::default(),
        };
        let label = SourceLabel {
            source: config.name.clone(),
        };
        let source = Self {
            config,
            shared,
            handle: handle.clone(),
            origin,
            version,
            closes: 0,
            unreadable: None,
            short_connections: 0,
            label,
        };
        (source, handle)
    }

    /// Runs until it is told to stop: while that hasn't happened, it connects again and again.
    pub(crate) async fn run(mut self) {
        let mut pause = BACK_OFF.0;
        loop {
            let ended = self.connect_once().await;
            self.handle.set_client(None);
            self.shared
                .metrics
                .source_connected
                .get_or_create(&self.label)
                .set(0);
            if self.handle.leave.is_cancelled() || self.shared.stop_intake.is_cancelled() {
                return;
            }
            if ended.lasted > GOOD_CONNECTION {
                pause = BACK_OFF.0;
            }
            self.learn_from(&ended);
            let wait = jittered(pause);
            pause = (pause * 2).min(BACK_OFF.1);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.handle.leave.cancelled() => return,
                () = self.shared.stop_intake.cancelled() => return,
            }
        }
    }

    /// Draws conclusions from how a connection ended, and says it once.
    fn learn_from(&mut self, ended: &Ended) {
        let Some(error) = &ended.error else { return };
        let problem = error.to_string();
        tracing::warn!(source = %self.config.name, broker = %self.config.broker, problem, connected = ended.was_connected, "The source is not connected");
        self.handle.update(|state| {
            state.connected = false;
            state.problem = Some(problem.clone());
        });
        if !ended.was_connected
            && self.config.protocol == Protocol::Auto
            && self.version == Version::V5
        {
            match error {
                LinkError::VersionRefused => self.fall_back(),
                LinkError::Closed(_) => {
                    self.closes += 1;
                    if self.closes >= CLOSES_TO_FALL_BACK {
                        self.fall_back();
                    }
                }
                _ => self.closes = 0,
            }
        }
        match error {
            LinkError::Unreadable(why) if ended.was_connected => {
                let times = match &self.unreadable {
                    Some((last, times)) if last == why => times + 1,
                    _ => 1,
                };
                self.unreadable = Some((why.clone(), times));
            }
            _ if ended.lasted > GOOD_CONNECTION => self.unreadable = None,
            _ => {}
        }
        let short = ended.was_connected && ended.lasted < Duration::from_secs(5);
        let taken_over =
            *error == LinkError::TakenOver || (short && matches!(error, LinkError::Closed(_)));
        self.short_connections = if taken_over {
            self.short_connections + 1
        } else {
            0
        };
        if *error == LinkError::TakenOver || self.short_connections == SHORT_CONNECTIONS {
            tracing::error!(source = %self.config.name, "Connections end right after they begin: does another client use the same client id? Give each its own clientId");
        }
    }

    fn fall_back(&mut self) {
        tracing::warn!(source = %self.config.name, "The broker does not speak MQTT 5; going on with 3.1.1");
        self.version = Version::V4;
        self.handle
            .update(|state| state.protocol = Version::V4.as_str());
    }

    /// One connection, from CONNECT to its end.
    async fn connect_once(&mut self) -> Ended {
        let started = Instant::now();
        let mut ended = Ended {
            error: None,
            was_connected: false,
            lasted: Duration::ZERO,
        };
        let result = self.drive(&mut ended.was_connected).await;
        ended.lasted = started.elapsed();
        ended.error = result.err();
        ended
    }

    async fn drive(&mut self, was_connected: &mut bool) -> Result<(), LinkError> {
        let options = self.link_options()?;
        if options.clean {
            self.unreadable = None;
            self.shared
                .metrics
                .sessions_cleared
                .get_or_create(&self.label)
                .inc();
            tracing::error!(source = %self.config.name, "Something in the session can't be read; the session is given up, what the broker held for us is lost");
        }
        let clean = options.clean;
        let mut link = Link::new(self.version, &options).map_err(LinkError::Other)?;
        self.handle.set_client(Some(link.client()));
        let leave = self.handle.leave.clone();
        let stop = self.shared.stop_intake.clone();
        let mut silent_since = Instant::now();
        loop {
            // Whatever wins over poll() here ends the connection: poll must not be called again then.
            let event = tokio::select! {
                biased;
                event = link.poll() => event?,
                () = leave.cancelled() => return Ok(()),
                () = stop.cancelled(), if !*was_connected => return Ok(()),
                () = silence(self.config.silence, silent_since) => {
                    let seconds = self.config.silence.unwrap_or_default().as_secs();
                    return Err(LinkError::Other(format!("no message for {seconds} s")));
                }
            };
            match event {
                LinkEvent::Connected { session_present } => {
                    *was_connected = true;
                    self.closes = 0;
                    silent_since = Instant::now();
                    self.connected(&link.client(), session_present, clean);
                }
                LinkEvent::Publish(message) => {
                    silent_since = Instant::now();
                    self.take(message);
                }
                LinkEvent::Subscribed(answers) => self.subscribed(&answers),
                LinkEvent::Disconnected => return Ok(()),
                LinkEvent::Other => {}
            }
        }
    }

    fn link_options(&self) -> Result<LinkOptions, LinkError> {
        let clean = self
            .unreadable
            .as_ref()
            .is_some_and(|(_, times)| *times >= FAILURES_TO_CLEAR);
        Ok(LinkOptions {
            client_id: self.client_id(),
            target: tls::target(&self.config).map_err(LinkError::Other)?,
            credentials: sign_in::credentials(&self.config).map_err(LinkError::Other)?,
            keep_alive: self.config.keep_alive,
            connect_timeout: self.config.connect_timeout,
            clean,
        })
    }

    /// The configured client id, or one that is the same after every restart: at most 23 characters.
    fn client_id(&self) -> String {
        self.config.client_id.clone().unwrap_or_else(|| {
            use sha2::Digest;
            let digest = sha2::Sha256::digest(self.config.name.as_bytes());
            // "meshcore-" + 10 + 4 characters.
            let instance = self
                .shared
                .instance
                .get(..10)
                .unwrap_or(&self.shared.instance);
            format!("meshcore-{instance}{}", hex::encode(&digest[..2]))
        })
    }

    fn connected(&mut self, client: &LinkClient, session_present: bool, clean: bool) {
        self.origin.backlog = Backlog::connected(session_present, now_ms());
        self.shared
            .metrics
            .source_connects
            .get_or_create(&self.label)
            .inc();
        let before = self.shared.subscriptions.of(&self.config.name);
        if !session_present && !before.is_empty() && !clean {
            self.shared
                .metrics
                .sessions_lost
                .get_or_create(&self.label)
                .inc();
            tracing::warn!(source = %self.config.name, "The broker had forgotten our session; what it held for us is lost");
        }
        for topic in before
            .iter()
            .filter(|topic| session_present && !self.config.topics.contains(topic))
        {
            tracing::info!(source = %self.config.name, topic, "Unsubscribing from a topic that is configured no more");
            client.unsubscribe(topic);
        }
        tracing::info!(source = %self.config.name, broker = %self.config.broker, protocol = self.version.as_str(), session_present, "The source is connected");
        if !client.subscribe(
            &self.config.topics,
            matches!(self.config.qos, Qos::AtLeastOnce).into(),
        ) {
            tracing::error!(source = %self.config.name, topics = ?self.config.topics, "The subscription can't be sent");
        }
    }

    fn subscribed(&mut self, answers: &[Result<(), String>]) {
        let refused: Vec<String> = answers
            .iter()
            .zip(&self.config.topics)
            .filter_map(|(answer, topic)| Some(format!("{topic}: {}", answer.as_ref().err()?)))
            .collect();
        let accepted = answers.iter().any(Result::is_ok);
        let problem =
            (!refused.is_empty()).then(|| format!("subscription refused: {}", refused.join(", ")));
        if let Some(problem) = &problem {
            self.shared
                .metrics
                .subscriptions_refused
                .get_or_create(&self.label)
                .inc_by(refused.len() as u64);
            tracing::error!(source = %self.config.name, problem, "The broker refused a subscription: nothing will come from it");
        }
        if accepted {
            self.shared
                .subscriptions
                .remember(&self.config.name, &self.config.topics);
            self.shared
                .metrics
                .source_connected
                .get_or_create(&self.label)
                .set(1);
        }
        self.handle.update(|state| {
            state.connected = accepted;
            state.problem = problem;
        });
    }

    /// Hands a message to the writer. After the stop of intake it is left alone: at QoS 1 the broker keeps it.
    fn take(&mut self, message: Incoming) {
        if self.shared.stop_intake.is_cancelled() {
            return;
        }
        let now = now_ms();
        self.handle.update(|state| state.last_message_ms = now);
        self.shared
            .metrics
            .source_last_message
            .get_or_create(&self.label)
            .set(now / 1000);
        let slot = if message.ack.is_none() {
            let Some(slot) = QueueSlot::take(&self.shared.qos0_places) else {
                self.shared.interpreter.count_ignored("queue_full");
                return;
            };
            Some(slot)
        } else {
            None
        };
        let arrival = Arrival {
            topic: &message.topic,
            payload: &message.payload,
            retain: message.retain,
            at_ms: now,
        };
        let record = self
            .shared
            .interpreter
            .interpret(&mut self.origin, &arrival);
        let token = Token {
            ack: message.ack,
            _slot: slot,
        };
        // Full can't be: the queue holds every packet id of every source and the places of QoS 0. Closed means
        // that the program stops: the message stays unacknowledged.
        if self.shared.queue.try_send((record, token)).is_err() {
            self.shared.interpreter.count_ignored("shutting_down");
        }
    }
}

/// Ends when nothing has come for `limit` since `since`; never without a limit.
async fn silence(limit: Option<Duration>, since: Instant) {
    match limit {
        Some(limit) => tokio::time::sleep_until(since + limit).await,
        None => std::future::pending().await,
    }
}

/// `pause`, give or take a half.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0_u8; 1];
    if getrandom::fill(&mut byte).is_err() {
        return pause;
    }
    pause / 2 + pause * u32::from(byte[0]) / 255
}

/// Now, in unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Sorts an I/O error: a peer that closed is something else than a network that failed.
fn io_error(error: &std::io::Error) -> LinkError {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error.kind() {
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe => {
            LinkError::Closed(error.to_string())
        }
        _ => LinkError::Other(error.to_string()),
    }
}

/// An error with all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
