//! A made-up mesh whose packets are real: signed adverts, sealed group texts, ciphertexts of the usual sizes.
//! Each packet is heard five times, over different paths, by five of a hundred observers; its later
//! receptions come mixed with those of other packets, as they do in a feed.

mod heard;

use std::collections::HashMap;

use anyhow::{Context, Result};
use jiff::Timestamp;
use meshcore_packet::plaintext::GroupMessage;
use meshcore_packet::{
    Advert, AppData, ChannelKey, ChannelKeys, Frame, GroupEncrypted, Identity, NodeType, Opened,
    Path, Payload, PayloadType, Route, corescope,
};
use meshcore_store::{Describe, Description, NodeAdvert, Reception, Record};
use serde_json::json;

use self::heard::{Heard, observer_id, observer_name};

/// How often each packet is heard, where nobody says otherwise.
pub(crate) const HEARD: usize = 5;
/// By how many packets each further reception of a packet is late.
const LATE: usize = 40;

/// How large the mesh is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// How often each packet is heard, by as many observers.
    pub(crate) heard: usize,
    /// How many observers there are.
    pub(crate) observers: usize,
    /// How many nodes send adverts.
    pub(crate) nodes: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            heard: HEARD,
            observers: 100,
            nodes: 500,
        }
    }
}

/// A stretch of the mesh's life.
pub(crate) struct Traffic {
    shape: Shape,
    nodes: Vec<Identity>,
    keys: ChannelKeys,
    public: ChannelKey,
    unknown: ChannelKey,
    /// The number of the first packet; packets with other numbers are other packets.
    first: usize,
    packets: usize,
    /// When the first packet was heard, unix seconds.
    start: i64,
    /// How many packets there are in a second.
    per_second: usize,
}

impl Traffic {
    /// `packets` packets from number `first` on.
    pub(crate) fn new(first: usize, packets: usize, start: i64, per_second: usize) -> Self {
        Self::shaped(Shape::default(), first, packets, start, per_second)
    }

    /// The same for a mesh of another size.
    pub(crate) fn shaped(
        shape: Shape,
        first: usize,
        packets: usize,
        start: i64,
        per_second: usize,
    ) -> Self {
        let public = ChannelKey::public();
        let nodes = (0..shape.nodes)
            .map(|n| {
                let mut seed = [0x5E; 32];
                seed[..8].copy_from_slice(&mix(n as u64).to_le_bytes());
                Identity::from_seed(seed)
            })
            .collect();
        Self {
            shape,
            nodes,
            keys: [public.clone()].into_iter().collect(),
            public,
            unknown: ChannelKey::hashtag("#nobody-here-knows-it"),
            first,
            packets,
            start,
            per_second,
        }
    }

    /// How many receptions there are.
    pub(crate) fn receptions(&self) -> usize {
        self.packets * self.shape.heard
    }

    /// Receptions `range` as the store takes them, with what is known of their packets.
    pub(crate) fn prepare(&self, range: std::ops::Range<usize>) -> Result<Prepared> {
        let mut prepared = Prepared::default();
        for n in range {
            let heard = self.heard(n)?;
            let frame = Frame::decode(&heard.frame)?;
            let hash = frame.packet_hash().0;
            if let std::collections::hash_map::Entry::Vacant(entry) =
                prepared.descriptions.entry(hash)
            {
                entry.insert(self.describe(&frame));
            }
            prepared.records.push(heard.record(&frame, hash));
        }
        Ok(prepared)
    }

    /// Reception `n` as a feeder publishes it: topic and JSON.
    pub(crate) fn message(&self, n: usize) -> Result<(String, Vec<u8>)> {
        let heard = self.heard(n)?;
        let frame = Frame::decode(&heard.frame)?;
        let id = observer_id(heard.observer);
        let time = Timestamp::from_second(heard.at)?;
        let payload = json!({
            "origin": observer_name(heard.observer),
            "origin_id": id,
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000000+00:00").to_string(),
            "type": "PACKET",
            "direction": "rx",
            "time": time.strftime("%H:%M:%S").to_string(),
            "date": time.strftime("%-d/%-m/%Y").to_string(),
            "len": heard.frame.len().to_string(),
            "packet_type": frame.payload_type.code().to_string(),
            "route": "F",
            "payload_len": frame.payload.len().to_string(),
            "raw": hex::encode_upper(&heard.frame),
            "SNR": format!("{:.2}", heard.snr()),
            "RSSI": format!("{:.0}", heard.rssi()),
            "score": "47",
            "duration": "500",
            "hash": hex::encode_upper(frame.packet_hash().0),
        });
        let topic = format!("meshcore/SJC/{id}/packets");
        Ok((topic, payload.to_string().into_bytes()))
    }

    /// Reception `n`: the k-th receptions of all packets follow each other, each k a bit later than the last.
    fn heard(&self, n: usize) -> Result<Heard> {
        let k = n % self.shape.heard;
        let place = n / self.shape.heard;
        let packet = (place + self.packets * self.shape.heard - LATE * k) % self.packets;
        let number = self.first + packet;
        let random = mix((number * self.shape.heard + k) as u64);
        let hops = usize::try_from(random % 7)?;
        let path: Vec<u8> = mix(random).to_le_bytes()[..hops].to_vec();
        let (payload_type, payload) = self.payload(number)?;
        let frame = Frame {
            route: Route::Flood,
            payload_type,
            transport_codes: None,
            path: Path::new(1, &path)?,
            payload: &payload,
        };
        Ok(Heard {
            frame: frame.encode()?,
            observer: (number * 7 + k * 13) % self.shape.observers,
            at: self.start + i64::try_from(place / self.per_second)?,
            random,
        })
    }

