//! Events that rules may deny, judged by what their writers had seen.
//!
//! A collection is *governed* from the first event on that gives it a validator, whether that counts for long or not. Events that change its documents are judged: each
//! by the definition as it is in the event's past, and by the documents as they are there.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::Arc,
};

use bytes::Bytes;
use spool_proto::LogId;
use spool_store::view::{Batch, Reader, after_prefix};

use super::{events::ByTarget, keys, read};
use crate::{
    Stamp,
    collection::{COLLECTIONS, Rule, VALIDATOR, rule},
    judge::{Judge, Verdict, case},
    limits::{CACHED_KEYS, INDEX_STEP, MAX_BROUGHT_TOGETHER},
    operation::{Change, Operation, Target, Transaction},
    projector::{Added, Denial, Error, Past, Ruling},
    source::Source,
};

mod branches;

use branches::Branches;

/// What is known of rules while events are folded.
pub(super) struct Rules {
    judge: Option<Arc<dyn Judge>>,
    most: usize,
    /// The governed collections, and how far what was folded before was looked through.
    governed: BTreeMap<String, Looked>,
    branches: Branches,
    /// Transactions of this step.
    read: BTreeMap<Stamp, Arc<ByTarget>>,
    /// Writers, as rules know them.
    writers: BTreeMap<LogId, String>,
}

/// How far the history of a governed collection was looked through for events that are to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Looked {
    /// The first event that gives it a validator: nothing before it is judged.
    since: Stamp,
    /// The key to go on from; none if that is done.
    from: Option<Vec<u8>>,
}

impl Looked {
    fn to_bytes(&self) -> Vec<u8> {
        [&self.since.to_bytes()[..], self.from.as_deref().unwrap_or_default()].concat()
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let (since, from) = value.split_first_chunk()?;
        Some(Self { since: Stamp::from_bytes(since), from: (!from.is_empty()).then(|| from.to_vec()) })
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            judge: None,
            most: MAX_BROUGHT_TOGETHER,
            governed: BTreeMap::new(),
            branches: Branches::default(),
            read: BTreeMap::new(),
            writers: BTreeMap::new(),
        }
    }
}

impl Rules {
    pub(super) fn set_judge(&mut self, judge: Option<Arc<dyn Judge>>) {
        self.judge = judge;
    }

    #[cfg(any(test, feature = "test-utils"))]
    pub(super) fn bring_together(&mut self, most: usize) {
        self.most = most;
    }

    pub(super) fn is_on(&self) -> bool {
        !self.governed.is_empty()
    }

    pub(super) fn load(&mut self, reader: &Reader<'_>) -> Result<(), Error> {
        self.forget();
        self.governed.clear();
        let mut damaged = false;
        reader.scan_prefix(keys::GOVERNED, &mut |key, value| {
            let name = key.get(1..).and_then(|name| std::str::from_utf8(name).ok());
            match name.zip(Looked::parse(value)) {
                Some((name, looked)) => drop(self.governed.insert(name.to_owned(), looked)),
                None => damaged = true,
            }
            ControlFlow::Continue(())
        })?;
        if damaged { Err(Error::Damaged("the list of collections with rules")) } else { Ok(()) }
    }

    pub(super) fn committed(&mut self) {
        self.read.clear();
        self.branches.committed();
    }

    pub(super) fn forget(&mut self) {
        self.read.clear();
        self.branches = Branches::default();
    }

    /// The transaction of an event of this step, if it is known already.
    pub(super) fn known(&self, stamp: &Stamp) -> Option<Arc<ByTarget>> {
        self.read.get(stamp).cloned()
    }

    pub(super) fn sort_out(&mut self, added: Vec<Added>, batch: &mut Batch) -> Result<(Vec<Added>, Vec<Added>), Error> {
        if !self.is_on() && !added.iter().any(|added| mentions_rule(&added.body)) {
            return Ok((added, Vec::new()));
        }
        for Added { stamp, body } in &added {
            if !self.is_on() && !mentions_rule(body) {
                continue;
            }
            let Some(transaction) = read(body) else { continue };
            for name in ruled(&transaction) {
                self.govern(name, stamp, batch);
            }
            self.read.insert(*stamp, Arc::new(ByTarget::new(transaction)));
        }
        if !self.is_on() {
            return Ok((added, Vec::new()));
        }
        let mut judged = BTreeSet::new();
        for Added { stamp, body } in &added {
            let transaction = match self.read.get(stamp) {
                Some(transaction) => transaction.clone(),
                None => match read(body) {
                    Some(transaction) => Arc::new(ByTarget::new(transaction)),
                    None => continue,
                },
            };
            if transaction.targets().any(|target| self.governed.contains_key(&target.collection)) {
                judged.insert(*stamp);
            }
            self.read.insert(*stamp, transaction);
        }
        Ok(added.into_iter().partition(|added| !judged.contains(&added.stamp)))
    }

