use super::*;

/// Answers each request as `answer` says and gives the next step that is none.
fn go_on(
    election: &mut Election,
    now: Instant,
    mut answer: impl FnMut(&Request) -> Answer,
) -> Step {
    loop {
        match election.step(now, wall()) {
            Step::Ask(request) => {
                let answer = answer(&request);
                election.answer(answer, now, now);
            }
            step => return step,
        }
    }
}

/// A server that does what it is asked.
fn obey(request: &Request) -> Answer {
    match request {
        Request::Read => Answer::Missing,
        Request::Create(lease) | Request::Replace(lease) => Answer::Lease(lease.clone()),
    }
}

/// The same server, where `lease` is there already.
fn obey_with(lease: &Lease) -> impl Fn(&Request) -> Answer {
    move |request| match request {
        Request::Read => Answer::Lease(Box::new(lease.clone())),
        request => obey(request),
    }
}

fn held_by(holder: &str, seconds: i32, renewals: i64) -> Lease {
    let now = Timestamp::from_second(1_700_000_000 + renewals).unwrap();
    let mut lease = record::new("lease", "ns", holder, SECOND, now);
    lease.spec.as_mut().unwrap().lease_duration_seconds = Some(seconds);
    lease
}

#[test]
fn the_first_one_creates_the_lease_and_renews_it_without_reading() {
    let start = Instant::now();
    let mut election = election("a", start);
    let step = go_on(&mut election, start, obey);
    assert_eq!(step, Step::Wait(start + 2 * SECOND));
    assert_eq!(election.leads_until(), Some(start + 10 * SECOND));
    assert_eq!(election.holder(), Some("a"));
    let later = start + 2 * SECOND;
    let Step::Ask(request @ Request::Replace(_)) = election.step(later, wall()) else {
        panic!("a renewal is due");
    };
    election.answer(obey(&request), later, later);
    assert_eq!(election.leads_until(), Some(later + 10 * SECOND));
}

#[test]
fn a_lease_is_taken_when_it_has_looked_the_same_for_its_own_duration() {
    let start = Instant::now();
    let mut election = election("b", start);
    // Its times lie years in the past: they mean nothing.
    go_on(&mut election, start, obey_with(&held_by("a", 7, 0)));
    let renewed = held_by("a", 7, 1);
    go_on(&mut election, start + 6 * SECOND, obey_with(&renewed));
    // Renewed at 6 s: to be taken at 13 s and not before.
    let early = start + Duration::from_millis(12_900);
    go_on(&mut election, early, obey_with(&renewed));
    assert_eq!(election.leads_until(), None);
    let late = early + 2 * SECOND;
    go_on(&mut election, late, obey_with(&renewed));
    assert_eq!(election.leads_until(), Some(late + 10 * SECOND));
    assert_eq!(election.holder(), Some("b"));
}

#[test]
fn a_released_lease_is_taken_at_once() {
    let start = Instant::now();
    let mut leader = election("a", start);
    go_on(&mut leader, start, obey);
    let released = leader.release(wall()).unwrap();
    assert_eq!(record::holder(&released), None);
    assert_eq!(leader.leads_until(), None);
    assert_eq!(
        leader.release(wall()),
        None,
        "only a leader has something to give back"
    );
    let mut next = election("b", start);
    go_on(&mut next, start, obey_with(&released));
    assert_eq!(next.holder(), Some("b"));
}

#[test]
fn a_leader_that_cannot_renew_is_no_leader_after_the_deadline() {
    let start = Instant::now();
    let mut election = election("a", start);
    go_on(&mut election, start, obey);
    let mut now = start;
    let loss = loop {
        assert!(now <= start + 10 * SECOND, "it should have ended");
        match go_on(&mut election, now, |_| {
            Answer::Failed("no route".to_owned())
        }) {
            // The shell wakes up when its own leadership ends, too.
            Step::Wait(until) => now = until,
            Step::Lost(loss) => break loss,
            Step::Ask(_) => unreachable!(),
        }
    };
    assert_eq!(now, start + 10 * SECOND);
    assert_eq!(
        loss.to_string(),
        "the Lease could not be renewed for 10 s: no route"
    );
    assert_eq!(election.leads_until(), None);
    assert!(
        matches!(election.step(now + SECOND, wall()), Step::Lost(_)),
        "for ever"
    );
}

