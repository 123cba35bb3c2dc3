//! What a source learns from how its connections end: which version to speak, when to give a session up, and
//! whether somebody else uses its client id. Nothing here does I/O.

use std::time::Duration;

use super::link::{LinkError, Version};
use crate::config::Protocol;

/// A connection that lived longer than this was a good one.
pub(super) const GOOD_CONNECTION: Duration = Duration::from_secs(30);
/// How many closes before any CONNACK it takes to try the other version.
const CLOSES_TO_CHANGE: u32 = 2;
/// How many equal failures to read what the broker sends it takes to give the session up.
const FAILURES_TO_CLEAR: u32 = 3;
/// How many connections in a row that others end soon look like two clients with one client id.
const SHORT_CONNECTIONS: u32 = 3;

/// What a source knows from its connections so far.
#[derive(Debug)]
pub(super) struct Lessons {
    protocol: Protocol,
    version: Version,
    /// A CONNACK has come in this version.
    version_works: bool,
    /// Closes before any CONNACK, in a row.
    closes: u32,
    /// The last failure to read what came, and how often in a row.
    unreadable: Option<(String, u32)>,
    short_connections: u32,
}

/// What is new after a connection has ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    pub(super) version_changed: bool,
    /// It looks as if another client had our client id.
    pub(super) client_id_shared: bool,
}

