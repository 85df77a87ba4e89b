use std::ops::ControlFlow;

use spool_proto::sync::{Durability, Write};

use super::*;
use crate::{commit::tests::Rig, fixture::Author};

fn all(reader: &Reader<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    reader
        .scan(&[], &[], &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
    found
}

fn put(view: &View, key: &str, value: &str) {
    let mut batch = Batch::default();
    batch.put(key, value.to_owned());
    view.write(batch).unwrap();
}

fn pair(key: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (key.into(), value.into())
}

fn views() -> (Rig, Author, View, View) {
    let (mut rig, author) = (Rig::new(), Author::new(1, 1));
    rig.commit(Durability::Sync, vec![author.write_thread()]);
    let [one, two] = [1, 2].map(|number| rig.store.view(&author.thread, number).unwrap().unwrap());
    (rig, author, one, two)
}

#[test]
fn views_do_not_see_each_other() {
    let (_rig, _, one, two) = views();
    put(&one, "key", "one");
    put(&two, "key", "two");
    assert_eq!(all(&one.reader()), [pair("key", "one")]);
    assert_eq!(all(&two.reader()), [pair("key", "two")]);
    assert!(!one.clear(10, &[]).unwrap());
    assert!(all(&one.reader()).is_empty());
    assert_eq!(all(&two.reader()).len(), 1);
}

#[test]
fn a_snapshot_does_not_see_what_is_written_later() {
    let (_rig, _, view, _) = views();
    put(&view, "key", "before");
    view.snapshot(|snapshot| {
        put(&view, "key", "after");
        put(&view, "new", "after");
        assert_eq!(all(snapshot), [pair("key", "before")]);
        assert_eq!(snapshot.get(b"new").unwrap(), None);
    });
    assert_eq!(all(&view.reader()).len(), 2);
}

#[test]
fn scans_go_both_ways_within_their_bounds() {
    let (_rig, _, view, _) = views();
    ["a", "b", "c", "d"].iter().for_each(|key| put(&view, key, key));
    let mut found = Vec::new();
    let mut take = |key: &[u8], _: &[u8]| {
        found.push(key.to_vec());
        ControlFlow::Continue(())
    };
    view.reader().scan_back(b"b", b"d", &mut take).unwrap();
    view.reader().scan(b"b", b"d", &mut take).unwrap();
    assert_eq!(found, [b"c", b"b", b"b", b"c"]);
}

#[test]
fn clearing_goes_in_steps() {
    let (_rig, _, view, _) = views();
    ["a", "b", "c", "d"].iter().for_each(|key| put(&view, key, key));
    assert!(view.clear(2, b"d").unwrap());
    assert_eq!(all(&view.reader()).len(), 2);
    assert!(!view.clear(2, b"d").unwrap());
    assert_eq!(all(&view.reader()), [pair("d", "d")]);
}

#[test]
fn a_view_goes_with_its_thread() {
    let (mut rig, author, view, _) = views();
    put(&view, "key", "value");
    rig.commit(Durability::Sync, vec![Write::RemoveThread { thread: author.thread.clone() }]);
    rig.purge();
    assert!(all(&view.reader()).is_empty());
    assert!(rig.store.view(&author.thread, 1).unwrap().is_none());
    let late = view.write(Batch(vec![(b"key".to_vec(), None)]));
    assert!(matches!(late, Err(Error::NoThread)));
}
