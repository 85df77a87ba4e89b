//! Many documents into a collection: read, cut into transactions, sent with many in flight.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

use super::super::append::settle;
use super::super::context::{Context, Database};
use super::super::exit::{Exit, Failure};
use super::super::{format, output};
use super::batch::{self, Batch, DEFAULT_DOCUMENTS, MAX_DOCUMENTS, Mode, Span};
use super::csv::without_modified;
use super::source::Source;
use super::view;
use crate::api::pb;

/// Transactions that are sent and not answered. Enough that an fsync serves many, few enough that little is uncertain if one is refused.
const IN_FLIGHT: usize = 64;
/// Transactions that wait for the connection.
const WAITING: usize = 4;
/// How long a transaction waits for more documents from a slow input.
const LINGER: Duration = Duration::from_millis(50);

/// How to cut the input.
#[derive(Debug, clap::Args)]
pub(super) struct Batching {
    /// Documents in one transaction; it also ends where it would have more than 256 KiB
    #[arg(
        long = "batch",
        value_name = "COUNT",
        default_value_t = DEFAULT_DOCUMENTS,
        value_parser = clap::value_parser!(u64).range(1..=MAX_DOCUMENTS)
    )]
    documents: u64,
}

impl Batching {
    fn most(&self) -> usize {
        usize::try_from(self.documents).ok().and_then(NonZeroUsize::new).map_or(1, NonZeroUsize::get)
    }
}

/// Where documents go.
#[derive(Debug, Clone)]
pub(super) struct Destination {
    pub(super) thread: String,
    pub(super) collection: String,
    pub(super) mode: Mode,
    /// Leave `_mod` out rather than refuse it.
    pub(super) drops_modified: bool,
}

/// Writes all documents of a source, and tells how it went.
pub(super) async fn load(
    context: &mut Context,
    mut database: Database,
    destination: Destination,
    source: Source,
    batching: &Batching,
) -> Result<(), Failure> {
    let started = Instant::now();
    let bar = output::progress(source.size);
    let (requests, waiting) = mpsc::channel(WAITING);
    let (spans, mut sent) = mpsc::channel(IN_FLIGHT);
    let outlet = Outlet { requests, spans, thread: Some(destination.thread.clone()) };
    let feed = tokio::spawn(feed(source, destination.clone(), Batch::new(batching.most()), outlet, bar.clone()));
    let mut summary = Summary::default();
    let answered = receive(context, &mut database, waiting, &mut sent, &destination, &bar, &mut summary).await;
    bar.finish_and_clear();
    // The daemon refuses transactions in their order: it is the first that was not answered.
    let refused = if answered.is_err() { sent.try_recv().ok() } else { None };
    let fed = settle(feed, answered.is_err()).await;
    let unanswered =
        || Failure::new(Exit::Unavailable, "stopping", "the daemon ended the stream before it had answered");
    let fed = if answered.is_ok() && !sent.is_empty() { fed.and(Err(unanswered())) } else { fed };
    context.out.flush()?;
    let done = past(destination.mode);
    // The daemon's failure is the cause where both failed: it stopped the reading.
    if let Err(failure) = answered.and(fed) {
        let place = match (failure.exit, refused) {
            (Exit::Unreachable | Exit::Unavailable | Exit::Failed, _) | (_, None) => String::new(),
            (_, Some(span)) => format!(" ({span})"),
        };
        let before = match summary.documents {
            0 if sent.is_empty() => format!("nothing was {done}"),
            0 => format!("nothing before it was {done}"),
            1 => format!("1 document before it was {done}"),
            count => format!("{} before it were {done}", format::plural(count, "document")),
        };
        // What was under way behind it may have taken effect.
        let behind = if sent.is_empty() { "" } else { ", and some behind it may have been" };
        let error = anyhow::Error::msg(format!("{:#}{place}; {before}{behind}", failure.error));
        return Err(Failure { error, ..failure });
    }
    summary.print(context, &destination, started.elapsed())
}

