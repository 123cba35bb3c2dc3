//! The topic: what kind of message it announces, about which observer, in which region.
//!
//! ```text
//! meshcore/{IATA}/{key}/{packets|raw|status|neighbors|decoded|debug|serial/…|internal}
//! meshcore/{IATA}/{packets|…}                    no key: the payload names the observer
//! meshcore/repeater/{name}/{packet|status|raw|advert|noise_floor|crc_errors}
//! meshrank/uplink/{token}/{key}/{packets|…}      the token is a secret and is not kept
//! meshcore/client/{key}/{packets|rf|regions}     phones
//! meshcore/message/{channel/{index}|direct/{id}} companion bridge
//! meshcore/{status|events/connection}            companion bridge, about itself
//! ```
//!
//! Feeders let their users write templates, so the first level is not checked, a 64-digit level is
//! the observer wherever it stands, and the last level that is a known word gives the kind. Where no
//! level is known, the second and third are taken for region and observer.

/// What a topic announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Packets,
    Raw,
    Status,
    Neighbors,
    Decoded,
    Debug,
    Serial,
    Internal,
    Events,
    RepeaterReport,
    ClientPackets,
    ClientReport,
    /// Companion bridge, channel text; the channel is in [`Topic::tail`].
    Channel,
    /// Companion bridge, direct text; the peer is in [`Topic::tail`].
    Direct,
    Unknown,
}

/// A topic taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Topic<'a> {
    pub(crate) kind: Kind,
    /// The level that identifies the observer (for clients: their key).
    pub(crate) observer: Option<&'a str>,
    pub(crate) iata: Option<&'a str>,
    /// Channel index or peer of a companion message.
    pub(crate) tail: Option<&'a str>,
    /// True if the observer's level is a name, so that an id in the payload is better.
    pub(crate) observer_is_name: bool,
}

/// More levels than any feeder uses; the rest of a hostile topic is not looked at.
const MAX_LEVELS: usize = 16;

impl<'a> Topic<'a> {
    pub(crate) fn read(topic: &'a str) -> Self {
        let mut levels = [""; MAX_LEVELS];
        let split = topic.trim_start_matches('/').split('/');
        let count = levels
            .iter_mut()
            .zip(split)
            .map(|(level, text)| *level = text)
            .count();
        let levels = &levels[..count];
        if levels.iter().skip(1).any(|level| *level == "internal") {
            return Self::of(Kind::Internal);
        }
        match levels {
            [_, "client", key, "packets"] => Self::of(Kind::ClientPackets).observed_by(key),
            [_, "client", key, ..] => Self::of(Kind::ClientReport).observed_by(key),
            [_, "message", "channel", tail] => Self::companion(Kind::Channel, tail),
            [_, "message", "direct", tail] => Self::companion(Kind::Direct, tail),
            [_, "status"] | [_, "events", ..] => Self::of(Kind::Events),
            ["meshrank", "uplink", _token, key, rest @ ..] => Self::of(
                rest.iter()
                    .rev()
                    .find_map(|level| kind_of(level))
                    .unwrap_or(Kind::Unknown),
            )
            .observed_by(key),
            [_, "repeater", name, rest @ ..] if !rest.is_empty() => {
                let kind = rest.iter().rev().find_map(|level| kind_of(level));
                Self {
                    observer_is_name: !is_public_key(name),
                    ..Self::of(kind.unwrap_or(Kind::Unknown)).observed_by(name)
                }
            }
            levels => Self::general(levels),
        }
    }

    /// Any other layout: the kind from the last known word, the observer from its shape or place.
    fn general(levels: &[&'a str]) -> Self {
        let word = (1..levels.len())
            .rev()
            .find_map(|at| Some((at, kind_of(levels.get(at)?)?)));
        let kind = word.map_or(Kind::Unknown, |(_, kind)| kind);
        let key_at = levels.iter().position(|level| is_public_key(level));
        let end = word.map_or(levels.len().min(3), |(at, _)| at);
        let (observer_at, iata_at) = match (key_at, end) {
            (Some(at), _) => (Some(at), (at > 1).then(|| at - 1)),
            (None, 0 | 1) => (None, None),
            (None, 2) => (None, Some(1)),
            (None, end) => (Some(end - 1), Some(end - 2)),
        };
        let level = |at: Option<usize>| at.and_then(|at| levels.get(at).copied());
        let iata_at = iata_at.filter(|at| Some(*at) != word.map(|(at, _)| at));
        // In a layout that nobody knows, places are a guess: ids in the payload are better.
        let is_guess = word.is_none() && key_at.is_none();
        let iata = level(iata_at).filter(|iata| !is_guess || is_iata(iata));
        Self {
            observer: level(observer_at),
            iata,
            observer_is_name: is_guess,
            ..Self::of(kind)
        }
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            observer: None,
            iata: None,
            tail: None,
            observer_is_name: false,
        }
    }

    fn observed_by(mut self, observer: &'a str) -> Self {
        self.observer = Some(observer);
        self
    }

    fn companion(kind: Kind, tail: &'a str) -> Self {
        Self {
            tail: Some(tail),
            ..Self::of(kind)
        }
    }
}

