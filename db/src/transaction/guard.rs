//! Local writes that would lose something without a word are refused.
//!
//! Merging has an answer to all of them, which is right for what others have written meanwhile, and wrong for a slip of the pen. This guards against mistakes and not
//! against races: it looks at the document as this transaction leaves it so far, and relies on nothing of it.

use serde_json::{Map, Value};

use super::{Error, Write};
use crate::{Change, Document, Path, Target, document::sum, stamp::Dot};

/// What is wrong with a change of what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// This path lies within what is there, which is no map. It would become one, with nothing in it of what it was.
    Within(Path),
    /// Numbers are added to numbers. To anything else it would do nothing.
    Increment,
    /// The sum would not be finite: it would do nothing.
    Sum,
    /// Elements are added to sets and lists. Anything else would make way for a set.
    Add,
    /// Elements are removed from sets and lists. To anything else it would do nothing.
    Remove,
}

impl Misfit {
    /// As the end of a sentence: what is wrong, and what to do about it.
    pub(super) fn told(&self) -> String {
        match self {
            Misfit::Within(path) => format!(
                "which has no fields, so that nothing can be changed at \"{path}\": set it as a whole, to a map where fields are wanted"
            ),
            Misfit::Increment => "which no number can be added to: set it to a number first".into(),
            Misfit::Sum => "and with that added it would not be finite: set it instead".into(),
            Misfit::Add => "which no element can be added to: set it to a list first".into(),
            Misfit::Remove => "which has no elements to remove: set or unset it instead".into(),
        }
    }
}

/// What a value is called.
pub(super) fn class(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

impl Write<'_> {
    /// Refuses changes that do not fit what is there, each as those before it leave the document.
    pub(super) fn must_fit(&mut self, target: &Target, changes: &[Change]) -> Result<(), Error> {
        let document = self.look(target)?;
        let misfit = match changes {
            [change] => misfit(&document.fields, change),
            several => misfit_of_several(document, several),
        };
        let Some((path, found, why)) = misfit else { return Ok(()) };
        Err(Error::Misfit { target: target.clone(), path, found, why })
    }
}

type Found = (Path, &'static str, Misfit);

fn misfit_of_several(document: &Document, changes: &[Change]) -> Option<Found> {
    let mut after = document.clone();
    changes.iter().find_map(|change| {
        let misfit = misfit(&after.fields, change);
        after.apply_unbounded(Dot::HERE, change);
        misfit
    })
}

/// The first value on the way of a change that it does not fit, or the one at its end.
fn misfit(fields: &Map<String, Value>, change: &Change) -> Option<Found> {
    let path = match change {
        Change::Set(path, _)
        | Change::Replace(path, _)
        | Change::Unset(path)
        | Change::Increment(path, _)
        | Change::Add(path, _)
        | Change::Remove(path, _, _)
        | Change::Keep(path, _, _) => path,
        Change::Create(_) | Change::Delete | Change::Undelete => return None,
    };
    let (last, parents) = path.names().split_last()?;
    let mut map = fields;
    for (index, name) in parents.iter().enumerate() {
        match map.get(name)? {
            Value::Object(inner) => map = inner,
            other => {
                let at = Path::new(&parents[..=index]);
                return Some((at, class(other), Misfit::Within(path.clone())));
            }
        }
    }
    let found = map.get(last)?;
    let why = match (change, found) {
        (Change::Increment(_, by), Value::Number(number)) => sum(number, by).is_none().then_some(Misfit::Sum),
        // Like nothing, which counts as zero or as an empty set.
        (_, Value::Null) | (Change::Add(..) | Change::Remove(..), Value::Array(_)) => None,
        (Change::Increment(..), _) => Some(Misfit::Increment),
        (Change::Add(..), _) => Some(Misfit::Add),
        (Change::Remove(..), _) => Some(Misfit::Remove),
        _ => None,
    }?;
    Some((path.clone(), class(found), why))
}
