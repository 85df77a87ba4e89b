//! Repositories, and the commands that are run on them.

use std::{
    ffi::OsStr,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    thread,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{Daemon, Launched};
use crate::PATIENCE;

/// The program under test: `cargo` puts it beside the directory with the executables of the tests.
///
/// # Panics
///
/// If it was not built.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own executable");
    let directory = test.ancestors().nth(2).expect("tests are in <target>/<profile>/deps");
    let program = directory.join(format!("spool{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.is_file(),
        "{} is not there: build it first, with `cargo build --release -p spool-node`",
        program.display()
    );
    program
}

/// A repository of its own, with an identity of its own.
pub struct Repo {
    path: PathBuf,
    /// What the environment of its commands has besides.
    variables: Vec<(String, String)>,
    /// Removed with this.
    _directory: Option<TempDir>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        let Output { status, stdout, stderr } = output;
        let status: ExitStatus = status;
        Self { code: status.code(), stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() }
    }
}

impl Outcome {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard output as JSON values, one in each line.
    pub fn json(&self) -> Vec<Value> {
        let text = self.text();
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        text.lines().map(parse).collect()
    }

    /// The message on standard error, of a command with `--json` that failed: exit code, stable name, text.
    pub fn error(&self) -> (i64, String, String) {
        let last = self.stderr.lines().last().unwrap_or_default();
        let value: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error} in {last:?}"));
        let error = &value["error"];
        let text = |field: &str| error[field].as_str().unwrap_or_else(|| panic!("no {field} in {last}")).to_owned();
        (error["code"].as_i64().expect("a number"), text("reason"), text("message"))
    }
}

impl Repo {
    /// A new repository in a temporary directory.
    pub fn new(name: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join(name);
        Self { _directory: Some(directory), ..Self::at(&path, name) }
    }

    /// A new repository at `path`.
    pub fn at(path: &Path, name: &str) -> Self {
        let repo = Self::existing(path);
        let made = repo.run(["init", "--name", name]);
        assert_eq!(made.code, Some(0), "{made:?}");
        repo
    }

    /// A repository that was made by other means.
    pub fn existing(path: &Path) -> Self {
        Self { path: path.to_owned(), variables: Vec::new(), _directory: None }
    }

    /// A place for a repository in a temporary directory, where none is made.
    pub fn nothing(name: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join(name);
        Self { _directory: Some(directory), ..Self::existing(&path) }
    }

    /// The same, with this in the environment of all commands on it, the daemon among them.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, with nothing in the environment.
    #[must_use]
    pub fn without_variables(mut self) -> Self {
        self.variables.clear();
        self
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command on this repository; the environment of the test has no influence on it.
    pub fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(program());
        command.env_clear().env("HOME", "/nonexistent").env("SPOOL_REPO", &self.path).args(args);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
        finish(self.command(args), &[])
    }

    /// Runs a command with an input.
    pub fn feed(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>, input: &[u8]) -> Outcome {
        let mut command = self.command(args);
        command.stdin(Stdio::piped());
        finish(command, input)
    }

    /// The output of a command that succeeds, without the last line break.
    pub fn text(&self, args: &[&str]) -> String {
        let outcome = self.run(args);
        assert_eq!(outcome.code, Some(0), "{args:?}: {outcome:?}");
        outcome.text().trim_end().to_owned()
    }

    /// The JSON values that a command prints which succeeds.
    pub fn json(&self, args: &[&str]) -> Vec<Value> {
        let outcome = self.run([args, &["--json"]].concat());
        assert_eq!(outcome.code, Some(0), "{args:?}: {outcome:?}");
        outcome.json()
    }

    /// What a command says on standard error that fails with `code`, or its output if it says nothing there.
    pub fn fails(&self, args: &[&str], code: i32) -> String {
        let outcome = self.run(args);
        assert_eq!(outcome.code, Some(code), "{args:?}: {outcome:?}");
        outcome.stderr
    }

    /// Runs the daemon with these flags, on free ports of loopback, and waits until it is ready.
    pub fn start(&self, flags: &[&str]) -> Daemon {
        self.launch(flags).ready()
    }

    /// Runs the daemon, and does not wait.
    pub fn launch(&self, flags: &[&str]) -> Launched {
        Launched::new(self, flags)
    }
}

/// Runs a command to its end, or ends it when it takes too long.
fn finish(mut command: Command, input: &[u8]) -> Outcome {
    let mut child = command.spawn().expect("the program starts");
    let id = child.id();
    let feeding = child.stdin.take().map(|mut stdin| {
        let input = input.to_vec();
        // A command that refuses its input early closes it.
        thread::spawn(move || drop(stdin.write_all(&input)))
    });
    let (sender, ended) = mpsc::sync_channel(1);
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = ended.recv_timeout(2 * PATIENCE) else {
        super::process::signal(id, "KILL");
        panic!("{command:?} did not end within {:?}", 2 * PATIENCE);
    };
    if let Some(feeding) = feeding {
        feeding.join().expect("feeding a command never panics");
    }
    output.expect("the output of a child").into()
}
