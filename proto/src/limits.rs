//! Every bound of the formats and of the engine, with its unit and its reason. Sizes are checked before anything is decoded.

/// Bytes of a sealed record: a page of 1 MiB then holds at least sixteen, and one fits into a gossip message.
pub const MAX_RECORD_BYTES: usize = 64 * 1024;
/// Bytes of a body that travels inside its event, before sealing; larger ones become a block of their own.
pub const MAX_INLINE_BODY_BYTES: usize = 8 * 1024;
/// Bytes of a body that is one block, before sealing; larger ones are cut into chunks.
pub const MAX_SINGLE_BODY_BYTES: usize = 256 * 1024;
/// Bytes of any block: what IPFS implementations exchange without complaint.
pub const MAX_BLOCK_BYTES: usize = 1024 * 1024;
/// Smallest chunk of a large body, bytes.
pub const MIN_CHUNK_BYTES: usize = 64 * 1024;
/// Aimed size of a chunk, bytes.
pub const AVERAGE_CHUNK_BYTES: usize = 256 * 1024;
/// Largest chunk before sealing, bytes; sealed it must stay below `MAX_BLOCK_BYTES`.
pub const MAX_CHUNK_BYTES: usize = 1_048_000;
/// Chunks of one manifest: 8,192 entries are about 600 KB, so a manifest is one block.
pub const MAX_MANIFEST_CHUNKS: usize = 8_192;
/// Links of one record, and so manifests of one body: 64 manifests of average chunks are 128 GiB.
pub const MAX_LINKS: usize = 64;
/// Heads of other logs that one event cites.
pub const MAX_CITED_HEADS: usize = 32;
/// Addresses in one announcement, ticket or log.
pub const MAX_ADDRESSES: usize = 16;
/// Bytes of one address in binary form.
pub const MAX_ADDRESS_BYTES: usize = 512;
/// Recipients of one change of key; more take several records.
pub const MAX_REKEY_RECIPIENTS: usize = 64;
/// Bytes of something sealed to a public key.
pub const MAX_SEALED_KEY_SET_BYTES: usize = 64 * 1024;
/// Epochs in one key set.
pub const MAX_EPOCHS: usize = 256;
/// Single logs in one key set.
pub const MAX_LOG_KEYS: usize = 256;
/// Bytes of the code that an invitation may carry.
pub const MAX_CODE_BYTES: usize = 256;
/// Milliseconds after its issue during which an invitation is taken: it is delivered at once or made anew.
pub const MAX_INVITATION_AGE_MILLIS: u64 = 60 * 60 * 1000;
/// Characters of a ticket.
pub const MAX_TICKET_CHARACTERS: usize = 128 * 1024;
/// Bytes of a thread's or node's name.
pub const MAX_NAME_BYTES: usize = 256;
/// Random bytes of a thread id, at least (white paper) and at most.
pub const THREAD_ID_RANDOM_BYTES: std::ops::RangeInclusive<usize> = 16..=64;
/// Bytes of a delegation statement.
pub const MAX_STATEMENT_BYTES: usize = 1024;
/// Milliseconds that an event may be ahead of the local clock before it is held back.
pub const MAX_CLOCK_AHEAD_MILLIS: u64 = 10 * 60 * 1000;
/// Bytes of a passphrase: far more than anybody types, and read whole before anything is made of it.
pub const MAX_PASSPHRASE_BYTES: usize = 1024;
/// Bytes of the file with a repository's key; it has about 170.
pub const MAX_KEY_FILE_BYTES: usize = 512;
/// KiB that Argon2 may be told to fill: a key file from elsewhere must not take all memory of a machine (1 GiB).
pub const MAX_ARGON2_KIB: u32 = 1024 * 1024;
/// Passes over that memory.
pub const MAX_ARGON2_PASSES: u32 = 64;
/// Lanes of that memory.
pub const MAX_ARGON2_LANES: u32 = 16;
/// KiB times passes: some twenty times what a new key file asks for, so that one from elsewhere does not stop a start for hours either.
pub const MAX_ARGON2_WORK_KIB: u64 = 4 * 1024 * 1024;
