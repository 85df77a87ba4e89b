//! The limits of the parts: signatures, cipher, hash, database.

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use ed25519_dalek::{Signer as _, SigningKey};
use spool_proto::{
    block,
    keys::SealKey,
    seal::{self, Layer, Place},
};
use spool_store::{
    Kv as _,
    kv::{Batch, Space, rocks},
};

use super::Part;

/// How long each part is measured.
const SPAN: Duration = Duration::from_millis(700);
/// Bytes of what ciphers and hashes are measured with.
const BLOCK_BYTES: usize = 64 * 1024;
/// Events in one synced batch.
const BATCH: u64 = 100;

/// Rates of a function that does `each` units a call.
fn rate(each: f64, mut act: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    act()?;
    let start = Instant::now();
    let mut calls = 0u64;
    while start.elapsed() < SPAN {
        act()?;
        calls += 1;
    }
    Ok(calls as f64 * each / start.elapsed().as_secs_f64())
}

/// Uses a result, so that the compiler cannot leave it out.
fn done<T>(result: T) -> anyhow::Result<()> {
    black_box(result);
    Ok(())
}

pub(super) fn measure(directory: &Path) -> anyhow::Result<Vec<Part>> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let message = [1; 300];
    let signature = key.sign(&message);
    let verifying = key.verifying_key();
    let seal_key = SealKey::new([3; 32]);
    let data = vec![9; BLOCK_BYTES];
    let place = Place { layer: Layer::Body, thread: &[1; 34], log: &[2; 38] };
    let megabytes = BLOCK_BYTES as f64 / 1e6;
    let part = |name, rate, unit| Part { name, rate, unit };
    Ok(vec![
        part("signatures", rate(1.0, || done(key.sign(&message)))?, "/s"),
        part("verifications", rate(1.0, || Ok(verifying.verify_strict(&message, &signature)?))?, "/s"),
        part("sealing", rate(megabytes, || done(seal::seal(&seal_key, place, &data)))?, "MB/s"),
        part("hash", rate(megabytes, || done(block::cid(&data)))?, "MB/s"),
        part("database, synced batches of 100 events", database(directory)?, "events/s"),
    ])
}

/// Events of three keys, a hundred in each synced batch.
fn database(directory: &Path) -> anyhow::Result<f64> {
    let place = tempfile::tempdir_in(directory)?;
    let kv = rocks::Rocks::open(place.path(), &rocks::Options::default())?;
    let mut next = 0u64;
    rate(BATCH as f64, || {
        let mut batch = Batch::default();
        for _ in 0..BATCH {
            next += 1;
            let digest = block::digest(&block::cid(&next.to_be_bytes()))?;
            batch.put(Space::Records, next.to_be_bytes(), vec![7; 480]);
            batch.put(Space::Index, digest, vec![1; 16]);
            batch.put(Space::Logs, [1; 8], vec![2; 600]);
        }
        Ok(kv.write(&batch, true)?)
    })
}
