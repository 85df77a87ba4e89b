//! `spool get`, `spool add` and `spool cat`: things by CID, and bodies of any size.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use indicatif::ProgressBar;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::append::Options;
use super::context::Context;
use super::exit::Failure;
use super::input::{self, Input, cannot_read};
use super::{append, format, log, output, resolve, view};
use crate::api::{MAX_BODY_BYTES, pb};
use crate::repo::Partial;

/// Pieces that wait for the daemon: reading stops when it is behind.
const PIECES_WAITING: usize = 4;

/// Show what a CID names: a record, or a block of a body
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool get bafkreif2...
  spool get bafkreif2... --raw > record.bin      the sealed bytes, as stored and sent")]
pub(super) struct GetArgs {
    /// CID of a record or of a block
    cid: String,
    /// Write the sealed bytes to standard output
    #[arg(long)]
    raw: bool,
}

pub(super) async fn get(context: &mut Context, args: GetArgs) -> Result<(), Failure> {
    let mut client = context.client().await?;
    let request = pb::GetObjectRequest { cid: args.cid.clone(), max_body: MAX_BODY_BYTES, raw: args.raw };
    let object = client.get_object(request).await?.into_inner();
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&json(&args.cid, object));
    }
    if args.raw {
        let raw = object.raw.unwrap_or_default();
        refuse_terminal(&raw, "`> FILE`")?;
        return out.bytes(&raw);
    }
    match object.kind {
        Some(pb::object::Kind::Record(record)) => {
            let entry = record.entry.unwrap_or_default();
            out.fields(&record_fields(&record.thread, &entry))?;
            out.line(format!("\n{}", log::line(&entry, None)))
        }
        Some(pb::object::Kind::Block(block)) => {
            out.fields(&block_fields(&args.cid, &block))?;
            out.flush()?;
            if block.body.is_some() {
                out.hint(format!("`spool cat {}` prints the body", args.cid));
            }
            Ok(())
        }
        None => Err(Failure::usage("the daemon knows a kind of object that this version of spool does not")),
    }
}

fn record_fields(thread: &str, entry: &pb::Entry) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("record", entry.cid.clone()),
        ("thread", thread.to_owned()),
        ("log", entry.log.clone()),
        ("number", entry.counter.to_string()),
        ("previous", entry.prev.clone().unwrap_or_else(|| "none".into())),
        ("key", entry.key_id.clone()),
        ("size", format!("{} sealed", format::bytes(entry.size))),
    ];
    fields.extend(entry.links.iter().map(|link| ("block", link.clone())));
    if let Some(event) = &entry.event {
        fields.extend(event.author.as_ref().map(|author| ("author", author.identity.clone())));
        fields.push(("kind", view::kind(event.kind).into()));
    }
    fields
}

fn block_fields(cid: &str, block: &pb::object::Block) -> Vec<(&'static str, String)> {
    let mut fields = vec![("block", cid.to_owned()), ("thread", block.thread.clone())];
    fields.extend(block.record.as_ref().map(|record| ("record", record.clone())));
    fields.extend(block.log.as_ref().zip(block.counter).map(|(log, counter)| ("log", format!("{log} #{counter}"))));
    fields.push(("size", format!("{} sealed", format::bytes(block.size))));
    fields.extend(block.body.map(|size| ("body", format!("{}, can be opened here", format::bytes(size)))));
    fields
}

fn json(cid: &str, object: pb::Object) -> serde_json::Value {
    let raw = object.raw.map(|raw| data_encoding::BASE64.encode(&raw));
    match object.kind {
        Some(pb::object::Kind::Record(record)) => {
            let entry = view::Entry::from(record.entry.unwrap_or_default());
            serde_json::json!({ "kind": "record", "cid": cid, "thread": record.thread, "entry": entry, "raw": raw })
        }
        Some(pb::object::Kind::Block(block)) => serde_json::json!({
            "kind": "block", "cid": cid, "thread": block.thread, "log": block.log, "counter": block.counter,
            "record": block.record, "size": block.size, "body": block.body, "raw": raw,
        }),
        None => serde_json::json!({ "kind": "unknown", "cid": cid, "raw": raw }),
    }
}

/// Append a file of any size as one event
///
/// Large files are cut into chunks that the thread stores once, however often they come. Print it again with `spool cat` and the CID of the
/// record or of the body.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool add notes scan.pdf
  tar c photos | spool add notes -")]
pub(super) struct AddArgs {
    /// Thread id, name, or the beginning of the id
    thread: String,
    /// The file, or `-` for standard input
    file: PathBuf,
    #[command(flatten)]
    options: Options,
}

