use ed25519_dalek::SigningKey;

use super::*;
use crate::{
    id::{LogId, Variant},
    keys::Epoch,
};

const KEY: [u8; 32] = [6; 32];
const THREAD_KEY: Protection = Protection::Thread { key: KEY };

struct Fixture {
    thread: ThreadId,
    log: LogId,
    epoch: Epoch,
    keys: LogKeys,
}

fn fixture() -> Fixture {
    let log = LogId::from(&SigningKey::from_bytes(&[7; 32]));
    let epoch = Epoch::generate(std::array::from_fn(|i| i as u8));
    Fixture { thread: ThreadId::new(Variant::Raw, [1; 32]), log, keys: LogKeys::derive(&epoch, &log), epoch }
}

fn to(seed: u8) -> Protection {
    Protection::Recipient { to: Identity::from_seed([seed; 32]).public(), key: KEY, entropy: [8; 32] }
}

impl Fixture {
    fn seal(&self, plain: &[u8], protection: &Protection) -> SealedBody {
        seal_body(plain, protection, &self.keys, &self.thread).unwrap()
    }

    fn secret(&self, protection: &Protection) -> ChunkSecret {
        self.epoch.chunk_secret(protection.is_public()).unwrap()
    }

    /// Cuts where the caller says; returns the body and all blocks.
    fn chunk(&self, chunks: &[&[u8]], protection: &Protection) -> (SealedBody, Vec<Block>) {
        let mut chunker = Chunker::new(protection.clone(), &self.keys, &self.thread, self.secret(protection));
        let mut blocks: Vec<Block> = chunks.iter().flat_map(|chunk| chunker.chunk(chunk).unwrap()).collect();
        let sealed = chunker.finish().unwrap();
        blocks.extend(sealed.blocks.iter().cloned());
        (sealed, blocks)
    }

    /// Reads a chunked body back, with what a reader has.
    fn assemble(&self, sealed: &SealedBody, blocks: &[Block], protection: &Protection) -> Vec<u8> {
        let Body::Chunks { manifests, .. } = &sealed.body else { panic!("chunked") };
        let block = |cid: &Cid| blocks.iter().find(|block| block.0 == *cid).unwrap();
        let key = content_key(sealed.content.as_ref(), &self.keys, None).unwrap();
        let mut body = Vec::new();
        for cid in manifests {
            let (_, bytes, lists) = block(cid);
            let manifest = Manifest::open(&self.keys, &self.thread, bytes).unwrap();
            assert_eq!(manifest.chunks().iter().map(|chunk| chunk.cid).collect::<Vec<_>>(), *lists);
            let hashes = manifest.hashes(&key, &self.keys, &self.thread).unwrap();
            for (chunk, hash) in manifest.chunks().iter().zip(&hashes) {
                let plain = open_chunk(&block(&chunk.cid).1, hash, &self.secret(protection), &self.thread).unwrap();
                assert_eq!(plain.len() as u64, chunk.size);
                body.extend(plain);
            }
        }
        body
    }
}

#[test]
fn small_bodies_are_inline_and_larger_ones_blocks() {
    let log = fixture();
    for (size, inline) in [(0, true), (8_192, true), (8_193, false), (262_144, false)] {
        let plain = vec![7; size];
        let sealed = log.seal(&plain, &THREAD_KEY);
        assert_eq!(sealed.body.size(), size as u64);
        let bytes = match &sealed.body {
            Body::Inline(bytes) if inline => bytes,
            Body::Block { cid, .. } if !inline => {
                let (stored, bytes, links) = &sealed.blocks[0];
                assert_eq!((stored, links.len()), (cid, 0));
                assert_eq!(block::cid(bytes), *cid);
                bytes
            }
            other => panic!("{size}: {other:?}"),
        };
        let key = content_key(sealed.content.as_ref(), &log.keys, None).unwrap();
        assert_eq!(open_body(bytes, &key, &log.keys, &log.thread).unwrap(), plain);
    }
    let large = seal_body(&vec![7; 262_145], &THREAD_KEY, &log.keys, &log.thread);
    assert_eq!(large, Err(Error::TooLarge(262_145)));
}

#[test]
fn a_public_body_opens_for_followers_and_is_never_inline() {
    let log = fixture();
    let sealed = log.seal(b"for all", &Protection::Public);
    assert_eq!(sealed.content, None);
    assert!(matches!(sealed.body, Body::Block { size: 7, .. }));
    let follower = LogKeys::derive(&log.epoch.without_read(), &log.log);
    let key = content_key(None, &follower, None).unwrap();
    assert_eq!(open_body(&sealed.blocks[0].1, &key, &follower, &log.thread).unwrap(), b"for all");
    // Of another log it is another key.
    let other = LogKeys::derive(&log.epoch, &LogId::from(&SigningKey::from_bytes(&[8; 32])));
    let key = content_key(None, &other, None).unwrap();
    assert!(open_body(&sealed.blocks[0].1, &key, &log.keys, &log.thread).is_err());
}

