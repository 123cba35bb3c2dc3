//! Whether a stop gets the time that it needs.

use meshcore_resource::{GraceBreakdown, LastShutdown, ShutdownBudget};

use super::conditions::{Finding, Type};
use super::reason::Reason;

/// Longer than this, drains and node shutdowns commonly cut a stop short.
const LONG_SECONDS: u64 = 600;
/// A stop that used more of its time than this many percent is close to being cut short.
const TIGHT_PERCENT: i64 = 80;

/// What the grace period is made of.
pub(super) fn breakdown(budget: &ShutdownBudget) -> GraceBreakdown {
    GraceBreakdown {
        pre_stop: budget.pre_stop_seconds.into(),
        server_drain: budget.server_drain_seconds.into(),
        ingestor_drain: budget.ingestor_drain_seconds.into(),
        checkpoint: budget.checkpoint_seconds.into(),
        margin: budget.margin_seconds.into(),
    }
}

/// Whether a stop may take longer than it is given.
pub(super) fn at_risk(budget: &ShutdownBudget, last: Option<&LastShutdown>) -> Finding {
    let finding = |truth: bool, reason, message: String| {
        Finding::new(Type::ShutdownBudgetAtRisk, truth, reason, message)
    };
    let total = budget.termination_grace_period_seconds();
    if total > LONG_SECONDS {
        let message = format!(
            "spec.shutdown adds up to {total} s; many clusters end a pod after {LONG_SECONDS} s whatever it asks for"
        );
        return finding(true, Reason::LongBudget, message);
    }
    let used = last.and_then(|last| Some((last.took_seconds?, last.budget_seconds?)));
    match used {
        Some((took, given)) if took.saturating_mul(100) > given.saturating_mul(TIGHT_PERCENT) => {
            let message = format!(
                "The last stop took {took} of {given} s; raise the field of spec.shutdown whose phase took longest, \
                 see status.lastShutdown.phases"
            );
            finding(true, Reason::TightBudget, message)
        }
        _ => finding(false, Reason::WithinBudget, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(took: i64, given: i64) -> LastShutdown {
        LastShutdown {
            took_seconds: Some(took),
            budget_seconds: Some(given),
            ..LastShutdown::default()
        }
    }

    fn risk(budget: ShutdownBudget, last: Option<&LastShutdown>) -> Option<Reason> {
        let finding = at_risk(&budget, last);
        (finding.truth == true.into()).then_some(finding.reason)
    }

    #[test]
    fn more_than_ten_minutes_are_a_risk() {
        let budget = |checkpoint_seconds| ShutdownBudget {
            checkpoint_seconds,
            ..ShutdownBudget::default()
        };
        assert_eq!(risk(budget(555), None), None);
        assert_eq!(risk(budget(556), None), Some(Reason::LongBudget));
    }

    #[test]
    fn more_than_four_fifths_of_the_last_stop_are_a_risk() {
        let budget = ShutdownBudget::default();
        assert_eq!(risk(budget, Some(&last(48, 60))), None);
        assert_eq!(risk(budget, Some(&last(49, 60))), Some(Reason::TightBudget));
        assert_eq!(risk(budget, Some(&LastShutdown::default())), None);
    }
}
