use std::ops::ControlFlow;

use bytes::Bytes;

use super::{Error, Store};
use crate::{
    keys,
    kv::{Batch, Space},
    limits::{SETTING_NAME_BYTES, SETTING_VALUE_BYTES},
};

impl Store {
    /// A setting of this node; local, never sent.
    ///
    /// # Errors
    ///
    /// [`Error::Kv`].
    pub fn setting(&self, name: &str) -> Result<Option<Bytes>, Error> {
        Ok(self.kv().get(Space::Meta, &keys::setting(name))?)
    }

    /// All settings whose names begin with `prefix`, by the rest of their names.
    ///
    /// # Errors
    ///
    /// [`Error::Kv`].
    pub fn settings(&self, prefix: &str) -> Result<Vec<(String, Bytes)>, Error> {
        let from = keys::setting(prefix);
        let mut found = Vec::new();
        self.kv().scan(Space::Meta, &from, &keys::after_prefix(&from), &mut |key, value| {
            // Names were text when they were written.
            let rest = String::from_utf8_lossy(&key[from.len()..]).into_owned();
            found.push((rest, Bytes::copy_from_slice(value)));
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Sets or removes a setting; it is on disk when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if name or value is too large; [`Error::Kv`].
    pub fn set_setting(&self, name: &str, value: Option<&[u8]>) -> Result<(), Error> {
        if name.len() > SETTING_NAME_BYTES || value.is_some_and(|value| value.len() > SETTING_VALUE_BYTES) {
            return Err(Error::Setting);
        }
        let mut batch = Batch::default();
        match value {
            Some(value) => batch.put(Space::Meta, keys::setting(name), value.to_vec()),
            None => batch.delete(Space::Meta, keys::setting(name)),
        }
        Ok(self.shared().write(&batch, true)?)
    }
}
