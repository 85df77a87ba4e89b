use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::limits::{SOURCE_BYTES, STEPS, TEXT_BYTES};
use super::{Failure, Filtered, JavaScript, Judge as _, Verdict};

static JUDGE: LazyLock<JavaScript> = LazyLock::new(|| JavaScript::new().expect("the engine starts"));

const VALIDATOR: &str = r#"
	var type = event.patch.type
	var patch = event.patch.json_patch
	switch (type) {
	  case "create":
	    if (patch.fullName === "") {
	      return "fullName is missing" // as a message
	    }
	    return patch.owner === writer
	  case "save":
	    return instance.owner === writer
	  default:
	    return false
	}"#;

fn event(kind: &str, patch: &Value) -> Value {
    json!({ "timestamp": 1, "_id": "x", "collection_name": "Person",
        "patch": { "type": kind, "instance_id": "x", "json_patch": patch } })
}

fn judged(source: &str) -> Verdict {
    JUDGE.verdict(source, Some("writer"), &event("create", &json!({})), None)
}

fn failure(source: &str) -> Failure {
    match judged(source) {
        Verdict::Failed(failure) => failure,
        other => panic!("{source}: {other:?}"),
    }
}

fn denied(reason: &str) -> Verdict {
    Verdict::Denied(Some(reason.into()))
}

#[test]
fn a_validator_sees_writer_event_and_instance() {
    let create = |name: &str| event("create", &json!({ "fullName": name, "owner": "alice" }));
    let verdict = |writer, event: &Value, instance: Option<&Value>| JUDGE.verdict(VALIDATOR, writer, event, instance);
    assert_eq!(verdict(Some("alice"), &create("Lucas"), None), Verdict::Accepted);
    assert_eq!(verdict(Some("bob"), &create("Lucas"), None), Verdict::Denied(None));
    assert_eq!(verdict(None, &create("Lucas"), None), Verdict::Denied(None));
    assert_eq!(verdict(Some("alice"), &create(""), None), denied("fullName is missing"));
    let (save, owned) = (event("save", &json!({})), json!({ "owner": "alice" }));
    assert_eq!(verdict(Some("alice"), &save, Some(&owned)), Verdict::Accepted);
    assert_eq!(
        verdict(Some("alice"), &save, None),
        Verdict::Failed(Failure::Thrown("TypeError: cannot read property 'owner' of undefined".into()))
    );
}

#[test]
fn only_true_is_accepted() {
    assert_eq!(judged("return true"), Verdict::Accepted);
    for source in ["return false", "return null", "return", "", "return undefined", "// return true"] {
        assert_eq!(judged(source), Verdict::Denied(None), "{source}");
    }
    for (source, reason) in [
        ("return 'true'", "true"),
        ("return 1", "1"),
        ("return ''", ""),
        ("return {}", "[object Object]"),
        ("return new Boolean(true)", "true"),
        ("return Promise.resolve(true)", "[object Promise]"),
        ("return '\\ud800'", "\u{fffd}\u{fffd}\u{fffd}"),
    ] {
        assert_eq!(judged(source), denied(reason), "{source}");
    }
    let Verdict::Denied(Some(long)) = judged("return 'ß'.repeat(100000)") else { panic!("no reason") };
    assert_eq!(long.len(), TEXT_BYTES);
}

#[test]
fn a_filter_may_show_less_other_or_nothing() {
    let shown =
        |source: &str, reader| JUDGE.filter(source, reader, &json!({ "name": "Lucas", "secret": 1, "big": 1e300 }));
    let source = "if (reader !== 'alice') { delete instance.secret } return instance";
    let object = |value: Value| Filtered::Shown(value.as_object().unwrap().clone());
    assert_eq!(shown(source, Some("alice")), object(json!({ "name": "Lucas", "secret": 1, "big": 1e300 })));
    assert_eq!(shown(source, None), object(json!({ "name": "Lucas", "big": 1e300 })));
    assert_eq!(shown("return null", None), Filtered::Hidden);
    assert_eq!(shown("", None), Filtered::Hidden);
    assert_eq!(shown("return { toJSON: function () {} }", None), Filtered::Hidden);
    for source in ["return true", "return 'x'", "return [1]", "return {a: '\\ud800'}, 1"] {
        assert!(matches!(shown(source, None), Filtered::Failed(Failure::Result(_))), "{source}");
    }
    assert_eq!(shown("throw new Error('no')", None), Filtered::Failed(Failure::Thrown("Error: no".into())));
}

