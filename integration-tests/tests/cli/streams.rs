//! Standard input and output: many events in, live events out, large files, closed pipes.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use spool_integration_tests::daemon::{Repo, program};

#[test]
fn a_bad_line_ends_the_input_and_is_named() {
    let repo = Repo::new("lines");
    let _daemon = repo.start(&[]);
    repo.text(&["thread", "create", "quakes"]);
    let bad: [(&[u8], &str); 4] = [
        (b"{\"mag\": 1.5}\n\n{\"mag\": }\n{\"mag\": 2}\n", "line 3 is not JSON"),
        (b"{\"mag\": 1.5}\nnot json\n", "line 2 is not JSON"),
        (b"{\"mag\": 1.5}\n{\"mag\": \"\xff\"}\n", "line 2 is not JSON"),
        (b"{\"mag\": 1.5} {\"two\": \"on a line\"}\n", "line 1 is not JSON"),
    ];
    for (input, message) in bad {
        let before = repo.json(&["log", "quakes"]).len();
        let outcome = repo.feed(["append", "quakes", "--json"], input);
        let (code, reason, text) = outcome.error();
        assert_eq!((outcome.code, code, reason.as_str()), (Some(2), 2, "usage"), "{outcome:?}");
        assert!(text.contains(message), "{text}");
        // What came before the bad line is appended, what comes after it is not.
        let good = usize::from(!message.starts_with("line 1 "));
        assert_eq!((outcome.json().len(), repo.json(&["log", "quakes"]).len()), (good, before + good));
    }
    let long = format!("\"{}\"\n", "x".repeat(1024 * 1024 + 1));
    let outcome = repo.feed(["append", "quakes"], long.as_bytes());
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("line 1"), "{outcome:?}");
}

#[test]
fn lines_come_out_in_the_order_and_form_in_which_they_went_in() {
    let repo = Repo::new("order");
    let _daemon = repo.start(&[]);
    repo.text(&["thread", "create", "quakes"]);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/earthquakes.ndjson");
    let input = std::fs::read(path).unwrap();
    let outcome = repo.feed(["append", "quakes"], &input);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.text().contains("1,707 events"), "{outcome:?}");
    let output = repo.run(["log", "quakes", "--bodies"]);
    assert!(output.stdout == input, "the bodies are the lines");
}

#[test]
fn a_live_tail_shows_an_event_when_it_comes_and_ends_quietly() {
    let repo = Repo::new("live");
    let daemon = repo.start(&[]);
    repo.text(&["thread", "create", "live"]);
    repo.text(&["append", "live", "before"]);
    let mut tail = repo.command(["log", "live", "--follow", "--json"]).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["body"]["text"], json!("before"));
    for number in 0..20 {
        let receipt = repo.json(&["append", "live", &format!("live {number}")]).remove(0);
        let entry = next();
        assert_eq!((&entry["cid"], &entry["counter"]), (&receipt["cid"], &receipt["counter"]));
        assert_eq!(entry["body"]["text"], json!(format!("live {number}")));
    }
    assert!(Command::new("kill").args(["-INT", &tail.id().to_string()]).status().unwrap().success());
    let ended = tail.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]));
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_file_of_five_megabytes_comes_out_as_it_went_in() {
    let repo = Repo::new("files");
    let daemon = repo.start(&[]);
    repo.text(&["thread", "create", "files"]);
    let mut content = vec![0; 5 * 1024 * 1024 + 17];
    StdRng::seed_from_u64(5).fill_bytes(&mut content);
    let (from, to) = (repo.path().join("in"), repo.path().join("out"));
    std::fs::write(&from, &content).unwrap();
    let receipt = repo.json(&["add", "files", from.to_str().unwrap()]).remove(0);
    let (record, body) = (receipt["cid"].as_str().unwrap(), receipt["body"].as_str().unwrap());
    assert!(repo.run(["cat", record]).stdout == content, "by the record");
    assert!(repo.run(["cat", body]).stdout == content, "by the body");
    repo.text(&["cat", record, "-o", to.to_str().unwrap()]);
    assert!(std::fs::read(&to).unwrap() == content, "in a file");
    let piped = repo.feed(["add", "files", "-", "--json"], &content);
    let again = piped.json().remove(0);
    assert_eq!(again["size"], json!(content.len()));
    assert!(repo.run(["cat", again["cid"].as_str().unwrap()]).stdout == content, "from a pipe");
    // Stored once, however often it comes.
    let stat = &repo.json(&["stat"])[0];
    assert!(stat["block_bytes"].as_u64().unwrap() < 6 * 1024 * 1024, "{stat}");
    // All of it is still there in another life of the daemon.
    assert_eq!(daemon.stop().code(), Some(0));
    let _daemon = repo.start(&[]);
    assert!(repo.run(["cat", record]).stdout == content, "after a restart");
    assert_eq!(repo.json(&["verify", "files"])[0]["faults"], json!(0));
}

#[test]
fn a_closed_pipe_ends_commands_quietly() {
    let repo = Repo::new("pipes");
    let _daemon = repo.start(&[]);
    repo.text(&["thread", "create", "long"]);
    let lines = "\"a line that fills the pipe and the buffers behind it\"\n".repeat(5_000);
    assert_eq!(repo.feed(["append", "long"], lines.as_bytes()).code, Some(0));
    for command in ["log long", "log long --json", "log long --bodies", "log long --follow"] {
        let script = format!("\"$SPOOL\" {command} | head -n 1");
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
