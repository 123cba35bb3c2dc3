//! Several processes and a server whose requests are late, lost, or done and never answered, while processes stand
//! still for a while, are killed or stopped. At no instant may two of them write.

use proptest::prelude::*;

use super::*;

/// The smallest step of the simulated time.
const TICK: Duration = Duration::from_millis(50);

/// What becomes of one request.
#[derive(Clone, Copy, Debug)]
struct Fate {
    /// Ticks until the server sees it; `None` never.
    there: Option<u32>,
    /// Ticks until its answer is there; `None` never.
    back: Option<u32>,
}

/// What becomes of one process.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// It does nothing for so many ticks.
    Pause(u32),
    /// It is gone, and another one starts in its place.
    Kill,
    /// It gives the Lease back, and another one starts in its place.
    Stop,
}

/// A request on its way. It goes on when whoever sent it is gone.
#[derive(Debug)]
struct Sent {
    process: usize,
    request: Request,
    at: Instant,
    reaches: Instant,
    back: Option<u32>,
}

#[derive(Debug)]
struct Process {
    id: usize,
    election: Election,
    waits: Option<Waits>,
    paused_until: Instant,
}

#[derive(Debug)]
struct Waits {
    since: Instant,
    gives_up: Instant,
    answer: Option<(Instant, Answer)>,
}

#[derive(Debug, Default)]
struct Server {
    lease: Option<Lease>,
    version: u64,
}

impl Server {
    fn serve(&mut self, request: &Request) -> Answer {
        match (request, &self.lease) {
            (Request::Read, Some(lease)) => Answer::Lease(Box::new(lease.clone())),
            (Request::Create(_), Some(_)) => Answer::Conflict,
            (Request::Read | Request::Replace(_), None) => Answer::Missing,
            (Request::Replace(lease), Some(stored))
                if stored.metadata.resource_version != lease.metadata.resource_version =>
            {
                Answer::Conflict
            }
            (Request::Create(lease) | Request::Replace(lease), _) => self.store((**lease).clone()),
        }
    }

    fn store(&mut self, mut lease: Lease) -> Answer {
        self.version += 1;
        let version = self.version.to_string();
        lease.metadata.uid.get_or_insert_with(|| version.clone());
        lease.metadata.resource_version = Some(version);
        self.lease = Some(lease.clone());
        Answer::Lease(Box::new(lease))
    }
}

struct World {
    server: Server,
    processes: Vec<Process>,
    on_the_way: Vec<Sent>,
    fates: Vec<Fate>,
    n_requests: usize,
    n_started: usize,
    start: Instant,
    now: Instant,
}

impl World {
    fn new(n_processes: usize, fates: Vec<Fate>) -> Self {
        let now = Instant::now();
        let mut world = Self {
            server: Server::default(),
            processes: Vec::new(),
            on_the_way: Vec::new(),
            fates,
            n_requests: 0,
            n_started: 0,
            start: now,
            now,
        };
        for _ in 0..n_processes {
            let process = world.start();
            world.processes.push(process);
        }
        world
    }

    fn start(&mut self) -> Process {
        self.n_started += 1;
        Process {
            id: self.n_started,
            election: election(&format!("process-{}", self.n_started), self.now),
            waits: None,
            paused_until: self.now,
        }
    }

    /// What the clock on the wall of a process says: no two of them agree.
    fn wall(&self, process: usize) -> Timestamp {
        let skew = 1000 * i64::try_from(process).unwrap();
        wall() + (self.now - self.start) - jiff::SignedDuration::from_secs(skew)
    }

    fn trouble(&mut self, at: usize, trouble: Trouble) {
        let at = at % self.processes.len();
        match trouble {
            Trouble::Pause(ticks) => self.processes[at].paused_until = self.now + ticks * TICK,
            Trouble::Kill => self.processes[at] = self.start(),
            Trouble::Stop => {
                let wall = self.wall(self.processes[at].id);
                if let Some(lease) = self.processes[at].election.release(wall) {
                    self.server.serve(&Request::Replace(Box::new(lease)));
                }
                self.processes[at] = self.start();
            }
        }
    }

    fn tick(&mut self) {
        self.now += TICK;
        self.deliver();
        for at in 0..self.processes.len() {
            if self.processes[at].paused_until <= self.now {
                self.take_answer(at);
                self.go_on(at);
            }
        }
    }

