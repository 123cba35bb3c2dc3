//! One reception: a frame, who heard it, when and how well.

use meshcore_packet::Frame;
use meshcore_store::{Observer, Reception, Record, TimeSource};
use serde_json::json;

use super::mix;

/// A frame and who heard it.
pub(super) struct Heard {
    pub(super) frame: Vec<u8>,
    pub(super) observer: usize,
    pub(super) at: i64,
    pub(super) random: u64,
}

impl Heard {
    pub(super) fn snr(&self) -> f64 {
        f64::from(self.random.to_le_bytes()[1] % 80) / 4.0 - 8.0
    }

    pub(super) fn rssi(&self) -> f64 {
        -f64::from(self.random.to_le_bytes()[2] % 80) - 40.0
    }

    pub(super) fn record(&self, frame: &Frame<'_>, hash: [u8; 8]) -> Record {
        let hops: Vec<String> = frame.path.entries().map(hex::encode_upper).collect();
        Record::Reception(Box::new(Reception {
            hash,
            raw: self.frame.clone(),
            route_type: frame.route.code(),
            payload_type: frame.payload_type.code(),
            path_json: json!(hops).to_string(),
            path_is_frame_path: true,
            observer: Observer {
                id: observer_id(self.observer),
                name: Some(observer_name(self.observer)),
                iata: Some("SJC".to_owned()),
                seen_at: Some(self.at),
                clock_skew_seconds: Some(0),
                naive_clock: false,
            },
            direction: Some("rx"),
            snr: Some(self.snr()),
            rssi: Some(self.rssi()),
            score: Some(47),
            duration_ms: Some(500),
            heard_at: self.at,
            time_source: TimeSource::Arrival,
            arrived_at_ms: self.at * 1000 + 250,
            feeder_time_ms: Some(self.at * 1000),
            description: None,
        }))
    }
}

pub(super) fn observer_id(n: usize) -> String {
    format!("{:016X}{:048X}", mix(n as u64), n)
}

pub(super) fn observer_name(n: usize) -> String {
    format!("Observer {n}")
}
