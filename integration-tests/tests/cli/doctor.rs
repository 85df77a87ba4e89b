//! What stands in a node's way: `spool doctor` finds it, and the daemon says it, with the documented exit code.

use std::{
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use spool_integration_tests::daemon::{Outcome, Repo, program};

/// The states and findings of `spool doctor`, by name.
fn examine(outcome: &Outcome) -> Vec<(String, String, String)> {
    let document: Value = serde_json::from_str(&outcome.text()).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    let checks = document["checks"].as_array().unwrap().iter().map(|check| {
        let text = |field: &str| check[field].as_str().unwrap().to_owned();
        assert_eq!(check["state"] == "ok", check["advice"].is_null(), "each fault has its advice: {check}");
        (text("name"), text("state"), text("found"))
    });
    let checks: Vec<_> = checks.collect();
    let is_well = checks.iter().all(|(_, state, _)| state != "fail");
    assert_eq!(document["ok"], json!(is_well), "{document}");
    assert_eq!(outcome.code, Some(if is_well { 0 } else { 1 }), "{outcome:?}");
    checks
}

fn doctor(repo: &Repo) -> Vec<(String, String, String)> {
    examine(&repo.run(["doctor", "--json"]))
}

/// What was found under a name.
fn of<'a>(checks: &'a [(String, String, String)], name: &str) -> (&'a str, &'a str) {
    let found = checks.iter().find(|(found, ..)| found == name);
    let (_, state, found) = found.unwrap_or_else(|| panic!("no {name} in {checks:?}"));
    (state, found)
}

#[test]
fn a_node_that_is_well_is_told_so_running_or_not() {
    let repo = Repo::new("well");
    std::fs::write(repo.path().join("config.toml"), FREE).unwrap();
    let closed = doctor(&repo);
    for name in ["repository", "disk", "clock", "configuration", "ports"] {
        assert_eq!(of(&closed, name).0, "ok", "{closed:?}");
    }
    assert_eq!(of(&closed, "daemon").0, "warn", "it does not run: {closed:?}");

    let daemon = repo.start(&[]);
    let running = doctor(&repo);
    for name in ["repository", "disk", "clock", "configuration", "daemon", "readiness"] {
        assert_eq!(of(&running, name).0, "ok", "{running:?}");
    }
    assert_eq!(of(&running, "reachability"), ("warn", "it listens on this machine alone"));
    assert_eq!(of(&running, "peers").0, "warn", "{running:?}");
    let other = Repo::new("other");
    let peer = other.start(&[]);
    repo.text(&["peers", "connect", &peer.address()]);
    assert_eq!(of(&doctor(&repo), "peers"), ("ok", "1 connected peer"));
    let text = repo.text(&["doctor"]);
    assert!(text.lines().any(|line| line.starts_with("ok    readiness")), "{text}");

    // One that has the repository and does not answer.
    daemon.signal("STOP");
    std::fs::remove_file(repo.path().join("api")).unwrap();
    let stuck = doctor(&repo);
    assert_eq!(of(&stuck, "daemon").0, "fail", "{stuck:?}");
    daemon.signal("CONT");
}

/// Settings with which nothing is in another daemon's way.
const FREE: &str =
    "api = '127.0.0.1:0'\nweb = '127.0.0.1:0'\nhttp = '127.0.0.1:0'\nlisten = ['/ip4/127.0.0.1/tcp/0']\n";

#[test]
fn what_is_wrong_is_found_and_named() {
    let missing = Repo::new("missing");
    let elsewhere = missing.path().with_file_name("elsewhere");
    let outcome = missing.run(["doctor", "--json", "--repo", elsewhere.to_str().unwrap()]);
    assert_eq!(of(&examine(&outcome), "repository").0, "fail");

    let repo = Repo::new("unwell");
    let settings = repo.path().join("config.toml");
    std::fs::write(&settings, "cache-mib = 1").unwrap();
    let found = doctor(&repo);
    assert!(of(&found, "configuration").1.contains("cache-mib"), "{found:?}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    std::fs::write(&settings, FREE.replace("http = '127.0.0.1:0'", &format!("http = '{address}'"))).unwrap();
    let found = doctor(&repo);
    assert_eq!(of(&found, "ports").0, "fail", "{found:?}");
    assert!(of(&found, "ports").1.contains(&address.to_string()), "{found:?}");

    std::fs::write(&settings, FREE).unwrap();
    let identity = repo.path().join("identity");
    std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o644)).unwrap();
    let found = doctor(&repo);
    assert!(of(&found, "permissions").1.contains("identity") && of(&found, "permissions").0 == "fail", "{found:?}");
    std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o600)).unwrap();

    // A clock that is behind the time at which this repository was written.
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    std::fs::File::options().write(true).open(&identity).unwrap().set_modified(tomorrow).unwrap();
    let found = doctor(&repo);
    assert_eq!(of(&found, "clock").0, "fail", "{found:?}");
    std::fs::File::options().write(true).open(&identity).unwrap().set_modified(SystemTime::now()).unwrap();

    std::fs::write(&identity, "not a phrase").unwrap();
    let found = doctor(&repo);
    assert!(of(&found, "repository").1.contains("damaged"), "{found:?}");
}

