//! What time a packet was heard: arrival in live operation; for what the broker held back for us during an
//! outage, the feeder's zoned time stamp if its clock is known to be right.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use meshcore_feed::FeederTime;
use meshcore_store::TimeSource;

/// A clock that is off by more than this isn't believed.
const SMALL_SKEW_SECONDS: i64 = 60;
/// A message is taken as held back only if it is at least this old.
const HELD_BACK_MS: i64 = 5_000;
/// After this pause between messages the broker has no backlog for us any more.
const BACKLOG_PAUSE_MS: i64 = 2_000;
/// However busy the feed is: a backlog doesn't take longer than this.
const BACKLOG_LIMIT_MS: i64 = 600_000;
/// A zone-less time stamp further off than this comes from a clock in local time.
const NAIVE_SKEW_SECONDS: i64 = 900;

/// Each observer's clock against ours in seconds, as last seen in live operation.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    skews: Mutex<HashMap<String, i64>>,
}

/// What is known of the time of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Unix seconds.
    pub(crate) at: i64,
    pub(crate) source: TimeSource,
    /// The observer's skew, if this message told it.
    pub(crate) skew_seconds: Option<i64>,
    /// The observer's clock has no zone and is off.
    pub(crate) naive_clock: bool,
}

impl Clocks {
    /// Begins with what the database remembers.
    pub(crate) fn new(known: Vec<(String, i64)>) -> Self {
        Self {
            skews: Mutex::new(known.into_iter().collect()),
        }
    }

    fn skew_of(&self, observer: &str) -> Option<i64> {
        self.skews
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(observer)
            .copied()
    }

    fn learn(&self, observer: &str, skew: i64) {
        self.skews
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(observer.to_owned(), skew);
    }

    /// Decides when the message of `observer` that arrived at `now_ms` was heard.
    pub(crate) fn heard(
        &self,
        observer: &str,
        feeder: Option<FeederTime>,
        now_ms: i64,
        backlog: &mut Backlog,
    ) -> Heard {
        let arrival = now_ms.div_euclid(1000);
        let mut heard = Heard {
            at: arrival,
            source: TimeSource::Arrival,
            skew_seconds: None,
            naive_clock: false,
        };
        let Some(feeder) = feeder else {
            if backlog.is_going_on(now_ms) {
                heard.source = TimeSource::BacklogArrival;
            }
            return heard;
        };
        let feeder_ms = feeder.time.as_millisecond();
        let off = (feeder_ms - now_ms).div_euclid(1000);
        if !feeder.zoned {
            heard.naive_clock = off.abs() > NAIVE_SKEW_SECONDS;
            if backlog.is_going_on(now_ms) {
                heard.source = TimeSource::BacklogArrival;
            }
            return heard;
        }
        let clock_is_right = self
            .skew_of(observer)
            .is_some_and(|skew| skew.abs() <= SMALL_SKEW_SECONDS);
        if backlog.is_going_on(now_ms) {
            if clock_is_right && feeder_ms < now_ms - HELD_BACK_MS {
                heard.at = feeder_ms.div_euclid(1000);
                heard.source = TimeSource::Feeder;
            } else if clock_is_right {
                // Heard just now by a clock that is right: the broker has caught up.
                backlog.end();
            } else {
                heard.source = TimeSource::BacklogArrival;
            }
        } else {
            self.learn(observer, off);
            heard.skew_seconds = Some(off);
        }
        heard
    }
}

/// Whether a source is still receiving what its broker held back.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Backlog {
    connected_ms: i64,
    last_message_ms: i64,
    going_on: bool,
}

impl Backlog {
    /// A new connection; `resumed` if the broker kept our session.
    pub(crate) fn connected(resumed: bool, now_ms: i64) -> Self {
        Self {
            connected_ms: now_ms,
            last_message_ms: now_ms,
            going_on: resumed,
        }
    }

    fn end(&mut self) {
        self.going_on = false;
    }

    fn is_going_on(&mut self, now_ms: i64) -> bool {
        if now_ms - self.last_message_ms > BACKLOG_PAUSE_MS
            || now_ms - self.connected_ms > BACKLOG_LIMIT_MS
        {
            self.going_on = false;
        }
        self.last_message_ms = now_ms;
        self.going_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    const NOW: i64 = 1_790_000_000_000;

    #[expect(clippy::unnecessary_wraps, reason = "as the argument takes it")]
    fn stamp(offset_ms: i64, zoned: bool) -> Option<FeederTime> {
        Some(FeederTime {
            time: Timestamp::from_millisecond(NOW + offset_ms).unwrap(),
            zoned,
        })
    }

    #[test]
    fn live_messages_count_from_their_arrival_and_teach_the_skew() {
        let clocks = Clocks::default();
        let heard = clocks.heard("a", stamp(-7_000_000, true), NOW, &mut Backlog::default());
        assert_eq!((heard.at, heard.source), (NOW / 1000, TimeSource::Arrival));
        assert_eq!(heard.skew_seconds, Some(-7_000));
    }

    #[test]
    fn a_backlog_takes_the_time_of_a_clock_that_is_known_to_be_right() {
        let clocks = Clocks::new(vec![("right".into(), 2), ("wrong".into(), 4_000)]);
        let mut backlog = Backlog::connected(true, NOW);
        let heard = clocks.heard("right", stamp(-600_000, true), NOW, &mut backlog);
        assert_eq!(
            (heard.at, heard.source),
            (NOW / 1000 - 600, TimeSource::Feeder)
        );
        for observer in ["wrong", "unknown"] {
            let heard = clocks.heard(observer, stamp(-600_000, true), NOW, &mut backlog);
            assert_eq!(
                (heard.at, heard.source),
                (NOW / 1000, TimeSource::BacklogArrival),
                "{observer}"
            );
        }
        let heard = clocks.heard("right", stamp(-600_000, false), NOW, &mut backlog);
        assert_eq!(heard.source, TimeSource::BacklogArrival);
    }

    #[test]
    fn a_backlog_ends_with_the_first_live_message_or_a_pause() {
        let clocks = Clocks::new(vec![("right".into(), 0)]);
        let mut backlog = Backlog::connected(true, NOW);
        clocks.heard("right", stamp(-100, true), NOW, &mut backlog);
        assert_eq!(
            clocks.heard("x", None, NOW, &mut backlog).source,
            TimeSource::Arrival
        );

        let mut backlog = Backlog::connected(true, NOW);
        assert_eq!(
            clocks.heard("x", None, NOW + 1, &mut backlog).source,
            TimeSource::BacklogArrival
        );
        assert_eq!(
            clocks.heard("x", None, NOW + 2_100, &mut backlog).source,
            TimeSource::Arrival
        );
    }

    #[test]
    fn a_clock_without_a_zone_is_noticed_when_it_is_off() {
        let clocks = Clocks::default();
        assert!(
            clocks
                .heard("a", stamp(-3_600_000, false), NOW, &mut Backlog::default())
                .naive_clock
        );
        assert!(
            !clocks
                .heard("a", stamp(-1_000, false), NOW, &mut Backlog::default())
                .naive_clock
        );
    }
}
