//! Filters as people write them.
//!
//! ```text
//! year >= 1985 and (genres contains "Drama" or title = Brazil) and not exists cast
//! ```
//!
//! `not` binds tighter than `and`, `and` tighter than `or`. A path is bare (`crew.director`) or, where it has other characters than letters, digits, `_`, `-` and
//! the dot, or is a word of this syntax, in quotes. A value is anything of JSON, or a bare word, which is a string. `true` and `false` alone are the filters of every
//! document and of none; no text at all is that of every document.

use std::fmt;

use serde_json::Value;

use crate::limits::{MAX_DEPTH, MAX_QUERY_BYTES};
use crate::path::{self, Path};
use crate::query::filter::{Filter, Operator, TooLarge};

/// Words that mean something here, in either case.
const KEYWORDS: [&str; 5] = ["and", "or", "not", "exists", "contains"];
/// Words that are values.
const LITERALS: [&str; 3] = ["true", "false", "null"];
/// Parentheses and negations within one another: each level of a filter is written with two at most, `not (`, and so all that are permitted can be read again.
const MAX_WRITTEN_DEPTH: usize = 2 * MAX_DEPTH;
/// Characters of the text that an error shows on each side of its place.
const SHOWN_CHARACTERS: usize = 60;

/// Why a text is no filter, and where. It writes itself as two or three lines, with a mark below the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: Kind,
    /// Bytes before the place.
    pub at: usize,
    shown: String,
    column: usize,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    /// Something else has to stand here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A value or name begins here that does not end as it should.
    #[error("not a value: {0}")]
    Value(String),
    /// A word that begins like a number and is none.
    #[error("{0:?} is not a number; a string needs quotes")]
    Number(String),
    /// A word of the syntax in place of a name or value.
    #[error("{0:?} is a word of filters; as a name or value it needs quotes")]
    Keyword(String),
    /// A path that is none.
    #[error(transparent)]
    Path(#[from] path::Error),
    /// Too long a text.
    #[error("a filter has at most {MAX_QUERY_BYTES} bytes")]
    TooLong,
    /// Too much in it.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if !self.shown.is_empty() {
            write!(f, "\n  {}\n  {:column$}^", self.shown, "", column = self.column)?;
        }
        Ok(())
    }
}

impl Filter {
    /// From its text; see [the module](self) for the syntax.
    ///
    /// # Errors
    ///
    /// [`Error`] says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_QUERY_BYTES {
            return Err(Error { kind: Kind::TooLong, at: MAX_QUERY_BYTES, shown: String::new(), column: 0 });
        }
        let mut parser = Parser { text, at: 0 };
        parser.whole().map_err(|kind| Error::new(kind, text, parser.at))
    }
}

