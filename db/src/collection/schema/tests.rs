use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::limits::{MAX_VALIDATION_DEPTH, MAX_VALIDATION_STEPS};

const DRAFT7: &str = "http://json-schema.org/draft-07/schema#";
const DRAFT202012: &str = "https://json-schema.org/draft/2020-12/schema";
/// Far more than anything here takes, and far less than what is not bounded.
const LONG: Duration = Duration::from_secs(20);

#[expect(clippy::needless_pass_by_value, reason = "called with what json! makes")]
fn compile(schema: Value) -> Schema {
    Schema::compile(&schema).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "called with what json! makes")]
fn refused(schema: Value) -> String {
    Schema::compile(&schema).unwrap_err().to_string()
}

fn validate(schema: &Schema, document: Value) -> Result<(), Vec<(String, String)>> {
    let Value::Object(fields) = document else { panic!("a map") };
    let pairs = |violations: Vec<Violation>| violations.into_iter().map(|one| (one.path, one.message)).collect();
    schema.validate("id", None, &fields).map_err(pairs)
}

fn is_valid(schema: &Schema, document: Value) -> bool {
    validate(schema, document).is_ok()
}

fn quickly<T>(work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = work();
    let took = began.elapsed();
    assert!(took < LONG, "took {took:?}");
    result
}

#[test]
fn textile_schemas_see_the_id_and_the_time() {
    let schema = compile(json!({
        "$schema": DRAFT7,
        "$id": "https://example.com/person.schema.json",
        "title": "Person",
        "type": "object",
        "required": ["_id", "name"],
        "properties": {
            "_id": {"type": "string"},
            "_mod": {"type": "number"},
            "name": {"type": "string", "minLength": 1},
            "age": {"type": "integer", "minimum": 0},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "additionalProperties": false,
    }));
    assert_eq!(schema.draft(), Draft::Draft7);
    assert!(is_valid(&schema, json!({"name": "Ada", "age": 36, "tags": ["x"]})));
    let violations = validate(&schema, json!({"age": -1, "tags": ["x", 7], "more": true})).unwrap_err();
    let told = |path: &str, part: &str| violations.iter().any(|(at, text)| at == path && text.contains(part));
    assert!(told("", "\"name\" is a required property"), "{violations:?}");
    assert!(told("age", "minimum of 0"), "{violations:?}");
    assert!(told("tags.1", "\"string\""), "{violations:?}");
    assert!(told("", "more"), "{violations:?}");
    assert_eq!(violations.len(), 4);
    let fields = Map::from_iter([("name".to_owned(), "Ada".into())]);
    assert_eq!(schema.validate("id", Some(&json!(17)), &fields), Ok(()));
    let wrong = schema.validate("id", Some(&json!("text")), &fields).unwrap_err();
    assert_eq!(wrong[0].path, "_mod");
}

#[test]
fn each_draft_has_its_own_rules() {
    let tuple = |keyword: &str, draft: &str| {
        compile(json!({"$schema": draft, "properties": {"a": {keyword: [{"type": "string"}]}}}))
    };
    assert!(!is_valid(&tuple("items", DRAFT7), json!({"a": [1]})));
    assert!(is_valid(&tuple("prefixItems", DRAFT7), json!({"a": [1]})), "unknown to draft 7");
    assert!(!is_valid(&tuple("prefixItems", DRAFT202012), json!({"a": [1]})));
    assert!(refused(json!({"items": [{}]})).contains("not valid at /items"), "a list of items is of draft 7");
    let beside = |draft: &str| {
        compile(json!({"$schema": draft, "properties": {"a": {"$ref": "#/definitions/any", "type": "string"}},
            "definitions": {"any": {}}}))
    };
    assert!(is_valid(&beside(DRAFT7), json!({"a": 1})), "what stands beside $ref does not count");
    assert!(!is_valid(&beside(DRAFT202012), json!({"a": 1})));
    let depends = compile(json!({"dependentRequired": {"a": ["b"]}}));
    assert_eq!(depends.draft(), Draft::Draft202012, "where a schema does not say");
    assert!(!is_valid(&depends, json!({"a": 1})));
    for uri in ["http://json-schema.org/draft-07/schema", "https://json-schema.org/draft-07/schema#"] {
        assert_eq!(compile(json!({"$schema": uri})).draft(), Draft::Draft7);
    }
    for uri in [
        "http://json-schema.org/draft-04/schema#",
        "https://json-schema.org/draft/2019-09/schema",
        "http://127.0.0.1:9/meta",
    ] {
        let text = refused(json!({"$schema": uri}));
        assert!(text.contains(uri) && text.contains("2020-12"), "{text}");
    }
    assert!(refused(json!({"$schema": 7})).contains('7'));
}

#[test]
fn nothing_outside_of_a_schema_is_looked_for() {
    // Whoever connects is seen.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let remote = format!("http://{}/schema.json", listener.local_addr().unwrap());
    let file = std::env::temp_dir().join("spool-schema-reference.json");
    let references = [remote.as_str(), &format!("file://{}", file.display()), "other.json", "//host/x"];
    for reference in references {
        for schema in [
            json!({"$ref": reference}),
            json!({"$schema": DRAFT7, "properties": {"a": {"anyOf": [{"$ref": reference}]}}}),
            json!({"$defs": {"unused": {"$ref": reference}}}),
        ] {
            let text = refused(schema);
            assert!(text.contains("leads out of the schema") && text.contains("$defs"), "{text}");
        }
        // Where it is no reference, it is a value.
        assert!(is_valid(&compile(json!({"properties": {"a": {"const": {"$ref": reference}}}})), json!({})));
    }
    for schema in [
        json!({"properties": {"a": {"$id": remote.as_str()}}}),
        json!({"$defs": {"a": {"$schema": remote.as_str()}}}),
        json!({"$schema": DRAFT7, "definitions": {"a": {"$id": "#a"}}}),
    ] {
        assert!(refused(schema).contains("only at the root"));
    }
    assert!(is_valid(&compile(json!({"$id": remote.as_str(), "$ref": "#/$defs/a", "$defs": {"a": {}}})), json!({})));
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "somebody has connected");
}

