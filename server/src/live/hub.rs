//! Where the tail puts packets and clients take them. Each packet and each batch is encoded once; clients share
//! the bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::watch;
use tokio::time::sleep;

use super::frames::{Gap, Packet, batch};
use super::ring::{Chunk, Cursor, Ring};
use super::window::Window;

/// What the ring may have in bytes: at 2 KB a packet and 100 packets a second it holds 80 s.
pub(crate) const RING_BYTES: usize = 16 << 20;
/// Batches that are kept for other clients: those of all windows, and of clients a few batches behind. Each has
/// some 16 KB.
const SHARED_BATCHES: usize = 32;

/// The hub; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    ring_bytes: usize,
    // Both are held for a moment only, never across an await. There is no ring before the first database.
    ring: Mutex<Option<Ring>>,
    batches: Mutex<VecDeque<Batch>>,
    /// The number that the next packet gets, as far as clients without batches may know; then as far as the
    /// clients of each window may.
    released: watch::Sender<u64>,
    released_by_window: [watch::Sender<u64>; Window::ALL.len()],
}

/// An encoded batch: the packets numbered `from..until`.
#[derive(Debug)]
struct Batch {
    from: u64,
    until: u64,
    frame: Utf8Bytes,
}

/// What a client is to send next.
#[derive(Debug)]
pub(crate) enum Next {
    /// There is nothing new.
    Nothing,
    /// Frames, and how many packets are in them.
    Frames(Vec<Utf8Bytes>, u64),
    /// Some packets are gone.
    Gap(Gap),
}

impl Hub {
    /// An empty hub whose ring has at most `ring_bytes`, and the tasks that release batches.
    pub(crate) fn start(ring_bytes: usize) -> Self {
        let hub = Self {
            shared: Arc::new(Shared {
                ring_bytes,
                ring: Mutex::default(),
                batches: Mutex::default(),
                released: watch::Sender::new(0),
                released_by_window: std::array::from_fn(|_| watch::Sender::new(0)),
            }),
        };
        for window in Window::ALL {
            tokio::spawn(release(hub.clone(), window));
        }
        hub
    }

    /// Begins with the database `db_uuid` behind the observation `base`, with the `packets` after it. `last` is
    /// the last id that it has given out.
    pub(crate) fn begin(&self, db_uuid: &str, base: i64, packets: Vec<Packet>, last: i64) {
        let mut ring = lock(&self.shared.ring);
        match ring.as_mut() {
            Some(ring) => ring.begin(db_uuid, base),
            None => *ring = Some(Ring::new(self.shared.ring_bytes, db_uuid, base)),
        }
        self.push(ring.as_mut(), packets);
        if let Some(ring) = ring.as_mut() {
            ring.reach(last);
        }
    }

    /// Adds the newest packets.
    pub(crate) fn publish(&self, packets: Vec<Packet>) {
        self.push(lock(&self.shared.ring).as_mut(), packets);
    }

    /// Called under the lock, so that the numbers that are told never go back.
    fn push(&self, ring: Option<&mut Ring>, packets: Vec<Packet>) {
        let Some(ring) = ring else { return };
        for packet in packets {
            ring.push(packet);
        }
        self.shared.released.send_replace(ring.next());
    }

    /// The cursor behind the newest packet; `None` before the first database.
    pub(crate) fn end(&self) -> Option<Cursor> {
        lock(&self.shared.ring).as_ref().map(Ring::end)
    }

    /// The cursor behind the observation `id`, if everything after it is here.
    pub(crate) fn behind(&self, id: i64) -> Option<Cursor> {
        lock(&self.shared.ring).as_ref()?.behind(id)
    }

    /// Tells up to which number clients may read: those with `window`, or those without one.
    pub(crate) fn released(&self, window: Option<Window>) -> watch::Receiver<u64> {
        match window {
            None => self.shared.released.subscribe(),
            Some(window) => self.shared.released_by_window[window.index()].subscribe(),
        }
    }

    /// What a client at `cursor` sends next, of what is released up to `until`; moves the cursor behind it.
    pub(crate) fn next(&self, cursor: &mut Cursor, until: u64, batched: bool) -> Next {
        let chunk = match lock(&self.shared.ring).as_ref() {
            Some(ring) => ring.read(cursor, until),
            None => Chunk::Nothing,
        };
        match chunk {
            Chunk::Nothing => Next::Nothing,
            Chunk::Gap(gap) => Next::Gap(gap),
            Chunk::Packets(packets) => {
                let count = packets.len() as u64;
                let frames = if batched {
                    let from = cursor.next - count;
                    vec![self.batch(from, cursor, &packets)]
                } else {
                    packets.into_iter().map(|packet| packet.frame).collect()
                };
                Next::Frames(frames, count)
            }
        }
    }

