//! `spool db import` and `export`: what goes out comes in again as it was.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use spool_integration_tests::daemon::{Repo, program};

const FILMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/movies.ndjson");

/// The lines of an export without the times of the last changes, which are those of another thread, sorted by id.
fn lines(export: &str) -> Vec<String> {
    let mut lines: Vec<(String, String)> = export
        .lines()
        .map(|line| {
            let document: Value = serde_json::from_str(line).unwrap();
            let time = format!(",\"_mod\":{}", document["_mod"]);
            assert!(line.contains(&time), "{line}");
            (document["_id"].as_str().unwrap().to_owned(), line.replace(&time, ""))
        })
        .collect();
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

fn database(repo: &Repo, thread: &str) {
    repo.text(&["thread", "create", thread]);
    repo.text(&["db", "define", thread, "movies"]);
}

#[test]
fn films_go_through_both_formats_and_stay_the_same_to_the_byte() {
    let repo = Repo::new("transfer");
    let _daemon = repo.start(&[]);
    ["films", "lines", "rows"].iter().for_each(|thread| database(&repo, thread));
    repo.text(&["db", "import", "films", "movies", FILMS]);
    let export = repo.text(&["db", "export", "films", "movies"]);
    let expected = lines(&export);
    assert_eq!(expected.len(), 322);
    // Nothing but the ids has come to the films.
    let content = |text: &str| {
        let mut films: Vec<String> = text
            .lines()
            .map(|line| {
                let mut film: Value = serde_json::from_str(line).unwrap();
                film.as_object_mut().unwrap().retain(|name, _| !name.starts_with('_'));
                film.to_string()
            })
            .collect();
        films.sort();
        films
    };
    assert_eq!(content(&export), content(&std::fs::read_to_string(FILMS).unwrap()));

    for (thread, name) in [("lines", "films.ndjson"), ("rows", "films.csv")] {
        let file = repo.path().join(name);
        let file = file.to_str().unwrap();
        repo.text(&["db", "export", "films", "movies", "--output", file]);
        repo.text(&["db", "import", thread, "movies", file]);
        assert_eq!(lines(&repo.text(&["db", "export", thread, "movies"])), expected, "{name}");
        // Once more, over what is there: it is the same already, so nothing is written and the hash stays.
        let before = repo.json(&["db", "hash", thread]);
        let again = repo.json(&["db", "import", thread, "movies", file, "--replace"]);
        assert_eq!(again.len(), 322);
        assert!(again.iter().all(|one| one["counter"].is_null()), "{:?}", again[0]);
        assert_eq!(repo.json(&["db", "hash", thread]), before, "{name}");
        let (code, reason, message) = repo.run(["db", "import", thread, "movies", file, "--json"]).error();
        assert_eq!((code, reason.as_str()), (6, "document-exists"), "{message}");
        assert!(
            message.contains("; nothing before it was created") || message.contains("; nothing was created"),
            "{message}"
        );
    }
}

/// Strings that read as something else, empty ones, line breaks, large numbers, nothing at all.
#[test]
fn values_of_every_kind_go_through_both_formats() {
    let repo = Repo::new("values");
    let _daemon = repo.start(&[]);
    let value = json!({
        "_id": "true", "text": "1985", "yes": "true", "empty": "", "quoted": "\"x\"", "broken": "a\r\nb, \"c\"\n", "accents": "Zoë ☃ 𝄞",
        "large": u64::MAX, "negative": i64::MIN, "float": 0.1, "tiny": 5e-324, "null": null, "list": [1, "1", null, [], {}],
        "map": {"a": {"b": [1]}, "a.b": "dotted", "c": {}}, "spaces": "  ", "equals": "=1+1",
    });
    for (thread, format) in [("lines", "ndjson"), ("rows", "csv")] {
        database(&repo, thread);
        database(&repo, &format!("{thread}-2"));
        repo.text(&["db", "create", thread, "movies", &value.to_string()]);
        repo.text(&["db", "create", thread, "movies", r#"{"_id": "none"}"#]);
        let export = repo.run(["db", "export", thread, "movies", "--format", format]);
        let copy = format!("{thread}-2");
        let imported = repo.feed(["db", "import", &copy, "movies", "-", "--format", format], &export.stdout);
        assert_eq!(imported.code, Some(0), "{imported:?}");
        let [from, to] = [thread, &copy].map(|thread| lines(&repo.text(&["db", "export", thread, "movies"])));
        assert_eq!(from, to, "{format}");
        let copied: Value = serde_json::from_str(&to[1]).unwrap();
        assert_eq!(copied, value, "{format}");
    }
}

#[test]
fn a_bad_line_is_named_and_what_came_before_it_stays() {
    let repo = Repo::new("bad");
    let _daemon = repo.start(&[]);
    database(&repo, "films");
    repo.text(&["db", "define", "films", "movies", "--unique", "title"]);
    let outcome = repo
        .feed(["db", "create", "films", "movies", "--json"], b"{\"title\":\"a\"}\n\n{\"title\":\"b\"}\n{\"title\"\n");
    let (code, reason, message) = outcome.error();
    assert_eq!((outcome.code, code, reason.as_str()), (Some(2), 2, "usage"), "{message}");
    assert!(
        message.starts_with("line 4: not JSON") && message.ends_with("2 documents before it were created"),
        "{message}"
    );
    assert_eq!((outcome.json().len(), repo.json(&["db", "find", "films", "movies"]).len()), (2, 2));
    // The daemon refuses one: its line is named.
    let input = b"{\"title\":\"c\"}\n{\"title\":\"a\"}\n";
    let outcome = repo.feed(["db", "create", "films", "movies", "--batch", "1", "--json"], input);
    let (code, reason, message) = outcome.error();
    assert_eq!((code, reason.as_str(), outcome.json().len()), (2, "duplicate", 1), "{message}");
    assert!(message.contains("(line 2); 1 document before it was created"), "{message}");
    let rows = repo.feed(["db", "import", "films", "movies", "-", "--format", "csv"], b"title,year\nd,1\ne\n");
    assert_eq!(rows.code, Some(2), "{rows:?}");
    assert!(rows.stderr.contains("line: 3"), "{rows:?}");
}

#[test]
fn a_closed_pipe_ends_commands_of_databases_quietly() {
    let repo = Repo::new("pipes");
    let _daemon = repo.start(&[]);
    database(&repo, "films");
    let many = "{\"title\":\"a film that fills the pipe and the buffers behind it\"}\n".repeat(5_000);
    assert_eq!(repo.feed(["db", "create", "films", "movies", "--batch", "1000"], many.as_bytes()).code, Some(0));
    for command in [
        "db find films movies",
        "db find films movies --json",
        "db export films movies",
        "db export films movies --format csv",
        "db watch films --from-start",
        "db watch films --from-start --json",
    ] {
        let script = format!("\"$SPOOL\" {command} 2> >(grep -v document >&2) | head -n 1");
        let shell = Command::new("bash")
            .args(["-o", "pipefail", "-c", &script])
            .env("SPOOL", program())
            .env("SPOOL_REPO", repo.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!((shell.status.code(), String::from_utf8_lossy(&shell.stderr).as_ref()), (Some(0), ""), "{command}");
        assert_eq!(shell.stdout.iter().filter(|byte| **byte == b'\n').count(), 1, "{command}");
    }
}
