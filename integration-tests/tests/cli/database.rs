//! `spool db`: every command once, as a story, for people and for programs; and what happens to those who make mistakes.

use serde_json::{Value, json};
use spool_integration_tests::daemon::Repo;

use super::walk::{Walk, has_fields, str_of};

const WRITTEN: [&str; 7] = ["thread", "collection", "id", "log", "counter", "time", "point"];
const DOCUMENT: [&str; 5] = ["collection", "id", "version", "document", "conflicts"];
const COLLECTION: [&str; 6] = ["name", "documents", "schema", "indexes", "keep_both", "problems"];
const SCHEMA: &str =
    r#"{"type": "object", "required": ["title"], "properties": {"year": {"type": "integer", "minimum": 1888}}}"#;

/// A document without what only time can tell.
fn fields(document: &Value) -> Value {
    let mut document = document["document"].clone();
    assert!(document.as_object_mut().unwrap().remove("_mod").is_some_and(|time| time.is_u64()));
    document
}

/// Waits until an index serves queries: each look takes as long as a command does.
fn indexed(repo: &Repo, thread: &str, collection: &str) {
    let begun = std::time::Instant::now();
    let is_ready = || {
        let indexes = repo.json(&["db", "index", thread, collection]).remove(0);
        indexes.as_array().unwrap().iter().all(|index| index["ready"] == json!(true))
    };
    while !is_ready() {
        assert!(begun.elapsed() < spool_integration_tests::PATIENCE, "the indexes are not built");
    }
}

#[test]
fn every_command_of_databases_works_for_people_and_for_programs() {
    let (mut walk, repo) = (Walk::default(), Repo::new("films"));
    let _daemon = repo.start(&[]);
    repo.text(&["thread", "create", "notes"]);
    collections(&mut walk, &repo);
    documents(&mut walk, &repo);
    queries(&mut walk, &repo);
    the_past(&mut walk, &repo);
    the_whole(&mut walk, &repo);
    // Both have stories of their own beside this one.
    walk.used.extend([("db watch".into(), "json"), ("db watch".into(), "text")]);
    walk.is_complete(&repo, &["db"], &[]);
}

/// `define`, `collections`, `index`.
fn collections(walk: &mut Walk, repo: &Repo) {
    assert_eq!(walk.json(repo, "db collections", &["notes"]), [json!([])]);
    let defined = walk.text(repo, "db define", &["notes", "films", "--index", "year", "--unique", "title"]);
    assert!(defined.starts_with("collection  films\n") && defined.contains("title (unique)"), "{defined}");
    let schema = repo.path().join("film.json");
    std::fs::write(&schema, SCHEMA).unwrap();
    let define = ["notes", "films", "--schema", schema.to_str().unwrap(), "--keep-both", "motto"];
    let defined = walk.fields(repo, "db define", &define, &COLLECTION);
    assert_eq!(defined["schema"], serde_json::from_str::<Value>(SCHEMA).unwrap());
    assert_eq!(
        (&defined["name"], &defined["keep_both"], &defined["problems"]),
        (&json!("films"), &json!(["motto"]), &json!([]))
    );
    indexed(repo, "notes", "films");
    let index = |path: &str, unique: bool| json!({"path": path, "unique": unique, "ready": true});
    let added = walk.json(repo, "db index", &["notes", "films", "add", "cast"]);
    assert_eq!(added[0].as_array().unwrap().len(), 3);
    let left = walk.text(repo, "db index", &["notes", "films", "rm", "cast"]);
    assert_eq!(left, "PATH   UNIQUE  STATE\ntitle  unique  ready\nyear   -       ready");
    let listed = walk.json(repo, "db collections", &["notes"]).remove(0);
    assert_eq!(listed[0]["indexes"], json!([index("title", true), index("year", false)]));
    assert!(walk.text(repo, "db collections", &["notes"]).contains("title (unique), year"));
}

