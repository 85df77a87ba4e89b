//! Collections of a joiner whose peers have not been heard yet.
//!
//! A client that adds a database from an address brings configurations of its collections along, without their validators. What the thread's own writers have
//! defined goes before them: so until their heads are here, the configurations are kept on this node alone, and documents are held against them. Then those
//! that nobody has defined are defined, and the others are forgotten.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value};
use spool_db::{collection::Definition, transaction::Write};
use spool_proto::ThreadId;
use spool_store::{View, view::Batch};

use super::{
    base::Base,
    limits::{ASK_AGAIN, FIRST_HEADS},
    refused::Refused,
};
use crate::{model::Error, node::storage};

/// By name.
pub(super) type Definitions = BTreeMap<String, Definition>;

const KEY: &[u8] = b"provisional";
/// How often to look whether what has come is folded.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Where a thread is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// It has none.
    Settled,
    /// It has some, and its peers are being asked.
    Asking,
}

/// The threads that were looked at since the node started.
#[derive(Default)]
pub(super) struct Provisional(Mutex<HashMap<ThreadId, State>>);

impl Provisional {
    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a thread has provisional collections.
    pub(super) fn is_there(&self, thread: &ThreadId) -> bool {
        self.lock().get(thread) == Some(&State::Asking)
    }

    pub(super) fn forget(&self, thread: &ThreadId) {
        self.lock().remove(thread);
    }
}

/// The provisional collections of a thread.
pub(super) fn read(view: &View) -> Result<Definitions, Error> {
    let Some(bytes) = view.reader().get(KEY).map_err(storage)? else { return Ok(Definitions::new()) };
    let damaged =
        |error: serde_json::Error| Error::Internal { context: "read provisional collections", source: Box::new(error) };
    let fields: BTreeMap<String, Map<String, Value>> = serde_json::from_slice(&bytes).map_err(damaged)?;
    Ok(fields.into_iter().map(|(name, fields)| (name.clone(), Definition::from_fields(&name, &fields))).collect())
}

fn write(view: &View, definitions: &Definitions) -> Result<(), Error> {
    let mut batch = Batch::default();
    if definitions.is_empty() {
        batch.delete(KEY);
    } else {
        let fields: BTreeMap<_, _> =
            definitions.iter().map(|(name, definition)| (name, definition.to_fields())).collect();
        batch.put(KEY, serde_json::to_vec(&fields).unwrap_or_default());
    }
    view.write(batch).map_err(storage)
}

/// Goes on with what was under way when the node stopped.
pub(super) fn resume(base: &Base) -> Result<(), Refused> {
    if base.shared.provisional.lock().contains_key(&base.thread) {
        return Ok(());
    }
    let is_empty = read(&base.node().client_view(&base.thread)?)?.is_empty();
    begin(base, is_empty);
    Ok(())
}

fn begin(base: &Base, is_empty: bool) {
    let state = if is_empty { State::Settled } else { State::Asking };
    let before = base.shared.provisional.lock().insert(base.thread.clone(), state);
    if state == State::Asking && before != Some(State::Asking) {
        tokio::spawn(settle(base.clone()));
    }
}

/// Keeps collections until the peers have been heard; waits a moment for that.
pub(super) async fn add(base: &Base, definitions: Definitions) -> Result<(), Refused> {
    if definitions.is_empty() {
        return Ok(());
    }
    let view = base.node().client_view(&base.thread)?;
    let mut all = read(&view)?;
    all.extend(definitions);
    write(&view, &all)?;
    begin(base, false);
    let begun = tokio::time::Instant::now();
    while base.shared.provisional.is_there(&base.thread) && begun.elapsed() < FIRST_HEADS {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// Asks the peers until one answers, then defines what they have not.
async fn settle(base: Base) {
    let stopping = base.shared.stopping.clone();
    let asked = stopping.run_until_cancelled(ask(&base)).await;
    match asked {
        Some(Ok(())) => {}
        // The node ends, or the thread was removed.
        None | Some(Err(_)) => base.shared.provisional.forget(&base.thread),
    }
}

async fn ask(base: &Base) -> Result<(), Refused> {
    while !base.node().ask_peers(&base.thread, FIRST_HEADS).await? {
        tokio::time::sleep(ASK_AGAIN).await;
    }
    base.node().caught_up(&base.thread).await?;
    let view = base.node().client_view(&base.thread)?;
    let definitions = read(&view)?;
    let writer = base.writer().await?;
    let define = move |write: &mut Write<'_>| {
        for definition in definitions.values() {
            if write.definition(&definition.name)?.is_none() {
                write.define(definition)?;
            }
        }
        Ok(())
    };
    base.node().transact(&base.database, writer, define).await?;
    write(&view, &Definitions::new())?;
    begin(base, true);
    Ok(())
}
