//! How the grace period of a pod is divided, and how that reaches the programs.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The time that a stop may take, in whole seconds, divided among those who spend it.
///
/// The resource's `spec.shutdown`, the pod's `terminationGracePeriodSeconds` and the environment of
/// the programs are all made from this one type. The phases follow each other: the server gets its
/// signal when the preStop hook is over, the ingestor (a native sidecar) when the server has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ShutdownBudget {
    /// The server's `preStop` sleep: endpoints drain while it still serves. 0 means no hook.
    #[cfg_attr(feature = "schema", schemars(range(max = 3600)))]
    pub pre_stop_seconds: u32,
    /// The server: HTTP requests in flight and WebSocket goodbyes.
    #[cfg_attr(feature = "schema", schemars(range(max = 3600)))]
    pub server_drain_seconds: u32,
    /// The ingestor: stop of intake, writing and acknowledging what is queued, DISCONNECT.
    #[cfg_attr(feature = "schema", schemars(range(max = 3600)))]
    pub ingestor_drain_seconds: u32,
    /// The last checkpoint of the database and its close.
    #[cfg_attr(feature = "schema", schemars(range(max = 3600)))]
    pub checkpoint_seconds: u32,
    /// Rounding of the kubelet and the exits of the processes; at least [`Self::MIN_MARGIN_SECONDS`].
    #[cfg_attr(feature = "schema", schemars(range(max = 3600)))]
    pub margin_seconds: u32,
}

/// A budget that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// A variable of the environment is not a number of seconds.
    #[error(
        "{variable} is {value:?}, which is not a whole number of seconds; \
         set it to a number such as {default}, or remove it to get that default"
    )]
    NotSeconds {
        /// The name of the variable.
        variable: &'static str,
        /// What it holds.
        value: String,
        /// What holds when the variable is not set.
        default: u32,
    },
    /// The parts add up to more than [`ShutdownBudget::MAX_TOTAL_SECONDS`].
    #[error(
        "the shutdown budget {budget} exceeds {max} s; lower one of its parts",
        max = ShutdownBudget::MAX_TOTAL_SECONDS
    )]
    TooLong {
        /// The refused budget.
        budget: ShutdownBudget,
    },
    /// The margin is below [`ShutdownBudget::MIN_MARGIN_SECONDS`].
    #[error(
        "marginSeconds ({name}) is {margin_seconds}; set it to {min} or more, the processes need it to exit",
        name = ShutdownBudget::MARGIN,
        min = ShutdownBudget::MIN_MARGIN_SECONDS
    )]
    MarginTooSmall {
        /// The refused margin in seconds.
        margin_seconds: u32,
    },
}

impl Default for ShutdownBudget {
    /// 5 + 20 + 10 + 15 + 10 = 60 seconds.
    fn default() -> Self {
        Self {
            pre_stop_seconds: 5,
            server_drain_seconds: 20,
            ingestor_drain_seconds: 10,
            checkpoint_seconds: 15,
            margin_seconds: 10,
        }
    }
}

impl ShutdownBudget {
    /// The longest grace period that is accepted, in seconds.
    pub const MAX_TOTAL_SECONDS: u64 = 3600;
    /// The longest grace period that whoever empties a machine can be expected to wait for, in seconds: cluster
    /// autoscalers wait for ten minutes.
    pub const SAFE_TOTAL_SECONDS: u64 = 600;
    /// The smallest margin that is accepted, in seconds.
    pub const MIN_MARGIN_SECONDS: u32 = 5;
    /// The variable of [`Self::pre_stop_seconds`].
    pub const PRE_STOP: &str = "SHUTDOWN_PRE_STOP_SECONDS";
    /// The variable of [`Self::server_drain_seconds`].
    pub const SERVER_DRAIN: &str = "SHUTDOWN_SERVER_DRAIN_SECONDS";
    /// The variable of [`Self::ingestor_drain_seconds`].
    pub const INGESTOR_DRAIN: &str = "SHUTDOWN_INGESTOR_DRAIN_SECONDS";
    /// The variable of [`Self::checkpoint_seconds`].
    pub const CHECKPOINT: &str = "SHUTDOWN_CHECKPOINT_SECONDS";
    /// The variable of [`Self::margin_seconds`].
    pub const MARGIN: &str = "SHUTDOWN_MARGIN_SECONDS";

