//! Fields of requests as typed values, refused in the reference's words.

use spool_proto::{Address, ThreadId, ThreadKeys, address::Target};

use super::refused::{NAME, Refused};
use crate::config::MAX_NAME_BYTES;

/// The id of a database.
pub(super) fn thread(bytes: &[u8]) -> Result<ThreadId, Refused> {
    ThreadId::from_bytes(bytes).map_err(|error| Refused::invalid(error.to_string()))
}

/// A key with its read half.
pub(super) fn full_key(bytes: &[u8]) -> Result<ThreadKeys, Refused> {
    let keys = ThreadKeys::from_textile(bytes).map_err(|_| Refused::invalid("invalid key"))?;
    if keys.can_read() { Ok(keys) } else { Err(Refused::unknown("thread read key is required")) }
}

/// Keys of logs come from the node, one for each client and device: two programs that wrote to one log would fork it.
pub(super) fn no_log_key(bytes: &[u8]) -> Result<(), Refused> {
    if bytes.is_empty() {
        Ok(())
    } else {
        Err(Refused::invalid("invalid log-key: this node makes the keys of its logs"))
    }
}

/// Where a database is, and which.
pub(super) fn address(bytes: &[u8]) -> Result<(Address, ThreadId), Refused> {
    let address = Address::from_bytes(bytes).map_err(|error| Refused::invalid(error.to_string()))?;
    match (&address.target, address.peer()) {
        (Target::Thread(thread), Some(_)) => {
            let thread = thread.clone();
            Ok((address, thread))
        }
        (_, None) => Err(Refused::invalid("the address has no peer: it has to end in /p2p/<peer>/thread/<thread>")),
        _ => Err(Refused::invalid("the address has no thread: it has to end in /p2p/<peer>/thread/<thread>")),
    }
}

/// The name of a database; the reference calls one without name so.
pub(super) fn name(name: String) -> Result<String, Refused> {
    if name.is_empty() {
        return Ok("unnamed".to_owned());
    }
    let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if name.len() > MAX_NAME_BYTES || !name.split('-').all(is_plain) {
        return Err(Refused::unknown(NAME));
    }
    Ok(name)
}
