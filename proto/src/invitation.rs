//! Invitations: how a writer asks a node to follow a thread, and how either of them ends that (`docs/protocol.md`, section 4).
//!
//! An invitation is signed by an identity, so that whoever is asked knows for whom it follows, and sealed to the key of the node that it is for.
//! It names both nodes: nobody can hand it on, and what one node answered to says nothing about another.

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey};
use serde::{Deserialize, Serialize, Serializer};
use serde_bytes::{ByteArray, ByteBuf};

use crate::{
    PeerId, Ticket, cbor,
    envelope::peer_id,
    hpke,
    id::{LogId, ThreadId},
    identity::IdentityKey,
    key_set,
    keys::Epoch,
    limits::{MAX_CODE_BYTES, MAX_INVITATION_AGE_MILLIS, MAX_SEALED_KEY_SET_BYTES},
};

const VERSION: u64 = 1;
const TAG: &str = "spool/1 invitation";

/// What one node says to another about following a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// What is asked or said.
    pub act: Act,
    /// Whose wish it is: the one whose signature it carries.
    pub identity: IdentityKey,
    /// The node that sends it.
    pub from: PeerId,
    /// The node that it is for.
    pub to: PeerId,
    /// When it was made, milliseconds since 1970.
    pub issued_millis: u64,
}

/// What an invitation is about.
#[derive(Clone, PartialEq, Eq)]
pub enum Act {
    /// Please follow this thread.
    Follow {
        /// Its follow keys, and where its peers are.
        ticket: Box<Ticket>,
        /// What the node that is asked may want to hear.
        code: Option<String>,
    },
    /// Please do not follow it any more.
    Withdraw(ThreadId),
    /// This node does not follow it any more.
    Leave(ThreadId),
}

