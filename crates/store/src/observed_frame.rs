//! The frame as one observer heard it. It is stored only where it can't be rebuilt: two receptions of one
//! packet with equal heads differ in their paths only, and `path_json` has the path.

use std::borrow::Cow;

use crate::known::FrameHead;
use crate::rows::Reception;

/// The payload type whose path holds signal values; its `path_json` is the list of nodes to visit.
const TRACE: u8 = 9;
/// The number of entries in the path length byte; the rest is their size.
const COUNT_BITS: u8 = 0x3f;

/// What is stored of a reception's frame: its hex, unless [`rebuild`] makes the same out of the frame of the
/// transmission. `first_head` and `is_first` tell of the frame that the transmission keeps.
pub(crate) fn to_store(
    reception: &Reception,
    first_head: FrameHead,
    is_first: bool,
) -> Option<String> {
    if reception.raw.is_empty() || is_first {
        return None;
    }
    let rebuildable = reception.path_is_frame_path && FrameHead::of(&reception.raw) == first_head;
    (!rebuildable).then(|| hex::encode_upper(&reception.raw))
}

/// The hex of an observation's frame, where the observation keeps none: the frame of its transmission with
/// the observation's path in it. Where that can't be (TRACE, no frame, a path of another form) it is the
/// transmission's own.
pub(crate) fn rebuild<'a>(first: &'a str, path_json: Option<&str>) -> Cow<'a, str> {
    path_json
        .and_then(|path| with_path(first, path))
        .map_or(Cow::Borrowed(first), Cow::Owned)
}

/// `first` with another path; `None` when nothing changes or it can't be done. Works on the digits: a frame
/// is shown far more often than it is looked into.
fn with_path(first: &str, path_json: &str) -> Option<String> {
    let header = byte_at(first, 0)?;
    if header >> 2 & 0x0f == TRACE {
        return None;
    }
    let len_at = if matches!(header & 3, 0 | 3) { 10 } else { 2 };
    let path_len = byte_at(first, len_at)?;
    let entry_digits = 2 * (usize::from(path_len >> 6) + 1);
    let path_at = len_at + 2;
    let payload_at = path_at + entry_digits * usize::from(path_len & COUNT_BITS);
    let (old_path, payload) = (first.get(path_at..payload_at)?, first.get(payload_at..)?);

    let hops: Vec<&str> = serde_json::from_str(path_json).ok()?;
    let count = u8::try_from(hops.len()).ok().filter(|n| *n <= COUNT_BITS)?;
    let is_hop =
        |hop: &&str| hop.len() == entry_digits && hop.bytes().all(|b| b.is_ascii_hexdigit());
    if !hops.iter().all(is_hop) {
        return None;
    }
    if hops.concat().eq_ignore_ascii_case(old_path) {
        return None;
    }
    let mut frame = String::with_capacity(path_at + hops.len() * entry_digits + payload.len());
    frame.push_str(first.get(..len_at)?);
    frame.push_str(&hex::encode_upper([path_len & !COUNT_BITS | count]));
    frame.extend(hops);
    frame.push_str(payload);
    Some(frame)
}

/// The byte whose two digits begin at `at`.
fn byte_at(hex: &str, at: usize) -> Option<u8> {
    let mut byte = [0];
    hex::decode_to_slice(hex.get(at..at + 2)?, &mut byte).ok()?;
    Some(byte[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_observation_replaces_that_of_the_transmission() {
        for (first, path, heard) in [
            ("1501AADEAD", r#"["AA"]"#, "1501AADEAD"),
            ("1501AADEAD", r#"["AA","BB"]"#, "1502AABBDEAD"),
            ("1501AADEAD", "[]", "1500DEAD"),
            ("1500DEAD", r#"["0B"]"#, "15010BDEAD"),
            // Entries of two bytes, and transport codes before them.
            ("1441AABBDEAD", r#"["AABB","CCDD"]"#, "1441AABBDEAD"),
            ("1542AABBCCDDDEAD", r#"["EEFF"]"#, "1541EEFFDEAD"),
            ("141234567801AADEAD", r#"["BB"]"#, "141234567801BBDEAD"),
        ] {
            assert_eq!(rebuild(first, Some(path)), heard, "{first} with {path}");
        }
    }

    #[test]
    fn what_can_not_be_rebuilt_is_the_frame_of_the_transmission() {
        let many = serde_json::to_string(&vec!["AA"; 64]).unwrap();
        for (first, path) in [
            // TRACE: the path of the frame holds signal values.
            ("2601AADEAD", r#"["BB"]"#),
            ("1501AADEAD", r#"["AABB"]"#),
            ("1501AADEAD", r#"["xy"]"#),
            ("1501AADEAD", r#"["é"]"#),
            ("1501AADEAD", r#"{"AA":1}"#),
            ("1501AADEAD", "[\"AA\""),
            ("1501AADEAD", &many),
            // No frame, or none that is whole.
            ("", r#"["AA"]"#),
            ("15", r#"["AA"]"#),
            ("1502AA", r#"["AA"]"#),
            ("not hex", r#"["AA"]"#),
            ("é1", "[]"),
            ("1é", "[]"),
        ] {
            assert_eq!(rebuild(first, Some(path)), first, "{first} with {path}");
        }
        assert_eq!(rebuild("1501AADEAD", None), "1501AADEAD");
    }
}
