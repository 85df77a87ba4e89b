use std::{collections::BTreeMap, sync::Arc};

use spool_proto::sync::Durability;

use super::*;
use crate::{
    Store,
    commit::tests::Rig,
    fixture::Author,
    kv::{Faulty, Reads as _},
    view::{Batch as ViewBatch, View},
};

const VIEW: u8 = 1;
/// More than one step of them.
const VALUES: u32 = RESEAL_KEYS as u32 + 100;

fn key(seed: u8) -> Key {
    Key::new([seed; 32])
}

fn value(n: u32) -> Vec<u8> {
    // Every tenth is empty.
    if n.is_multiple_of(10) { Vec::new() } else { format!("secret {n}").into_bytes() }
}

/// A store in the open with two threads and a large view.
fn filled() -> (Arc<Faulty>, Vec<Author>) {
    let mut rig = Rig::new();
    let authors: Vec<_> = [1, 2].map(|seed| Author::new(seed, seed)).into();
    for author in &authors {
        rig.commit(Durability::Sync, vec![author.write_thread()]);
    }
    let mut batch = ViewBatch::default();
    (0..VALUES).for_each(|n| batch.put(n.to_be_bytes(), value(n)));
    view(&rig.store, &authors[0]).write(batch).unwrap();
    rig.kv.sync().unwrap();
    (rig.kv, authors)
}

fn view(store: &Store, author: &Author) -> View {
    store.view(&author.thread, VIEW).unwrap().unwrap()
}

fn contents(kv: &Faulty, space: Space) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    kv.scan(space, &[], &[], &mut |key, value| {
        found.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })
    .unwrap();
    found
}

fn all(kv: &Faulty) -> Vec<BTreeMap<Vec<u8>, Vec<u8>>> {
    [Space::Meta, Space::Threads, Space::Views].map(|space| contents(kv, space)).into()
}

/// What readers see under a key is what was written, and nothing of it lies open where there is a key.
fn is_whole(kv: &Arc<Faulty>, key: Option<&Key>, authors: &[Author]) {
    let store = Store::with_kv_and_key(kv.clone(), key).unwrap();
    assert_eq!(store.threads().unwrap().len(), authors.len());
    for author in authors {
        assert_eq!(store.thread(&author.thread).unwrap().unwrap().keys, author.keys);
    }
    let view = view(&store, &authors[0]);
    let mut n = 0u32;
    view.reader()
        .scan(&[], &[], &mut |key, found| {
            assert_eq!((key, found), (&n.to_be_bytes()[..], &value(n)[..]));
            n += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(n, VALUES);
    assert_eq!(view.reader().get(&7u32.to_be_bytes()).unwrap().unwrap(), value(7));
    let open = contents(kv, Space::Views).values().any(|found| found.starts_with(b"secret"));
    assert_eq!(open, key.is_none());
}

fn run(kv: &Faulty, target: Target) -> Result<(), ResealError> {
    reseal(kv, &key(7), target, &mut |_| {})
}

#[test]
fn sealed_and_unsealed_a_store_is_what_it_was() {
    let (kv, authors) = filled();
    let before = all(&kv);
    is_whole(&kv, None, &authors);
    let mut told = Vec::new();
    reseal(&*kv, &key(7), Target::Sealed, &mut |done| told.push(done)).unwrap();
    assert!(told.is_sorted() && told.last() == Some(&u64::from(VALUES + 2)), "{told:?}");
    is_whole(&kv, Some(&key(7)), &authors);
    let sealed = all(&kv);
    run(&kv, Target::Sealed).unwrap();
    assert_eq!(all(&kv), sealed, "once is enough");
    run(&kv, Target::Plain).unwrap();
    assert_eq!(all(&kv), before);
}

#[test]
fn a_power_cut_at_any_moment_is_gone_on_from() {
    for from in [Target::Plain, Target::Sealed] {
        let (whole, authors) = filled();
        run(&whole, from).unwrap();
        let to = if from == Target::Plain { Target::Sealed } else { Target::Plain };
        let mut cuts = 0;
        for calls in 0.. {
            let kv = whole.power_cut(0);
            kv.power_off_after(calls);
            if run(&kv, to).is_ok() {
                break;
            }
            for kept in 0..=kv.unsynced() {
                cuts += 1;
                let found = kv.power_cut(kept);
                // Either the one or the other may be finished next.
                for end in [to, from] {
                    let found = Arc::new(found.power_cut(0));
                    if contents(&found, Space::Meta).contains_key(keys::RESEALING) {
                        assert!(Store::with_kv(found.clone()).is_err());
                        assert!(Store::with_kv_and_key(found.clone(), Some(&key(7))).is_err());
                    }
                    run(&found, end).unwrap();
                    is_whole(&found, (end == Target::Sealed).then_some(&key(7)), &authors);
                }
            }
        }
        assert!(cuts > 6, "{cuts} cuts");
    }
}

#[test]
fn another_key_seals_and_unseals_nothing() {
    let (kv, authors) = filled();
    kv.power_off_after(2);
    run(&kv, Target::Sealed).unwrap_err();
    let kv = Arc::new(kv.power_cut(2));
    let before = all(&kv);
    for target in [Target::Sealed, Target::Plain] {
        let refused = reseal(&*kv, &key(8), target, &mut |_| {});
        assert!(matches!(refused, Err(ResealError::Schema(schema::Error::OtherKey))), "{refused:?}");
    }
    assert_eq!(all(&kv), before);
    run(&kv, Target::Sealed).unwrap();
    let refused = reseal(&*kv, &key(8), Target::Plain, &mut |_| {});
    assert!(matches!(refused, Err(ResealError::Schema(schema::Error::OtherKey))), "{refused:?}");
    is_whole(&kv, Some(&key(7)), &authors);
}

#[test]
fn what_does_not_open_is_damage_wherever_it_is_read() {
    let (kv, authors) = filled();
    run(&kv, Target::Sealed).unwrap();
    let mut batch = Batch::default();
    for space in SPACES {
        let found = contents(&kv, space);
        let (key, value) = found.iter().find(|(key, value)| value.len() > 40 && key[0] < 2).unwrap();
        let mut damaged = value.clone();
        damaged[20] ^= 1;
        batch.put(space, key.clone(), damaged);
    }
    kv.write(&batch, true).unwrap();
    let store = Store::with_kv_and_key(kv.clone(), Some(&key(7))).unwrap();
    assert!(store.threads().is_err_and(|error| error.is_fatal() && matches!(error, Error::Sealed("thread"))));
    let view = view(&store, &authors[0]);
    let scanned = view.reader().scan(&[], &[], &mut |_, _| ControlFlow::Continue(()));
    assert!(matches!(scanned, Err(Error::Sealed("view"))));
    assert!(matches!(run(&kv, Target::Plain), Err(ResealError::Store(Error::Sealed(_)))));
    // A view can be folded again, so it can be dropped.
    while view.clear(1_000, &[]).unwrap() {}
}

#[test]
fn an_empty_store_is_made_as_it_is_to_be() {
    let kv = Arc::new(Faulty::new());
    run(&kv, Target::Sealed).unwrap();
    assert!(Store::with_kv(kv.clone()).is_err());
    Store::with_kv_and_key(kv, Some(&key(7))).unwrap();
}
