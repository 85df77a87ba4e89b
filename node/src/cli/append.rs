//! `spool append`

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::ArgGroup;
use indicatif::ProgressBar;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use super::context::{Client, Context};
use super::exit::Failure;
use super::input::{Input, cannot_read};
use super::lines::Lines;
use super::{format, output, resolve, view};
use crate::api::pb;

/// Bytes of one event. What is larger is a file: `spool add`.
const MAX_EVENT_BYTES: usize = spool_proto::limits::MAX_SINGLE_BODY_BYTES;
/// Events in one message to the daemon.
const BATCH_EVENTS: usize = 256;
/// Bytes in one message to the daemon, but for the last event in it.
const BATCH_BYTES: usize = 256 * 1024;
/// Messages that wait for the daemon: reading stops when it is behind.
const BATCHES_WAITING: usize = 4;
/// How often the progress bar moves.
const REDRAW: Duration = Duration::from_millis(100);

/// Append events to a thread
///
/// One event from the argument or from a file, or many as newline-delimited JSON from standard input: one event a line, many in flight, in
/// order. Answers after fsync unless told otherwise. An event has at most 256 KiB; `spool add` takes what is larger.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  spool append notes 'buy milk'
  spool append notes --file minutes.md
  spool append notes 'sell milk' --wait-for 2 --timeout 10
  spool append quakes < earthquakes.ndjson",
    group = ArgGroup::new("source").args(["event", "file", "stdin"])
)]
pub(super) struct Args {
    /// Thread id, name, or the beginning of the id
    thread: String,
    /// The event
    event: Option<String>,
    /// Read one event from a file
    #[arg(long, short, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Read newline-delimited JSON from standard input; so it is anyway without EVENT and --file, unless that is a terminal
    #[arg(long)]
    stdin: bool,
    #[command(flatten)]
    options: Options,
    /// Wait until so many followers have it on their disks: exit code 7 if not in time, and the event is in the log all the same
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=64))]
    wait_for: Option<u32>,
    /// How long to wait for followers, in seconds
    #[arg(long, value_name = "SECONDS", requires = "wait_for", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    timeout: u64,
}

/// Followers to wait for, and how long.
#[derive(Debug, Clone, Copy)]
struct Wait {
    followers: u32,
    millis: u64,
}

impl Wait {
    async fn run(self, client: &mut Client, thread: String, log: String, counter: u64) -> Result<(), Failure> {
        let Self { followers, millis } = self;
        let request = pb::WaitForFollowersRequest { thread, log, counter, followers, timeout_ms: Some(millis) };
        client.wait_for_followers(request).await?;
        Ok(())
    }
}

/// How to append.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    /// Answer before fsync: faster, and a power cut can take the last events
    #[arg(long, overrides_with = "sync")]
    relaxed: bool,
    /// Answer after fsync, whatever the configuration says
    #[arg(long)]
    sync: bool,
    /// Do not seal the body: followers can read it, too
    #[arg(long, conflicts_with = "to")]
    public: bool,
    /// Seal the body to this identity (see `spool id`): no other reader can open it
    #[arg(long, value_name = "IDENTITY")]
    to: Option<String>,
}

impl Options {
    pub(super) fn request(self) -> pb::AppendOptions {
        let durability = match (self.relaxed, self.sync) {
            (true, _) => pb::Durability::Relaxed,
            (false, true) => pb::Durability::Sync,
            (false, false) => pb::Durability::Unspecified,
        };
        let public = self.public.then_some(pb::append_options::Audience::Public(true));
        let audience = self.to.map(pb::append_options::Audience::Recipient).or(public);
        pb::AppendOptions { durability: durability.into(), audience }
    }
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let body = match (args.event, &args.file) {
        (Some(event), _) => Some(Bytes::from(event)),
        (None, Some(path)) => Some(read_event(path)?),
        (None, None) if !args.stdin && std::io::stdin().is_terminal() => {
            return Err(Failure::usage(
                "there is nothing to append: give an event, --file, or lines on standard input",
            ));
        }
        (None, None) => None,
    };
    let wait = args.wait_for.map(|followers| Wait { followers, millis: args.timeout * 1_000 });
    let mut client = context.client().await?;
    let thread = resolve::thread(&mut client, &args.thread).await?;
    match body {
        Some(body) => {
            let request = pb::AppendRequest { thread, body, options: Some(args.options.request()) };
            one(context, client, request, wait).await
        }
        None => many(context, client, thread, args.options.request(), wait).await,
    }
}

/// Whether a line is JSON, and UTF-8 in its strings too, which the parser passes over where it keeps nothing.
fn check_json(line: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).map(drop).map_err(|error| error.to_string())
}

fn read_event(path: &Path) -> Result<Bytes, Failure> {
    let cannot = |error: std::io::Error| cannot_read(path, &error);
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_EVENT_BYTES as u64 + 1), &mut bytes)
        .map_err(cannot)?;
    if bytes.len() > MAX_EVENT_BYTES {
        return Err(Failure::usage(format!("{} has more than 256 KiB; use `spool add`", path.display())));
    }
    Ok(bytes.into())
}

async fn one(
    context: &mut Context,
    mut client: Client,
    request: pb::AppendRequest,
    wait: Option<Wait>,
) -> Result<(), Failure> {
    let receipt = client.append(request).await?.into_inner();
    let (thread, log, counter) = (receipt.thread.clone(), receipt.log.clone(), receipt.counter);
    // The receipt first: it holds whatever comes of the waiting.
    print(&mut context.out, receipt)?;
    context.out.flush()?;
    match wait {
        Some(wait) => wait.run(&mut client, thread, log, counter).await,
        None => Ok(()),
    }
}

