//! Which call is to fail how, in which life.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use meshcore_testkit::kubernetes::{Fate, Plan, RequestInfo, SeededFaults};

use super::record::Record;
use crate::support::life::Stage;

/// A call that a life has each time: the first, second, … of its kind in a stage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    stage: Stage,
    what: String,
    count: usize,
}

/// A call, and what is to become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aim {
    call: Call,
    fate: Fate,
}

impl Aim {
    pub(crate) fn stage(&self) -> Stage {
        self.call.stage
    }
}

/// How long a call is held up that is only late; less than the operator waits.
const LATE: Duration = Duration::from_secs(1);
/// How many of a hundred requests fail in a life with faults by chance.
const PERCENT: u64 = 20;

/// How often a request is awaited that does not come in each life, such as one that is made every ten seconds.
const MOST_TRIES: u32 = 4;

/// What fails in a life.
#[derive(Clone, Default)]
pub(crate) struct Script {
    pub(crate) aims: Vec<Aim>,
    /// What fails beside that.
    chance: Option<SeededFaults>,
    /// How many lives have missed these aims.
    tries: u32,
}

impl Script {
    /// Nothing but these.
    fn of(aims: Vec<Aim>) -> Self {
        Self {
            aims,
            ..Self::default()
        }
    }

    /// A share of all requests, whichever they are.
    pub(crate) fn by_chance(seed: u64) -> Self {
        let faults = SeededFaults::with_seed(seed, PERCENT).with_hangs();
        Self {
            chance: Some(faults),
            ..Self::default()
        }
    }

    /// The same with the aims that met no call; `None` where that is no chance any more.
    pub(crate) fn again(&self, missed: &[Aim]) -> Option<Self> {
        let tries = self.tries + 1;
        let aims = missed.to_vec();
        (!aims.is_empty() && tries < MOST_TRIES).then_some(Self {
            aims,
            chance: None,
            tries,
        })
    }

    /// The stages that are needed: all where faults go on, as those of watches do; else none after the last fault but
    /// the deletion.
    pub(crate) fn stages(&self) -> Vec<Stage> {
        let goes_on =
            self.chance.is_some() || self.aims.iter().any(|aim| aim.call.verb() == "watch");
        let last = self.aims.iter().map(Aim::stage).max();
        let is_needed = |stage: &Stage| goes_on || Some(*stage) <= last || *stage == Stage::Delete;
        Stage::ALL.into_iter().filter(is_needed).collect()
    }

    pub(crate) fn title(&self) -> String {
        match &self.chance {
            Some(faults) => format!("{PERCENT} % of all requests by seed {}", faults.seed()),
            None => title(&self.aims),
        }
    }

    /// The same for one stage.
    pub(crate) fn title_of(&self, stage: Stage) -> String {
        let aims = self.aims.iter().filter(|aim| aim.stage() == stage);
        format!("{stage:?} of {}", title(&aims.cloned().collect::<Vec<_>>()))
    }
}

/// Says what fails.
pub(crate) fn title(aims: &[Aim]) -> String {
    let mut all = BTreeMap::<(Stage, String), Vec<&str>>::new();
    for aim in aims {
        let Call { stage, what, .. } = &aim.call;
        let key = (*stage, format!("{:?}", aim.fate));
        all.entry(key).or_default().push(what);
    }
    let faults = all
        .iter()
        .map(|((stage, fate), calls)| format!("{stage:?}: {fate} for {}", calls.join(", ")));
    faults.collect::<Vec<_>>().join("; ")
}

impl Call {
    fn verb(&self) -> &str {
        self.what.split(' ').next().unwrap_or_default()
    }

    /// The ways in which it can fail.
    fn fates(&self) -> Vec<Fate> {
        let busy = Fate::Status {
            code: 429,
            retry_after: Some(1),
        };
        let late = Fate::Delay(LATE);
        let mut fates = vec![
            busy,
            Fate::status(500),
            Fate::DropBefore,
            Fate::DropAfter,
            late,
            Fate::Hang,
            Fate::HangAfter,
        ];
        match self.verb() {
            "list" => fates.push(Fate::status(410)),
            "watch" => {
                fates.push(Fate::status(410));
                fates.extend([0, 1, 2, 3, 5, 8, 13].map(Fate::CutWatchAfter));
                fates.extend([0, 1, 2, 3, 5, 8, 13].map(Fate::ExpireWatchAfter));
                fates.extend([0, 2].map(Fate::EndWatchAfter));
            }
            "get" => {}
            _ => fates.push(Fate::status(409)),
        }
        fates
    }
}

/// How many of its ways a call is to fail in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Share {
    /// All.
    All,
    /// One, and watches in some, by a number; the numbers one after another come to all of them.
    Some(u64),
}

impl Share {
    /// The share of some fates, where `at` is the place of what they are for.
    fn of(self, fates: Vec<Fate>, at: usize, every: usize) -> Vec<Fate> {
        let Self::Some(number) = self else {
            return fates;
        };
        let first = usize::try_from(number % every as u64).unwrap_or_default() + at;
        let is_meant = |(place, _): &(usize, Fate)| place % every == first % every;
        let fates = fates.into_iter().enumerate().filter(is_meant);
        fates.map(|(_, fate)| fate).collect()
    }
}