fn past(mode: Mode) -> &'static str {
    match mode {
        Mode::Create => "created",
        Mode::Save => "saved",
    }
}

async fn receive(
    context: &mut Context,
    database: &mut Database,
    waiting: mpsc::Receiver<pb::CommitRequest>,
    sent: &mut mpsc::Receiver<Span>,
    destination: &Destination,
    bar: &ProgressBar,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let mut answers = database.commit_stream(ReceiverStream::new(waiting)).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        // Makes room for one more in flight.
        let _ = sent.try_recv();
        summary.add(&answer);
        bar.set_message(format!("{} {}", format::plural(summary.documents, "document"), past(destination.mode)));
        if context.out.is_json() {
            let place = view::Place::from(answer.place);
            let Destination { thread, collection, .. } = destination;
            for id in &answer.ids {
                context.out.json(&view::Written { thread, collection, id, place: &place })?;
            }
            context.out.flush()?;
        }
    }
    Ok(())
}

/// The way of transactions to the daemon.
struct Outlet {
    requests: mpsc::Sender<pb::CommitRequest>,
    spans: mpsc::Sender<Span>,
    /// Until the first message, which names it.
    thread: Option<String>,
}

impl Outlet {
    /// Fails where nobody takes them any more.
    async fn send(&mut self, (writes, span): (Vec<pb::Write>, Span)) -> Result<(), Failure> {
        // The daemon says why, unless it stops.
        let ended = || Failure::new(Exit::Unavailable, "stopping", "the daemon ended the stream before the input did");
        // Before the transaction: an answer finds what it answers. Waits while too many are in flight.
        self.spans.send(span).await.map_err(|_| ended())?;
        let request = pb::CommitRequest { thread: self.thread.take().unwrap_or_default(), writes };
        self.requests.send(request).await.map_err(|_| ended())
    }

    /// Sends what has gathered. The first message goes out in any case: it tells the daemon the thread, and a wrong one is an error without documents, too.
    async fn send_rest(&mut self, mut batch: Batch) -> Result<(), Failure> {
        if batch.is_empty() && self.thread.is_none() { Ok(()) } else { self.send(batch.take()).await }
    }
}

/// Reads documents and hands them on in transactions: full ones while the input is ahead, smaller ones where it is slow.
async fn feed(
    mut source: Source,
    destination: Destination,
    mut batch: Batch,
    mut outlet: Outlet,
    bar: ProgressBar,
) -> Result<(), Failure> {
    let Destination { collection, mode, drops_modified, .. } = destination;
    loop {
        let next = if batch.is_empty() {
            source.documents.recv().await
        } else {
            match timeout(LINGER, source.documents.recv()).await {
                Ok(next) => next,
                Err(_) => {
                    outlet.send(batch.take()).await?;
                    continue;
                }
            }
        };
        let Some(found) = next else { break };
        let written = found.and_then(|mut found| {
            if drops_modified {
                without_modified(&mut found.fields);
            }
            let written = batch::write(&collection, mode, found.fields);
            let (write, weight) = written.map_err(|error| Failure::usage(format!("line {}: {error}", found.line)))?;
            bar.set_position(found.read);
            Ok((found.line, write, weight))
        });
        let (line, write, weight) = match written {
            Ok(written) => written,
            Err(failure) => {
                // What was read before it is good.
                outlet.send_rest(batch).await?;
                return Err(failure);
            }
        };
        if batch.is_full_for(weight) {
            outlet.send(batch.take()).await?;
        }
        batch.push(line, write, weight);
    }
    outlet.send_rest(batch).await
}

#[derive(Default)]
struct Summary {
    documents: u64,
    transactions: u64,
    first: Option<pb::Place>,
    last: Option<pb::Place>,
}

impl Summary {
    fn add(&mut self, answer: &pb::CommitResponse) {
        self.documents += answer.ids.len() as u64;
        let Some(place) = &answer.place else { return };
        self.transactions += 1;
        self.first.get_or_insert_with(|| place.clone());
        self.last = Some(place.clone());
    }

