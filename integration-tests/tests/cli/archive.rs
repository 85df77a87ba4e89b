//! Threads as files: written, taken elsewhere, written again with the same bytes; and files that nobody should take.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use spool_integration_tests::daemon::Repo;

/// A repository beside another.
fn file(repo: &Repo, name: &str) -> PathBuf {
    repo.path().with_file_name(name)
}

fn export(repo: &Repo, path: &Path) -> Vec<u8> {
    repo.text(&["thread", "export", "notes", path.to_str().unwrap()]);
    std::fs::read(path).unwrap()
}

fn import(repo: &Repo, path: &Path) -> Value {
    repo.json(&["thread", "import", "notes", path.to_str().unwrap()]).remove(0)
}

/// Everything that can be read, in an order that does not depend on who asks.
fn content(repo: &Repo) -> Vec<String> {
    let mut entries: Vec<String> = repo
        .json(&["log", "notes"])
        .iter()
        .map(|entry| format!("{} {} {}", entry["cid"], entry["body"], entry["author"]))
        .collect();
    entries.sort_unstable();
    entries
}

fn records(repo: &Repo) -> u64 {
    repo.json(&["stat"])[0]["records"].as_u64().unwrap()
}

/// A thread with two logs, small and large bodies; the tickets to read and to follow it.
fn scene(writer: &Repo, second: &Repo) -> (String, String) {
    let daemons = (writer.start(&[]), second.start(&[]));
    writer.text(&["thread", "create", "notes"]);
    let read = writer.text(&["thread", "share", "notes", "--read"]);
    let follow = writer.text(&["thread", "share", "notes", "--follow"]);
    for number in 0..200 {
        writer.text(&["append", "notes", &format!("event {number}")]);
        if number % 100 == 99 {
            writer.text(&["append", "notes", &format!("{number} {}", "long ".repeat(10_000))]);
        }
    }
    let large = file(writer, "large");
    let bytes: Vec<u8> = (0..3_000_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(&large, bytes).unwrap();
    writer.text(&["add", "notes", large.to_str().unwrap()]);
    second.text(&["thread", "join", &read]);
    second.text(&["peers", "connect", &daemons.0.address()]);
    second.text(&["sync", "notes"]);
    second.text(&["append", "notes", "from the second writer"]);
    writer.text(&["sync", "notes"]);
    (read, follow)
}

#[test]
fn a_thread_moves_house_byte_by_byte() {
    let (writer, second) = (Repo::new("writer"), Repo::new("second"));
    let (read, follow) = scene(&writer, &second);
    let daemon = writer.start(&[]);
    let archive = file(&writer, "notes.car");
    let bytes = export(&writer, &archive);
    assert!(bytes.len() > 3_000_000);
    assert_eq!(export(&writer, &file(&writer, "again.car")), bytes, "it is the same each time");
    let expected = content(&writer);
    assert_eq!(expected.len(), 204);
    // Whoever moves house takes nothing over the network.
    assert_eq!(daemon.stop().code(), Some(0));

    for (name, ticket) in [("reader", &read), ("follower", &follow)] {
        let repo = Repo::new(name);
        let _daemon = repo.start(&[]);
        let refused = repo.run(["thread", "import", "notes", archive.to_str().unwrap(), "--json"]);
        assert_eq!((refused.code, refused.error().1.as_str()), (Some(3), "thread-not-found"), "{refused:?}");
        repo.text(&["thread", "join", ticket]);
        let done = import(&repo, &archive);
        assert_eq!([&done["logs"], &done["records"]], [2, 204], "{done}");
        assert_eq!(done["forked"], json!([]));
        assert!(done["blocks"].as_u64().unwrap() > 5, "{done}");
        assert_eq!(repo.json(&["stat"])[0]["missing_blocks"], json!(0));
        assert_eq!(repo.json(&["verify", "notes"]).pop().unwrap()["faults"], json!(0));
        assert_eq!(export(&repo, &file(&repo, "notes.car")), bytes, "{name}");
        // A second time there is nothing new in it.
        assert_eq!(import(&repo, &archive)["records"], json!(0));
        if name == "reader" {
            assert_eq!(content(&repo), expected);
            repo.text(&["append", "notes", "in the new house"]);
            assert_eq!(records(&repo), 205);
        }
    }
}

#[test]
fn a_file_that_is_not_good_to_its_end_is_refused_whole() {
    let (writer, second) = (Repo::new("writer"), Repo::new("second"));
    let (read, _) = scene(&writer, &second);
    let daemon = writer.start(&[]);
    let good = export(&writer, &file(&writer, "notes.car"));
    // A good file, of another thread.
    writer.text(&["thread", "create", "others"]);
    writer.text(&["append", "others", "something"]);
    let others = file(&writer, "others.car");
    writer.text(&["thread", "export", "others", others.to_str().unwrap()]);
    let others = std::fs::read(others).unwrap();
    assert_eq!(daemon.stop().code(), Some(0));

    let repo = Repo::new("careful");
    let _daemon = repo.start(&[]);
    repo.text(&["thread", "join", &read]);
    let path = file(&repo, "bad.car");
    let refuse = |what: &str, bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let outcome = repo.run(["thread", "import", "notes", path.to_str().unwrap(), "--json"]);
        assert_eq!(outcome.code, Some(2), "{what}: {outcome:?}");
        let (_, reason, message) = outcome.error();
        assert_eq!(reason, "invalid-archive", "{what}: {message}");
        assert_eq!(records(&repo), 0, "{what}: something of it was taken");
        message
    };
    assert!(refuse("another thread", &others).contains("it is of thread"));
    assert!(refuse("empty", b"").contains("not whole"));
    refuse("no archive", b"PK\x03\x04 and so on, for a while, as a zip file would");
    for end in [1, 20, 60, 500, good.len() / 2, good.len() - 1] {
        refuse(&format!("cut at {end}"), &good[..end]);
    }
    for place in [3, 12, 70, 300, 5_000, 40_000, good.len() / 2, good.len() - 7] {
        let mut flipped = good.clone();
        flipped[place] ^= 0x10;
        refuse(&format!("flipped at {place}"), &flipped);
    }
    let behind = [&good[..], &others[others.len() - 40..]].concat();
    refuse("something behind", &behind);
    assert!(refuse("a length without end", &[&good[..], &[0xff; 20]].concat()).contains("length"));
    assert!(refuse("a giant", &[&good[..], &[0xff, 0xff, 0xff, 0xff, 0x7f]].concat()).contains("limit"));
    // Blocks of another thread, properly framed: the first one behind its index is a record.
    let blocks = |bytes: &[u8]| {
        let header = 1 + usize::from(bytes[0]);
        bytes[header..].to_vec()
    };
    refuse("blocks of another thread behind it", &[&good[..], &blocks(&others)].concat());

    // It was none of these that stood in the way.
    std::fs::write(&path, &good).unwrap();
    assert_eq!(import(&repo, &path)["records"], json!(204));
}

