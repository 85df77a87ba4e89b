//! Queries against answers found by looking at everything.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod films;
mod memory;
mod oracle;
mod plans;
mod random;
mod syntax;

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value};
use spool_db::query::{Error, Options, Plan, Query, find};

use crate::memory::Memory;

fn filled(indexes: &[&str], documents: &BTreeMap<String, Map<String, Value>>) -> Memory {
    let mut memory = Memory::with_indexes(indexes);
    for (number, (id, fields)) in documents.iter().enumerate() {
        memory.insert(id, number as u64 % 7, fields);
    }
    memory
}

/// Whatever plan is chosen or asked for, the answer is that of the oracle.
fn check(query: &Query, memory: &Memory) -> Result<(), TestCaseError> {
    let names = memory.indexes.iter().map(|index| Some(index.name.clone()));
    for index in names.chain([None]) {
        let query = Query { index, ..query.clone() };
        let plan = match Plan::new(query.clone(), &memory.indexes, memory) {
            Ok(plan) => plan,
            Err(Error::Unserving { .. }) if query.index.is_some() => continue,
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        match (plan.collect(memory, Options::default()), oracle::answer(&query, memory)) {
            (Ok(found), Some(expected)) => prop_assert_eq!(found, expected, "{}\n{:?}", plan, plan),
            (Err(Error::After { .. }), None) => {}
            (found, expected) => prop_assert!(false, "{:?} is not {:?}\n{}", found, expected, plan),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn every_plan_gives_the_answer_of_the_oracle(
        documents in proptest::collection::btree_map(random::id(), random::document(), 0..40),
        query in random::query(),
    ) {
        check(&query, &filled(&random::INDEXES, &documents))?;
        check(&query, &filled(&[], &documents))?;
    }

    /// Pages of a sorted list that others write to meanwhile: what they do not touch comes once and in order.
    #[test]
    fn pages_after_an_id_are_stable_under_concurrent_writes(
        documents in proptest::collection::btree_map(random::id(), random::document(), 1..30),
        meanwhile in proptest::collection::vec((random::id(), random::document()), 30),
        query in random::query(),
        size in 1_usize..5,
        is_indexed: bool,
    ) {
        let mut memory = filled(if is_indexed { &random::INDEXES } else { &[] }, &documents);
        let paged = Query { skip: 0, limit: None, after: None, ..query };
        let before: Vec<_> = oracle::answer(&paged, &memory).unwrap().into_iter().map(|document| document.id).collect();
        let mut written = std::collections::BTreeSet::new();
        let mut seen: Vec<String> = Vec::new();
        let mut meanwhile = meanwhile.into_iter();
        loop {
            let page = Query { limit: Some(size), after: seen.last().cloned(), ..paged.clone() };
            let page = find(page, &memory.indexes, &memory, Options::default()).unwrap();
            if page.is_empty() {
                break;
            }
            seen.extend(page.into_iter().map(|document| document.id));
            // The place of the last one seen is where it is now: only that one stays.
            if let Some((id, fields)) = meanwhile.next().filter(|(id, _)| seen.last() != Some(id)) {
                memory.insert(&id, 3, &fields);
                written.insert(id);
            }
        }
        let untouched = |ids: &[String]| ids.iter().filter(|id| !written.contains(*id)).cloned().collect::<Vec<_>>();
        prop_assert_eq!(untouched(&seen), untouched(&before));
    }
}
