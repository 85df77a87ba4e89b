//! Seals what lies open in a store, and the reverse: in steps, each of which is one batch with a note of how far it came, so that whatever interrupts it, the
//! next run goes on where it ended.

use std::ops::ControlFlow;

use bytes::Bytes;
use spool_proto::vault::{Key, KeyName};
use zeroize::Zeroizing;

use crate::{
    keys,
    kv::{Batch, Kv, Space},
    limits::{RESEAL_BYTES, RESEAL_KEYS},
    schema,
    secrets::Secrets,
    store::Error,
};

/// What a store is made into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Secrets are sealed.
    Sealed,
    /// They lie open.
    Plain,
}

/// The spaces with secrets, in the order in which they are rewritten.
pub(crate) const SPACES: [Space; 2] = [Space::Threads, Space::Views];

/// Why a store was not, or not wholly, sealed or unsealed.
#[derive(Debug, thiserror::Error)]
pub enum ResealError {
    /// It is not a store of this version, or is sealed under another key.
    #[error(transparent)]
    Schema(#[from] schema::Error),
    /// Something could not be read, opened or written.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<crate::kv::Error> for ResealError {
    fn from(error: crate::kv::Error) -> Self {
        Self::Store(error.into())
    }
}

/// How far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cursor {
    target: Target,
    name: KeyName,
    /// Which of [`SPACES`].
    space: usize,
    /// The first key in it that is not done.
    key: Vec<u8>,
}

impl Cursor {
    fn begin(target: Target, name: KeyName) -> Self {
        Self { target, name, space: 0, key: Vec::new() }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let head = [u8::from(self.target == Target::Sealed)];
        [&head[..], &self.name, &[self.space as u8], &self.key].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (target, rest) = bytes.split_first()?;
        let (name, rest) = rest.split_first_chunk()?;
        let (space, key) = rest.split_first()?;
        let target = match target {
            0 => Target::Plain,
            1 => Target::Sealed,
            _ => return None,
        };
        let space = Some(usize::from(*space)).filter(|space| *space < SPACES.len())?;
        Some(Self { target, name: *name, space, key: key.to_vec() })
    }
}

/// Makes the store into `target`; finishes what was interrupted first, whatever that was. Nobody else uses the store meanwhile.
pub(crate) fn reseal(
    kv: &dyn Kv,
    key: &Key,
    target: Target,
    on_progress: &mut dyn FnMut(u64),
) -> Result<(), ResealError> {
    let secrets = Secrets::new(Some(key));
    let name = key.name();
    if !schema::is_current(kv)? {
        return Ok(schema::check_or_create(kv, (target == Target::Sealed).then_some(name))?);
    }
    if let Some(interrupted) = interrupted(kv)? {
        finish(kv, &secrets, interrupted, on_progress)?;
    }
    let sealed = schema::sealed_under(kv)?;
    if sealed.is_some_and(|sealed| sealed != name) {
        return Err(schema::Error::OtherKey.into());
    }
    if sealed.is_some() == (target == Target::Sealed) {
        return Ok(());
    }
    finish(kv, &secrets, Cursor::begin(target, name), on_progress)
}

fn interrupted(kv: &dyn Kv) -> Result<Option<Cursor>, ResealError> {
    let Some(stored) = kv.get(Space::Meta, keys::RESEALING)? else { return Ok(None) };
    Ok(Some(Cursor::from_bytes(&stored).ok_or(Error::Malformed("note of how far sealing has come"))?))
}

fn finish(
    kv: &dyn Kv,
    secrets: &Secrets,
    mut cursor: Cursor,
    on_progress: &mut dyn FnMut(u64),
) -> Result<(), ResealError> {
    if secrets.name() != Some(cursor.name) {
        return Err(schema::Error::OtherKey.into());
    }
    let mut done = 0;
    loop {
        let mut batch = Batch::default();
        done += step(kv, secrets, &mut cursor, &mut batch)?;
        if cursor.space == SPACES.len() {
            match cursor.target {
                Target::Sealed => batch.put(Space::Meta, keys::SEALED_UNDER, cursor.name.to_vec()),
                Target::Plain => batch.delete(Space::Meta, keys::SEALED_UNDER),
            }
            batch.delete(Space::Meta, keys::RESEALING);
            return Ok(kv.write(&batch, true)?);
        }
        batch.put(Space::Meta, keys::RESEALING, cursor.to_bytes());
        // Not synced: a power cut takes back whole steps with their notes, and only from the end.
        kv.write(&batch, false)?;
        on_progress(done);
    }
}

/// Rewrites some values of the cursor's space and moves it behind them. Returns how many.
fn step(kv: &dyn Kv, secrets: &Secrets, cursor: &mut Cursor, batch: &mut Batch) -> Result<u64, Error> {
    let space = SPACES[cursor.space];
    let (prefix, until) = match space {
        // The rest of the space is ids and numbers.
        Space::Threads => (keys::threads::BY_ID, keys::after_prefix(keys::threads::BY_ID)),
        _ => (&[][..], Vec::new()),
    };
    let from = if cursor.key.is_empty() { prefix.to_vec() } else { cursor.key.clone() };
    let (mut count, mut last, mut result) = (0, None, Ok(()));
    kv.scan(space, &from, &until, &mut |key, value| {
        if count as usize >= RESEAL_KEYS || batch.bytes() >= RESEAL_BYTES {
            return ControlFlow::Break(());
        }
        match rewritten(secrets, cursor.target, space, key, value) {
            Ok(value) => batch.put(space, key, value),
            Err(error) => {
                result = Err(error);
                return ControlFlow::Break(());
            }
        }
        count += 1;
        last = Some(key.to_vec());
        ControlFlow::Continue(())
    })?;
    result?;
    match last {
        Some(last) => cursor.key = keys::after(&last),
        None => (cursor.space, cursor.key) = (cursor.space + 1, Vec::new()),
    }
    Ok(count)
}

fn rewritten(secrets: &Secrets, target: Target, space: Space, key: &[u8], value: &[u8]) -> Result<Bytes, Error> {
    Ok(match (target, space) {
        (Target::Sealed, Space::Threads) => secrets.seal_thread(key, value),
        (Target::Sealed, _) => secrets.seal_view(key, Bytes::copy_from_slice(value)),
        (Target::Plain, Space::Threads) => {
            let opened = Zeroizing::new(secrets.open_thread(key, value)?.into_owned());
            Bytes::copy_from_slice(&opened)
        }
        (Target::Plain, _) => Bytes::copy_from_slice(&secrets.open_view(key, value)?),
    })
}

#[cfg(test)]
mod tests;