#[test]
fn what_is_no_function_body_is_refused() {
    for source in
        ["return 1 +", "with (event) {}", "var eval = 1", "}", "} function f() {", "}, 1 + {", "undeclared = ("]
    {
        assert!(matches!(failure(source), Failure::Source(_)), "{source}: {:?}", failure(source));
    }
    assert_eq!(failure("undeclared = 1"), Failure::Thrown("ReferenceError: undeclared is not defined".into()));
    assert_eq!(failure(&" ".repeat(SOURCE_BYTES + 1)), Failure::SourceSize);
    assert_eq!(judged(&" ".repeat(SOURCE_BYTES)), Verdict::Denied(None));
    assert_eq!(
        judged(&"x();".repeat(SOURCE_BYTES / 4)),
        Verdict::Failed(Failure::Thrown("ReferenceError: x is not defined".into()))
    );
}

#[test]
fn data_is_never_code() {
    for text in ["'", "\\", "\"", "');while(true){}//", "\u{2028}", "\0", "</script>", "${1}", "\u{1f600}", "__proto__"]
    {
        let event = event("create", &json!({ text: text }));
        let source = "return Object.keys(event.patch.json_patch)[0]";
        assert_eq!(JUDGE.verdict(source, Some(text), &event, None), denied(text), "{text:?}");
        assert_eq!(JUDGE.verdict("return writer", Some(text), &event, None), denied(text), "{text:?}");
    }
}

#[test]
fn nothing_tells_one_peer_from_another() {
    for name in ["Intl", "performance", "setTimeout", "console", "process", "require", "std", "os", "WeakRef", "crypto"]
    {
        assert_eq!(judged(&format!("return typeof {name}")), denied("undefined"), "{name}");
    }
    assert_eq!(judged("return typeof Math.random"), denied("undefined"));
    for source in ["return Date.now()", "return Date()", "return new Date()", "return new (new Date(0).constructor)()"]
    {
        assert!(matches!(failure(source), Failure::Thrown(_)), "{source}");
    }
    assert_eq!(judged("return new Date(86400000).toISOString()"), denied("1970-01-02T00:00:00.000Z"));
    assert_eq!(judged("return new Date(0).getTimezoneOffset()"), denied("0"));
    assert_eq!(judged("return new Date(0).toLocaleString()"), denied("01/01/1970, 12:00:00 AM"));
    assert_eq!(judged("return (1234567.5).toLocaleString() + 'I'.toLocaleLowerCase()"), denied("1234567.5i"));
    assert_eq!(judged("return ['ä', 'z', 'a'].sort().join()"), denied("a,z,ä"));
    assert_eq!(judged("return Math.pow(1.1, 1000.5) + Math.sin(1e22)"), denied("2.5904874987914413e+41"));
}

#[test]
fn nothing_is_left_of_an_earlier_call() {
    let source = "var before = globalThis.left; globalThis.left = 1; Array.prototype.left = 1; \
        event.patch.left = 1; arguments.callee_ = 1; return String(before) + [].left";
    for _ in 0..3 {
        assert_eq!(judged(source), denied("undefined1"));
    }
}

