//! `spool testnet up`

use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::member::{Member, Role, Running, scope};
use super::place::{Place, State};
use super::{Directory, look::Snapshot, show};
use crate::api::pb;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::format;
use crate::cli::signals::Signals;

/// Nodes of one testnet: each has some 30 MiB and a dozen threads.
const MAX_NODES: i64 = 64;
/// What the thread is called on every node.
const THREAD: &str = "testnet";
/// Nodes started before that each one dials. The others it finds through them.
const DIALS: usize = 8;
/// Until the nodes of a testnet that was killed are gone.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at whether somebody asks for an end.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Nodes in all
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=MAX_NODES))]
    nodes: u16,
    /// How many of them are followers
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    followers: u16,
    /// Seconds between two looks at the nodes
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    #[command(flatten)]
    directory: Directory,
    /// Flags for each `spool daemon`
    #[arg(last = true, value_name = "FLAG")]
    flags: Vec<String>,
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    if args.followers >= args.nodes {
        return Err(Failure::usage(format!(
            "at least one of {} has to be a writer, not {} followers",
            format::plural(args.nodes.into(), "node"),
            args.followers
        )));
    }
    let mut signals = Signals::new()?;
    let place = args.directory.place(context)?;
    let _held = place.hold()?;
    let mut running = Vec::new();
    let ended = tokio::select! {
        ended = keep(context, &args, &place, &mut running) => ended,
        () = signals.next() => Ok(()),
    };
    running.iter_mut().for_each(Running::stop);
    context.out.hint("stopping");
    for node in running {
        let name = node.member.name.clone();
        let gone = tokio::select! {
            gone = node.gone() => gone,
            // What is left is killed with the processes' handles.
            () = signals.next() => return Err(Failure::new(Exit::Failed, "interrupted", "ended by a second signal before all nodes had")),
        };
        if !gone {
            context.out.warn(format!("{name} did not end by itself and was killed"));
        }
    }
    ended
}

/// Starts the nodes and shows them until somebody asks for an end.
async fn keep(context: &mut Context, args: &Args, place: &Place, running: &mut Vec<Running>) -> Result<(), Failure> {
    let state = start(args, place, running).await?;
    place.save(&state)?;
    show::nodes(&mut context.out, &state)?;
    context.out.flush()?;
    context.out.hint("Ctrl-C or `spool testnet down` stops them");
    let (begun, mut view) = (Instant::now(), show::View::new());
    let mut tick = tokio::time::interval(Duration::from_secs(args.interval));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = asked_to_stop(place) => return Ok(()),
            _ = tick.tick() => {}
        }
        let mut snapshot = Snapshot::take(place, &state).await;
        for (node, seen) in running.iter_mut().zip(&mut snapshot.nodes) {
            if let Some(how) = node.ended() {
                seen.error = Some(format!("ended: {how}"));
            }
        }
        view.show(&mut context.out, snapshot, begun.elapsed())?;
    }
}

async fn asked_to_stop(place: &Place) {
    while !place.is_asked_to_stop() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Starts all nodes, and joins them to one thread and to each other.
async fn start(args: &Args, place: &Place, running: &mut Vec<Running>) -> Result<State, Failure> {
    let name = |role: Role, number: u16| (format!("{}{number}", role.name()), role);
    let writers = (1..=args.nodes - args.followers).map(|number| name(Role::Writer, number));
    let followers = (1..=args.followers).map(|number| name(Role::Follower, number));
    let wanted: Vec<_> = writers.chain(followers).collect();
    for (name, _) in &wanted {
        wait_until_free(place, name).await?;
    }
    for (name, role) in wanted {
        running.push(Member::spawn(name, role, place, &args.flags)?);
    }
    for node in running.iter_mut() {
        node.ready(place).await?;
    }
    let nodes: Vec<Member> = running.iter().map(|node| node.member.clone()).collect();
    let thread = join(place, &nodes).await?;
    Ok(State { thread, nodes })
}

/// Nodes whose `up` was killed end by themselves, and may still be at it.
async fn wait_until_free(place: &Place, name: &str) -> Result<(), Failure> {
    let begun = Instant::now();
    while place.is_in_use(name) {
        if begun.elapsed() > LEFTOVER_PATIENCE {
            let message = format!("{} is in use by another daemon; stop it first", place.repo(name).display());
            return Err(Failure::new(Exit::Refused, "repository-in-use", message));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// The id of the thread, which all have when this returns.
async fn join(place: &Place, nodes: &[Member]) -> Result<String, Failure> {
    let (first, others) = nodes.split_first().expect("there is at least one node");
    let mut client = first.client(place).await?;
    let threads = client.list_threads(pb::ListThreadsRequest {}).await?.into_inner().threads;
    let thread = match threads.into_iter().find(|thread| thread.name.as_deref() == Some(THREAD)) {
        Some(thread) => thread.id,
        None => {
            let variant = pb::Variant::Raw.into();
            let request = pb::CreateThreadRequest { name: Some(THREAD.into()), variant };
            client.create_thread(request).await?.into_inner().id
        }
    };
    for (i, node) in others.iter().enumerate() {
        let mut newcomer = node.client(place).await?;
        let has = newcomer.list_threads(pb::ListThreadsRequest {}).await?.into_inner().threads;
        if !has.iter().any(|has| has.id == thread) {
            let share = pb::ShareThreadRequest { thread: thread.clone(), scope: scope(node.role).into(), to: None };
            let ticket = client.share_thread(share).await?.into_inner().ticket;
            newcomer.join_thread(pb::JoinThreadRequest { ticket, name: Some(THREAD.into()) }).await?;
        }
        // The nearest before it: so all are connected, and no node has all the others on its hands.
        for earlier in nodes[..=i].iter().rev().take(DIALS) {
            let Some(address) = earlier.addresses.first().cloned() else { continue };
            newcomer.connect_peer(pb::ConnectPeerRequest { address }).await?;
        }
    }
    Ok(thread)
}
