//! A life without faults.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use meshcore_testkit::kubernetes::{ControlPlane, FaultProxy};

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
const QUIET: Duration = Duration::from_secs(1);

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
        let (one, other) = tokio::join!(live(plane, witness, way), live(plane, witness, way));
        let mut stages = BTreeMap::new();
        for ((stage, one), (_, other)) in one.into_iter().zip(other) {
            let differs = difference(&one.picture, &other.picture);
            assert_eq!(
                differs, "",
                "two lives without faults differ after {stage:?}"
            );
            let calls = one.calls.intersection(&other.calls).cloned().collect();
            stages.insert(
                stage,
                Found {
                    calls,
                    picture: one.picture,
                },
            );
        }
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

async fn live(plane: &'static ControlPlane, witness: &Witness, way: Way) -> BTreeMap<Stage, Found> {
    let lane = Lane::new(plane).await;
    let listener = Spoiler::new(Script::default());
    let proxy = FaultProxy::start(&lane.access, listener.clone())
        .await
        .unwrap();
    let mut life = Life::new(lane.client.clone(), lane.name(), witness).await;
    let running = Running::start(way, &lane, &proxy, &listener).await;
    let mut stages = BTreeMap::new();
    for stage in Stage::ALL {
        listener.enter(stage);
        life.ask(stage).await;
        life.until(stage, LIMIT).await;
        let picture = settled(&mut life).await;
        stages.insert(
            stage,
            Found {
                calls: listener.calls(stage),
                picture,
            },
        );
    }
    running.stop().await;
    assert_eq!(violations(&life.log), [""; 0]);
    life.bury().await;
    stages
}

/// The objects when nothing changes any more.
async fn settled(life: &mut Life<'_>) -> Picture {
    let mut last = life.see();
    loop {
        tokio::time::sleep(QUIET).await;
        let picture = life.see();
        if picture == last {
            return picture;
        }
        last = picture;
    }
}
