//! The table that is printed: one line for each figure.

use std::fmt;

use crate::measure::Samples;

/// One line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// What was measured.
    name: String,
    /// What came out, with its unit.
    measured: String,
    /// What the machine could do, and what that is.
    limit: String,
    /// Measured against limit, 1 being as good as the limit.
    ratio: Option<f64>,
    /// What we want.
    target: String,
    /// Whether we have it; `None` for figures that are for information.
    met: Option<bool>,
    /// How far the rounds lay apart.
    spread: Option<f64>,
}

impl Figure {
    /// A line with no limit and no target yet.
    pub(crate) fn new(name: impl Into<String>, measured: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            measured: measured.into(),
            limit: String::new(),
            ratio: None,
            target: String::new(),
            met: None,
            spread: None,
        }
    }

    /// A line for a rate that several rounds gave, beside the rate of the limit.
    pub(crate) fn rates(
        name: impl Into<String>,
        measured: &Samples,
        limit: &Samples,
        what: &str,
    ) -> Self {
        Self::new(name, per_second(measured.median()))
            .limit(format!("{} {what}", per_second(limit.median())))
            .ratio(measured.median() / limit.median())
            .spread(measured)
    }

    /// What the machine could do.
    pub(crate) fn limit(mut self, limit: impl Into<String>) -> Self {
        self.limit = limit.into();
        self
    }

    /// Measured against limit.
    pub(crate) fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = Some(ratio);
        self
    }

    /// What we want and whether we have it. Called again, both must hold.
    pub(crate) fn target(mut self, target: &str, met: bool) -> Self {
        if !self.target.is_empty() {
            self.target.push_str(", ");
        }
        self.target.push_str(target);
        self.met = Some(self.met.unwrap_or(true) && met);
        self
    }

    /// The rounds behind the figure.
    pub(crate) fn spread(mut self, rounds: &Samples) -> Self {
        self.spread = Some(rounds.spread());
        self
    }

    fn cells(&self) -> [String; 7] {
        let verdict = match self.met {
            Some(true) => "ok",
            Some(false) => "MISSED",
            None => "",
        };
        [
            self.name.clone(),
            self.measured.clone(),
            self.limit.clone(),
            self.ratio.map(|r| format!("{r:.2}")).unwrap_or_default(),
            self.target.clone(),
            verdict.to_owned(),
            self.spread
                .map(|s| format!("{:.0} %", s * 100.0))
                .unwrap_or_default(),
        ]
    }
}

/// All lines.
pub(crate) struct Table(pub(crate) Vec<Figure>);

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [
            "figure",
            "measured",
            "limit of this machine",
            "ratio",
            "target",
            "",
            "spread",
        ];
        let mut lines = vec![head.map(str::to_owned)];
        lines.extend(self.0.iter().map(Figure::cells));
        let widths: [usize; 7] = std::array::from_fn(|n| {
            lines
                .iter()
                .map(|line| line[n].chars().count())
                .max()
                .unwrap_or(0)
        });
        for (n, line) in lines.iter().enumerate() {
            let cells: Vec<String> = line
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
            if n == 0 {
                let rules: Vec<String> = widths.iter().map(|w| "-".repeat(*w)).collect();
                writeln!(f, "{}", rules.join("  ").trim_end())?;
            }
        }
        Ok(())
    }
}

/// A rate with a unit that reads well.
pub(crate) fn per_second(rate: f64) -> String {
    if rate >= 1e6 {
        format!("{:.2} M/s", rate / 1e6)
    } else if rate >= 1e4 {
        format!("{:.1} k/s", rate / 1e3)
    } else {
        format!("{rate:.0}/s")
    }
}

#[cfg(test)]
mod tests {
    use super::{Figure, Table, per_second};

    #[test]
    fn columns_are_aligned_and_a_missed_target_says_so() {
        let table = Table(vec![
            Figure::new("a", "1")
                .target("≥ 2", false)
                .target("≥ 1", true),
            Figure::new("longer", "22").target("≤ 30", true),
        ]);
        let text = table.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[2].contains("≥ 2, ≥ 1"));
        assert!(lines[2].contains("MISSED"));
        assert_eq!(lines[2].find('1'), lines[3].find("22"));
        assert_eq!(per_second(2_340_000.0), "2.34 M/s");
    }
}
