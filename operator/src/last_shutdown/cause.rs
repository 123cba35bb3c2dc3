//! Why a program ended, in words.

use meshcore_lifecycle::{Report, exit_code};

use super::pod::End;

/// The longest text: the report itself is in the log.
const MAX_CHARS: usize = 256;

/// Why a program ended in the ordinary way: the label of its report, such as `SIGTERM`.
pub(super) fn of_clean(end: &End) -> String {
    end.report
        .as_ref()
        .map_or_else(|| "Completed".to_owned(), |report| report.cause.clone())
}

/// What went wrong when a program ended: `ingestor: OOMKilled (exit code 137)`.
pub(super) fn of_unclean(name: &str, end: &End) -> String {
    let text = match &end.report {
        Some(report) => reported(report),
        None => unreported(end),
    };
    bounded(&format!("{name}: {text} (exit code {})", end.exit_code))
}

/// Cuts a text that came from outside.
pub(super) fn bounded(text: &str) -> String {
    text.chars().take(MAX_CHARS).collect()
}

fn reported(report: &Report) -> String {
    let failed = report
        .phases
        .iter()
        .filter(|phase| phase.outcome.is_error());
    let failed = failed.map(|phase| {
        let error = phase.error.as_deref().unwrap_or("not done in time");
        format!("{}: {error}", phase.name)
    });
    let left = (!report.left.is_empty()).then(|| format!("left: {}", report.left.join(", ")));
    let texts = std::iter::once(report.cause.clone())
        .chain(report.cause_detail.clone())
        .chain(failed)
        .chain(left);
    texts.collect::<Vec<_>>().join(", ")
}

/// Without a report, the kubelet's word and the exit code are all that there is.
fn unreported(end: &End) -> String {
    // `Error` says no more than the code does.
    if !matches!(end.reason.as_str(), "" | "Error" | "Completed") {
        return end.reason.clone();
    }
    let meaning = match u8::try_from(end.exit_code).unwrap_or(u8::MAX) {
        exit_code::CONFIG => "wrong flags or configuration",
        exit_code::STORE_REFUSED => "the store was refused",
        exit_code::IO_ERROR => "an I/O error",
        exit_code::DEADLINE => "the time to stop was over",
        129 => "SIGHUP",
        130 => "SIGINT",
        134 => "SIGABRT",
        137 => "SIGKILL",
        139 => "SIGSEGV",
        143 => "SIGTERM",
        _ => "failed",
    };
    format!("{meaning}, no report")
}
