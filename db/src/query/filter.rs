//! Which documents are meant.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::limits::{MAX_CONDITIONS, MAX_DEPTH, MAX_FIELDS, MAX_SORT_KEYS};
use crate::order::{Class, compare};
use crate::path::Path;

/// A condition on a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of these; without any, every document.
    All(Vec<Filter>),
    /// At least one of these; without any, no document.
    Any(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// The value at a path compared with a given one.
    Compare {
        /// Where in the document.
        path: Path,
        /// How.
        operator: Operator,
        /// With what.
        value: Value,
    },
    /// Whether there is a value at a path; `null` is one.
    Exists {
        /// Where in the document.
        path: Path,
        /// Whether there has to be one or must be none.
        exists: bool,
    },
    /// An array that has an element equal to the value, or a string that has the value, a string, within it.
    Contains {
        /// Where in the document.
        path: Path,
        /// The element or part.
        value: Value,
    },
}

/// How two values are compared.
///
/// All but `!=` are true only between values of one class (null, booleans, numbers, strings, arrays, objects), so `year > 1980` does not hold for a year that is
/// a string or is missing. `!=` is the negation of `=`, so `year != 1980` holds where the year is a string, and where it is missing. Arrays
/// are compared as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

/// A query beyond what may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// Connectives within connectives.
    #[error("the filter is nested deeper than {MAX_DEPTH} levels")]
    Depth,
    /// Everything that it is made of.
    #[error("the filter has more than {MAX_CONDITIONS} conditions")]
    Conditions,
    /// Paths to sort by.
    #[error("the query sorts by more than {MAX_SORT_KEYS} paths")]
    Sort,
    /// Paths to keep.
    #[error("the query keeps more than {MAX_FIELDS} fields")]
    Fields,
}

impl Default for Filter {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl Operator {
    /// All of them; where one begins with another, the longer first.
    pub const EVERY: [Self; 6] = [Self::NotEqual, Self::AtMost, Self::AtLeast, Self::Equal, Self::Less, Self::Greater];

    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }

    fn holds(self, left: Option<&Value>, right: &Value) -> bool {
        let order = (Class::of(left) == Class::of(Some(right))).then(|| compare(left, Some(right)));
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::NotEqual => order != Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::AtMost => order.is_some_and(Ordering::is_le),
            Self::Greater => order == Some(Ordering::Greater),
            Self::AtLeast => order.is_some_and(Ordering::is_ge),
        }
    }
}

/// Whether the document is meant. `_id` and `_mod` have to be among its fields.
pub fn matches(filter: &Filter, document: &Map<String, Value>) -> bool {
    match filter {
        Filter::All(filters) => filters.iter().all(|filter| matches(filter, document)),
        Filter::Any(filters) => filters.iter().any(|filter| matches(filter, document)),
        Filter::Not(filter) => !matches(filter, document),
        Filter::Compare { path, operator, value } => operator.holds(path.get(document), value),
        Filter::Exists { path, exists } => path.get(document).is_some() == *exists,
        Filter::Contains { path, value } => path.get(document).is_some_and(|found| contains(found, value)),
    }
}

fn contains(found: &Value, value: &Value) -> bool {
    match (found, value) {
        (Value::Array(elements), _) => elements.iter().any(|element| compare(Some(element), Some(value)).is_eq()),
        (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
        _ => false,
    }
}

impl Filter {
    /// Whether every document is meant.
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::All(filters) if filters.is_empty())
    }

    /// Checks the bounds that readers of filters keep to, for filters that were made otherwise.
    ///
    /// # Errors
    ///
    /// [`TooLarge`] says which bound.
    pub fn check(&self) -> Result<(), TooLarge> {
        let mut left = MAX_CONDITIONS;
        self.check_within(MAX_DEPTH, &mut left)
    }

    fn check_within(&self, depth: usize, left: &mut usize) -> Result<(), TooLarge> {
        *left = left.checked_sub(1).ok_or(TooLarge::Conditions)?;
        let depth = depth.checked_sub(1).ok_or(TooLarge::Depth)?;
        match self {
            Self::All(filters) | Self::Any(filters) => {
                filters.iter().try_for_each(|filter| filter.check_within(depth, left))
            }
            Self::Not(filter) => filter.check_within(depth, left),
            Self::Compare { .. } | Self::Exists { .. } | Self::Contains { .. } => Ok(()),
        }
    }

    /// Hands over every path that is looked at.
    pub(crate) fn for_each_path<'a>(&'a self, visit: &mut impl FnMut(&'a Path)) {
        match self {
            Self::All(filters) | Self::Any(filters) => filters.iter().for_each(|filter| filter.for_each_path(visit)),
            Self::Not(filter) => filter.for_each_path(visit),
            Self::Compare { path, .. } | Self::Exists { path, .. } | Self::Contains { path, .. } => visit(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(field: &Value, operator: Operator, value: &Value) -> bool {
        let document = Map::from_iter([("f".to_owned(), field.clone())]);
        matches(&Filter::Compare { path: Path::new(["f"]), operator, value: value.clone() }, &document)
    }

    #[test]
    fn comparisons_hold_only_within_a_class() {
        assert!(holds(&json!(1985.5), Operator::Greater, &json!(1985)));
        for operator in [Operator::Less, Operator::AtMost, Operator::Greater, Operator::AtLeast, Operator::Equal] {
            assert!(!holds(&json!("1985"), operator, &json!(1980)), "{operator:?}");
            assert!(!holds(&Value::Null, operator, &json!(1980)), "{operator:?}");
        }
        assert!(holds(&json!(false), Operator::Less, &json!(true)));
        assert!(holds(&Value::Null, Operator::AtMost, &Value::Null));
    }

    #[test]
    fn not_equal_is_true_where_the_path_is_missing() {
        let missing = Filter::Compare { path: Path::new(["g"]), operator: Operator::NotEqual, value: json!(1) };
        assert!(matches(&missing, &Map::new()));
        assert!(holds(&json!("1"), Operator::NotEqual, &json!(1)));
    }

    #[test]
    fn equality_looks_at_arrays_as_a_whole_and_contains_at_their_elements() {
        assert!(holds(&json!(["a", 1]), Operator::Equal, &json!(["a", 1.0])));
        assert!(!holds(&json!(["a", 1]), Operator::Equal, &json!("a")));
        let contains = |field: Value, value: Value| {
            matches(&Filter::Contains { path: Path::new(["f"]), value }, &Map::from_iter([("f".to_owned(), field)]))
        };
        assert!(contains(json!(["a", 1]), json!(1.0)));
        assert!(!contains(json!(["ab"]), json!("a")));
        assert!(contains(json!("abc"), json!("bc")));
        assert!(!contains(json!({"a": 1}), json!("a")));
    }

    #[test]
    fn filters_are_bounded() {
        let deep = (0..MAX_DEPTH).fold(Filter::default(), |inner, _| Filter::Not(Box::new(inner)));
        assert_eq!(deep.check(), Err(TooLarge::Depth));
        assert_eq!(Filter::All(vec![Filter::default(); MAX_CONDITIONS]).check(), Err(TooLarge::Conditions));
        assert_eq!(Filter::All(vec![Filter::default(); MAX_CONDITIONS - 1]).check(), Ok(()));
    }
}
