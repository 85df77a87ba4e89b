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
