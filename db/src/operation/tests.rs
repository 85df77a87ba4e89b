use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::stamp::Stamp;

fn dot(counter: u64) -> Dot {
    Dot::new(&Stamp { time: spool_proto::clock::Time::default(), log: [7; 32], counter }, 3)
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e300..1e300f64).prop_map(Value::from),
        "[a-zä.]{0,5}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn changes() -> impl Strategy<Value = Change> {
    let path = || prop::collection::vec("[a-c]", 1..4).prop_map(Path::new);
    let fields = prop::collection::btree_map("[a-z]{1,3}", values(), 0..4);
    let dots = || prop::collection::vec(any::<u64>().prop_map(dot), 0..3);
    prop_oneof![
        fields.prop_map(|fields| Change::Create(fields.into_iter().collect())),
        (path(), values()).prop_map(|(path, value)| Change::Set(path, value)),
        (path(), values()).prop_map(|(path, value)| Change::Replace(path, value)),
        path().prop_map(Change::Unset),
        (path(), any::<i64>()).prop_map(|(path, by)| Change::Increment(path, by.into())),
        (path(), values()).prop_map(|(path, value)| Change::Add(path, value)),
        (path(), values(), dots(), any::<bool>()).prop_map(|(path, value, dots, plain)| Change::Remove(
            path,
            value,
            Observed { dots, plain }
        )),
        (path(), values(), dots()).prop_map(|(path, value, seen)| Change::Keep(path, value, seen)),
        Just(Change::Delete),
        Just(Change::Undelete),
    ]
}

fn transactions() -> impl Strategy<Value = Transaction> {
    let operation = ("[a-z]{1,4}", "[a-z]{1,4}", changes())
        .prop_map(|(collection, id, change)| Operation::Change(Target { collection, id }, change));
    let reverts = prop_oneof![
        Just(None),
        any::<u64>().prop_map(|at| Some(Reverts::Undo(at))),
        any::<u64>().prop_map(|at| Some(Reverts::Redo(at)))
    ];
    (reverts, prop::collection::vec(operation, 0..6))
        .prop_map(|(reverts, operations)| Transaction { reverts, operations })
}

proptest! {
    #[test]
    fn transactions_round_trip(transaction in transactions()) {
        let bytes = transaction.encode().unwrap();
        prop_assert_eq!(Transaction::decode(&bytes).unwrap(), Decoded::Transaction(transaction));
    }

    #[test]
    fn damaged_transactions_never_panic(transaction in transactions(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = transaction.encode().unwrap();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        let _ = Transaction::decode(&bytes);
        let _ = Transaction::decode(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn bytes_that_are_no_transaction_are_somebody_elses(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assume!(!bytes.starts_with(b"\x84\x68spool/db"));
        prop_assert_eq!(Transaction::decode(&bytes).unwrap(), Decoded::Other);
    }
}

fn encode(value: impl Serialize) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(&value).unwrap()
}

#[test]
fn a_kind_of_tomorrow_is_kept_apart_and_the_rest_is_read() {
    let body = encode((MAGIC, VERSION, None::<u64>, ((77u64, "films", "1", [1, 2]), (8u64, "films", "1"))));
    let Decoded::Transaction(transaction) = Transaction::decode(&body).unwrap() else { panic!("a transaction") };
    let deletion = Operation::Change(Target::new("films", "1"), Change::Delete);
    assert_eq!(transaction.operations, [Operation::Unknown(77), deletion]);
    assert!(transaction.has_unknown());
}

#[test]
fn a_version_of_tomorrow_is_named() {
    assert_eq!(Transaction::decode(&encode((MAGIC, 2u64, "what", "ever"))), Ok(Decoded::Newer(2)));
}

#[test]
fn what_breaks_the_rules_has_no_effect() {
    let refused = |operation: Value| {
        let body = encode((MAGIC, VERSION, None::<u64>, [operation.clone()]));
        Transaction::decode(&body).expect_err(&operation.to_string())
    };
    assert!(matches!(refused(json!([0, "films", "1", "no map"])), Error::Malformed(_)));
    assert!(matches!(refused(json!([8, "films", "1", 2])), Error::Malformed(_)));
    assert!(matches!(refused(json!([4, "films", "1", ["a"], "1"])), Error::Malformed(_)));
    assert!(matches!(refused(json!([8, "two words", "1"])), Error::Collection(_)));
    assert!(matches!(refused(json!([8, "a--b", "1"])), Error::Collection(_)));
    assert!(matches!(refused(json!([8, "films", ""])), Error::Id(_)));
    assert!(matches!(refused(json!([8, "films", "a\u{0}b"])), Error::Id(_)));
    assert!(matches!(refused(json!([1, "films", "1", [], 3])), Error::NotAMap));
    assert!(matches!(refused(json!([1, "films", "1", ["_id"], 3])), Error::Reserved(_)));
    assert!(matches!(refused(json!([0, "films", "1", {"_mod": 3}])), Error::Reserved(_)));
    assert!(matches!(refused(json!([3, "films", "1", vec!["a"; 10_000]])), Error::TooDeep));
    let deep = (0..200).fold(json!(1), |value, _| json!([value]));
    assert!(matches!(refused(json!([1, "films", "1", ["a"], deep])), Error::TooDeep | Error::Malformed(_)));
}

#[test]
fn too_much_is_refused_on_both_sides() {
    let target = Target::new("films", "1");
    let deletion = Operation::Change(target.clone(), Change::Delete);
    let many = Transaction { reverts: None, operations: vec![deletion; MAX_OPERATIONS + 1] };
    assert_eq!(many.encode(), Err(Error::TooManyOperations));
    let text = "x".repeat(MAX_TRANSACTION_BYTES);
    let large = Operation::Change(target, Change::Set(Path::new(["a"]), text.into()));
    let large = Transaction { reverts: None, operations: vec![large] };
    assert!(matches!(large.encode(), Err(Error::TooLarge(_))));
    let mut body = encode((MAGIC, VERSION, None::<u64>, Vec::<u64>::new()));
    body.resize(MAX_TRANSACTION_BYTES + 1, 0);
    assert!(matches!(Transaction::decode(&body), Err(Error::TooLarge(_))));
}