    /// The payload of packet `number`: kinds as often as feeds have them.
    fn payload(&self, number: usize) -> Result<(PayloadType, Vec<u8>)> {
        let random = mix(!(number as u64));
        let clock = u32::try_from(1_700_000_000 + number)?;
        let kind = random % 100;
        Ok(match kind {
            0..12 => (PayloadType::Advert, self.advert(number, clock)?),
            12..40 => {
                let channel = if kind < 26 {
                    &self.public
                } else {
                    &self.unknown
                };
                let text = format!(
                    "node {}: message number {number}, hello",
                    number % self.shape.nodes
                );
                let message = GroupMessage {
                    timestamp: clock,
                    flags: 0,
                    text: Some(text.as_bytes()),
                };
                let payload = GroupEncrypted::seal(channel, &message.encode()?)?;
                (PayloadType::GroupText, payload)
            }
            // Four bytes that no other packet has.
            40..50 => (PayloadType::Ack, clock.to_be_bytes().to_vec()),
            50..65 => (PayloadType::Text, bytes(random, 4 + 48)),
            65..78 => (PayloadType::Path, bytes(random, 4 + 16)),
            78..88 => (PayloadType::Request, bytes(random, 4 + 32)),
            _ => (PayloadType::Response, bytes(random, 4 + 64)),
        })
    }

    fn advert(&self, number: usize, clock: u32) -> Result<Vec<u8>> {
        let at = number % self.shape.nodes;
        let identity = self.nodes.get(at).context("a node")?;
        let name = format!("Node {at} Hill");
        let shift = i32::try_from(at)? * 1_000;
        let app_data = AppData::new(NodeType::from_bits(2))
            .with_location(37_300_000 + shift, -121_800_000 + shift)
            .with_name(&name)
            .encode()?;
        Ok(Advert::sign(identity, clock, &app_data).encode()?)
    }

    /// What the ingestor would store once for this packet.
    fn describe(&self, frame: &Frame<'_>) -> Description {
        let payload = frame.decode_payload();
        let mut description = Description {
            decoded_json: corescope::decoded_json(frame, &payload, &self.keys).to_string(),
            ..Description::default()
        };
        match &payload {
            Ok(Payload::Advert(advert)) => {
                let app_data = advert.app_data();
                let public_key = advert.public_key.to_string();
                description.node = Some(NodeAdvert {
                    public_key: public_key.clone(),
                    name: app_data.name.clone(),
                    role: "repeater".to_owned(),
                    position: app_data.location.map(|l| l.degrees()),
                    is_foreign: false,
                    timestamp: i64::from(advert.timestamp),
                });
                description.from_pubkey = Some(public_key);
            }
            Ok(Payload::GroupText(group)) => {
                description.channel_hash = Some(match group.open(&self.keys) {
                    Opened::Ok { channel, .. } => channel.name().to_owned(),
                    _ => format!("enc_{:02X}", group.channel_hash),
                });
            }
            _ => {}
        }
        description
    }
}

/// Records, and the descriptions of their packets.
#[derive(Default)]
pub(crate) struct Prepared {
    pub(crate) records: Vec<Record>,
    descriptions: HashMap<[u8; 8], Description>,
}

impl Describe for Prepared {
    fn describe(&self, reception: &Reception) -> Description {
        self.descriptions
            .get(&reception.hash)
            .cloned()
            .unwrap_or_default()
    }
}

/// `len` bytes that follow from `seed`.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len + 8);
    let mut state = seed;
    while out.len() < len {
        state = mix(state);
        out.extend(state.to_le_bytes());
    }
    out.truncate(len);
    out
}

/// The `SplitMix64` generator: a number that looks random and is the same every time.
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_packet_is_heard_five_times_by_different_observers() {
        let traffic = Traffic::new(7, 200, 1_700_000_000, 100);
        let prepared = traffic.prepare(0..traffic.receptions()).unwrap();
        let mut heard: HashMap<[u8; 8], HashSet<String>> = HashMap::new();
        for record in &prepared.records {
            let Record::Reception(reception) = record else {
                panic!("a reception");
            };
            let observers = heard.entry(reception.hash).or_default();
            assert!(observers.insert(reception.observer.id.clone()));
        }
        assert_eq!(heard.len(), 200);
        assert!(heard.values().all(|observers| observers.len() == HEARD));
        assert_eq!(prepared.descriptions.len(), 200);
    }

    #[test]
    fn a_message_holds_the_frame_it_tells_of() {
        let traffic = Traffic::new(0, 200, 1_700_000_000, 100);
        let (topic, payload) = traffic.message(3).unwrap();
        assert!(topic.starts_with("meshcore/SJC/") && topic.ends_with("/packets"));
        let json: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        let raw = hex::decode(json["raw"].as_str().unwrap()).unwrap();
        assert!(Frame::decode(&raw).unwrap().decode_payload().is_ok());
    }
}
