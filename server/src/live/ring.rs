//! The newest packets in the order of their ids, shared by all clients: a client has a cursor here and no queue
//! of its own, so a slow one costs nobody anything.

use std::collections::VecDeque;
use std::sync::Arc;

use super::frames::{Gap, GapReason, Packet};
use super::token::Position;

/// How many bytes of packets are handed out at once, at least one packet. More would stay in the buffers of
/// every client.
const CHUNK_BYTES: usize = 16 << 10;

/// The newest packets, by bytes.
#[derive(Debug)]
pub(crate) struct Ring {
    max_bytes: usize,
    bytes: usize,
    packets: VecDeque<Packet>,
    /// The number of the first packet. Numbers count packets and are never given out twice.
    first: u64,
    /// Counts the databases that there were.
    generation: u64,
    db_uuid: Arc<str>,
    /// The id before that of the first packet: every observation after it is here.
    base: i64,
    /// The last id that is known of: that of the newest packet, or a later one whose observation is gone.
    last: i64,
}

/// Where a client is: the number of the packet that it gets next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) next: u64,
    generation: u64,
    pub(crate) position: Position,
}

/// What a client gets next.
#[derive(Debug)]
pub(crate) enum Chunk {
    /// There is nothing new.
    Nothing,
    /// So many packets from the cursor's on.
    Packets(Vec<Packet>),
    /// Some are not here any more.
    Gap(Gap),
}

impl Ring {
    /// An empty ring of the database `db_uuid` behind the observation `base`.
    pub(crate) fn new(max_bytes: usize, db_uuid: &str, base: i64) -> Self {
        Self {
            max_bytes,
            bytes: 0,
            packets: VecDeque::new(),
            first: 0,
            generation: 0,
            db_uuid: db_uuid.into(),
            base,
            last: base,
        }
    }

    /// Begins anew with the database `db_uuid` behind the observation `base`.
    pub(crate) fn begin(&mut self, db_uuid: &str, base: i64) {
        // One number is left out, so that cursors at the end are behind as well.
        self.first = self.next() + 1;
        self.generation += 1;
        self.packets.clear();
        self.bytes = 0;
        self.db_uuid = db_uuid.into();
        self.base = base;
        self.last = base;
    }

    /// Says that no observation up to `id` is still to come.
    pub(crate) fn reach(&mut self, id: i64) {
        self.last = self.last.max(id);
    }

    /// Adds the newest packet.
    pub(crate) fn push(&mut self, packet: Packet) {
        self.bytes += packet.frame.as_str().len();
        self.reach(packet.id);
        self.packets.push_back(packet);
        while self.bytes > self.max_bytes && self.packets.len() > 1 {
            if let Some(oldest) = self.packets.pop_front() {
                self.bytes -= oldest.frame.as_str().len();
                self.base = oldest.id;
                self.first += 1;
            }
        }
    }

