//! Pages as a node builds them from its store.

use super::{super::effect::Serve, image::Image};
use crate::{
    envelope::Run,
    wire::{
        InertRecord, Refusal, Response,
        limits::{MAX_ENVELOPE_BLOCKS, MAX_ENVELOPE_RECORDS, PAGE_BYTES},
    },
};

/// Answers a peer's request from the disk.
pub(super) fn build(image: &Image, query: &Serve, node_key: &ed25519_dalek::SigningKey) -> Response {
    match query {
        Serve::Records { thread, topic, log, after, until } => {
            let Some(image) = image.threads.get(thread) else { return Response::Refusal(Refusal::Internal) };
            let Some(log_image) = image.logs.get(log) else { return Response::Refusal(Refusal::Internal) };
            let from = usize::try_from(*after).unwrap_or(usize::MAX).min(log_image.main.len());
            let records = log_image.main[from..].iter().take_while(|record| record.counter() <= *until);
            let mut room = PAGE_BYTES;
            let mut run: Option<Run> = None;
            for record in records.take(MAX_ENVELOPE_RECORDS) {
                let sealed = record.sealed();
                let run = run.get_or_insert_with(|| Run {
                    log: *log,
                    counter: record.counter(),
                    key_id: sealed.key_id,
                    records: Vec::new(),
                    blocks: Vec::new(),
                });
                let blocks: Vec<_> =
                    record.links().as_slice().iter().filter_map(|cid| image.blocks.get(cid)).cloned().collect();
                let bytes = sealed.bytes.len() + blocks.iter().map(bytes::Bytes::len).sum::<usize>();
                let full = bytes > room || run.blocks.len() + blocks.len() > MAX_ENVELOPE_BLOCKS;
                if run.key_id != sealed.key_id || (full && !run.records.is_empty()) {
                    break;
                }
                room = room.saturating_sub(bytes);
                run.records.push(sealed.bytes.clone());
                if !full {
                    run.blocks.extend(blocks);
                }
            }
            let more = run.as_ref().is_some_and(|run| run.counter + (run.records.len() as u64) <= *until);
            Response::Records { envelope: run.map(|run| Box::new(run.sign(*topic, node_key))), more }
        }
        Serve::Inert { thread, log, fork, after } => {
            let Some(log) = image.find(thread, log) else { return Response::Refusal(Refusal::Internal) };
            let inert = log.inert_from(*fork);
            let mut rest = inert.into_iter().filter(|(key, _)| after.is_none_or(|after| *key > after)).peekable();
            let mut room = PAGE_BYTES;
            let mut records = Vec::new();
            while let Some((_, record)) =
                rest.next_if(|(_, record)| records.is_empty() || record.sealed().bytes.len() <= room)
            {
                let sealed = record.sealed();
                room = room.saturating_sub(sealed.bytes.len());
                records.push(InertRecord { key_id: sealed.key_id, record: sealed.bytes.clone() });
            }
            Response::Inert { more: rest.peek().is_some(), records }
        }
        Serve::Blocks { thread, cids } => {
            let Some(image) = image.threads.get(thread) else { return Response::Refusal(Refusal::Internal) };
            let mut room = PAGE_BYTES;
            let mut blocks = Vec::new();
            let mut more = false;
            for block in cids.iter().filter_map(|cid| image.blocks.get(cid)) {
                if block.len() > room && !blocks.is_empty() {
                    more = true;
                    break;
                }
                room = room.saturating_sub(block.len());
                blocks.push(block.clone());
            }
            Response::Blocks { blocks, more }
        }
    }
}
