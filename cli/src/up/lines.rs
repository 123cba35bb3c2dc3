//! Bytes → lines. A line without an end can't take all memory: it is cut, and marked where it is.

use std::collections::VecDeque;

/// The longest piece of a line. Log lines hold at most a report of 4 KB; a panic may say more.
const LONGEST: usize = 64 * 1024;
/// What stands where a line was cut.
const CUT: &str = "…";

/// Collects bytes until they are a line.
#[derive(Debug, Default)]
pub(super) struct Lines {
    unfinished: Vec<u8>,
    is_continued: bool,
}

impl Lines {
    /// Takes bytes in; gives the lines that they complete, without their ends.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        while !bytes.is_empty() {
            let room = LONGEST - self.unfinished.len();
            let chunk = bytes.get(..room).unwrap_or(bytes);
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(chunk.len());
            self.unfinished
                .extend_from_slice(chunk.get(..taken).unwrap_or_default());
            bytes = bytes
                .get(taken + usize::from(end.is_some())..)
                .unwrap_or_default();
            if end.is_some() {
                lines.push(self.finish());
            } else if self.unfinished.len() == LONGEST {
                lines.push(self.cut());
            }
        }
        lines
    }

    /// What stood behind the last end of a line, if anything did.
    pub(super) fn rest(&mut self) -> Option<Vec<u8>> {
        let is_empty = self.unfinished.is_empty() && !self.is_continued;
        (!is_empty).then(|| self.finish())
    }

    fn finish(&mut self) -> Vec<u8> {
        let mut line = self.take();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        self.is_continued = false;
        line
    }

    /// Cuts between two characters.
    fn cut(&mut self) -> Vec<u8> {
        let is_inside = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
        let inside = self.unfinished.iter().rev().take(3);
        let inside = inside.take_while(|byte| is_inside(byte)).count();
        // The byte before them began the character that may not be whole; one byte alone is whole.
        let begun =
            usize::from(inside > 0 || self.unfinished.last().is_some_and(|byte| *byte >= 0xC0));
        let at = self.unfinished.len().saturating_sub(inside + begun);
        let begin_of_next = self.unfinished.split_off(at);
        let mut line = self.take();
        line.extend_from_slice(CUT.as_bytes());
        self.unfinished = begin_of_next;
        self.is_continued = true;
        line
    }

    fn take(&mut self) -> Vec<u8> {
        let text = std::mem::take(&mut self.unfinished);
        if !self.is_continued {
            return text;
        }
        let mut line = CUT.as_bytes().to_vec();
        line.extend(text);
        line
    }
}

/// The last lines of a program, to say why it ended.
#[derive(Debug, Default)]
pub(super) struct LastWords(VecDeque<String>);

impl LastWords {
    const KEPT: usize = 3;
    const LONGEST: usize = 300;

    pub(super) fn hear(&mut self, line: &[u8]) {
        let text = without_colours(&String::from_utf8_lossy(line));
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        let short: String = text.chars().take(Self::LONGEST).collect();
        self.0.push_back(short);
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// What the program itself says of its end: the last line that begins with its name.
    pub(super) fn of(&self, program: &str) -> Option<&str> {
        self.lines()
            .filter_map(|line| line.strip_prefix(program)?.strip_prefix(": "))
            .last()
    }
}

fn without_colours(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, rest) = part.split_once('m').unwrap_or(("", part));
        plain.push_str(rest);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{CUT, LONGEST, LastWords, Lines};

    fn text(lines: Vec<Vec<u8>>) -> Vec<String> {
        let lines = lines.into_iter().map(String::from_utf8);
        lines.map(|line| line.expect("UTF-8")).collect()
    }

    #[test]
    fn lines_are_whole_however_their_bytes_come() {
        let mut lines = Lines::default();
        assert!(lines.push(b"on").is_empty());
        assert_eq!(text(lines.push(b"e\ntwo\r\n\nth")), ["one", "two", ""]);
        assert_eq!(lines.rest().as_deref(), Some(&b"th"[..]));
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn nothing_of_a_very_long_line_is_lost() {
        // Three bytes each, so that a plain cut would go through one.
        let long = "€".repeat(LONGEST) + "end";
        let mut lines = Lines::default();
        let mut pieces = Vec::new();
        for chunk in format!("before\n{long}\nafter\n").as_bytes().chunks(8_000) {
            pieces.extend(text(lines.push(chunk)));
        }
        assert_eq!(pieces.first().map(String::as_str), Some("before"));
        assert_eq!(pieces.last().map(String::as_str), Some("after"));
        let pieces = &pieces[1..pieces.len() - 1];
        assert!(pieces.len() > 3 && pieces.iter().all(|piece| piece.len() <= LONGEST + 6));
        assert!(pieces[0].ends_with(CUT) && !pieces[0].starts_with(CUT));
        assert!(pieces[1].ends_with(CUT) && pieces[1].starts_with(CUT));
        let whole: String = pieces.iter().map(|piece| piece.trim_matches('…')).collect();
        assert!(whole == long);
    }

    #[test]
    fn bytes_that_are_no_text_are_cut_as_well() {
        let mut lines = Lines::default();
        let pieces = lines.push(&vec![0xBF; 3 * LONGEST]);
        assert_eq!(pieces.len(), 3);
        assert!(lines.rest().is_some());
    }

    #[test]
    fn last_words_are_few_short_and_plain() {
        let mut words = LastWords::default();
        for line in [
            "old",
            "meshcore-ingestor: first",
            "",
            "\x1b[31mred\x1b[0m text",
            "meshcore-ingestor: why",
        ] {
            words.hear(line.as_bytes());
        }
        let kept: Vec<_> = words.lines().collect();
        assert_eq!(
            kept,
            [
                "meshcore-ingestor: first",
                "red text",
                "meshcore-ingestor: why"
            ]
        );
        assert_eq!(words.of("meshcore-ingestor"), Some("why"));
        assert_eq!(words.of("meshcore-server"), None);
        words.hear("x".repeat(1000).as_bytes());
        assert!(words.lines().all(|line| line.len() <= 300));
    }
}
