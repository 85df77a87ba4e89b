//! Invitations: the input as sealed bytes, and as a plaintext sealed to the node that opens it.

#![no_main]

use ed25519_dalek::SigningKey;
use libfuzzer_sys::fuzz_target;
use spool_fuzz::{Budget, LIST_BYTES, LOG_SEED, log};
use spool_proto::{
    Identity, Invitation, PeerId, hpke,
    limits::{MAX_INVITATION_AGE_MILLIS, MAX_SEALED_KEY_SET_BYTES},
};

fuzz_target!(|data: &[u8]| {
    // A node invites itself: so that one key is enough.
    let (node_key, node) = (SigningKey::from_bytes(&LOG_SEED), PeerId::from(log()));
    let open = |sealed: &[u8]| {
        Budget::new(MAX_SEALED_KEY_SET_BYTES, 24)
            .and(3 * LIST_BYTES)
            .run(sealed.len(), || Invitation::open(&node_key, &node, sealed))
            .ok()
    };
    open(data);

    let recipient = Identity::from_seed(LOG_SEED).public();
    let Some(invitation) = open(&hpke::seal(&recipient, hpke::INVITATION, data, [1; 32])) else { return };
    assert_eq!((invitation.from, invitation.to), (node, node), "it is for another pair of nodes");
    assert!(invitation.is_timely(invitation.issued_millis.saturating_add(MAX_INVITATION_AGE_MILLIS)));
});
