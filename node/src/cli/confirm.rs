//! Asking before something cannot be taken back, or changes more than one thing.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use super::exit::Failure;

/// Bytes of an answer that are read: whoever types more means no.
const MAX_ANSWER_BYTES: u64 = 16;

/// Goes on if somebody says yes. `what` is what `--yes` would do without asking, `otherwise` what to say where the answer is no.
pub(super) fn ask(question: &str, what: &str, otherwise: &str) -> Result<(), Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::usage(format!("nobody is here to be asked; add --yes to {what}")));
    }
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    let read = stdin.lock().take(MAX_ANSWER_BYTES).read_line(&mut answer);
    match read {
        Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        Ok(_) | Err(_) => Err(Failure::usage(otherwise)),
    }
}
