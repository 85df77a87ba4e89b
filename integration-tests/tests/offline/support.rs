//! Queries and files for all of these tests.

use bytes::Bytes;
use futures::StreamExt as _;
use spool_integration_tests::{TestNode, eventually};
use spool_node::model::{AppendOptions, Audience, BoxError, Error, LogQuery};
use spool_proto::{Cid, ThreadId};

/// Everything of a thread, and what comes.
pub(super) fn joined(thread: &ThreadId) -> LogQuery {
    LogQuery {
        thread: thread.clone(),
        logs: Vec::new(),
        after: Default::default(),
        limit: None,
        follow: true,
        max_body: 1 << 20,
    }
}

/// Bytes without a pattern that chunking or compression could use.
pub(super) fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    (0..size)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        })
        .collect()
}

pub(super) async fn add(node: &TestNode, thread: &ThreadId, content: &[u8], audience: Audience) -> Cid {
    let pieces: Vec<Result<Bytes, BoxError>> =
        content.chunks(100_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let options = AppendOptions { audience, ..AppendOptions::default() };
    let receipt = node.add(thread, futures::stream::iter(pieces).boxed(), options).await.expect("the file is added");
    assert_eq!(receipt.size, content.len() as u64);
    receipt.cid
}

pub(super) async fn cat(node: &TestNode, cid: &Cid) -> Result<Vec<u8>, Error> {
    let mut content = node.cat(cid).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = content.pieces.next().await {
        bytes.extend_from_slice(&piece?);
    }
    assert_eq!(bytes.len() as u64, content.size);
    Ok(bytes)
}

/// Waits until a whole body has come, byte for byte.
pub(super) async fn has_body(node: &TestNode, cid: &Cid, expected: &[u8]) {
    let what = format!("a body of {} bytes arrives", expected.len());
    let bytes = eventually(&what, || async { cat(node, cid).await.ok() }).await;
    assert!(bytes == expected, "another body than the writer's");
}
