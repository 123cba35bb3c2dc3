//! How long each service may take for its stop.

use meshcore_resource::ShutdownBudget;

/// Seconds from a service's signal to its kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grace {
    pub(super) server: u64,
    pub(super) ingestor: u64,
}

impl Grace {
    /// Divides the budget, but for the preStop part, which nobody spends: the services stop one after the other, so
    /// the margin is shared between them. Each has at least a second more than its own deadline, so that it ends
    /// itself, with a report, before it is killed.
    pub(super) fn of(budget: &ShutdownBudget) -> Self {
        let whole = budget.termination_grace_period_seconds() - u64::from(budget.pre_stop_seconds);
        let margin = u64::from(budget.margin_seconds / 2);
        let server = budget.server_deadline().as_secs() + margin;
        Self {
            server,
            ingestor: whole - server,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(parts: [u32; 5]) -> ShutdownBudget {
        let [pre_stop, server_drain, ingestor_drain, checkpoint, margin] = parts;
        ShutdownBudget {
            pre_stop_seconds: pre_stop,
            server_drain_seconds: server_drain,
            ingestor_drain_seconds: ingestor_drain,
            checkpoint_seconds: checkpoint,
            margin_seconds: margin,
        }
    }

    #[test]
    fn the_default_minute_is_25_and_30_seconds() {
        let grace = Grace::of(&ShutdownBudget::default());
        assert_eq!((grace.server, grace.ingestor), (25, 30));
    }

    #[test]
    fn both_together_take_the_budget_and_each_can_end_itself() {
        let some = [0, 1, 2, 7, 600];
        for (pre_stop, server) in some.into_iter().flat_map(|a| some.map(|b| (a, b))) {
            for (drain, checkpoint) in some.into_iter().flat_map(|a| some.map(|b| (a, b))) {
                for margin in [5, 6, 30] {
                    let budget = budget([pre_stop, server, drain, checkpoint, margin]);
                    let grace = Grace::of(&budget);
                    let whole = budget.termination_grace_period_seconds();
                    let sum = u64::from(pre_stop) + grace.server + grace.ingestor;
                    assert_eq!(sum, whole, "{budget}");
                    assert!(
                        grace.server > budget.server_deadline().as_secs(),
                        "{budget}"
                    );
                    assert!(
                        grace.ingestor > budget.ingestor_deadline().as_secs(),
                        "{budget}"
                    );
                }
            }
        }
    }
}