/// Each of these ends, after so many steps, with a failure or an answer.
#[test]
fn hostile_rules_end() {
    let rules = [
        ("endless loop", "while (true) {}"),
        ("endless loop that catches", "while (true) { try { while (true) {} } catch (e) {} }"),
        ("memory bomb", "var a = []; while (true) { a.push(new Array(1000).join('x') + a.length) }"),
        ("recursion", "function f() { return f() + 1 } return f()"),
        ("recursion that catches", "function f() { try { return f() } catch (e) { return f() } } return f()"),
        ("recursion in toString", "var o = { toString: function () { return '' + o } }; return '' + o"),
        ("recursion in the answer", "var o = { toString: function () { return '' + o } }; return o"),
        (
            "recursion in toJSON",
            "var o = { toJSON: function () { return JSON.stringify(o) } }; return JSON.stringify(o)",
        ),
        ("recursion in a replacer", "return 'a'.replace(/a/, function f(m) { return m.replace(/a/, f) })"),
        ("JSON nested deeply", "var s = ''; for (var i = 0; i < 20000; i++) { s += '[' } return JSON.parse(s)"),
        ("source nested deeply", "return eval(new Array(20000).join('('))"),
        ("regular expression nested deeply", "return new RegExp(new Array(20000).join('(')).test('')"),
        ("backtracking", "return /^(a+)+$/.test(new Array(60).join('a') + '!')"),
        (
            "huge sort",
            "var a = []; a.length = 3000000; for (var i = 0; i < 3000000; i++) { a[i] = i * 7919 % 10007 } a.sort(); return 1",
        ),
        (
            "sort that never agrees",
            "var a = []; while (a.length < 100000) { a.push(a.length) } a.sort(function () { return a.length % 3 - 1 }); while (true) {}",
        ),
        ("string that doubles", "var s = 'x'; while (true) { s += s }"),
        ("string repeat", "while (true) { 'x'.repeat(1 << 22) }"),
        ("huge pad", "while (true) { ''.padStart(1 << 24, 'ab') }"),
        (
            "getters in a chain",
            "var o = {}; for (var i = 0; i < 10000; i++) { o = (function (p) { return { get v() { return p.v } } })(o) } return o.v",
        ),
        ("prototypes in a chain", "var o = {}; while (true) { o = Object.create(o); o.missing }"),
        ("sparse search", "return Array.prototype.indexOf.call({ length: 9007199254740991 }, 1)"),
        ("sparse array", "var a = []; a.length = 4294967295; return a.indexOf(1)"),
        ("sparse join", "var a = []; a.length = 4294967295; return a.join()"),
        (
            "quadratic search",
            "var a = 'a', b = 'a'; for (var i = 0; i < 20; i++) { a += a } for (i = 0; i < 19; i++) { b += b } return a.indexOf(b + 'b') === 1 || 'x'.repeat(9) && (function () { while (true) {} })()",
        ),
        (
            "split and join",
            "var a = 'a'; for (var i = 0; i < 16; i++) { a += a } while (true) { a.split('').join('') }",
        ),
        ("huge integers", "var n = BigInt(3); while (true) { n = n * n }"),
        ("numbers to text", "while (true) { (1.7976931348623157e308).toFixed(100) }"),
        ("eval", "while (true) { eval('1') }"),
        ("functions from text", "while (true) { new Function('return 1')() }"),
        ("generators", "function* g() { yield* g() } return g().next()"),
    ];
    for (name, source) in rules {
        let failure = failure(source);
        let ended = match &failure {
            Failure::Steps | Failure::Depth => true,
            Failure::Thrown(text) => {
                text.starts_with("InternalError") || text.starts_with("RangeError") || text.starts_with("SyntaxError")
            }
            _ => false,
        };
        assert!(ended, "{name}: {failure:?}");
        assert_eq!(judged(source), Verdict::Failed(failure), "{name}, again");
    }
    assert_eq!(judged("return true"), Verdict::Accepted, "nothing is broken");
}

#[test]
fn promises_never_run() {
    assert_eq!(judged("function p() { return Promise.resolve().then(p) } p(); return true"), Verdict::Accepted);
    assert_eq!(judged("Promise.reject(new Error('no')); return true"), Verdict::Accepted);
    assert_eq!(judged("Promise.resolve().then(function () { while (true) {} }); return true"), Verdict::Accepted);
}

