//! What the writer remembers of the file between batches, so that most repeats need no query.

use std::collections::HashMap;

use crate::rows::observer_key;

/// How many packets one generation remembers. Two generations take about 6 MiB.
const GENERATION: usize = 32 * 1024;

/// What is remembered of a packet in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownTransmission {
    pub(crate) id: i64,
    pub(crate) head: FrameHead,
    /// Unix seconds.
    pub(crate) first_seen: i64,
}

/// The bytes of a frame that its path and payload don't tell: header, transport codes, size of a path entry.
/// Two receptions of one packet with equal heads differ in their paths only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FrameHead([u8; 6]);

impl FrameHead {
    /// From the first bytes of a frame (protocol document, section 1). An empty frame has an empty head.
    pub(crate) fn of(frame: &[u8]) -> Self {
        let mut head = [0; 6];
        let Some((&header, rest)) = frame.split_first() else {
            return Self(head);
        };
        head[0] = header;
        let has_codes = matches!(header & 3, 0 | 3);
        let (codes, rest) = rest
            .split_at_checked(if has_codes { 4 } else { 0 })
            .unwrap_or_default();
        head[1..=codes.len()].copy_from_slice(codes);
        head[5] = rest.first().map_or(0, |path_len| path_len >> 6);
        Self(head)
    }
}

/// Packets seen lately, by hash: two generations, the older one dropped when the newer is full.
#[derive(Debug, Default)]
pub(crate) struct KnownTransmissions {
    newer: HashMap<[u8; 8], KnownTransmission>,
    older: HashMap<[u8; 8], KnownTransmission>,
}

impl KnownTransmissions {
    pub(crate) fn get(&self, hash: [u8; 8]) -> Option<KnownTransmission> {
        self.newer
            .get(&hash)
            .or_else(|| self.older.get(&hash))
            .copied()
    }

    pub(crate) fn insert(&mut self, hash: [u8; 8], known: KnownTransmission) {
        if self.newer.len() >= GENERATION {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(hash, known);
    }

    /// Forgets a packet whose row was deleted.
    pub(crate) fn forget(&mut self, hash: [u8; 8]) {
        self.newer.remove(&hash);
        self.older.remove(&hash);
    }
}

/// The observers of the file: id to `observer_idx` (their rowid).
#[derive(Debug, Default)]
pub(crate) struct KnownObservers {
    by_key: HashMap<String, i64>,
    highest: i64,
}

impl KnownObservers {
    pub(crate) fn insert(&mut self, id: &str, idx: i64) {
        self.by_key.insert(observer_key(id).into_owned(), idx);
        self.highest = self.highest.max(idx);
    }

    /// Never gives `idx` to somebody new.
    pub(crate) fn reserve(&mut self, idx: i64) {
        self.highest = self.highest.max(idx);
    }

    pub(crate) fn get(&self, id: &str) -> Option<i64> {
        self.by_key(observer_key(id).as_ref())
    }

    /// The observer whose [`observer_key`] this is.
    pub(crate) fn by_key(&self, key: &str) -> Option<i64> {
        self.by_key.get(key).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(crate) fn next_idx(&self) -> i64 {
        self.highest + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_what_path_and_payload_do_not_tell() {
        assert_eq!(
            FrameHead::of(&[0x11, 0x02, 0xAA, 0xBB, 1]),
            FrameHead::of(&[0x11, 0x01, 0xAA, 1])
        );
        assert_ne!(
            FrameHead::of(&[0x11, 0x40, 1]),
            FrameHead::of(&[0x11, 0x00, 1])
        );
        assert_ne!(
            FrameHead::of(&[0x10, 1, 2, 3, 4, 0]),
            FrameHead::of(&[0x10, 1, 2, 3, 5, 0])
        );
        assert_eq!(FrameHead::of(&[]), FrameHead::default());
        assert_eq!(
            FrameHead::of(&[0x10, 1, 2]),
            FrameHead([0x10, 0, 0, 0, 0, 0])
        );
    }

    #[test]
    fn two_generations_bound_the_memory_and_keep_the_newest() {
        let mut known = KnownTransmissions::default();
        let entry = KnownTransmission {
            id: 0,
            head: FrameHead::default(),
            first_seen: 0,
        };
        for n in 0..3 * GENERATION as u64 {
            known.insert(n.to_be_bytes(), entry);
        }
        assert!(known.newer.len() + known.older.len() <= 2 * GENERATION);
        assert!(
            known
                .get((3 * GENERATION as u64 - 1).to_be_bytes())
                .is_some()
        );
        assert!(known.get(0u64.to_be_bytes()).is_none());
    }
}
