//! Control items: what followers, who cannot read events, have to know of a log.

use multiaddr::Multiaddr;
use serde::{Serialize, Serializer};
use serde_bytes::{ByteArray, ByteBuf};

use crate::{
    cbor,
    id::KeyId,
    identity::IdentityKey,
    limits::{MAX_ADDRESS_BYTES, MAX_ADDRESSES, MAX_REKEY_RECIPIENTS, MAX_SEALED_KEY_SET_BYTES},
};

/// One control item; a record has at most one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// In the first record: the admission key's signature over thread and log.
    Admission([u8; 64]),
    /// Where this log's writer and its followers can be reached; replaces what the log announced before.
    Addresses(Vec<Multiaddr>),
    /// The thread has a new key.
    Rekey(Rekey),
    /// The log ends with this record.
    Retire,
}

/// A new thread key, sealed to those who stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rekey {
    /// Key id of the new key.
    pub key_id: KeyId,
    /// Public admission key of the new epoch.
    pub admission: [u8; 32],
    /// For each recipient: its identity key, and a key set sealed to it.
    pub recipients: Vec<(IdentityKey, Vec<u8>)>,
}

impl Control {
    /// The limits that decoding alone does not enforce.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self {
            Control::Addresses(addresses) if addresses.len() > MAX_ADDRESSES => Err("too many addresses"),
            Control::Addresses(addresses) if addresses.iter().any(|address| address.len() > MAX_ADDRESS_BYTES) => {
                Err("an address is too long")
            }
            Control::Rekey(rekey) if rekey.recipients.len() > MAX_REKEY_RECIPIENTS => Err("too many recipients"),
            Control::Rekey(rekey)
                if rekey.recipients.iter().any(|(_, sealed)| sealed.len() > MAX_SEALED_KEY_SET_BYTES) =>
            {
                Err("a sealed key set is too large")
            }
            Control::Admission(_) | Control::Addresses(_) | Control::Rekey(_) | Control::Retire => Ok(()),
        }
    }
}

impl Serialize for Control {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Control::Admission(signature) => (0u64, ByteArray::new(*signature)).serialize(serializer),
            Control::Addresses(addresses) => {
                let addresses: Vec<_> = addresses.iter().map(|address| ByteBuf::from(address.to_vec())).collect();
                (1u64, addresses).serialize(serializer)
            }
            Control::Rekey(rekey) => {
                let recipients: Vec<_> =
                    rekey.recipients.iter().map(|(to, sealed)| (to, serde_bytes::Bytes::new(sealed))).collect();
                (2u64, rekey.key_id, ByteArray::new(rekey.admission), recipients).serialize(serializer)
            }
            Control::Retire => (3u64,).serialize(serializer),
        }
    }
}

cbor::deserialize_tagged!(Control, "control item", |fields, kind| match kind {
    0 => Control::Admission(cbor::field::<_, ByteArray<64>>(&mut fields, "signature")?.into_array()),
    1 => {
        let addresses: Vec<ByteBuf> = cbor::field(&mut fields, "addresses")?;
        let addresses: Result<_, _> =
            addresses.into_iter().map(|bytes| Multiaddr::try_from(bytes.into_vec())).collect();
        Control::Addresses(addresses.map_err(|_| serde::de::Error::custom("an address is not a multiaddr"))?)
    }
    2 => {
        let key_id = cbor::field(&mut fields, "key id")?;
        let admission = cbor::field::<_, ByteArray<32>>(&mut fields, "admission key")?.into_array();
        let recipients: Vec<(IdentityKey, ByteBuf)> = cbor::field(&mut fields, "recipients")?;
        let recipients = recipients.into_iter().map(|(to, sealed)| (to, sealed.into_vec())).collect();
        Control::Rekey(Rekey { key_id, admission, recipients })
    }
    3 => Control::Retire,
    other => return Err(cbor::unknown("control item kind", other)),
});