#[test]
fn a_large_document_is_judged_and_a_huge_one_is_not() {
    let large = event("create", &json!({ "list": vec![1.5; 250_000] }));
    assert_eq!(
        JUDGE.verdict("return event.patch.json_patch.list.length === 250000", None, &large, None),
        Verdict::Accepted
    );
    let text = event("create", &json!({ "text": "\u{1}".repeat(1 << 20) }));
    assert_eq!(
        JUDGE.verdict("return event.patch.json_patch.text.length === 1048576", None, &text, None),
        Verdict::Accepted
    );
    let huge = event("create", &json!({ "text": "x".repeat(9 << 20) }));
    assert_eq!(JUDGE.verdict("return true", None, &huge, None), Verdict::Failed(Failure::Size));
}

#[test]
fn the_language_is_complete_enough() {
    for source in [
        "var f = function (a) { return a.map(function (x) { return x * 2 }) }; return f([1, 2]).join() === '2,4'",
        "return /^(?:[a-z]+)-(\\d+)$/.exec('abc-42')[1] === '42'",
        "return JSON.stringify({ b: 1, a: [1, null, 'x'] }) === '{\"b\":1,\"a\":[1,null,\"x\"]}'",
        "try { null.x } catch (e) { return e instanceof TypeError }",
        "label: for (var i = 0; ; i++) { for (;;) { if (i > 3) { break label } continue label } } return i === 4",
        "return Object.keys(Object.freeze({ a: 1 })).length === 1 && [].concat([1], 2).length === 2",
        "return parseInt('0x10') === 16 && (0.1 + 0.2).toFixed(2) === '0.30' && isNaN('x' * 1)",
        "return new Date('2020-02-29T00:00:00Z').getTime() === Date.UTC(2020, 1, 29)",
        "return [3, 1, 2].sort(function (a, b) { return b - a }).join('') === '321'",
        "const g = (...all) => all.length; let { a = 5 } = {}; return `${g(1, 2)}${a}` === '25'",
        "return decodeURIComponent(encodeURIComponent('ß')) === 'ß' && escape('ä') === '%E4'",
        "return (function () { return this })() === undefined",
    ] {
        assert_eq!(judged(source), Verdict::Accepted, "{source}");
    }
}

/// Peers have to agree on every step, or they would not agree on what takes too many: these numbers are part of the format.
#[test]
fn steps_are_the_same_everywhere() {
    let event = event("create", &json!({ "fullName": "Lucas" }));
    let steps = |source: &str| JUDGE.steps(source, &event).unwrap();
    let counted = [steps("return true"), steps(VALIDATOR), steps("for (var i = 0; i < 1000; i++) {} return true")];
    assert_eq!(counted, [63_632, 76_441, 2_000_937]);
    assert!(counted.iter().all(|steps| *steps < STEPS / 100));
}

/// Pieces of rules that say something about what they get.
fn rules() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("x += JSON.stringify(event)"),
        Just("x += Object.keys(event.patch).join()"),
        Just("for (var i = 0; i < 50; i++) { x += Math.sin(i) }"),
        Just("x = x.split('').reverse().join('')"),
        Just("x += writer"),
        Just("x += instance && instance.a"),
        Just("if (x.length % 2) { throw new Error(x) }"),
        Just("x += [5, 1, 4].sort()"),
        Just("if (x.length > 300) { return true }"),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| format!("var x = ''; {}; return x", pieces.join("; ")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_same_arguments_give_the_same_verdict_on_every_thread(
        source in rules(),
        patch in proptest::collection::btree_map("[a-z]{0,3}", any::<f64>().prop_filter("JSON", |n| n.is_finite()), 0..4),
        writer in proptest::option::of("[a-z]{0,8}"),
    ) {
        let event = event("save", &json!(patch));
        let instance = json!({ "a": writer });
        let run = || JUDGE.verdict(&source, writer.as_deref(), &event, Some(&instance));
        let first = run();
        let fresh = JavaScript::new().unwrap().verdict(&source, writer.as_deref(), &event, Some(&instance));
        prop_assert_eq!(&first, &fresh);
        let others = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        prop_assert!(others.iter().all(|other| *other == first), "{others:?}");
    }

    #[test]
    fn no_source_makes_it_panic(source in "\\PC{0,60}") {
        let _ = judged(&source);
    }
}
