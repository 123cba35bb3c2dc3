//! What the next pod is asked, and what its answers change.

use super::*;

fn said(program: &str) -> Told {
    Told::Report(Box::new(serde_json::from_value(report(program)).unwrap()))
}

/// A pod that was seen to run and then vanished, and one that runs after it. Gives what is asked.
fn after_a_forced_deletion(memory: &mut Memory) -> Vec<Question> {
    memory.seen(view(&pod("a", &running(), &running())));
    memory.gone(view(&pod("a", &running(), &running())));
    let (questions, _) = memory.seen(view(&pod("b", &running(), &running())));
    questions
}

fn of(questions: &[Question], program: Program) -> &Question {
    let mut questions = questions.iter();
    questions
        .find(|question| question.program == program)
        .unwrap()
}

#[test]
fn the_next_pod_is_asked_about_one_that_vanished() {
    let mut memory = Memory::default();
    let questions = after_a_forced_deletion(&mut memory);
    assert_eq!(memory.says(), json!({"podUID": "a", "observed": "None"}));
    assert_eq!(questions.len(), 2);
    assert_eq!(of(&questions, Program::Ingestor).ip, "10.0.0.7");
    assert!(!memory.answered(of(&questions, Program::Server), said("server")));
    assert!(memory.answered(of(&questions, Program::Ingestor), said("ingestor")));
    let now = memory.says();
    assert_eq!(now["podUID"], "a");
    assert_eq!(now["observed"], "Report");
    assert_eq!(now["clean"], true);
    assert_eq!(now["cause"], "SIGTERM");
    assert_eq!(now["budgetSeconds"], 60);
    assert_eq!(now["at"], "2026-11-21T10:00:06Z");
    assert_eq!(now["phases"][2]["name"], "checkpoint");
}

#[test]
fn each_program_is_asked_when_it_runs_and_once() {
    let mut memory = Memory::default();
    memory.seen(view(&pod("a", &running(), &running())));
    memory.gone(view(&pod("a", &running(), &running())));
    let (none, _) = memory.seen(view(&pod("b", &waiting(), &waiting())));
    assert_eq!(none, []);
    let (first, _) = memory.seen(view(&pod("b", &waiting(), &running())));
    let programs: Vec<_> = first.iter().map(|question| question.program).collect();
    assert_eq!(programs, [Program::Ingestor]);
    let (second, _) = memory.seen(view(&pod("b", &running(), &running())));
    let programs: Vec<_> = second.iter().map(|question| question.program).collect();
    assert_eq!(programs, [Program::Server]);
    let (third, _) = memory.seen(view(&pod("b", &running(), &running())));
    assert_eq!(third, []);
}

#[test]
fn a_pod_whose_end_was_seen_leaves_no_question() {
    let mut memory = Memory::default();
    memory.seen(view(&pod("a", &running(), &running())));
    memory.gone(view(&stopped("a")));
    let (questions, _) = memory.seen(view(&pod("b", &running(), &running())));
    assert_eq!(questions, []);
    assert_eq!(memory.says()["podUID"], "a");
}

#[test]
fn where_no_program_left_a_report_nothing_is_known() {
    for (server, ingestor) in [
        (Told::Nothing, Told::Nothing),
        (Told::Unreachable, Told::Nothing),
        (Told::Unreachable, Told::Unreachable),
    ] {
        let mut memory = Memory::default();
        let questions = after_a_forced_deletion(&mut memory);
        memory.answered(of(&questions, Program::Server), server);
        memory.answered(of(&questions, Program::Ingestor), ingestor);
        assert_eq!(memory.says(), json!({"podUID": "a", "observed": "None"}));
    }
}

#[test]
fn a_program_that_left_no_report_beside_one_that_did_was_not_clean() {
    let mut memory = Memory::default();
    let questions = after_a_forced_deletion(&mut memory);
    memory.answered(of(&questions, Program::Server), said("server"));
    memory.answered(of(&questions, Program::Ingestor), Told::Nothing);
    let now = memory.says();
    assert_eq!(now["clean"], false);
    assert_eq!(now["cause"], "SIGTERM; ingestor: left no report");
}

#[test]
fn whether_a_program_that_cannot_be_asked_was_clean_is_not_known() {
    let mut memory = Memory::default();
    let questions = after_a_forced_deletion(&mut memory);
    memory.answered(of(&questions, Program::Server), said("server"));
    memory.answered(of(&questions, Program::Ingestor), Told::Unreachable);
    let now = memory.says();
    assert_eq!(now.get("clean"), None, "{now}");
    assert_eq!(now["cause"], "SIGTERM; ingestor: not known");
}

