//! From one MQTT message to one record for the writer. Nothing here can fail: whatever comes has its fate.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use meshcore_feed as feed;
use meshcore_feed::{CompanionTarget, FeederTime, Ignored, Message};
use meshcore_packet::{Frame, Payload, Route, corescope};
use meshcore_store::{
    ClientReception, Description, Dropped, Neighbors, Observer, Reception, Record, Status,
    TimeSource,
};
use prometheus_client::metrics::counter::Counter;
use sha2::{Digest, Sha256};

use crate::clock::{Backlog, Clocks, Heard};
use crate::config::{Config, ObserverRules};
use crate::metrics::{KindLabel, Metrics, ReasonLabel, SourceKindLabel};

/// What is taken and what isn't, the same for all sources.
#[derive(Debug, Clone)]
pub(crate) struct Filters {
    /// Which observers are listened to.
    observers: ObserverRules,
    /// How messages are read.
    parse: feed::ParseOptions,
    /// Samples of observers are rounded to this many seconds.
    sample_interval_seconds: i64,
}

impl Filters {
    /// As the configuration says.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            observers: config.observers.clone(),
            parse: feed::ParseOptions::default().with_client_reception(config.client_rx_coverage),
            sample_interval_seconds: i64::try_from(config.metrics_interval.as_secs())
                .unwrap_or(i64::MAX),
        }
    }
}

/// Makes records of messages.
#[derive(Debug)]
pub(crate) struct Interpreter {
    filters: Filters,
    clocks: Clocks,
    metrics: Arc<Metrics>,
}

/// What is particular to the source of a message.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) name: String,
    /// If not empty, only packets of these regions are taken, upper case. Other messages pass.
    pub(crate) iata_filter: HashSet<String>,
    /// The region of observers whose messages name none.
    pub(crate) region: Option<String>,
    pub(crate) backlog: Backlog,
    /// How many messages of each kind came, looked up once.
    received: HashMap<&'static str, Counter>,
}

impl Origin {
    pub(crate) fn new(name: String, iata_filter: HashSet<String>, region: Option<String>) -> Self {
        Self {
            name,
            iata_filter,
            region,
            backlog: Backlog::default(),
            received: HashMap::new(),
        }
    }
}

/// A message and when it came.
pub(crate) struct Arrival<'a> {
    pub(crate) topic: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) retain: bool,
    /// Unix milliseconds.
    pub(crate) at_ms: i64,
}

impl Interpreter {
    pub(crate) fn new(filters: Filters, clocks: Clocks, metrics: Arc<Metrics>) -> Self {
        Self {
            filters,
            clocks,
            metrics,
        }
    }

    /// The record of a message.
    pub(crate) fn interpret(&self, origin: &mut Origin, arrival: &Arrival<'_>) -> Record {
        self.metrics
            .payload_bytes
            .inc_by(arrival.payload.len() as u64);
        let message = match std::str::from_utf8(arrival.topic) {
            Ok(topic) => feed::parse(topic, arrival.payload, &self.filters.parse),
            Err(_) => Message::Ignored(Ignored::UnknownTopic),
        };
        self.count_received(origin, message.kind());
        match self.record(origin, arrival, message) {
            Ok(record) => record,
            Err(ignored) => {
                self.count_ignored(ignored.reason());
                Record::Nothing
            }
        }
    }

    fn record(
        &self,
        origin: &mut Origin,
        arrival: &Arrival<'_>,
        message: Message,
    ) -> Result<Record, Ignored> {
        match message {
            Message::Reception(reception) => self.reception(origin, arrival, reception),
            Message::Transmit(sent) => {
                check_packet_iata(origin, sent.iata.as_deref())?;
                let (observer, _) = self.observer(
                    origin,
                    arrival,
                    Who {
                        id: sent.observer_id,
                        name: sent.observer_name,
                        iata: sent.iata,
                    },
                    sent.feeder_time,
                )?;
                Ok(Record::SignOfLife(Box::new(observer)))
            }
            Message::Status(status) => self.status(origin, arrival, status),
            Message::Neighbors(report) => {
                let (observer, _) = self.observer(
                    origin,
                    arrival,
                    Who {
                        id: report.observer_id,
                        name: report.observer_name,
                        iata: report.iata,
                    },
                    report.feeder_time,
                )?;
                let neighbors = report
                    .neighbors
                    .into_iter()
                    .map(|n| n.public_key.to_ascii_lowercase())
                    .collect();
                Ok(Record::Neighbors(Box::new(Neighbors {
                    observer,
                    neighbors,
                })))
            }
            Message::Companion(message) => self.companion(origin, arrival, message),
            Message::ClientReception(reception) => self.client_reception(arrival, &reception),
            Message::Ignored(ignored) => Err(ignored),
        }
    }

