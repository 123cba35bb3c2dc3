//! Topic filters: their syntax, and which of two contains the other.

/// What is subscribed to when nothing is said.
pub const DEFAULT_TOPIC: &str = "meshcore/#";

/// The longest topic filter of MQTT, in bytes.
const MAX_BYTES: usize = 65_535;

/// Checks a topic filter's syntax.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn check_topic_filter(filter: &str) -> Result<(), String> {
    if filter.is_empty() {
        return Err("the topic filter is empty".to_owned());
    }
    if filter.len() > MAX_BYTES {
        return Err(format!("the topic filter is longer than {MAX_BYTES} bytes"));
    }
    if filter.chars().any(char::is_control) {
        return Err("the topic filter holds a control character".to_owned());
    }
    let levels: Vec<&str> = filter.split('/').collect();
    for (at, level) in levels.iter().enumerate() {
        let is_last = at + 1 == levels.len();
        match *level {
            "#" if !is_last => return Err("# must be the last level".to_owned()),
            "#" | "+" => {}
            level if level.contains('#') => {
                return Err("# must stand alone as the last level, as in meshcore/#".to_owned());
            }
            level if level.contains('+') => {
                return Err("+ must stand alone in its level, as in meshcore/+/packets".to_owned());
            }
            _ => {}
        }
    }
    if levels.first() == Some(&"$share") && (levels.len() < 3 || levels.get(1) == Some(&"")) {
        return Err("a shared subscription is $share/{group}/{filter}".to_owned());
    }
    Ok(())
}

/// True if whatever `inner` matches, `outer` matches too.
pub fn covers(outer: &str, inner: &str) -> bool {
    // A leading wildcard does not match topics that begin with $, and shares are apart.
    if inner.starts_with('$') || outer.starts_with('$') {
        return outer == inner;
    }
    let (mut outer, mut inner) = (outer.split('/'), inner.split('/'));
    loop {
        match (outer.next(), inner.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(level)) if level != "#" => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}

/// Removes filters that others of the list contain: a broker may send the overlap twice.
pub fn without_covered(filters: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for filter in filters {
        if kept.iter().any(|other| covers(other, filter)) {
            continue;
        }
        kept.retain(|other| !covers(filter, other));
        kept.push(filter.clone());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::{check_topic_filter, covers, without_covered};

    #[test]
    fn filters_follow_the_rules_of_mqtt() {
        for good in [
            "#",
            "+",
            "meshcore/#",
            "meshcore/+/+/packets",
            "a",
            "/",
            "$share/g/a/#",
        ] {
            assert_eq!(check_topic_filter(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "meshcore#",
            "meshcore/#/x",
            "a/b+/c",
            "a\0b",
            "$share/g",
            "$share//a",
        ] {
            assert!(check_topic_filter(bad).is_err(), "{bad}");
        }
        assert!(check_topic_filter(&"a".repeat(65_536)).is_err());
    }

    #[test]
    fn covering_is_about_what_is_matched() {
        let cases = [
            ("#", "meshcore/#", true),
            ("meshcore/#", "meshcore", true),
            ("meshcore/#", "meshcore/SJC/+/packets", true),
            ("meshcore/+/+/packets", "meshcore/SJC/+/packets", true),
            ("meshcore/SJC/#", "meshcore/+/x", false),
            ("meshcore/+", "meshcore/#", false),
            ("meshcore/+", "meshcore/a/b", false),
            ("a", "a", true),
            ("a", "b", false),
            ("#", "$SYS/x", false),
        ];
        for (outer, inner, expected) in cases {
            assert_eq!(covers(outer, inner), expected, "{outer} {inner}");
        }
    }

    #[test]
    fn covered_filters_go_and_the_order_stays() {
        let filters = ["b", "meshcore/SJC/#", "meshcore/#", "c/+", "c/d"].map(str::to_owned);
        assert_eq!(without_covered(&filters), ["b", "meshcore/#", "c/+"]);
    }
}