    fn print(&self, context: &mut Context, destination: &Destination, elapsed: Duration) -> Result<(), Failure> {
        if context.out.is_json() {
            return Ok(());
        }
        let done = past(destination.mode);
        if self.documents == 0 {
            return context.out.line("no documents");
        }
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let rate = (self.documents as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
        let transactions = format::plural(self.transactions, "transaction");
        let mut fields = vec![
            (done, format!("{} in {transactions}", format::plural(self.documents, "document"))),
            ("collection", destination.collection.clone()),
        ];
        if let (Some(first), Some(last)) = (&self.first, &self.last) {
            fields.push(("log", format!("{} #{}-{}", last.log, first.counter, last.counter)));
        }
        fields.push(("took", format!("{} ({}/s)", format::duration(millis), format::number(rate))));
        context.out.fields(&fields)
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::{Found, ndjson};
    use super::*;
    use crate::cli::input::Input;

    fn destination() -> Destination {
        let (thread, collection) = ("t".into(), "films".into());
        Destination { thread, collection, mode: Mode::Create, drops_modified: true }
    }

    /// Transactions as the daemon would see them, as documents in each and their lines, and how the reading ended.
    async fn fed(source: Source, most: usize) -> (Vec<(String, usize, String)>, Result<(), Failure>) {
        let (requests, mut waiting) = mpsc::channel(WAITING);
        let (spans, mut sent) = mpsc::channel(IN_FLIGHT);
        let outlet = Outlet { requests, spans, thread: Some("t".into()) };
        let feed = feed(source, destination(), Batch::new(most), outlet, ProgressBar::hidden());
        let take = async {
            let mut seen = Vec::new();
            while let Some(request) = waiting.recv().await {
                seen.push((request.thread, request.writes.len(), sent.recv().await.unwrap().to_string()));
            }
            seen
        };
        let (ended, seen) = tokio::join!(feed, take);
        (seen, ended)
    }

    fn lines(text: String) -> Source {
        ndjson(Input { reader: Box::new(std::io::Cursor::new(text)), size: None })
    }

    #[tokio::test]
    async fn only_the_first_transaction_names_the_thread() {
        let (seen, ended) = fed(lines("{\"_mod\":1}\n".repeat(5)), 2).await;
        ended.unwrap();
        let seen: Vec<_> = seen.iter().map(|(thread, count, span)| (thread.as_str(), *count, span.as_str())).collect();
        assert_eq!(seen, [("t", 2, "lines 1-2"), ("", 2, "lines 3-4"), ("", 1, "line 5")]);
        let (seen, ended) = fed(lines(String::new()), 2).await;
        ended.unwrap();
        assert_eq!((seen.len(), seen[0].1), (1, 0), "the daemon is told the thread");
    }

    #[tokio::test]
    async fn what_comes_before_a_bad_document_is_sent() {
        let (seen, ended) = fed(lines("{}\n{}\n{\"_id\":1}\n{}\n".into()), 10).await;
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].1, seen[0].2.as_str()), (2, "lines 1-2"));
        assert!(ended.unwrap_err().error.to_string().starts_with("line 3: _id has to be"));
    }

    /// The input waits for each transaction before it goes on: with documents held back it would wait for ever.
    #[tokio::test]
    async fn a_slow_input_does_not_hold_documents_back() {
        let (found, documents) = mpsc::channel(1);
        let (requests, mut waiting) = mpsc::channel(WAITING);
        let (spans, _sent) = mpsc::channel(IN_FLIGHT);
        let outlet = Outlet { requests, spans, thread: Some("t".into()) };
        let source = Source { documents, size: None };
        let feed = feed(source, destination(), Batch::new(10), outlet, ProgressBar::hidden());
        let slow = async move {
            for line in 1..=2 {
                found.send(Ok(Found { fields: serde_json::Map::new(), line, read: 0 })).await.unwrap();
                assert_eq!(waiting.recv().await.unwrap().writes.len(), 1);
            }
        };
        let (ended, ()) = tokio::join!(feed, slow);
        ended.unwrap();
    }
}
