//! Where the passphrase of a repository comes from: an open file, the environment, a credential of systemd, or whoever sits at the terminal.
//!
//! Never from the configuration, nor from an argument: those lie on the disk that it protects, and in the list of processes.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use spool_proto::limits::MAX_PASSPHRASE_BYTES;
use spool_proto::vault::Passphrase;
use zeroize::Zeroizing;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::output;
use crate::repo::{Error, Locked, Repo};

/// What is asked for, and the names under which it may be given.
struct Source {
    flag: &'static str,
    variable: &'static str,
    credential: &'static str,
}

const CURRENT: Source =
    Source { flag: "--passphrase-fd", variable: "SPOOL_PASSPHRASE", credential: "spool-passphrase" };
const NEW: Source =
    Source { flag: "--new-passphrase-fd", variable: "SPOOL_NEW_PASSPHRASE", credential: "spool-new-passphrase" };
/// Systemd says here where the credentials of a service are.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

impl Context {
    /// The passphrase, if it was given. What is read from an open file is gone from it: ask once.
    pub(super) fn given(&self) -> Result<Option<Passphrase>, Failure> {
        CURRENT.given(self.passphrase_fd)
    }

    /// The passphrase of the repository or backup in `place`: the one that was given, else that of whoever is asked.
    pub(super) fn passphrase(&self, place: &Path) -> Result<Passphrase, Failure> {
        match self.given()? {
            Some(passphrase) => Ok(passphrase),
            None => ask(&format!("passphrase of {}: ", place.display()), place),
        }
    }

    /// A passphrase for keys that have none: the one that was given, else what somebody types twice.
    pub(super) fn chosen(&self) -> Result<Passphrase, Failure> {
        choose(self.given()?, &self.dir()?)
    }

    /// A passphrase in place of another one, which may be read from the open file `fd`.
    pub(super) fn chosen_anew(&self, fd: Option<u32>) -> Result<Passphrase, Failure> {
        choose(NEW.given(fd)?, &self.dir()?)
    }

    /// The repository with its keys at hand.
    pub(super) fn unlocked(&self, mut repo: Repo) -> Result<Repo, Failure> {
        if let Some(passphrase) = self.passphrase_for(&repo)? {
            repo.unlock(&passphrase)?;
        }
        Ok(repo)
    }

    /// The same for this process alone, and with what was interrupted finished.
    pub(super) fn locked(&self, repo: Repo) -> Result<Locked, Failure> {
        let mut locked = repo.lock()?;
        if let Some(passphrase) = self.passphrase_for(&locked)? {
            locked.unlock(&passphrase)?;
        }
        let bar = output::count(None);
        let settled = locked.settle(&mut |done| bar.set_position(done));
        bar.finish_and_clear();
        settled?;
        Ok(locked)
    }

    fn passphrase_for(&self, repo: &Repo) -> Result<Option<Passphrase>, Failure> {
        if repo.key_file()?.is_none() {
            if self.given()?.is_some() {
                let command = "`spool repo passphrase set` puts them there";
                self.out.warn(format!(
                    "a passphrase was given, and the keys of {} are not under one; {command}",
                    repo.dir().display()
                ));
            }
            return Ok(None);
        }
        match repo.is_unlocked()? {
            true => Ok(None),
            false => self.passphrase(repo.dir()).map(Some),
        }
    }
}

impl Source {
    fn given(&self, fd: Option<u32>) -> Result<Option<Passphrase>, Failure> {
        if let Some(fd) = fd {
            let read = first_line(fd).map_err(|error| Failure::usage(format!("{} {fd}: {error}", self.flag)))?;
            return self.checked(read, self.flag).map(Some);
        }
        if let Some(value) = std::env::var_os(self.variable) {
            let value = Zeroizing::new(value.into_encoded_bytes());
            return self.checked(value, self.variable).map(Some);
        }
        let Some(directory) = std::env::var_os(CREDENTIALS).filter(|directory| !directory.is_empty()) else {
            return Ok(None);
        };
        let path = PathBuf::from(directory).join(self.credential);
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => {
                let read = opened.and_then(whole);
                let read = read.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
                self.checked(read, &path.display().to_string()).map(Some)
            }
        }
    }

    /// One line, without its end.
    fn checked(&self, mut bytes: Zeroizing<Vec<u8>>, from: &str) -> Result<Passphrase, Failure> {
        if bytes.ends_with(b"\n") {
            bytes.pop();
            if bytes.ends_with(b"\r") {
                bytes.pop();
            }
        }
        if bytes.contains(&b'\n') {
            return Err(Failure::usage(format!("{from}: a passphrase is one line, and there are more")));
        }
        Passphrase::new(bytes).map_err(|error| Failure::usage(format!("{from}: {error}")))
    }
}