#[test]
fn a_fork_between_two_files_is_found_and_nothing_behind_it_counts() {
    let writer = Repo::new("writer");
    let daemon = writer.start(&[]);
    writer.text(&["thread", "create", "notes"]);
    let read = writer.text(&["thread", "share", "notes", "--read"]);
    writer.text(&["append", "notes", "before"]);
    assert_eq!(daemon.stop().code(), Some(0));
    // What nobody should do: a copy of the repository that goes on.
    let twin = file(&writer, "twin");
    let copied = std::process::Command::new("cp").arg("-r").arg(writer.path()).arg(&twin).status().unwrap();
    assert!(copied.success());
    let mut archives = Vec::new();
    for (repo, event) in [(&writer, "one branch"), (&Repo::existing(&twin), "another branch")] {
        let daemon = repo.start(&[]);
        repo.text(&["append", "notes", event]);
        let path = file(&writer, &format!("{event}.car"));
        export(repo, &path);
        archives.push(path);
        assert_eq!(daemon.stop().code(), Some(0));
    }
    let repo = Repo::new("reader");
    let _daemon = repo.start(&[]);
    repo.text(&["thread", "join", &read]);
    assert_eq!(import(&repo, &archives[0])["records"], json!(2));
    let forked = repo.run(["thread", "import", "notes", archives[1].to_str().unwrap(), "--json"]);
    assert_eq!((forked.code, forked.error().1.as_str()), (Some(5), "forked"), "{forked:?}");
    let shown = repo.json(&["thread", "show", "notes"]).remove(0);
    assert_eq!(shown["logs"][0]["fork"]["counter"], json!(2), "{shown}");

    // The evidence travels in a file as well, and the file is again the same.
    let both = file(&repo, "both.car");
    let bytes = export(&repo, &both);
    let third = Repo::new("third");
    let _daemon = third.start(&[]);
    third.text(&["thread", "join", &read]);
    let forked = third.run(["thread", "import", "notes", both.to_str().unwrap(), "--json"]);
    assert_eq!((forked.code, forked.error().1.as_str()), (Some(5), "forked"), "{forked:?}");
    assert_eq!(export(&third, &file(&third, "both.car")), bytes);
}
