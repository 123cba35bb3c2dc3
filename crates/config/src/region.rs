//! Region codes.

/// Reads a region code (letters, digits, `-` and `_`, at most 32) into upper case.
///
/// # Errors
/// A sentence that says what to write.
pub fn region_code(text: &str) -> Result<String, String> {
    let region = text.trim().to_uppercase();
    let is_allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    if region.is_empty() || region.chars().count() > 32 || !region.chars().all(is_allowed) {
        return Err("must be a region code such as SJC: letters, digits, - and _".to_owned());
    }
    Ok(region)
}

#[cfg(test)]
mod tests {
    use super::region_code;

    #[test]
    fn codes_are_trimmed_and_upper_case() {
        assert_eq!(region_code(" sjc ").as_deref(), Ok("SJC"));
        for bad in ["", "S J C", "SJC/#", &"A".repeat(33)] {
            assert!(region_code(bad).is_err(), "{bad}");
        }
    }
}
