//! `spool repo passphrase`

use clap::Subcommand;
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::repo::{Error, Locked};

/// Keep the keys of a repository under a passphrase
///
/// Under a passphrase are the recovery phrase, the node's key, the keys of all threads, and what the databases of threads have. No daemon may run meanwhile. A passphrase is
/// never an argument or a setting: it comes from --passphrase-fd, from SPOOL_PASSPHRASE, from the systemd credential spool-passphrase, or it is asked for.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  spool repo passphrase set")]
pub(in crate::cli) enum Args {
    /// Put the keys under a passphrase
    ///
    /// What lay open is overwritten as far as the file system lets it. Copies from before, such as backups, stay as they are. If this is interrupted, the next start of the
    /// daemon goes on, or the same again.
    #[command(after_help = "\
Examples:
  spool repo passphrase set
  spool repo passphrase set --passphrase-fd 3 3< /run/keys/spool")]
    Set,
    /// Put them under another one
    ///
    /// The keys stay the same: whoever has a copy of the file repo.key from before can open that with the passphrase from before. Remove it and set it anew against that.
    #[command(after_help = "\
Examples:
  spool repo passphrase change
  spool repo passphrase change --passphrase-fd 3 --new-passphrase-fd 4 3< old 4< new")]
    Change {
        /// Read the new passphrase from this open file: its first line [env: SPOOL_NEW_PASSPHRASE]
        #[arg(long, value_name = "NUMBER")]
        new_passphrase_fd: Option<u32>,
    },
    /// Let the keys lie open again
    #[command(after_help = "Example:\n  spool repo passphrase remove")]
    Remove,
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let (locked, values, what) = match args {
        Args::Set => set(context).await?,
        Args::Change { new_passphrase_fd } => change(context, new_passphrase_fd)?,
        Args::Remove => remove(context).await?,
    };
    let is_protected = locked.key_file()?.is_some();
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&json!({ "repo": locked.dir(), "protected": is_protected, "values": values }));
    }
    out.line(format!("{}: {what}", locked.dir().display()))?;
    out.flush()?;
    if is_protected {
        out.hint("nobody can help whoever forgets it: the recovery phrase (`spool id --phrase`) still brings the identity back, keep it elsewhere");
        out.hint("backups and other copies from before are as they were");
    }
    Ok(())
}

type Done = (Locked, u64, &'static str);

async fn set(context: &Context) -> Result<Done, Failure> {
    let mut locked = context.open()?.lock()?;
    if let Some(file) = locked.key_file()? {
        if file.state() == spool_proto::vault::State::Sealed {
            return Err(Error::Protected(locked.dir().into()).into());
        }
        let passphrase = context.passphrase(locked.dir())?;
        locked.unlock(&passphrase)?;
        return working(locked, move |locked, tell| {
            locked.settle(tell)?;
            // What was interrupted may have been its removal.
            if locked.key_file()?.is_none() { locked.protect(&passphrase, tell) } else { Ok(()) }
        })
        .await
        .map(|(locked, values)| (locked, values, "its keys are under the passphrase"));
    }
    let passphrase = context.chosen()?;
    let (locked, values) = working(locked, move |locked, tell| locked.protect(&passphrase, tell)).await?;
    Ok((locked, values, "its keys are under the passphrase"))
}

fn change(context: &Context, fd: Option<u32>) -> Result<Done, Failure> {
    let mut locked = context.open()?.lock()?;
    if locked.key_file()?.is_none() {
        return Err(Error::NotProtected(locked.dir().into()).into());
    }
    if fd.is_some() && fd == context.passphrase_fd {
        return Err(Failure::usage("--passphrase-fd and --new-passphrase-fd name the same file"));
    }
    locked.unlock(&context.passphrase(locked.dir())?)?;
    locked.settle(&mut |_| {})?;
    if locked.key_file()?.is_none() {
        return Err(Error::NotProtected(locked.dir().into()).into());
    }
    locked.change_passphrase(&context.chosen_anew(fd)?)?;
    Ok((locked, 0, "its keys are under the new passphrase"))
}

async fn remove(context: &Context) -> Result<Done, Failure> {
    let mut locked = context.open()?.lock()?;
    if locked.key_file()?.is_none() {
        return Err(Error::NotProtected(locked.dir().into()).into());
    }
    locked.unlock(&context.passphrase(locked.dir())?)?;
    let (locked, values) = working(locked, |locked, tell| {
        locked.settle(tell)?;
        if locked.key_file()?.is_some() { locked.unprotect(tell) } else { Ok(()) }
    })
    .await?;
    Ok((locked, values, "its keys lie open"))
}

/// Does what may take a while, with a count of what is done.
async fn working(
    mut locked: Locked,
    work: impl FnOnce(&mut Locked, &mut dyn FnMut(u64)) -> Result<(), Error> + Send + 'static,
) -> Result<(Locked, u64), Failure> {
    let bar = output::count(None);
    let done = spawn_blocking(move || {
        let mut values = 0;
        let done = work(&mut locked, &mut |count| {
            values = count;
            bar.set_position(count);
        });
        bar.finish_and_clear();
        done.map(|()| (locked, values))
    });
    let done = done.await.map_err(|panic| anyhow::Error::new(panic).context("setting the passphrase failed"))?;
    Ok(done?)
}
