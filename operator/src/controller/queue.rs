//! What is to be reconciled, and when. No clock and no task: times are told.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use tokio::time::Instant;

/// Keys with the time at which each is due. A key is there once, and is never handed out while it is being worked on:
/// what comes meanwhile is kept for when the work is done.
///
/// It is as long as there are resources; nothing bounds it beside that.
#[derive(Debug)]
pub(super) struct Queue<K> {
    /// The order of what waits.
    order: BTreeSet<(Instant, K)>,
    /// When a waiting key is due.
    due: HashMap<K, Instant>,
    /// Keys that are being worked on, and when they are due again if something came meanwhile.
    running: HashMap<K, Option<Instant>>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self {
            order: BTreeSet::new(),
            due: HashMap::new(),
            running: HashMap::new(),
        }
    }
}

impl<K: Clone + Ord + Hash> Queue<K> {
    /// Has the key worked on at `at`, or earlier if it is due earlier already.
    pub(super) fn add(&mut self, key: K, at: Instant) {
        if let Some(again) = self.running.get_mut(&key) {
            *again = Some(again.map_or(at, |earlier| earlier.min(at)));
            return;
        }
        match self.due.get(&key) {
            Some(earlier) if *earlier <= at => return,
            Some(later) => drop(self.order.remove(&(*later, key.clone()))),
            None => {}
        }
        self.due.insert(key.clone(), at);
        self.order.insert((at, key));
    }

    /// The key that is due longest; it is being worked on until [`Self::finish`].
    pub(super) fn take(&mut self, now: Instant) -> Option<K> {
        if self.order.first()?.0 > now {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.due.remove(&key);
        self.running.insert(key.clone(), None);
        Some(key)
    }

    /// The work is done. The key is due again at `again`, or earlier if something came meanwhile.
    pub(super) fn finish(&mut self, key: &K, again: Option<Instant>) {
        let meanwhile = self.running.remove(key).flatten();
        for at in [meanwhile, again].into_iter().flatten() {
            self.add(key.clone(), at);
        }
    }

    /// When [`Self::take`] has something to give.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// How many keys are due and wait for somebody to work on them.
    pub(super) fn depth(&self, now: Instant) -> usize {
        self.order.iter().take_while(|(at, _)| *at <= now).count()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_key_is_due_at_the_earliest_of_its_times() {
        let start = Instant::now();
        let mut queue = Queue::default();
        queue.add("a", after(start, 5));
        queue.add("a", after(start, 2));
        queue.add("a", after(start, 9));
        assert_eq!(queue.next_due(), Some(after(start, 2)));
        assert_eq!(queue.take(after(start, 1)), None);
        assert_eq!(queue.take(after(start, 2)), Some("a"));
        assert_eq!(queue.take(after(start, 99)), None);
    }

    #[test]
    fn what_comes_during_work_waits_for_its_end() {
        let start = Instant::now();
        let mut queue = Queue::default();
        queue.add("a", start);
        queue.take(start);
        queue.add("a", start);
        assert_eq!(queue.take(start), None);
        queue.finish(&"a", Some(after(start, 600)));
        assert_eq!(queue.take(start), Some("a"));
        queue.finish(&"a", None);
        assert_eq!(queue.next_due(), None);
    }

    #[test]
    fn only_what_is_due_counts_as_depth() {
        let start = Instant::now();
        let mut queue = Queue::default();
        queue.add("a", start);
        queue.add("b", start);
        queue.add("later", after(start, 60));
        assert_eq!(queue.depth(start), 2);
        queue.take(start);
        assert_eq!(queue.depth(start), 1);
    }

    proptest! {
        #[test]
        fn no_key_is_lost_or_worked_on_twice_at_once(
            steps in proptest::collection::vec((0_u8..4, 0_u8..5, 0_u64..20), 1..200)
        ) {
            let start = Instant::now();
            let mut queue = Queue::default();
            let mut asked = std::collections::BTreeSet::new();
            let mut running = Vec::new();
            for (step, key, seconds) in steps {
                match step {
                    0 | 1 => {
                        queue.add(key, after(start, seconds));
                        asked.insert(key);
                    }
                    2 => {
                        if let Some(key) = queue.take(after(start, seconds)) {
                            prop_assert!(!running.contains(&key));
                            asked.remove(&key);
                            running.push(key);
                        }
                    }
                    _ => {
                        if let Some(key) = running.pop() {
                            queue.finish(&key, None);
                        }
                    }
                }
            }
            for key in running.drain(..) {
                queue.finish(&key, None);
            }
            let mut left = std::collections::BTreeSet::new();
            while let Some(key) = queue.take(after(start, 99)) {
                left.insert(key);
            }
            prop_assert_eq!(left, asked);
        }
    }
}
