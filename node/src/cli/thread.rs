//! `spool thread`: create, list, show, share, join, remove.

use std::io::{self, Read};
use std::path::PathBuf;

use clap::{ArgGroup, Subcommand};

use super::context::{Client, Context};
use super::exit::Failure;
use super::{archive, confirm, format, resolve, status, view};
use crate::api::pb;

/// What the CLI says wherever somebody is given the read key.
const RAW: &str = "this is a raw thread: whoever can read it may write to it";

/// Bytes of a ticket as text, with room for the keys of many epochs.
const MAX_TICKET_BYTES: u64 = 256 * 1024;

/// Create, list, show, share, join and remove threads
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Example:
  spool thread create notes && spool thread share notes --read")]
pub(super) enum Args {
    /// Create a thread with fresh keys
    ///
    /// It is a raw thread: whoever can read it may write to it. Prints its id.
    #[command(after_help = "Example:\n  spool thread create notes")]
    Create {
        /// What the thread is called here and in tickets
        name: Option<String>,
        /// The variant in which roles say who may write: refused until access control is enforced
        #[arg(long)]
        access_controlled: bool,
    },
    /// List the threads of this node
    #[command(after_help = "Example:\n  spool thread ls --json", visible_alias = "list")]
    Ls,
    /// Show a thread: its logs with heads and authors, forks, peers, addresses
    #[command(after_help = "Example:\n  spool thread show notes")]
    Show {
        /// Thread id, name, or the beginning of the id
        thread: String,
    },
    /// Say whether a thread is synced: each log here and at every known peer, and how many followers have it on their disks
    #[command(after_help = "Example:\n  spool thread status notes")]
    Status {
        /// Thread id, name, or the beginning of the id
        thread: String,
    },
    /// Print a ticket, with which others join the thread
    ///
    /// A ticket is a secret: it carries keys. With --follow the receiver replicates and checks the thread and cannot read it; with --read it
    /// reads, and, as this is a raw thread, may write. What was handed over cannot be taken back.
    #[command(
        after_help = "\
Examples:
  spool thread share notes --read
  spool thread share notes --follow > ticket && scp ticket server:",
        group = ArgGroup::new("scope").required(true).args(["follow", "read"])
    )]
    Share {
        /// Thread id, name, or the beginning of the id
        thread: String,
        /// Let the receiver replicate and check, not read
        #[arg(long)]
        follow: bool,
        /// Let the receiver read, and write
        #[arg(long)]
        read: bool,
        /// Seal the ticket to this identity (see `spool id`): only its owner can use it
        #[arg(long, value_name = "IDENTITY")]
        to: Option<String>,
    },
    /// Write a thread to a file: a CAR of version 1
    ///
    /// All records of all logs, and the blocks of bodies that are here, as they are: encrypted and signed. Two nodes that have the same write the same bytes. No key
    /// is in the file: to take it elsewhere, join the thread there first, with a ticket of `spool thread share`.
    #[command(after_help = "\
Examples:
  spool thread export notes notes.car
  spool thread export notes - | zstd > notes.car.zst")]
    Export {
        /// Thread id, name, or the beginning of the id
        thread: String,
        /// Where to, or - for standard output
        file: PathBuf,
    },
    /// Take a file of `spool thread export`
    ///
    /// The thread has to be here, joined with a ticket. The whole file is checked first, every hash and every signature; one that is not good to its end is refused,
    /// and nothing of it taken. Then it is as if a peer came that has what the file has. Exit code 5 if a log is forked.
    #[command(after_help = "\
Examples:
  spool thread import notes notes.car
  zstd -d < notes.car.zst | spool thread import notes -")]
    Import {
        /// Thread id, name, or the beginning of the id
        thread: String,
        /// The file, or - for standard input
        file: PathBuf,
    },
    /// Join the thread of a ticket
    ///
    /// A ticket with more than this node has (read after follow, newer keys) upgrades a thread that is here.
    #[command(after_help = "\
