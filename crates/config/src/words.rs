//! What serde says of a wrong value, for people who write configuration files.

/// serde's words for types, in the words of people who write configuration files.
pub fn in_plain_words(message: &str) -> String {
    const WORDS: [(&str, &str); 14] = [
        (
            "expected fewer elements in array",
            "expected a pair [latitude, longitude]",
        ),
        (
            "expected u64",
            "expected a whole number, zero or more, without quotes",
        ),
        ("expected i64", "expected a whole number without quotes"),
        ("expected f64", "expected a number without quotes"),
        (
            "expected a boolean",
            "expected true or false without quotes",
        ),
        ("expected a sequence", "expected a list"),
        ("expected path string", "expected a file name"),
        (
            "expected an array of length 2",
            "expected a pair [latitude, longitude]",
        ),
        // What serde calls a word out of a list.
        ("expected string or map", "expected a text (in quotes)"),
        ("expected a map", "expected keys and values"),
        ("expected a string", "expected a text (in quotes)"),
        ("invalid type: ", "wrong type: "),
        ("sequence,", "a list,"),
        ("map,", "keys and values,"),
    ];
    let mut text = message.to_owned();
    if let Some(at) = text.find("expected struct ") {
        text.truncate(at);
        text.push_str("expected keys and values");
    }
    // Whatever stands in quotes may be an address with a password in the wrong place.
    if let (Some(start), Some(end)) = (text.find("string \""), text.rfind("\", expected ")) {
        text.replace_range(start..=end, "a text");
    }
    for (from, to) in WORDS {
        text = text.replace(from, to);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::in_plain_words;

    #[test]
    fn types_have_plain_names_and_values_in_quotes_are_not_repeated() {
        assert_eq!(
            in_plain_words("invalid type: string \"hunter2\", expected a sequence"),
            "wrong type: a text, expected a list"
        );
        assert_eq!(
            in_plain_words("invalid type: integer `5`, expected struct MqttSource"),
            "wrong type: integer `5`, expected keys and values"
        );
    }
}