impl Lessons {
    pub(super) fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            version: match protocol {
                Protocol::V311 => Version::V4,
                Protocol::V5 | Protocol::Auto => Version::V5,
            },
            version_works: false,
            closes: 0,
            unreadable: None,
            short_connections: 0,
        }
    }

    /// The version to speak next.
    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Whether the next connection must begin a new session, since what is in ours can't be read.
    pub(super) fn must_clear_session(&self) -> bool {
        self.unreadable
            .as_ref()
            .is_some_and(|(_, times)| *times >= FAILURES_TO_CLEAR)
    }

    /// The broker has forgotten our session, as it was asked to.
    pub(super) fn session_cleared(&mut self) {
        self.unreadable = None;
    }

    /// A CONNACK has come.
    pub(super) fn connected(&mut self) {
        self.version_works = true;
        self.closes = 0;
    }

    /// A connection, or an attempt at one, has ended after it `lasted`.
    pub(super) fn ended(
        &mut self,
        error: &LinkError,
        was_connected: bool,
        lasted: Duration,
    ) -> News {
        if was_connected {
            self.count_unreadable(error, lasted);
            News {
                client_id_shared: self.is_client_id_shared(error, lasted),
                ..News::default()
            }
        } else {
            News {
                version_changed: self.change_version(error),
                ..News::default()
            }
        }
    }

    /// With `auto`: 5, and 3.1.1 where 5 is refused in so many words, gets an answer that isn't MQTT 5, or
    /// makes the broker close twice without an answer. As long as neither has worked, each has its turn: such
    /// closes may also come from a proxy whose broker is down.
    fn change_version(&mut self, error: &LinkError) -> bool {
        let is_refused = *error == LinkError::VersionRefused;
        match error {
            LinkError::VersionRefused | LinkError::Unreadable(_) => self.closes = CLOSES_TO_CHANGE,
            LinkError::Closed(_) => self.closes += 1,
            _ => self.closes = 0,
        }
        let may_change = self.protocol == Protocol::Auto && (is_refused || !self.version_works);
        if !may_change || self.closes < CLOSES_TO_CHANGE {
            return false;
        }
        self.closes = 0;
        self.version_works = false;
        self.version = match self.version {
            Version::V5 => Version::V4,
            Version::V4 => Version::V5,
        };
        true
    }

    /// Equal failures count only in a row, and not with a good connection between them: then it is not the
    /// same message that comes again and again.
    fn count_unreadable(&mut self, error: &LinkError, lasted: Duration) {
        let before = self.unreadable.take().filter(|_| lasted <= GOOD_CONNECTION);
        self.unreadable = match error {
            LinkError::Unreadable(why) => {
                let times = before.filter(|(last, _)| last == why).map_or(0, |b| b.1);
                Some((why.clone(), times + 1))
            }
            _ => before,
        };
    }

    /// A 5 broker says so; a 3.1.1 broker just closes, each time soon.
    fn is_client_id_shared(&mut self, error: &LinkError, lasted: Duration) -> bool {
        let is_thrown_out = matches!(error, LinkError::TakenOver | LinkError::Closed(_));
        if is_thrown_out && lasted <= GOOD_CONNECTION {
            self.short_connections += 1;
        } else {
            self.short_connections = 0;
        }
        *error == LinkError::TakenOver || self.short_connections >= SHORT_CONNECTIONS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(1);
    const LATE: Duration = Duration::from_mins(1);

    fn closed() -> LinkError {
        LinkError::Closed("gone".into())
    }

    fn unreadable(why: &str) -> LinkError {
        LinkError::Unreadable(why.into())
    }

    #[test]
    fn auto_changes_the_version_when_told_to_or_after_two_closes() {
        let mut lessons = Lessons::new(Protocol::Auto);
        assert!(
            lessons
                .ended(&LinkError::VersionRefused, false, SOON)
                .version_changed
        );
        assert_eq!(lessons.version(), Version::V4);

        let mut lessons = Lessons::new(Protocol::Auto);
        assert!(
            lessons
                .ended(&unreadable("noise"), false, SOON)
                .version_changed
        );

        let mut lessons = Lessons::new(Protocol::Auto);
        assert!(!lessons.ended(&closed(), false, SOON).version_changed);
        assert!(lessons.ended(&closed(), false, SOON).version_changed);
        // As long as 3.1.1 fails too, 5 gets another chance.
        assert!(!lessons.ended(&closed(), false, SOON).version_changed);
        assert!(lessons.ended(&closed(), false, SOON).version_changed);
        assert_eq!(lessons.version(), Version::V5);
    }

    #[test]
    fn a_version_that_works_or_was_asked_for_stays() {
        for protocol in [Protocol::V5, Protocol::V311] {
            let mut lessons = Lessons::new(protocol);
            assert!(
                !lessons
                    .ended(&LinkError::VersionRefused, false, SOON)
                    .version_changed
            );
        }
        let mut lessons = Lessons::new(Protocol::Auto);
        lessons.connected();
        for _ in 0..5 {
            assert!(!lessons.ended(&closed(), false, SOON).version_changed);
        }
    }

    #[test]
    fn a_broker_that_is_down_says_nothing_about_versions() {
        let mut lessons = Lessons::new(Protocol::Auto);
        for _ in 0..5 {
            assert!(!lessons.ended(&closed(), false, SOON).version_changed);
            let down = LinkError::Other("refused".into());
            assert!(!lessons.ended(&down, false, SOON).version_changed);
        }
    }

    #[test]
    fn three_equal_failures_to_read_give_the_session_up() {
        let mut lessons = Lessons::new(Protocol::Auto);
        for why in ["a", "b", "b"] {
            lessons.ended(&unreadable(why), true, SOON);
            // What happens without a CONNACK is no progress.
            lessons.ended(&closed(), false, SOON);
            assert!(!lessons.must_clear_session());
        }
        lessons.ended(&unreadable("b"), true, SOON);
        assert!(lessons.must_clear_session());
        lessons.session_cleared();
        assert!(!lessons.must_clear_session());
    }

    #[test]
    fn failures_to_read_with_good_connections_between_them_do_not_add_up() {
        let mut lessons = Lessons::new(Protocol::Auto);
        for _ in 0..5 {
            lessons.ended(&unreadable("a"), true, LATE);
        }
        assert!(!lessons.must_clear_session());
    }

    #[test]
    fn a_takeover_is_told_by_5_and_guessed_from_short_connections() {
        let mut lessons = Lessons::new(Protocol::Auto);
        assert!(
            lessons
                .ended(&LinkError::TakenOver, true, LATE)
                .client_id_shared
        );
        assert!(!lessons.ended(&closed(), true, SOON).client_id_shared);
        assert!(!lessons.ended(&closed(), true, SOON).client_id_shared);
        assert!(lessons.ended(&closed(), true, SOON).client_id_shared);
        assert!(!lessons.ended(&closed(), true, LATE).client_id_shared);
    }
}