    fn reception(
        &self,
        origin: &mut Origin,
        arrival: &Arrival<'_>,
        heard: feed::Reception,
    ) -> Result<Record, Ignored> {
        check_packet_iata(origin, heard.iata.as_deref())?;
        let who = Who {
            id: heard.observer_id,
            name: heard.observer_name,
            iata: heard.iata,
        };
        let (observer, time) = self.observer(origin, arrival, who, heard.feeder_time)?;
        let frame = match Frame::decode(&heard.raw) {
            Ok(frame) => frame,
            Err(error) => {
                self.count_decode_error(error.kind());
                return Ok(Record::Dropped(Box::new(Dropped {
                    reason: error.kind().into(),
                    hash: None,
                    raw: heard.raw,
                    observer_id: Some(observer.id),
                    observer_name: observer.name,
                })));
            }
        };
        let payload = frame.decode_payload();
        if let Err(error) = payload {
            self.count_decode_error(error.kind());
        }
        let path_is_frame_path = frame.payload_type != meshcore_packet::PayloadType::Trace;
        Ok(Record::Reception(Box::new(Reception {
            hash: frame.packet_hash().0,
            route_type: frame.route.code(),
            payload_type: frame.payload_type.code(),
            path_json: corescope::path_json(&frame, &payload),
            path_is_frame_path,
            raw: heard.raw,
            observer,
            direction: heard.direction.map(feed::Direction::as_str),
            snr: heard.snr,
            rssi: heard.rssi,
            score: heard.score,
            duration_ms: heard.duration_ms,
            heard_at: time.at,
            time_source: time.source,
            arrived_at_ms: arrival.at_ms,
            feeder_time_ms: heard.feeder_time.map(|t| t.time.as_millisecond()),
            description: None,
        })))
    }

    fn status(
        &self,
        origin: &mut Origin,
        arrival: &Arrival<'_>,
        status: feed::Status,
    ) -> Result<Record, Ignored> {
        let who = Who {
            id: status.observer_id,
            name: status.observer_name,
            iata: status.iata,
        };
        let (observer, time) = self.observer(origin, arrival, who, status.feeder_time)?;
        let stats = status.stats;
        // A retained status says how things were, not how they are.
        let has_sample = !arrival.retain && !stats.is_empty();
        let interval = self.filters.sample_interval_seconds.max(1);
        Ok(Record::Status(Box::new(Status {
            observer,
            online: status.presence.map(|p| p == feed::Presence::Online),
            model: status.model,
            firmware: status.firmware_version,
            client_version: status.client_version,
            radio: status.radio,
            can_relay: status.repeat,
            battery_mv: stats.battery_mv,
            uptime_secs: stats.uptime_secs,
            noise_floor: stats.noise_floor,
            tx_air_secs: stats.tx_air_secs,
            rx_air_secs: stats.rx_air_secs,
            recv_errors: stats.recv_errors,
            packets_sent: stats.packets_sent,
            packets_recv: stats.packets_received,
            sample_at: has_sample.then(|| time.at - time.at.rem_euclid(interval)),
        })))
    }

    /// A text that a companion device had decrypted: a packet without a frame. Its hash is of what identifies
    /// it, so that a redelivery is the same packet.
    fn companion(
        &self,
        origin: &mut Origin,
        arrival: &Arrival<'_>,
        message: feed::CompanionMessage,
    ) -> Result<Record, Ignored> {
        let who = Who {
            id: message
                .observer_id
                .unwrap_or_else(|| "companion".to_owned()),
            name: message.observer_name,
            iata: message.iata,
        };
        let (observer, time) = self.observer(origin, arrival, who, message.feeder_time)?;
        let (kind, payload_type, channel) = match &message.target {
            CompanionTarget::Channel { index } => (
                "CHAN",
                5,
                Some(index.map_or_else(|| "ch".to_owned(), |n| format!("ch{n}"))),
            ),
            CompanionTarget::Direct { .. } => ("DM", 2, None),
        };
        let sent_at = message
            .sender_time
            .or(message.feeder_time)
            .map(|t| t.time.as_second());
        let mut json =
            serde_json::json!({"type": kind, "text": message.text, "sender": message.sender});
        if let Some(object) = json.as_object_mut() {
            if let Some(channel) = &channel {
                object.insert("channel".into(), channel.clone().into());
            }
            if let Some(time) = message.sender_time {
                object.insert("sender_timestamp".into(), time.time.as_second().into());
            }
        }
        // Without any time in it, the same text counts once a day.
        let identity = format!("{json}:{}", sent_at.unwrap_or(time.at.div_euclid(86_400)));
        let digest = Sha256::digest(identity.as_bytes());
        let mut hash = [0; 8];
        hash.copy_from_slice(&digest[..8]);
        let description = Description {
            decoded_json: json.to_string(),
            channel_hash: channel,
            ..Description::default()
        };
        Ok(Record::Reception(Box::new(Reception {
            hash,
            raw: Vec::new(),
            route_type: Route::Flood.code(),
            payload_type,
            path_json: "[]".to_owned(),
            path_is_frame_path: true,
            observer,
            direction: None,
            snr: message.snr,
            rssi: message.rssi,
            score: None,
            duration_ms: None,
            heard_at: time.at,
            time_source: time.source,
            arrived_at_ms: arrival.at_ms,
            feeder_time_ms: message.feeder_time.map(|t| t.time.as_millisecond()),
            description: Some(Box::new(description)),
        })))
    }

