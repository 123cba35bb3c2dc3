//! The rules of the resource that its types don't have, each with the sentence that says what to do. An API server
//! checks them by CEL, `validate` in Rust; both take the sentence from here, and the texts' patterns too.

mod object;
mod text;

use kube::core::{Message, Rule};

pub(crate) use object::*;
pub(crate) use text::*;

/// A rule between fields of one object, or between an object and what it was before.
#[derive(Debug)]
pub(crate) struct ObjectRule {
    /// True if it holds, in CEL.
    pub(crate) cel: &'static str,
    /// What is wrong, and what to write instead.
    pub(crate) message: Sentence,
    /// The field it is about, below the object; empty for the object itself.
    pub(crate) field: &'static str,
}

/// What is said when a rule does not hold.
#[derive(Debug)]
pub(crate) enum Sentence {
    /// Always the same.
    Fixed(&'static str),
    /// Put together by CEL; Rust puts it together where it checks the rule.
    Cel(&'static str),
}

impl ObjectRule {
    /// The sentence of a rule that has a fixed one.
    pub(crate) fn message(&self) -> &'static str {
        match self.message {
            Sentence::Fixed(message) => message,
            Sentence::Cel(_) => {
                unreachable!("the caller knows that this sentence has values in it")
            }
        }
    }

    /// As it stands in the schema.
    pub(crate) fn rule(&self) -> Rule {
        let rule = Rule::new(self.cel).message(match self.message {
            Sentence::Fixed(message) => Message::Message(message.to_owned()),
            Sentence::Cel(message) => Message::Expression(message.to_owned()),
        });
        match self.field {
            "" => rule,
            field => rule.field_path(field),
        }
    }
}

/// Adds rules to the schema of an object, after those that are there.
fn add(schema: &mut schemars::Schema, rules: impl IntoIterator<Item = Rule>) {
    for rule in rules {
        kube::core::validate(schema, rule).expect("a rule is JSON");
    }
}
