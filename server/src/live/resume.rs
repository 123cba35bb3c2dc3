//! Going on where a client stopped: what it missed comes from the ring, or from the database in pages.

use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use meshcore_store::ObservationRow;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::frames::{Gap, GapReason, Packet, batch};
use super::hub::Hub;
use super::ring::Cursor;
use super::token::Position;
use crate::database::Database;

/// The most observations (by their ids) that a client may be behind.
const MOST_MISSED: i64 = 10_000;
/// Rows of one query, and what its packets may have in bytes, at least one packet. A page stays in memory until
/// its client has taken it, and there may be thousands who take nothing.
const PAGE: u32 = 32;
const PAGE_BYTES: usize = 48 << 10;
/// What a frame may have in bytes, as in the ring.
const FRAME_BYTES: usize = 16 << 10;
/// How often a page is asked for, and the pause in between.
const ATTEMPTS: u32 = 8;
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// Where the packets that clients missed are found.
#[derive(Debug)]
pub(crate) struct Archive {
    hub: Hub,
    database: Database,
    /// After a restart thousands may come back at once; they must leave readers for others.
    queries: Semaphore,
}

/// Where a client that asked to go on begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Everything it missed is in the ring.
    Ring(Cursor),
    /// What it missed is read from the database, from here on.
    Database(Position),
    /// Something can't be had; it goes on at the end.
    Gap(Gap, Cursor),
}

/// A page of what was missed.
#[derive(Debug)]
pub(crate) struct Page {
    /// The frames, each with the number of packets in it and where the client is after it.
    pub(crate) frames: Vec<(Utf8Bytes, u64, Position)>,
}

impl Archive {
    pub(crate) fn new(hub: Hub, database: Database) -> Self {
        Self {
            hub,
            database,
            queries: Semaphore::new(2),
        }
    }

    /// Where a client with this token begins; `end` is the end of what there is.
    pub(crate) fn start(&self, token: &str, end: &Cursor) -> Start {
        let gap = |reason, ids| {
            let gap = Gap {
                reason,
                ids,
                missed: None,
            };
            Start::Gap(gap, end.clone())
        };
        let Ok(position) = token.parse::<Position>() else {
            return gap(GapReason::Malformed, None);
        };
        if position.db_uuid != end.position.db_uuid {
            return gap(GapReason::OtherDatabase, None);
        }
        let missed = end.position.id.checked_sub(position.id);
        match missed {
            None | Some(..0) => gap(GapReason::Future, None),
            Some(missed) => match self.hub.behind(position.id) {
                Some(cursor) => Start::Ring(cursor),
                None if missed > MOST_MISSED => {
                    let ids = (position.id + 1, end.position.id);
                    gap(GapReason::TooFar, Some(ids))
                }
                None => Start::Database(position),
            },
        }
    }

    /// The observations that follow `position`; `None` when the rest is in the ring, and when they can't be
    /// read.
    pub(crate) async fn page(&self, position: &Position, batched: bool) -> Option<Page> {
        if self.hub.behind(position.id).is_some() {
            return None;
        }
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                sleep(ASK_AGAIN).await;
            }
            if let Some(packets) = self.read(position).await {
                let frames = frames(position, &packets, batched);
                return (!frames.is_empty()).then_some(Page { frames });
            }
        }
        None
    }

    /// One query; `None` when it can't be asked.
    async fn read(&self, position: &Position) -> Option<Vec<Packet>> {
        // Never closed.
        let _permit = self.queries.acquire().await.ok()?;
        let mut reader = self.database.reader().await.ok()?;
        if *reader.db_uuid() != *position.db_uuid {
            return None;
        }
        let rows = reader.observations_after(position.id, PAGE).await;
        drop(reader);
        match rows {
            Ok(rows) => Some(packets(&position.db_uuid, &rows)),
            Err(error) => {
                tracing::debug!(%error, "A page for a resumed session can't be read");
                None
            }
        }
    }
}

/// The packets of `rows`, as many as a page may have. The next page begins behind them.
fn packets(db_uuid: &str, rows: &[ObservationRow]) -> Vec<Packet> {
    let mut packets: Vec<Packet> = Vec::new();
    let mut room = PAGE_BYTES;
    for row in rows {
        let packet = Packet::new(db_uuid, row);
        let length = packet.frame.as_str().len();
        if length > room && !packets.is_empty() {
            break;
        }
        room = room.saturating_sub(length);
        packets.push(packet);
    }
    packets
}

