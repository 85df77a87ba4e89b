//! Versions and earlier states, against prefixes of all events.

use std::{collections::BTreeMap, ops::ControlFlow};

use proptest::prelude::*;
use serde_json::json;
use spool_db::{
    Change, Document, Stamp, Target,
    history::{self, At, Order, Page, Version, VersionId},
    testing::drafts::{Draft, path},
};
use spool_proto::clock::Time;

use crate::common::{Rig, film, played, steps, visible};

fn page(order: Order, after: Option<Stamp>, count: usize) -> Page {
    Page { order, after, count, bytes: usize::MAX }
}

fn versions(rig: &Rig, target: &Target, page: Page) -> Vec<Version> {
    history::versions(&rig.replica.view.reader(), &rig.replica.delivered, target, page).unwrap()
}

fn all_versions(rig: &Rig, target: &Target, order: Order, count: usize) -> Vec<Version> {
    let mut all: Vec<Version> = Vec::new();
    loop {
        let next = versions(rig, target, page(order, all.last().map(|last| last.stamp), count));
        assert!(next.len() <= count);
        if next.is_empty() {
            return all;
        }
        all.extend(next);
    }
}

fn document_at(rig: &Rig, target: &Target, at: At) -> Option<Document> {
    history::document_at(&rig.replica.view.reader(), &rig.replica.delivered, target, at).unwrap()
}

fn documents_at(rig: &Rig, time: Time) -> BTreeMap<Target, Document> {
    let mut found = BTreeMap::new();
    let mut visit = |target: &Target, document| {
        found.insert(target.clone(), document);
        ControlFlow::Continue(())
    };
    history::documents_at(&rig.replica.view.reader(), &rig.replica.delivered, "films", time, &mut visit).unwrap();
    found
}

/// The states of a document that each of its events has left.
fn expected(rig: &Rig, target: &Target) -> Vec<(Stamp, Vec<Change>, Document)> {
    let events = rig.events();
    let states = rig.prefixes().into_iter().filter_map(|(stamp, mut documents)| {
        let own = events[&stamp].iter().filter(|(changed, _, _)| changed == target);
        let changes: Vec<_> = own.map(|(_, _, change)| change.clone()).collect();
        (!changes.is_empty()).then(|| (stamp, changes, documents.remove(target).unwrap()))
    });
    states.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn histories_are_the_prefixes_of_all_events(steps in steps(), count in 1usize..9) {
        let rig = played(&steps);
        for target in rig.targets() {
            let expected = expected(&rig, &target);
            let mut found = all_versions(&rig, &target, Order::OldestFirst, count);
            prop_assert_eq!(found.len(), expected.len());
            for (version, (stamp, changes, document)) in found.iter().zip(&expected) {
                prop_assert_eq!(version.stamp, *stamp);
                prop_assert_eq!(&version.changes, changes);
                prop_assert_eq!(version.id, document.version());
                prop_assert_eq!(version.existence, document.existence);
                let by_version = document_at(&rig, &target, At::Version(version.id));
                prop_assert_eq!(by_version.as_ref(), Some(document));
            }
            found.reverse();
            prop_assert_eq!(all_versions(&rig, &target, Order::NewestFirst, count), found);
        }
        let prefixes = rig.prefixes();
        for (index, (stamp, documents)) in prefixes.iter().enumerate() {
            for target in rig.targets() {
                prop_assert_eq!(document_at(&rig, &target, At::Stamp(*stamp)), documents.get(&target).cloned());
            }
            // Events of one time are there together.
            if prefixes.get(index + 1).is_none_or(|(next, _)| next.time > stamp.time) {
                for target in rig.targets() {
                    prop_assert_eq!(document_at(&rig, &target, At::Time(stamp.time)), documents.get(&target).cloned());
                }
                prop_assert_eq!(visible(&documents_at(&rig, stamp.time)), visible(documents));
            }
        }
    }
}

#[test]
fn versions_have_short_names_that_change_with_every_event() {
    let mut rig = Rig::default();
    let (one, two) = (Change::Create(Default::default()), Change::Set(path("a"), json!(1)));
    rig.change(1, &film(1), [one.clone(), two.clone()]);
    let first = rig.replica.document(&film(1)).version();
    rig.change(2, &film(1), [two.clone()]);
    let second = rig.replica.document(&film(1)).version();
    assert_ne!(first, second, "the same fields, but another event");
    assert_eq!(first.to_string().len(), 32);
    assert_eq!(first.to_string().parse::<VersionId>(), Ok(first));
    assert!("".parse::<VersionId>().is_err() && "+0000000000000000000000000000000".parse::<VersionId>().is_err());
    let found = versions(&rig, &film(1), page(Order::NewestFirst, None, 10));
    assert_eq!(found.iter().map(|version| version.id).collect::<Vec<_>>(), [second, first]);
    assert_eq!(found[1].changes, [one, two]);
    assert_eq!(document_at(&rig, &film(2), At::Version(first)), None);
}

#[test]
fn a_page_ends_at_its_bytes_but_has_one_version() {
    let mut rig = Rig::default();
    for _ in 0..5 {
        rig.change(1, &film(1), [Change::Set(path("a"), "x".repeat(1_000).into())]);
    }
    let count = |order, bytes| versions(&rig, &film(1), Page { order, after: None, count: 10, bytes }).len();
    for order in [Order::NewestFirst, Order::OldestFirst] {
        assert_eq!((count(order, 0), count(order, 1_500), count(order, 1_000_000)), (1, 2, 5));
    }
}

#[test]
fn what_was_deleted_since_is_there_at_its_time() {
    let mut rig = Rig::default();
    // More than are read at once, so that pages are turned.
    let stamps: Vec<_> = (0..150u8)
        .map(|number| rig.change(1, &film(number), [Draft::Create(json!({"n": 1})).change(&Document::default())]))
        .collect();
    (0..150u8).step_by(2).for_each(|number| {
        rig.change(1, &film(number), [Change::Delete]);
    });
    assert_eq!(documents_at(&rig, stamps[149].time).len(), 150);
    assert_eq!(documents_at(&rig, stamps[99].time).len(), 100);
    assert_eq!(documents_at(&rig, Time::from_u64(u64::MAX)).len(), 75);
    assert!(documents_at(&rig, Time::default()).is_empty());
    let mut visited = 0;
    let mut visit = |_: &Target, _| {
        visited += 1;
        if visited == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    history::documents_at(&rig.replica.view.reader(), &rig.replica.delivered, "films", stamps[149].time, &mut visit)
        .unwrap();
    assert_eq!(visited, 3);
}