#[test]
fn references_within_a_schema_are_followed() {
    let tree = json!({"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "value": {"$ref": "#/$defs/a%20b~1c"}},
        "$defs": {"a b/c": {"type": "integer"}}});
    let tree = compile(tree);
    assert!(is_valid(&tree, json!({"left": {"left": {"value": 1}}, "right": {"value": 2}})));
    let violations = validate(&tree, json!({"left": {"left": {"value": "x"}}})).unwrap_err();
    assert_eq!(violations[0].0, "left.left.value");
    assert!(refused(json!({"$ref": "#/$defs/missing"})).contains("names nothing"));
    assert!(refused(json!({"$ref": "#missing"})).contains("is an anchor"));
}

#[test]
fn a_schema_that_never_ends_is_refused() {
    for schema in [
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#"}]}),
        json!({"anyOf": [{"not": {"$ref": "#/$defs/a"}}], "$defs": {"a": {"if": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#/$defs/a"}}}),
    ] {
        let text = refused(schema);
        assert!(text.contains("comes back to itself"), "{text}");
    }
    let at = refused(
        json!({"properties": {"x": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
    );
    assert!(at.contains("/$defs/"), "{at}");
}

#[test]
fn what_cannot_be_bounded_is_refused() {
    for keyword in ["unevaluatedProperties", "unevaluatedItems"] {
        assert!(refused(json!({"properties": {"a": {keyword: false}}})).contains(&format!("/properties/a/{keyword}")));
        assert!(Schema::compile(&json!({"$schema": DRAFT7, keyword: false})).is_ok(), "unknown to draft 7");
    }
    assert!(refused(json!({"$dynamicRef": "#x"})).contains("not supported"));
    assert_eq!(refused(json!([])), "a schema is a JSON object");
    assert_eq!(refused(json!(true)), "a schema is a JSON object");
    let deep = |levels: usize| (0..levels).fold(json!({}), |schema, _| json!({"not": schema}));
    assert!(Schema::compile(&deep(MAX_SCHEMA_DEPTH)).is_ok());
    assert!(refused(deep(MAX_SCHEMA_DEPTH + 1)).contains("levels deep"));
    assert!(refused(json!({"description": "x".repeat(MAX_SCHEMA_BYTES)})).contains("too large"));
    let invalid = refused(json!({"properties": {"a": {"type": "strange"}}}));
    assert!(invalid.contains("/properties/a/type"), "{invalid}");
}

#[test]
fn regular_expressions_are_matched_in_linear_time() {
    let schema = compile(
        json!({"properties": {"a": {"pattern": "^(a+)+$"}}, "patternProperties": {"^(x+x+)+y$": {"type": "null"}}}),
    );
    quickly(|| {
        assert!(!is_valid(&schema, json!({"a": format!("{}!", "a".repeat(100_000))})));
        assert!(is_valid(&schema, json!({"a": "a".repeat(100_000)})));
        assert!(is_valid(&schema, json!({"x".repeat(10_000): 1})));
    });
    assert!(!is_valid(&schema, json!({"xxy": 1})));
    for (pattern, part) in [
        ("(?=a)b", "look-around"),
        (r"(a)\1", "back-references"),
        ("a{5000}", "weighs 5002"),
        ("(", "cannot be read"),
        ("(?i)a", "flags"),
    ] {
        let text = refused(json!({"properties": {"a": {"pattern": pattern}}}));
        assert!(text.contains(part) && text.contains("/properties/a/pattern"), "{text}");
        let text = refused(json!({"patternProperties": {pattern: {}}}));
        assert!(text.contains(part) && text.contains("/patternProperties"), "{text}");
    }
    let many =
        |count: usize| json!({"allOf": (0..count).map(|n| json!({"pattern": format!("{n}")})).collect::<Vec<_>>()});
    assert!(Schema::compile(&many(MAX_PATTERNS)).is_ok());
    assert!(refused(many(MAX_PATTERNS + 1)).contains("at most 64 regular expressions"));
    // Many ranges of characters, many times.
    let large = refused(json!({"pattern": r"^(\w{0,60}\p{L}?){0,30}$"}));
    assert_eq!(large, "the regular expression at /pattern cannot be read, or takes more than 1048576 bytes");
    // As heavy as they may be, as many as there may be.
    let heavy: Vec<_> =
        (0..MAX_PATTERNS).map(|n| json!({"pattern": format!(r"^(\w{{0,60}}x?){{0,60}}{n}$")})).collect();
    let heavy = quickly(|| compile(json!({"properties": {"a": {"allOf": heavy}}})));
    quickly(|| assert!(!is_valid(&heavy, json!({"a": "a".repeat(400)}))));
    assert!(validate(&heavy, json!({"a": "a".repeat(500_000)})).unwrap_err()[0].1.contains("too large"));
}

#[test]
fn formats_are_not_checked() {
    for draft in [DRAFT7, DRAFT202012] {
        let schema = json!({"$schema": draft, "properties": {
            "a": {"format": "date-time"},
            "b": {"contentEncoding": "base64", "contentMediaType": "application/json"},
            "c": {"format": "nobody knows"},
        }});
        assert!(is_valid(&compile(schema), json!({"a": "yesterday", "b": "!", "c": "x"})));
    }
}

/// Each part applies the next one twice: two to the power of their number.
fn doubling(parts: usize, keyword: &str) -> Value {
    let part =
        |n: usize| json!({keyword: [{"$ref": format!("#/$defs/{}", n + 1)}, {"$ref": format!("#/$defs/{}", n + 1)}]});
    let mut parts: Map<String, Value> = (0..parts).map(|n| (n.to_string(), part(n))).collect();
    parts.insert(parts.len().to_string(), json!({"required": ["missing"]}));
    json!({"$ref": "#/$defs/0", "$defs": parts})
}

#[test]
fn work_is_bounded_before_it_begins() {
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let schema = quickly(|| compile(doubling(60, keyword)));
        let violations = quickly(|| validate(&schema, json!({})).unwrap_err());
        assert!(violations[0].1.contains("too large or too deep"), "{violations:?}");
        let small = compile(doubling(5, keyword));
        assert!(!validate(&small, json!({})).unwrap_err()[0].1.contains("too large"));
    }
    // Twice as much on every level of the document.
    let schema = compile(json!({"properties": {"a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}, "required": ["b"]}));
    let deep = |levels: usize| (0..levels).fold(json!({}), |inner, _| json!({"a": inner}));
    assert!(quickly(|| validate(&schema, deep(40))).unwrap_err()[0].1.contains("too large or too deep"));
    assert_eq!(validate(&schema, deep(3)).unwrap_err()[0].1, "\"b\" is a required property");
    // Many parts and many elements.
    let parts = vec![json!({"type": "integer"}); 2_000];
    let schema = compile(json!({"properties": {"a": {"items": {"allOf": parts}}}}));
    assert!(
        quickly(|| validate(&schema, json!({"a": vec![0; 100_000]}))).unwrap_err()[0]
            .1
            .contains("too large or too deep")
    );
    assert!(quickly(|| is_valid(&schema, json!({"a": vec![0; 100]}))));
}

#[test]
fn large_documents_are_validated_and_violations_are_few_and_short() {
    let schema = compile(json!({"properties": {"a": {"items": {"type": "string"}, "uniqueItems": true}}}));
    let texts = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
    quickly(|| assert!(is_valid(&schema, json!({"a": texts(50_000)}))));
    let violations = validate(&schema, json!({"a": vec![7; 50_000]})).unwrap_err();
    assert_eq!(violations[0].1, "not as the schema says; too large to tell where");
    let violations = validate(&schema, json!({"a": vec![7; 1_000]})).unwrap_err();
    assert_eq!(violations.len(), MAX_VIOLATIONS);
    let long = "ö".repeat(10_000);
    let schema =
        compile(json!({"properties": {long.clone(): {"enum": [long.clone()]}}, "additionalProperties": false}));
    for document in [json!({long.clone(): long.clone() + "x"}), json!({long.clone() + "x": 1})] {
        for (path, message) in validate(&schema, document).unwrap_err() {
            assert!(path.len() <= MAX_MESSAGE_BYTES + 3 && message.len() <= MAX_MESSAGE_BYTES + 3, "{message}");
        }
    }
    let schema = compile(json!({"properties": {"a.b": {"maxLength": 1}}}));
    let secret = validate(&schema, json!({"a.b": "secret"})).unwrap_err();
    assert_eq!(secret[0].0, "a\\.b");
    assert!(!secret[0].1.contains("secret"), "{secret:?}");
    assert!(refused(json!({"$ref": long})).len() < MAX_MESSAGE_BYTES);
}

/// Half of the stack that threads have where nobody asks for another: the rest is the caller's.
fn on_half_a_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(1024 * 1024).spawn(work).unwrap().join().unwrap();
}

#[test]
fn the_deepest_schemas_fit_the_stack() {
    on_half_a_stack(|| {
        // Definitions as deep as may be, each with a reference to the next at its bottom.
        for wrap in [
            |inner| json!({"not": inner}),
            |inner| json!({"anyOf": [inner]}),
            |inner| json!({"properties": {"a": inner}}),
        ] {
            let definition = |n: usize| {
                let mut inner = json!({"$ref": format!("#/$defs/{}", n + 1)});
                loop {
                    let next = wrap(inner.clone());
                    if !is_within(&next, MAX_SCHEMA_DEPTH - 2) {
                        return inner;
                    }
                    inner = next;
                }
            };
            let mut definitions: Map<String, Value> = (0..40).map(|n| (n.to_string(), definition(n))).collect();
            definitions.insert("40".to_owned(), json!({}));
            let schema = compile(json!({"$ref": "#/$defs/0", "$defs": definitions}));
            // Too deep for a document, or not: never too deep for the stack.
            let _ = validate(&schema, json!({}));
        }
        // As many parts within one another as may be, some on each level of a document.
        let chain = |length: usize| {
            let mut definitions: Map<String, Value> = (0..length)
                .map(|n| (n.to_string(), json!({"anyOf": [{"$ref": format!("#/$defs/{}", n + 1)}]})))
                .collect();
            definitions
                .insert(length.to_string(), json!({"properties": {"a": {"$ref": "#/$defs/0"}}, "required": ["b"]}));
            compile(json!({"$ref": "#/$defs/0", "$defs": definitions}))
        };
        let deep = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({"a": inner}));
        for length in [2, 60, MAX_VALIDATION_DEPTH as usize / 2 - 3] {
            let schema = chain(length);
            let told =
                |levels: usize| validate(&schema, deep(levels)).unwrap_err()[0].1.contains("too large or too deep");
            let levels = (1..=64).take_while(|levels| !told(*levels)).last();
            assert!(levels.is_some(), "{length}");
        }
        assert!(validate(&chain(MAX_VALIDATION_DEPTH as usize), json!({})).unwrap_err()[0].1.contains("too deep"));
    });
}

#[test]
fn what_is_permitted_takes_no_long_time() {
    // What comes closest to the bound, of several kinds.
    let elements = |schema: Value, count: usize| {
        (compile(json!({"properties": {"a": {"items": schema}}})), json!({"a": vec![json!(1.5); count]}))
    };
    let cases = [
        elements(json!({"anyOf": vec![json!({"type": "string"}); 100]}), 5_000),
        elements(json!({"enum": (0..1_000).collect::<Vec<_>>()}), 1_500),
        elements(json!({"multipleOf": 1e-300}), 100_000),
        (compile(json!({"properties": {"a": {"pattern": "^(a|b){0,50}c"}}})), json!({"a": "ab".repeat(100_000)})),
        (compile(json!({"additionalProperties": {"$ref": "#"}, "propertyNames": {"minLength": 1}})), wide(3, 30)),
    ];
    for (schema, document) in cases {
        let steps = cost::steps(&schema.0.graph, &document).unwrap_or(MAX_VALIDATION_STEPS);
        let began = Instant::now();
        let valid = is_valid(&schema, document);
        let took = began.elapsed();
        println!("{steps} steps, valid: {valid}, {took:?}");
        assert!(took < LONG, "took {took:?}");
    }
}

fn wide(levels: usize, fields: usize) -> Value {
    match levels {
        0 => json!(1.5),
        _ => Value::Object((0..fields).map(|n| (format!("field{n}"), wide(levels - 1, fields))).collect()),
    }
}

#[test]
fn schemas_are_shared_between_threads() {
    fn check<T: Clone + Send + Sync + 'static>(_: &T) {}
    check(&compile(json!({})));
}
