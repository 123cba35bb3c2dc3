//! The forms of time in the v3 schema: RFC 3339 text in whole seconds, and unix seconds.

use jiff::Timestamp;

/// The time as v3 stores it in text columns, for example `2026-11-21T04:06:00Z`.
pub(crate) fn text(unix_seconds: i64) -> String {
    // Out of range only beyond the year 9999: then the nearest end of what can be written.
    Timestamp::from_second(unix_seconds.min(Timestamp::MAX.as_second()))
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}

/// The time of now in the form of [`text`].
pub(crate) fn now_text() -> String {
    text(Timestamp::now().as_second())
}

/// The time of now in unix seconds.
pub(crate) fn now_seconds() -> i64 {
    Timestamp::now().as_second()
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_is_rfc_3339_in_whole_seconds() {
        assert_eq!(super::text(0), "1970-01-01T00:00:00Z");
        assert_eq!(super::text(1_772_000_030), "2026-02-25T06:13:50Z");
        assert_eq!(super::text(i64::MAX).len(), 20);
    }
}
