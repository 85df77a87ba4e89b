//! What validators say before an event is made, and what they have said of those that were.

use spool_proto::{IdentityKey, LogId, clock::Time};
use spool_store::view::Reader;

use super::{Database, lock};
use crate::{
    Document, Stamp, Target, Transaction,
    collection::{COLLECTIONS, Rule, VALIDATOR, rule},
    document::Size,
    documents::{self, events::ByTarget},
    judge::{Verdict, case},
    limits::MAX_DENIED_PAGE,
    projector::{self, Denial, Denied},
    transaction::Error,
};

/// One document to ask about.
struct Asked {
    target: Target,
    rule: Rule,
    before: Document,
    after: Document,
}

impl Database {
    /// The events that rules deny here and everywhere, after one of them by log and counter; at most [`MAX_DENIED_PAGE`].
    ///
    /// # Errors
    ///
    /// [`projector::Error`].
    pub fn denied(&self, after: Option<(LogId, u64)>, count: usize) -> Result<Vec<Denied>, projector::Error> {
        self.0.view.snapshot(|reader| projector::denied(reader, after, count.min(MAX_DENIED_PAGE)))
    }

    /// Whether the validators accept a transaction, as far as can be said before: what counts is what they say of its event.
    pub(super) fn judge(&self, client: Option<IdentityKey>, transaction: &Transaction) -> Result<(), Error> {
        let next = self.next_stamp(client.is_some());
        let asked = self.0.view.snapshot(|reader| asked(reader, transaction, &next))?;
        let Some(first) = asked.first() else { return Ok(()) };
        let Some(judge) = &self.0.judge else { return Err(Error::NoJudge(first.target.collection.clone())) };
        let Some(writer) = client.map_or_else(|| self.owner(), |client| Ok(Some(client)))? else { return Ok(()) };
        for Asked { target, rule, before, after } in &asked {
            let denied = |reason| Err(Error::Denied(Denial { target: target.clone(), reason }));
            let Rule::Source(rule) = rule else { return denied(Some(case::UNUSABLE.to_owned())) };
            let case = case::Case { stamp: next, log: next.log_id(), writer: Some(writer.to_string()), target };
            match case.verdict(&**judge, rule, before, after) {
                Verdict::Accepted => {}
                Verdict::Denied(reason) => return denied(reason),
                Verdict::Failed(failure) => return denied(Some(failure.to_string())),
            }
        }
        Ok(())
    }

    /// Whose the own log is.
    fn owner(&self) -> Result<Option<IdentityKey>, Error> {
        let author = self.0.appender.own_log().map(|log| self.source().author(&log)).transpose();
        let author = author.map_err(projector::Error::from)?.flatten().map(|author| author.key);
        Ok(author.or_else(|| self.0.appender.writer()))
    }

    /// Where the next event will be, roughly.
    fn next_stamp(&self, is_for_client: bool) -> Stamp {
        let time = Time::after(self.now(), self.0.appender.now_millis());
        let log = self.0.appender.own_log().filter(|_| !is_for_client);
        let Some(log) = log else { return Stamp { time, log: [0; 32], counter: 1 } };
        let counter = lock(&self.0.commits).folded_until(&log) + 1;
        Stamp { time, log: *log.public_key(), counter }
    }
}

/// The documents that a transaction changes in collections with a validator.
fn asked(reader: &Reader<'_>, transaction: &Transaction, next: &Stamp) -> Result<Vec<Asked>, projector::Error> {
    let mut asked = Vec::new();
    if !documents::rules::any(reader)? {
        return Ok(asked);
    }
    let transaction = ByTarget::new(transaction.clone());
    for target in transaction.targets().filter(|target| !target.collection.starts_with('_')) {
        let definition = documents::document(reader, &Target::new(COLLECTIONS, target.collection.as_str()))?;
        let definition = definition.filter(Document::is_alive);
        let Some(rule) = definition.and_then(|definition| rule(&definition.fields, VALIDATOR)) else { continue };
        let stored = documents::stored::read(reader, target)?;
        let (before, mut size) =
            stored.map_or_else(Default::default, |entry| (entry.document, Size::stored(entry.bytes)));
        let mut after = before.clone();
        after.apply(*next, transaction.changes(target), &mut size);
        asked.push(Asked { target: target.clone(), rule, before, after });
    }
    Ok(asked)
}