#[test]
fn a_renewal_counts_from_when_it_was_sent() {
    let start = Instant::now();
    let mut election = election("a", start);
    go_on(&mut election, start, obey);
    let sent = start + 2 * SECOND;
    let Step::Ask(request) = election.step(sent, wall()) else {
        panic!("a renewal is due");
    };
    election.answer(obey(&request), sent, sent + 4 * SECOND);
    assert_eq!(election.leads_until(), Some(sent + 10 * SECOND));
}

#[test]
fn a_leader_looks_at_once_when_the_lease_has_changed_and_renews_if_it_is_still_its_own() {
    let start = Instant::now();
    let mut election = election("a", start);
    go_on(&mut election, start, obey);
    let now = start + 2 * SECOND;
    let mut asked = Vec::new();
    go_on(&mut election, now, |request| {
        asked.push(request.clone());
        match asked.len() {
            1 => Answer::Conflict,
            _ => obey_with(&held_by("a", 15, 3))(request),
        }
    });
    assert!(
        matches!(
            asked.as_slice(),
            [Request::Replace(_), Request::Read, Request::Replace(_)]
        ),
        "{asked:?}"
    );
    assert_eq!(election.leads_until(), Some(now + 10 * SECOND));
}

#[test]
fn a_leader_whose_lease_was_taken_ends_and_names_the_other() {
    let start = Instant::now();
    let mut election = election("a", start);
    go_on(&mut election, start, obey);
    let step = go_on(&mut election, start + 2 * SECOND, |request| match request {
        Request::Read => Answer::Lease(Box::new(held_by("b", 15, 3))),
        _ => Answer::Conflict,
    });
    let holder = "b".to_owned();
    assert_eq!(step, Step::Lost(Loss::Taken { holder }));
}

#[test]
fn a_leader_makes_a_deleted_lease_again() {
    let start = Instant::now();
    let mut election = election("a", start);
    go_on(&mut election, start, obey);
    let now = start + 2 * SECOND;
    go_on(&mut election, now, |request| match request {
        Request::Replace(_) => Answer::Missing,
        request => obey(request),
    });
    assert_eq!(election.leads_until(), Some(now + 10 * SECOND));
}

#[test]
fn a_leader_enters_itself_again_when_somebody_emptied_the_lease() {
    let start = Instant::now();
    let mut election = election("a", start);
    go_on(&mut election, start, obey);
    let now = start + 2 * SECOND;
    let emptied = record::released(&held_by("a", 15, 0), wall());
    let mut n_asked = 0;
    go_on(&mut election, now, |request| {
        n_asked += 1;
        match n_asked {
            1 => Answer::Conflict,
            _ => obey_with(&emptied)(request),
        }
    });
    assert_eq!(election.holder(), Some("a"));
    assert_eq!(election.leads_until(), Some(now + 10 * SECOND));
}

#[test]
fn a_write_whose_answer_was_lost_is_recognized_as_our_own() {
    let start = Instant::now();
    let mut election = election("a", start);
    let mut stored = None;
    go_on(&mut election, start, |request| match request {
        Request::Read => Answer::Missing,
        Request::Create(lease) | Request::Replace(lease) => {
            stored = Some((**lease).clone());
            Answer::Failed("connection reset".to_owned())
        }
    });
    assert_eq!(election.leads_until(), None);
    let now = start + 2 * SECOND;
    go_on(&mut election, now, obey_with(&stored.unwrap()));
    assert_eq!(election.leads_until(), Some(now + 10 * SECOND));
}

#[test]
fn a_request_leaves_time_for_another_one() {
    let start = Instant::now();
    let mut election = election("a", start);
    assert_eq!(election.patience(start), start + 5 * SECOND);
    go_on(&mut election, start, obey);
    assert_eq!(election.patience(start + 2 * SECOND), start + 7 * SECOND);
    assert_eq!(election.patience(start + 8 * SECOND), start + 10 * SECOND);
}

#[test]
fn durations_that_let_two_lead_are_refused() {
    assert!(Timing::default().validate().is_ok());
    for (lease, renew, retry) in [(10, 10, 2), (15, 4, 2), (9, 10, 2)] {
        let timing = Timing {
            lease_duration: lease * SECOND,
            renew_deadline: renew * SECOND,
            retry_period: retry * SECOND,
        };
        assert!(timing.validate().is_err(), "{timing:?}");
    }
}
