//! What is written is read again, and nothing that is read does harm.

use proptest::prelude::*;
use serde_json::Value;
use spool_db::Path;
use spool_db::query::{Filter, Query, json};

use crate::random;

/// Names and values of every kind, among them words of the syntax.
fn odd() -> impl Strategy<Value = Filter> {
    let name = prop_oneof![Just("and".to_owned()), Just("true".to_owned()), "[a-c.\\\\ \"=ä0-9-]{1,4}", "\\PC{1,3}"];
    let value = prop_oneof![
        any::<f64>().prop_filter("JSON has no others", |number| number.is_finite()).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        proptest::collection::vec(any::<f64>().prop_map(Value::from), 0..3).prop_map(Value::from),
    ];
    (proptest::collection::vec(name, 1..3), value)
        .prop_map(|(names, value)| Filter::Contains { path: Path::new(names), value })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn filters_round_trip_through_text(filter in random::filter(&[0, 2, 3])) {
        prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
    }

    #[test]
    fn odd_names_and_values_round_trip(filter in odd()) {
        prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter.clone()), "{}", filter);
        let text = json::write_filter(&filter).to_string();
        prop_assert_eq!(json::read_filter(&serde_json::from_str(&text).unwrap()), Ok(filter));
    }

    #[test]
    fn queries_round_trip_through_json(query in random::query(), index in proptest::option::of("[a-z]{1,3}")) {
        let query = Query { index, ..query };
        prop_assert_eq!(json::parse(&json::write(&query).to_string()), Ok(query));
    }

    #[test]
    fn no_text_does_harm(text in "\\PC*|[ab01.\\\\ ()\"\\[\\]{}=<>!-]{0,20}|((and|or|not|exists|contains|a|\"b\"|1|=|<=|\\(|\\)|\\[) ?){0,12}") {
        match Filter::parse(&text) {
            // What was read is written so that it is read the same.
            Ok(filter) => prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter)),
            Err(error) => {
                prop_assert!(text.is_char_boundary(error.at));
                prop_assert!(!error.to_string().is_empty());
            }
        }
        let _ = json::parse(&text);
    }
}