    /// A mobile receiver's report. Whom it heard is sure only for the last hop of a flood with entries of two
    /// bytes or more, and for an advert that came directly.
    fn client_reception(
        &self,
        arrival: &Arrival<'_>,
        heard: &feed::ClientReception,
    ) -> Result<Record, Ignored> {
        let frame = Frame::decode(&heard.raw).map_err(|error| {
            self.count_decode_error(error.kind());
            Ignored::BadRawHex
        })?;
        let last_hop = frame.path.entries().last();
        let (heard_key, src) = match (last_hop, frame.decode_payload()) {
            (Some(hop), _) if frame.route.is_flood() && hop.len() >= 2 => {
                (hex::encode(hop), "rxlog")
            }
            (None, Ok(Payload::Advert(advert))) if advert.signature_valid() => {
                (advert.public_key.to_string(), "advert")
            }
            _ => return Err(Ignored::ClientNotRx),
        };
        let rx_at = match heard.feeder_time {
            Some(time) if time.zoned => time.time.as_second(),
            _ => arrival.at_ms.div_euclid(1000),
        };
        Ok(Record::ClientReception(Box::new(ClientReception {
            rx_pubkey: heard.client_key.to_ascii_lowercase(),
            heard_key,
            src,
            rssi: heard.rssi,
            snr: heard.snr,
            lat: heard.position.latitude,
            lon: heard.position.longitude,
            accuracy_m: heard.position.accuracy_m,
            rx_at,
        })))
    }

    /// The observer behind a message and when the message was heard, unless it is not listened to.
    fn observer(
        &self,
        origin: &mut Origin,
        arrival: &Arrival<'_>,
        who: Who,
        feeder_time: Option<FeederTime>,
    ) -> Result<(Observer, Heard), Ignored> {
        if self.filters.observers.is_blocked(&who.id) {
            return Err(Ignored::ObserverBlocked);
        }
        let iata = who.iata.or_else(|| origin.region.clone());
        if let Some(iata) = &iata
            && !self.filters.observers.iata_whitelist.is_empty()
            && !self.filters.observers.iata_whitelist.contains(iata)
        {
            return Err(Ignored::IataNotAllowed);
        }
        let mut heard = if arrival.retain {
            retained_time(arrival, feeder_time)
        } else {
            self.clocks
                .heard(&who.id, feeder_time, arrival.at_ms, &mut origin.backlog)
        };
        if arrival.retain {
            heard.skew_seconds = None;
        }
        let observer = Observer {
            id: who.id,
            name: who.name,
            iata,
            seen_at: (!arrival.retain).then_some(heard.at),
            clock_skew_seconds: heard.skew_seconds,
            naive_clock: heard.naive_clock,
        };
        Ok((observer, heard))
    }

    fn count_received(&self, origin: &mut Origin, kind: &'static str) {
        let source = &origin.name;
        let look_up = || {
            let label = SourceKindLabel {
                source: source.clone(),
                kind,
            };
            self.metrics.received.get_or_create_owned(&label)
        };
        origin.received.entry(kind).or_insert_with(look_up).inc();
    }

    pub(crate) fn count_ignored(&self, reason: &str) {
        self.metrics
            .ignored
            .get_or_create(&ReasonLabel {
                reason: reason.to_owned(),
            })
            .inc();
    }

    fn count_decode_error(&self, kind: &'static str) {
        self.metrics
            .decode_errors
            .get_or_create(&KindLabel { kind })
            .inc();
    }
}

/// Packets of other regions than the source is for are not taken.
fn check_packet_iata(origin: &Origin, iata: Option<&str>) -> Result<(), Ignored> {
    if origin.iata_filter.is_empty() {
        return Ok(());
    }
    match iata.or(origin.region.as_deref()) {
        Some(iata) if origin.iata_filter.contains(iata) => Ok(()),
        _ => Err(Ignored::IataFiltered),
    }
}

/// Who a message is from, as it says.
struct Who {
    id: String,
    name: Option<String>,
    iata: Option<String>,
}

/// A retained message is old: its own time stamp if it has a good one, else its arrival, marked.
fn retained_time(arrival: &Arrival<'_>, feeder_time: Option<FeederTime>) -> Heard {
    let (at, source) = match feeder_time {
        Some(time) if time.zoned && time.time.as_millisecond() <= arrival.at_ms => {
            (time.time.as_second(), TimeSource::Feeder)
        }
        _ => (arrival.at_ms.div_euclid(1000), TimeSource::BacklogArrival),
    };
    Heard {
        at,
        source,
        skew_seconds: None,
        naive_clock: false,
    }
}
