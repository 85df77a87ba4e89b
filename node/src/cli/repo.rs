//! `spool repo`

use std::path::{Path, PathBuf};

use clap::Subcommand;
use indicatif::ProgressBar;
use serde_json::json;
use spool_proto::vault::Key;
use spool_store::kv::{Kv as _, Rocks, rocks};

use super::context::Context;
use super::exit::{Exit, Failure};
use super::{format, output};
use crate::api::pb;
use crate::api::pb::backup_response::Step;
use crate::repo::{Progress, Repo, Restore};

mod passphrase;

/// Back up a repository, put a backup back, and keep keys under a passphrase
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  spool repo backup /mnt/disk/spool-2026-11-21")]
pub(super) enum Args {
    /// Make a backup, while the daemon runs or not
    ///
    /// The backup is the state of one moment: identity, keys, configuration and the whole database, with the hash of every file. It holds all keys: keep it as
    /// you keep the repository; keys that are under a passphrase there are under it here, and to make a backup takes no passphrase. Of a running node the daemon makes it, in a directory of its machine that is not there or empty. On the disk of the repository it
    /// shares the database's files and needs little room, and shares their fate, too: copy it elsewhere.
    #[command(after_help = "Example:\n  spool repo backup /mnt/disk/spool-2026-11-21")]
    Backup {
        /// Where to; not there yet, or empty
        directory: PathBuf,
    },
    /// Make a repository of a backup
    ///
    /// Every file is checked against the backup's list, and the database opened. What is put back is a new device: it reads all that was there and writes to new logs, since
    /// the old ones may have gone on after the backup. It has the peer id of before, for the node that it replaces; with --new-peer it can run beside that.
    #[command(after_help = "\
Examples:
  spool repo restore /mnt/disk/spool-2026-11-21
  spool repo restore /mnt/disk/spool-2026-11-21 --repo ~/.spool-copy --new-peer")]
    Restore {
        /// The backup
        directory: PathBuf,
        /// Take a new peer id, to run beside the node that the backup is of
        #[arg(long)]
        new_peer: bool,
    },
    #[command(subcommand)]
    Passphrase(passphrase::Args),
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    match args {
        Args::Backup { directory } => backup(context, &absolute(&directory)?).await,
        Args::Restore { directory, new_peer } => restore(context, directory, new_peer).await,
        Args::Passphrase(args) => passphrase::run(context, args).await,
    }
}

/// The daemon has a working directory of its own.
fn absolute(directory: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(directory).map_err(|error| Failure::usage(format!("{}: {error}", directory.display())))
}

async fn backup(context: &mut Context, directory: &Path) -> Result<(), Failure> {
    let done = match context.client().await {
        Ok(client) => of_running(client, directory).await?,
        Err(failure) if failure.exit == Exit::Unreachable && !context.names_daemon() => {
            let (repo, directory) = (context.open()?, directory.to_owned());
            let bar = output::progress(Some(0));
            let work = tokio::task::spawn_blocking(move || of_closed(repo, &directory, &bar));
            work.await.map_err(|panic| anyhow::Error::new(panic).context("the backup failed"))??
        }
        Err(failure) => return Err(failure),
    };
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&json!({ "directory": directory, "files": done.files, "bytes": done.bytes }));
    }
    out.line(format!(
        "{}: {}, {}",
        directory.display(),
        format::plural(done.files, "file"),
        format::bytes(done.bytes)
    ))?;
    out.flush()?;
    out.hint("it holds all keys; `spool repo restore` makes a repository of it");
    Ok(())
}

async fn of_running(mut client: super::context::Client, directory: &Path) -> Result<Progress, Failure> {
    let Some(text) = directory.to_str() else {
        return Err(Failure::usage(format!("{} is not UTF-8, which the daemon takes", directory.display())));
    };
    let request = pb::BackupRequest { directory: text.into() };
    let mut steps = client.backup(request).await?.into_inner();
    let bar = output::progress(Some(0));
    while let Some(step) = steps.message().await? {
        match step.step {
            Some(Step::Progress(pb::backup_response::Progress { bytes, total, .. })) => draw(&bar, bytes, total),
            Some(Step::Done(done)) => {
                bar.finish_and_clear();
                return Ok(Progress { files: done.files, bytes: done.bytes, total: done.bytes });
            }
            None => {}
        }
    }
    bar.finish_and_clear();
    Err(Failure::new(Exit::Unavailable, "stopping", "the daemon ended before the backup was made"))
}

fn of_closed(repo: Repo, directory: &Path, bar: &ProgressBar) -> Result<Progress, Failure> {
    let locked = repo.lock()?;
    // As files, so that it takes no passphrase.
    let store = Rocks::open(&locked.store_dir(), &rocks::Options::default());
    let store = store.map_err(|error| anyhow::Error::new(error).context("open the store"))?;
    let mut tell = |progress: Progress| draw(bar, progress.bytes, progress.total);
    let done = locked.back_up(directory, |place| Ok(store.checkpoint(place)?), &mut tell);
    bar.finish_and_clear();
    Ok(done?)
}

async fn restore(context: &mut Context, from: PathBuf, new_peer: bool) -> Result<(), Failure> {
    let directory = context.dir()?;
    let passphrase = Repo::is_protected_backup(&from)?.then(|| context.passphrase(&from)).transpose()?;
    let bar = output::progress(Some(0));
    let work = tokio::task::spawn_blocking(move || {
        let check = |store: &Path, key: Option<&Key>| {
            crate::node::open_store(store, key).map(drop).map_err(|error| crate::repo::Error::Damaged {
                path: store.into(),
                message: format!("the database does not open: {}", crate::chain(&error)),
            })
        };
        let mut tell = |progress: Progress| draw(&bar, progress.bytes, progress.total);
        let how = Restore { new_peer, passphrase: passphrase.as_ref() };
        let restored = Repo::restore(&from, &directory, &how, check, &mut tell);
        bar.finish_and_clear();
        restored
    });
    let restored = work.await.map_err(|panic| anyhow::Error::new(panic).context("putting back failed"))??;
    let id = super::id::offline(&restored.repo)?;
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&json!({
            "repo": restored.repo.dir(), "peer_id": id.peer_id, "identity": id.identity, "device": id.device, "made_ms": restored.made_ms,
            "files": restored.copied.files, "bytes": restored.copied.bytes,
        }));
    }
    out.fields(&[
        ("repository", restored.repo.dir().display().to_string()),
        ("backup of", format::time(restored.made_ms)),
        ("peer id", id.peer_id),
        ("identity", id.identity),
        ("device", format!("{} (new)", id.device)),
        (
            "copied",
            format!("{}, {}", format::plural(restored.copied.files, "file"), format::bytes(restored.copied.bytes)),
        ),
    ])?;
    out.flush()?;
    out.hint("this is a new device: it reads what was there, and writes to new logs; what came after the backup comes from peers");
    if !new_peer {
        out.hint("it has the peer id of the node that it replaces: both at once would be in each other's way; --new-peer is for that");
    }
    Ok(())
}

fn draw(bar: &ProgressBar, bytes: u64, total: u64) {
    bar.set_length(total);
    bar.set_position(bytes);
}
