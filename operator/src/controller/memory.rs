//! What is remembered of a resource between reconciles. All of it can be lost: that costs a few requests.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::kind::Kind;
use crate::problem::Problem;

/// What is remembered of a resource between reconciles.
#[derive(Debug, Default)]
pub struct Memory {
    /// Which resource this is about: another of the same name begins anew.
    pub uid: String,
    /// What the Secrets lacked, and when they were looked at.
    pub secrets: Option<SecretsSeen>,
    /// Fields that an API server, or somebody in it, gave back otherwise than they were applied.
    pub overruled: HashMap<(Kind, String), Overruled>,
    /// A pod that is stuck.
    pub repair: Option<Repair>,
    /// The last look for configurations that nobody uses.
    pub look: Option<Look>,
    /// Reconciles that failed in a row.
    pub failures: u32,
}

/// What the Secrets of a resource lacked.
#[derive(Clone, Debug)]
pub struct SecretsSeen {
    /// The generation of the resource.
    pub generation: Option<i64>,
    /// When.
    pub at: Instant,
    /// What was missing.
    pub problems: Vec<Problem>,
}

/// Fields that came back otherwise than they were applied. To apply them again and again would be a quarrel with
/// somebody who always has the last word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overruled {
    /// The hash of the form that was applied.
    pub hash: String,
    /// The paths of the fields.
    pub paths: Vec<String>,
}

/// How often a stuck pod was deleted.
#[derive(Clone, Copy, Debug)]
pub struct Repair {
    /// How often.
    pub count: u32,
    /// When last, or since when it is stuck.
    pub at: Instant,
}

/// A look for configurations that nobody uses.
#[derive(Clone, Debug)]
pub struct Look {
    /// The revision of the StatefulSet and the configurations.
    pub about: String,
    /// How many looks there were about the same.
    pub count: u32,
    /// When the last one was.
    pub at: Instant,
}
