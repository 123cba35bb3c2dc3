//! What happens after a commit: acknowledgements leave, numbers grow.

use std::sync::Arc;

use meshcore_lifecycle::{DISK, Readiness};
use meshcore_store::{Commit, Condition, WriterEvents};

use crate::metrics::{Metrics, ReasonLabel};
use crate::source::Token;

/// The component that readiness names when writing is held up.
const STORE: &str = "store";

/// Hears of commits and acknowledges what they hold.
pub(crate) struct Acknowledger {
    metrics: Arc<Metrics>,
    readiness: Readiness,
}

impl Acknowledger {
    pub(crate) fn new(metrics: Arc<Metrics>, readiness: Readiness) -> Self {
        Self { metrics, readiness }
    }
}

impl WriterEvents<Token> for Acknowledger {
    fn committed(&mut self, commit: &Commit, tokens: Vec<Token>) {
        let (mut sent, mut stale) = (0, 0);
        for ack in tokens.into_iter().filter_map(|token| token.ack) {
            if ack.send() {
                sent += 1;
            } else {
                stale += 1;
            }
        }
        let m = &self.metrics;
        m.acks.inc_by(sent);
        m.stale_acks.inc_by(stale);
        m.transmissions.inc_by(commit.outcome.transmissions);
        m.observations.inc_by(commit.outcome.observations);
        m.duplicates.inc_by(commit.outcome.duplicates);
        m.bad_signatures.inc_by(commit.outcome.bad_signatures);
        for (reason, count) in &commit.outcome.dropped {
            m.dropped
                .get_or_create(&ReasonLabel {
                    reason: reason.clone(),
                })
                .inc_by(*count);
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a batch has at most some thousands of records"
        )]
        m.commit_records.observe(commit.records as f64);
        m.commit_seconds.observe(commit.took.as_secs_f64());
        m.deleted_transmissions
            .set(i64::try_from(commit.deleted_transmissions).unwrap_or(i64::MAX));
    }

    fn condition(&mut self, condition: &Condition) {
        self.metrics
            .disk_full
            .set(i64::from(*condition == Condition::DiskFull));
        let disk_is_full = "the disk is full: nothing is acknowledged until there is room; grow the volume or free space";
        match condition {
            Condition::DiskFull => {
                self.readiness.set_not_ready(DISK, disk_is_full);
                self.readiness.set_ready(STORE);
                return;
            }
            Condition::Writing => self.readiness.set_ready(STORE),
            Condition::Busy => self
                .readiness
                .set_not_ready(STORE, "another program holds the database"),
            Condition::SetAside { .. } => {
                self.metrics.databases_set_aside.inc();
                self.readiness.set_ready(STORE);
            }
        }
        self.readiness.set_ready(DISK);
    }
}
