//! Where in a document.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::limits::MAX_DEPTH;

/// Names of nested fields, from the outermost in. As text they are joined by dots; a dot or backslash within a name has a backslash before it.
/// The empty path is the whole document.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Path(Vec<String>);

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Two dots in a row, or one at an end.
    #[error("a name in the path {0:?} is empty")]
    EmptyName(String),
    /// A backslash before something that needs none.
    #[error("a backslash in the path {0:?} is not followed by a dot or a backslash")]
    Escape(String),
    /// More names than documents may be deep.
    #[error("a path has at most {MAX_DEPTH} names")]
    TooDeep,
}

impl Path {
    /// The path of these names.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// From its text.
    ///
    /// # Errors
    ///
    /// [`Error`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let mut names = vec![String::new()];
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let name = names.last_mut().expect("never empty");
            match character {
                '.' => names.push(String::new()),
                '\\' => match characters.next() {
                    Some(escaped @ ('.' | '\\')) => name.push(escaped),
                    Some(_) | None => return Err(Error::Escape(text.to_owned())),
                },
                other => name.push(other),
            }
        }
        if names.iter().any(String::is_empty) {
            return Err(Error::EmptyName(text.to_owned()));
        }
        if names.len() > MAX_DEPTH {
            return Err(Error::TooDeep);
        }
        Ok(Self(names))
    }

    /// Its names, from the outermost in.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether this is the whole document.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `other` is this path or lies within it.
    pub fn contains(&self, other: &Path) -> bool {
        other.0.starts_with(&self.0)
    }

    /// The path of a field within this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        let mut names = self.0.clone();
        names.push(name.to_owned());
        Self(names)
    }

    /// The value at this path; within an array a name is a position.
    pub fn get<'a>(&self, document: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        within(document.get(first)?, rest)
    }
}

/// The value at the end of these names within another one.
pub(crate) fn within<'a>(value: &'a Value, names: &[String]) -> Option<&'a Value> {
    names.iter().try_fold(value, |value, name| match value {
        Value::Object(map) => map.get(name),
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            f.write_str(&name.replace('\\', "\\\\").replace('.', "\\."))?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Path {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_round_trip_through_text() {
        for names in [vec!["a"], vec!["a.b", "c\\d"], vec!["ä", "1"]] {
            let path = Path::new(names);
            assert_eq!(Path::parse(&path.to_string()), Ok(path));
        }
        assert_eq!(Path::parse(""), Ok(Path::default()));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [".", "a.", ".a", "a..b"] {
            assert_eq!(Path::parse(text), Err(Error::EmptyName(text.to_owned())));
        }
        assert!(matches!(Path::parse("a\\n"), Err(Error::Escape(_))));
        assert!(matches!(Path::parse("a\\"), Err(Error::Escape(_))));
        assert_eq!(Path::parse(&["a"; MAX_DEPTH + 1].join(".")), Err(Error::TooDeep));
    }

    #[test]
    fn values_are_found_in_maps_and_arrays() {
        let Value::Object(document) = serde_json::json!({"a": {"b": [1, {"c": 2}]}, "s": "text"}) else {
            panic!("a map")
        };
        let at = |path: &str| Path::parse(path).unwrap().get(&document).cloned();
        assert_eq!(at("a.b.1.c"), Some(2.into()));
        assert_eq!(at("a.b.7"), None);
        assert_eq!(at("a.b.x"), None);
        assert_eq!(at("s.x"), None);
        assert_eq!(at(""), None);
    }
}