/// The receipt of one event.
pub(super) fn print(out: &mut output::Output, receipt: pb::Receipt) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(&view::Receipt::from(receipt));
    }
    let mut fields = vec![("record", receipt.cid), ("log", receipt.log), ("number", receipt.counter.to_string())];
    fields.extend(receipt.body.map(|cid| ("body", cid)));
    fields.push(("size", format::bytes(receipt.size)));
    out.fields(&fields)
}

async fn many(
    context: &mut Context,
    mut client: Client,
    thread: String,
    options: pb::AppendOptions,
    wait: Option<Wait>,
) -> Result<(), Failure> {
    let started = Instant::now();
    let input = Input::stdin();
    let bar = output::progress(input.size);
    let (batches, waiting) = mpsc::channel(BATCHES_WAITING);
    let read = Arc::new(AtomicU64::new(0));
    let feed = tokio::spawn(feed(input, batches, thread.clone(), options, read.clone()));
    let mut summary = Summary::default();
    let answered = receive(context, &mut client, waiting, &bar, &read, &mut summary).await;
    bar.finish_and_clear();
    let fed = settle(feed, answered.is_err()).await;
    context.out.flush()?;
    let appended = match summary.count {
        0 => "nothing was appended".into(),
        count => {
            format!("{} before it {} appended", format::plural(count, "event"), if count == 1 { "was" } else { "were" })
        }
    };
    // The daemon's failure is the cause where both failed: it stopped the reading.
    if let Err(failure) = answered.and(fed) {
        let error = anyhow::Error::msg(format!("{:#}; {appended}", failure.error));
        return Err(Failure { error, ..failure });
    }
    summary.print(context, &thread, started.elapsed())?;
    context.out.flush()?;
    match wait.filter(|_| summary.count > 0) {
        Some(wait) => wait.run(&mut client, thread, summary.log, summary.last).await,
        None => Ok(()),
    }
}

async fn receive(
    context: &mut Context,
    client: &mut Client,
    waiting: mpsc::Receiver<pb::AppendStreamRequest>,
    bar: &ProgressBar,
    read: &AtomicU64,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let mut drawn = Instant::now();
    let mut answers = client.append_stream(ReceiverStream::new(waiting)).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        for receipt in answer.receipts {
            summary.add(&receipt);
            if context.out.is_json() {
                context.out.json(&view::Receipt::from(receipt))?;
            }
        }
        context.out.flush()?;
        if drawn.elapsed() >= REDRAW {
            drawn = Instant::now();
            bar.set_position(read.load(Ordering::Relaxed));
            bar.set_message(format!("{} appended", format::plural(summary.count, "event")));
        }
    }
    Ok(())
}

/// The end of the reading: waited for where it comes by itself, cut short where nobody takes its events any more.
pub(super) async fn settle(feed: JoinHandle<Result<(), Failure>>, abandoned: bool) -> Result<(), Failure> {
    if abandoned {
        feed.abort();
        return Ok(());
    }
    feed.await.map_err(|error| Failure::from(anyhow::Error::new(error).context("reading events")))?
}

/// Reads lines and hands them on in messages: full ones while the input is ahead, at once where it waits.
async fn feed(
    input: Input,
    batches: mpsc::Sender<pb::AppendStreamRequest>,
    thread: String,
    options: pb::AppendOptions,
    read: Arc<AtomicU64>,
) -> Result<(), Failure> {
    let mut lines = Lines::new(input.reader, MAX_EVENT_BYTES);
    let mut batch = pb::AppendStreamRequest { thread: Some(thread), options: Some(options), bodies: Vec::new() };
    let mut bytes = 0;
    loop {
        let line = match lines.next().await {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(error) => {
                // What was read before the bad line is good.
                let _ = batches.send(batch).await;
                return Err(Failure::usage(error));
            }
        };
        read.store(lines.read(), Ordering::Relaxed);
        if let Some(line) = line {
            if let Err(error) = check_json(&line) {
                let _ = batches.send(batch).await;
                return Err(Failure::usage(format!("line {} is not JSON: {error}", lines.number())));
            }
            bytes += line.len();
            batch.bodies.push(line);
        }
        if batch.bodies.len() >= BATCH_EVENTS || bytes >= BATCH_BYTES || !lines.has_more() {
            bytes = 0;
            if batches.send(std::mem::take(&mut batch)).await.is_err() {
                return Ok(());
            }
        }
    }
    // Also where it is empty: the first message tells the daemon the thread, and a wrong one is an error without events, too.
    let _ = batches.send(batch).await;
    Ok(())
}

#[derive(Default)]
struct Summary {
    count: u64,
    bytes: u64,
    log: String,
    first: u64,
    last: u64,
}

impl Summary {
    fn add(&mut self, receipt: &pb::Receipt) {
        if self.count == 0 || self.log != receipt.log {
            self.log.clone_from(&receipt.log);
            self.first = receipt.counter;
        }
        self.count += 1;
        self.bytes += receipt.size;
        self.last = receipt.counter;
    }

    fn print(&self, context: &mut Context, thread: &str, elapsed: Duration) -> Result<(), Failure> {
        if context.out.is_json() {
            return Ok(());
        }
        if self.count == 0 {
            return context.out.line("nothing to append");
        }
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let rate = (self.count as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
        context.out.fields(&[
            ("appended", format!("{}, {}", format::plural(self.count, "event"), format::bytes(self.bytes))),
            ("thread", thread.to_owned()),
            ("log", format!("{} #{}-{}", self.log, self.first, self.last)),
            ("took", format!("{} ({}/s)", format::duration(millis), format::number(rate))),
        ])
    }
}
