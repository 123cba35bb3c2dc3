//! Lives side by side, each with faults of its own, that must come to the same end.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures::future::join_all;
use meshcore_testkit::kubernetes::{ControlPlane, Fate, FaultProxy};

use super::aim::{Aim, Script, Spoiler, title};
use super::record::Record;
use super::running::{Running, Way};
use crate::support::invariants::violations;
use crate::support::lane::Lane;
use crate::support::life::{Life, Stage};
use crate::support::witness::Witness;

/// How long a stage may take with a fault in it, on a machine that does much else.
/// Old configurations are looked for after 30 s, 60 s more and 120 s more, until no revision names them.
const LIMIT: Duration = Duration::from_mins(4);

/// What all lives have in common.
pub(crate) struct Lives<'a> {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) witness: &'a Witness,
    pub(crate) record: &'a Record,
    pub(crate) way: Way,
}

/// What became of lives.
#[derive(Default)]
struct Outcome {
    failures: Vec<String>,
    met: usize,
    missed: Vec<Aim>,
    slowest: (Duration, String),
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.failures.extend(other.failures);
        self.met += other.met;
        self.missed.extend(other.missed);
        let (took, what) = other.slowest;
        self.note(took, what);
    }

    fn note(&mut self, took: Duration, what: String) {
        if took > self.slowest.0 {
            self.slowest = (took, what);
        }
    }

    fn check(self, total: usize, began: Instant) {
        let Self {
            failures,
            met,
            missed,
            slowest: (longest, what),
        } = self;
        println!(
            "{met} calls met their faults in {total} lives in {:?}; the slowest stage took {longest:?}: {what}",
            began.elapsed()
        );
        assert!(
            failures.is_empty(),
            "{} of {total} lives:\n{}",
            failures.len(),
            failures.join("\n\n")
        );
        // Chance changes how often a thing is done, such as a list that a busy machine lets run out of time; most of them
        // would mean that the record is of another life.
        assert!(
            missed.len() * 10 <= met,
            "{} faults met no call, {met} did: {}",
            missed.len(),
            title(&missed)
        );
    }
}

impl Lives<'_> {
    /// Lives them all, so many at one time, and fails for those that come to another end.
    pub(crate) async fn live(&self, scripts: Vec<Script>, lanes: usize) {
        let (began, total) = (Instant::now(), scripts.len());
        let todo = Mutex::new(VecDeque::from(scripts));
        let lanes = (0..lanes).map(|_| self.run_lane(&todo));
        let mut all = Outcome::default();
        for outcome in join_all(lanes).await {
            all.add(outcome);
        }
        all.check(total, began);
    }

    async fn run_lane(&self, todo: &Mutex<VecDeque<Script>>) -> Outcome {
        let lane = Lane::new(self.plane).await;
        let proxy = FaultProxy::start(&lane.access, |_: &_| Fate::Pass)
            .await
            .unwrap();
        let mut outcome = Outcome::default();
        loop {
            let next = todo.lock().unwrap().pop_front();
            let Some(script) = next else { return outcome };
            let lived = self
                .live_one(&lane, &proxy, &script, todo, &mut outcome)
                .await;
            if let Err(failure) = lived {
                outcome
                    .failures
                    .push(format!("{}\n{failure}", script.title()));
                // What is left in this namespace would spoil the lives after it.
                return outcome;
            }
        }
    }

    async fn live_one(
        &self,
        lane: &Lane,
        proxy: &FaultProxy,
        script: &Script,
        todo: &Mutex<VecDeque<Script>>,
        outcome: &mut Outcome,
    ) -> Result<(), String> {
        let mut life = Life::new(lane.client.clone(), lane.name(), self.witness).await;
        let spoiler = Spoiler::new(script.clone());
        let running = Running::start(self.way, lane, proxy, &spoiler).await;
        let stages = script.stages();
        let skipped = !stages.contains(&Stage::Drift);
        let pictures = self.record.pictures();
        for (stage, picture) in pictures.filter(|(stage, _)| stages.contains(stage)) {
            let began = Instant::now();
            spoiler.enter(stage);
            life.ask(stage).await;
            let end = if skipped && stage == Stage::Delete {
                life.until_gone(LIMIT).await
            } else {
                life.until_like(picture, LIMIT).await
            };
            end.map_err(|why| format!("{stage:?}: {why}\n{}", running.log()))?;
            outcome.note(began.elapsed(), script.title_of(stage));
        }
        let missed = spoiler.missed();
        outcome.met += script.aims.len() - missed.len();
        match script.again(&missed) {
            Some(again) => todo.lock().unwrap().push_back(again),
            None => outcome.missed.extend(missed),
        }
        running.stop().await;
        let wrong = violations(&life.log);
        life.bury().await;
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(wrong.join("\n"))
        }
    }
}