pub(super) async fn add(context: &mut Context, args: AddArgs) -> Result<(), Failure> {
    let path = args.file.as_path();
    if path.is_dir() {
        return Err(Failure::usage(format!(
            "{} is a directory; `tar c` it and pipe that into `spool add THREAD -`",
            path.display()
        )));
    }
    let Input { reader, size } = Input::open(path).await?;
    let mut client = context.client().await?;
    let thread = resolve::thread(&mut client, &args.thread).await?;
    let start = pb::add_file_request::Start { thread, options: Some(args.options.request()), size };
    let bar = output::progress(size);
    let (pieces, waiting) = mpsc::channel(PIECES_WAITING);
    let upload = async {
        let answer = client.add_file(ReceiverStream::new(waiting)).await;
        answer.map(tonic::Response::into_inner).map_err(Failure::from)
    };
    tokio::pin!(upload);
    let feed = feed(reader, start, pieces, &bar);
    let receipt = tokio::select! {
        // The daemon refuses early, e.g. for a thread that it does not have.
        receipt = &mut upload => receipt?,
        // A failure here drops the call, and what breaks off appends nothing.
        fed = feed => { fed.map_err(|error| cannot_read(path, &error))?; upload.await? }
    };
    bar.finish_and_clear();
    append::print(&mut context.out, receipt)
}

async fn feed(
    mut input: Box<dyn AsyncRead + Send + Unpin>,
    start: pb::add_file_request::Start,
    pieces: mpsc::Sender<pb::AddFileRequest>,
    bar: &ProgressBar,
) -> std::io::Result<()> {
    use pb::add_file_request::Part;
    // A closed queue is the daemon's answer, which the other side reads.
    let _ = pieces.send(pb::AddFileRequest { part: Some(Part::Start(start)) }).await;
    loop {
        let piece = input::piece(&mut input).await?;
        if piece.is_empty() {
            return Ok(());
        }
        let size = piece.len() as u64;
        if pieces.send(pb::AddFileRequest { part: Some(Part::Data(piece)) }).await.is_err() {
            // Wait for the answer rather than for more input.
            return std::future::pending().await;
        }
        bar.inc(size);
    }
}

/// Print the opened body of a record
///
/// Every piece is checked against its hash before it is written. A file given with -o appears whole or not at all.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool cat bafkreif2... -o scan.pdf
  spool cat bafkreif2... | tar x")]
pub(super) struct CatArgs {
    /// CID of a record, or of its body
    cid: String,
    /// Write to a file
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) async fn cat(context: &mut Context, args: CatArgs) -> Result<(), Failure> {
    let mut client = context.client().await?;
    let mut pieces = client.cat(pb::CatRequest { cid: args.cid.clone() }).await?.into_inner();
    let size = pieces.message().await?.and_then(|first| first.size).unwrap_or(0);
    let out = &mut context.out;
    match args.output {
        Some(path) => {
            save(&mut pieces, size, &path).await?;
            if out.is_json() {
                return out.json(&serde_json::json!({ "cid": args.cid, "size": size, "file": path }));
            }
            out.hint(format!("{} in {}", format::bytes(size), path.display()));
            Ok(())
        }
        None if out.is_json() => {
            if size > MAX_BODY_BYTES {
                return Err(Failure::usage(format!(
                    "{} are too much for one JSON document; write them to a file with -o",
                    format::bytes(size)
                )));
            }
            let mut body = Vec::new();
            while let Some(piece) = pieces.message().await? {
                body.extend_from_slice(&piece.data);
            }
            let view::Content { text, base64 } = view::Content::of(&body);
            out.json(&serde_json::json!({ "cid": args.cid, "size": size, "text": text, "base64": base64 }))
        }
        None => {
            let mut first = true;
            while let Some(piece) = pieces.message().await? {
                if std::mem::take(&mut first) {
                    refuse_terminal(&piece.data, "-o FILE")?;
                }
                out.bytes(&piece.data)?;
            }
            out.flush()
        }
    }
}

async fn save(pieces: &mut Streaming<pb::CatResponse>, size: u64, path: &Path) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| anyhow::Error::new(error).context(format!("cannot write {}", path.display()));
    let mut file = Partial::create(path, false).map_err(cannot)?;
    let bar = output::progress(Some(size));
    while let Some(piece) = pieces.message().await? {
        let data: Bytes = piece.data;
        // Writing pieces of a megabyte blocks this thread, which has nothing else to do.
        file.write_all(&data).map_err(cannot)?;
        bar.inc(data.len() as u64);
    }
    bar.finish_and_clear();
    Ok(file.finish().map_err(cannot)?)
}

/// Binary data can leave a terminal unusable.
fn refuse_terminal(data: &[u8], instead: &str) -> Result<(), Failure> {
    if std::io::stdout().is_terminal() && data.contains(&0) {
        return Err(Failure::usage(format!("this is binary data and standard output is a terminal; use {instead}")));
    }
    Ok(())
}