#[test]
fn a_repository_of_a_newer_version_is_refused_with_6() {
    let repo = Repo::new("newer");
    std::fs::write(repo.path().join("version"), "3\n").unwrap();
    for args in [&["daemon"][..], &["stat"], &["id"]] {
        let message = repo.fails(args, 6);
        assert!(message.contains("layout 3") && message.contains("use the newer spool"), "{args:?}: {message}");
    }
    let found = doctor(&repo);
    assert!(of(&found, "repository").1.contains("layout 3"), "{found:?}");
}

#[test]
fn a_port_that_is_taken_is_named_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let repo = Repo::new("taken");
    for (setting, value) in [
        ("--api", address.to_string()),
        ("--web", address.to_string()),
        ("--http", address.to_string()),
        ("--listen", format!("/ip4/127.0.0.1/tcp/{}", address.port())),
    ] {
        let mut flags = vec!["daemon", "--mdns", "false", "--dht", "off", setting, &value];
        for (other, free) in
            [("--api", "127.0.0.1:0"), ("--web", "off"), ("--http", "off"), ("--listen", "/ip4/127.0.0.1/tcp/0")]
        {
            if other != setting {
                flags.extend([other, free]);
            }
        }
        let message = repo.fails(&flags, 1);
        assert!(message.contains(&address.port().to_string()), "{setting}: {message}");
        assert!(message.contains(&format!("choose another with {setting}")), "{setting}: {message}");
    }
}

#[test]
fn a_clock_in_the_past_is_found() {
    let repo = Repo::new("yesterday");
    let mut command = Command::new("faketime");
    command.arg("1999-01-01 00:00:00").arg(program()).args(["doctor", "--json"]).env_clear();
    command.env("HOME", "/nonexistent").env("SPOOL_REPO", repo.path()).stdin(Stdio::null());
    let Ok(found) = command.output() else { return println!("SKIPPED a_clock_in_the_past_is_found: needs faketime") };
    let found = examine(&Outcome::from(found));
    assert!(of(&found, "clock").0 == "fail" && of(&found, "clock").1.contains("1999"), "{found:?}");
}

/// Whether this test runs as root, whom permissions do not stop.
fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}

/// The program where everybody can run it.
fn public_program(directory: &Path) -> std::path::PathBuf {
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = directory.join("spool");
    std::fs::copy(program(), &copy).unwrap();
    copy
}

#[test]
fn without_permission_it_says_so_with_1() {
    if !is_root() || Command::new("setpriv").arg("--version").stdout(Stdio::null()).status().is_err() {
        return println!("SKIPPED without_permission_it_says_so_with_1: needs root and setpriv");
    }
    let directory = tempfile::tempdir().unwrap();
    let spool = public_program(directory.path());
    let repo = Repo::at(&directory.path().join("private"), "private");
    std::fs::create_dir(directory.path().join("readonly")).unwrap();
    let nobody = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&spool).args(args);
        Outcome::from(command.env_clear().env("HOME", "/nonexistent").stdin(Stdio::null()).output().unwrap())
    };
    let private = repo.path().to_str().unwrap();
    let below = directory.path().join("readonly/new");
    for args in
        [&["daemon", "--repo", private][..], &["id", "--repo", private], &["init", "--repo", below.to_str().unwrap()]]
    {
        let refused = nobody(args);
        assert_eq!(refused.code, Some(1), "{args:?}: {refused:?}");
        assert!(
            refused.stderr.contains("Permission denied") && refused.stderr.contains(args[2]),
            "{args:?}: {refused:?}"
        );
    }
    let found = examine(&nobody(&["doctor", "--json", "--repo", private]));
    assert!(of(&found, "repository").1.contains("Permission denied"), "{found:?}");
}

#[test]
fn without_a_network_the_node_runs_and_says_that_nobody_hears_it() {
    let repo = Repo::new("alone");
    let flags = "--api 127.0.0.1:0 --web off --http off --listen /ip4/0.0.0.0/tcp/0 --mdns false --dht off";
    let mut command = Command::new("unshare");
    command.arg("-n").arg(program()).args(["daemon", "--json"]).args(flags.split(' ')).env_clear();
    command.env("HOME", "/nonexistent").env("SPOOL_REPO", repo.path()).stdin(Stdio::null());
    let Ok(mut child) = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() else {
        return println!("SKIPPED without_a_network_the_node_runs_and_says_that_nobody_hears_it: needs unshare");
    };
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    let _ = child.kill();
    let ended = child.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&ended.stderr).into_owned();
    if log.contains("Operation not permitted") && line.is_empty() {
        return println!("SKIPPED without_a_network_the_node_runs_and_says_that_nobody_hears_it: {log}");
    }
    let greeting: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {log}"));
    assert_eq!(greeting["listen"], json!([]), "{log}");
    assert!(log.contains("no other node can reach this one") && log.contains("network"), "{log}");
}