#[test]
fn what_was_seen_of_one_program_and_said_of_the_other_is_one_summary() {
    let mut memory = Memory::default();
    let end = "2026-11-21T10:00:06Z";
    let half = deleted(pod(
        "a",
        &ended(0, "Completed", end, Some(&report("server"))),
        &running(),
    ));
    memory.seen(view(&half));
    memory.gone(view(&half));
    assert_eq!(memory.says()["observed"], "None");
    let (questions, _) = memory.seen(view(&pod("b", &running(), &running())));
    memory.answered(of(&questions, Program::Server), Told::Nothing);
    memory.answered(of(&questions, Program::Ingestor), said("ingestor"));
    let now = memory.says();
    assert_eq!(
        (&now["clean"], &now["cause"]),
        (&json!(true), &json!("SIGTERM"))
    );
    assert_eq!(now["phases"][0]["name"], "drain_http");
}

#[test]
fn an_operator_that_was_away_asks_and_does_not_say_which_pod_it_was() {
    let mut memory = Memory::default();
    let (questions, _) = memory.seen(view(&pod("c", &running(), &running())));
    memory.answered(of(&questions, Program::Server), said("server"));
    memory.answered(of(&questions, Program::Ingestor), said("ingestor"));
    let now = memory.says();
    assert_eq!(now["observed"], "Report");
    assert_eq!(now.get("podUID"), None);
    assert_eq!(now["clean"], true);
}

#[test]
fn an_operator_that_was_away_and_is_told_nothing_says_nothing() {
    let mut memory = Memory::default();
    let (questions, _) = memory.seen(view(&pod("c", &running(), &running())));
    memory.answered(of(&questions, Program::Server), Told::Nothing);
    memory.answered(of(&questions, Program::Ingestor), Told::Nothing);
    assert_eq!(memory.says(), Value::Null);
    // Half of it: whether the other one ran at all is not known.
    let mut memory = Memory::default();
    let (questions, _) = memory.seen(view(&pod("c", &running(), &running())));
    memory.answered(of(&questions, Program::Server), Told::Nothing);
    memory.answered(of(&questions, Program::Ingestor), said("ingestor"));
    assert_eq!(memory.says().get("clean"), None);
}

#[test]
fn what_was_seen_stays_when_a_restarted_operator_is_told_the_same() {
    let mut memory = Memory::default();
    memory.gone(view(&stopped("a")));
    let status = memory.current(&key(), None);

    let mut memory = Memory::default();
    let (questions, _) = memory.seen(view(&pod("b", &running(), &running())));
    assert_eq!(memory.current(&key(), status.as_ref()), status);
    memory.answered(of(&questions, Program::Server), said("server"));
    memory.answered(of(&questions, Program::Ingestor), said("ingestor"));
    assert_eq!(memory.says()["observed"], "Report");
    assert_eq!(memory.current(&key(), status.as_ref()), status);
    // An older one in the status gives way.
    let mut older = status.clone().unwrap();
    older.at = Some(
        "2026-11-20T10:00:06Z"
            .parse::<jiff::Timestamp>()
            .map(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time)
            .unwrap(),
    );
    let now = memory.current(&key(), Some(&older)).unwrap();
    assert_eq!(now.observed, Some(Observed::Report));
}

#[test]
fn what_was_reported_stays_when_a_restarted_operator_is_told_the_same() {
    let mut memory = Memory::default();
    let questions = after_a_forced_deletion(&mut memory);
    memory.answered(of(&questions, Program::Server), said("server"));
    memory.answered(of(&questions, Program::Ingestor), said("ingestor"));
    let status = memory.current(&key(), None);

    let mut memory = Memory::default();
    let (questions, _) = memory.seen(view(&pod("b", &running(), &running())));
    memory.answered(of(&questions, Program::Server), said("server"));
    memory.answered(of(&questions, Program::Ingestor), said("ingestor"));
    assert_eq!(memory.says().get("podUID"), None, "it knows less now");
    assert_eq!(memory.current(&key(), status.as_ref()), status);
}

#[test]
fn an_answer_that_comes_when_the_pod_is_another_one_means_nothing() {
    let mut memory = Memory::default();
    let questions = after_a_forced_deletion(&mut memory);
    memory.gone(view(&pod("b", &running(), &running())));
    memory.seen(view(&pod("c", &running(), &running())));
    let before = memory.says();
    assert_eq!(before["podUID"], "b");
    for question in &questions {
        assert!(!memory.answered(question, said(question.program.name())));
    }
    assert_eq!(memory.says(), before);
}

#[test]
fn a_deleted_resource_is_forgotten() {
    let mut memory = Memory::default();
    memory.gone(view(&stopped("a")));
    assert_eq!(memory.len(), 1);
    memory.forget(&key());
    assert!(memory.is_empty());
    assert_eq!(memory.says(), Value::Null);
}
