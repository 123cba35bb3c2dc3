//! Hex as people paste it.

/// Reads hex with spaces, colons, commas, `0x` and either case.
///
/// # Errors
///
/// What is wrong with it, for people.
pub(super) fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let is_separator = |c: char| c.is_whitespace() || matches!(c, ':' | ',');
    let mut digits = String::with_capacity(text.len());
    for part in text.split(is_separator) {
        let part = part
            .strip_prefix("0x")
            .or_else(|| part.strip_prefix("0X"))
            .unwrap_or(part);
        digits.push_str(part);
    }
    if let Some(wrong) = digits.chars().find(|c| !c.is_ascii_hexdigit()) {
        return Err(format!("{wrong:?} is no hex digit"));
    }
    hex::decode(&digits).map_err(|_| format!("{} hex digits are an odd number", digits.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_usual_ways_to_write_hex_are_read() {
        for text in [
            "0e01E0",
            "0x0e01e0",
            " 0E 01 E0\n",
            "0e:01:e0",
            "0x0e, 0x01, 0xe0",
        ] {
            assert_eq!(parse_hex(text), Ok(vec![0x0e, 0x01, 0xe0]), "{text}");
        }
        assert_eq!(parse_hex(""), Ok(Vec::new()));
    }

    #[test]
    fn other_text_is_refused_with_the_reason() {
        assert_eq!(parse_hex("0g").unwrap_err(), "'g' is no hex digit");
        assert_eq!(
            parse_hex("012").unwrap_err(),
            "3 hex digits are an odd number"
        );
    }
}
