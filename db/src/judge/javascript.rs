//! Rules in JavaScript (ECMAScript 5.1 and what QuickJS has beyond it).

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::limits::{ARGUMENT_BYTES, COMPILE_STEPS, KEPT_RULES, SOURCE_BYTES, STEPS, STEPS_PER_BYTE, TEXT_BYTES};
use super::machine::{Machine, Process, Snapshot, Stopped};
use super::{Failure, Filtered, Judge, Verdict};

/// What the engine says became of a rule, as in `db/engine/engine.c`.
mod outcome {
    pub(super) const ACCEPTED: i32 = 0;
    pub(super) const DENIED: i32 = 1;
    pub(super) const REASON: i32 = 2;
    pub(super) const THROWN: i32 = 3;
}

/// Parameters of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Validator,
    Filter,
}

impl Kind {
    /// The expression of a function with this body, in strict mode. The body may end in a comment.
    fn expression(self, body: &str) -> String {
        let parameters = match self {
            Self::Validator => "writer, event, instance",
            Self::Filter => "reader, instance",
        };
        format!("(function ({parameters}) {{\"use strict\";{body}\n}})")
    }
}

/// A process that has compiled a rule and not called it, or why there is none.
type Rule = Arc<Result<Snapshot, Failure>>;

/// Judges by rules in JavaScript. Every call runs in a memory of its own; compiled rules are kept.
///
/// Making one compiles the engine, which takes some tens of milliseconds: make one for a node.
pub struct JavaScript {
    machine: Machine,
    /// The newest last.
    kept: Mutex<Vec<(Kind, String, Rule)>>,
}

impl JavaScript {
    /// Starts the engine.
    ///
    /// # Errors
    /// [`Failure::Engine`] if the machine cannot run it.
    pub fn new() -> Result<Self, Failure> {
        Ok(Self { machine: Machine::new()?, kept: Mutex::default() })
    }

    /// The rule, compiled now or before: that makes no difference, since each run has all its steps for itself.
    fn rule(&self, kind: Kind, source: &str) -> Rule {
        if let Some(rule) = self.kept(kind, source) {
            return rule;
        }
        // Two threads may compile the same at once: better than that all wait for one.
        let rule = Arc::new(self.compile(kind, source));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_RULES {
            kept.remove(0);
        }
        kept.push((kind, source.to_owned(), rule.clone()));
        rule
    }

    fn kept(&self, kind: Kind, source: &str) -> Option<Rule> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().rposition(|(other, text, _)| *other == kind && text == source)?;
        let entry = kept.remove(found);
        let rule = entry.2.clone();
        kept.push(entry);
        Some(rule)
    }

    fn compile(&self, kind: Kind, source: &str) -> Result<Snapshot, Failure> {
        if source.len() > SOURCE_BYTES {
            return Err(Failure::SourceSize);
        }
        let mut process = self.machine.start(COMPILE_STEPS)?;
        let (at, length) = process.put(&kind.expression(source))?;
        match process.call("compile", (at, length))? {
            outcome::ACCEPTED => Ok(self.machine.snapshot(&process)),
            _ => Err(Failure::Source(short(process.answer()?))),
        }
    }

    /// A process that is about to call the rule with these arguments.
    fn process(&self, kind: Kind, source: &str, arguments: &[&str]) -> Result<Process, Failure> {
        let bytes: usize = arguments.iter().map(|argument| argument.len()).sum();
        let reading = STEPS_PER_BYTE.saturating_mul(bytes as u64);
        match &*self.rule(kind, source) {
            Ok(snapshot) => Ok(self.machine.spawn(snapshot, STEPS.saturating_add(reading))?),
            Err(failure) => Err(failure.clone()),
        }
    }

    fn try_verdict(
        &self,
        source: &str,
        writer: Option<&str>,
        event: &Value,
        instance: Option<&Value>,
    ) -> Result<Verdict, Failure> {
        let (event, instance) = (json(event)?, instance.map(json).transpose()?);
        let arguments = [writer.unwrap_or_default(), &event, instance.as_deref().unwrap_or_default()];
        let mut process = self.process(Kind::Validator, source, &arguments)?;
        let (writer, writer_bytes) = process.put_or_nothing(writer)?;
        let (event, event_bytes) = process.put(&event)?;
        let (instance, instance_bytes) = process.put_or_nothing(instance.as_deref())?;
        let arguments = (writer, writer_bytes, event, event_bytes, instance, instance_bytes);
        match process.call("verdict", arguments)? {
            outcome::ACCEPTED => Ok(Verdict::Accepted),
            outcome::DENIED => Ok(Verdict::Denied(None)),
            outcome::REASON => Ok(Verdict::Denied(Some(short(process.answer()?)))),
            other => Err(thrown(other, &mut process)),
        }
    }

    fn try_filter(&self, source: &str, reader: Option<&str>, instance: &Value) -> Result<Filtered, Failure> {
        let instance = json(instance)?;
        let mut process = self.process(Kind::Filter, source, &[reader.unwrap_or_default(), &instance])?;
        let (reader, reader_bytes) = process.put_or_nothing(reader)?;
        let (instance, instance_bytes) = process.put(&instance)?;
        match process.call("filter", (reader, reader_bytes, instance, instance_bytes))? {
            outcome::ACCEPTED => {
                let text = process.answer()?;
                match serde_json::from_str(&text) {
                    Ok(Value::Object(shown)) => Ok(Filtered::Shown(shown)),
                    Ok(_) | Err(_) => Err(Failure::Result(short(text))),
                }
            }
            outcome::DENIED => Ok(Filtered::Hidden),
            outcome::REASON => Err(Failure::Result(short(process.answer()?))),
            other => Err(thrown(other, &mut process)),
        }
    }

    /// Steps that a validator takes.
    #[cfg(test)]
    pub(super) fn steps(&self, source: &str, event: &Value) -> Result<u64, Failure> {
        let mut process = self.process(Kind::Validator, source, &[])?;
        let (event, event_bytes) = process.put(&json(event)?)?;
        process.call("verdict", (0, -1, event, event_bytes, 0, -1))?;
        Ok(STEPS - process.steps_left())
    }
}

impl std::fmt::Debug for JavaScript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JavaScript").finish_non_exhaustive()
    }
}

impl Judge for JavaScript {
    fn verdict(&self, source: &str, writer: Option<&str>, event: &Value, instance: Option<&Value>) -> Verdict {
        self.try_verdict(source, writer, event, instance).unwrap_or_else(Verdict::Failed)
    }

    fn filter(&self, source: &str, reader: Option<&str>, instance: &Value) -> Filtered {
        self.try_filter(source, reader, instance).unwrap_or_else(Filtered::Failed)
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Steps => Self::Steps,
            Stopped::Depth => Self::Depth,
            Stopped::Memory => Self::Size,
            Stopped::Engine(why) => Self::Engine(why),
        }
    }
}

fn json(value: &Value) -> Result<String, Failure> {
    Some(value.to_string()).filter(|text| text.len() <= ARGUMENT_BYTES).ok_or(Failure::Size)
}

fn thrown(found: i32, process: &mut Process) -> Failure {
    match process.answer() {
        Ok(text) if found == outcome::THROWN => Failure::Thrown(short(text)),
        Ok(_) => Failure::Engine(format!("it answered {found}")),
        Err(stopped) => stopped.into(),
    }
}

/// Cut to its first bytes, at a character.
fn short(mut text: String) -> String {
    let end = (0..=TEXT_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    text
}
