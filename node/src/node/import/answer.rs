//! What an archive answers as a peer.

use ed25519_dalek::SigningKey;
use spool_proto::{
    PeerId,
    envelope::{Run, peer_id},
    keys::{AccessKey, Direction},
    wire::{Ack, Contents, Edge, Opened, Proof, Refusal, Request, Response, Role, Terms},
};

use super::file::Archive;
use crate::model::Error;

/// What an archive answers.
pub(super) fn answer(
    archive: &Archive,
    access: &AccessKey,
    asker: &PeerId,
    key: &SigningKey,
    request: Request,
) -> Result<Response, Error> {
    let me = peer_id(key);
    Ok(match request {
        Request::Proofs(proofs) => {
            let own = proofs.iter().filter(|proof| proof.topic == archive.topic);
            let mac = access.proof(asker, &me, Direction::Response);
            Response::Proofs(
                own.map(|proof| Proof { topic: proof.topic, mac, role: Role::Reader, terms: Terms::default() })
                    .collect(),
            )
        }
        Request::Edges(nodes) => {
            // An edge that nobody has: so its heads are asked for.
            let edge = |topic| Edge { topic, edge: [0; 16] };
            let below = |node: &spool_proto::wire::Node| {
                let edges = Some(archive.topic).filter(|topic| node.prefix.contains(topic)).map(edge);
                Opened { prefix: node.prefix.clone(), contents: Contents::Edges(edges.into_iter().collect()) }
            };
            Response::Edges(nodes.iter().map(below).collect())
        }
        Request::Heads { after, .. } => {
            let (heads, more) = archive.heads(after);
            Response::Heads { heads, more }
        }
        Request::Records { topic, log, after, until } => match archive.records(&log, after, until)? {
            None => Response::Records { envelope: None, more: false },
            Some((key_id, records, more)) => {
                let run = Run { log, counter: after + 1, key_id, records, blocks: Vec::new() };
                Response::Records { envelope: Some(Box::new(run.sign(topic, key))), more }
            }
        },
        Request::Inert { log, after, .. } => {
            let (records, more) = archive.inert(&log, after)?;
            Response::Inert { records, more }
        }
        Request::Blocks { cids, .. } => {
            let (blocks, more) = archive.some_blocks(&cids)?;
            Response::Blocks { blocks, more }
        }
        // It wants nothing, and takes all.
        Request::Push(envelopes) => {
            let ack = |envelope: &spool_proto::wire::Envelope| Ack {
                topic: envelope.topic,
                log: envelope.log,
                counter: envelope.last_counter(),
                busy: false,
            };
            Response::Push(envelopes.iter().map(ack).collect())
        }
        Request::Invite { .. } => Response::Refusal(Refusal::Unknown),
    })
}