fn frames(
    position: &Position,
    packets: &[Packet],
    batched: bool,
) -> Vec<(Utf8Bytes, u64, Position)> {
    let behind = |packet: &Packet| Position {
        db_uuid: position.db_uuid.clone(),
        id: packet.id,
    };
    if !batched {
        let single = |packet: &Packet| (packet.frame.clone(), 1, behind(packet));
        return packets.iter().map(single).collect();
    }
    let mut frames = Vec::new();
    let mut rest = packets;
    while let Some(first) = rest.first() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|packet| {
            bytes += packet.data().len();
            bytes <= FRAME_BYTES
        });
        let (now, later) = rest.split_at(fits.count().max(1));
        let position = behind(now.last().unwrap_or(first));
        frames.push((batch(&position, now.iter()), now.len() as u64, position));
        rest = later;
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(id: i64, size: usize) -> Packet {
        let row = ObservationRow {
            id,
            hash: "x".repeat(size),
            ..ObservationRow::default()
        };
        Packet::new("db", &row)
    }

    /// A ring that holds the observations 91 to 100 of the database `db`.
    fn archive() -> (Archive, Cursor) {
        let hub = Hub::start(1 << 20);
        hub.begin("db", 90, (91..=100).map(|id| packet(id, 0)).collect(), 100);
        let end = hub.end().unwrap();
        (Archive::new(hub, Database::default()), end)
    }

    fn reason(start: &Start) -> Option<GapReason> {
        match start {
            Start::Gap(gap, _) => Some(gap.reason),
            Start::Ring(_) | Start::Database(_) => None,
        }
    }

    #[tokio::test]
    async fn what_was_missed_is_in_the_ring_or_else_in_the_database() {
        let (archive, end) = archive();
        for (token, next) in [("db-90", 0), ("db-95", 5), ("db-100", 10)] {
            let Start::Ring(cursor) = archive.start(token, &end) else {
                panic!("{token}");
            };
            assert_eq!(
                (cursor.next, cursor.position.to_string()),
                (next, token.to_owned())
            );
        }
        let position = "db-89".parse().unwrap();
        assert_eq!(archive.start("db-89", &end), Start::Database(position));
    }

    #[tokio::test]
    async fn a_token_that_leads_nowhere_is_a_gap_with_its_reason() {
        let (archive, end) = archive();
        for (token, expected) in [
            ("", GapReason::Malformed),
            ("rubbish", GapReason::Malformed),
            ("other-95", GapReason::OtherDatabase),
            ("db-101", GapReason::Future),
            ("db-9223372036854775807", GapReason::Future),
        ] {
            let start = archive.start(token, &end);
            assert_eq!(reason(&start), Some(expected), "{token}");
        }
    }

    #[tokio::test]
    async fn a_token_of_an_observation_that_was_deleted_since_is_good() {
        let hub = Hub::start(1 << 20);
        hub.begin("db", 90, vec![packet(91, 0)], 100);
        let end = hub.end().unwrap();
        assert_eq!(end.position.to_string(), "db-100");
        let archive = Archive::new(hub, Database::default());
        for token in ["db-95", "db-100"] {
            let start = archive.start(token, &end);
            assert!(matches!(start, Start::Ring(_)), "{token}: {start:?}");
        }
        assert_eq!(
            reason(&archive.start("db-101", &end)),
            Some(GapReason::Future)
        );
    }

    #[tokio::test]
    async fn whoever_is_too_far_behind_is_told_from_where_to_where() {
        let hub = Hub::start(1 << 20);
        hub.begin("db", 50_000, Vec::new(), 50_000);
        let end = hub.end().unwrap();
        let archive = Archive::new(hub, Database::default());
        let near = archive.start("db-40000", &end);
        assert!(matches!(near, Start::Database(_)), "{near:?}");
        let Start::Gap(gap, cursor) = archive.start("db-39999", &end) else {
            panic!("a gap");
        };
        assert_eq!(
            (gap.reason, gap.ids),
            (GapReason::TooFar, Some((40_000, 50_000)))
        );
        assert_eq!(cursor, end);
    }

    #[test]
    fn a_page_has_few_bytes_however_large_its_packets_are() {
        let row = |id, size| ObservationRow {
            id,
            hash: "x".repeat(size),
            ..ObservationRow::default()
        };
        let small: Vec<_> = (1..=32).map(|id| row(id, 0)).collect();
        assert_eq!(packets("db", &small).len(), 32);
        let large: Vec<_> = (1..=32).map(|id| row(id, 5000)).collect();
        let bytes = |packets: &[Packet]| -> usize {
            packets
                .iter()
                .map(|packet| packet.frame.as_str().len())
                .sum()
        };
        let page = packets("db", &large);
        assert!(
            !page.is_empty() && bytes(&page) <= PAGE_BYTES,
            "{}",
            bytes(&page)
        );
        let ids: Vec<i64> = page.iter().map(|packet| packet.id).collect();
        assert_eq!(
            ids,
            (1..).take(page.len()).collect::<Vec<_>>(),
            "the first ones"
        );
        let huge: Vec<_> = (1..=2).map(|id| row(id, PAGE_BYTES)).collect();
        assert_eq!(
            packets("db", &huge).len(),
            1,
            "it comes alone, and it comes"
        );
    }

    #[test]
    fn a_page_is_cut_into_frames_of_bounded_size_that_leave_nothing_out() {
        let start: Position = "db-0".parse().unwrap();
        let sizes = [10, 6000, 6000, 40_000, 10, 10];
        let packets: Vec<Packet> = (1..)
            .zip(sizes)
            .map(|(id, size)| packet(id, size))
            .collect();
        let batched = frames(&start, &packets, true);
        let counts: Vec<u64> = batched.iter().map(|(_, count, _)| *count).collect();
        assert_eq!(counts.iter().sum::<u64>(), 6);
        assert!(counts.len() > 2, "{counts:?}");
        let single = frames(&start, &packets, false);
        assert_eq!(single.len(), 6);
        for frames in [batched, single] {
            assert_eq!(frames.last().unwrap().2.to_string(), "db-6");
        }
    }
}
