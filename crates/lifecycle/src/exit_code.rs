//! The exit codes of every program of this project.

use crate::Signal;

/// Everything was done and nothing failed.
pub const CLEAN: u8 = 0;
/// A step or a task failed.
pub const FAILED: u8 = 1;
/// Flags or configuration are wrong; the same start would fail again.
pub const CONFIG: u8 = 2;
/// The store was refused: newer schema, old SQLite, file system, or somebody else's lock.
pub const STORE_REFUSED: u8 = 3;
/// An I/O error of the database file: what the page cache holds can no longer be believed.
pub const IO_ERROR: u8 = 74;
/// The deadline passed before everything was done.
pub const DEADLINE: u8 = 124;

/// The code of a process that a second signal ended: 128 + the signal's number.
pub const fn second_signal(signal: Signal) -> u8 {
    128 + signal.number()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_signals_give_the_codes_of_a_shell() {
        assert_eq!(second_signal(Signal::Terminate), 143);
        assert_eq!(second_signal(Signal::Interrupt), 130);
    }
}
