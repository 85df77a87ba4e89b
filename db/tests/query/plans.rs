//! Which plan is chosen, what it costs, and where it ends.

use std::ops::ControlFlow;

use serde_json::{Value, json};
use spool_db::Path;
use spool_db::query::{Error, Filter, Options, Plan, Query, Work, find, json};

use crate::memory::Memory;

const DOCUMENTS: u32 = 2_000;

/// Documents with a number of their own, one of ten groups, and two of twenty tags.
fn many() -> Memory {
    let mut memory = Memory::with_indexes(&["number", "group", "tags"]);
    for number in 0..DOCUMENTS {
        let tags = [format!("t{}", number % 20), format!("t{}", (number + 1) % 20)];
        let Value::Object(fields) = json!({"number": number, "group": number % 10, "tags": tags, "free": number % 3})
        else {
            unreachable!()
        };
        memory.insert(&format!("{number:05}"), 1, &fields);
    }
    memory
}

fn plan(memory: &Memory, query: &Value) -> Plan {
    Plan::new(json::read(query).unwrap(), &memory.indexes, memory).unwrap()
}

fn work(memory: &Memory, query: &Value) -> Work {
    plan(memory, query).run(memory, Options::default(), |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn an_index_is_used_when_it_helps() {
    let memory = many();
    let cases = [
        ("number = 7", true, 1),
        ("number >= 10 and number < 20 and free = 1", true, 11),
        ("group = 3 and number < 50", true, 51),
        ("group = 3", true, 200),
        ("tags contains t7", true, 200),
        ("number = 1 or number = 2 or _mod = 5", false, DOCUMENTS),
        ("number = 1 or (number = 2 and free = 2)", true, 2),
        ("number > 100", false, DOCUMENTS),
        ("number != 100", false, DOCUMENTS),
        ("not (number = 100)", false, DOCUMENTS),
        ("exists number", false, DOCUMENTS),
        ("not exists number", true, 0),
        ("number < 5 and number > 9", true, 0),
        ("_id = \"00007\" and group = 7", true, 1),
        ("free = 1", false, DOCUMENTS),
    ];
    for (filter, uses_index, examined) in cases {
        let plan = plan(&memory, &json!({ "where": filter }));
        assert_eq!(plan.uses_index(), uses_index, "{filter}: {plan}");
        assert_eq!(work(&memory, &json!({ "where": filter })).examined, u64::from(examined), "{filter}: {plan}");
    }
}

#[test]
fn a_limit_ends_reading_in_the_order_of_an_index() {
    let memory = many();
    assert_eq!(work(&memory, &json!({"sort": ["number"], "limit": 10})).examined, 10);
    assert_eq!(work(&memory, &json!({"sort": [{"number": "desc"}], "skip": 5, "limit": 10})).examined, 15);
    assert_eq!(work(&memory, &json!({"sort": [{"group": "desc"}], "limit": 10})).examined, 10);
    // Those with the same group have to be sorted, the others not.
    assert_eq!(work(&memory, &json!({"sort": ["group", "free"], "limit": 10})).examined, 200);
    assert_eq!(work(&memory, &json!({"where": "number > 100", "sort": ["number"], "limit": 10})).examined, 11);
    assert_eq!(work(&memory, &json!({"sort": ["number"], "after": "01000", "limit": 10})).examined, 11);
    assert_eq!(work(&memory, &json!({"after": "01000", "limit": 10})).examined, 10);
    assert_eq!(work(&memory, &json!({"sort": ["free"], "limit": 10})).examined, u64::from(DOCUMENTS));
    assert_eq!(work(&memory, &json!({"limit": 0})), Work::default());
}

#[test]
fn a_plan_explains_itself() {
    let memory = many();
    let explained =
        plan(&memory, &json!({"where": "number < 10 and free = 1", "sort": ["free"], "skip": 1, "limit": 3}));
    assert_eq!(
        explained.to_string(),
        "reads the index \"number\": number < 10\n  11 entries\nchecks: number < 10 and free = 1\nsorts in memory, the first 4"
    );
    assert_eq!(
        explained.explain(),
        json!({"access": {"ranges": [{"index": "number", "bounds": "number < 10"}], "entries": 11},
            "checks": "number < 10 and free = 1", "sort": "in memory"})
    );
    assert_eq!(plan(&memory, &json!({})).to_string(), "reads all documents, by id\nsorts nothing: read in order");
}

#[test]
fn an_index_that_is_asked_for_has_to_be_of_use() {
    let mut memory = many();
    memory.indexes[1].built = false;
    let error = |index: &str, filter: &str, sort: Value| {
        let query = json::read(&json!({"where": filter, "index": index, "sort": sort})).unwrap();
        Plan::new(query, &memory.indexes, &memory).map(|plan| plan.to_string()).map_err(|error| error.to_string())
    };
    assert_eq!(
        error("none", "number > 1", json!([])),
        Err(r#"there is no index "none"; there are "number", "group", "tags""#.to_owned())
    );
    let none = Plan::new(json::read(&json!({"index": "x"})).unwrap(), &[], &memory).map(|plan| plan.to_string());
    assert_eq!(none.unwrap_err().to_string(), r#"there is no index "x"; the collection has none"#);
    assert_eq!(error("group", "group = 1", json!([])), Err(r#"the index "group" is not built yet"#.to_owned()));
    assert!(error("number", "free = 1", json!(["free"])).unwrap_err().starts_with("the index \"number\" is of no use"));
    // Not the best, but asked for.
    assert!(error("number", "number >= 0", json!([])).unwrap().starts_with("reads the index \"number\""));
    assert!(error("number", "free = 1", json!(["number"])).unwrap().starts_with("reads the index \"number\": all"));
    // What is not built is not chosen either.
    assert!(!plan(&memory, &json!({"where": "group = 3"})).uses_index());
}

#[test]
fn a_query_over_its_memory_fails_by_name() {
    let memory = many();
    let options = Options { memory: 20_000 };
    let run = |query: &Value| {
        plan(&memory, query).run(&memory, options, |_| ControlFlow::Continue(())).map(|work| work.found)
    };
    let fails = |query: &Value| matches!(run(query), Err(Error::Memory { limit: 20_000 }));
    assert!(fails(&json!({"sort": ["free"]})));
    assert!(fails(&json!({"where": "number >= 0", "index": "number"})));
    assert_eq!(run(&json!({"sort": ["free"], "limit": 20})).unwrap(), 20);
    assert_eq!(run(&json!({"sort": ["number"]})).unwrap(), u64::from(DOCUMENTS));
    assert_eq!(run(&json!({})).unwrap(), u64::from(DOCUMENTS));
    let all = find(Query::default(), &memory.indexes, &memory, options).unwrap_err();
    assert!(
        all.to_string().starts_with("the query needs more than its query memory of 20000 bytes; ask for fewer"),
        "{all}"
    );
}

#[test]
fn a_query_that_is_too_large_is_refused() {
    let memory = Memory::default();
    let deep = (0..100).fold(Filter::default(), |inner, _| Filter::Not(Box::new(inner)));
    let wide = Query { fields: vec![Path::new(["a"]); 257], ..Query::default() };
    for query in [Query { filter: deep, ..Query::default() }, wide] {
        assert!(matches!(Plan::new(query, &[], &memory), Err(Error::TooLarge(_))));
    }
}

#[test]
fn a_damaged_document_is_named() {
    let mut memory = Memory::default();
    memory.documents.insert("x".to_owned(), (1, vec![0x61]));
    let query = Query { filter: Filter::parse("a = 1").unwrap(), ..Query::default() };
    let error = find(query, &[], &memory, Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "the document \"x\" is damaged");
}
