//! `spool id`

use serde::Serialize;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::settings::Settings;
use super::{context, format};
use crate::api::pb;
use crate::repo::{Error, Repo};

/// Show who this node is: peer id, identity, device
///
/// Asks the daemon, or reads the repository where none runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool id
  spool id --new-device      after the repository was put back from a backup
  spool id --phrase          to write it down; asks for the passphrase, where there is one")]
pub(super) struct Args {
    /// Take a new device id, so that this node opens new logs and never extends one that may have gone on elsewhere
    #[arg(long)]
    new_device: bool,
    /// Show the recovery phrase, and nothing else: whoever has it is you
    #[arg(long, conflicts_with = "new_device")]
    phrase: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Id {
    pub(super) peer_id: String,
    pub(super) identity: String,
    pub(super) device: String,
    pub(super) name: Option<String>,
    pub(super) version: String,
    /// `null` where no daemon runs.
    pub(super) uptime_ms: Option<u64>,
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    if args.phrase {
        return phrase(context);
    }
    let id = match context.client().await {
        Ok(mut client) => {
            let node = match args.new_device {
                true => client.new_device(pb::NewDeviceRequest {}).await?,
                false => client.get_node(pb::GetNodeRequest {}).await?,
            };
            online(node.into_inner())
        }
        Err(failure) if failure.exit == Exit::Unreachable && !context.names_daemon() => {
            from_repo(context, args.new_device)?
        }
        Err(failure) => return Err(failure),
    };
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&id);
    }
    let running =
        id.uptime_ms.map_or_else(|| "not running".into(), |uptime| format!("running for {}", format::duration(uptime)));
    let mut fields = vec![("peer id", id.peer_id), ("identity", id.identity), ("device", id.device)];
    fields.extend(id.name.map(|name| ("name", name)));
    fields.extend([("version", id.version), ("daemon", running)]);
    out.fields(&fields)?;
    out.flush()?;
    if args.new_device {
        out.hint("from now on, appends of this node open new logs; its old logs stay readable");
    }
    Ok(())
}

/// From the repository, never from a daemon.
fn phrase(context: &mut Context) -> Result<(), Failure> {
    let repo = context.unlocked(Repo::open(context.dir()?)?)?;
    let phrase = repo.identity()?.phrase();
    match context.out.is_json() {
        true => context.out.json(&serde_json::json!({ "phrase": phrase.as_str() })),
        false => context.out.line(phrase.as_str()),
    }
}

fn online(node: pb::Node) -> Id {
    let pb::Node { peer_id, identity, device, version, name, uptime_ms } = node;
    Id { peer_id, identity, device, name, version, uptime_ms: Some(uptime_ms) }
}

fn from_repo(context: &Context, new_device: bool) -> Result<Id, Failure> {
    let repo = match Repo::open(context.dir()?) {
        // Without a repository "no daemon answers" is half of the story.
        Err(error) if context::is_missing(&error) => return Err(error.into()),
        opened => opened?,
    };
    let repo = context.unlocked(repo)?;
    if new_device {
        repo.clone().lock()?.renew_device()?;
    }
    Ok(Id { name: context.settings(&Settings::default())?.config.name, ..offline(&repo)? })
}

/// What the files of the repository say.
pub(super) fn offline(repo: &Repo) -> Result<Id, Error> {
    Ok(Id {
        peer_id: repo.node_key()?.public().to_peer_id().to_string(),
        identity: repo.identity()?.public().to_string(),
        device: repo.device()?.to_string(),
        name: None,
        version: env!("CARGO_PKG_VERSION").into(),
        uptime_ms: None,
    })
}
