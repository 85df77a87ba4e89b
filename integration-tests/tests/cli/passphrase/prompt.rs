//! Whoever sits at a terminal is asked, and what is typed is not shown.

use std::{
    io::{Read, Write as _},
    process::Child,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use pty_process::blocking::{Command, Pty, open};
use rustix::termios::{LocalModes, tcgetattr};
use spool_integration_tests::{PATIENCE, daemon::Repo};

/// Between two looks at what cannot be waited for.
const POLL: Duration = Duration::from_millis(5);
/// What control and a letter type.
const CTRL_C: &[u8] = b"\x03";
const CTRL_D: &[u8] = b"\x04";

/// A command at a terminal of its own.
struct Session {
    child: Child,
    pty: Arc<Pty>,
    pieces: mpsc::Receiver<Vec<u8>>,
    shown: String,
    /// Bytes of what is shown that were there before the last answer.
    answered: usize,
}

impl Session {
    fn begin(repo: &Repo, args: &[&str]) -> Self {
        let (pty, terminal) = open().unwrap();
        let child = Command::from(repo.command(args)).spawn(terminal).unwrap();
        let pty = Arc::new(pty);
        let (sender, pieces) = mpsc::sync_channel(64);
        let from = pty.clone();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            // An error is how it ends, once nobody has the terminal any more.
            while let Ok(count @ 1..) = (&*from).read(&mut piece) {
                if sender.send(piece[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, pty, pieces, shown: String::new(), answered: 0 }
    }

    /// Whether what is typed shows.
    fn echoes(&self) -> bool {
        tcgetattr(&*self.pty).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    /// Waits until something new shows, and what else is to be.
    fn wait(&mut self, text: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !self.shown[self.answered..].contains(text) || !is_so(self) {
            assert!(begun.elapsed() < PATIENCE, "waited in vain for {text:?}: {:?}", self.shown);
            self.look();
        }
    }

    fn look(&mut self) {
        if let Ok(piece) = self.pieces.recv_timeout(POLL) {
            self.shown.push_str(&String::from_utf8_lossy(&piece));
        }
    }

    fn type_in(&mut self, typed: &[u8]) {
        self.answered = self.shown.len();
        (&*self.pty).write_all(typed).unwrap();
    }

    /// Types an answer, once it is asked for and would not show.
    fn answer(&mut self, question: &str, typed: &[u8]) {
        self.wait(question, |session| !session.echoes());
        self.type_in(typed);
    }

    /// Exit code and all that was shown; the terminal shows again what is typed.
    fn end(mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        let status = loop {
            self.look();
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end: {:?}", self.shown);
        };
        // What it said last comes before its end of the terminal is gone.
        while let Ok(piece) = self.pieces.recv_timeout(PATIENCE) {
            self.shown.push_str(&String::from_utf8_lossy(&piece));
        }
        assert!(self.echoes(), "the terminal is left as it was: {:?}", self.shown);
        (status.code(), self.shown)
    }
}

/// Runs a command that asks once, and is given this.
fn asked(repo: &Repo, args: &[&str], typed: &[u8]) -> (Option<i32>, String) {
    let mut session = Session::begin(repo, args);
    session.answer("passphrase of", typed);
    session.end()
}

/// A passphrase, and a part of it that no recovery phrase, key or id has.
const TYPED: &[u8] = b"Zq7-h\xc3\xb6rse\n";
const SEEN: &str = "Zq7-";

#[test]
fn a_passphrase_is_asked_for_at_a_terminal_and_does_not_show() {
    let repo = Repo::nothing("asked");
    let mut session = Session::begin(&repo, &["init", "--protect"]);
    session.answer("new passphrase for", TYPED);
    session.answer("once more: ", TYPED);
    let (code, shown) = session.end();
    assert!(code == Some(0) && !shown.contains(SEEN), "{shown:?}");

    let (code, shown) = asked(&repo, &["id"], TYPED);
    assert!(code == Some(0) && shown.contains("identity") && !shown.contains(SEEN), "{shown:?}");
    let (code, shown) = asked(&repo, &["id"], b"wrong\n");
    assert!(code == Some(6) && shown.contains("not the passphrase") && !shown.contains("wrong"), "{shown:?}");
    let (code, shown) = asked(&repo, &["id"], b"\n");
    assert!(code == Some(2) && shown.contains("empty"), "{shown:?}");
    // It is the same as from elsewhere.
    let given = Repo::existing(repo.path()).with_variable(super::VARIABLE, "Zq7-hörse");
    assert_eq!(given.text(&["id", "--phrase"]).split(' ').count(), 24);

    for (second, expected) in [("another", Some(2)), ("new", Some(0))] {
        let mut session = Session::begin(&repo, &["repo", "passphrase", "change"]);
        session.answer("passphrase of", TYPED);
        session.answer("new passphrase for", b"new\n");
        session.answer("once more: ", format!("{second}\n").as_bytes());
        let (code, shown) = session.end();
        assert_eq!((code, shown.contains("not the same")), (expected, expected != Some(0)), "{shown:?}");
    }
    assert_eq!(asked(&repo, &["id"], b"new\n").0, Some(0));
}

#[test]
fn whoever_is_asked_may_also_leave() {
    let repo = super::protected("left", "right").without_variables();
    for args in [&["id"][..], &["daemon"]] {
        assert_eq!(asked(&repo, args, CTRL_C).0, Some(130), "{args:?}");
        let (code, shown) = asked(&repo, args, CTRL_D);
        assert!(code == Some(6) && shown.contains("--passphrase-fd"), "{args:?}: {shown:?}");
    }
    // Having asked, a daemon ends as ever.
    let flags = ["--api", "127.0.0.1:0", "--web", "off", "--http", "off", "--listen", "/ip4/127.0.0.1/tcp/0"];
    let mut session = Session::begin(&repo, &[&["daemon"][..], &flags].concat());
    session.answer("passphrase of", b"right\n");
    session.wait("ready", Session::echoes);
    session.type_in(CTRL_C);
    let (code, shown) = session.end();
    assert_eq!(code, Some(0), "{shown:?}");
}
