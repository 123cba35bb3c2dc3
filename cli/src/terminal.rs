//! Lines for people: messages go to standard error, results to standard output.

use thiserror::Error;

/// A command line that cannot be used, although its parts are well-formed. Exit code 2.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// Tells what went wrong, with its causes, in one line.
#[expect(
    clippy::print_stderr,
    reason = "errors of a command go to standard error"
)]
pub(crate) fn complain(err: &anyhow::Error) {
    eprintln!("error: {err:#}");
}

/// Tells how things go.
#[expect(
    clippy::print_stderr,
    reason = "messages of a command go to standard error"
)]
pub(crate) fn tell(line: &str) {
    eprintln!("{line}");
}

/// `1 message`, `2 messages`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_follow_their_number() {
        assert_eq!(counted(0, "line"), "0 lines");
        assert_eq!(counted(1, "line"), "1 line");
        assert_eq!(counted(2, "line"), "2 lines");
    }
}
