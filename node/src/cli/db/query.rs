//! A query as arguments: a filter, flags, and JSON for all that these cannot say.

use std::path::Path as FilePath;
use std::str::FromStr;

use serde_json::{Map, Value, json};
use spool_db::Path;
use spool_db::limits::MAX_QUERY_BYTES;
use spool_db::query::{self, Filter};

use super::super::exit::Failure;
use super::super::input;
use super::assign::field_path;

/// What to find.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Query {
    /// Which documents, such as 'year >= 1985 and genres contains Drama'; docs/queries.md has the syntax [default: all]
    pub(super) filter: Option<String>,
    /// The query as JSON, `-` for standard input; what it says cannot be said by a flag as well
    #[arg(long, value_name = "JSON")]
    pub(super) query: Option<String>,
    /// Sort by this path, in descending order with `:desc` behind it; can be repeated
    #[arg(long, value_name = "PATH[:desc]")]
    pub(super) sort: Vec<Sort>,
    /// At most so many documents
    #[arg(long, short = 'n', value_name = "COUNT")]
    pub(super) limit: Option<usize>,
    /// Leave out so many at the beginning
    #[arg(long, value_name = "COUNT")]
    pub(super) skip: Option<usize>,
    /// Begin after the document of this id
    #[arg(long, value_name = "ID")]
    pub(super) after: Option<String>,
    /// Keep only these paths, and the id
    #[arg(long, value_name = "PATH,...", value_delimiter = ',', value_parser = field_path)]
    pub(super) fields: Vec<Path>,
    /// Use this index
    #[arg(long, value_name = "NAME")]
    pub(super) index: Option<String>,
}

/// One path to sort by.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sort {
    path: Path,
    descending: bool,
}

impl FromStr for Sort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, descending) = match text.rsplit_once(':') {
            Some((path, "desc")) => (path, true),
            Some((path, "asc")) => (path, false),
            Some((_, other)) => {
                return Err(format!("{other:?} is no direction; for a path with a colon in it write {text}:asc"));
            }
            None => (text, false),
        };
        Ok(Self { path: field_path(path)?, descending })
    }
}

/// What is sent, and which paths are to be shown.
#[derive(Debug)]
pub(super) struct Asked {
    /// JSON, or nothing where all is asked for.
    pub(super) text: String,
    /// The paths that documents are cut down to, in the order in which they were named; empty for whole documents.
    pub(super) fields: Vec<Path>,
}

impl Query {
    /// Reads and checks all of it: what is wrong is said before anything is asked.
    pub(super) fn ask(self) -> Result<Asked, Failure> {
        let mut parts = match &self.query {
            Some(text) if text == input::STDIN => {
                parse(&input::read_text(FilePath::new(input::STDIN), MAX_QUERY_BYTES)?)?
            }
            Some(text) => parse(text)?,
            None => Map::new(),
        };
        if let Some(filter) = &self.filter {
            // For a message that shows the place in the filter and nothing around it.
            Filter::parse(filter).map_err(|error| Failure::usage(error.to_string()))?;
        }
        let sort = |sort: &Sort| {
            let direction = if sort.descending { "desc" } else { "asc" };
            json!({ sort.path.to_string(): direction })
        };
        let sort: Vec<Value> = self.sort.iter().map(sort).collect();
        let fields: Vec<String> = self.fields.iter().map(ToString::to_string).collect();
        let flags = [
            ("where", "FILTER", self.filter.map(Value::from)),
            ("sort", "--sort", (!sort.is_empty()).then(|| sort.into())),
            ("limit", "--limit", self.limit.map(Value::from)),
            ("skip", "--skip", self.skip.map(Value::from)),
            ("after", "--after", self.after.map(Value::from)),
            ("fields", "--fields", (!fields.is_empty()).then(|| fields.into())),
            ("index", "--index", self.index.map(Value::from)),
        ];
        for (part, flag, value) in flags {
            let Some(value) = value else { continue };
            if parts.insert(part.into(), value).is_some() {
                return Err(Failure::usage(format!("both {flag} and --query say `{part}`: leave one of them out")));
            }
        }
        let parts = Value::Object(parts);
        let query = query::json::read(&parts).map_err(|error| Failure::usage(format!("in the query: {error}")))?;
        let text = if parts.as_object().is_some_and(Map::is_empty) { String::new() } else { parts.to_string() };
        Ok(Asked { text, fields: query.fields })
    }
}

fn parse(text: &str) -> Result<Map<String, Value>, Failure> {
    query::json::parse(text).map_err(|error| Failure::usage(format!("--query: {error}")))?;
    match serde_json::from_str(text) {
        Ok(Value::Object(parts)) => Ok(parts),
        Ok(_) | Err(_) => Err(Failure::usage("--query: expected a JSON object")),
    }
}