Examples:
  spool thread join spool1af4c...
  spool thread join - < ticket")]
    Join {
        /// The ticket, or `-` to read it from standard input, where other users of this machine cannot see it
        ticket: String,
        /// What to call the thread here
        #[arg(long)]
        name: Option<String>,
    },
    /// Forget a thread: remove its keys, logs and bodies from this node
    ///
    /// Other peers keep theirs. Without its keys the thread can only be joined again with a ticket.
    #[command(after_help = "Example:\n  spool thread rm notes --yes")]
    Rm {
        /// Thread id, name, or the beginning of the id
        thread: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let mut client = context.client().await?;
    match args {
        Args::Create { name, access_controlled } => create(context, client, name, access_controlled).await,
        Args::Ls => list(context, client).await,
        Args::Show { thread } => {
            let thread = resolve::thread(&mut client, &thread).await?;
            show(context, client, thread).await
        }
        Args::Status { thread } => {
            let thread = resolve::thread(&mut client, &thread).await?;
            status::run(context, client, thread).await
        }
        Args::Share { thread, follow: _, read, to } => {
            let thread = resolve::thread(&mut client, &thread).await?;
            let scope = if read { pb::Scope::Read } else { pb::Scope::Follow };
            share(context, client, pb::ShareThreadRequest { thread, scope: scope.into(), to }).await
        }
        Args::Export { thread, file } => {
            let thread = resolve::thread(&mut client, &thread).await?;
            archive::export(context, client, thread, &file).await
        }
        Args::Import { thread, file } => {
            let thread = resolve::thread(&mut client, &thread).await?;
            archive::import(context, client, thread, &file).await
        }
        Args::Join { ticket, name } => join(context, client, ticket, name).await,
        Args::Rm { thread, yes } => {
            let thread = resolve::thread(&mut client, &thread).await?;
            remove(context, client, thread, yes).await
        }
    }
}

async fn create(
    context: &mut Context,
    mut client: Client,
    name: Option<String>,
    access_controlled: bool,
) -> Result<(), Failure> {
    let variant = if access_controlled { pb::Variant::AccessControlled } else { pb::Variant::Raw };
    let thread = client.create_thread(pb::CreateThreadRequest { name, variant: variant.into() }).await?.into_inner();
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&view::Thread::from(thread));
    }
    out.line(&thread.id)?;
    out.flush()?;
    out.hint(format!("{RAW}; `spool thread share {}` makes a ticket", label(&thread)));
    Ok(())
}

async fn list(context: &mut Context, mut client: Client) -> Result<(), Failure> {
    let threads = client.list_threads(pb::ListThreadsRequest {}).await?.into_inner().threads;
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&threads.into_iter().map(view::Thread::from).collect::<Vec<_>>());
    }
    if threads.is_empty() {
        out.hint("no threads yet; `spool thread create NAME` makes one, `spool thread join TICKET` joins one");
        return Ok(());
    }
    let row = |thread: &pb::Thread| {
        vec![
            thread.name.as_deref().map_or_else(|| "-".into(), format::shown),
            view::scope(thread.scope).into(),
            format::number(thread.logs),
            format::number(thread.records),
            format::number(thread.peers),
            remarks(thread),
            thread.id.clone(),
        ]
    };
    let rows: Vec<_> = threads.iter().map(row).collect();
    out.table(&["NAME", "SCOPE", "LOGS", "RECORDS", "PEERS", "REMARKS", "ID"], &rows)
}

/// What a user should know about a thread at a glance.
fn remarks(thread: &pb::Thread) -> String {
    let forks = (thread.forks > 0).then(|| format::plural(thread.forks, "forked log"));
    let missing = (thread.missing_blocks > 0).then(|| format::plural(thread.missing_blocks, "missing block"));
    let remarks: Vec<String> = forks.into_iter().chain(missing).collect();
    if remarks.is_empty() { "-".into() } else { remarks.join(", ") }
}

async fn show(context: &mut Context, mut client: Client, thread: String) -> Result<(), Failure> {
    let detail = client.get_thread(pb::GetThreadRequest { thread }).await?.into_inner();
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&view::ThreadDetail::from(detail));
    }
    let thread = detail.thread.unwrap_or_default();
    let scope = match pb::Scope::try_from(thread.scope) {
        Ok(pb::Scope::Read) => "read, and write: this is a raw thread",
        Ok(pb::Scope::Follow | pb::Scope::Unspecified) | Err(_) => "follow: this node replicates it and cannot read it",
    };
    let mut fields = vec![("thread", thread.id.clone())];
    fields.extend(thread.name.as_deref().map(|name| ("name", format::shown(name))));
    fields.extend([
        ("scope", scope.into()),
        ("added", format::time(thread.added_ms)),
        ("records", format!("{} in {}", format::number(thread.records), format::plural(thread.logs, "log"))),
        ("peers", if detail.peers.is_empty() { "none connected".into() } else { detail.peers.join("\n           ") }),
    ]);
    if thread.missing_blocks > 0 {
        fields.push(("missing", format!("{} of bodies", format::plural(thread.missing_blocks, "block"))));
    }
    fields.extend(detail.addresses.iter().map(|address| ("address", format::shown(address))));
    out.fields(&fields)?;
    for log in &detail.logs {
        out.line("")?;
        out.fields(&log_fields(log))?;
    }
    if detail.logs.iter().any(|log| log.fork.is_some()) {
        out.line(
            "\nA fork means that a writer signed two different records with one number: it was restored from a backup, copied, or is\n\
             malicious. All peers keep both records as evidence and ignore what follows in that log. If the log is yours, run\n\
             `spool id --new-device` and append what was lost again; `spool log THREAD --log LOG` lists it as inert.",
        )?;
    }
    Ok(())
}