    fn deliver(&mut self) {
        let now = self.now;
        let (arrived, on_the_way) = std::mem::take(&mut self.on_the_way)
            .into_iter()
            .partition::<Vec<_>, _>(|sent| sent.reaches <= now);
        self.on_the_way = on_the_way;
        for sent in arrived {
            let answer = self.server.serve(&sent.request);
            let mut processes = self.processes.iter_mut();
            let process = processes.find(|process| process.id == sent.process);
            if let Some(back) = sent.back
                && let Some(waits) = process.and_then(|process| process.waits.as_mut())
                && waits.since == sent.at
            {
                waits.answer = Some((now + back * TICK, answer));
            }
        }
    }

    fn take_answer(&mut self, at: usize) {
        let now = self.now;
        let process = &mut self.processes[at];
        let Some(waits) = process.waits.take() else {
            return;
        };
        match waits.answer {
            Some((when, answer)) if when <= now => {
                process.election.answer(answer, waits.since, now);
            }
            _ if waits.gives_up <= now => {
                let answer = Answer::Failed("no answer".to_owned());
                process.election.answer(answer, waits.since, now);
            }
            _ => process.waits = Some(waits),
        }
    }

    fn go_on(&mut self, at: usize) {
        let now = self.now;
        while self.processes[at].waits.is_none() {
            let wall = self.wall(self.processes[at].id);
            match self.processes[at].election.step(now, wall) {
                Step::Wait(_) => return,
                Step::Lost(_) => self.processes[at] = self.start(),
                Step::Ask(request) => self.send(at, request),
            }
        }
    }

    fn send(&mut self, at: usize, request: Request) {
        let fate = self.fates[self.n_requests % self.fates.len()];
        self.n_requests += 1;
        let process = &mut self.processes[at];
        process.waits = Some(Waits {
            since: self.now,
            gives_up: process.election.patience(self.now),
            answer: None,
        });
        if let Some(there) = fate.there {
            self.on_the_way.push(Sent {
                process: process.id,
                request,
                at: self.now,
                reaches: self.now + there * TICK,
                back: fate.back,
            });
        }
    }

    /// How many may write. What a process believes does not depend on whether it runs.
    fn leaders(&self) -> usize {
        let leads = |process: &&Process| {
            let until = process.election.leads_until();
            until.is_some_and(|until| self.now < until)
        };
        self.processes.iter().filter(leads).count()
    }

    fn holder(&self) -> Option<&str> {
        record::holder(self.server.lease.as_ref()?)
    }

    /// Makes everything well from here on.
    fn heal(&mut self) {
        self.fates = vec![Fate {
            there: Some(1),
            back: Some(1),
        }];
        for process in &mut self.processes {
            process.paused_until = self.now;
        }
    }
}

/// Most requests are quick, some take up to 8 s, one in ten is lost.
fn ticks() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![7 => (0..4_u32).prop_map(Some), 2 => (0..160_u32).prop_map(Some), 1 => Just(None)]
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = (ticks(), ticks()).prop_map(|(there, back)| Fate { there, back });
    prop::collection::vec(fate, 1..60)
}

fn troubles(ticks: usize) -> impl Strategy<Value = Vec<(usize, usize, Trouble)>> {
    let trouble = prop_oneof![
        3 => (1..600_u32).prop_map(Trouble::Pause),
        1 => Just(Trouble::Kill),
        1 => Just(Trouble::Stop),
    ];
    prop::collection::vec((0..ticks, 0..5_usize, trouble), 0..30)
}

proptest! {
    #[test]
    fn never_do_two_of_them_lead(
        n_processes in 2..5_usize,
        fates in fates(),
        troubles in troubles(1200),
    ) {
        let mut world = World::new(n_processes, fates);
        for tick in 0..1200 {
            for (_, at, trouble) in troubles.iter().filter(|(when, ..)| *when == tick) {
                world.trouble(*at, *trouble);
            }
            world.tick();
            prop_assert!(world.leaders() <= 1, "two lead after {} ticks", tick);
        }
    }

    #[test]
    fn when_the_troubles_are_over_one_leads_and_stays(
        n_processes in 1..5_usize,
        fates in fates(),
        troubles in troubles(400),
        deleted in 0..400_usize,
    ) {
        let mut world = World::new(n_processes, fates);
        for tick in 0..400 {
            for (_, at, trouble) in troubles.iter().filter(|(when, ..)| *when == tick) {
                world.trouble(*at, *trouble);
            }
            if tick == deleted {
                world.server.lease = None;
            }
            world.tick();
        }
        world.heal();
        // What is still on the way, a leader that does not know yet that it is none, and a whole Lease.
        for _ in 0..(35 * 20) {
            world.tick();
        }
        let holder = world.holder().map(str::to_owned);
        for _ in 0..(60 * 20) {
            world.tick();
            prop_assert_eq!(world.leaders(), 1);
        }
        prop_assert_eq!(holder.as_deref(), world.holder());
    }
}
