//! One task for each source: connect, subscribe, hand messages on, reconnect.
//!
//! Polling never stops for long while messages wait for the writer: pings would stop too. What is at QoS 1 is
//! bounded by what the broker sends unacknowledged and always fits the queue; what is at QoS 0 is dropped and
//! counted when there is no room.

mod lessons;
mod link;
mod mqtt4;
mod mqtt5;
mod pace;
mod secrets;
mod sign_in;
mod socket;
pub(crate) mod tls;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use meshcore_store::Record;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::lessons::{GOOD_CONNECTION, Lessons};
pub(crate) use self::link::Ack;
use self::link::{Incoming, Link, LinkClient, LinkError, LinkEvent, LinkOptions};
use self::secrets::SecretWatch;
use crate::clock::Backlog;
use crate::config::{Qos, Source as SourceConfig};
use crate::interpret::{Arrival, Interpreter, Origin};
use crate::metrics::{Metrics, SourceLabel};

/// The first and the longest pause before a reconnect.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How long a DISCONNECT may take before a broker that takes nothing in any more is left without one.
const GOODBYE: Duration = Duration::from_secs(2);

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
    /// Tracks the polite end of sockets.
    pub(crate) farewells: TaskTracker,
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

    /// Asks for a DISCONNECT behind all acknowledgements; without a connection, or if the broker takes nothing
    /// in any more, the source just ends.
    pub(crate) fn disconnect(&self) {
        let client = self
            .client
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if !client.is_some_and(|client| client.disconnect()) {
            self.leave.cancel();
            return;
        }
        let leave = self.leave.clone();
        tokio::spawn(async move {
            tokio::time::sleep(GOODBYE).await;
            leave.cancel();
        });
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
    lessons: Lessons,
    secrets: SecretWatch,
    label: SourceLabel,
    /// When the last message came; looked up once.
    last_message: Gauge,
}

/// How a connection went.
struct Ended {
    error: Option<LinkError>,
    was_connected: bool,
    lasted: Duration,
}

