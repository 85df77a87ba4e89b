//! Where a passphrase comes from, and in which order.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use spool_integration_tests::daemon::{Outcome, Repo, program};

use super::{VARIABLE, protected, reason};

/// Runs a command with `fd` open for reading `file`.
fn with_file(repo: &Repo, args: &str, fd: u32, file: &Path) -> Outcome {
    let line = format!("exec \"$0\" {args} {fd}< \"$1\"");
    let mut command = Command::new("/bin/sh");
    command.env_clear().env("SPOOL_REPO", repo.path()).args(["-c", &line]).arg(program()).arg(file);
    command.stdin(Stdio::null()).output().unwrap().into()
}

/// What a command says that the keys are at hand for, or why not.
fn id(repo: &Repo) -> (Option<i32>, String) {
    let outcome = repo.run(["id", "--json"]);
    match outcome.code {
        Some(0) => (Some(0), outcome.json()[0]["identity"].as_str().unwrap().to_owned()),
        _ => reason(&outcome),
    }
}

#[test]
fn it_comes_from_an_open_file_the_environment_or_a_credential_in_this_order() {
    let repo = protected("sources", "right");
    let identity = id(&repo);
    assert_eq!(identity.0, Some(0), "{identity:?}");
    let repo = repo.without_variables();
    // Nobody is here to be asked.
    assert_eq!(id(&repo), (Some(6), "passphrase-needed".into()));
    let told = repo.fails(&["daemon"], 6);
    for way in ["--passphrase-fd", VARIABLE, "spool-passphrase"] {
        assert!(told.contains(way), "{told}");
    }
    let place = repo.path().with_file_name("places");
    let credential = place.join("spool-passphrase");
    std::fs::create_dir(&place).unwrap();
    let credentials = place.to_str().unwrap().to_owned();
    let repo = repo.with_variable("CREDENTIALS_DIRECTORY", &credentials);
    assert_eq!(id(&repo), (Some(6), "passphrase-needed".into()), "none in the directory");
    for content in ["right", "right\n", "right\r\n"] {
        std::fs::write(&credential, content).unwrap();
        assert_eq!(id(&repo), identity, "{content:?}");
    }
    // Each one before the next, right or wrong.
    let repo = repo.with_variable(VARIABLE, "wrong");
    assert_eq!(id(&repo), (Some(6), "wrong-passphrase".into()));
    std::fs::write(&credential, "wrong").unwrap();
    let repo = repo.with_variable(VARIABLE, "right");
    assert_eq!(id(&repo), identity);

    let file = place.join("file");
    std::fs::write(&file, "right\nthe next line is for somebody else\n").unwrap();
    for fd in [0, 3, 9] {
        let outcome = with_file(&repo, &format!("id --json --passphrase-fd {fd}"), fd, &file);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }
    std::fs::write(&file, "wrong\n").unwrap();
    let refused = with_file(&repo, "id --json --passphrase-fd 3", 3, &file);
    assert_eq!(reason(&refused), (Some(6), "wrong-passphrase".into()));
    assert!(!refused.stderr.contains("right") && !refused.stderr.contains("AEAD"), "{refused:?}");
}

#[test]
fn what_cannot_be_a_passphrase_is_refused_before_it_is_tried() {
    let repo = protected("refused", "right").without_variables();
    let place = repo.path().with_file_name("file");
    let long = "x".repeat(1025);
    for bad in ["", "\n", long.as_str()] {
        std::fs::write(&place, bad).unwrap();
        let outcome = with_file(&repo, "id --json --passphrase-fd 3", 3, &place);
        assert_eq!(outcome.code, Some(2), "{bad:?}: {outcome:?}");
    }
    let mut repo = repo;
    for bad in ["", "one\ntwo", long.as_str()] {
        repo = repo.with_variable(VARIABLE, bad);
        assert_eq!(id(&repo).0, Some(2), "{bad:?}");
    }
    let repo = repo.without_variables();
    // Not open, and not to be opened.
    assert_eq!(reason(&repo.run(["id", "--json", "--passphrase-fd", "77"])).0, Some(2));
    let both = with_file(&repo, "init --recover --passphrase-fd 0 --repo /nonexistent/x", 0, &place);
    assert_eq!(both.code, Some(2), "{both:?}");
    // One without end is not read to its end.
    let endless = with_file(&repo, "id --json --passphrase-fd 3", 3, Path::new("/dev/zero"));
    assert_eq!(endless.code, Some(2), "{endless:?}");
    // Never an argument, nor a setting.
    assert_eq!(repo.run(["id", "--passphrase", "right"]).code, Some(2));
    std::fs::write(repo.path().join("config.toml"), "passphrase = 'right'\n").unwrap();
    assert_eq!(repo.with_variable(VARIABLE, "right").run(["daemon"]).code, Some(2));
}

