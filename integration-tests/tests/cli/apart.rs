//! Two daemons that write apart: what merging leaves to decide is listed on both, and decided on one for both.

use serde_json::{Value, json};
use spool_integration_tests::daemon::{Daemon, Repo};

use super::walk::str_of;

/// Connects them and brings both to the same records and documents; the hash.
fn together(alice: &Repo, bob: &Repo, daemon: &Daemon) -> String {
    bob.text(&["peers", "connect", &daemon.address()]);
    bob.text(&["sync", "films"]);
    alice.text(&["sync", "films"]);
    let hashes = [alice, bob].map(|repo| repo.json(&["db", "hash", "films", "--wait"]).remove(0));
    assert_eq!(hashes[0], hashes[1], "equal heads and nothing held back are equal documents");
    str_of(&hashes[0], "hash").to_owned()
}

#[test]
fn conflicts_of_all_kinds_are_listed_and_decided() {
    let (alice, bob) = (Repo::new("alice"), Repo::new("bob"));
    let (at_alice, at_bob) = (alice.start(&[]), bob.start(&[]));
    alice.text(&["thread", "create", "films"]);
    alice.text(&["db", "define", "films", "movies", "--keep-both", "title", "--unique", "code"]);
    let film = r#"{"_id": "clue", "title": "?", "stars": 0, "genres": ["Comedy"], "length": 94}"#;
    alice.text(&["db", "create", "films", "movies", film]);
    bob.text(&["thread", "join", &alice.text(&["thread", "share", "films", "--read"])]);
    let first = together(&alice, &bob, &at_alice);
    assert_eq!((at_alice.stop().code(), at_bob.stop().code()), (Some(0), Some(0)));

    // Bob is alone.
    let at_bob = bob.start(&[]);
    bob.text(&[
        "db",
        "update",
        "films",
        "movies",
        "clue",
        "--set",
        "title=Clue",
        "--inc",
        "stars=2",
        "--add",
        "genres=Crime",
    ]);
    bob.text(&["db", "update", "films", "movies", "clue", "--set", "length=too long"]);
    bob.text(&["db", "create", "films", "movies", r#"{"_id": "brazil", "title": "Brazil", "code": 7}"#]);
    assert_eq!(at_bob.stop().code(), Some(0));
    // Alice is alone.
    let at_alice = alice.start(&[]);
    alice.text(&[
        "db",
        "update",
        "films",
        "movies",
        "clue",
        "--set",
        "title=Cluedo",
        "--inc",
        "stars=3",
        "--remove",
        "genres=Comedy",
    ]);
    alice.text(&["db", "create", "films", "movies", r#"{"_id": "ran", "title": "Ran", "code": 7}"#]);
    let schema = alice.feed(
        ["db", "define", "films", "movies", "--schema", "-"],
        br#"{"properties": {"length": {"type": "integer"}}}"#,
    );
    assert_eq!(schema.code, Some(0), "{schema:?}");
    let alone = alice.json(&["db", "conflicts", "films"]);
    assert!(alone.is_empty(), "alone there is nothing to decide: {alone:?}");
    let at_bob = bob.start(&[]);
    assert_ne!(together(&alice, &bob, &at_alice), first);

    let conflict = |id: &str, kind: &str, path: &str| {
        json!({
            "collection": "movies", "id": id, "kind": kind, "path": path, "values": null, "message": null, "value": null, "others": null,
        })
    };
    let with = |mut conflict: Value, more: Value| {
        conflict.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        conflict
    };
    let mut expected = vec![
        with(conflict("brazil", "duplicate", "code"), json!({"value": 7, "others": ["ran"]})),
        with(conflict("clue", "kept-both", "title"), json!({"values": ["Cluedo", "Clue"]})),
        with(conflict("clue", "schema", "length"), json!({"message": "value is not of type \"integer\""})),
        with(conflict("ran", "duplicate", "code"), json!({"value": 7, "others": ["brazil"]})),
    ];
    let in_order = |conflicts: &mut Vec<Value>| conflicts.sort_by_key(|one| format!("{} {}", one["id"], one["kind"]));
    in_order(&mut expected);
    for repo in [&alice, &bob] {
        let mut told = repo.json(&["db", "conflicts", "films", "movies"]);
        in_order(&mut told);
        assert_eq!(told, expected);
        let document = repo.json(&["db", "get", "films", "movies", "clue"]).remove(0);
        assert_eq!(document["conflicts"].as_array().unwrap().len(), 2);
        let merged = &document["document"];
        assert_eq!(
            (&merged["title"], &merged["stars"], &merged["genres"], &merged["length"]),
            (&json!("Cluedo"), &json!(5), &json!(["Crime"]), &json!("too long"))
        );
        let shown = repo.text(&["db", "conflicts", "films"]);
        assert!(shown.contains("kept-both  movies/clue  title is \"Cluedo\" or \"Clue\""), "{shown}");
        assert!(shown.contains("duplicate  movies/brazil  code is 7, as in ran"), "{shown}");
    }

    // Bob decides all of it; it is decided for Alice, too.
    // What is not as the schema says is not written again before it is.
    let refused = bob.fails(&["db", "resolve", "films", "movies", "clue", "title", "Clue"], 2);
    assert!(refused.contains("length: value is not of type"), "{refused}");
    bob.text(&["db", "update", "films", "movies", "clue", "--set", "length=94"]);
    bob.text(&["db", "resolve", "films", "movies", "clue", "title", "Clue"]);
    bob.text(&["db", "update", "films", "movies", "ran", "--set", "code=8"]);
    together(&alice, &bob, &at_alice);
    for repo in [&alice, &bob] {
        assert_eq!(repo.json(&["db", "conflicts", "films"]), [] as [Value; 0]);
        assert_eq!(repo.json(&["db", "get", "films", "movies", "clue"])[0]["document"]["title"], json!("Clue"));
    }
    assert_eq!((at_alice.stop().code(), at_bob.stop().code()), (Some(0), Some(0)));
}

/// Two who read the same version and change it: one of them is told, also where the other change came from another node.
#[test]
fn who_changes_what_another_has_changed_is_told_with_8() {
    let (alice, bob) = (Repo::new("alice"), Repo::new("bob"));
    let (at_alice, _at_bob) = (alice.start(&[]), bob.start(&[]));
    alice.text(&["thread", "create", "films"]);
    alice.text(&["db", "define", "films", "movies"]);
    alice.text(&["db", "create", "films", "movies", r#"{"_id": "clue", "stars": 1}"#]);
    bob.text(&["thread", "join", &alice.text(&["thread", "share", "films", "--read"])]);
    together(&alice, &bob, &at_alice);
    let version = |repo: &Repo| str_of(&repo.json(&["db", "get", "films", "movies", "clue"])[0], "version").to_owned();
    let read = version(&alice);
    assert_eq!(version(&bob), read, "a version is the same everywhere");
    let update =
        |stars: &'static str| ["db", "update", "films", "movies", "clue", "--set", stars, "--json", "--if-version"];
    let changed = bob.run([&update("stars=2")[..], &[&read]].concat());
    assert_eq!(changed.code, Some(0), "{changed:?}");
    together(&alice, &bob, &at_alice);
    let refused = alice.run([&update("stars=3")[..], &[&read]].concat());
    let (code, reason, message) = refused.error();
    assert_eq!((refused.code, code, reason.as_str()), (Some(8), 8, "stale"), "{message}");
    assert!(
        message.contains(&version(&alice)) && message.contains(&read) && message.contains("read it again"),
        "{message}"
    );
    assert_eq!(alice.json(&["db", "get", "films", "movies", "clue"])[0]["document"]["stars"], json!(2));
    let again = alice.run([&update("stars=3")[..], &[&version(&alice)]].concat());
    assert_eq!(again.code, Some(0), "{again:?}");
}