impl std::str::FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl Error {
    fn new(kind: Kind, text: &str, at: usize) -> Self {
        let before = &text[..at];
        let line = before.rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[at..].find('\n').map_or(text.len(), |length| at + length);
        let left = text[line..at].chars().count().saturating_sub(SHOWN_CHARACTERS);
        let column = text[line..at].chars().count() - left;
        let visible = |character: char| if character.is_control() { ' ' } else { character };
        let shown = text[line..end].chars().skip(left).take(column + SHOWN_CHARACTERS).map(visible).collect();
        Self { kind, at, shown, column }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn whole(&mut self) -> Result<Filter, Kind> {
        self.skip_space();
        if self.rest().is_empty() {
            return Ok(Filter::default());
        }
        let filter = self.any(MAX_WRITTEN_DEPTH)?;
        if !self.rest().is_empty() {
            return Err(Kind::Expected("and, or, or the end"));
        }
        filter.check()?;
        Ok(filter)
    }

    fn any(&mut self, depth: usize) -> Result<Filter, Kind> {
        self.joined("or", Filter::Any, |parser| parser.joined("and", Filter::All, |parser| parser.single(depth)))
    }

    fn joined(
        &mut self,
        word: &str,
        join: fn(Vec<Filter>) -> Filter,
        mut part: impl FnMut(&mut Self) -> Result<Filter, Kind>,
    ) -> Result<Filter, Kind> {
        let first = part(self)?;
        if !self.take_keyword(word) {
            return Ok(first);
        }
        let mut filters = vec![first, part(self)?];
        while self.take_keyword(word) {
            filters.push(part(self)?);
        }
        Ok(join(filters))
    }

    fn single(&mut self, depth: usize) -> Result<Filter, Kind> {
        let depth = depth.checked_sub(1).ok_or(TooLarge::Depth)?;
        if self.take("(") {
            let filter = self.any(depth)?;
            return if self.take(")") { Ok(filter) } else { Err(Kind::Expected("and, or, or a closing parenthesis")) };
        }
        if self.take_keyword("exists") {
            return Ok(Filter::Exists { path: self.path()?, exists: true });
        }
        if self.take_keyword("not") {
            if self.take_keyword("exists") {
                return Ok(Filter::Exists { path: self.path()?, exists: false });
            }
            return Ok(Filter::Not(Box::new(self.single(depth)?)));
        }
        match self.word() {
            "true" => {
                self.advance("true".len());
                return Ok(Filter::All(Vec::new()));
            }
            "false" => {
                self.advance("false".len());
                return Ok(Filter::Any(Vec::new()));
            }
            _ => {}
        }
        let path = self.path()?;
        if self.take_keyword("contains") {
            return Ok(Filter::Contains { path, value: self.value()? });
        }
        let operator = self.operator().ok_or(Kind::Expected("=, !=, <, <=, >, >= or contains"))?;
        Ok(Filter::Compare { path, operator, value: self.value()? })
    }

    fn operator(&mut self) -> Option<Operator> {
        // As programmers write it.
        if self.take("==") {
            return Some(Operator::Equal);
        }
        Operator::EVERY.into_iter().find(|operator| self.take(operator.symbol()))
    }

    fn path(&mut self) -> Result<Path, Kind> {
        let (text, length) = if self.rest().starts_with('"') {
            match self.json()? {
                (Value::String(text), length) => (text, length),
                _ => return Err(Kind::Expected("a path")),
            }
        } else {
            let word = self.word();
            if is_keyword(word) || LITERALS.contains(&word) {
                return Err(Kind::Keyword(word.to_owned()));
            }
            (word.to_owned(), word.len())
        };
        if text.is_empty() {
            return Err(Kind::Expected("a path, not or a parenthesis"));
        }
        let path = Path::parse(&text)?;
        self.advance(length);
        Ok(path)
    }

    fn value(&mut self) -> Result<Value, Kind> {
        if self.rest().starts_with(['"', '[', '{']) {
            let (value, length) = self.json()?;
            self.advance(length);
            return Ok(value);
        }
        let word = prefix(self.rest(), |character| character != '\\' && (is_bare(character) || character == '+'));
        let value = match word {
            "" => return Err(Kind::Expected("a value: a number, a word, or a string in double quotes")),
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            _ if word.starts_with(|first: char| first.is_numeric() || "+-.".contains(first)) => {
                serde_json::from_str(word).map(Value::Number).map_err(|_| Kind::Number(word.to_owned()))?
            }
            _ if is_keyword(word) => return Err(Kind::Keyword(word.to_owned())),
            _ => Value::from(word),
        };
        self.advance(word.len());
        Ok(value)
    }

    /// One value of JSON and its length; it does not go on if that fails, but for what is wrong within.
    fn json(&mut self) -> Result<(Value, usize), Kind> {
        let rest = self.rest();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => Ok((value, values.byte_offset())),
            None => Err(Kind::Expected("a value")),
            Some(Err(error)) => {
                let lines: usize = rest.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
                let within = (lines + error.column().saturating_sub(1)).min(rest.len());
                self.at += (0..=within).rev().find(|&at| rest.is_char_boundary(at)).unwrap_or(0);
                let reason = error.to_string();
                Err(Kind::Value(reason.split(" at line ").next().unwrap_or_default().to_owned()))
            }
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The bare word that begins here, or nothing.
    fn word(&self) -> &'a str {
        prefix(self.rest(), is_bare)
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = self.rest().starts_with(symbol);
        if found {
            self.advance(symbol.len());
        }
        found
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let word = self.word();
        let found = word.eq_ignore_ascii_case(keyword);
        if found {
            self.advance(word.len());
        }
        found
    }

    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        self.skip_space();
    }

