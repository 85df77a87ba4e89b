//! Values that hold keys or contents, which are sealed where the repository has a key (`docs/keys-at-rest.md`).

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use spool_proto::vault::{Key, KeyName, Part, Sealer};
use zeroize::Zeroizing;

use crate::store::Error;

/// Bytes of a thread's local number, which stands before its state and is no secret.
const NUMBER_BYTES: usize = 4;

/// How the values of [`Space::Threads`] and [`Space::Views`] are written: sealed, or as they are.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Option<Arc<Sealers>>);

struct Sealers {
    name: KeyName,
    thread: Sealer,
    view: Sealer,
}

impl Secrets {
    pub(crate) fn new(key: Option<&Key>) -> Self {
        Self(key.map(|key| {
            let (thread, view) = (key.sealer(Part::Thread), key.sealer(Part::View));
            Arc::new(Sealers { name: key.name(), thread, view })
        }))
    }

    /// The name of the key, if there is one.
    pub(crate) fn name(&self) -> Option<KeyName> {
        self.0.as_ref().map(|sealers| sealers.name)
    }

    /// A thread's number and state, as they are stored.
    pub(crate) fn seal_thread(&self, key: &[u8], value: &[u8]) -> Bytes {
        let Some((sealers, (number, state))) = self.0.as_ref().zip(value.split_at_checked(NUMBER_BYTES)) else {
            return Bytes::copy_from_slice(value);
        };
        [number, &sealers.thread.seal(&[key, number].concat(), state)].concat().into()
    }

    /// A thread's number and state from what is stored.
    pub(crate) fn open_thread<'a>(&self, key: &[u8], value: &'a [u8]) -> Result<Cow<'a, [u8]>, Error> {
        let Some(sealers) = &self.0 else { return Ok(value.into()) };
        let (number, sealed) = value.split_at_checked(NUMBER_BYTES).ok_or(Error::Malformed("thread"))?;
        let state = sealers.thread.open(&[key, number].concat(), sealed).map_err(|_| Error::Sealed("thread"))?;
        let state = Zeroizing::new(state);
        Ok([number, &state].concat().into())
    }

    /// A value of a view, as it is stored. One without content has nothing to hide.
    pub(crate) fn seal_view(&self, key: &[u8], value: Bytes) -> Bytes {
        match &self.0 {
            Some(sealers) if !value.is_empty() => sealers.view.seal(key, &value).into(),
            Some(_) | None => value,
        }
    }

    /// A value of a view from what is stored.
    pub(crate) fn open_view<'a>(&self, key: &[u8], value: &'a [u8]) -> Result<Cow<'a, [u8]>, Error> {
        match &self.0 {
            Some(sealers) if !value.is_empty() => {
                Ok(sealers.view.open(key, value).map_err(|_| Error::Sealed("view"))?.into())
            }
            Some(_) | None => Ok(value.into()),
        }
    }

    /// As [`Secrets::open_view`], without a copy where nothing is sealed.
    pub(crate) fn open_view_bytes(&self, key: &[u8], value: Bytes) -> Result<Bytes, Error> {
        match &self.0 {
            Some(_) => Ok(self.open_view(key, &value)?.into_owned().into()),
            None => Ok(value),
        }
    }
}