    /// The number that the next packet gets.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.packets.len() as u64
    }

    /// The cursor behind the newest packet.
    pub(crate) fn end(&self) -> Cursor {
        self.cursor(self.next(), self.last)
    }

    /// The cursor behind the observation `id`, if all that came after it are here.
    pub(crate) fn behind(&self, id: i64) -> Option<Cursor> {
        if id < self.base {
            return None;
        }
        Some(self.cursor(self.number_behind(id), id))
    }

    /// The number of the first packet after the observation `id`.
    fn number_behind(&self, id: i64) -> u64 {
        self.first + self.packets.partition_point(|packet| packet.id <= id) as u64
    }

    /// What follows the cursor, up to the packet numbered `until`; moves the cursor behind it. A cursor may
    /// stand at a position that the tail has not come to yet, since pages of the database may reach further:
    /// what it has already is passed over.
    pub(crate) fn read(&self, cursor: &mut Cursor, until: u64) -> Chunk {
        if cursor.generation != self.generation {
            *cursor = self.end();
            return Chunk::Gap(Gap {
                reason: GapReason::OtherDatabase,
                ids: None,
                missed: None,
            });
        }
        if cursor.next < self.first {
            let end = self.end();
            let gap = Gap {
                reason: GapReason::Slow,
                ids: Some((cursor.position.id + 1, end.position.id)),
                missed: Some(end.next - cursor.next),
            };
            *cursor = end;
            return Chunk::Gap(gap);
        }
        cursor.next = cursor.next.max(self.number_behind(cursor.position.id));
        let packets = self.chunk(cursor.next, until.min(self.next()));
        match packets.last() {
            None => Chunk::Nothing,
            Some(last) => {
                cursor.next += packets.len() as u64;
                cursor.position.id = last.id;
                Chunk::Packets(packets)
            }
        }
    }

    fn chunk(&self, from: u64, until: u64) -> Vec<Packet> {
        let index = |number: u64| usize::try_from(number - self.first).unwrap_or(usize::MAX);
        let mut room = CHUNK_BYTES;
        let mut chunk = Vec::new();
        if from >= until {
            return chunk;
        }
        for packet in self.packets.range(index(from)..index(until)) {
            let length = packet.frame.as_str().len();
            if length > room && !chunk.is_empty() {
                break;
            }
            room = room.saturating_sub(length);
            chunk.push(packet.clone());
        }
        chunk
    }

    fn cursor(&self, next: u64, id: i64) -> Cursor {
        Cursor {
            next,
            generation: self.generation,
            position: Position {
                db_uuid: Arc::clone(&self.db_uuid),
                id,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use meshcore_store::ObservationRow;
    use proptest::prelude::*;

    use super::*;

    fn packet(id: i64) -> Packet {
        let row = ObservationRow {
            id,
            ..ObservationRow::default()
        };
        Packet::new("db", &row)
    }

    /// A ring that holds about `packets` packets.
    fn ring(packets: usize, base: i64) -> Ring {
        Ring::new(
            packets * (packet(1000).frame.as_str().len() + 1),
            "db",
            base,
        )
    }

    fn ids(chunk: Chunk) -> Vec<i64> {
        match chunk {
            Chunk::Nothing => Vec::new(),
            Chunk::Packets(packets) => packets.iter().map(|packet| packet.id).collect(),
            Chunk::Gap(gap) => panic!("{gap:?}"),
        }
    }

    #[test]
    fn a_client_that_keeps_up_gets_everything_once_and_in_order() {
        let mut ring = ring(10, 40);
        let mut cursor = ring.end();
        assert_eq!(cursor.position.id, 40);
        let mut got = Vec::new();
        for id in (41..100).step_by(2) {
            ring.push(packet(id));
            got.extend(ids(ring.read(&mut cursor, u64::MAX)));
        }
        assert_eq!(got, (41..100).step_by(2).collect::<Vec<_>>());
        assert!(matches!(ring.read(&mut cursor, u64::MAX), Chunk::Nothing));
    }

    #[test]
    fn a_client_that_falls_off_is_told_what_it_missed_and_goes_on_at_the_end() {
        let mut ring = ring(10, 0);
        let mut cursor = ring.end();
        for id in 1..=50 {
            ring.push(packet(id));
        }
        let Chunk::Gap(gap) = ring.read(&mut cursor, u64::MAX) else {
            panic!("a gap");
        };
        let expected = Gap {
            reason: GapReason::Slow,
            ids: Some((1, 50)),
            missed: Some(50),
        };
        assert_eq!(gap, expected);
        ring.push(packet(51));
        assert_eq!(ids(ring.read(&mut cursor, u64::MAX)), [51]);
    }

    #[test]
    fn another_database_is_a_gap_even_under_the_name_of_the_old_one() {
        let mut ring = ring(10, 7);
        for (db_uuid, base) in [("another", 3), ("another", 1)] {
            ring.push(packet(8));
            let mut cursor = ring.end();
            ring.begin(db_uuid, base);
            assert!(ring.next() > cursor.next, "whoever waits for more is woken");
            let Chunk::Gap(gap) = ring.read(&mut cursor, u64::MAX) else {
                panic!("a gap");
            };
            assert_eq!(gap.reason, GapReason::OtherDatabase);
            assert_eq!(cursor.position.to_string(), format!("{db_uuid}-{base}"));
            ring.push(packet(4));
            assert_eq!(ids(ring.read(&mut cursor, u64::MAX)), [4]);
        }
    }

    #[test]
    fn a_client_that_is_ahead_of_the_ring_gets_nothing_twice() {
        // Only every third id is given out.
        let mut ring = ring(100, 30);
        for id in [33, 36] {
            ring.push(packet(id));
        }
        // A page of the database had what the tail finds only now.
        let mut cursor = ring.behind(42).expect("all that follows will be here");
        for id in [39, 42] {
            ring.push(packet(id));
        }
        assert_eq!(ids(ring.read(&mut cursor, u64::MAX)), [0; 0]);
        assert_eq!(cursor.next, ring.next(), "it does not ask again");
        for id in [45, 48] {
            ring.push(packet(id));
        }
        assert_eq!(ids(ring.read(&mut cursor, u64::MAX)), [45, 48]);

        // The same in one go, and one packet at a time.
        let mut cursor = ring.behind(54).expect("all that follows will be here");
        for id in [51, 54, 57, 60] {
            ring.push(packet(id));
        }
        let until = ring.next() - 1;
        assert_eq!(ids(ring.read(&mut cursor, until)), [57]);
        assert_eq!(ids(ring.read(&mut cursor, until + 1)), [60]);
    }

    #[test]
    fn nothing_beyond_what_is_released_is_read() {
        let mut ring = ring(10, 0);
        let mut cursor = ring.end();
        for id in 1..=3 {
            ring.push(packet(id));
        }
        assert_eq!(ids(ring.read(&mut cursor, 2)), [1, 2]);
        assert_eq!(ids(ring.read(&mut cursor, 2)), [0; 0]);
        assert_eq!(ids(ring.read(&mut cursor, 3)), [3]);
    }

    #[test]
    fn chunks_are_bounded_and_a_packet_too_large_comes_alone() {
        let mut ring = Ring::new(1 << 20, "db", 0);
        let mut cursor = ring.end();
        let large = |id| {
            let row = ObservationRow {
                id,
                hash: "x".repeat(CHUNK_BYTES),
                ..ObservationRow::default()
            };
            Packet::new("db", &row)
        };
        for packet in [packet(1), large(2), large(3), packet(4), packet(5)] {
            ring.push(packet);
        }
        for expected in [vec![1], vec![2], vec![3], vec![4, 5]] {
            assert_eq!(ids(ring.read(&mut cursor, u64::MAX)), expected);
        }
    }

    #[test]
    fn a_packet_larger_than_the_ring_is_still_sent() {
        let mut ring = Ring::new(10, "db", 0);
        let mut cursor = ring.end();
        ring.push(packet(1));
        assert_eq!(ids(ring.read(&mut cursor, u64::MAX)), [1]);
    }

    proptest! {
        /// Whatever the ids, sizes and reads: from any position that the ring still has, exactly what came
        /// after it, and from any other nothing.
        #[test]
        fn a_position_is_found_if_and_only_if_nothing_behind_it_is_gone(
            base in 0_i64..20,
            steps in proptest::collection::vec(1_i64..4, 0..60),
            capacity in 1_usize..40,
            asked in 0_i64..200,
        ) {
            let mut ring = ring(capacity, base);
            let mut all = Vec::new();
            let mut id = base;
            for step in steps {
                id += step;
                ring.push(packet(id));
                all.push(id);
            }
            let kept = &all[all.len() - ring.packets.len()..];
            let gone = all.len() - kept.len();
            let oldest_known = if gone == 0 { base } else { all[gone - 1] };
            match ring.behind(asked) {
                None => prop_assert!(asked < oldest_known),
                Some(mut cursor) => {
                    prop_assert!(asked >= oldest_known);
                    let mut got = Vec::new();
                    loop {
                        let chunk = ids(ring.read(&mut cursor, u64::MAX));
                        if chunk.is_empty() {
                            break;
                        }
                        got.extend(chunk);
                    }
                    let expected: Vec<i64> = all.iter().copied().filter(|id| *id > asked).collect();
                    prop_assert_eq!(got, expected);
                }
            }
        }
    }
}
