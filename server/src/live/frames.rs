//! The texts of WebSocket frames. `docs/websocket.md` describes them.

use std::ops::Range;

use axum::extract::ws::Utf8Bytes;
use meshcore_store::ObservationRow;
use serde::Serialize;

use super::token::Position;
use crate::api::packet_frame::packet_data;

/// One observation as it is sent: encoded once, whoever gets it.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    /// The observation's id.
    pub(crate) id: i64,
    /// When it arrived at the ingestor, unix milliseconds, where that is known.
    pub(crate) arrived_at_ms: Option<i64>,
    /// The whole `packet` frame.
    pub(crate) frame: Utf8Bytes,
    /// Where in it the object `data` is.
    data: Range<usize>,
}

impl Packet {
    /// The frame of `row` in the database `db_uuid`.
    pub(crate) fn new(db_uuid: &str, row: &ObservationRow) -> Self {
        let mut text = format!(
            r#"{{"type":"packet","resume":"{db_uuid}-{}","data":"#,
            row.id
        );
        let start = text.len();
        // Texts and numbers: there is nothing in a row that JSON could not say.
        text.push_str(
            &serde_json::to_string(&packet_data(row)).unwrap_or_else(|_| "null".to_owned()),
        );
        let data = start..text.len();
        text.push('}');
        Self {
            id: row.id,
            arrived_at_ms: row.arrived_at_ms,
            frame: text.into(),
            data,
        }
    }

    /// The object `data`.
    pub(crate) fn data(&self) -> &str {
        self.frame.as_str().get(self.data.clone()).unwrap_or("null")
    }
}

/// The `packets` frame for a client that asked for batches; `position` is that of the last packet.
pub(crate) fn batch<'a>(
    position: &Position,
    packets: impl Iterator<Item = &'a Packet> + Clone,
) -> Utf8Bytes {
    let length: usize = packets.clone().map(|packet| packet.data.len() + 1).sum();
    let mut text = String::with_capacity(length + 128);
    text.push_str(r#"{"type":"packets","resume":""#);
    text.push_str(&position.to_string());
    text.push_str(r#"","data":["#);
    for (n, packet) in packets.enumerate() {
        if n > 0 {
            text.push(',');
        }
        text.push_str(packet.data());
    }
    text.push_str("]}");
    text.into()
}

/// Why packets are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GapReason {
    /// The client took its packets more slowly than they came.
    Slow,
    /// The token is from too long ago.
    TooFar,
    /// The token is not one of this server's.
    Malformed,
    /// The token is from another database than the one that is there now, or another one took its place.
    OtherDatabase,
    /// The token is from beyond the end of the database: a copy made earlier was put in its place.
    Future,
    /// The packets could not be read.
    Unavailable,
}

impl GapReason {
    /// The label in metrics, and the word in the notice.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::TooFar => "too_far",
            Self::Malformed => "malformed",
            Self::OtherDatabase => "other_database",
            Self::Future => "future",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A hole in what a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) reason: GapReason,
    /// The ids of the first and the last observation that may be missing, where they are known.
    pub(crate) ids: Option<(i64, i64)>,
    /// How many are missing, where that is known.
    pub(crate) missed: Option<u64>,
}

/// The first frame: from where on there are packets.
pub(crate) fn hello(position: &Position) -> Utf8Bytes {
    #[derive(Serialize)]
    struct Hello {
        r#type: &'static str,
        resume: String,
    }
    json(&Hello {
        r#type: "hello",
        resume: position.to_string(),
    })
}

/// The notice of a gap; `position` is where it goes on.
pub(crate) fn gap(gap: &Gap, position: &Position) -> Utf8Bytes {
    #[derive(Serialize)]
    struct Notice {
        r#type: &'static str,
        reason: GapReason,
        from: Option<i64>,
        to: Option<i64>,
        missed: Option<u64>,
        resume: String,
    }
    json(&Notice {
        r#type: "gap",
        reason: gap.reason,
        from: gap.ids.map(|(from, _)| from),
        to: gap.ids.map(|(_, to)| to),
        missed: gap.missed,
        resume: position.to_string(),
    })
}

/// The last frame before the server stops; `total` packets were sent on this connection.
pub(crate) fn bye(total: u64, position: &Position) -> Utf8Bytes {
    #[derive(Serialize)]
    struct Goodbye {
        bye: bool,
        r#type: &'static str,
        total: u64,
        message: &'static str,
        resume: String,
    }
    json(&Goodbye {
        bye: true,
        r#type: "bye",
        total,
        message: "the server is restarting; connect again with the resume token to miss nothing",
        resume: position.to_string(),
    })
}

fn json(frame: &impl Serialize) -> Utf8Bytes {
    // Texts and numbers, as above.
    serde_json::to_string(frame).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn position(id: i64) -> Position {
        Position {
            db_uuid: "ab12".into(),
            id,
        }
    }

    fn packet(id: i64) -> Packet {
        let row = ObservationRow {
            id,
            observer_name: Some("\"quoted\" Öl \u{1F4E1}".to_owned()),
            ..ObservationRow::default()
        };
        Packet::new("ab12", &row)
    }

    fn value(text: &Utf8Bytes) -> Value {
        serde_json::from_str(text.as_str()).unwrap()
    }

    #[test]
    fn a_batch_has_the_same_data_as_its_packets_and_the_token_of_the_last() {
        let packets = [packet(7), packet(9)];
        let single: Vec<Value> = packets.iter().map(|p| value(&p.frame)).collect();
        assert_eq!(single[0]["type"], "packet");
        assert_eq!(single[0]["resume"], "ab12-7");
        assert_eq!(single[0]["data"]["observation_id"], 7);
        assert_eq!(
            value(&batch(&position(9), packets.iter())),
            json!({
                "type": "packets",
                "resume": "ab12-9",
                "data": [single[0]["data"], single[1]["data"]],
            })
        );
    }

    #[test]
    fn hello_gap_and_bye_tell_where_it_goes_on() {
        assert_eq!(
            value(&hello(&position(5))),
            json!({"type": "hello", "resume": "ab12-5"})
        );
        let slow = Gap {
            reason: GapReason::Slow,
            ids: Some((6, 20)),
            missed: Some(14),
        };
        assert_eq!(
            value(&gap(&slow, &position(20))),
            json!({
                "type": "gap", "reason": "slow", "from": 6, "to": 20, "missed": 14, "resume": "ab12-20",
            })
        );
        let bye = value(&bye(3, &position(8)));
        assert_eq!((&bye["bye"], &bye["total"]), (&json!(true), &json!(3)));
        assert_eq!(
            (&bye["type"], &bye["resume"]),
            (&json!("bye"), &json!("ab12-8"))
        );
    }

    #[test]
    fn the_word_in_a_notice_is_the_label_in_the_metrics() {
        for reason in [
            GapReason::Slow,
            GapReason::TooFar,
            GapReason::Malformed,
            GapReason::OtherDatabase,
            GapReason::Future,
            GapReason::Unavailable,
        ] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.label());
        }
    }
}
