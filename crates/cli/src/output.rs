//! What people and programs see on standard output.

pub mod batches;
pub mod kpi_table;
pub mod progress;

use std::io::IsTerminal;

use crate::args::Colour;

/// Whether and how text is coloured.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    colour: bool,
}

/// Meaning of a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// On target.
    Good,
    /// Near the target.
    Watch,
    /// Off target, or an error.
    Bad,
    /// Less important.
    Faint,
    /// A heading.
    Bold,
    /// Nothing special.
    Plain,
}

impl Style {
    /// The style for standard output.
    pub fn new(choice: Colour) -> Self {
        Style::of(choice, std::io::stdout().is_terminal())
    }

    /// The style for standard error.
    pub fn for_errors(choice: Colour) -> Self {
        Style::of(choice, std::io::stderr().is_terminal())
    }

    fn of(choice: Colour, terminal: bool) -> Self {
        let colour = match choice {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && std::env::var_os("NO_COLOR").is_none(),
        };
        Style { colour }
    }

    /// No colour at all.
    pub const fn plain() -> Self {
        Style { colour: false }
    }

    /// The text in that tone.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour || text.is_empty() || tone == Tone::Plain {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Watch => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
            Tone::Bold => "1",
            Tone::Plain => "0",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// A whole number with thin groups: `12,345`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Eight heights of a bar; gaps stay gaps.
pub fn sparkline(values: &[Option<f64>]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let known = || values.iter().flatten().copied();
    let (low, high) = (
        known().fold(f64::INFINITY, f64::min),
        known().fold(f64::NEG_INFINITY, f64::max),
    );
    values
        .iter()
        .map(|value| match value {
            None => ' ',
            Some(_) if high <= low => BARS[3],
            Some(v) => {
                let step = ((v - low) / (high - low) * 7.0).round();
                BARS[(step as usize).min(7)]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            [grouped(7), grouped(1_234), grouped(12_345_678)],
            ["7", "1,234", "12,345,678"]
        );
    }

    #[test]
    fn a_sparkline_keeps_gaps_and_does_not_invent_a_shape_for_equal_values() {
        assert_eq!(sparkline(&[Some(0.0), None, Some(7.0)]), "▁ █");
        assert_eq!(sparkline(&[Some(2.0), Some(2.0)]), "▄▄");
        assert_eq!(sparkline(&[None]), " ");
    }
}
