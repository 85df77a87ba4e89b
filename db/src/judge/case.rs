//! What a validator is asked: one document that a transaction changes, before and after.

use serde_json::{Map, Value, json};
use spool_proto::LogId;

use super::{Judge, Verdict};
use crate::{Document, Stamp, document::with_own_fields, operation::Target, query::ID};

/// Why a write to a collection is denied whose rule is no rule.
pub(crate) const UNUSABLE: &str = "the rule of the collection cannot be used: define it anew";
/// Why a write is denied that no rule can be asked about: it would show only when somebody else makes the document exist.
const NOT_THERE: &str = "there is no such document";

/// A document that an event changes.
pub(crate) struct Case<'a> {
    pub(crate) stamp: Stamp,
    /// Its log, if it has one already.
    pub(crate) log: Option<LogId>,
    /// Who has proved to have written the event.
    pub(crate) writer: Option<String>,
    pub(crate) target: &'a Target,
}

impl Case<'_> {
    /// Asks the rule.
    pub(crate) fn verdict(&self, judge: &dyn Judge, rule: &str, before: &Document, after: &Document) -> Verdict {
        let id = &self.target.id;
        let with_id = |mut fields: Map<String, Value>| {
            fields.insert(ID.to_owned(), id.as_str().into());
            Value::Object(fields)
        };
        let (kind, patch) = match (before.is_alive(), after.is_alive()) {
            (false, false) => return Verdict::Denied(Some(NOT_THERE.to_owned())),
            (false, true) => ("create", with_id(after.fields.clone())),
            (true, true) => ("save", Value::Object(merge_patch(&before.fields, &after.fields))),
            (true, false) => ("delete", Value::Null),
        };
        let event = json!({
            "timestamp": self.stamp.modified(),
            "_id": self.event_id(),
            "collection_name": self.target.collection,
            "patch": { "type": kind, "instance_id": id, "json_patch": patch },
        });
        let instance = before.is_alive().then(|| with_own_fields(before.fields.clone(), id, before.last));
        judge.verdict(rule, self.writer.as_deref(), &event, instance.map(Value::Object).as_ref())
    }

    /// A name that no other event of the thread has.
    fn event_id(&self) -> String {
        let log = self.log.map(|log| log.to_string()).unwrap_or_default();
        format!("{log}-{}", self.stamp.counter)
    }
}

/// What turns one map into another one (RFC 7386). A null in the second is told as a removal: the format has nothing else for it.
fn merge_patch(before: &Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in after {
        match (before.get(name), value) {
            (Some(before), value) if before == value => {}
            (Some(Value::Object(before)), Value::Object(after)) => {
                patch.insert(name.clone(), Value::Object(merge_patch(before, after)));
            }
            (_, value) => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As RFC 7386 says it, but for nulls within what is new, which it drops.
    fn apply(target: Option<Value>, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        let mut fields = match target {
            Some(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        for (name, value) in patch {
            let before = fields.remove(name);
            if !value.is_null() {
                fields.insert(name.clone(), apply(before, value));
            }
        }
        Value::Object(fields)
    }

    fn documents() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![any::<i8>().prop_map(Value::from), any::<bool>().prop_map(Value::from), Just(json!([1, null]))];
        let map = |inner| proptest::collection::btree_map("[a-c]", inner, 0..4).prop_map(|map| json!(map));
        map(leaf
            .prop_recursive(3, 20, 4, move |inner| {
                proptest::collection::btree_map("[a-c]", inner, 0..4).prop_map(|map| json!(map))
            })
            .boxed())
    }

    proptest! {
        #[test]
        fn a_patch_leads_from_one_to_the_other(before in documents(), after in documents()) {
            let fields = |value: &Value| value.as_object().cloned().unwrap_or_default();
            let patch = merge_patch(&fields(&before), &fields(&after));
            prop_assert_eq!(apply(Some(before.clone()), &Value::Object(patch)), after);
        }
    }
}
