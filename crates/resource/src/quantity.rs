//! Kubernetes' quantities as numbers, so that `1Gi` and `1024Mi` are the same.

/// A quantity in billionths, the finest step there is: exact, and ordered as quantities are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i128);

/// How many [`Amount`] steps are one.
const ONE: i128 = 1_000_000_000;

impl Amount {
    /// Reads a quantity as Kubernetes writes it: a decimal number and a suffix (`m`, `k`, `Mi`, `e3` …). `None` for
    /// anything else, and for what is out of range.
    ///
    /// As in Kubernetes, what is finer than a billionth is rounded away from zero.
    pub fn parse(text: &str) -> Option<Self> {
        let (is_negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, suffix) = unsigned.split_at(end.unwrap_or(unsigned.len()));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let is_digits = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
        if number.len() == usize::from(number.contains('.')) || !is_digits(fraction) {
            return None;
        }
        let (numerator, denominator) = scale(suffix)?;
        let decimals = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let digits = format!("0{whole}{fraction}").parse::<i128>().ok()?;
        let steps = digits.checked_mul(ONE)?.checked_mul(numerator)?;
        let steps = rounded_up(steps, decimals.checked_mul(denominator)?);
        Some(Self(if is_negative { -steps } else { steps }))
    }
}

fn rounded_up(dividend: i128, divisor: i128) -> i128 {
    dividend / divisor + i128::from(dividend % divisor != 0)
}

/// What a suffix multiplies with, as numerator and denominator.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    let binary = |power: u32| Some((1_i128 << (10 * power), 1));
    let decimal = |power: u32| Some((10_i128.pow(power), 1));
    match suffix {
        "n" => Some((1, ONE)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1_000)),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => exponent(suffix),
    }
}

fn exponent(suffix: &str) -> Option<(i128, i128)> {
    let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let ten = 10_i128.checked_pow(power.unsigned_abs())?;
    Some(if power < 0 { (1, ten) } else { (ten, 1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap_or_else(|| panic!("{text} is a quantity"))
    }

    #[test]
    fn different_spellings_of_one_quantity_are_equal() {
        for (left, right) in [
            ("1Gi", "1024Mi"),
            ("1Gi", "1073741824"),
            ("1.5Gi", "1536Mi"),
            ("0.1", "100m"),
            ("1", "1000m"),
            ("1k", "1e3"),
            ("1E", "1000P"),
            ("5e-1", "500m"),
            ("+1", "1.0"),
            (".5", "500m"),
            ("1.", "1"),
            ("-1", "-1000m"),
            ("0.0000000001", "1n"),
            ("8Ei", "9223372036854775808"),
        ] {
            assert_eq!(amount(left), amount(right), "{left} {right}");
        }
    }

    #[test]
    fn quantities_are_ordered_by_what_they_mean() {
        let texts = [
            "-1", "0", "1n", "100m", "1", "999", "1k", "1Ki", "1M", "1Mi", "1Gi", "1Ei",
        ];
        for pair in texts.windows(2) {
            assert!(amount(pair[0]) < amount(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for text in [
            "",
            ".",
            "-",
            "Gi",
            "1gi",
            "1 Gi",
            "1KI",
            "ten",
            "1.2.3",
            "1e",
            "1e3.5",
            "0x10",
            "1e99",
            "--1",
            "99999999999999999999999999999999999999999",
        ] {
            assert_eq!(Amount::parse(text), None, "{text:?}");
        }
    }
}
