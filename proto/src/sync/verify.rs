//! What the pool checks before anything reaches the engine's state: seals, signatures, hashes. Pure; runs on any thread.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use cid::Cid;
use ed25519_dalek::Signature;

use crate::{
    PeerId, block,
    body::Manifest,
    id::{LogId, ThreadId},
    keys::LogKeys,
    record::{self, Control, Links, SealedRecord, VerifiedRecord},
};

/// Names a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ticket(pub u64);

/// Who signed an envelope, over what.
#[derive(Debug, Clone)]
pub struct Sender {
    pub(super) peer: PeerId,
    pub(super) hash: [u8; 32],
    pub(super) signature: [u8; 64],
}

/// One piece of work for the pool.
#[derive(Debug)]
pub enum Job {
    /// Records of one log, and blocks that came with them.
    Records {
        /// The thread.
        thread: ThreadId,
        /// The log.
        log: LogId,
        /// For each record the keys of its epoch.
        records: Vec<(SealedRecord, Arc<LogKeys>)>,
        /// Blocks that came with them.
        blocks: Vec<Bytes>,
        /// The envelope's signature, where they came in one.
        sender: Option<Box<Sender>>,
    },
    /// Blocks that were asked for.
    Blocks {
        /// The thread.
        thread: ThreadId,
        /// What was asked for; of a manifest with the keys that may open it.
        wanted: Vec<(Cid, Vec<Arc<LogKeys>>)>,
        /// What came.
        blocks: Vec<Bytes>,
    },
}

/// What came out.
#[derive(Debug)]
pub enum Verified {
    /// Of records.
    Records {
        /// The valid ones, up to the first that is not.
        records: Vec<Arc<VerifiedRecord>>,
        /// Why the next one is invalid.
        invalid: Option<record::Error>,
        /// Whether the first record, if it opens a log, is admitted; `None` where that cannot be known or is not the question.
        admitted: Option<bool>,
        /// Blocks that the valid records link to, each with the chunks that it lists.
        blocks: Vec<(Cid, Bytes, Vec<Cid>)>,
        /// The envelope's signature is not its sender's.
        forged_envelope: bool,
    },
    /// Of blocks.
    Blocks {
        /// Those that were asked for, each with the chunks that it lists.
        blocks: Vec<(Cid, Bytes, Vec<Cid>)>,
        /// Something came that was not asked for, or a manifest that does not open.
        invalid: bool,
    },
}

impl Job {
    /// Does the work: about 50 µs a record and 1 ms a MiB of blocks.
    pub fn run(self) -> Verified {
        match self {
            Job::Records { thread, log, records, blocks, sender } => {
                verify_records(&thread, &log, records, blocks, sender)
            }
            Job::Blocks { thread, wanted, blocks } => verify_blocks(&thread, &wanted, blocks),
        }
    }

    /// Bytes that it holds, to bound a queue by.
    pub fn bytes(&self) -> usize {
        match self {
            Job::Records { records, blocks, .. } => {
                let records: usize = records.iter().map(|(record, _)| record.bytes.len()).sum();
                records + blocks.iter().map(Bytes::len).sum::<usize>()
            }
            Job::Blocks { blocks, .. } => blocks.iter().map(Bytes::len).sum(),
        }
    }
}

fn verify_records(
    thread: &ThreadId,
    log: &LogId,
    sealed: Vec<(SealedRecord, Arc<LogKeys>)>,
    blocks: Vec<Bytes>,
    sender: Option<Box<Sender>>,
) -> Verified {
    let nothing = |invalid, forged_envelope| Verified::Records {
        records: Vec::new(),
        invalid,
        admitted: None,
        blocks: Vec::new(),
        forged_envelope,
    };
    if sender.is_some_and(|sender| !is_signed(&sender)) {
        return nothing(None, true);
    }
    let mut records = Vec::with_capacity(sealed.len());
    let mut opening = Vec::with_capacity(sealed.len());
    let mut invalid = None;
    let mut admitted = None;
    for (record, keys) in sealed {
        match record::verify(thread, log, &keys, record) {
            Ok(record) => {
                if record.counter() == 1 {
                    admitted = match record.control() {
                        Some(Control::Admission(signature)) => keys.admits(thread, signature),
                        _ => keys.admission().map(|_| false),
                    };
                }
                records.push(Arc::new(record));
                opening.push(keys);
            }
            Err(error) => {
                invalid = Some(error);
                break;
            }
        }
    }
    let blocks = linked_blocks(thread, &records, &opening, blocks);
    Verified::Records { records, invalid, admitted, blocks, forged_envelope: false }
}

/// The blocks that the records link to; one that none of them links to may belong to the record that was invalid. A manifest is opened with
/// its record's keys, so that its chunks are wanted.
fn linked_blocks(
    thread: &ThreadId,
    records: &[Arc<VerifiedRecord>],
    opening: &[Arc<LogKeys>],
    blocks: Vec<Bytes>,
) -> Vec<(Cid, Bytes, Vec<Cid>)> {
    let mut linked = BTreeMap::new();
    for (record, keys) in records.iter().zip(opening) {
        let manifest = matches!(record.links(), Links::Manifests(_)).then_some(keys);
        linked.extend(record.links().as_slice().iter().map(|cid| (*cid, manifest)));
    }
    let mut kept = Vec::with_capacity(blocks.len());
    for bytes in blocks {
        let cid = block::cid(&bytes);
        let Some(manifest) = linked.get(&cid) else { continue };
        let chunks = manifest.and_then(|keys| Manifest::open(keys, thread, &bytes).ok());
        let links = chunks.map(|manifest| manifest.chunks().iter().map(|chunk| chunk.cid).collect());
        kept.push((cid, bytes, links.unwrap_or_default()));
    }
    kept
}

fn is_signed(sender: &Sender) -> bool {
    let Some(key) = public_key(&sender.peer) else { return false };
    key.verify_strict(&sender.hash, &Signature::from_bytes(&sender.signature)).is_ok()
}

/// The ed25519 key in a peer id: those of 38 bytes carry it.
fn public_key(peer: &PeerId) -> Option<ed25519_dalek::VerifyingKey> {
    let log = LogId::from_bytes(&peer.to_bytes()).ok()?;
    Some(log.verifying_key())
}

fn verify_blocks(thread: &ThreadId, wanted: &[(Cid, Vec<Arc<LogKeys>>)], blocks: Vec<Bytes>) -> Verified {
    let mut verified = Vec::with_capacity(blocks.len());
    let mut invalid = false;
    for bytes in blocks {
        let cid = block::cid(&bytes);
        let Some((_, manifest)) = wanted.iter().find(|(wanted, _)| *wanted == cid) else {
            invalid = true;
            continue;
        };
        // One that no key opens is kept all the same: its CID is right, so its writer made it so, and it has nothing to fetch.
        let manifest = manifest.iter().find_map(|keys| Manifest::open(keys, thread, &bytes).ok());
        let links =
            manifest.map(|manifest| manifest.chunks().iter().map(|chunk| chunk.cid).collect()).unwrap_or_default();
        verified.push((cid, bytes, links));
    }
    Verified::Blocks { blocks: verified, invalid }
}
