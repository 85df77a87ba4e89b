//! What was measured.

use serde::Serialize;

/// One line of the report.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Measured {
    /// The limit of one part.
    Part(Part),
    /// The whole at work.
    Row(Row),
}

/// What one part does alone, on one core.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// How much in a second.
    pub rate: f64,
    /// Of what.
    pub unit: &'static str,
}

/// What the whole does.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was done.
    pub name: &'static str,
    /// How much, in `unit`.
    pub value: f64,
    /// The unit.
    pub unit: &'static str,
    /// The figure aimed at, in the same unit.
    pub aim: f64,
    /// Whether less is better.
    pub less_is_better: bool,
    /// MB/s of event bodies, where that says something.
    pub megabytes: Option<f64>,
    /// The part that bounds it, as far as one does, and the ratio to its rate.
    pub bound: Option<(&'static str, f64)>,
    /// More that was seen.
    pub notes: Vec<String>,
}

impl Row {
    pub(super) fn new(name: &'static str, value: f64, unit: &'static str, aim: f64) -> Self {
        Self { name, value, unit, aim, less_is_better: false, megabytes: None, bound: None, notes: Vec::new() }
    }

    pub(super) fn less(mut self) -> Self {
        self.less_is_better = true;
        self
    }

    pub(super) fn megabytes(mut self, bytes_each: usize) -> Self {
        self.megabytes = Some(self.value * bytes_each as f64 / 1e6);
        self
    }

    pub(super) fn bound_by(mut self, part: &'static str) -> Self {
        self.bound = Some((part, 0.0));
        self
    }

    pub(super) fn note(mut self, note: String) -> Self {
        self.notes.push(note);
        self
    }

    /// Fills in the ratio to the part that bounds it.
    pub(super) fn compare(mut self, parts: &[Part]) -> Self {
        if let Some((name, ratio)) = &mut self.bound
            && let Some(part) = parts.iter().find(|part| part.name == *name)
        {
            *ratio = self.value / part.rate;
        }
        self
    }

    /// Whether the aim was reached.
    pub fn reached(&self) -> bool {
        if self.less_is_better { self.value <= self.aim } else { self.value >= self.aim }
    }
}
