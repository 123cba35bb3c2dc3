//! What is known of each resource's last pod: events and answers go in, questions and changes come out.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use meshcore_lifecycle::Report;
use meshcore_resource::{LastShutdown, Observed};

use super::pod::{End, Life, PodView, Program};
use super::{cause, summary};

/// The namespace and the name of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What a program of a living pod is to be asked for: the report of the life before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The resource.
    pub resource: ResourceKey,
    /// The pod that is asked, not the one that is asked about.
    pub pod_uid: String,
    /// Its address.
    pub ip: String,
    /// The program.
    pub program: Program,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// The program before it left this.
    Report(Box<Report>),
    /// The program before it left nothing.
    Nothing,
    /// Nobody could be asked.
    Unreachable,
}

/// What is known of each resource's last pod. One entry a resource, whose size does not grow.
#[derive(Debug, Default)]
pub struct Memory {
    known: HashMap<ResourceKey, Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The pod that there is.
    pod: Option<PodView>,
    /// The pod before it, whose end was not seen whole.
    unseen: Option<PodView>,
    /// What its successor's programs say, if they are to be asked: it was not seen whole, or nothing at all was seen.
    answers: Option<Answers>,
    last: Option<LastShutdown>,
}

/// What the programs of one pod said about those before them, in the order of [`Program::ALL`].
#[derive(Clone, Debug, Default)]
struct Answers([Answer; 2]);

#[derive(Clone, Debug, Default, PartialEq)]
enum Answer {
    #[default]
    NotAsked,
    Asked,
    /// There was a report, or there was none.
    Said(Option<Box<Report>>),
    /// It can't be asked.
    Silent,
}

impl Memory {
    /// A pod is as it is. Gives what is to be asked, and whether [`Memory::current`] may be another than before.
    pub fn seen(&mut self, mut pod: PodView) -> (Vec<Question>, bool) {
        let is_first = !self.known.contains_key(&pod.resource);
        let known = self.known.entry(pod.resource.clone()).or_default();
        let before = known.last.clone();
        match known.pod.take() {
            Some(former) if former.uid != pod.uid => known.is_gone(former),
            Some(before) => pod.remember(&before),
            None => {}
        }
        if is_first {
            known.answers = Some(Answers::default());
        }
        known.look_at(&pod);
        let questions = known.questions(&pod);
        known.pod = Some(pod);
        (questions, known.last != before)
    }

    /// A pod is gone, and was like this at the end.
    pub fn gone(&mut self, mut pod: PodView) -> bool {
        let known = self.known.entry(pod.resource.clone()).or_default();
        let before = known.last.clone();
        match known.pod.take() {
            // A late event about another pod changes nothing about the one that there is.
            Some(current) if current.uid != pod.uid => {
                known.pod = Some(current);
                return false;
            }
            Some(last_seen) => pod.remember(&last_seen),
            None => {}
        }
        known.is_gone(pod);
        known.last != before
    }

    /// These are all pods that there are, in this namespace or in all; gives the resources whose pod went unseen.
    pub fn only(&mut self, namespace: Option<&str>, uids: &HashSet<String>) -> Vec<ResourceKey> {
        let mut changed = Vec::new();
        let is_meant = |resource: &ResourceKey| namespace.is_none_or(|it| it == resource.namespace);
        let known = self.known.iter_mut();
        for (resource, known) in known.filter(|(resource, _)| is_meant(resource)) {
            let missing = known.pod.take_if(|pod| !uids.contains(&pod.uid));
            if let Some(pod) = missing {
                let before = known.last.clone();
                known.is_gone(pod);
                if known.last != before {
                    changed.push(resource.clone());
                }
            }
        }
        changed
    }

    /// The answer to a question. Gives whether [`Memory::current`] may be another than before.
    pub fn answered(&mut self, question: &Question, told: Told) -> bool {
        let Some(known) = self.known.get_mut(&question.resource) else {
            return false;
        };
        let asked = known.pod.as_ref().map(|pod| &pod.uid);
        if asked != Some(&question.pod_uid) {
            return false;
        }
        let before = known.last.clone();
        if let Some(answers) = &mut known.answers {
            *answers.of(question.program) = match told {
                Told::Report(report) => Answer::Said(Some(report)),
                Told::Nothing => Answer::Said(None),
                Told::Unreachable => Answer::Silent,
            };
            known.conclude();
        }
        known.last != before
    }

    /// How the last pod ended, where the status says `status` already.
    pub fn current(
        &self,
        resource: &ResourceKey,
        status: Option<&LastShutdown>,
    ) -> Option<LastShutdown> {
        let known = self
            .known
            .get(resource)
            .and_then(|known| known.last.as_ref());
        summary::newer(known, status).cloned()
    }

    /// The resource is deleted.
    pub fn forget(&mut self, resource: &ResourceKey) {
        self.known.remove(resource);
    }

    /// How many resources are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

impl Known {
    /// Takes what a pod shows of ends.
    fn look_at(&mut self, pod: &PodView) {
        let ended = summary::of_pod(pod).or_else(|| summary::of_restart(pod));
        if let Some(ended) = ended {
            // Of what one pod shows, the latest. Of two pods, the later one.
            let is_later = summary::newer(Some(&ended), self.last.as_ref()) == Some(&ended);
            if is_later {
                self.last = Some(ended);
            }
        }
    }

