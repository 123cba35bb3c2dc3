//! The decisions of an election, without I/O: answers and the time go in, steps come out.
//!
//! Two instants keep two leaders apart, each on the clock of whoever uses it, so clocks need not agree:
//! - a leader may write until `renew_deadline` after it **sent** its last renewal that succeeded,
//! - everybody else waits until a Lease has looked the same for its `lease_duration`, counted from when they **saw**
//!   it, which can't be earlier than it was sent.
//!
//! The times that stand in the Lease are for people.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::Instant;

use super::record;

/// The durations of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a Lease must have looked the same before it is taken from its holder. Whole seconds.
    pub lease_duration: Duration,
    /// How long a leader goes on after its last renewal.
    pub renew_deadline: Duration,
    /// How long from one try to the next.
    pub retry_period: Duration,
}

/// Durations that would let two leaders write, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a Lease of {lease_duration:?} with a renewal deadline of {renew_deadline:?} and a retry period of \
     {retry_period:?} is not safe; each must be longer than the next"
)]
pub struct TimingError {
    lease_duration: Duration,
    renew_deadline: Duration,
    retry_period: Duration,
}

impl Default for Timing {
    /// 15, 10 and 2 seconds, as most controllers have them.
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

impl Timing {
    /// Checks that a leader stops before another one begins, and has time for more than one try.
    pub fn validate(self) -> Result<Self, TimingError> {
        let Self {
            lease_duration,
            renew_deadline,
            retry_period,
        } = self;
        // The Lease itself has whole seconds.
        let is_whole = lease_duration.subsec_nanos() == 0;
        if is_whole && lease_duration > renew_deadline && renew_deadline > 2 * retry_period {
            return Ok(self);
        }
        Err(TimingError {
            lease_duration,
            renew_deadline,
            retry_period,
        })
    }
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Make this request, and give the answer.
    Ask(Request),
    /// Nothing, until this instant.
    Wait(Instant),
    /// Stop writing, and end: the leadership is over.
    Lost(Loss),
}

/// A request to the API server.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Read the Lease.
    Read,
    /// Create this one.
    Create(Box<Lease>),
    /// Replace the Lease by this one if its resource version still holds.
    Replace(Box<Lease>),
}

/// What the API server said to the last request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The Lease as it is now, read or written.
    Lease(Box<Lease>),
    /// There is none.
    Missing,
    /// Somebody was faster: it exists already, or it has changed.
    Conflict,
    /// Anything else, or nothing.
    Failed(String),
}

/// How a leadership ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// No renewal succeeded in time.
    #[error("the Lease could not be renewed for {} s: {reason}", .after.as_secs())]
    NotRenewed {
        /// The deadline.
        after: Duration,
        /// What the last try met.
        reason: String,
    },
    /// Somebody else holds the Lease.
    #[error("the Lease was taken by {holder}")]
    Taken {
        /// Who.
        holder: String,
    },
}

/// One process in an election.
#[derive(Debug)]
pub struct Election {
    name: String,
    namespace: String,
    identity: String,
    timing: Timing,
    phase: Phase,
    /// The Lease as it was last seen, and since when it has looked like that.
    seen: Option<(Lease, Instant)>,
    /// When the last successful renewal was sent; only a leader has one.
    renewed_at: Option<Instant>,
    last_failure: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Waiting(Instant),
    Reading,
    Writing,
    Creating,
    Over(Loss),
}

impl Election {
    /// An election for the Lease `namespace/name` in which this process is called `identity`.
    pub fn new(
        namespace: impl Into<String>,
        name: impl Into<String>,
        identity: impl Into<String>,
        timing: Timing,
        now: Instant,
    ) -> Self {
        Self {
            name: name.into(),
            namespace: namespace.into(),
            identity: identity.into(),
            timing,
            phase: Phase::Waiting(now),
            seen: None,
            renewed_at: None,
            last_failure: None,
        }
    }

    /// Until when this process may write; `None` when it does not lead.
    pub fn leads_until(&self) -> Option<Instant> {
        Some(self.renewed_at? + self.timing.renew_deadline)
    }

    /// Who holds the Lease, as far as is known.
    pub fn holder(&self) -> Option<&str> {
        record::holder(&self.seen.as_ref()?.0)
    }

    /// When the request that begins at `now` is to be given up: early enough for another one on a new connection.
    pub fn patience(&self, now: Instant) -> Instant {
        let end = now + self.timing.renew_deadline / 2;
        self.leads_until().map_or(end, |until| until.min(end))
    }

