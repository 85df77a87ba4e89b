//! A real daemon as a process, and the commands of the same program.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The program under test, with an environment of its own.
pub(crate) fn spool(repo: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spool"));
    command.env_clear().env("HOME", "/nonexistent").env("SPOOL_REPO", repo).stdin(Stdio::null());
    command
}

/// A repository with a daemon that listens on free ports of loopback; ended when dropped.
pub(crate) struct Daemon {
    pub(crate) repo: PathBuf,
    pub(crate) child: Child,
    pub(crate) greeting: Value,
    _dir: tempfile::TempDir,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        let init = spool(&repo).args(["init", "--name", "test"]).output().unwrap();
        assert!(init.status.success(), "{init:?}");
        let flags = "daemon --json --api 127.0.0.1:0 --web 127.0.0.1:0 --http 127.0.0.1:0 --listen /ip4/127.0.0.1/tcp/0 --mdns false";
        let mut child = spool(&repo).args(flags.split(' ')).args(more).stdout(Stdio::piped()).spawn().unwrap();
        // The greeting comes once everything listens: reading it is the waiting.
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let greeting = serde_json::from_str(&line).unwrap();
        Self { repo, child, greeting, _dir: dir }
    }

    /// What callers of its API show.
    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(self.repo.join("api-token")).unwrap().trim().to_owned()
    }

    pub(crate) fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = spool(&self.repo);
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command with an input.
    pub(crate) fn feed(&self, args: &[&str], input: &[u8]) -> Output {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let writer = std::thread::spawn({
            let input = input.to_vec();
            // A command that refuses its input early closes it.
            move || drop(stdin.write_all(&input))
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    /// The result of a command that succeeds, as text without the last line break.
    pub(crate) fn text(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// The results of a command with `--json`, one for each line.
    pub(crate) fn json(&self, args: &[&str]) -> Vec<Value> {
        let text = self.text(&[args, &["--json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn thread(&self, name: &str) -> String {
        self.text(&["thread", "create", name])
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process that this test started.
pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