    /// A pod is gone that was last seen like this.
    fn is_gone(&mut self, mut pod: PodView) {
        pod.is_over = true;
        self.look_at(&pod);
        self.answers = None;
        let ran = |life: &Life| !matches!(life, Life::NeverRan);
        let has_run = pod.programs.iter().any(|view| ran(&view.life));
        if summary::of_pod(&pod).is_some() || !has_run {
            self.unseen = None;
            return;
        }
        self.last = Some(LastShutdown {
            pod_uid: Some(pod.uid.clone()),
            observed: Some(Observed::None),
            ..LastShutdown::default()
        });
        self.unseen = Some(pod);
        self.answers = Some(Answers::default());
    }

    /// What the programs of `pod` can be asked now. One that has started again in this pod has its own end to tell.
    fn questions(&mut self, pod: &PodView) -> Vec<Question> {
        let (Some(answers), Some(ip)) = (&mut self.answers, &pod.ip) else {
            return Vec::new();
        };
        let mut questions = Vec::new();
        for view in &pod.programs {
            let answer = answers.of(view.program);
            if *answer != Answer::NotAsked {
                continue;
            }
            if view.restarts > 0 || pod.is_over {
                *answer = Answer::Silent;
            } else if view.life == Life::Running {
                *answer = Answer::Asked;
                questions.push(Question {
                    resource: pod.resource.clone(),
                    pod_uid: pod.uid.clone(),
                    ip: ip.clone(),
                    program: view.program,
                });
            }
        }
        questions
    }

    /// Puts together what was seen and what was said, when all have spoken.
    fn conclude(&mut self) {
        let Some(answers) = &self.answers else { return };
        let is_open = |answer: &Answer| matches!(answer, Answer::NotAsked | Answer::Asked);
        if answers.0.iter().any(is_open) {
            return;
        }
        let concluded = match &self.unseen {
            Some(pod) => answers.about(pod),
            None => answers.about_nobody(),
        };
        if let Some(concluded) = concluded {
            self.last = Some(concluded);
            self.unseen = None;
        }
        self.answers = None;
    }
}

impl Answers {
    fn of(&mut self, program: Program) -> &mut Answer {
        let [server, ingestor] = &mut self.0;
        match program {
            Program::Server => server,
            Program::Ingestor => ingestor,
        }
    }

    fn reports(&self) -> Vec<(Program, Box<Report>)> {
        let answers = Program::ALL.into_iter().zip(&self.0);
        let reports = answers.filter_map(|(program, answer)| match answer {
            Answer::Said(Some(report)) => Some((program, report.clone())),
            _ => None,
        });
        reports.collect()
    }

    /// The end of a pod of which nothing was seen: which one it was is not known.
    fn about_nobody(&self) -> Option<LastShutdown> {
        let reports = self.reports();
        let told = (!reports.is_empty()).then(|| summary::of_reports(&reports))?;
        // Whoever left no report may have been killed, or may not have run at all.
        let clean = told.clean.filter(|clean| !clean || reports.len() == 2);
        Some(LastShutdown { clean, ..told })
    }

    /// The end of a pod that was seen in part; `None` when it stays as unknown as it was.
    fn about(&self, pod: &PodView) -> Option<LastShutdown> {
        let mut ends = Vec::new();
        let mut silent = Vec::new();
        for (program, answer) in Program::ALL.into_iter().zip(&self.0) {
            match (&pod.program(program).life, answer) {
                (Life::NeverRan, _) => {}
                (Life::Ended(end), _) => ends.push((program, (**end).clone())),
                (_, Answer::Said(Some(report))) => {
                    ends.push((program, End::of_report(report.clone())));
                }
                (_, answer) => silent.push((program, answer)),
            }
        }
        if ends.is_empty() {
            return None;
        }
        let ends: Vec<_> = ends.iter().map(|(program, end)| (*program, end)).collect();
        let told = summary::of_ends(&ends, Duration::ZERO);
        let (clean, cause) = with_the_silent(&told, &silent);
        Some(LastShutdown {
            pod_uid: Some(pod.uid.clone()),
            observed: Some(Observed::Report),
            budget_seconds: pod.budget_seconds(),
            clean,
            cause,
            ..told
        })
    }
}

/// A program that ran and left no report did not end cleanly; one that can't be asked may have.
fn with_the_silent(
    told: &LastShutdown,
    silent: &[(Program, &Answer)],
) -> (Option<bool>, Option<String>) {
    if silent.is_empty() {
        return (told.clean, told.cause.clone());
    }
    let left_none = silent
        .iter()
        .any(|(_, answer)| **answer == Answer::Said(None));
    let is_unclean = left_none || told.clean == Some(false);
    let texts = silent.iter().map(|(program, answer)| match answer {
        Answer::Said(None) => format!("{}: left no report", program.name()),
        _ => format!("{}: not known", program.name()),
    });
    let texts: Vec<_> = told.cause.clone().into_iter().chain(texts).collect();
    let clean = is_unclean.then_some(false);
    (clean, Some(cause::bounded(&texts.join("; "))))
}

#[cfg(test)]
mod tests;
