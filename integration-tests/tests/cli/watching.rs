//! `spool db watch` over restarts of the daemon.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command},
    sync::mpsc,
    thread,
};

use serde_json::{Value, json};
use spool_integration_tests::{
    PATIENCE,
    daemon::{Outcome, Repo},
};

/// Steps of a watch that wait to be looked at: more than any watch here prints, so that none stands still.
const STEPS: usize = 1_000;

/// A watch that runs, and what it prints.
struct Watch {
    child: Child,
    steps: mpsc::Receiver<Value>,
}

impl Watch {
    fn start(repo: &Repo, args: &[&str]) -> Self {
        let mut child = repo.command([&["db", "watch"], args, &["--json"]].concat()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, steps) = mpsc::sync_channel(STEPS);
        thread::spawn(move || {
            let values = lines.map_while(Result::ok).map(|line| serde_json::from_str(&line).unwrap());
            values.for_each(|value| drop(sender.send(value)));
        });
        Self { child, steps }
    }

    fn next(&self) -> Value {
        self.steps.recv_timeout(PATIENCE).expect("a step")
    }

    /// Ends it as Ctrl-C does, or waits for its end.
    fn end(self, interrupt: bool) -> Outcome {
        if interrupt {
            let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
            assert!(sent.success());
        }
        self.child.wait_with_output().unwrap().into()
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no text {field} in {value}"))
}

/// Twenty films in each of the daemon's lives, the watcher with it until some moment in the middle; every other life ends with a crash.
#[test]
fn a_cursor_over_restarts_misses_nothing_and_repeats_nothing() {
    let repo = Repo::new("watched");
    let mut daemon = repo.start(&[]);
    repo.text(&["thread", "create", "films"]);
    repo.text(&["db", "define", "films", "movies"]);
    let watch = Watch::start(&repo, &["films", "movies"]);
    let mut cursor = text(&watch.next(), "cursor").to_owned();
    assert_eq!(watch.end(true).code, Some(0));
    let mut seen = Vec::new();
    let take = |watch: &Watch, cursor: &mut String, seen: &mut Vec<String>| {
        let step = watch.next();
        *cursor = text(&step, "cursor").to_owned();
        if step["step"] == json!("change") {
            assert_eq!(step["kind"], json!("create"), "{step}");
            assert_eq!(step["document"]["_id"], step["id"], "{step}");
            seen.push(text(&step, "id").to_owned());
        }
    };
    for life in 0..6 {
        let watch = Watch::start(&repo, &["films", "movies", "--after", &cursor]);
        let films: String = (0..20).map(|film| format!("{{\"_id\":\"{life}-{film:02}\"}}\n")).collect();
        let created = repo.feed(["db", "create", "films", "movies", "--batch", "1"], films.as_bytes());
        assert_eq!(created.code, Some(0), "{created:?}");
        // So many of them come, and then no more: others wait for the next life.
        let until = seen.len() + 3 * life;
        while seen.len() < until {
            take(&watch, &mut cursor, &mut seen);
        }
        if life % 2 == 0 {
            assert_eq!(daemon.stop().code(), Some(0));
        } else {
            daemon.kill();
        }
        let ended = watch.end(false);
        let (code, reason, message) = ended.error();
        assert!(matches!((code, reason.as_str()), (7, "stopping") | (4, "unreachable-daemon")), "{message}");
        daemon = repo.start(&[]);
    }
    let watch = Watch::start(&repo, &["films", "movies", "--after", &cursor]);
    while seen.len() < 120 {
        take(&watch, &mut cursor, &mut seen);
    }
    let all: Vec<String> = (0..6).flat_map(|life| (0..20).map(move |film| format!("{life}-{film:02}"))).collect();
    assert_eq!(seen, all);
    // And nothing behind them but what comes now, which is not late.
    let caught_up = watch.next();
    assert_eq!(caught_up["step"], json!("caught-up"), "{caught_up}");
    repo.text(&["db", "create", "films", "movies", r#"{"_id": "last"}"#]);
    let last = watch.next();
    assert_eq!((&last["step"], &last["id"]), (&json!("change"), &json!("last")), "{last}");
    assert_eq!((watch.end(true).code, daemon.stop().code()), (Some(0), Some(0)));
}

#[test]
fn all_kinds_of_changes_come_to_those_who_want_them() {
    let repo = Repo::new("kinds");
    let daemon = repo.start(&[]);
    repo.text(&["thread", "create", "films"]);
    repo.text(&["thread", "create", "others"]);
    for (thread, collection) in [("films", "movies"), ("films", "actors"), ("others", "movies")] {
        repo.text(&["db", "define", thread, collection]);
    }
    repo.text(&["db", "create", "films", "movies", r#"{"_id": "before"}"#]);
    // Each has caught up before anything happens; a watch of all threads once for each of them.
    let watches = [
        (Watch::start(&repo, &["films", "movies", "clue"]), 1),
        (Watch::start(&repo, &["films", "--kind", "delete", "--kind", "create"]), 1),
        (Watch::start(&repo, &[]), 2),
    ];
    for (watch, threads) in &watches {
        for _ in 0..*threads {
            assert_eq!(watch.next()["step"], json!("caught-up"));
        }
    }
    let [(document, _), (kinds, _), (all, _)] = watches;
    repo.text(&["db", "create", "films", "movies", r#"{"_id": "clue", "title": "Clue"}"#]);
    repo.text(&["db", "update", "films", "movies", "clue", "--set", "year=1985"]);
    repo.text(&["db", "create", "films", "actors", r#"{"_id": "curry"}"#]);
    repo.text(&["db", "delete", "films", "movies", "clue"]);
    repo.text(&["db", "undelete", "films", "movies", "clue"]);
    repo.text(&["db", "create", "others", "movies", r#"{"_id": "elsewhere"}"#]);
    let told = |watch: &Watch, count: usize| -> Vec<String> {
        let steps = (0..count).map(|_| watch.next());
        steps
            .map(|step| format!("{} {}/{}", text(&step, "kind"), text(&step, "collection"), text(&step, "id")))
            .collect()
    };
    let clue = ["create", "save", "delete", "create"].map(|kind| format!("{kind} movies/clue"));
    assert_eq!(told(&document, 4), clue);
    let expected = ["create movies/clue", "create actors/curry", "delete movies/clue", "create movies/clue"];
    assert_eq!(told(&kinds, 4), expected);
    let mut everything = told(&all, 6);
    everything.sort();
    let mut expected = [&clue[..], &["create actors/curry".to_owned(), "create movies/elsewhere".to_owned()]].concat();
    expected.sort();
    assert_eq!(everything, expected);
    // From the start: what exists, in its state of now.
    let start = Watch::start(&repo, &["films", "movies", "--from-start"]);
    let mut first = [start.next(), start.next()];
    first.sort_by_key(|step| step["id"].to_string());
    assert_eq!((text(&first[0], "id"), text(&first[1], "id")), ("before", "clue"));
    assert_eq!((&first[1]["document"]["year"], &first[1]["kind"]), (&json!(1985), &json!("create")));
    assert_eq!(start.next()["step"], json!("caught-up"));
    // A cursor of another thread, and of another node.
    let cursor = text(&first[1], "cursor").to_owned();
    let message = repo.fails(&["db", "watch", "others", "--after", &cursor], 2);
    assert!(message.contains("of another thread"), "{message}");
    let elsewhere = Repo::new("elsewhere");
    let _other = elsewhere.start(&[]);
    elsewhere.text(&["thread", "join", &repo.text(&["thread", "share", "films", "--read"])]);
    let message = elsewhere.fails(&["db", "watch", "films", "--after", &cursor], 2);
    assert!(message.contains("of another node"), "{message}");
    for watch in [document, kinds, all, start] {
        let ended = watch.end(true);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    }
    assert_eq!(daemon.stop().code(), Some(0));
}
