//! `make install`: what lies where afterwards, and that it is good.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use spool_integration_tests::daemon::{Repo, program};

fn make(target: &str, destination: &Path) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut command = Command::new("make");
    command.args(["--no-print-directory", "-C", root, target, "PREFIX=/usr"]);
    command.arg(format!("DESTDIR={}", destination.display())).arg(format!("SPOOL_BIN={}", program().display()));
    let made = command.output().unwrap();
    assert!(made.status.success(), "{made:?}");
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let below = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    below.collect()
}

#[test]
fn everything_lies_where_the_system_looks_for_it_and_goes_again() {
    let place = tempfile::tempdir().unwrap();
    make("install", place.path());
    let usr = place.path().join("usr");
    let version = Command::new(usr.join("bin/spool")).arg("--version").output().unwrap();
    assert!(version.status.success(), "{version:?}");
    let read = |path: &str| {
        let text = std::fs::read_to_string(usr.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(!text.is_empty(), "{path}");
        text
    };
    assert!(read("share/man/man1/spool.1").contains(".TH"));
    assert!(read("share/man/man1/spool-thread-share.1").contains("ticket"));
    assert!(read("share/bash-completion/completions/spool").contains("_spool"));
    assert!(read("share/zsh/site-functions/_spool").starts_with("#compdef spool"));
    assert!(read("share/fish/vendor_completions.d/spool.fish").contains("complete -c spool"));
    let unit = read("lib/systemd/system/spool.service");
    assert!(unit.contains("\nExecStart=/usr/bin/spool daemon --init\n") && !unit.contains("@PREFIX@"), "{unit}");

    // A page for every command that has help.
    let help = Repo::new("help").text(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<_> = commands.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next()).collect();
    assert!(commands.len() > 15, "{help}");
    for command in commands.iter().filter(|command| **command != "help") {
        read(&format!("share/man/man1/spool-{command}.1"));
    }
    make("uninstall", place.path());
    assert_eq!(files(place.path()), Vec::<PathBuf>::new());
}
