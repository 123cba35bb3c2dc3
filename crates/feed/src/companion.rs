//! Texts that a companion device had decrypted before they reached the feed.

use std::borrow::Cow;

use crate::MAX_NAME_CHARS;
use crate::fields::{Fields, clean};
use crate::identity::Identity;
use crate::ignored::Ignored;
use crate::reception;
use crate::time::FeederTime;
use crate::topic::{Kind, Topic};

/// A radio message has 160 bytes; bridges may join parts.
const MAX_TEXT_CHARS: usize = 1024;

/// A sender is what stands before the first `": "`, if that comes this early (in bytes).
const MAX_SENDER_BYTES: usize = 49;

/// Whom a companion message was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompanionTarget {
    /// A channel, by its index on that device; the index means nothing elsewhere.
    Channel {
        /// Missing when neither topic nor payload give a number.
        index: Option<u32>,
    },
    /// A person.
    Direct {
        /// Key prefix or name of the other side.
        peer: Option<String>,
    },
}

/// A decrypted text.
#[derive(Debug, Clone, PartialEq)]
pub struct CompanionMessage {
    /// The feeding device; bridges of the older kind do not name themselves.
    pub observer_id: Option<String>,
    /// The device's name.
    pub observer_name: Option<String>,
    /// The region, upper case.
    pub iata: Option<String>,
    /// Channel or person.
    pub target: CompanionTarget,
    /// The text as sent, with the `sender: ` that channel texts begin with.
    pub text: String,
    /// Who wrote it: as the feeder says, else from the start of a channel text.
    pub sender: Option<String>,
    /// The sender's clock.
    pub sender_time: Option<FeederTime>,
    /// The feeder's clock.
    pub feeder_time: Option<FeederTime>,
    /// Signal to noise in dB.
    pub snr: Option<f64>,
    /// Signal strength in dBm.
    pub rssi: Option<f64>,
}

/// Reads a companion message, in the form of the bridge or of a packet capture's decoded topic.
pub(crate) fn read(topic: &Topic<'_>, fields: Fields<'_>) -> Result<CompanionMessage, Ignored> {
    let identity = match Identity::read(topic, fields) {
        Ok(identity) => Some(identity),
        Err(Ignored::EmptyObserver) => None,
        Err(ignored) => return Err(ignored),
    };
    let text = message_text(fields).ok_or(Ignored::NoText)?;
    let target = target(topic, fields);
    let (snr, rssi) = reception::signal(fields);
    let (observer_id, observer_name, iata) = match identity {
        Some(identity) => (Some(identity.id), identity.name, identity.iata),
        None => (None, None, None),
    };
    Ok(CompanionMessage {
        observer_id,
        observer_name,
        iata,
        sender: sender(fields, &target, &text),
        target,
        text,
        sender_time: fields.all(&["sender_timestamp"]).find_map(FeederTime::read),
        feeder_time: reception::time(fields),
        snr: snr.map(|(value, _)| value),
        rssi,
    })
}

/// The text, which may have line breaks but no other control characters.
fn message_text(fields: Fields<'_>) -> Option<String> {
    fields
        .all(&["text", "message"])
        .filter_map(|value| value.as_str())
        .find_map(|text| {
            let kept = text
                .chars()
                .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
            let kept: String = kept.take(MAX_TEXT_CHARS).collect();
            (!kept.trim().is_empty()).then_some(kept)
        })
}

fn target(topic: &Topic<'_>, fields: Fields<'_>) -> CompanionTarget {
    let says_direct = fields.borrowed_text(&["direction"], 16).as_deref() == Some("direct");
    if topic.kind == Kind::Direct || (topic.kind != Kind::Channel && says_direct) {
        let peer = fields.text(&["pubkey_prefix"], MAX_NAME_CHARS);
        let peer = peer.or_else(|| clean(topic.tail?, MAX_NAME_CHARS).map(Cow::into_owned));
        return CompanionTarget::Direct { peer };
    }
    let index = fields.integer(&["channel_idx"], 0..=i64::from(u32::MAX));
    CompanionTarget::Channel {
        index: index.or_else(|| topic.tail?.parse().ok()),
    }
}

fn sender(fields: Fields<'_>, target: &CompanionTarget, text: &str) -> Option<String> {
    let given = fields.text(&["sender", "from"], MAX_NAME_CHARS);
    given.or_else(|| match target {
        CompanionTarget::Channel { .. } => {
            let (sender, _) = text.split_once(": ")?;
            let sender =
                (sender.len() <= MAX_SENDER_BYTES).then(|| clean(sender, MAX_NAME_CHARS))?;
            sender.map(Cow::into_owned)
        }
        CompanionTarget::Direct { .. } => None,
    })
}
