//! Hexadecimal digits to bytes. Each message has a frame in them, and the crate `hex` takes several times as long.

/// The value of each digit; [`NO_DIGIT`] for every other byte.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 10 {
        digits[b'0' as usize + value as usize] = value;
        value += 1;
    }
    while value < 16 {
        digits[b'a' as usize + value as usize - 10] = value;
        digits[b'A' as usize + value as usize - 10] = value;
        value += 1;
    }
    digits
};

/// Has a bit that no value has.
const NO_DIGIT: u8 = 0x80;

/// The bytes that `text` stands for; ASCII white space does not count. `None` for anything else.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    decode_digits(text.as_bytes()).or_else(|| {
        let is_space = |byte: &u8| byte.is_ascii_whitespace();
        if !text.as_bytes().iter().any(is_space) {
            return None;
        }
        let digits: Vec<u8> = text.bytes().filter(|byte| !is_space(byte)).collect();
        decode_digits(&digits)
    })
}

fn decode_digits(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let mut seen = 0;
    let bytes = pairs.iter().map(|[high, low]| {
        let (high, low) = (DIGITS[usize::from(*high)], DIGITS[usize::from(*low)]);
        seen |= high | low;
        high << 4 | low
    });
    let bytes = bytes.collect();
    (seen & NO_DIGIT == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::decode;

    #[test]
    fn white_space_does_not_count_and_anything_else_is_refused() {
        assert_eq!(decode(" 0a\nFf 9 0\t"), Some(vec![0x0A, 0xFF, 0x90]));
        assert_eq!(decode(""), Some(vec![]));
        for bad in ["0", "0g", "g0", "0x10", "é", "１２", "0 1 2", "00\u{a0}11"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_crate_hex(text in "[0-9a-fA-F]{0,40}|[0-9a-g]{0,6}|.{0,6}") {
            let text = text.replace(|c: char| c.is_ascii_whitespace(), "");
            prop_assert_eq!(decode(&text), ::hex::decode(&text).ok());
        }
    }
}