/// `create`, `get`, `update`, `delete`, `undelete`.
fn documents(walk: &mut Walk, repo: &Repo) {
    let clue = r#"{"_id": "clue", "title": "Clue", "year": 1985, "stars": 1, "genres": ["Comedy"]}"#;
    let created = walk.fields(repo, "db create", &["notes", "films", clue], &WRITTEN);
    assert_eq!((&created["id"], &created["collection"]), (&json!("clue"), &json!("films")));
    assert!(walk.text(repo, "db create", &["notes", "films", r#"{"title": "Brazil"}"#]).starts_with("document  01"));
    let got = walk.fields(repo, "db get", &["notes", "films", "clue"], &DOCUMENT);
    let expected = json!({"_id": "clue", "title": "Clue", "year": 1985, "stars": 1, "genres": ["Comedy"]});
    assert_eq!((fields(&got), &got["conflicts"]), (expected, &json!([])));
    let shown = walk.text(repo, "db get", &["notes", "films", "clue"]);
    assert!(shown.starts_with("{\n  \"_id\": \"clue\",") && shown.ends_with('}'), "{shown}");

    let flags = ["--set", "seen.alice=true", "--inc", "stars=2", "--add", "genres=Mystery", "--unset", "year"];
    let updated = walk.fields(repo, "db update", &[&["notes", "films", "clue"][..], &flags].concat(), &WRITTEN);
    assert_eq!(updated["counter"].as_u64(), created["counter"].as_u64().map(|counter| counter + 2));
    let update = ["notes", "films", "clue", "--merge", r#"{"seen": {"bob": true}}"#, "--remove", "genres=Comedy"];
    let version = repo.json(&["db", "get", "notes", "films", "clue"]).remove(0);
    walk.text(repo, "db update", &[&update[..], &["--if-version", str_of(&version, "version")]].concat());
    let expected = json!({
        "_id": "clue", "title": "Clue", "stars": 3, "genres": ["Mystery"], "seen": {"alice": true, "bob": true},
    });
    assert_eq!(fields(&repo.json(&["db", "get", "notes", "films", "clue"])[0]), expected);

    walk.text(repo, "db delete", &["notes", "films", "clue"]);
    assert!(repo.fails(&["db", "get", "notes", "films", "clue"], 3).contains("no document \"clue\""));
    walk.text(repo, "db undelete", &["notes", "films", "clue"]);
    walk.fields(repo, "db delete", &["notes", "films", "clue"], &WRITTEN);
    walk.fields(repo, "db undelete", &["notes", "films", "clue"], &WRITTEN);
    assert_eq!(fields(&repo.json(&["db", "get", "notes", "films", "clue"])[0]), expected, "all fields are back");
}

/// `find` and `explain`, with an index and without.
fn queries(walk: &mut Walk, repo: &Repo) {
    let films = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/movies.ndjson");
    repo.text(&["db", "define", "notes", "movies", "--index", "year", "--index", "genres"]);
    assert!(walk.text(repo, "db import", &["notes", "movies", films]).starts_with("created     322 documents in 4 "));
    indexed(repo, "notes", "movies");
    let filter = "year = 1985 and genres contains Comedy";
    let plan = walk.json(repo, "db explain", &["notes", "movies", filter, "--sort", "title"]).remove(0);
    let expected = json!({
        "access": {"ranges": [{"index": "year", "bounds": "year = 1985"}], "entries": 30},
        "checks": "year = 1985 and genres contains \"Comedy\"", "sort": "in memory",
    });
    assert_eq!(plan, expected);
    assert_eq!(
        walk.text(repo, "db explain", &["notes", "movies", filter, "--sort", "title"]),
        "reads    the index year: year = 1985\nentries  30\nchecks   year = 1985 and genres contains \"Comedy\"\nsort     in memory"
    );
    // At the end of all times, which has passed as far as is known here.
    let past = repo.json(&["db", "explain", "notes", "movies", filter, "--at", "2999-01-01T00:00:00Z"]).remove(0);
    let found = walk.json(repo, "db find", &["notes", "movies", filter, "--sort", "title:desc", "--fields", "title"]);
    let titles: Vec<&str> = found.iter().map(|film| str_of(film, "title")).collect();
    assert_eq!((titles.len(), titles[0], titles[10]), (11, "Turk 182", "Better Off Dead"));
    // The same from the other index, and from none.
    let query =
        json!({"where": filter, "sort": [{"title": "desc"}], "fields": ["title"], "index": "genres"}).to_string();
    assert_eq!(repo.json(&["db", "find", "notes", "movies", "--query", &query]), found);
    repo.text(&["db", "define", "notes", "movies", "--drop-index", "year", "--drop-index", "genres"]);
    let scan = repo.json(&["db", "explain", "notes", "movies", filter]).remove(0);
    assert_eq!(past, scan, "what was has no indexes");
    assert_eq!(scan["access"], json!("scan"));
    let args = ["db", "find", "notes", "movies", filter, "--sort", "title:desc", "--fields", "title"];
    assert_eq!(repo.json(&args), found);
    let page = [&args[..], &["--after", str_of(&found[3], "_id"), "--limit", "2"]].concat();
    assert_eq!(repo.json(&page), found[4..6]);
    let table = walk.text(repo, "db find", &["notes", "movies", "title = Clue", "--fields", "title,cast.0"]);
    let lines: Vec<Vec<&str>> =
        table.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect();
    assert_eq!((&lines[0][..], &lines[1][1..]), (&["_id", "title", "cast.0"][..], &["Clue", "Eileen Brennan"][..]));
}

/// `history`, `undo`, `redo`, `tag`, `restore`.
fn the_past(walk: &mut Walk, repo: &Repo) {
    let get = || fields(&repo.json(&["db", "get", "notes", "films", "clue"])[0]);
    let clue = ["notes", "films", "clue"];
    let versions = walk.json(repo, "db history", &clue);
    let version = ["version", "time", "point", "log", "counter", "author", "changes", "exists"];
    versions.iter().for_each(|one| has_fields(one, &version));
    assert_eq!(versions.len(), 7);
    assert_eq!((&versions[0]["changes"], &versions[1]["exists"]), (&json!([{"undelete": true}]), &json!(false)));
    let oldest = repo.json(&["db", "history", "notes", "films", "clue", "--oldest-first", "--limit", "1"]);
    assert_eq!(oldest, versions[6..]);
    assert_eq!(walk.text(repo, "db history", &[&clue[..], &["--limit", "2"]].concat()).lines().count(), 3);

    let tag = walk.fields(repo, "db tag", &["notes", "premiere"], &["name", "time", "point"]);
    let (before, hash) = (get(), repo.json(&["db", "hash", "notes"]).remove(0)["documents"].clone());
    repo.text(&["db", "update", "notes", "films", "clue", "--set", "title=Cluedo", "--inc", "stars=10"]);
    let undone = walk.fields(repo, "db undo", &["notes", "films", "clue"], &["thread", "undone", "documents", "point"]);
    assert_eq!((&undone["documents"], get()), (&json!([{"collection": "films", "id": "clue"}]), before.clone()));
    let redone = walk.text(repo, "db redo", &clue);
    assert!(redone.contains(&format!("the change of #{}", undone["counter"])), "{redone}");
    assert_eq!(get()["title"], json!("Cluedo"));
    walk.text(repo, "db undo", &["notes"]);
    walk.fields(repo, "db redo", &["notes"], &["thread", "redone", "documents", "point"]);
    assert_eq!(get()["stars"], json!(13));

    // Back to the tag, which also brings back what was deleted and takes away what is new.
    repo.text(&["db", "delete", "notes", "films", "clue"]);
    repo.text(&["db", "create", "notes", "films", r#"{"_id": "new", "title": "New"}"#]);
    let past = repo.json(&["db", "get", "notes", "films", "clue", "--at", "tag:premiere"]).remove(0);
    assert_eq!(fields(&past), before);
    let to = ["notes", "films", "--to", "tag:premiere", "--yes"];
    let restored = walk.fields(repo, "db restore", &to, &["thread", "documents", "transactions"]);
    assert_eq!((&restored["documents"], get()), (&json!(2), before));
    repo.fails(&["db", "get", "notes", "films", "new"], 3);
    assert_eq!(repo.json(&["db", "hash", "notes"])[0]["documents"], hash);
    assert_eq!(walk.text(repo, "db restore", &to), "nothing to change: it is as it was then");
    assert_eq!(repo.json(&["db", "tag", "notes"]), [json!([tag])]);
    assert_eq!(walk.text(repo, "db tag", &["notes", "premiere", "--rm"]), "removed premiere");
}

/// `hash`, `rebuild`, `conflicts`, `resolve`, `import`, `export`.
fn the_whole(walk: &mut Walk, repo: &Repo) {
    let before =
        walk.fields(repo, "db hash", &["notes", "--wait"], &["thread", "hash", "documents", "folding", "held"]);
    assert_eq!((&before["documents"], &before["folding"], &before["held"]), (&json!(324), &json!(false), &json!([])));
    let rebuilt = walk.fields(repo, "db rebuild", &["notes"], &["thread", "events", "total"]);
    assert_eq!(rebuilt["events"], rebuilt["total"]);
    assert_eq!(walk.text(repo, "db rebuild", &["notes"]), format!("folded {} events", rebuilt["total"]));
    assert!(walk.text(repo, "db hash", &["notes"]).contains(str_of(&before, "hash")), "folded anew, nothing is other");

    assert_eq!(
        (walk.text(repo, "db conflicts", &["notes"]), walk.json(repo, "db conflicts", &["notes"])),
        (String::new(), vec![])
    );
    walk.fields(repo, "db resolve", &["notes", "films", "clue", "motto", "It is a comedy"], &WRITTEN);
    walk.text(repo, "db resolve", &["notes", "films", "clue", "motto", "\"It is a mystery\""]);
    assert_eq!(fields(&repo.json(&["db", "get", "notes", "films", "clue"])[0])["motto"], json!("It is a mystery"));

    let csv = repo.path().join("films.csv");
    let csv = csv.to_str().unwrap();
    let exported = walk.fields(repo, "db export", &["notes", "films", "--output", csv], &["file", "documents"]);
    assert_eq!(exported["documents"], json!(2));
    assert_eq!(walk.text(repo, "db export", &["notes", "films", "title = Clue"]).lines().count(), 1);
    repo.text(&["db", "define", "notes", "copies"]);
    let imported = walk.json(repo, "db import", &["notes", "copies", csv]);
    imported.iter().for_each(|one| has_fields(one, &WRITTEN));
    assert_eq!(imported.len(), 2);
}

#[test]
fn mistakes_are_told_with_their_exit_codes_and_names() {
    let repo = Repo::new("mistakes");
    let _daemon = repo.start(&[]);
    repo.text(&["thread", "create", "notes"]);
    let schema = repo.path().join("film.json");
    std::fs::write(&schema, SCHEMA).unwrap();
    repo.text(&["db", "define", "notes", "films", "--unique", "title", "--schema", schema.to_str().unwrap()]);
    repo.text(&["db", "create", "notes", "films", r#"{"_id": "clue", "title": "Clue", "cast": ["a"]}"#]);
    repo.text(&["db", "define", "notes", "plain"]);
    let before = repo.json(&["db", "hash", "notes"]);
    const UNKNOWN: &str = "00112233445566778899aabbccddeeff";
    let never: &str = &format!("version:{UNKNOWN}");
    // Arguments, exit code, reason, and what the message says.
    let mistakes: [(&[&str], i64, &str, &str); 49] = [
        (&["get", "nowhere", "films", "clue"], 3, "thread-not-found", "`nowhere`"),
        (&["get", "notes", "films", "clou"], 3, "document-not-found", "\"clou\" in the collection \"films\""),
        (&["get", "notes", "films", "clue", "--at", "@0"], 3, "document-not-found", "at that point"),
        (&["get", "notes", "films", "clue", "--at", "tag:nope"], 3, "tag-not-found", "\"nope\"; `spool db tag`"),
        (&["get", "notes", "films", ""], 2, "invalid", "1 to 128 bytes"),
        (&["find", "notes", "flims"], 3, "no-collection", "\"flims\""),
        (&["explain", "notes", "flims"], 3, "no-collection", "\"flims\""),
        (&["export", "notes", "flims"], 3, "no-collection", "\"flims\""),
        (&["conflicts", "notes", "flims"], 3, "no-collection", "\"flims\""),
        (&["index", "notes", "flims"], 3, "no-collection", "\"flims\""),
        (&["create", "notes", "flims", "{}"], 3, "no-collection", "\"flims\""),
        (&["find", "notes", "films", "year 1985"], 2, "usage", "year 1985\n       ^"),
        (&["find", "notes", "films", "--query", r#"{"limt": 1}"#], 2, "usage", "limt"),
        (&["find", "notes", "films", "--index", "year"], 3, "no-index", "there is no index \"year\""),
        (&["find", "notes", "films", "--at", never], 2, "usage", "of one document"),
        (&["history", "notes", "films", "clou"], 3, "document-not-found", "\"clou\""),
        (&["create", "notes", "films", r#"{"title": "#], 2, "usage", "not JSON"),
        (&["create", "notes", "films", "[]"], 2, "usage", "a document is a JSON object"),
        (&["create", "notes", "films", r#"{"_id": "clue", "title": "x"}"#], 6, "document-exists", "\"clue\""),
        (
            &["create", "notes", "films", r#"{"title": "Clue"}"#],
            2,
            "duplicate",
            "the same title as the document \"clue\"",
        ),
        (
            &["create", "notes", "films", r#"{"title": "x", "year": 12}"#],
            2,
            "schema",
            "year: value is less than the minimum of 1888",
        ),
        (&["update", "notes", "films", "clue", "--unset", "title"], 2, "schema", "\"title\" is a required property"),
        (&["update", "notes", "films", "clue", "--set", "_id=x"], 2, "reserved-field", "_id is not for writing"),
        (&["update", "notes", "films", "clou", "--set", "a=1"], 3, "document-not-found", "\"clou\""),
        (&["update", "notes", "films", "clue", "--set", "a=1", "--if-version", UNKNOWN], 8, "stale", "read it again"),
        (&["delete", "notes", "films", "clue", "--if-version", UNKNOWN], 8, "stale", "read it again"),
        (&["undelete", "notes", "films", "clue"], 6, "document-exists", "\"clue\""),
        (&["define", "notes", "films", "--new"], 6, "collection-exists", "a collection \"films\" already"),
        (&["define", "notes", "films", "--drop-index", "year"], 3, "no-index", "\"year\" has no index"),
        (&["define", "notes", "two words"], 2, "collection-name", "\"two words\""),
        (&["redo", "notes"], 6, "nothing-to-redo", "nothing to redo"),
        (&["undo", "notes", "films", "clou"], 6, "nothing-to-undo", "nothing to undo"),
        (&["undo", "notes", "flims"], 3, "no-collection", "wait until its definition has arrived"),
        (&["redo", "notes", "flims", "clue"], 3, "no-collection", "\"flims\""),
        (&["restore", "notes", "flims", "--to", "@0", "--yes"], 3, "no-collection", "\"flims\""),
        (&["watch", "notes", "flims"], 3, "no-collection", "\"flims\""),
        (&["define", "notes", "films", "--drop-keep-both", "a"], 3, "no-keep-both", "\"a\" does not keep both"),
        (&["explain", "notes", "films", "--index", "title", "--at", "@0"], 2, "index-of-the-past", "\"title\""),
        (&["explain", "notes", "films", "--at", "tag:nope"], 3, "tag-not-found", "\"nope\""),
        (&["find", "notes", "plain", "--index", "year"], 3, "no-index", "the collection has none"),
        (
            &["update", "notes", "films", "clue", "--set", "cast.0=X"],
            2,
            "within-no-map",
            "\"cast\" of the document \"clue\"",
        ),
        (&["update", "notes", "films", "clue", "--unset", "title.de"], 2, "within-no-map", "\"title\""),
        (&["update", "notes", "films", "clue", "--inc", "title=1"], 2, "no-number", "\"title\""),
        (&["update", "notes", "films", "clue", "--add", "title=x"], 2, "no-set", "is a string"),
        (&["update", "notes", "films", "clue", "--set", "a=1", "--remove", "title=x"], 2, "no-set", "\"title\""),
        (&["tag", "notes", "later", "--at", "2999-01-01T00:00:00Z"], 2, "invalid", "in the future"),
        (&["restore", "notes", "--to", "2999-01-01T00:00:00Z", "--yes"], 2, "invalid", "in the future"),
        (
            &["restore", "notes", "films", "clue", "--to", never, "--yes"],
            3,
            "version-not-found",
            "was never in version",
        ),
        (&["watch", "notes", "--after", "nonsense"], 2, "invalid", "not a cursor"),
    ];
    for (args, code, reason, text) in mistakes {
        let outcome = repo.run([&["db"], args, &["--json"]].concat());
        let (told, name, message) = outcome.error();
        assert_eq!(
            (outcome.code.map(i64::from), told, name.as_str()),
            (Some(code), code, reason),
            "{args:?}: {message}"
        );
        assert!(message.contains(text), "{args:?}: {message}");
        assert!(outcome.stdout.is_empty(), "{args:?}: {outcome:?}");
    }
    // Where there is nothing to take away, nothing has changed, which is no mistake.
    for args in [&["--unset", "cost"][..], &["--remove", "cast=b"], &["--unset", "cost.deeper", "--remove", "none=b"]] {
        let update = [&["db", "update", "notes", "films", "clue"], args].concat();
        assert!(repo.text(&update).ends_with("event     none: nothing has changed"), "{args:?}");
        let written = repo.json(&update).remove(0);
        assert_eq!(
            (&written["id"], &written["log"], &written["counter"]),
            (&json!("clue"), &json!(null), &json!(null))
        );
    }
    // clap's own, which have no JSON.
    for args in [
        &["update", "notes", "films", "clue"][..],
        &["find", "notes", "films", "--sort", "year:down"],
        &["get", "notes"],
    ] {
        let outcome = repo.run([&["db"], args].concat());
        assert_eq!((outcome.code, outcome.stdout.len()), (Some(2), 0), "{args:?}: {outcome:?}");
    }
    assert_eq!(repo.json(&["db", "hash", "notes"]), before, "nothing has happened");
}

#[test]
fn a_follower_has_no_database_and_a_stopped_daemon_none_either() {
    let (writer, follower) = (Repo::new("writer"), Repo::new("follower"));
    let daemons = (writer.start(&[]), follower.start(&[]));
    writer.text(&["thread", "create", "notes"]);
    writer.text(&["db", "define", "notes", "films"]);
    follower.text(&["thread", "join", &writer.text(&["thread", "share", "notes", "--follow"])]);
    follower.text(&["sync", "notes"]);
    let commands: [&[&str]; 6] = [
        &["db", "find", "notes", "films", "--json"],
        &["db", "create", "notes", "films", "{}", "--json"],
        &["db", "hash", "notes", "--json"],
        &["db", "watch", "notes", "--json"],
        &["db", "restore", "notes", "--to", "@0", "--yes", "--json"],
        &["db", "export", "notes", "films", "--json"],
    ];
    for args in commands {
        let (code, reason, message) = follower.run(args).error();
        assert_eq!((code, reason.as_str()), (6, "no-read-key"), "{args:?}: {message}");
        assert!(message.contains("spool thread share --read"), "{message}");
    }
    assert_eq!(daemons.0.stop().code(), Some(0));
    for args in commands {
        let (code, reason, message) = writer.run(args).error();
        assert_eq!((code, reason.as_str()), (4, "unreachable-daemon"), "{args:?}: {message}");
    }
}
