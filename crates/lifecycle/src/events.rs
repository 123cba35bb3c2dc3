//! The stable names of this crate's log events: the value of the field `event`.

/// The order to stop was taken: `cause`, `deadline_ms`, `steps`.
pub const SHUTDOWN_STARTED: &str = "shutdown_started";
/// A step begins: `step`, `remaining_ms`.
pub const SHUTDOWN_STEP_STARTED: &str = "shutdown_step_started";
/// A step ended well: `step`, `elapsed_ms`, `remaining_ms`.
pub const SHUTDOWN_STEP_COMPLETED: &str = "shutdown_step_completed";
/// A step gave an error or panicked; the next one runs: `step`, `elapsed_ms`, `error`.
pub const SHUTDOWN_STEP_FAILED: &str = "shutdown_step_failed";
/// The deadline passed before all steps were done; the process ends with 124: `left`.
pub const SHUTDOWN_DEADLINE_EXCEEDED: &str = "shutdown_deadline_exceeded";
/// The runtime did not even notice the deadline, the watchdog ends the process with 124: `left`.
pub const SHUTDOWN_WATCHDOG_FIRED: &str = "shutdown_watchdog_fired";
/// A second signal ends the process at once: `signal`, `left`.
pub const SHUTDOWN_FORCED: &str = "shutdown_forced";
/// All steps were run: `clean`, `exit_code`, `elapsed_ms`, `errors`.
pub const SHUTDOWN_COMPLETED: &str = "shutdown_completed";
/// The whole report, whatever the end: `report` (JSON), `clean`.
pub const SHUTDOWN_REPORT: &str = "shutdown_report";
/// The report could not be written to one of its places: `path`, `error`.
pub const SHUTDOWN_REPORT_FAILED: &str = "shutdown_report_failed";
/// The report of the previous life can't be read: `path`, `error`.
pub const PREVIOUS_REPORT_UNREADABLE: &str = "previous_report_unreadable";
/// The readiness of the program is another: `status`, `reasons`.
pub const READINESS_CHANGED: &str = "readiness_changed";
