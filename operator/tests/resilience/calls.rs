//! Each call of a life fails in each way, or is the last that an operator makes, and the end is the same.
//!
//! A life without faults tells which calls there are and what each stage leads to. Then one life after another is
//! lived with one call spoiled in each of its stages, and each stage must lead to the same objects, down to which
//! fields are ours.

mod aim;
mod lives;
mod record;
mod running;

use meshcore_testkit::kubernetes::{ControlPlane, fault_seed};

use crate::support::install_crd;
use crate::support::witness::Witness;
use aim::{Script, Share};
use lives::Lives;
use record::Record;
use running::Way;

/// Lives that are lived at the same time.
const FAILING_LANES: usize = 6;
const KILLED_LANES: usize = 4;

/// With `MESHCORE_FAULTS=all` each call in each way, which takes minutes; else each call in one way by chance.
pub(crate) async fn each_call_fails_and_the_end_is_the_same(plane: &'static ControlPlane) {
    let seed = fault_seed();
    let is_whole = std::env::var("MESHCORE_FAULTS").is_ok_and(|which| which == "all");
    let (share, by_chance) = if is_whole {
        (Share::All, 30)
    } else {
        (Share::Some(seed), 3)
    };
    install_crd(plane).await;
    let witness = Witness::of(plane.admin()).await;
    let record = Record::of(plane, &witness, Way::Fails).await;
    println!("{record}");
    let by_chance = (0..by_chance).map(|more| Script::by_chance(seed.wrapping_add(more)));
    let scripts = by_chance.chain(aim::failing(&record, share)).collect();
    let lives = Lives {
        plane,
        witness: &witness,
        record: &record,
        way: Way::Fails,
    };
    lives.live(scripts, FAILING_LANES).await;
}

pub(crate) async fn a_kill_after_each_call_changes_nothing(plane: &'static ControlPlane) {
    install_crd(plane).await;
    let witness = Witness::of(plane.admin()).await;
    let record = Record::of(plane, &witness, Way::IsKilled).await;
    println!("{record}");
    let lives = Lives {
        plane,
        witness: &witness,
        record: &record,
        way: Way::IsKilled,
    };
    lives.live(aim::passing(&record), KILLED_LANES).await;
}