    /// Reads the budget from the environment; what is not set has its default.
    ///
    /// # Errors
    /// A variable that is not a whole number of seconds, and whatever [`Self::validate`] refuses.
    pub fn from_env() -> Result<Self, BudgetError> {
        Self::from_lookup(env::var_os)
    }

    /// The same for variables from elsewhere, so that tests need not touch the environment.
    pub fn from_lookup(
        lookup: impl Fn(&'static str) -> Option<OsString>,
    ) -> Result<Self, BudgetError> {
        let seconds = |variable, default: u32| match lookup(variable) {
            None => Ok(default),
            Some(value) => {
                let value = value.to_string_lossy();
                value.trim().parse().map_err(|_| BudgetError::NotSeconds {
                    variable,
                    value: value.into_owned(),
                    default,
                })
            }
        };
        let default = Self::default();
        let budget = Self {
            pre_stop_seconds: seconds(Self::PRE_STOP, default.pre_stop_seconds)?,
            server_drain_seconds: seconds(Self::SERVER_DRAIN, default.server_drain_seconds)?,
            ingestor_drain_seconds: seconds(Self::INGESTOR_DRAIN, default.ingestor_drain_seconds)?,
            checkpoint_seconds: seconds(Self::CHECKPOINT, default.checkpoint_seconds)?,
            margin_seconds: seconds(Self::MARGIN, default.margin_seconds)?,
        };
        budget.validate()?;
        Ok(budget)
    }

    /// The variables with their values, for the pod template: [`Self::from_env`] reads them back.
    pub fn env(&self) -> [(&'static str, String); 5] {
        [
            (Self::PRE_STOP, self.pre_stop_seconds.to_string()),
            (Self::SERVER_DRAIN, self.server_drain_seconds.to_string()),
            (
                Self::INGESTOR_DRAIN,
                self.ingestor_drain_seconds.to_string(),
            ),
            (Self::CHECKPOINT, self.checkpoint_seconds.to_string()),
            (Self::MARGIN, self.margin_seconds.to_string()),
        ]
    }

    /// The sum of all parts, which is the pod's `terminationGracePeriodSeconds`.
    pub fn termination_grace_period_seconds(&self) -> u64 {
        [
            self.pre_stop_seconds,
            self.server_drain_seconds,
            self.ingestor_drain_seconds,
            self.checkpoint_seconds,
            self.margin_seconds,
        ]
        .into_iter()
        .map(u64::from)
        .sum()
    }

    /// The parts with their names and a plus between them.
    pub fn parts(&self) -> String {
        format!(
            "preStop {} + serverDrain {} + ingestorDrain {} + checkpoint {} + margin {}",
            self.pre_stop_seconds,
            self.server_drain_seconds,
            self.ingestor_drain_seconds,
            self.checkpoint_seconds,
            self.margin_seconds,
        )
    }

    /// Checks the sum and the margin, as the rules of the resource do.
    pub fn validate(&self) -> Result<(), BudgetError> {
        if self.termination_grace_period_seconds() > Self::MAX_TOTAL_SECONDS {
            return Err(BudgetError::TooLong { budget: *self });
        }
        if self.margin_seconds < Self::MIN_MARGIN_SECONDS {
            return Err(BudgetError::MarginTooSmall {
                margin_seconds: self.margin_seconds,
            });
        }
        Ok(())
    }

    /// How long the server may take, counted from its own signal (the preStop hook is over then).
    ///
    /// At least a second, taken from the margin: closing a file takes a moment even when no request
    /// is waited for.
    pub fn server_deadline(&self) -> Duration {
        at_least_a_second(self.server_drain_seconds)
    }

    /// How long the ingestor may take, counted from its own signal: drain and checkpoint together.
    ///
    /// At least a second, taken from the margin.
    pub fn ingestor_deadline(&self) -> Duration {
        at_least_a_second(
            self.ingestor_drain_seconds
                .saturating_add(self.checkpoint_seconds),
        )
    }
}

fn at_least_a_second(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds.max(1)))
}

