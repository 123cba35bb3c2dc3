//! Log levels.

/// Reads a log level or a filter such as `info,sqlx=warn`; a level is given back in lower case.
///
/// # Errors
/// A sentence that says what to write.
pub fn log_level(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.to_ascii_lowercase().as_str() {
        "warning" => Ok("warn".to_owned()),
        word @ ("off" | "error" | "warn" | "info" | "debug" | "trace") => Ok(word.to_owned()),
        _ if text.contains(['=', ',']) => Ok(text.to_owned()),
        _ => Err(
            "must be error, warn, info, debug or trace, or a filter such as info,sqlx=warn"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::log_level;

    #[test]
    fn levels_and_filters_are_taken_and_typing_errors_are_not() {
        assert_eq!(log_level(" INFO").as_deref(), Ok("info"));
        assert_eq!(log_level("Warning").as_deref(), Ok("warn"));
        assert_eq!(log_level("info,sqlx=warn").as_deref(), Ok("info,sqlx=warn"));
        assert!(log_level("inof").is_err() && log_level("").is_err());
    }
}
