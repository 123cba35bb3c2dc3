//! An observer's table of the nodes it hears directly.

use std::borrow::Cow;

use crate::fields::{Fields, clean};
use crate::identity::Identity;
use crate::ignored::Ignored;
use crate::reception;
use crate::time::FeederTime;
use crate::topic::Topic;
use crate::value::Value;

/// Firmware keeps 50 neighbours, scripts a few hundred.
const MAX_NEIGHBORS: usize = 1024;

/// Most scopes of one node that are kept.
const MAX_SCOPES: usize = 64;

/// The longest scope name, in characters.
const MAX_SCOPE_CHARS: usize = 64;

/// The neighbours of an observer, published once a day or so.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbors {
    /// The observer, as in [`Reception::observer_id`](crate::Reception::observer_id).
    pub observer_id: String,
    /// The observer's name.
    pub observer_name: Option<String>,
    /// The region, upper case.
    pub iata: Option<String>,
    /// The feeder's clock.
    pub feeder_time: Option<FeederTime>,
    /// How many neighbours the observer knows, listed or not.
    pub total_neighbors: Option<u32>,
    /// How many of them it asked for their scopes.
    pub queried_neighbors: Option<u32>,
    /// True if the list was cut.
    pub truncated: Option<bool>,
    /// The scopes that the observer itself carries.
    pub scopes: Vec<String>,
    /// The observer's default scope.
    pub default_scope: Option<String>,
    /// The list.
    pub neighbors: Vec<Neighbor>,
}

/// One neighbour.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbor {
    /// Public key or a prefix of it, lower-case hexadecimal.
    pub public_key: String,
    /// Signal to noise in dB.
    pub snr: Option<f64>,
    /// Signal strength in dBm.
    pub rssi: Option<f64>,
    /// Seconds since it was heard, counted from the time of the message.
    pub heard_secs_ago: Option<u32>,
    /// The scopes that it carries.
    pub scopes: Vec<String>,
    /// What became of the question for its scopes.
    pub status: Option<NeighborStatus>,
}

/// What became of the question that an observer asked a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NeighborStatus {
    /// It answered.
    Responded,
    /// It did not answer in time.
    Timeout,
    /// The question could not be sent.
    SendFailed,
}

/// Reads a table of neighbours.
pub(crate) fn read(topic: &Topic<'_>, fields: Fields<'_>) -> Result<Neighbors, Ignored> {
    let identity = Identity::read(topic, fields)?;
    let own = fields.object("self");
    let count = |names: &'static [&'static str]| fields.integer(names, 0..=1_000_000);
    Ok(Neighbors {
        observer_id: identity.id,
        observer_name: identity.name,
        iata: identity.iata,
        feeder_time: reception::time(fields),
        total_neighbors: count(&["total_neighbors"]),
        queried_neighbors: count(&["queried_neighbors"]),
        truncated: fields.boolean(&["truncated"]),
        scopes: own.map(|own| scopes(own)).unwrap_or_default(),
        default_scope: own.and_then(|own| own.text(&["default_scope"], MAX_SCOPE_CHARS)),
        neighbors: fields
            .array("neighbors")
            .iter()
            .filter_map(neighbor)
            .take(MAX_NEIGHBORS)
            .collect(),
    })
}

fn neighbor(value: &Value<'_>) -> Option<Neighbor> {
    let fields = Fields::new(value.as_object()?);
    let public_key = fields.text(&["pubkey"], 65)?.to_ascii_lowercase();
    if public_key.len() > 64 || !public_key.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let (snr, rssi) = reception::signal(fields);
    Some(Neighbor {
        public_key,
        snr: snr.map(|(value, _)| value),
        rssi,
        heard_secs_ago: fields.integer(&["heard_secs_ago"], 0..=i64::from(u32::MAX)),
        scopes: scopes(fields),
        status: fields
            .borrowed_text(&["status"], 16)
            .and_then(|word| match word.as_ref() {
                "responded" => Some(NeighborStatus::Responded),
                "timeout" => Some(NeighborStatus::Timeout),
                "send_failed" => Some(NeighborStatus::SendFailed),
                _ => None,
            }),
    })
}

/// Scopes as a comma-separated text, or as an array of texts.
fn scopes(fields: Fields<'_>) -> Vec<String> {
    let listed = fields.array("scopes").iter().filter_map(Value::as_str);
    let joined = fields
        .all(&["scopes"])
        .filter_map(Value::as_str)
        .flat_map(|text| text.split(','));
    listed
        .chain(joined)
        .filter_map(|scope| clean(scope, MAX_SCOPE_CHARS).map(Cow::into_owned))
        .take(MAX_SCOPES)
        .collect()
}
