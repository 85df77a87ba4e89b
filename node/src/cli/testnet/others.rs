//! What is done with a testnet from another terminal: `down`, `status`, `logs`, `exec`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::process::Command;
use std::time::{Duration, Instant};

use super::look::Snapshot;
use super::member::{Member, is_setting, this_program};
use super::place::{Place, State};
use super::{Directory, show};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};

/// Until `up` and all nodes have put everything away.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a lock or a log.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Bytes of a log that are read at once.
const PIECE_BYTES: u64 = 64 * 1024;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DownArgs {
    /// Remove the nodes' repositories and logs as well
    #[arg(long)]
    rm: bool,
    #[command(flatten)]
    directory: Directory,
}

pub(super) async fn down(context: &mut Context, args: DownArgs) -> Result<(), Failure> {
    let place = args.directory.place(context)?;
    let was_running = place.is_held()?;
    if was_running {
        place.ask_to_stop()?;
    }
    // One that failed while it started has not written down who its nodes are.
    let state = place.load().ok();
    let begun = Instant::now();
    while place.is_held()? || state.iter().flat_map(|state| &state.nodes).any(|node| place.is_in_use(&node.name)) {
        if begun.elapsed() > STOP_PATIENCE {
            let message = format!(
                "the testnet in {}{} did not end within {} s",
                place.dir().display(),
                place.holder(),
                STOP_PATIENCE.as_secs()
            );
            return Err(Failure::new(Exit::Unavailable, "testnet-runs", message));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    if args.rm {
        match &state {
            Some(state) => place.remove(state)?,
            None => drop(place.load()?),
        }
    }
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&serde_json::json!({ "stopped": was_running, "removed": args.rm }));
    }
    out.line(match (was_running, args.rm) {
        (true, false) => "stopped",
        (true, true) => "stopped and removed",
        (false, true) => "removed",
        (false, false) => "not running",
    })
}

pub(super) async fn status(context: &mut Context, directory: Directory) -> Result<(), Failure> {
    let place = directory.place(context)?;
    let state = running(&place)?;
    let now = Snapshot::take(&place, &state).await;
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&serde_json::json!({ "thread": state.thread, "equal": now.equal, "nodes": now.nodes }));
    }
    show::nodes(out, &state)?;
    show::table(out, &now, None)
}

/// The nodes of a testnet that runs.
fn running(place: &Place) -> Result<State, Failure> {
    let state = place.load()?;
    if !place.is_held()? {
        let message = format!("the testnet in {} does not run; `spool testnet up` starts it", place.dir().display());
        return Err(Failure::new(Exit::Unreachable, "unreachable-daemon", message));
    }
    Ok(state)
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LogsArgs {
    /// The node, such as `writer1`
    name: String,
    /// Go on until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    directory: Directory,
}

impl LogsArgs {
    pub(super) fn follows(&self) -> bool {
        self.follow
    }
}

pub(super) async fn logs(context: &mut Context, args: LogsArgs) -> Result<(), Failure> {
    let place = args.directory.place(context)?;
    let path = place.log(&find(&place.load()?, &args.name)?.name);
    let failed = |error: io::Error| anyhow::Error::new(error).context(format!("cannot read {}", path.display()));
    let mut log = File::open(&path).map_err(failed)?;
    let mut piece = Vec::new();
    loop {
        piece.clear();
        let read = (&mut log).take(PIECE_BYTES).read_to_end(&mut piece).map_err(failed)?;
        context.out.bytes(&piece)?;
        if read > 0 {
            continue;
        }
        context.out.flush()?;
        if !args.follow {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ExecArgs {
    /// The node, such as `writer1`
    name: String,
    #[command(flatten)]
    directory: Directory,
    /// What to run: the arguments of `spool`
    #[arg(last = true, required = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

/// Becomes that command.
pub(super) fn exec(context: &mut Context, args: ExecArgs) -> Result<(), Failure> {
    let place = args.directory.place(context)?;
    let name = find(&place.load()?, &args.name)?.name.clone();
    let mut command = Command::new(this_program()?);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
        command.env_remove(name);
    }
    command.arg("--repo").arg(place.repo(&name));
    command.args(context.out.is_json().then_some("--json")).args(args.arguments);
    context.out.flush()?;
    become_program(command)
}

#[cfg(unix)]
fn become_program(mut command: Command) -> Result<(), Failure> {
    use std::os::unix::process::CommandExt as _;
    // It only returns when it failed.
    Err(anyhow::Error::new(command.exec()).context("cannot run this program").into())
}

#[cfg(not(unix))]
fn become_program(mut command: Command) -> Result<(), Failure> {
    let ended = command.status().map_err(|error| anyhow::Error::new(error).context("cannot run this program"))?;
    std::process::exit(ended.code().unwrap_or(Exit::Failed as i32))
}

fn find<'a>(state: &'a State, name: &str) -> Result<&'a Member, Failure> {
    state.nodes.iter().find(|node| node.name == name).ok_or_else(|| {
        let names: Vec<&str> = state.nodes.iter().map(|node| node.name.as_str()).collect();
        let message = format!("there is no node {name:?} in this testnet; there are {}", names.join(", "));
        Failure::new(Exit::NotFound, "no-node", message)
    })
}
