//! How a program ended, in words and as an exit code.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use meshcore_lifecycle::exit_code;

/// The exit code of a process; one that a signal ended has 128 + its number, as in a shell.
pub(super) fn code_of(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(exit_code::FAILED)
}

/// `exit code 74 (an I/O error of the database file)`.
pub(super) fn describe(code: u8) -> String {
    match meaning(code) {
        Some(meaning) => format!("exit code {code} ({meaning})"),
        None => format!("exit code {code}"),
    }
}

fn meaning(code: u8) -> Option<&'static str> {
    Some(match code {
        exit_code::CLEAN => "clean",
        exit_code::FAILED => "a step or task failed",
        exit_code::CONFIG => "flags, configuration or port can't be used",
        exit_code::STORE_REFUSED => "the database was refused",
        exit_code::IO_ERROR => "an I/O error of the database file",
        exit_code::DEADLINE => "the deadline passed before everything was done",
        101 => "it panicked",
        130 | 143 => "a second signal ended it at once",
        134 => "it aborted",
        137 => "it was killed; was there too little memory?",
        139 => "segmentation fault",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_meaning() {
        assert_eq!(code_of(ExitStatus::from_raw(74 << 8)), 74);
        assert_eq!(code_of(ExitStatus::from_raw(9)), 137);
        assert_eq!(
            describe(74),
            "exit code 74 (an I/O error of the database file)"
        );
        assert_eq!(describe(77), "exit code 77");
    }
}