/// Bytes that are read: as many as a passphrase may have, with the end of its line, and one more that shows that there are too many.
const READ_BYTES: usize = MAX_PASSPHRASE_BYTES + 3;

/// The first line of an open file, and nothing of what comes behind it.
fn first_line(fd: u32) -> io::Result<Zeroizing<Vec<u8>>> {
    match fd {
        0 => line(io::stdin().lock()),
        // The file that is open under this number, without a way to take another one for it.
        _ => line(File::open(format!("/dev/fd/{fd}"))?),
    }
}

fn line(mut from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(READ_BYTES));
    let mut byte = [0];
    while line.len() < READ_BYTES && line.last() != Some(&b'\n') {
        match from.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(line)
}

fn whole(file: File) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(READ_BYTES));
    file.take(READ_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn choose(given: Option<Passphrase>, place: &Path) -> Result<Passphrase, Failure> {
    if let Some(given) = given {
        return Ok(given);
    }
    let chosen = ask(&format!("new passphrase for {}: ", place.display()), place)?;
    match ask("once more: ", place)? == chosen {
        true => Ok(chosen),
        false => Err(Failure::usage("the two are not the same; nothing was changed")),
    }
}

/// Asks whoever sits at the terminal, and shows nothing of the answer.
fn ask(question: &str, place: &Path) -> Result<Passphrase, Failure> {
    // Whoever has redirected both did not mean to be asked.
    if !io::stdin().is_terminal() && !io::stderr().is_terminal() {
        return Err(Error::NeedsPassphrase(place.into()).into());
    }
    // Without a handler Ctrl-C would end the process before the terminal shows again what is typed. This one stays.
    #[cfg(unix)]
    let _handled = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
    match rpassword::prompt_password(question) {
        Ok(answer) => Passphrase::new(Zeroizing::new(answer.into_bytes()))
            .map_err(|error| Failure::usage(format!("{error}; nothing was changed"))),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            Err(Failure::new(Exit::Interrupted, "interrupted", "interrupted"))
        }
        // No terminal after all, or its end.
        Err(_) => Err(Error::NeedsPassphrase(place.into()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &[u8]) -> Result<Passphrase, Failure> {
        CURRENT.checked(Zeroizing::new(text.to_vec()), "here")
    }

    fn passphrase(text: &[u8]) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_vec())).unwrap()
    }

    #[test]
    fn the_end_of_the_line_is_no_part_of_a_passphrase_and_all_else_is() {
        for (text, expected) in [
            (&b"right"[..], &b"right"[..]),
            (b"right\n", b"right"),
            (b"right\r\n", b"right"),
            (b" right \n", b" right "),
            (b"right\r", b"right\r"),
            (b"\xff\xfe\n", b"\xff\xfe"),
        ] {
            assert!(checked(text).unwrap() == passphrase(expected), "{text:?}");
        }
        let longest = [&[b'x'; MAX_PASSPHRASE_BYTES][..], b"\r\n"].concat();
        assert!(checked(&longest).unwrap() == passphrase(&[b'x'; MAX_PASSPHRASE_BYTES]));
        for bad in [&b""[..], b"\n", b"\r\n", b"one\ntwo", b"one\n\n", &[b'x'; MAX_PASSPHRASE_BYTES + 1]] {
            let failure = checked(bad).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.error.to_string().starts_with("here: ") && !failure.error.to_string().contains("two"));
        }
    }

    #[test]
    fn one_line_is_read_and_no_more_than_that_of_one_without_end() {
        let mut two = &b"one\ntwo\n"[..];
        assert_eq!(line(&mut two).unwrap().as_slice(), b"one\n");
        assert_eq!(two, b"two\n");
        assert_eq!(line(&b"one"[..]).unwrap().as_slice(), b"one");
        let endless = line(io::repeat(b'x')).unwrap();
        assert!(checked(&endless).is_err());
    }
}
