//! How far a view is, and what it has passed over on the way.

use std::{collections::BTreeMap, ops::ControlFlow};

use spool_proto::LogId;
use spool_store::view::Reader;

use super::{Error, cursor, keys};

/// How far each log is folded.
pub(crate) type Positions = BTreeMap<LogId, u64>;

/// How far each log is folded in a view.
pub(crate) fn positions(reader: &Reader<'_>) -> Result<Positions, Error> {
    Ok(cursor::load(reader)?.into_iter().map(|(log, cursor)| (log, cursor.counter)).collect())
}

/// The events that a view has passed over because their bodies were not there, by log, sorted.
pub(crate) fn missing_bodies(reader: &Reader<'_>) -> Result<BTreeMap<LogId, Vec<u64>>, Error> {
    let mut found: BTreeMap<LogId, Vec<u64>> = BTreeMap::new();
    reader.scan_prefix(keys::MISSING, &mut |key, _| {
        if let Some((log, counter)) = keys::log_and_counter(key) {
            found.entry(log).or_default().push(counter);
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// The events that a view has passed over because they cite something later that was here, though not folded yet; by log.
pub(crate) fn void_because_of_unfolded(
    reader: &Reader<'_>,
    ends: &Positions,
) -> Result<BTreeMap<LogId, Vec<u64>>, Error> {
    let mut found: BTreeMap<LogId, Vec<u64>> = BTreeMap::new();
    reader.scan_prefix(keys::VOID, &mut |key, cited| {
        let cited = cited
            .split_first_chunk::<32>()
            .and_then(|(log, counter)| Some((LogId::from_public_key(log).ok()?, keys::number(counter).ok()?)));
        let is_unfolded = cited.is_some_and(|(log, counter)| counter > ends.get(&log).copied().unwrap_or(0));
        if is_unfolded
            && let Some(stamp) = keys::stamp(key)
            && let Some(log) = stamp.log_id()
        {
            found.entry(log).or_default().push(stamp.counter);
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}