impl Source {
    pub(crate) fn new(config: SourceConfig, shared: Arc<Shared>) -> (Self, SourceHandle) {
        let lessons = Lessons::new(config.protocol);
        let state = SourceState {
            name: config.name.clone(),
            connected: false,
            protocol: lessons.version().as_str(),
            problem: Some("not connected yet".to_owned()),
            last_message_ms: 0,
        };
        let handle = SourceHandle {
            state: Arc::new(Mutex::new(state)),
            client: Arc::default(),
            leave: CancellationToken::new(),
        };
        let origin = Origin::new(
            config.name.clone(),
            config.iata_filter.iter().cloned().collect(),
            config
                .region
                .as_ref()
                .map(|region| region.to_ascii_uppercase()),
        );
        let label = SourceLabel {
            source: config.name.clone(),
        };
        let last_message = shared
            .metrics
            .source_last_message
            .get_or_create_owned(&label);
        let source = Self {
            secrets: SecretWatch::new(&config),
            config,
            shared,
            handle: handle.clone(),
            origin,
            lessons,
            last_message,
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
                if let Some(error) = &ended.error {
                    tracing::warn!(source = %self.config.name, %error, "The source ended without a DISCONNECT");
                }
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
                () = self.secrets.changed() => pause = BACK_OFF.0,
                () = self.handle.leave.cancelled() => return,
                () = self.shared.stop_intake.cancelled() => return,
            }
        }
    }

    /// Draws conclusions from how a connection ended, and says it once.
    fn learn_from(&mut self, ended: &Ended) {
        let Some(error) = &ended.error else { return };
        let name = &self.config.name;
        let news = self.lessons.ended(error, ended.was_connected, ended.lasted);
        let mut problem = error.to_string();
        if news.client_id_shared {
            tracing::error!(source = %name, "Connections end right after they begin: another client seems to use the same client id; give each its own clientId");
            problem.push_str("; does another client use the same client id?");
        }
        tracing::warn!(source = %name, broker = %self.config.broker, problem, connected = ended.was_connected, "The source is not connected");
        let protocol = self.lessons.version().as_str();
        if news.version_changed {
            tracing::warn!(source = %name, protocol, "The broker refuses the other version of MQTT, or closes when it hears it; going on with this one");
        }
        self.handle.update(|state| {
            state.connected = false;
            state.problem = Some(problem);
            state.protocol = protocol;
        });
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
        let mut link = Link::new(self.lessons.version(), &options).map_err(LinkError::Other)?;
        self.handle.set_client(Some(link.client()));
        let leave = self.handle.leave.clone();
        let stop = self.shared.stop_intake.clone();
        let mut pace = pace::Pace::new(self.config.keep_alive);
        let mut silent_since = Instant::now();
        // Set when the connection is being left for one with new secrets: until when the broker may take it in.
        let mut leaving = None;
        loop {
            // Whatever wins over poll() here ends the connection, at once or, for new secrets, when the DISCONNECT is
            // out. Until then it is polled on, although the dropped poll() may have lost an acknowledgement that it
            // was about to send: the broker then sends that message again, and the store knows it.
            let event = tokio::select! {
                biased;
                event = link.poll() => event?,
                () = leave.cancelled() => return Ok(()),
                () = stop.cancelled(), if !*was_connected => return Ok(()),
                () = self.secrets.changed(), if *was_connected && leaving.is_none() => {
                    tracing::info!(source = %self.config.name, "A secret or certificate has changed; the source connects anew");
                    if !link.client().disconnect() {
                        return Ok(());
                    }
                    leaving = Some(Instant::now() + GOODBYE);
                    continue;
                }
                () = until(leaving) => return Ok(()),
                () = silence(self.config.silence, silent_since), if *was_connected => {
                    let seconds = self.config.silence.unwrap_or_default().as_secs();
                    return Err(LinkError::Other(format!("no message for {seconds} s")));
                }
            };
            match event {
                LinkEvent::Connected { session_present } => {
                    *was_connected = true;
                    silent_since = Instant::now();
                    self.lessons.connected();
                    if options.clean {
                        self.session_cleared();
                        link.client().disconnect();
                    } else {
                        self.connected(&link.client(), session_present);
                    }
                }
                LinkEvent::Publish(message) => {
                    silent_since = Instant::now();
                    self.take(message);
                    let queue = &self.shared.queue;
                    pace.keep(|| queue.max_capacity() - queue.capacity()).await;
                }
                LinkEvent::Subscribed(answers) => self.subscribed(&answers),
                LinkEvent::Disconnected => return Ok(()),
                LinkEvent::Other => {}
            }
        }
    }

    fn link_options(&mut self) -> Result<LinkOptions, LinkError> {
        self.secrets.note();
        Ok(LinkOptions {
            client_id: self.client_id(),
            target: tls::target(&self.config).map_err(LinkError::Other)?,
            credentials: sign_in::credentials(&self.config).map_err(LinkError::Other)?,
            keep_alive: self.config.keep_alive,
            connect_timeout: self.config.connect_timeout,
            clean: self.lessons.must_clear_session(),
            farewells: self.shared.farewells.clone(),
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

    /// The broker has begun a new session for us. A 3.1.1 broker forgets that one too when the connection ends,
    /// so nothing is subscribed in it: the next connection begins the one that stays.
    fn session_cleared(&mut self) {
        self.lessons.session_cleared();
        self.shared.subscriptions.remember(&self.config.name, &[]);
        self.shared
            .metrics
            .sessions_cleared
            .get_or_create(&self.label)
            .inc();
        tracing::error!(source = %self.config.name, "Something in the session can't be read, again and again; the session was given up, what the broker held for us is lost");
    }

    fn connected(&mut self, client: &LinkClient, session_present: bool) {
        self.origin.backlog = Backlog::connected(session_present, now_ms());
        self.shared
            .metrics
            .source_connects
            .get_or_create(&self.label)
            .inc();
        let before = self.shared.subscriptions.of(&self.config.name);
        if !session_present && !before.is_empty() {
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
        tracing::info!(source = %self.config.name, broker = %self.config.broker, protocol = self.lessons.version().as_str(), session_present, "The source is connected");
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
        if !message.retain {
            self.handle.update(|state| state.last_message_ms = now);
            self.last_message.set(now / 1000);
        }
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
    until(limit.map(|limit| since + limit)).await;
}

/// Ends at `time`; never without one.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
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
    // In the middle of a packet or a WebSocket; these have no kind of their own.
    const CLOSED_IN_BETWEEN: [&str; 2] = ["bytes remaining on stream", "without closing handshake"];
    let text = error.to_string();
    match error.kind() {
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe => LinkError::Closed(text),
        _ if CLOSED_IN_BETWEEN.iter().any(|words| text.contains(words)) => LinkError::Closed(text),
        _ => LinkError::Other(text),
    }
}

fn timed_out() -> LinkError {
    LinkError::Other("the broker did not answer in time".into())
}

fn no_pings() -> LinkError {
    LinkError::Other("the broker does not answer pings".into())
}

/// The words of a reason code: `NotAuthorized` reads "not authorized".
fn in_words(code: &impl std::fmt::Debug) -> String {
    let mut words = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
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