#[test]
fn a_body_for_one_recipient_opens_for_nobody_else() {
    let log = fixture();
    let sealed = log.seal(b"for you", &to(5));
    let content = sealed.content.as_ref();
    let Body::Inline(bytes) = &sealed.body else { panic!("inline") };
    let recipient = Identity::from_seed([5; 32]);
    let key = content_key(content, &log.keys, Some(&recipient)).unwrap();
    assert_eq!(open_body(bytes, &key, &log.keys, &log.thread).unwrap(), b"for you");
    let refused = || Error::NotTheRecipient(recipient.public());
    assert_eq!(content_key(content, &log.keys, None), Err(refused()));
    assert_eq!(content_key(content, &log.keys, Some(&Identity::from_seed([4; 32]))), Err(refused()));
    // Who claims to be the recipient, and is not, gets nowhere.
    let Some(Content::Recipient { sealed, .. }) = sealed.content else { panic!("for a recipient") };
    let other = Identity::from_seed([4; 32]);
    let claimed = Content::Recipient { to: other.public(), sealed };
    assert!(matches!(content_key(Some(&claimed), &log.keys, Some(&other)), Err(Error::ContentKey(_))));
}

#[test]
fn a_body_belongs_to_its_log_and_thread() {
    let log = fixture();
    let Body::Inline(bytes) = log.seal(b"here", &THREAD_KEY).body else { panic!("inline") };
    let key = SealKey::new(KEY);
    let other_log = LogKeys::derive(&log.epoch, &LogId::from(&SigningKey::from_bytes(&[8; 32])));
    assert!(open_body(&bytes, &key, &other_log, &log.thread).is_err());
    assert!(open_body(&bytes, &key, &log.keys, &ThreadId::new(Variant::Raw, [2; 32])).is_err());
    assert!(open_body(&bytes, &SealKey::new([9; 32]), &log.keys, &log.thread).is_err());
}

#[test]
fn chunks_come_back_in_order() {
    let log = fixture();
    let plain: Vec<u8> = (0..1_000_000u64).map(|i| (i * i % 251) as u8).collect();
    for protection in [THREAD_KEY, Protection::Public] {
        let chunks: Vec<&[u8]> = plain.chunks(99_999).collect();
        let (sealed, blocks) = log.chunk(&chunks, &protection);
        assert_eq!(sealed.body.size(), 1_000_000);
        assert_eq!(blocks.len(), chunks.len() + 1);
        assert!(blocks.iter().all(|(cid, bytes, _)| block::cid(bytes) == *cid));
        assert_eq!(log.assemble(&sealed, &blocks, &protection), plain);
    }
}

#[test]
fn a_full_manifest_is_followed_by_another() {
    let log = fixture();
    let chunks: Vec<Vec<u8>> = (0..MAX_MANIFEST_CHUNKS as u16 + 3).map(|i| i.to_be_bytes().to_vec()).collect();
    let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
    let (sealed, blocks) = log.chunk(&chunks, &THREAD_KEY);
    let Body::Chunks { manifests, .. } = &sealed.body else { panic!("chunked") };
    assert_eq!(manifests.len(), 2);
    let lists: Vec<usize> = blocks.iter().filter(|block| !block.2.is_empty()).map(|block| block.2.len()).collect();
    assert_eq!(lists, [MAX_MANIFEST_CHUNKS, 3]);
    let (_, first, _) = blocks.iter().find(|block| block.0 == manifests[0]).unwrap();
    assert!(first.len() < MAX_BLOCK_BYTES, "{}", first.len());
    assert_eq!(log.assemble(&sealed, &blocks, &THREAD_KEY), chunks.concat());
    // Exactly full: no empty manifest behind it.
    let (sealed, _) = log.chunk(&chunks[..MAX_MANIFEST_CHUNKS], &THREAD_KEY);
    assert!(matches!(&sealed.body, Body::Chunks { manifests, .. } if manifests.len() == 1));
    assert!(sealed.blocks.is_empty());
    // Nothing at all still has a manifest: a record links to at least one.
    let (empty, blocks) = log.chunk(&[], &THREAD_KEY);
    assert_eq!((empty.body.size(), empty.blocks.len()), (0, 1));
    assert_eq!(log.assemble(&empty, &blocks, &THREAD_KEY), b"");
}

#[test]
fn equal_chunks_are_stored_once() {
    let log = fixture();
    let (first, blocks) = log.chunk(&[b"one", b"two", b"one"], &THREAD_KEY);
    assert_eq!(blocks[0], blocks[2]);
    assert_ne!(blocks[0].0, blocks[1].0);
    assert_eq!(log.assemble(&first, &blocks, &THREAD_KEY), b"onetwoone");
    // In another body with another content key, of another log too; but not in another thread, and not among public bodies.
    let chunk = |log: &Fixture, protection| log.chunk(&[b"one"], &protection).1[0].0;
    assert_eq!(chunk(&log, Protection::Thread { key: [9; 32] }), blocks[0].0);
    let signer = SigningKey::from_bytes(&[8; 32]);
    let other = Fixture { keys: LogKeys::derive(&log.epoch, &LogId::from(&signer)), ..fixture() };
    assert_eq!(chunk(&other, THREAD_KEY), blocks[0].0);
    assert_ne!(chunk(&log, Protection::Public), blocks[0].0);
    assert_ne!(chunk(&Fixture { thread: ThreadId::new(Variant::Raw, [2; 32]), ..fixture() }, THREAD_KEY), blocks[0].0);
    assert_ne!(chunk(&Fixture { epoch: Epoch::generate([4; 64]), ..fixture() }, THREAD_KEY), blocks[0].0);
}

