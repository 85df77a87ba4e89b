//! A [`Kv`] in memory whose disk misbehaves on demand: writes and syncs fail, space runs out, power is cut.

use std::{
    io,
    sync::{Mutex, MutexGuard},
};

use bytes::Bytes;

use super::{Batch, Error, Kv, Reads, Space, Statistics, Visit, memory::Contents};

/// What a process over a volatile page cache sees of its disk.
///
/// Batches that were written and not synced are visible to reads, and lost in a [power cut](Faulty::power_cut) but for a prefix: a
/// write-ahead log loses its tail, never its middle. After a failed sync nothing becomes durable any more, as with a kernel that has dropped
/// the dirty pages: whoever writes on and reports success is found out by the next power cut.
#[derive(Default)]
pub struct Faulty(Mutex<State>);

#[derive(Default)]
struct State {
    /// What reads see.
    live: Contents,
    /// What a power cut leaves.
    durable: Contents,
    /// The difference, oldest first.
    unsynced: Vec<Batch>,
    /// Mutating calls (write, sync) so far.
    calls: u64,
    fail_write_in: Option<u64>,
    failing: bool,
    fail_sync_in: Option<u64>,
    power_off_at: Option<u64>,
    full: bool,
    /// A sync has failed.
    dropped: bool,
}

impl State {
    /// Counts a mutating call; an error if there is no power left for it.
    fn call(&mut self) -> Result<(), Error> {
        if self.power_off_at.is_some_and(|at| self.calls >= at) {
            return Err(Error::Write(io::Error::other("the power is off").into()));
        }
        self.calls += 1;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Error> {
        if counts_down(&mut self.fail_sync_in) {
            self.dropped = true;
            return Err(Error::Sync(io::Error::other("injected failure of a sync").into()));
        }
        if !self.dropped {
            for batch in self.unsynced.drain(..) {
                self.durable.apply(&batch);
            }
        }
        Ok(())
    }
}

fn counts_down(counter: &mut Option<u64>) -> bool {
    match counter {
        Some(1) => {
            *counter = None;
            true
        }
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    }
}

impl Faulty {
    /// An empty store on a healthy disk.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while locked")
    }

    /// What reads see now; not locked, so that a visitor may call back into the store.
    fn live(&self) -> Contents {
        self.state().live.clone()
    }

    /// Makes the `nth` write from now fail (1 is the next one).
    pub fn fail_write(&self, nth: u64) {
        self.state().fail_write_in = Some(nth);
    }

    /// Whether every write fails. A write that is tried twice does not get by.
    pub fn set_failing(&self, failing: bool) {
        self.state().failing = failing;
    }

    /// Makes the `nth` sync from now fail, be it a call of its own or part of a write.
    pub fn fail_sync(&self, nth: u64) {
        self.state().fail_sync_in = Some(nth);
    }

    /// Whether the disk is full: writes then fail with [`Error::Full`].
    pub fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// Lets `calls` more writes and syncs through; all later ones fail, as if the process had died there.
    pub fn power_off_after(&self, calls: u64) {
        let mut state = self.state();
        state.power_off_at = Some(state.calls + calls);
    }

    /// Writes and syncs so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// How many batches a power cut may lose.
    pub fn unsynced(&self) -> usize {
        self.state().unsynced.len()
    }

    /// What the next start finds: all that was synced, and the first `kept` batches of what was not.
    pub fn power_cut(&self, kept: usize) -> Faulty {
        let state = self.state();
        let mut contents = state.durable.clone();
        for batch in state.unsynced.iter().take(kept) {
            contents.apply(batch);
        }
        Faulty(Mutex::new(State { live: contents.clone(), durable: contents, ..State::default() }))
    }
}

impl Reads for Faulty {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.state().live.get(space, key)
    }

    fn scan(&self, space: Space, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        self.live().scan(space, from, until, visit)
    }

    fn scan_back(&self, space: Space, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        self.live().scan_back(space, from, until, visit)
    }
}

impl Kv for Faulty {
    fn snapshot(&self, read: &mut dyn FnMut(&dyn Reads)) {
        read(&self.live());
    }

    fn write(&self, batch: &Batch, sync: bool) -> Result<(), Error> {
        let mut state = self.state();
        state.call()?;
        if state.full {
            return Err(Error::Full(io::Error::from(io::ErrorKind::StorageFull).into()));
        }
        if counts_down(&mut state.fail_write_in) || state.failing {
            return Err(Error::Write(io::Error::other("injected failure of a write").into()));
        }
        state.unsynced.push(batch.clone());
        if sync {
            state.sync()?;
        }
        state.live.apply(batch);
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        let mut state = self.state();
        state.call()?;
        state.sync()
    }

    fn statistics(&self) -> Result<Statistics, Error> {
        Ok(self.state().live.statistics())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(key: &str) -> Batch {
        let mut batch = Batch::default();
        batch.put(Space::Meta, key, "value");
        batch
    }

    fn has(kv: &Faulty, key: &str) -> bool {
        kv.contains(Space::Meta, key.as_bytes()).unwrap()
    }

    #[test]
    fn a_power_cut_keeps_what_was_synced_and_a_prefix_of_the_rest() {
        let kv = Faulty::new();
        kv.write(&batch("synced"), true).unwrap();
        kv.write(&batch("first"), false).unwrap();
        kv.write(&batch("second"), false).unwrap();
        assert!(has(&kv, "second"));
        for kept in 0..3 {
            let after = kv.power_cut(kept);
            assert_eq!(
                (true, kept > 0, kept > 1),
                (has(&after, "synced"), has(&after, "first"), has(&after, "second"))
            );
        }
    }

    #[test]
    fn nothing_is_durable_after_a_failed_sync() {
        let kv = Faulty::new();
        kv.fail_sync(1);
        assert!(kv.write(&batch("lost"), true).unwrap_err().is_fatal());
        kv.write(&batch("later"), true).unwrap();
        assert!(!has(&kv.power_cut(0), "later"));
    }

    #[test]
    fn injected_failures_come_at_the_call_that_was_named() {
        let kv = Faulty::new();
        kv.fail_write(2);
        kv.write(&batch("a"), false).unwrap();
        assert!(matches!(kv.write(&batch("b"), false), Err(Error::Write(_))));
        kv.set_full(true);
        assert!(kv.write(&batch("c"), false).unwrap_err().is_full());
        kv.set_full(false);
        kv.power_off_after(1);
        kv.write(&batch("d"), false).unwrap();
        kv.write(&batch("e"), false).unwrap_err();
        assert_eq!(["a", "b", "c", "d", "e"].map(|key| has(&kv, key)), [true, false, false, true, false]);
    }
}
