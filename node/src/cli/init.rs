//! `spool init`

use std::io::{self, BufRead, IsTerminal, Read};

use zeroize::Zeroizing;

use super::context::Context;
use super::exit::Failure;
use crate::repo::{Init, Repo};

/// Bytes of a recovery phrase, with room for odd spacing: 24 words have at most 215.
const MAX_PHRASE_BYTES: u64 = 4096;

/// Make a repository: an identity, a node key and a configuration
///
/// Prints the recovery phrase of the identity, once. Whoever has the phrase is you; without it, what you wrote cannot be claimed again when
/// this machine is gone. Nothing that exists is overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool init --name laptop
  spool init --protect                   with the keys under a passphrase, which it asks for
  spool init --recover < phrase.txt      the identity of an earlier installation, on a new device")]
pub(super) struct Args {
    /// What this installation is called; nobody else sees it
    #[arg(long)]
    name: Option<String>,
    /// Use an identity that exists: read its recovery phrase from standard input
    #[arg(long)]
    recover: bool,
    /// Put the keys under a passphrase, and ask for it where none is given. One that is given is used in any case
    #[arg(long)]
    protect: bool,
}

pub(super) fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    if let Some(name) = &args.name {
        super::checked_name(name)?;
    }
    if args.recover && context.passphrase_fd == Some(0) {
        return Err(Failure::usage(
            "the recovery phrase comes from standard input, so the passphrase cannot; use another number",
        ));
    }
    let passphrase = match args.protect {
        true => Some(context.chosen()?),
        false => context.given()?,
    };
    let recover = args.recover.then(read_phrase).transpose()?;
    let recovered = recover.is_some();
    let (repo, phrase) = Repo::create(context.dir()?, &Init { name: args.name, recover, passphrase })?;
    let id = super::id::offline(&repo)?;
    let out = &mut context.out;
    if out.is_json() {
        let phrase = (!recovered).then_some(phrase.as_str());
        return out.json(&serde_json::json!({
            "repo": repo.dir(), "peer_id": id.peer_id, "identity": id.identity, "device": id.device, "phrase": phrase,
        }));
    }
    out.fields(&[
        ("repository", repo.dir().display().to_string()),
        ("peer id", id.peer_id),
        ("identity", id.identity),
        ("device", id.device),
    ])?;
    if !recovered {
        out.line("\nRecovery phrase:\n")?;
        for words in phrase.split(' ').collect::<Vec<_>>().chunks(6) {
            out.line(format!("  {}", words.join(" ")))?;
        }
        out.line(
            "\nWrite it down and keep it where nobody else sees it. It brings this identity back on another machine\n\
             (`spool init --recover`), for you and for whoever else has it. It is not shown again.",
        )?;
    }
    out.flush()?;
    out.hint("next: `spool daemon` starts the node");
    Ok(())
}

/// A phrase is never an argument: arguments are in the shell's history and in the list of processes.
fn read_phrase() -> Result<Zeroizing<String>, Failure> {
    let stdin = io::stdin();
    // As large as it can get, so that no copy stays behind where the text grew.
    let mut phrase = Zeroizing::new(String::with_capacity(MAX_PHRASE_BYTES as usize + 1));
    let input = stdin.lock().take(MAX_PHRASE_BYTES);
    let read = if stdin.is_terminal() {
        let _ = io::Write::write_all(&mut io::stderr(), b"recovery phrase (24 words on one line): ");
        io::BufReader::new(input).read_line(&mut phrase)
    } else {
        io::BufReader::new(input).read_to_string(&mut phrase)
    };
    read.map_err(|error| Failure::usage(format!("cannot read the recovery phrase from standard input: {error}")))?;
    Ok(phrase)
}
