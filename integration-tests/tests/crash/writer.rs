//! The writer is killed while it appends.

use std::{
    collections::BTreeMap,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use spool_integration_tests::{
    daemon::{Api, Appended, Daemon, Repo},
    eventually,
};
use spool_node::api::pb;

use super::moments::Moments;

/// How often the writer is killed with appends in flight.
const KILLS: u64 = 50;
/// Receipts after which the kill comes, at most.
const RECEIPTS: u64 = 160;
/// Events in flight at once, at most.
const IN_FLIGHT: u64 = 96;
/// Events of one run at most, so that a kill that comes late finds no mountain of events.
const EVENTS: u64 = 600;
/// How much later than the receipt it comes, at most: an fsync takes about as long.
const DELAY: Duration = Duration::from_millis(3);
/// How long a start takes, about: one start in ten is cut short, too.
const START: Duration = Duration::from_millis(150);

/// What the writer has acknowledged so far, over all its lives.
struct Story {
    thread: String,
    follower: Api,
    acknowledged: BTreeMap<u64, Appended>,
    /// The head after the last restart.
    head: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_writer_is_killed() {
    let began = Instant::now();
    let mut moments = Moments::new("writer");
    let (writer, follower) = (Repo::new("writer"), Repo::new("follower"));
    let following = follower.start(&[]);
    let flags = ["--bootstrap", &following.address()];
    let mut daemon = writer.start(&flags);
    let mut api = Api::connect(&daemon).await;
    let thread = api.create_thread("load").await;
    let ticket = api.share(&thread, pb::Scope::Follow).await;
    let mut following = Api::connect(&following).await;
    following.join(&ticket).await;
    let mut story = Story { thread, follower: following, acknowledged: BTreeMap::new(), head: 0 };

    for round in 1..=KILLS {
        story.append_until_killed(round, daemon, &mut api, &mut moments).await;
        while moments.one_in(10) {
            let starting = writer.launch(&flags);
            thread::sleep(moments.within(START));
            starting.kill();
        }
        daemon = writer.start(&flags);
        api = Api::connect(&daemon).await;
        story.check(round, &mut api).await;
    }
    assert!(story.acknowledged.len() as u64 > KILLS, "there was load: {}", story.acknowledged.len());

    // One more event after all that, and the follower has the same log as the writer.
    let last = api.append(&story.thread, "the end").await.expect("appending goes on");
    assert_eq!(last.receipt.counter, story.head + 1);
    let head = pb::Head { counter: last.receipt.counter, cid: last.receipt.cid };
    eventually("the follower catches up", || {
        let (mut follower, thread) = (story.follower.clone(), story.thread.clone());
        let head = &head;
        async move { (follower.head(&thread).await == *head).then_some(()) }
    })
    .await;
    let (here, there) = (api.log(&story.thread).await, story.follower.log(&story.thread).await);
    assert_eq!(cids(&here), cids(&there));
    let verified = story.follower.verify(&story.thread).await;
    assert!(verified.faults.is_empty() && verified.report.records == head.counter, "{verified:?}");
    println!(
        "writer: {KILLS} kills, {} events acknowledged, {} written, {:.1?}",
        story.acknowledged.len(),
        head.counter,
        began.elapsed()
    );
}

impl Story {
    /// Appends with many in flight, and kills the daemon some receipts later, or a little after that.
    async fn append_until_killed(&mut self, round: u64, mut daemon: Daemon, api: &mut Api, moments: &mut Moments) {
        let (receipts, delay) = (1 + moments.below(RECEIPTS), moments.within(DELAY));
        let (enough, waiting) = mpsc::sync_channel(1);
        let killer = tokio::task::spawn_blocking(move || {
            // An error says that the stream has ended before, and nothing more will come.
            let _ = waiting.recv();
            thread::sleep(delay);
            daemon.kill();
        });
        let bodies = (0..EVENTS).map(move |number| body(round, number));
        let mut next = self.head + 1;
        let last = self.head + receipts;
        let ended = api.append_many(&self.thread, 1 + moments.below(IN_FLIGHT) as usize, bodies, |event| {
            assert_eq!(event.receipt.counter, next, "receipts come in order");
            if next == last {
                // There is room for the one message.
                let _ = enough.try_send(());
            }
            next += 1;
            self.acknowledged.insert(event.receipt.counter, event);
        });
        let ended = ended.await;
        drop(enough);
        killer.await.expect("killing never panics");
        println!("round {round}: killed after {} receipts: {}", next - self.head - 1, outcome(&ended));
    }

    /// Everything that was acknowledged is there, the chain is whole, and the follower had nothing else.
    async fn check(&mut self, round: u64, api: &mut Api) {
        let followed = self.follower.head(&self.thread).await;
        let head = api.head(&self.thread).await;
        let entries = api.log(&self.thread).await;
        assert_eq!(entries.len() as u64, head.counter, "round {round}");
        for (counter, entry) in (1..).zip(&entries) {
            assert_eq!(entry.counter, counter, "round {round}");
        }
        for (counter, event) in &self.acknowledged {
            let entry = &entries[*counter as usize - 1];
            assert_eq!(entry.cid, event.receipt.cid, "round {round}, record {counter} is another one now");
            assert_eq!(opened(entry), Some(event.body.as_bytes()), "round {round}, record {counter}");
        }
        let newest = self.acknowledged.keys().next_back().copied().unwrap_or(0);
        assert!(head.counter >= newest, "round {round}: {newest} were acknowledged, {} are here", head.counter);
        let verified = api.verify(&self.thread).await;
        assert!(verified.faults.is_empty(), "round {round}: {verified:?}");
        assert_eq!((verified.report.records, verified.report.missing_blocks), (head.counter, 0), "round {round}");

        assert!(followed.counter <= head.counter, "round {round}: the follower has more than the writer");
        if let Some(entry) = followed.counter.checked_sub(1).and_then(|index| entries.get(index as usize)) {
            assert_eq!(entry.cid, followed.cid, "round {round}: the writer contradicts what it had sent");
        }
        self.head = head.counter;
    }
}

/// One event in twenty is too large for its record and gets a block.
fn body(round: u64, number: u64) -> String {
    let padding = if number % 20 == 7 { 5_000 } else { 100 };
    format!("{{\"round\":{round},\"number\":{number},\"padding\":\"{}\"}}", "x".repeat(padding))
}

fn opened(entry: &pb::Entry) -> Option<&[u8]> {
    match entry.event.as_ref()?.body.as_ref()?.state.as_ref()? {
        pb::body::State::Open(bytes) => Some(bytes),
        _ => None,
    }
}

fn cids(entries: &[pb::Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.cid.as_str()).collect()
}

fn outcome(ended: &Result<(), tonic::Status>) -> String {
    match ended {
        Ok(()) => "all were appended before".to_owned(),
        Err(status) => status.message().to_owned(),
    }
}
