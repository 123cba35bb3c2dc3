//! A life without faults.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use meshcore_testkit::kubernetes::{ControlPlane, FaultProxy};
use tokio::time::Instant;

use super::aim::{Call, Script, Spoiler};
use super::running::{Running, Way};
use crate::support::invariants::violations;
use crate::support::lane::Lane;
use crate::support::life::{Life, Stage};
use crate::support::picture::{Picture, difference};
use crate::support::witness::Witness;

/// How long a stage may take without a fault.
const LIMIT: Duration = Duration::from_mins(1);
/// Nothing changes for so long at the end of a stage.
const QUIET: Duration = Duration::from_secs(2);

/// What calls there are in each stage, and what it leads to.
pub(crate) struct Record {
    stages: BTreeMap<Stage, Found>,
}

struct Found {
    calls: BTreeSet<Call>,
    picture: Picture,
}

impl Record {
    /// Lives twice, so that chance is told from what is always so.
    pub(crate) async fn of(plane: &'static ControlPlane, witness: &Witness, way: Way) -> Self {
        let lanes = tokio::join!(Lane::new(plane), Lane::new(plane));
        let mut one = Recorded::begin(&lanes.0, witness, way).await;
        let mut other = Recorded::begin(&lanes.1, witness, way).await;
        let mut stages = BTreeMap::new();
        for stage in Stage::ALL {
            tokio::join!(one.go(stage), other.go(stage));
            let picture = settled(stage, &mut one, &mut other).await;
            let mut calls = one.plan.calls(stage);
            let others = other.plan.calls(stage);
            calls.retain(|call| others.contains(call));
            stages.insert(stage, Found { calls, picture });
        }
        tokio::join!(one.end(), other.end());
        Self { stages }
    }

    /// What each stage leads to.
    pub(crate) fn pictures(&self) -> impl Iterator<Item = (Stage, &Picture)> {
        self.stages
            .iter()
            .map(|(stage, found)| (*stage, &found.picture))
    }

    /// The calls that are always made.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.stages.values().flat_map(|found| &found.calls)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls in a life", self.calls().count())?;
        let mut stages = self.stages.iter();
        stages.try_for_each(|(stage, found)| write!(f, ", {stage:?} {}", found.calls.len()))
    }
}

/// A life in which nothing fails.
struct Recorded<'a> {
    plan: Spoiler,
    life: Life<'a>,
    running: Running,
    _proxy: FaultProxy,
}

impl<'a> Recorded<'a> {
    async fn begin(lane: &'a Lane, witness: &'a Witness, way: Way) -> Self {
        let plan = Spoiler::new(Script::default());
        let proxy = FaultProxy::start(&lane.access, plan.clone()).await.unwrap();
        let life = Life::new(lane.client.clone(), lane.name(), witness).await;
        let running = Running::start(way, lane, &proxy, &plan).await;
        Self {
            plan,
            life,
            running,
            _proxy: proxy,
        }
    }

    async fn go(&mut self, stage: Stage) {
        self.plan.enter(stage);
        self.life.ask(stage).await;
        self.life.until(stage, LIMIT).await;
    }

    async fn end(self) {
        self.running.stop().await;
        assert_eq!(violations(&self.life.log), [""; 0]);
        self.life.bury().await;
    }
}

/// The objects when nothing changes any more, and both lives have come to the same. The control plane's own ends, such
/// as that of an old revision, come a while after the rollout, and the operator looks for them only now and then.
async fn settled(stage: Stage, one: &mut Recorded<'_>, other: &mut Recorded<'_>) -> Picture {
    let until = Instant::now() + LIMIT;
    let mut last = one.life.see();
    loop {
        tokio::time::sleep(QUIET).await;
        let picture = one.life.see();
        let differs = difference(&picture, &other.life.see());
        if picture == last && differs.is_empty() {
            return picture;
        }
        assert!(
            Instant::now() < until,
            "two lives without faults differ after {stage:?}: {differs}"
        );
        last = picture;
    }
}