    fn skip_space(&mut self) {
        self.at += prefix(self.rest(), char::is_whitespace).len();
    }
}

fn prefix(text: &str, is_within: impl Fn(char) -> bool) -> &str {
    &text[..text.find(|character| !is_within(character)).unwrap_or(text.len())]
}

fn is_bare(character: char) -> bool {
    character.is_alphanumeric() || "_-.\\".contains(character)
}

fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

/// A path as it stands in a filter.
pub(crate) struct Written<'a>(pub(crate) &'a Path);

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let is_plain =
            !text.is_empty() && text.chars().all(is_bare) && !is_keyword(&text) && !LITERALS.contains(&text.as_str());
        if is_plain { f.write_str(&text) } else { write!(f, "{}", Value::from(text)) }
    }
}

/// As text that [`Filter::parse`] reads again. A list of one is written as that one.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(filters) => write_joined(filters, " and ", "true", f),
            Self::Any(filters) => write_joined(filters, " or ", "false", f),
            Self::Not(filter) => write!(f, "not ({filter})"),
            Self::Compare { path, operator, value } => write!(f, "{} {} {value}", Written(path), operator.symbol()),
            Self::Exists { path, exists: true } => write!(f, "exists {}", Written(path)),
            Self::Exists { path, exists: false } => write!(f, "not exists {}", Written(path)),
            Self::Contains { path, value } => write!(f, "{} contains {value}", Written(path)),
        }
    }
}

