//! Faults by chance that come again with the same seed.

use std::time::Duration;

use super::plan::{Fate, Plan};
use super::request::RequestInfo;

/// A share of all requests fails, each in one of the ways that fit it. The fate of a request follows from the seed
/// and the request's number.
#[derive(Clone)]
pub struct SeededFaults {
    seed: u64,
    percent: u64,
    hangs: bool,
    last: u64,
    spared: fn(&RequestInfo) -> bool,
}

impl SeededFaults {
    /// Faults in `percent` of the requests, by the seed in `MESHCORE_FAULT_SEED` or a random one, which is said.
    ///
    /// # Panics
    /// When the variable holds no number.
    pub fn new(percent: u64) -> Self {
        Self::with_seed(fault_seed(), percent)
    }

    /// Faults in `percent` of the requests, by this seed.
    pub fn with_seed(seed: u64, percent: u64) -> Self {
        Self {
            seed,
            percent,
            hangs: false,
            last: u64::MAX,
            spared: |_| false,
        }
    }

    /// The seed, for messages.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Also lets requests hang until the program gives up, which makes tests as slow as its time-outs.
    #[must_use]
    pub fn with_hangs(mut self) -> Self {
        self.hangs = true;
        self
    }

    /// Spoils nothing after this many requests.
    #[must_use]
    pub fn until(mut self, number: u64) -> Self {
        self.last = number;
        self
    }

    /// Never spoils requests that `question` says yes to, such as those for Leases.
    #[must_use]
    pub fn sparing(mut self, question: fn(&RequestInfo) -> bool) -> Self {
        self.spared = question;
        self
    }

    /// The ways in which a request can fail, each as likely as the other.
    fn menu(&self, request: &RequestInfo, chance: u64) -> Vec<Fate> {
        let mut menu = vec![
            Fate::status(500),
            Fate::status(503),
            Fate::DropBefore,
            Fate::Delay(Duration::from_millis(chance % 200)),
            Fate::Status {
                code: 429,
                retry_after: Some(1),
            },
        ];
        if request.is_watch() {
            let events = usize::try_from(chance % 4).unwrap_or_default();
            menu.extend([
                Fate::CutWatchAfter(events),
                Fate::ExpireWatchAfter(events),
                Fate::status(410),
            ]);
        } else {
            menu.extend([Fate::DropAfter, Fate::status(504)]);
        }
        if request.is_write() {
            menu.push(Fate::status(409));
        }
        if self.hangs {
            menu.extend([Fate::Hang, Fate::HangAfter]);
        }
        menu
    }
}

impl Plan for SeededFaults {
    fn fate(&self, request: &RequestInfo) -> Fate {
        let chance = mixed(self.seed.wrapping_add(mixed(request.number)));
        let spared = request.number > self.last || (self.spared)(request);
        if spared || chance % 100 >= self.percent {
            return Fate::Pass;
        }
        let chance = mixed(chance);
        let menu = self.menu(request, mixed(chance));
        let at = usize::try_from(chance % menu.len() as u64).unwrap_or_default();
        menu[at]
    }
}

/// The seed in `MESHCORE_FAULT_SEED` or a random one, which is said.
///
/// # Panics
/// When the variable holds no number.
pub fn fault_seed() -> u64 {
    let seed = std::env::var("MESHCORE_FAULT_SEED").map_or_else(
        |_| crate::random(),
        |seed| seed.parse().expect("MESHCORE_FAULT_SEED is a number"),
    );
    crate::announce(&format!("faults by MESHCORE_FAULT_SEED={seed}"));
    seed
}

/// A number in which each bit depends on all bits of the one before (the finalizer of `SplitMix64`).
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(plan: &SeededFaults, verb: &'static str) -> Vec<Fate> {
        let request = |number| RequestInfo {
            number,
            verb,
            ..RequestInfo::default()
        };
        (1..=10_000)
            .map(|number| plan.fate(&request(number)))
            .collect()
    }

    #[test]
    fn equal_seeds_give_equal_faults_at_about_the_rate_asked_for() {
        let plan = SeededFaults::with_seed(7, 20);
        let fates_of_7 = fates(&plan, "patch");
        assert_eq!(fates_of_7, fates(&plan, "patch"));
        assert_ne!(fates_of_7, fates(&SeededFaults::with_seed(8, 20), "patch"));
        let faults = fates_of_7
            .iter()
            .filter(|fate| **fate != Fate::Pass)
            .count();
        assert!((1_800..2_200).contains(&faults), "{faults}");
    }

    #[test]
    fn each_kind_of_fault_comes_where_it_fits() {
        let plan = SeededFaults::with_seed(1, 100);
        let patches = fates(&plan, "patch");
        assert!(patches.contains(&Fate::status(409)));
        assert!(patches.contains(&Fate::DropAfter));
        assert!(!patches.contains(&Fate::Hang));
        assert!(fates(&plan.clone().with_hangs(), "patch").contains(&Fate::HangAfter));
        let watches = fates(&plan, "watch");
        assert!(watches.contains(&Fate::CutWatchAfter(2)));
        assert!(watches.contains(&Fate::ExpireWatchAfter(0)));
        assert!(!watches.contains(&Fate::status(409)));
        assert!(!fates(&plan, "get").contains(&Fate::status(409)));
    }

    #[test]
    fn some_requests_are_spared() {
        let plan = SeededFaults::with_seed(1, 100).until(10);
        let spoiled = fates(&plan, "get");
        assert!(spoiled[..10].iter().all(|fate| *fate != Fate::Pass));
        assert!(spoiled[10..].iter().all(|fate| *fate == Fate::Pass));
        let plan = SeededFaults::with_seed(1, 100).sparing(|request| request.verb == "get");
        assert!(fates(&plan, "get").iter().all(|fate| *fate == Fate::Pass));
    }
}