    /// The batch of `packets`, which begin with number `from` and end before `cursor`. Clients of a window are
    /// at the same place, so the first one encodes for all.
    fn batch(&self, from: u64, cursor: &Cursor, packets: &[Packet]) -> Utf8Bytes {
        let until = cursor.next;
        let mut batches = lock(&self.shared.batches);
        let mut known = batches.iter().rev();
        if let Some(known) = known.find(|b| b.from == from && b.until == until) {
            return known.frame.clone();
        }
        let frame = batch(&cursor.position, packets.iter());
        if batches.len() == SHARED_BATCHES {
            batches.pop_front();
        }
        batches.push_back(Batch {
            from,
            until,
            frame: frame.clone(),
        });
        frame
    }
}

/// Releases what has come: at once after a pause, and then not again for the length of the window.
async fn release(hub: Hub, window: Window) {
    let mut released = hub.released(None);
    while released.changed().await.is_ok() {
        let until = *released.borrow_and_update();
        hub.shared.released_by_window[window.index()].send_replace(until);
        sleep(window.length()).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use meshcore_store::ObservationRow;
    use tokio::time::Instant;

    use super::*;

    fn packet(id: i64) -> Packet {
        let row = ObservationRow {
            id,
            ..ObservationRow::default()
        };
        Packet::new("db", &row)
    }

    fn hub() -> Hub {
        let hub = Hub::start(1 << 20);
        hub.begin("db", 0, Vec::new(), 0);
        hub
    }

    #[track_caller]
    fn frames(next: Next) -> Vec<Utf8Bytes> {
        match next {
            Next::Frames(frames, _) => frames,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_packet_after_a_pause_is_released_at_once_and_the_next_ones_together() {
        let hub = hub();
        let window = Window::parse("100").unwrap();
        let mut released = hub.released(Some(window));
        tokio::time::sleep(Duration::from_secs(1)).await;
        released.mark_unchanged();
        let start = Instant::now();
        hub.publish(vec![packet(1)]);
        released.changed().await.unwrap();
        assert_eq!(
            (*released.borrow_and_update(), start.elapsed()),
            (1, Duration::ZERO)
        );
        for id in 2..=4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            hub.publish(vec![packet(id)]);
        }
        released.changed().await.unwrap();
        assert_eq!(*released.borrow_and_update(), 4);
        let waited = start.elapsed();
        assert!(
            waited >= Duration::from_millis(100) && waited < Duration::from_millis(105),
            "{waited:?}"
        );
    }

    #[tokio::test]
    async fn clients_at_the_same_place_share_the_bytes_of_a_batch() {
        let hub = hub();
        let (mut one, mut other) = (hub.end().unwrap(), hub.end().unwrap());
        hub.publish((1..=3).map(packet).collect());
        let first = frames(hub.next(&mut one, 3, true));
        let second = frames(hub.next(&mut other, 3, true));
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].as_str().as_ptr(), second[0].as_str().as_ptr());
        assert_eq!(one, other);
    }

    #[tokio::test]
    async fn a_batch_is_not_shared_with_whoever_has_a_part_of_it() {
        let hub = hub();
        let mut one = hub.end().unwrap();
        let mut ahead = hub.behind(2).unwrap();
        hub.publish((1..=3).map(packet).collect());
        let all = frames(hub.next(&mut one, 3, true));
        let rest = frames(hub.next(&mut ahead, 3, true));
        assert!(all[0].as_str().contains(r#""observation_id":2,"#));
        assert!(!rest[0].as_str().contains(r#""observation_id":2,"#));
        assert!(rest[0].as_str().contains(r#""observation_id":3,"#));
    }

    #[tokio::test]
    async fn a_client_without_batches_gets_a_frame_for_each_packet() {
        let hub = hub();
        let mut cursor = hub.end().unwrap();
        hub.publish((1..=3).map(packet).collect());
        assert_eq!(frames(hub.next(&mut cursor, 3, false)).len(), 3);
        assert!(matches!(hub.next(&mut cursor, 3, false), Next::Nothing));
    }

    #[tokio::test]
    async fn what_was_shared_is_bounded() {
        let hub = hub();
        for id in 1..=100 {
            let mut cursor = hub.end().unwrap();
            hub.publish(vec![packet(id)]);
            frames(hub.next(&mut cursor, u64::MAX, true));
        }
        assert_eq!(lock(&hub.shared.batches).len(), SHARED_BATCHES);
    }
}
