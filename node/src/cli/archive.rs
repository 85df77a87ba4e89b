//! `spool thread export` and `spool thread import`.

use std::io::Write as _;
use std::path::Path;

use indicatif::ProgressBar;
use serde_json::json;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::context::{Client, Context};
use super::exit::{Exit, Failure};
use super::input::{self, Input, cannot_read};
use super::{format, output};
use crate::api::pb;
use crate::api::pb::import_thread_request::Part;
use crate::api::pb::import_thread_response::{Done, Step};
use crate::repo::Partial;

/// Pieces of a file that wait for the daemon.
const PIECES_WAITING: usize = 4;

pub(super) async fn export(
    context: &mut Context,
    mut client: Client,
    thread: String,
    path: &Path,
) -> Result<(), Failure> {
    let mut pieces = client.export_thread(pb::ExportThreadRequest { thread: thread.clone() }).await?.into_inner();
    let out = &mut context.out;
    let bar = output::progress(None);
    let mut size = 0;
    if path == Path::new("-") {
        while let Some(piece) = pieces.message().await? {
            size += piece.data.len() as u64;
            bar.set_position(size);
            out.bytes(&piece.data)?;
        }
        bar.finish_and_clear();
        return out.flush();
    }
    let cannot = |error: std::io::Error| anyhow::Error::new(error).context(format!("cannot write {}", path.display()));
    let mut file = Partial::create(path, true).map_err(cannot)?;
    while let Some(piece) = pieces.message().await? {
        size += piece.data.len() as u64;
        bar.set_position(size);
        file.write_all(&piece.data).map_err(cannot)?;
    }
    file.finish().map_err(cannot)?;
    bar.finish_and_clear();
    if out.is_json() {
        return out.json(&json!({ "thread": thread, "file": path, "bytes": size }));
    }
    out.line(format!("{}: {}", path.display(), format::bytes(size)))?;
    out.flush()?;
    out.hint("no key is in it; `spool thread share` makes the ticket that another node needs to take it");
    Ok(())
}

pub(super) async fn import(context: &mut Context, client: Client, thread: String, path: &Path) -> Result<(), Failure> {
    let Input { reader, size } = Input::open(path).await?;
    let bar = output::progress(size);
    let (pieces, waiting) = mpsc::channel(PIECES_WAITING);
    let answer = take(client, ReceiverStream::new(waiting), &bar);
    tokio::pin!(answer);
    let feed = feed(reader, thread.clone(), pieces);
    let done = tokio::select! {
        // The daemon refuses early.
        done = &mut answer => done?,
        fed = feed => { fed.map_err(|error| cannot_read(path, &error))?; answer.await? }
    };
    bar.finish_and_clear();
    let out = &mut context.out;
    let Done { logs, records, blocks, forked } = &done;
    if out.is_json() {
        out.json(&json!({ "thread": thread, "logs": logs, "records": records, "blocks": blocks, "forked": forked }))?;
    } else {
        out.fields(&[
            ("thread", thread),
            ("logs", format::number(*logs)),
            ("records", format!("{} new", format::number(*records))),
            ("blocks", format!("{} in the file", format::number(*blocks))),
        ])?;
    }
    out.flush()?;
    match forked.first() {
        None => Ok(()),
        Some(log) => {
            let message = format!(
                "{} forked: {log}; the records before the fork were taken, `spool thread show` tells more",
                format::plural(forked.len() as u64, "log")
            );
            Err(Failure::new(Exit::Damaged, "forked", message))
        }
    }
}

async fn take(
    mut client: Client,
    pieces: ReceiverStream<pb::ImportThreadRequest>,
    bar: &ProgressBar,
) -> Result<Done, Failure> {
    let mut steps = client.import_thread(pieces).await?.into_inner();
    while let Some(step) = steps.message().await? {
        match step.step {
            Some(Step::Checked(bytes)) => bar.set_position(bytes),
            Some(Step::Progress(progress)) => bar.set_message(format!(
                "{} missing, {} missing",
                format::plural(progress.records_missing, "record"),
                format::plural(progress.blocks_missing, "block")
            )),
            Some(Step::Done(done)) => return Ok(done),
            None => {}
        }
    }
    Err(Failure::new(Exit::Unavailable, "stopping", "the daemon ended the import before it was done"))
}

async fn feed(
    mut input: Box<dyn AsyncRead + Send + Unpin>,
    thread: String,
    pieces: mpsc::Sender<pb::ImportThreadRequest>,
) -> std::io::Result<()> {
    // A closed queue is the daemon's answer, which the other side reads.
    let _ = pieces.send(pb::ImportThreadRequest { part: Some(Part::Thread(thread)) }).await;
    loop {
        let piece = input::piece(&mut input).await?;
        if piece.is_empty() {
            return Ok(());
        }
        if pieces.send(pb::ImportThreadRequest { part: Some(Part::Data(piece)) }).await.is_err() {
            // Wait for the answer rather than for more input.
            return std::future::pending().await;
        }
    }
}