/// The kind that a topic level stands for, if it is a known word.
fn kind_of(level: &str) -> Option<Kind> {
    Some(match level {
        "packets" | "packet" => Kind::Packets,
        "raw" => Kind::Raw,
        "status" => Kind::Status,
        "neighbors" | "neighbours" => Kind::Neighbors,
        "decoded" => Kind::Decoded,
        "debug" => Kind::Debug,
        "serial" => Kind::Serial,
        "advert" | "noise_floor" | "crc_errors" => Kind::RepeaterReport,
        _ => return None,
    })
}

/// True for what an airport code looks like.
fn is_iata(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|b| b.is_ascii_alphabetic())
}

/// True for the 64 hexadecimal digits of a public key, in either case.
pub(crate) fn is_public_key(text: &str) -> bool {
    // Without an early end this takes 16 bytes at a time.
    text.len() == 64
        && text
            .bytes()
            .fold(true, |all, b| all & b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::{Kind, Topic};

    const KEY: &str = "424419FDF9DD9D206A5A917979E56E843DE78E890359C70B9F59B7E2CF2CE392";

    #[test]
    fn each_layout_gives_kind_observer_and_region() {
        let key = Some(KEY);
        let cases: &[(&str, Kind, Option<&str>, Option<&str>)] = &[
            ("meshcore/SJC/{K}/packets", Kind::Packets, key, Some("SJC")),
            ("/meshcore/SJC/{K}/packets", Kind::Packets, key, Some("SJC")),
            (
                "meshcore/sjc/kpabap/packets",
                Kind::Packets,
                Some("kpabap"),
                Some("sjc"),
            ),
            ("meshcore/eu/ZRH/{K}/raw", Kind::Raw, key, Some("ZRH")),
            ("meshcore/SJC/{K}/status", Kind::Status, key, Some("SJC")),
            (
                "meshcore/SJC/{K}/neighbors",
                Kind::Neighbors,
                key,
                Some("SJC"),
            ),
            ("meshcore/SJC/{K}/decoded", Kind::Decoded, key, Some("SJC")),
            ("meshcore/SJC/{K}/debug", Kind::Debug, key, Some("SJC")),
            (
                "meshcore/SJC/{K}/serial/commands",
                Kind::Serial,
                key,
                Some("SJC"),
            ),
            ("meshcore/SJC/{K}/internal", Kind::Internal, None, None),
            (
                "meshcore/SJC/{K}/internal/packets",
                Kind::Internal,
                None,
                None,
            ),
            ("meshcore/SJC/packets", Kind::Packets, None, Some("SJC")),
            ("meshcore/{K}/packets", Kind::Packets, key, None),
            ("meshcore/packets", Kind::Packets, None, None),
            ("mynetwork/raw/{K}", Kind::Raw, key, None),
            ("mynetwork/SJC/status/{K}", Kind::Status, key, None),
            (
                "meshcore/SJC/raw/packets",
                Kind::Packets,
                Some("raw"),
                Some("SJC"),
            ),
            (
                "meshcore/SJC//packets",
                Kind::Packets,
                Some(""),
                Some("SJC"),
            ),
            (
                "meshcore/SJC/box/extra",
                Kind::Unknown,
                Some("box"),
                Some("SJC"),
            ),
            ("meshrank/uplink/tok/{K}/packets", Kind::Packets, key, None),
            (
                "meshrank/uplink/tok/{K}/neighbors",
                Kind::Neighbors,
                key,
                None,
            ),
            ("meshrank/uplink/tok/{K}", Kind::Unknown, key, None),
            (
                "meshcore/repeater/Hill/packet",
                Kind::Packets,
                Some("Hill"),
                None,
            ),
            (
                "meshcore/repeater/Hill/noise_floor",
                Kind::RepeaterReport,
                Some("Hill"),
                None,
            ),
            (
                "meshcore/client/{K}/packets",
                Kind::ClientPackets,
                key,
                None,
            ),
            ("meshcore/client/{K}/rf", Kind::ClientReport, key, None),
            ("meshcore/client/{K}/regions", Kind::ClientReport, key, None),
            ("meshcore/status", Kind::Events, None, None),
            ("meshcore/events/connection", Kind::Events, None, None),
            ("meshcore/battery", Kind::Unknown, None, None),
            ("meshcore", Kind::Unknown, None, None),
            ("", Kind::Unknown, None, None),
        ];
        for (template, kind, observer, iata) in cases {
            let text = template.replace("{K}", KEY);
            let topic = Topic::read(&text);
            assert_eq!(
                (topic.kind, topic.observer, topic.iata),
                (*kind, *observer, *iata),
                "{text}"
            );
        }
    }

    #[test]
    fn companion_topics_carry_their_tail() {
        let channel = Topic::read("meshcore/message/channel/3");
        assert_eq!((channel.kind, channel.tail), (Kind::Channel, Some("3")));
        let direct = Topic::read("meshcore/message/direct/a1b2c3");
        assert_eq!((direct.kind, direct.tail), (Kind::Direct, Some("a1b2c3")));
    }

    #[test]
    fn a_repeater_is_known_by_its_name_unless_the_level_is_a_key() {
        assert!(Topic::read("meshcore/repeater/Hill/packet").observer_is_name);
        assert!(!Topic::read(&format!("meshcore/repeater/{KEY}/packet")).observer_is_name);
    }
}