    /// A collection has, or may have, a validator since an event.
    fn govern(&mut self, name: &str, since: &Stamp, batch: &mut Batch) {
        if self.governed.get(name).is_none_or(|looked| *since < looked.since) {
            let looked = Looked { since: *since, from: Some(keys::collection_history(name)) };
            batch.put([keys::GOVERNED, name.as_bytes()].concat(), looked.to_bytes());
            self.governed.insert(name.to_owned(), looked);
        }
    }

    pub(super) fn folded_before(
        &mut self,
        reader: &Reader<'_>,
        batch: &mut Batch,
    ) -> Result<Option<Vec<Stamp>>, Error> {
        let next = self.governed.iter_mut().find_map(|(name, looked)| Some((name, looked.from.clone()?, looked)));
        let Some((name, from, looked)) = next else { return Ok(None) };
        let (mut found, mut seen, mut last) = (BTreeSet::new(), 0, None);
        reader.scan(&from, &after_prefix(&keys::collection_history(name)), &mut |key, _| {
            found.extend(keys::stamp(key).filter(|stamp| *stamp > looked.since));
            seen += 1;
            last = Some([key, &[0]].concat());
            if seen < INDEX_STEP { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        looked.from = last.filter(|_| seen == INDEX_STEP);
        batch.put([keys::GOVERNED, name.as_bytes()].concat(), looked.to_bytes());
        Ok(Some(found.into_iter().collect()))
    }

    /// A document's history has become longer, or shorter.
    pub(super) fn touch(&mut self, target: &Target, added: impl Iterator<Item = Stamp>, removed: &[Stamp]) {
        self.branches.touch(target, added, removed);
    }

    pub(super) fn judge(
        &mut self,
        event: &Added,
        is_folded: bool,
        past: &Past<'_>,
        source: &dyn Source,
    ) -> Result<(Ruling, usize), Error> {
        let transaction = match self.known(&event.stamp) {
            Some(transaction) => transaction,
            None => Arc::new(ByTarget::new(read(&event.body).ok_or(Error::Damaged("an event that is to be judged"))?)),
        };
        let mut documents = 0;
        let mut sources: BTreeMap<&str, Option<Rule>> = BTreeMap::new();
        let mut ruling = Ruling::Accepted;
        let mut reached = Vec::new();
        for target in transaction.targets() {
            if !self.governed.contains_key(&target.collection) {
                continue;
            }
            if !sources.contains_key(target.collection.as_str()) {
                let definition = Target::new(COLLECTIONS, target.collection.as_str());
                // Without a bound: which collections are governed depends on what has ever been here, and a verdict must not.
                let found = self.branches.document(&definition, &event.stamp, past, source, usize::MAX)?;
                let found = found.unwrap_or_default();
                let fields = found.document.is_alive().then_some(&found.document.fields);
                sources.insert(&target.collection, fields.and_then(|fields| rule(fields, VALIDATOR)));
                self.branches.reach(&definition, &found, found.clone());
            }
            let Some(Some(rule)) = sources.get(target.collection.as_str()) else { continue };
            documents += 1;
            ruling = match rule {
                Rule::Unusable => Ruling::Denied(unusable(target)),
                Rule::Source(rule) => {
                    let Some(before) = self.branches.document(target, &event.stamp, past, source, self.most)? else {
                        ruling = Ruling::Denied(too_much(target));
                        break;
                    };
                    let after = Arc::new(before.with(&event.stamp, transaction.changes(target)));
                    let log = past.log(&event.stamp);
                    let writer = self.writer(log.as_ref(), source)?;
                    let case = case::Case { stamp: event.stamp, log, writer, target };
                    let ruling = rule_on(self.judge.as_deref(), rule, &case, &before.document, &after.document);
                    reached.push((target, before, after));
                    ruling
                }
            };
            if ruling != Ruling::Accepted {
                break;
            }
        }
        if ruling == Ruling::Accepted {
            for (target, before, after) in reached {
                self.branches.reach(target, &before, after);
            }
        }
        match (&ruling, is_folded) {
            (Ruling::Accepted, false) => {
                transaction.targets().for_each(|target| self.branches.write(target, &event.stamp, true));
            }
            (Ruling::Denied(_), true) => {
                transaction.targets().for_each(|target| self.branches.write(target, &event.stamp, false));
            }
            _ => {}
        }
        self.read.insert(event.stamp, transaction);
        Ok((ruling, documents))
    }

    /// Who has proved to have written an event. What a log's first record says of that never changes.
    fn writer(&mut self, log: Option<&LogId>, source: &dyn Source) -> Result<Option<String>, Error> {
        let Some(log) = log else { return Ok(None) };
        if let Some(known) = self.writers.get(log) {
            return Ok(Some(known.clone()));
        }
        let writer = source.author(log)?.map(|author| author.key.to_string());
        if let Some(writer) = &writer {
            if self.writers.len() >= CACHED_KEYS {
                self.writers.clear();
            }
            self.writers.insert(*log, writer.clone());
        }
        Ok(writer)
    }
}

/// Whether any collection is governed.
pub(crate) fn any(reader: &Reader<'_>) -> Result<bool, Error> {
    let mut any = false;
    reader.scan_prefix(keys::GOVERNED, &mut |_, _| {
        any = true;
        ControlFlow::Break(())
    })?;
    Ok(any)
}

/// What a rule says of one document.
fn rule_on(
    judge: Option<&dyn Judge>,
    rule: &str,
    case: &case::Case<'_>,
    before: &crate::Document,
    after: &crate::Document,
) -> Ruling {
    let denied = |reason: Option<String>| Ruling::Denied(Denial { target: case.target.clone(), reason });
    let Some(judge) = judge else { return Ruling::Unknown };
    match case.verdict(judge, rule, before, after) {
        Verdict::Accepted => Ruling::Accepted,
        Verdict::Denied(reason) => denied(reason),
        // This machine may lack what another one has.
        Verdict::Failed(crate::judge::Failure::Engine(_)) => Ruling::Unknown,
        Verdict::Failed(failure) => denied(Some(failure.to_string())),
    }
}

fn unusable(target: &Target) -> Denial {
    Denial { target: target.clone(), reason: Some(case::UNUSABLE.to_owned()) }
}

fn too_much(target: &Target) -> Denial {
    Denial { target: target.clone(), reason: Some("its past brings together too much".to_owned()) }
}

/// Whether a body may give a collection a validator. Looks at bytes only, for all those that have nothing to do with it.
fn mentions_rule(body: &Bytes) -> bool {
    memchr::memmem::find(body, VALIDATOR.as_bytes()).is_some()
}

/// The collections to which a transaction may give a validator.
fn ruled(transaction: &Transaction) -> impl Iterator<Item = &str> {
    transaction.operations.iter().filter_map(|operation| match operation {
        // Spool's own collections have no rules: nobody could ever change them again.
        Operation::Change(target, change)
            if target.collection == COLLECTIONS && !target.id.starts_with('_') && writes_rule(change) =>
        {
            Some(target.id.as_str())
        }
        Operation::Change(..) | Operation::Unknown(_) => None,
    })
}

fn writes_rule(change: &Change) -> bool {
    match change {
        Change::Create(fields) => fields.contains_key(VALIDATOR),
        Change::Set(path, value) | Change::Replace(path, value) if path.is_root() => {
            value.as_object().is_some_and(|fields| fields.contains_key(VALIDATOR))
        }
        Change::Set(path, _)
        | Change::Replace(path, _)
        | Change::Increment(path, _)
        | Change::Add(path, _)
        | Change::Keep(path, ..) => path.names().first().is_some_and(|name| name == VALIDATOR),
        // What there is no validator in gets none by these.
        Change::Unset(_) | Change::Remove(..) | Change::Delete | Change::Undelete => false,
    }
}
