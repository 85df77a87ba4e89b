//! A node is killed while transactions are made: what was acknowledged is there, and of no transaction half.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use spool_integration_tests::daemon::{
    Api, Daemon, Repo,
    documents::{Documents, write},
};
use spool_node::api::pb::{self, write::Change};

use super::moments::Moments;

/// How often the node is killed in the middle of transactions.
const KILLS: u64 = 50;
/// Answers after which the kill comes, at most.
const ANSWERS: u64 = 40;
/// Transactions in flight at once, at most.
const IN_FLIGHT: u64 = 32;
/// Transactions of one life at most.
const TRANSACTIONS: u64 = 200;
/// How much later than the answer it comes, at most: a commit and its folding take about as long.
const DELAY: Duration = Duration::from_millis(5);
/// Accounts between which units are moved. No transaction makes or takes any.
const ACCOUNTS: u64 = 8;

/// Each moves a unit from one account to another, and notes that in a document of its own: three changes that are one.
fn transaction(round: u64, number: u64) -> Vec<pb::Write> {
    let (from, to) = (number % ACCOUNTS, (number * 5 + 3 + round) % ACCOUNTS);
    let by = |account: u64, value: i64| {
        let change = pb::PathValue { path: "units".to_owned(), value: value.to_string() };
        write("accounts", &account.to_string(), Change::Increment(change))
    };
    let note = json!({"round": round, "from": from, "to": to}).to_string();
    vec![by(from, -1), by(to, 1), write("moves", &format!("{round}-{number}"), Change::Create(note))]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_transaction_is_there_by_half_when_the_node_is_killed() {
    let began = Instant::now();
    let mut moments = Moments::new("transactions");
    let repo = Repo::new("transactions");
    let mut daemon = repo.start(&[]);
    let thread = Api::connect(&daemon).await.create_thread("moves").await;
    let mut documents = Documents::connect(&daemon).await;
    documents.define(&thread, "accounts", "units").await;
    documents.define(&thread, "moves", "round").await;
    let accounts = (0..ACCOUNTS)
        .map(|account| write("accounts", &account.to_string(), Change::Create(json!({"units": 0}).to_string())));
    let request = pb::CommitRequest { thread: thread.clone(), writes: accounts.collect() };
    documents.client().commit(request).await.expect("new documents");

    let (mut acknowledged, mut folded) = (Vec::new(), String::new());
    for round in 1..=KILLS {
        let before = acknowledged.len();
        run_until_killed(round, daemon, &mut documents, &thread, &mut moments, &mut acknowledged).await;
        daemon = repo.start(&[]);
        documents = Documents::connect(&daemon).await;
        folded = documents.hash(&thread).await;
        check(round, &mut documents, &thread, &acknowledged).await;
        println!("round {round}: killed after {} answers", acknowledged.len() - before);
    }
    assert!(acknowledged.len() as u64 > KILLS, "there was load: {}", acknowledged.len());

    // The views are what the events come to, as the node's own check finds, and as folding them anew does.
    let verified = Api::connect(&daemon).await.verify(&thread).await;
    assert!(verified.faults.is_empty(), "{verified:?}");
    documents.rebuild(&thread).await;
    assert_eq!(documents.hash(&thread).await, folded);
    println!("transactions: {KILLS} kills, {} acknowledged, {:.1?}", acknowledged.len(), began.elapsed());
}

async fn run_until_killed(
    round: u64,
    mut daemon: Daemon,
    documents: &mut Documents,
    thread: &str,
    moments: &mut Moments,
    acknowledged: &mut Vec<String>,
) {
    let (answers, delay) = (1 + moments.below(ANSWERS), moments.within(DELAY));
    let (enough, waiting) = mpsc::sync_channel(1);
    let killer = tokio::task::spawn_blocking(move || {
        // An error says that the stream has ended before, and nothing more will come.
        let _ = waiting.recv();
        thread::sleep(delay);
        daemon.kill();
    });
    let transactions = (0..TRANSACTIONS).map(move |number| transaction(round, number));
    let mut seen = 0;
    let ended = documents.commit_many(thread, 1 + moments.below(IN_FLIGHT) as usize, transactions, |answer| {
        let id = answer.ids.last().expect("three writes").clone();
        assert_eq!(id, format!("{round}-{seen}"), "answers come in order");
        acknowledged.push(id);
        seen += 1;
        if seen == answers {
            // There is room for the one message.
            let _ = enough.try_send(());
        }
    });
    // Whatever ended it, the daemon is gone.
    let _ = ended.await;
    drop(enough);
    killer.await.expect("killing never panics");
}

/// All that was acknowledged is there, and the accounts are what the moves come to.
async fn check(round: u64, documents: &mut Documents, thread: &str, acknowledged: &[String]) {
    let moves = documents.find(thread, "moves", "").await;
    let ids: std::collections::BTreeSet<&str> = moves.iter().filter_map(|found| found["_id"].as_str()).collect();
    for id in acknowledged {
        assert!(ids.contains(id.as_str()), "round {round}: the move {id} was acknowledged and is not there");
    }
    let mut units = [0; ACCOUNTS as usize];
    let account = |value: &Value| value.as_u64().expect("the number of an account") as usize;
    for found in &moves {
        units[account(&found["from"])] -= 1;
        units[account(&found["to"])] += 1;
    }
    for found in documents.find(thread, "accounts", "").await {
        let id: usize = found["_id"].as_str().and_then(|id| id.parse().ok()).expect("the number of an account");
        assert_eq!(found["units"], json!(units[id]), "round {round}: the account {id} against the moves");
    }
    // What an index says is what the documents say.
    let query = json!({"where": {"round": round}, "index": "round"}).to_string();
    let by_index = documents.find(thread, "moves", &query).await;
    let of_round = moves.iter().filter(|found| found["round"] == json!(round)).count();
    assert_eq!(by_index.len(), of_round, "round {round}");
}
