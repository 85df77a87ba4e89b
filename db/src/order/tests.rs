use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Numbers close to each other and to the edges of their types.
fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-3_i64..4).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u64..6).prop_map(|more| Value::from((1_u64 << 53) - 2 + more)),
        (0_u64..6).prop_map(|less| Value::from(u64::MAX - less)),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        (-8_i32..9).prop_map(|quarters| Value::from(f64::from(quarters) / 4.0)),
        (0_i32..6).prop_map(|more| Value::from(9_007_199_254_740_990.0 + f64::from(more))),
        Just(json!(-0.0)),
        Just(json!(18_446_744_073_709_551_616.0)),
        Just(json!(-9_223_372_036_854_775_808.0)),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        number(),
        "[ab\0\u{1}ä]{0,3}".prop_map(Value::from),
        (250_usize..260, "[ab]{0,2}").prop_map(|(length, tail)| Value::from("x".repeat(length) + &tail)),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[ab]{0,2}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn maybe(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    proptest::option::weighted(0.9, value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn the_order_is_total(a in maybe(value()), b in maybe(value()), c in maybe(value())) {
        let (a, b, c) = (a.as_ref(), b.as_ref(), c.as_ref());
        prop_assert_eq!(compare(a, a), Ordering::Equal);
        prop_assert_eq!(compare(a, b), compare(b, a).reverse());
        if compare(a, b).is_le() && compare(b, c).is_le() {
            prop_assert!(compare(a, c).is_le());
        }
        if compare(a, b).is_eq() {
            prop_assert_eq!(compare(a, c), compare(b, c));
        }
    }

    #[test]
    fn keys_of_scalars_follow_the_order(a in maybe(scalar()), b in maybe(scalar())) {
        let (a, b) = (a.as_ref(), b.as_ref());
        let (left, right) = (index_key(a), index_key(b));
        match compare(a, b) {
            Ordering::Less => prop_assert!(left <= right),
            Ordering::Equal => prop_assert_eq!(&left, &right),
            Ordering::Greater => prop_assert!(left >= right),
        }
        if left == right && is_exact(&left) {
            prop_assert_eq!(compare(a, b), Ordering::Equal);
        }
    }

    #[test]
    fn keys_of_all_values_tell_classes_apart_and_equal_values_not(a in maybe(value()), b in maybe(value())) {
        let (left, right) = (index_key(a.as_ref()), index_key(b.as_ref()));
        match Class::of(a.as_ref()).cmp(&Class::of(b.as_ref())) {
            Ordering::Equal => {}
            other => prop_assert_eq!(left.cmp(&right), other),
        }
        if compare(a.as_ref(), b.as_ref()).is_eq() {
            prop_assert_eq!(&left, &right);
        }
        let class = Class::of(a.as_ref());
        prop_assert!(class.first() <= left && left < class.end());
    }

    #[test]
    fn no_key_is_the_beginning_of_another(a in maybe(value()), b in maybe(value())) {
        let (left, right) = (index_key(a.as_ref()), index_key(b.as_ref()));
        prop_assert!(left == right || !(left.starts_with(&right) || right.starts_with(&left)));
        prop_assert!(successor(&left) > left);
        prop_assert!(right <= left || right.starts_with(&left) || successor(&left) <= right);
    }

    #[test]
    fn a_key_that_cannot_contain_a_text_is_of_a_string_that_does_not(text in "[ab\0]{0,5}|x{254,257}[ab]{0,2}", part in "[ab\0]{0,2}") {
        let key = index_key(Some(&Value::from(text.clone())));
        prop_assert!(key_may_contain(&key, &part) || !text.contains(&part));
        if is_exact(&key) {
            prop_assert_eq!(key_may_contain(&key, &part), text.contains(&part));
        }
    }
}

#[test]
fn numbers_compare_by_their_mathematical_value() {
    let ascending = [
        json!(-1e300),
        json!(i64::MIN),
        json!(-1.5),
        json!(-1),
        json!(0.25),
        json!(9_007_199_254_740_992_u64),
        json!(9_007_199_254_740_993_u64),
        json!(u64::MAX),
        json!(18_446_744_073_709_551_616.0),
    ];
    for pair in ascending.windows(2) {
        assert_eq!(compare(Some(&pair[0]), Some(&pair[1])), Ordering::Less, "{pair:?}");
    }
    assert_eq!(compare(Some(&json!([1, {"a": -0.0}])), Some(&json!([1.0, {"a": 0}]))), Ordering::Equal);
}

#[test]
fn an_array_has_a_key_of_its_own_and_one_for_each_element() {
    let array = json!(["b", "a", "b"]);
    let keys = index_entries(Some(&array));
    assert_eq!(keys, [index_key(Some(&array)), element_key(&json!("a")), element_key(&json!("b"))]);
    assert!(keys.is_sorted());
    assert_eq!(index_entries(None), [index_key(None)]);
}

#[test]
fn an_array_of_too_many_elements_has_one_key_for_all_of_them() {
    let array: Value = (0..=MAX_INDEX_ELEMENTS).collect();
    assert_eq!(index_entries(Some(&array)), [index_key(Some(&array)), many_elements_key()]);
}
