//! What was found, as a reader wants it.

use std::fmt;

/// One number a round.
#[derive(Debug, Clone, Default)]
pub struct Rounds(Vec<f64>);

impl Rounds {
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    pub fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }

    pub fn least(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub fn most(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// Median and range.
    pub fn told(&self, number: impl Fn(f64) -> String) -> String {
        let end = |value: Option<&f64>| number(value.copied().unwrap_or(f64::NAN));
        format!("{} [{} – {}]", number(self.median()), end(self.0.first()), end(self.0.last()))
    }
}

impl FromIterator<f64> for Rounds {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut rounds = Self::default();
        values.into_iter().for_each(|value| rounds.push(value));
        rounds
    }
}

/// What a figure must be.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

impl Wanted {
    fn held(self, found: f64) -> bool {
        match self {
            Self::AtLeast(least) => found >= least,
            Self::AtMost(most) => found <= most,
        }
    }
}

/// The table in Markdown.
#[derive(Default)]
pub struct Table(Vec<[String; 4]>);

impl Table {
    /// A figure that must hold, judged by its median; `number` prints it with its unit.
    pub fn figure(&mut self, what: &str, wanted: Wanted, found: &Rounds, number: impl Fn(f64) -> String) {
        let verdict = if wanted.held(found.median()) { "held" } else { "**missed**" };
        let wanted = match wanted {
            Wanted::AtLeast(least) => format!("≥ {}", number(least)),
            Wanted::AtMost(most) => format!("≤ {}", number(most)),
        };
        self.0.push([what.to_owned(), wanted, found.told(number), verdict.to_owned()]);
    }

    /// What is merely stated.
    pub fn stated(&mut self, what: &str, found: String) {
        self.0.push([what.to_owned(), String::new(), found, String::new()]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | wanted | median [min – max] | |\n|---|---|---|---|")?;
        for [what, wanted, found, verdict] in &self.0 {
            writeln!(f, "| {what} | {wanted} | {found} | {verdict} |")?;
        }
        Ok(())
    }
}

pub fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

/// So many a second, with three digits.
pub fn per_second(value: f64) -> String {
    let digits = 10_f64.powf((value.max(1.0).log10().floor() - 2.0).max(0.0));
    format!("{}/s", (value / digits).round() * digits)
}

pub fn ms(value: f64) -> String {
    format!("{value:.1} ms")
}

pub fn mib(value: f64) -> String {
    format!("{value:.1} MiB")
}