impl fmt::Display for ShutdownBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = self.termination_grace_period_seconds();
        write!(f, "{} = {sum} s", self.parts())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn from_pairs(pairs: &[(&str, &str)]) -> Result<ShutdownBudget, BudgetError> {
        ShutdownBudget::from_lookup(|variable| {
            pairs
                .iter()
                .find(|(name, _)| *name == variable)
                .map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_default_is_a_minute() {
        let budget = from_pairs(&[]).unwrap();
        assert_eq!(budget, ShutdownBudget::default());
        assert_eq!(budget.termination_grace_period_seconds(), 60);
        assert_eq!(budget.server_deadline(), Duration::from_secs(20));
        assert_eq!(budget.ingestor_deadline(), Duration::from_secs(25));
        assert_eq!(
            budget.to_string(),
            "preStop 5 + serverDrain 20 + ingestorDrain 10 + checkpoint 15 + margin 10 = 60 s"
        );
    }

    #[test]
    fn the_environment_of_the_pod_reads_back_as_the_same_budget() {
        let budget = ShutdownBudget {
            pre_stop_seconds: 0,
            server_drain_seconds: 1,
            ingestor_drain_seconds: 2,
            checkpoint_seconds: 3,
            margin_seconds: 6,
        };
        let pairs = budget.env();
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(from_pairs(&pairs), Ok(budget));
    }

    #[test]
    fn a_bad_variable_is_named_with_its_value_and_the_cure() {
        for value in ["", "soon", "-1", "1.5", "20s", "99999999999"] {
            let error = from_pairs(&[(ShutdownBudget::SERVER_DRAIN, value)]).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("SHUTDOWN_SERVER_DRAIN_SECONDS"), "{text}");
            assert!(text.contains(&format!("{value:?}")), "{text}");
            assert!(text.contains("such as 20"), "{text}");
        }
    }

    #[test]
    fn an_hour_is_the_most_and_a_sum_cannot_overflow() {
        assert!(from_pairs(&[(ShutdownBudget::CHECKPOINT, "3555")]).is_ok());
        let error = from_pairs(&[(ShutdownBudget::CHECKPOINT, "3556")]).unwrap_err();
        assert!(
            error.to_string().contains("= 3601 s exceeds 3600 s"),
            "{error}"
        );
        let most = u32::MAX.to_string();
        let pairs = ShutdownBudget::default()
            .env()
            .map(|(name, _)| (name, most.as_str()));
        assert!(matches!(
            from_pairs(&pairs),
            Err(BudgetError::TooLong { .. })
        ));
    }

    #[test]
    fn a_margin_below_five_seconds_is_refused() {
        assert!(from_pairs(&[(ShutdownBudget::MARGIN, "5")]).is_ok());
        let error = from_pairs(&[(ShutdownBudget::MARGIN, "4")]).unwrap_err();
        assert_eq!(error, BudgetError::MarginTooSmall { margin_seconds: 4 });
        assert!(
            error.to_string().contains("SHUTDOWN_MARGIN_SECONDS"),
            "{error}"
        );
    }

    #[test]
    fn a_program_always_has_a_moment_to_close() {
        let budget = ShutdownBudget {
            server_drain_seconds: 0,
            ingestor_drain_seconds: 0,
            checkpoint_seconds: 0,
            ..ShutdownBudget::default()
        };
        assert_eq!(budget.server_deadline(), Duration::from_secs(1));
        assert_eq!(budget.ingestor_deadline(), Duration::from_secs(1));
    }

    #[test]
    fn json_is_that_of_the_resource() {
        let budget: ShutdownBudget =
            serde_json::from_value(json!({"serverDrainSeconds": 30})).unwrap();
        assert_eq!(
            budget,
            ShutdownBudget {
                server_drain_seconds: 30,
                ..Default::default()
            }
        );
        assert_eq!(
            serde_json::to_value(ShutdownBudget::default()).unwrap(),
            json!({
                "preStopSeconds": 5,
                "serverDrainSeconds": 20,
                "ingestorDrainSeconds": 10,
                "checkpointSeconds": 15,
                "marginSeconds": 10,
            })
        );
        assert!(serde_json::from_value::<ShutdownBudget>(json!({"drain": 1})).is_err());
    }
}