fn log_fields(log: &pb::Log) -> Vec<(&'static str, String)> {
    let own = if log.own { " (this node)" } else { "" };
    let head = log.head.as_ref().map_or_else(|| "empty".into(), |head| format!("#{} {}", head.counter, head.cid));
    let mut fields = vec![("log", format!("{}{own}", log.id)), ("  head", head)];
    fields.extend(log.time.map(|time| ("  newest", format::time(time >> 16))));
    fields.extend(log.author.as_ref().map(|author| {
        let via = author.via.as_ref().map_or_else(String::new, |node| format!(" via node {node}"));
        ("  author", format!("{}{via}", author.identity))
    }));
    if log.retired {
        fields.push(("  retired", "the log has ended".into()));
    }
    if let Some(fork) = &log.fork {
        fields.push(("  FORKED", format!("at #{}, {} inert", fork.counter, format::plural(fork.inert, "record"))));
        fields.extend(fork.evidence.iter().map(|cid| ("  evidence", cid.clone())));
    }
    fields.extend(log.addresses.iter().map(|address| ("  address", format::shown(address))));
    fields
}

async fn share(context: &mut Context, mut client: Client, request: pb::ShareThreadRequest) -> Result<(), Failure> {
    let sealed = request.to.is_some();
    let shared = client.share_thread(request).await?.into_inner();
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&serde_json::json!({
            "ticket": shared.ticket, "scope": view::scope(shared.scope), "sealed": sealed, "addresses": shared.addresses,
        }));
    }
    out.line(&shared.ticket)?;
    out.flush()?;
    let who = if sealed { "the owner of that identity" } else { "whoever has this ticket" };
    match pb::Scope::try_from(shared.scope) {
        Ok(pb::Scope::Read) => out.hint(format!("{who} can read the thread for good; {RAW}")),
        Ok(pb::Scope::Follow | pb::Scope::Unspecified) | Err(_) => {
            out.hint(format!("{who} can replicate the thread and see who writes when and how much, not what"));
        }
    }
    if shared.addresses.is_empty() {
        out.warn(
            "the ticket has no address of a peer: its receiver finds the thread only on a shared local network or DHT",
        );
    }
    Ok(())
}

async fn join(context: &mut Context, mut client: Client, ticket: String, name: Option<String>) -> Result<(), Failure> {
    let ticket = if ticket == "-" { read_ticket()? } else { ticket };
    let thread = client.join_thread(pb::JoinThreadRequest { ticket, name }).await?.into_inner();
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&view::Thread::from(thread));
    }
    out.line(&thread.id)?;
    out.flush()?;
    let scope = match pb::Scope::try_from(thread.scope) {
        Ok(pb::Scope::Read) => RAW,
        Ok(pb::Scope::Follow | pb::Scope::Unspecified) | Err(_) => {
            "this node follows it: it replicates what it cannot read"
        }
    };
    out.hint(format!("{scope}; `spool sync {}` waits until everything is here", label(&thread)));
    Ok(())
}

fn read_ticket() -> Result<String, Failure> {
    let mut ticket = String::new();
    let read = io::stdin().lock().take(MAX_TICKET_BYTES).read_to_string(&mut ticket);
    read.map_err(|error| Failure::usage(format!("cannot read a ticket from standard input: {error}")))?;
    Ok(ticket)
}

async fn remove(context: &mut Context, mut client: Client, thread: String, yes: bool) -> Result<(), Failure> {
    if !yes {
        let question = format!("remove {thread} with its keys from this node?");
        confirm::ask(&question, "remove the thread", "nothing was removed")?;
    }
    client.remove_thread(pb::RemoveThreadRequest { thread: thread.clone() }).await?;
    if context.out.is_json() {
        return context.out.json(&serde_json::json!({ "removed": thread }));
    }
    context.out.line(format!("removed {thread}"))
}

/// How to name a thread in a command that the user may copy.
fn label(thread: &pb::Thread) -> &str {
    let plain = |name: &&str| {
        !name.is_empty()
            && name.chars().all(|char| char.is_alphanumeric() || "-_.".contains(char))
            && !name.starts_with('-')
    };
    thread.name.as_deref().filter(plain).unwrap_or(&thread.id)
}