/// Of the fates of watches, one in so many.
const WATCHES_EVERY: usize = 6;

/// Lives in which each call of the record fails: in each life one fault in each stage, or all watches alike.
pub(crate) fn failing(record: &Record, share: Share) -> Vec<Script> {
    let mut of_calls = Vec::new();
    let mut of_watches: BTreeMap<String, Vec<Aim>> = BTreeMap::new();
    for (at, call) in record.calls().enumerate() {
        let fates = call.fates();
        let every = fates.len();
        let aim = |fate| Aim {
            call: call.clone(),
            fate,
        };
        if call.verb() == "watch" {
            for fate in share.of(fates, 0, WATCHES_EVERY) {
                of_watches
                    .entry(format!("{fate:?}"))
                    .or_default()
                    .push(aim(fate));
            }
        } else {
            of_calls.extend(share.of(fates, at, every).into_iter().map(aim));
        }
    }
    // The longest ones first.
    let of_watches = of_watches.into_values().map(Script::of);
    of_watches.chain(side_by_side(of_calls)).collect()
}

/// Lives in which something happens at each call of the record, that passes: once in each stage.
pub(crate) fn passing(record: &Record) -> Vec<Script> {
    let aims = record.calls().map(|call| Aim {
        call: call.clone(),
        fate: Fate::Pass,
    });
    side_by_side(aims.collect()).collect()
}

/// As few lives as there can be with one of these in each stage.
fn side_by_side(aims: Vec<Aim>) -> impl Iterator<Item = Script> {
    let mut by_stage: BTreeMap<Stage, Vec<Aim>> = BTreeMap::new();
    for aim in aims {
        by_stage.entry(aim.stage()).or_default().push(aim);
    }
    let most = by_stage.values().map(Vec::len).max().unwrap_or_default();
    (0..most).map(move |at| {
        let aims = by_stage.values().filter_map(|aims| aims.get(at).cloned());
        Script::of(aims.collect())
    })
}

/// Makes calls fail, and knows all that came; clones are handles to the same.
#[derive(Clone)]
pub(crate) struct Spoiler {
    script: Arc<Script>,
    now: Arc<Mutex<Now>>,
}

struct Now {
    stage: Stage,
    counts: BTreeMap<(Stage, String), usize>,
}

impl Spoiler {
    pub(crate) fn new(script: Script) -> Self {
        let now = Now {
            stage: Stage::Create,
            counts: BTreeMap::new(),
        };
        Self {
            script: Arc::new(script),
            now: Arc::new(Mutex::new(now)),
        }
    }

    /// Whether nothing is to fail.
    pub(crate) fn is_idle(&self) -> bool {
        self.script.aims.is_empty() && self.script.chance.is_none()
    }

    /// Counts anew from here on.
    pub(crate) fn enter(&self, stage: Stage) {
        self.now().stage = stage;
    }

    /// The calls of a stage so far.
    pub(crate) fn calls(&self, stage: Stage) -> BTreeSet<Call> {
        let now = self.now();
        let of_stage = now.counts.iter().filter(|((other, _), _)| *other == stage);
        of_stage
            .flat_map(|((_, what), count)| {
                (1..=*count).map(|count| Call {
                    stage,
                    what: what.clone(),
                    count,
                })
            })
            .collect()
    }

    /// Faults that met no call.
    pub(crate) fn missed(&self) -> Vec<Aim> {
        let now = self.now();
        let is_missed = |aim: &&Aim| {
            let count = now.counts.get(&(aim.call.stage, aim.call.what.clone()));
            count.is_none_or(|count| *count < aim.call.count)
        };
        let aims = &self.script.aims;
        aims.iter().filter(is_missed).cloned().collect()
    }

    /// Counts a request; the aim that it is, if it is one.
    pub(crate) fn hit(&self, request: &RequestInfo) -> Option<&Aim> {
        let mut now = self.now();
        let stage = now.stage;
        let what = what(request);
        let count = now.counts.entry((stage, what.clone())).or_default();
        *count += 1;
        let call = Call {
            stage,
            what,
            count: *count,
        };
        self.script.aims.iter().find(|aim| aim.call == call)
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan for Spoiler {
    fn fate(&self, request: &RequestInfo) -> Fate {
        let chance = self.script.chance.as_ref();
        match self.hit(request) {
            Some(aim) => aim.fate,
            None => chance.map_or(Fate::Pass, |chance| chance.fate(request)),
        }
    }
}

/// What tells a call from others, in each life alike.
fn what(request: &RequestInfo) -> String {
    let RequestInfo {
        verb,
        resource,
        subresource,
        name,
        ..
    } = request;
    let name = match resource.as_str() {
        // It has a name by chance.
        "events" => "",
        "" => request.uri.split('?').next().unwrap_or_default(),
        _ => name,
    };
    format!("{verb} {resource}/{subresource} {name}")
        .trim_end()
        .to_owned()
}