#[test]
fn a_service_makes_a_protected_repository_of_its_credential_and_starts_again_with_it() {
    let repo = Repo::nothing("service");
    let credentials = repo.path().with_file_name("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::write(credentials.join("spool-passphrase"), "of the machine\n").unwrap();
    let repo = repo.with_variable("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap());
    let daemon = repo.start(&["--init", "--follow", "open"]);
    assert!(daemon.log().contains("spool id --phrase"), "{}", daemon.log());
    let peer = daemon.peer().to_owned();
    // Those that ask the daemon need no passphrase.
    let repo = repo.without_variables();
    assert_eq!(repo.json(&["id"])[0]["peer_id"], json!(peer));
    repo.text(&["thread", "create", "notes"]);
    assert_eq!(daemon.stop().code(), Some(0));

    assert_eq!(reason(&repo.run(["daemon", "--json"])), (Some(6), "passphrase-needed".into()));
    let repo = repo.with_variable("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap());
    let daemon = repo.start(&["--init"]);
    assert_eq!(daemon.peer(), peer);
    assert_eq!(repo.json(&["thread", "ls"])[0][0]["name"], json!("notes"));
    let phrase = repo.text(&["id", "--phrase"]);
    assert_eq!(phrase.split(' ').count(), 24);
    assert_eq!(repo.json(&["id", "--phrase"]), [json!({ "phrase": phrase })]);
    assert_eq!(daemon.stop().code(), Some(0));
}

fn check(repo: &Repo, name: &str) -> (String, String) {
    let outcome = repo.run(["doctor", "--json"]);
    let document: Value = serde_json::from_str(&outcome.text()).unwrap();
    let found = document["checks"].as_array().unwrap().iter().find(|check| check["name"] == name);
    let text =
        |field: &str| found.unwrap_or_else(|| panic!("no {name}: {document}"))[field].as_str().unwrap().to_owned();
    (text("state"), text("found"))
}

#[test]
fn the_doctor_says_whether_keys_are_under_a_passphrase() {
    let open = Repo::new("open");
    let (state, found) = check(&open, "keys");
    assert!(state == "ok" && found.contains("in the open") && found.contains("passphrase set"), "{found}");

    let repo = protected("examined", "right");
    let (state, found) = check(&repo, "keys");
    assert!(state == "ok" && found.contains("that was given") && found.contains("64 MiB"), "{found}");
    let repo = repo.with_variable(VARIABLE, "wrong");
    let (state, found) = check(&repo, "keys");
    assert!(state == "fail" && found.contains("not the passphrase"), "{found}");
    let repo = repo.without_variables();
    let (state, found) = check(&repo, "keys");
    assert!(state == "ok" && found.contains("not given"), "{found}");
    assert_eq!(check(&repo, "repository").0, "ok");

    let key = repo.path().join("repo.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(check(&repo, "permissions").1.contains("repo.key"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut bytes = std::fs::read(&key).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&key, bytes).unwrap();
    assert_eq!(check(&repo, "keys").0, "fail");
    assert_eq!(reason(&repo.run(["id", "--json"])), (Some(5), "damaged".into()));
}

#[test]
fn a_passphrase_for_keys_that_lie_open_is_told_to_be_of_no_use() {
    let repo = Repo::new("plain").with_variable(VARIABLE, "right");
    let outcome = repo.run(["id"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("warning") && outcome.stderr.contains("passphrase set"), "{outcome:?}");
    for args in [&["repo", "passphrase", "change", "--json"][..], &["repo", "passphrase", "remove", "--json"]] {
        assert_eq!(reason(&repo.run(args)), (Some(6), "not-protected".into()), "{args:?}");
    }
    // Not while a daemon has the repository.
    let daemon = repo.start(&[]);
    assert_eq!(reason(&repo.run(["repo", "passphrase", "set", "--json"])), (Some(6), "repository-in-use".into()));
    assert_eq!(daemon.stop().code(), Some(0));
    repo.text(&["repo", "passphrase", "set"]);
    assert_eq!(reason(&repo.run(["repo", "passphrase", "set", "--json"])), (Some(6), "already-protected".into()));
}