fn write_joined(filters: &[Filter], word: &str, none: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match filters {
        [] => f.write_str(none),
        [filter] => write!(f, "{filter}"),
        _ => filters.iter().enumerate().try_for_each(|(index, filter)| {
            if index > 0 {
                f.write_str(word)?;
            }
            match filter {
                Filter::All(inner) | Filter::Any(inner) if !inner.is_empty() => write!(f, "({filter})"),
                _ => write!(f, "{filter}"),
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compare(path: &str, operator: Operator, value: Value) -> Filter {
        Filter::Compare { path: Path::parse(path).unwrap(), operator, value }
    }

    #[test]
    fn people_write_filters() {
        let text = r#"year >= 1985 and (genres contains "Drama" or title == Brazil) AND not exists cast"#;
        let genres = Filter::Contains { path: Path::new(["genres"]), value: json!("Drama") };
        let expected = Filter::All(vec![
            compare("year", Operator::AtLeast, json!(1985)),
            Filter::Any(vec![genres, compare("title", Operator::Equal, json!("Brazil"))]),
            Filter::Exists { path: Path::new(["cast"]), exists: false },
        ]);
        assert_eq!(Filter::parse(text), Ok(expected));
        assert_eq!(Filter::parse("  "), Ok(Filter::default()));
    }

    #[test]
    fn and_binds_tighter_than_or_and_not_tighter_than_both() {
        let a = || compare("a", Operator::Equal, json!(1));
        let parsed = Filter::parse("not a=1 and a=1 or a=1").unwrap();
        assert_eq!(parsed, Filter::Any(vec![Filter::All(vec![Filter::Not(Box::new(a())), a()]), a()]));
    }

    #[test]
    fn values_are_those_of_json_and_bare_words() {
        for (text, value) in [
            ("-1.5e+3", json!(-1500.0)),
            ("18446744073709551615", json!(u64::MAX)),
            ("0.30000000000000004", json!(0.1 + 0.2)),
            ("null", Value::Null),
            (r#"[1, {"a": "b c"}]"#, json!([1, {"a": "b c"}])),
            (r#""a \"quoted\" \u00e4""#, json!("a \"quoted\" ä")),
            ("Ärger", json!("Ärger")),
        ] {
            assert_eq!(
                Filter::parse(&format!("f.g != {text}")),
                Ok(compare("f.g", Operator::NotEqual, value)),
                "{text}"
            );
        }
        assert_eq!(Filter::parse(r#""and" < 1"#), Ok(compare("and", Operator::Less, json!(1))));
        assert_eq!(Filter::parse(r#""a b.c" < 1"#), Ok(compare("a b.c", Operator::Less, json!(1))));
    }

    #[test]
    fn errors_point_at_their_place() {
        for (text, message, column) in [
            ("year >= and genres", "needs quotes", 8),
            ("year 1985", "expected =, !=", 5),
            ("(a = 1", "closing parenthesis", 6),
            ("a = 1 b = 2", "expected and, or", 6),
            ("a = 1980s", "\"1980s\" is not a number", 4),
            ("a = \"open", "EOF while parsing a string", 8),
            ("a = [1, x]", "expected value", 8),
            ("a..b = 1", "is empty", 0),
            ("or", "needs quotes", 0),
            ("a = 1 and", "expected a path", 9),
            ("ä = ,", "expected a value", 4),
        ] {
            let error = Filter::parse(text).unwrap_err();
            assert!(error.to_string().contains(message), "{text}: {error}");
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.to_string().ends_with(&format!("\n  {text}\n  {}^", " ".repeat(column))), "{error}");
        }
    }

    #[test]
    fn a_place_in_a_long_text_is_shown_with_what_is_around_it() {
        let text = format!(
            "{}\n{} and ? and {}",
            "a = 1 and",
            vec!["b = 2"; 40].join(" and "),
            vec!["c = 3"; 40].join(" and ")
        );
        let error = Filter::parse(&text).unwrap_err();
        let lines: Vec<_> = error.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines[1].chars().nth(lines[2].len() - 1), Some('?'));
        assert!(lines[1].len() <= 2 * SHOWN_CHARACTERS + 2);
    }

    #[test]
    fn nesting_and_length_are_bounded() {
        for text in ["(".repeat(100_000), "not ".repeat(60_000), format!("a = {}", "[".repeat(100_000))] {
            assert!(Filter::parse(&text).is_err());
        }
        assert_eq!(Filter::parse(&" ".repeat(MAX_QUERY_BYTES + 1)).unwrap_err().kind, Kind::TooLong);
        let many = vec!["a = 1"; 1_000].join(" or ");
        assert_eq!(Filter::parse(&many).unwrap_err().kind, Kind::TooLarge(TooLarge::Conditions));
    }

    /// Each `not` is written with a parenthesis, which counted as a level of its own: from half of the permitted levels on, what was written could not be read.
    #[test]
    fn the_deepest_filters_are_read_as_they_are_written() {
        let a = || compare("a", Operator::Equal, json!(1));
        let exists = Filter::Exists { path: Path::new(["a"]), exists: true };
        let not = |inner: Filter| Filter::Not(Box::new(inner));
        let list = |inner: Filter| Filter::Any(vec![a(), Filter::All(vec![inner, a()])]);
        let deepest = [
            (1..MAX_DEPTH).fold(a(), |inner, _| not(inner)),
            (1..MAX_DEPTH).fold(exists, |inner, _| not(inner)),
            (1..MAX_DEPTH / 2).fold(a(), |inner, _| list(inner)),
            (1..MAX_DEPTH / 3).fold(a(), |inner, _| not(list(inner))),
        ];
        for filter in deepest {
            assert_eq!(filter.check(), Ok(()));
            assert_eq!(Filter::parse(&filter.to_string()), Ok(filter.clone()), "{filter}");
        }
        let too_deep = (0..MAX_DEPTH).fold(a(), |inner, _| not(inner)).to_string();
        assert_eq!(Filter::parse(&too_deep).unwrap_err().kind, Kind::TooLarge(TooLarge::Depth));
    }
}