#[test]
fn chunks_and_hashes_in_another_place_are_refused() {
    let log = fixture();
    let (sealed, blocks) = log.chunk(&[b"one", b"two"], &THREAD_KEY);
    let manifest = Manifest::open(&log.keys, &log.thread, &sealed.blocks[0].1).unwrap();
    let hashes = manifest.hashes(&SealKey::new(KEY), &log.keys, &log.thread).unwrap();
    let secret = log.secret(&THREAD_KEY);
    assert!(open_chunk(&blocks[0].1, &hashes[1], &secret, &log.thread).is_err());
    assert!(open_chunk(&blocks[0].1, &hashes[0], &log.secret(&Protection::Public), &log.thread).is_err());
    assert!(open_chunk(&blocks[0].1, &hashes[0], &secret, &ThreadId::new(Variant::Raw, [2; 32])).is_err());
    assert!(manifest.hashes(&SealKey::new([9; 32]), &log.keys, &log.thread).is_err());
    // Sealed rightly under the key that a hash names, with another content.
    let lie = seal::seal(&secret.key(&hashes[0]), place(Layer::Chunk, &log.thread, &[]), b"three");
    assert_eq!(open_chunk(&lie, &hashes[0], &secret, &log.thread), Err(Error::WrongChunk));
    // A follower sees the chunks and not what is in them.
    let follower = LogKeys::derive(&log.epoch.without_read(), &log.log);
    assert_eq!(Manifest::open(&follower, &log.thread, &sealed.blocks[0].1).unwrap(), manifest);
    assert!(manifest.hashes(follower.public(), &follower, &log.thread).is_err());
}

#[test]
fn malformed_manifests_are_refused_with_their_reason() {
    let log = fixture();
    let open = |plain: &[u8]| {
        let id = log.log.to_bytes();
        let sealed = seal::seal(log.keys.manifest(), place(Layer::Manifest, &log.thread, &id), plain);
        Manifest::open(&log.keys, &log.thread, &sealed)
    };
    let with = |version, chunks: Vec<(Cid, u64)>| open(&cbor::to_vec(&PlainManifest(version, chunks, ByteBuf::new())));
    let reason = |result: Result<Manifest, Error>| match result {
        Err(Error::Manifest(reason)) => reason,
        other => panic!("{other:?}"),
    };
    let cid = block::cid(b"chunk");
    let limit = MAX_BLOCK_BYTES as u64;
    assert_eq!(with(1, vec![(cid, limit); MAX_MANIFEST_CHUNKS]).unwrap().chunks().len(), MAX_MANIFEST_CHUNKS);
    assert!(reason(with(2, vec![(cid, 1)])).contains("version 2"));
    assert!(reason(with(1, vec![(cid, 1); MAX_MANIFEST_CHUNKS + 1])).contains("8193 chunks"));
    assert!(reason(with(1, vec![(cid, limit + 1)])).contains("no block can hold"));
    assert!(reason(with(1, vec![(Cid::new_v1(0x71, *cid.hash()), 1)])).contains("no block can hold"));
    assert!(reason(open(&[0x83, 0x01, 0x80, 0x40, 0x00])).contains("cbor"));
    assert!(reason(open(&[0x83, 0x18, 0x01, 0x80, 0x40])).contains("cbor"));
    assert!(open(&[0x83, 0x01, 0x80, 0x40]).is_ok());
    // One hash for each chunk: a list of hashes that is too short, or not made of hashes.
    let hashes = |bytes: usize| {
        let id = log.log.to_bytes();
        let hashes = seal::seal(&SealKey::new(KEY), place(Layer::Hashes, &log.thread, &id), &vec![0; bytes]);
        let plain = cbor::to_vec(&PlainManifest(1, vec![(cid, 1); 2], ByteBuf::from(hashes)));
        open(&plain).unwrap().hashes(&SealKey::new(KEY), &log.keys, &log.thread)
    };
    assert_eq!(hashes(64).unwrap().len(), 2);
    for bytes in [0, 32, 63, 65, 96] {
        assert!(
            reason(hashes(bytes).map(|_| panic!("{bytes} bytes of hashes"))).contains("one hash for each chunk"),
            "{bytes}"
        );
    }
}

#[test]
fn a_chunk_that_no_block_can_hold_is_refused() {
    let log = fixture();
    let mut chunker = Chunker::new(THREAD_KEY, &log.keys, &log.thread, log.secret(&THREAD_KEY));
    let most = MAX_BLOCK_BYTES - seal::OVERHEAD_BYTES;
    assert_eq!(chunker.chunk(&vec![0; most + 1]), Err(Error::TooLarge(most + 1)));
    assert_eq!(chunker.chunk(&vec![0; most]).unwrap()[0].1.len(), MAX_BLOCK_BYTES);
}
