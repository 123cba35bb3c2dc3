//! For how long packets are gathered for a client that asked for batches.

use std::time::Duration;

/// One of a few windows. They are fixed so that clients share them, and with them the encoded batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window(usize);

/// Their lengths in milliseconds.
const MILLISECONDS: [u64; 5] = [50, 100, 250, 1000, 5000];

/// A value of `batch` that is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("batch is a number of milliseconds from 50 to 5000")]
pub(crate) struct WrongWindow;

impl Window {
    /// All there are.
    pub(crate) const ALL: [Self; MILLISECONDS.len()] =
        [Self(0), Self(1), Self(2), Self(3), Self(4)];

    /// The longest one that is not longer than what a client asked for.
    pub(crate) fn parse(text: &str) -> Result<Self, WrongWindow> {
        let asked: u64 = text.parse().map_err(|_| WrongWindow)?;
        if !(50..=5000).contains(&asked) {
            return Err(WrongWindow);
        }
        let longest = MILLISECONDS.iter().rposition(|length| *length <= asked);
        longest.map(Self).ok_or(WrongWindow)
    }

    /// Its place among [`Self::ALL`].
    pub(crate) fn index(self) -> usize {
        self.0
    }

    /// Its length.
    pub(crate) fn length(self) -> Duration {
        Duration::from_millis(MILLISECONDS[self.0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_rounded_down_to_a_window() {
        for (asked, length) in [
            ("50", 50),
            ("99", 50),
            ("100", 100),
            ("999", 250),
            ("5000", 5000),
        ] {
            let window = Window::parse(asked).unwrap();
            assert_eq!(window.length(), Duration::from_millis(length), "{asked}");
        }
        for wrong in [
            "",
            "0",
            "49",
            "5001",
            "-1",
            "50ms",
            "1e2",
            "99999999999999999999",
        ] {
            assert_eq!(Window::parse(wrong), Err(WrongWindow), "{wrong}");
        }
    }
}