    /// What is to be done at `now`; `wall` is the time that people read in the Lease. The same until an answer
    /// comes, but for the time passing.
    pub fn step(&mut self, now: Instant, wall: Timestamp) -> Step {
        let end = self.leads_until();
        if end.is_some_and(|end| now >= end) {
            let reason = self.last_failure.take();
            self.lose(Loss::NotRenewed {
                after: self.timing.renew_deadline,
                reason: reason.unwrap_or_else(|| "this process stood still".to_owned()),
            });
        }
        if let Phase::Waiting(until) = self.phase {
            if now < until {
                return Step::Wait(end.map_or(until, |end| until.min(end)));
            }
            // A leader knows the Lease, so it writes without reading.
            self.phase = if self.renewed_at.is_some() {
                Phase::Writing
            } else {
                Phase::Reading
            };
        }
        match (&self.phase, &self.seen) {
            (Phase::Over(loss), _) => Step::Lost(loss.clone()),
            (Phase::Creating, _) => Step::Ask(Request::Create(Box::new(self.new_lease(wall)))),
            (Phase::Writing, Some((lease, _))) => {
                Step::Ask(Request::Replace(Box::new(self.next_lease(lease, wall))))
            }
            _ => Step::Ask(Request::Read),
        }
    }

    /// Takes the answer to the last request, which was sent at `sent` and answered at `now`.
    pub fn answer(&mut self, answer: Answer, sent: Instant, now: Instant) {
        match (&self.phase, answer) {
            (Phase::Reading, Answer::Lease(lease)) => self.have_read(*lease, now),
            (Phase::Writing | Phase::Creating, Answer::Lease(lease)) => {
                self.have_written(*lease, sent, now);
            }
            // Also when it is deleted under the leader's hands: it makes another one, if nobody is faster.
            (Phase::Reading | Phase::Writing, Answer::Missing) => self.phase = Phase::Creating,
            // Whatever changed, a leader looks at once, and a follower has time.
            (Phase::Writing | Phase::Creating, Answer::Conflict) if self.renewed_at.is_some() => {
                self.phase = Phase::Reading;
            }
            (Phase::Waiting(_) | Phase::Over(_), _) => {}
            (_, Answer::Missing | Answer::Conflict) => self.wait(now),
            (_, Answer::Failed(reason)) => {
                self.last_failure = Some(reason);
                self.wait(now);
            }
        }
    }

    /// The Lease as this process gives it back; `None` if it does not lead.
    pub fn release(&mut self, wall: Timestamp) -> Option<Lease> {
        self.renewed_at.take()?;
        let (lease, _) = self.seen.as_ref()?;
        Some(record::released(lease, wall))
    }

    fn have_read(&mut self, lease: Lease, now: Instant) {
        self.see(lease, now);
        let holder = self.holder().map(str::to_owned);
        let is_ours = holder.as_deref() == Some(self.identity.as_str());
        match holder {
            Some(holder) if self.renewed_at.is_some() && !is_ours => {
                self.lose(Loss::Taken { holder });
            }
            Some(_) if !is_ours && !self.has_expired(now) => self.wait(now),
            _ => self.phase = Phase::Writing,
        }
    }

    fn have_written(&mut self, lease: Lease, sent: Instant, now: Instant) {
        self.see(lease, now);
        self.renewed_at = Some(sent);
        self.last_failure = None;
        self.phase = Phase::Waiting(sent + self.timing.retry_period);
    }

    fn see(&mut self, lease: Lease, now: Instant) {
        let since = match &self.seen {
            Some((before, since)) if record::is_unchanged(before, &lease) => *since,
            _ => now,
        };
        self.seen = Some((lease, since));
    }

    fn has_expired(&self, now: Instant) -> bool {
        self.seen.as_ref().is_none_or(|(lease, since)| {
            let duration = record::duration(lease).unwrap_or(self.timing.lease_duration);
            now >= *since + duration
        })
    }

    fn wait(&mut self, now: Instant) {
        self.phase = Phase::Waiting(now + self.timing.retry_period);
    }

    fn lose(&mut self, loss: Loss) {
        self.renewed_at = None;
        self.phase = Phase::Over(loss);
    }

    fn new_lease(&self, wall: Timestamp) -> Lease {
        record::new(
            &self.name,
            &self.namespace,
            &self.identity,
            self.timing.lease_duration,
            wall,
        )
    }

    fn next_lease(&self, lease: &Lease, wall: Timestamp) -> Lease {
        // A leader whose entry somebody took away takes the Lease again, like anybody.
        let is_ours = record::holder(lease) == Some(self.identity.as_str());
        if is_ours && self.renewed_at.is_some() {
            record::renewed(lease, self.timing.lease_duration, wall)
        } else {
            record::taken(lease, &self.identity, self.timing.lease_duration, wall)
        }
    }
}

#[cfg(test)]
mod tests;
