//! The query string of a request. A parameter that is unknown, doubled or out of range is refused: an answer
//! that silently ignored it would be a wrong one.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;

use percent_encoding::percent_decode_str;

use super::error::ApiError;

/// How much of what the client sent is repeated to it.
const SHOWN_CHARS: usize = 40;

/// The parameters of one request.
#[derive(Debug)]
pub(crate) struct Parameters<'q>(Vec<(Cow<'q, str>, Cow<'q, str>)>);

impl<'q> Parameters<'q> {
    /// Reads `query`, in which only the names in `known` may be, each once.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`].
    pub(crate) fn parse(query: Option<&'q str>, known: &[&str]) -> Result<Self, ApiError> {
        let mut parameters: Vec<(Cow<'q, str>, Cow<'q, str>)> = Vec::with_capacity(known.len());
        for pair in query
            .unwrap_or_default()
            .split('&')
            .filter(|p| !p.is_empty())
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name)?;
            if !known.contains(&name.as_ref()) {
                let instead = match known {
                    [] => "none is".to_owned(),
                    [only] => format!("only {only} is"),
                    known => format!("only {} are", known.join(", ")),
                };
                return Err(ApiError::BadRequest(format!(
                    "the parameter {:?} is not supported here, {instead}",
                    shortened(&name)
                )));
            }
            if parameters.iter().any(|(earlier, _)| *earlier == name) {
                return Err(refused(&name, &"it is there more than once"));
            }
            parameters.push((name, decoded(value)?));
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter, as text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    /// The value of a parameter that is a whole number.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`] when it is none, or not in `range`.
    pub(crate) fn number(
        &self,
        name: &str,
        range: RangeInclusive<u32>,
        default: u32,
    ) -> Result<u32, ApiError> {
        let Some(value) = self.text(name) else {
            return Ok(default);
        };
        // `parse` would take a sign, too.
        let is_digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        value
            .parse()
            .ok()
            .filter(|number| is_digits && range.contains(number))
            .ok_or_else(|| {
                let (least, most) = range.into_inner();
                let problem = format!(
                    "it must be a whole number from {least} to {most}, not {:?}",
                    shortened(value)
                );
                refused(name, &problem)
            })
    }
}

/// The text behind percent escapes, in which a plus stands for a space.
fn decoded(text: &str) -> Result<Cow<'_, str>, ApiError> {
    let not_utf8 = |_| {
        ApiError::BadRequest(format!(
            "{:?} in the query string is no UTF-8",
            shortened(text)
        ))
    };
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        let decoded = percent_decode_str(&spaced)
            .decode_utf8()
            .map_err(not_utf8)?;
        return Ok(Cow::Owned(decoded.into_owned()));
    }
    percent_decode_str(text).decode_utf8().map_err(not_utf8)
}

/// Says what is wrong with a parameter.
pub(crate) fn refused(name: &str, problem: &dyn Display) -> ApiError {
    ApiError::BadRequest(format!("the parameter {:?}: {problem}", shortened(name)))
}

/// The beginning of what a client sent.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(result: Result<impl std::fmt::Debug, ApiError>) -> String {
        result.expect_err("a refusal").to_string()
    }

    #[test]
    fn values_are_unescaped() {
        let known = ["search", "role"];
        for (query, value) in [
            ("search=caf%C3%A9+bar%2B", "café bar+"),
            ("search=%00%25", "\0%"),
            ("&&search=a=b&", "a=b"),
            ("search", ""),
            ("s%65arch=x", "x"),
            // Escapes that are none stay as they are.
            ("search=100%", "100%"),
            ("search=%zz", "%zz"),
        ] {
            let parameters = Parameters::parse(Some(query), &known).unwrap();
            assert_eq!(parameters.text("search"), Some(value), "{query}");
            assert_eq!(parameters.text("role"), None);
        }
        assert_eq!(Parameters::parse(None, &known).unwrap().text("role"), None);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let known = ["limit", "cursor"];
        let parse = |query| error(Parameters::parse(Some(query), &known));
        assert_eq!(
            parse("limit=3&type=4"),
            "the parameter \"type\" is not supported here, only limit, cursor are"
        );
        assert_eq!(
            parse("=3"),
            "the parameter \"\" is not supported here, only limit, cursor are"
        );
        assert_eq!(
            parse("limit=3&limit=3"),
            "the parameter \"limit\": it is there more than once"
        );
        assert_eq!(
            parse("limit=%ff"),
            "\"%ff\" in the query string is no UTF-8"
        );
        assert_eq!(parse("a+%ff"), "\"a+%ff\" in the query string is no UTF-8");
        assert_eq!(
            error(Parameters::parse(Some("a"), &[])),
            "the parameter \"a\" is not supported here, none is"
        );
        let long = format!("{}=1", "ä\n".repeat(1000));
        assert!(parse(&long).len() < 200);
    }

    #[test]
    fn numbers_are_whole_and_in_range() {
        let known = ["limit"];
        let number = |query: &str| {
            Parameters::parse(Some(query), &known)
                .and_then(|parameters| parameters.number("limit", 1..=1000, 50))
        };
        assert_eq!(number("").unwrap(), 50);
        assert_eq!(number("limit=1000").unwrap(), 1000);
        assert_eq!(number("limit=007").unwrap(), 7);
        for bad in [
            "",
            "0",
            "1001",
            "-1",
            "%2B5",
            "1.5",
            "1e3",
            "ten",
            "0x10",
            " 5",
            "٣",
            "99999999999999999999999999",
        ] {
            assert!(
                error(number(&format!("limit={bad}"))).starts_with(
                    "the parameter \"limit\": it must be a whole number from 1 to 1000, not "
                ),
                "{bad}"
            );
        }
    }
}
