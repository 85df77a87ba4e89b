//! What a step does about events that are judged.

use spool_store::view::Batch;

use super::{Added, Error, Held, Input, Judged, Moment, Projector, Reducer, Step, keys};
use crate::Stamp;

impl<R: Reducer> Projector<R> {
    /// Puts events that are to be judged into the queue. Returns the others.
    pub(super) fn sort_out(&mut self, added: Vec<Added>, batch: &mut Batch) -> Result<Vec<Added>, Error> {
        let (added, judged) = self.reducer.sort_out(added, batch)?;
        if self.reducer.has_rules() {
            self.rules.switch_on();
        }
        for Added { stamp, .. } in judged {
            if let Some(log) = self.rules.id_of(&stamp) {
                self.rules.enqueue(&stamp, &log, Judged::No, batch);
            }
        }
        Ok(added)
    }

    /// An event has turned out to cite something later.
    pub(super) fn make_void(&mut self, stamp: &Stamp, step: &mut Step<'_>) -> Result<(), Error> {
        let Some(log) = self.rules.id_of(stamp).filter(|_| self.rules.is_on()) else { return Ok(()) };
        self.rules.forget(&log, stamp.counter, &mut step.batch);
        self.rules.trace_from(&log, stamp.counter, step.reader)
    }

    /// Judges what can be judged; returns whether there is more to do at once.
    pub(super) fn judge(&mut self, moment: &Moment<'_>, held: &mut Vec<Held>) -> Result<bool, Error> {
        if !self.rules.is_on() {
            return Ok(false);
        }
        // First all that was folded in too early: what is judged may depend on it.
        let mut batch = Batch::default();
        if let Some(stamps) = self.reducer.folded_before(moment.reader, &mut batch)? {
            for stamp in stamps {
                let Some(log) = self.rules.id_of(&stamp) else { continue };
                let known = moment.reader.get(&keys::record(keys::JUDGED, &log, stamp.counter))?;
                if known.is_none() {
                    self.rules.enqueue(&stamp, &log, Judged::Accepted, &mut batch);
                }
            }
            self.rules.store(&mut batch);
            self.view.write(batch)?;
            self.reducer.committed();
            return Ok(true);
        }
        let more = self.rules.trace(moment, &mut batch)?;
        self.rules.store(&mut batch);
        if !batch.is_empty() {
            self.view.write(batch)?;
        }
        let mut batch = Batch::default();
        let session = self.rules.judge(moment, &mut self.reducer, held, &mut batch)?;
        self.rules.store(&mut batch);
        if batch.is_empty() {
            return Ok(more || session.more);
        }
        let input =
            Input { reader: moment.reader, source: moment.source, added: session.added, removed: session.removed };
        self.reducer.reduce(input, &mut batch)?;
        self.view.write(batch)?;
        self.reducer.committed();
        Ok(more || session.more)
    }
}
