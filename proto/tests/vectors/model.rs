//! The shape of `docs/vectors.json`. Bytes are hex; texts are as the program writes them.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl Hex {
    pub(crate) fn array<const N: usize>(&self) -> [u8; N] {
        self.0.as_slice().try_into().unwrap()
    }
}

impl<T: AsRef<[u8]>> From<T> for Hex {
    fn from(bytes: T) -> Self {
        Self(bytes.as_ref().to_vec())
    }
}

impl fmt::Debug for Hex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        HEXLOWER.decode(text.as_bytes()).map(Self).map_err(D::Error::custom)
    }
}

/// Declares structures that are written in the order of their fields and read without any other.
macro_rules! shapes {
    ($($name:ident { $($field:ident: $type:ty),* $(,)? })*) => {$(
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name { $(pub(crate) $field: $type),* }
    )*};
}

shapes! {
    Vectors {
        about: Vec<String>,
        ids: Ids,
        keys: Keys,
        log_keys: LogKeys,
        identity: Identity,
        admission: Admission,
        owners: Owners,
        sealed: Vec<Sealed>,
        hpke: Vec<Hpke>,
        key_sets: KeySets,
        ticket: Ticket,
        invitations: Vec<Invitation>,
        addresses: Vec<TextAndBytes>,
        lipmaa: Vec<u64>,
        bodies: Bodies,
        chunker: Vec<Cuts>,
        log: Log,
        envelope: Envelope,
        gossip: Gossip,
        proof: Proof,
        edges: Vec<Edge>,
    }
    TextAndBytes { text: String, bytes: Hex }
    Invitation {
        what: String,
        act: Hex,
        from: String,
        recipient_seed: Hex,
        to: String,
        issued_millis: u64,
        signed: Hex,
        entropy: Hex,
        sealed: Hex,
    }
    Ids { threads: Vec<ThreadId>, log: LogId, cid: Cid }
    ThreadId { text: String, version: u8, variant: String, random: Hex, bytes: Hex }
    LogId { key_seed: Hex, public_key: Hex, bytes: Hex, text: String }
    Cid { block: Hex, bytes: Hex, text: String }
    Keys {
        textile: TextAndBytes,
        follow: Hex,
        read: Hex,
        key_id: TextAndBytes,
        access: Hex,
        topic: TextAndBytes,
        dht: Hex,
        gossip: Hex,
        admission_seed: Hex,
        admission_public: Hex,
        chunk_secret: Hex,
        public_chunk_secret: Hex,
        chunk: Hex,
        chunk_key: Hex,
        public_chunk_key: Hex,
        gear_seed: Hex,
        public_gear_seed: Hex,
    }
    LogKeys { log: String, follow: Hex, read: Hex, manifest: Hex, public: Hex }
    Identity {
        seed: Hex,
        phrase: String,
        public: Hex,
        text: String,
        thread: String,
        device: Hex,
        log_key_seed: Hex,
        log: String,
        home: Home,
    }
    Home { thread: String, follow: Hex, read: Hex }
    Admission { thread: String, log: String, signed: Hex, signature: Hex }
    Owners { thread: String, log: String, direct: Direct, delegated: Delegated }
    Direct { identity: String, signed: Hex, cbor: Hex }
    Delegated {
        client_seed: Hex,
        node_seed: Hex,
        node: String,
        owner: String,
        issued_at: u64,
        expires_at: u64,
        nonce: Hex,
        statement: Hex,
        challenge: Hex,
        signed: Hex,
        cbor: Hex,
    }
    Sealed { layer: String, key: Hex, thread: String, log: Option<String>, plaintext: Hex, nonce_key: Hex, sealed: Hex }
    Hpke { purpose: String, recipient_seed: Hex, recipient: String, plaintext: Hex, entropy: Hex, sealed: Hex }
    KeySets { read: Hex, follow: Hex, without_admission: Hex, single_log: Hex }
    Ticket {
        thread: String,
        key_set: Hex,
        addresses: Vec<String>,
        name: String,
        text: String,
        sealed_to: String,
        entropy: Hex,
        sealed: String,
    }
    Bodies { inline: Body, block: Body, public: Body, recipient: Body, chunked: Chunked }
    Body { plaintext: Hex, content: Option<Hex>, body: Hex, sealed: Hex }
    Chunked {
        chunks: Vec<Hex>,
        content: Hex,
        blocks: Vec<Block>,
        hashes: Hex,
        manifest_plaintext: Hex,
        manifest: Hex,
        manifest_cid: String,
        body: Hex,
    }
    Block { sealed: Hex, cid: String }
    Cuts { bytes: usize, seed: Hex, sizes: Vec<usize> }
    Log { thread: String, log: String, records: Vec<Record> }
    Record {
        what: String,
        counter: u64,
        prev: Option<String>,
        skip: Option<String>,
        links: Vec<String>,
        control: Option<Hex>,
        event: Event,
        signed: Hex,
        signature: Hex,
        plaintext: Hex,
        sealed: Hex,
        cid: String,
    }
    Event {
        millis: u64,
        time_counter: u16,
        kind: u64,
        content: Option<Hex>,
        heads: Vec<Head>,
        owner: Option<Hex>,
        body: Option<Hex>,
        plaintext: Hex,
        sealed: Hex,
    }
    Head { log: String, counter: u64, cid: String }
    Envelope {
        topic: String,
        log: String,
        counter: u64,
        key_id: String,
        records: Vec<Hex>,
        blocks: Vec<Hex>,
        sender_seed: Hex,
        sender: String,
        hash: Hex,
        signature: Hex,
        protobuf: Hex,
    }
    Gossip { head: Head, protobuf: Hex, sealed: Hex, message_id: Hex }
    Proof { requester: String, responder: String, request: Hex, response: Hex }
    Edge { what: String, logs: Vec<EdgeLog>, edge: Hex }
    EdgeLog { log: String, counter: u64, cid: Option<String>, fork: Option<EdgeFork> }
    EdgeFork { inert: u64, xor: Hex }
}
