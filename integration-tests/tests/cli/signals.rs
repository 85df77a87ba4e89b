//! Signals, and who has the repository.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use serde_json::json;
use spool_integration_tests::daemon::Repo;

#[test]
fn sigterm_and_sigint_end_the_daemon_with_0() {
    let repo = Repo::new("signals");
    for signal in ["TERM", "INT"] {
        let mut child = repo
            .command(["daemon", "--api", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0", "--mdns", "false"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        // As `docs/cli.md` shows it.
        let greeting: Vec<String> = lines.by_ref().take_while(|line| line != "ready").collect();
        assert!(greeting[0].starts_with("spool "), "{greeting:?}");
        for (line, begin) in
            greeting[1..].iter().zip(["peer id    12D3KooW", "listening  /ip4/127.0.0.1/tcp/", "api        127.0.0.1:"])
        {
            assert!(line.starts_with(begin), "{greeting:?}");
        }
        assert!(repo.path().join("api").exists());
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
        assert!(!repo.path().join("api").exists());
    }
}

#[test]
fn a_second_daemon_is_refused_and_told_who_has_the_repository() {
    let repo = Repo::new("busy");
    let daemon = repo.start(&[]);
    let (code, log) = repo.launch(&[]).ended();
    assert_eq!(code, Some(6), "{log}");
    assert!(log.contains(&format!("in use by process {}", daemon.id())), "{log}");
    assert!(log.contains("repository-in-use"), "{log}");
    // The first one is none the worse for it.
    assert_eq!(repo.json(&["stat"])[0]["threads"], json!(0));
    // Nor does what a crash leaves behind stop the next one.
    let mut daemon = daemon;
    daemon.kill();
    assert!(repo.path().join("api").exists());
    assert!(repo.fails(&["stat"], 4).contains("spool daemon"));
    assert_eq!(repo.start(&[]).stop().code(), Some(0));
}

#[test]
fn the_api_stays_on_loopback_unless_that_is_asked_for() {
    let repo = Repo::new("open");
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:6006"] {
        let ended = repo.run(["daemon", "--api", address]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("no authentication") && ended.stderr.contains("api-allow-remote"), "{ended:?}");
    }
}
