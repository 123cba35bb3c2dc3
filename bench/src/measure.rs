//! Samples, medians, rates.

use std::time::Duration;

/// What several rounds of one contender gave.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Adds the result of a round.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value that half of the rounds stay below.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(2)
    }

    /// The value that all but one in `n` stay below: 2 is the median, 100 is p99.
    pub(crate) fn quantile(&self, n: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let at = sorted.len() - sorted.len().div_ceil(n).min(sorted.len());
        sorted.get(at).copied().unwrap_or(f64::NAN)
    }

    /// How far the rounds lie apart, as a part of the median.
    pub(crate) fn spread(&self) -> f64 {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(0.0, f64::max);
        if self.0.len() < 2 {
            return 0.0;
        }
        (most - least) / self.median()
    }
}

/// Runs both contenders of a round; who comes first changes from round to round. `true` is ours.
pub(crate) fn alternate(
    round: usize,
    mut contender: impl FnMut(bool) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let ours_first = round.is_multiple_of(2);
    contender(ours_first)?;
    contender(!ours_first)
}

/// How many of `count` there were in each second.
pub(crate) fn rate(count: usize, took: Duration) -> f64 {
    float(count) / took.as_secs_f64()
}

/// A count as a number to divide.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts stay far below 2^52 here"
)]
pub(crate) fn float(count: usize) -> f64 {
    count as f64
}

/// A duration in milliseconds.
pub(crate) fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::Samples;

    #[test]
    fn quantiles_and_spread() {
        let samples = Samples((1..=100).map(f64::from).collect());
        assert!((samples.median() - 51.0).abs() < 1e-9);
        assert!((samples.quantile(100) - 100.0).abs() < 1e-9);
        let three = Samples(vec![3.0, 1.0, 2.0]);
        assert!((three.median() - 2.0).abs() < 1e-9);
        assert!((three.spread() - 1.0).abs() < 1e-9);
        assert!(Samples::default().median().is_nan());
    }
}