/// Why an invitation cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Whom it is for has no key to seal to: its id is the hash of one.
    #[error("the peer id {0} does not carry an ed25519 key, so nothing can be sealed to it")]
    NoKey(PeerId),
    /// More keys than fit.
    #[error("an invitation of {0} bytes, at most {MAX_SEALED_KEY_SET_BYTES} can be sealed to a key")]
    TooLarge(usize),
    /// It is sealed to another node, or damaged.
    #[error("the invitation does not open")]
    Sealed(#[from] hpke::Error),
    /// Not an invitation.
    #[error("not an invitation")]
    Malformed(#[from] cbor::Error),
    /// A version that does not exist yet.
    #[error("invitation version {0} is not known (only {VERSION})")]
    Version(u64),
    /// It was made for another pair of nodes.
    #[error("the invitation is from another node than it came from, or for another one")]
    OtherNodes,
    /// It is not signed by the identity that it names.
    #[error("the signature of the invitation is wrong")]
    Signature,
    /// It hands over more than a follower may have, or less than it needs.
    #[error("an invitation to follow carries the follow keys of the whole thread and no others")]
    Keys,
    /// A code that is too long, or empty.
    #[error("the code of an invitation has 1 to {MAX_CODE_BYTES} bytes and no control characters")]
    Code,
}

/// `[version, act, identity, from, to, issued, signature]`.
#[derive(Serialize, Deserialize)]
struct Fields(u64, Act, IdentityKey, ByteBuf, ByteBuf, u64, ByteArray<64>);

impl Invitation {
    /// Signs it with the identity's key and seals it to the node that it is for. Deterministic in its arguments.
    ///
    /// # Errors
    ///
    /// If its contents are not those of an invitation, or it has no room for its keys.
    pub(crate) fn seal(&self, identity: &SigningKey, entropy: [u8; 32]) -> Result<Vec<u8>, Error> {
        self.act.check()?;
        let recipient = node_key(&self.to).ok_or(Error::NoKey(self.to))?;
        let signature = identity.sign(&self.signed()).to_bytes();
        let (from, to) = (ByteBuf::from(self.from.to_bytes()), ByteBuf::from(self.to.to_bytes()));
        let signature = ByteArray::new(signature);
        let fields = Fields(VERSION, self.act.clone(), self.identity, from, to, self.issued_millis, signature);
        let plaintext = zeroize::Zeroizing::new(cbor::to_vec(&fields));
        let size = plaintext.len() + hpke::OVERHEAD_BYTES;
        if size > MAX_SEALED_KEY_SET_BYTES {
            return Err(Error::TooLarge(size));
        }
        Ok(hpke::seal(&recipient, hpke::INVITATION, &plaintext, entropy))
    }

    /// Opens one that `from` has sent, as the connection proves, to the node with this key. Whether it is [timely](Self::is_timely) is another question.
    ///
    /// # Errors
    ///
    /// [`Error`] says what is wrong with it.
    pub fn open(node_key: &SigningKey, from: &PeerId, sealed: &[u8]) -> Result<Self, Error> {
        let plaintext = hpke::open(node_key, hpke::INVITATION, sealed)?;
        let fields: Fields = cbor::from_slice(&plaintext, MAX_SEALED_KEY_SET_BYTES).map_err(|error| {
            match key_set::version(&plaintext) {
                Some(version) if version != VERSION => Error::Version(version),
                _ => Error::Malformed(error),
            }
        })?;
        let Fields(version, act, identity, sender, recipient, issued_millis, signature) = fields;
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let to = peer_id(node_key);
        if *sender != from.to_bytes() || *recipient != to.to_bytes() {
            return Err(Error::OtherNodes);
        }
        let invitation = Self { act, identity, from: *from, to, issued_millis };
        let signature = Signature::from_bytes(&signature.into_array());
        if identity.verifying_key().verify_strict(&invitation.signed(), &signature).is_err() {
            return Err(Error::Signature);
        }
        invitation.act.check()?;
        Ok(invitation)
    }

    /// Whether it was made recently, and not in the future, as far as clocks agree.
    pub fn is_timely(&self, now_millis: u64) -> bool {
        now_millis.abs_diff(self.issued_millis) <= MAX_INVITATION_AGE_MILLIS
    }

    fn signed(&self) -> Vec<u8> {
        let (from, to) = (self.from.to_bytes(), self.to.to_bytes());
        let (from, to) = (serde_bytes::Bytes::new(&from), serde_bytes::Bytes::new(&to));
        cbor::to_vec(&(TAG, VERSION, &self.act, self.identity, from, to, self.issued_millis))
    }
}

/// The ed25519 key in a peer id, as one that can be sealed to.
fn node_key(peer: &PeerId) -> Option<IdentityKey> {
    let log = LogId::from_bytes(&peer.to_bytes()).ok()?;
    IdentityKey::from_bytes(log.public_key()).ok()
}

impl Act {
    /// The thread that it is about.
    pub fn thread(&self) -> &ThreadId {
        match self {
            Self::Follow { ticket, .. } => ticket.thread(),
            Self::Withdraw(thread) | Self::Leave(thread) => thread,
        }
    }

    fn check(&self) -> Result<(), Error> {
        let Self::Follow { ticket, code } = self else { return Ok(()) };
        let is_code = |code: &str| (1..=MAX_CODE_BYTES).contains(&code.len()) && !code.chars().any(char::is_control);
        if code.as_deref().is_some_and(|code| !is_code(code)) {
            return Err(Error::Code);
        }
        let keys = ticket.keys().clone();
        let whole = keys.is_whole_thread();
        if !whole || keys.into_keys().epochs().iter().any(Epoch::can_read) {
            return Err(Error::Keys);
        }
        Ok(())
    }
}

// By hand: a code is a secret.
impl fmt::Debug for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Follow { ticket, code } => {
                f.debug_struct("Follow").field("thread", ticket.thread()).field("code", &code.is_some()).finish()
            }
            Self::Withdraw(thread) => f.debug_tuple("Withdraw").field(thread).finish(),
            Self::Leave(thread) => f.debug_tuple("Leave").field(thread).finish(),
        }
    }
}

impl Serialize for Act {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Follow { ticket, code } => (0u64, ticket, code).serialize(serializer),
            Self::Withdraw(thread) => (1u64, thread).serialize(serializer),
            Self::Leave(thread) => (2u64, thread).serialize(serializer),
        }
    }
}

cbor::deserialize_tagged!(Act, "invitation", |fields, kind| match kind {
    0 => Act::Follow { ticket: cbor::field(&mut fields, "ticket")?, code: cbor::field(&mut fields, "code")? },
    1 => Act::Withdraw(cbor::field(&mut fields, "thread id")?),
    2 => Act::Leave(cbor::field(&mut fields, "thread id")?),
    other => return Err(cbor::unknown("invitation kind", other)),
});

#[cfg(test)]
mod tests;
