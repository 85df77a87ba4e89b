//! Definitions of collections, as merged from what anybody has written, and documents that are held against their schemas. The input is
//! two values of JSON, one after the other.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use spool_db::{
    collection::{Definition, Rule},
    limits::{MAX_INDEXES, MAX_KEEP_BOTH, MAX_MESSAGE_BYTES, MAX_PROBLEMS, MAX_VIOLATIONS},
};

fuzz_target!(|data: &[u8]| {
    let mut values = serde_json::Deserializer::from_slice(data).into_iter::<Map<String, Value>>();
    let Some(Ok(fields)) = values.next() else { return };
    let definition = Definition::from_fields("films", &fields);
    assert!(definition.indexes.len() <= MAX_INDEXES && definition.keep_both.len() <= MAX_KEEP_BOTH);
    assert!(definition.problems.len() <= MAX_PROBLEMS);
    let again = Definition::from_fields("films", &definition.to_fields());
    // A rule that cannot be used stays one.
    let rules = [&definition.validator, &definition.filter];
    assert_eq!(again.problems.len(), rules.into_iter().filter(|rule| **rule == Some(Rule::Unusable)).count());
    let alike = |definition: &Definition| Definition { problems: Vec::new(), ..definition.clone() };
    assert_eq!(alike(&again), alike(&definition));

    let Ok(Some(schema)) = definition.compile() else { return };
    let Some(Ok(document)) = values.next() else { return };
    let result = schema.validate("an id", None, &document);
    assert_eq!(schema.validate("an id", None, &document), result, "the same each time");
    if let Err(violations) = result {
        assert!((1..=MAX_VIOLATIONS).contains(&violations.len()));
        // One character more marks what was cut off.
        assert!(violations.iter().all(|violation| violation.message.len() <= MAX_MESSAGE_BYTES + 3));
    }
});
