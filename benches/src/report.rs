//! This file prints figures: medians with their range, over a few runs.

use std::io::Write as _;

/// Prints a line.
pub fn say(line: &str) {
    // A reader that has gone wants no more lines.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// The same figure of several runs.
#[derive(Clone, Debug, Default)]
pub struct Runs(Vec<f64>);

impl Runs {
    /// Adds the figure of one more run.
    pub fn add(&mut self, figure: f64) {
        self.0.push(figure);
        self.0.sort_by(f64::total_cmp);
    }

    /// The one in the middle.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The median with the least and the largest.
    #[must_use]
    pub fn spread(&self) -> String {
        match (self.0.first(), self.0.last()) {
            (Some(least), Some(most)) => {
                format!("{} ({} to {})", round(self.median()), round(*least), round(*most))
            }
            _ => "none".into(),
        }
    }
}

/// Three digits, and no more than it takes.
#[must_use]
pub fn round(figure: f64) -> String {
    match figure.abs() {
        large if large >= 100.0 => format!("{figure:.0}"),
        middle if middle >= 10.0 => format!("{figure:.1}"),
        small if small >= 1.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

/// The figure below which `share` of the sorted `figures` lie.
#[must_use]
pub fn quantile(figures: &[u32], share: f64) -> u32 {
    let last = figures.len().saturating_sub(1);
    figures.get((last as f64 * share) as usize).copied().unwrap_or(0)
}