impl Asked {
    /// Leaves documents whole where a path may name a position in an array: in what is kept of an array, positions are others.
    pub(super) fn without_positions(mut self) -> Self {
        let is_position = |name: &String| name.bytes().all(|byte| byte.is_ascii_digit());
        if self.fields.iter().any(|path| path.names().iter().any(is_position))
            && let Ok(Value::Object(mut parts)) = serde_json::from_str(&self.text)
        {
            parts.remove("fields");
            self.text = Value::Object(parts).to_string();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: Query) -> Value {
        let text = query.ask().unwrap().text;
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
    }

    fn refused(query: Query) -> String {
        query.ask().unwrap_err().error.to_string()
    }

    #[test]
    fn flags_and_json_come_together() {
        let query = Query {
            filter: Some("year >= 1985".into()),
            query: Some(r#"{"sort": ["title"], "index": "year"}"#.into()),
            limit: Some(10),
            fields: vec![Path::new(["title"]), Path::new(["a.b"])],
            ..Query::default()
        };
        let expected = json!({
            "where": "year >= 1985", "sort": ["title"], "index": "year", "limit": 10, "fields": ["title", "a\\.b"],
        });
        assert_eq!(asked(query), expected);
        let sort = ["year:desc", "title", "a:asc"].map(|text| text.parse().unwrap()).into();
        let sorted = asked(Query { sort, ..Query::default() });
        assert_eq!(sorted, json!({ "sort": [{ "year": "desc" }, { "title": "asc" }, { "a": "asc" }] }));
        assert_eq!(asked(Query::default()), Value::Null);
    }

    #[test]
    fn a_slip_of_the_pen_is_no_path_to_sort_by() {
        for text in ["year:down", "year:", "xml:lang"] {
            assert!(text.parse::<Sort>().unwrap_err().contains(&format!("write {text}:asc")), "{text}");
        }
        assert_eq!("xml:lang:asc".parse(), Ok(Sort { path: Path::new(["xml:lang"]), descending: false }));
    }

    #[test]
    fn a_part_is_said_once() {
        let both =
            Query { filter: Some("a = 1".into()), query: Some(r#"{"where": {"b": 1}}"#.into()), ..Query::default() };
        assert_eq!(refused(both), "both FILTER and --query say `where`: leave one of them out");
        let both = Query { limit: Some(1), query: Some(r#"{"limit": 2}"#.into()), ..Query::default() };
        assert_eq!(refused(both), "both --limit and --query say `limit`: leave one of them out");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let filter = refused(Query { filter: Some("year 1985".into()), ..Query::default() });
        assert!(filter.starts_with("expected =, !=") && filter.ends_with('^'), "{filter}");
        let query = refused(Query { query: Some(r#"{"where": {"year": {"~": 1}}}"#.into()), ..Query::default() });
        assert!(query.starts_with("--query: where.year.~: no such operator"), "{query}");
        assert!(refused(Query { query: Some("[]".into()), ..Query::default() }).contains("expected an object"));
    }

    #[test]
    fn documents_stay_whole_where_a_path_names_a_position() {
        let ask = |path: &str| Query { fields: vec![Path::parse(path).unwrap()], ..Query::default() }.ask().unwrap();
        assert_eq!(ask("cast.0").without_positions().text, "{}");
        assert_eq!(ask("cast").without_positions().text, r#"{"fields":["cast"]}"#);
        assert_eq!(ask("cast.0").without_positions().fields, [Path::new(["cast", "0"])]);
    }

    /// The filter between the single quotes of a line such as `spool db find films movies 'year = 1985' --limit 3`.
    fn filter_in(line: &str) -> Option<&str> {
        let rest = line
            .strip_prefix("spool db find films movies '")
            .or(line.strip_prefix("spool db explain films movies '"))?;
        rest.split_once('\'').map(|(filter, _)| filter)
    }

    #[test]
    fn every_filter_in_the_documentation_finds_films() {
        let films: Vec<Map<String, Value>> = include_str!("../../../../examples/movies.ndjson")
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let filters: Vec<&str> = include_str!("../../../../docs/queries.md").lines().filter_map(filter_in).collect();
        assert!(filters.len() > 5, "{filters:?}");
        for text in filters {
            let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let found = films.iter().filter(|film| query::filter::matches(&filter, film)).count();
            assert!(found > 0 && found < films.len(), "{text}: {found} films");
        }
    }

    #[test]
    fn the_query_in_the_documentation_is_one() {
        let text = include_str!("../../../../docs/queries.md");
        let query = text.split_once("--query '").unwrap().1.split_once('\'').unwrap().0;
        let query = asked(Query { query: Some(query.into()), ..Query::default() });
        assert_eq!(query["limit"], json!(10));
    }
}
