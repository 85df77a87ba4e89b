//! Fields of requests as typed values.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use spool_proto::LogId;
use spool_proto::id::Variant;
use spool_proto::key_set::Scope;

use super::limits::{
    FOLLOWERS_TIMEOUT, MAX_BODY_BYTES, MAX_FOLLOWERS_TIMEOUT, MAX_SYNC_TIMEOUT, RECOVER_TIMEOUT, SYNC_TIMEOUT,
};
use super::pb;
use crate::config::MAX_NAME_BYTES;
use crate::model::{AppendOptions, Audience, Durability, Error, LogQuery, RecoverOptions, SyncOptions, VerifyOptions};

/// Bytes of an id or address as text; all are far shorter.
const MAX_ID_BYTES: usize = 1024;

/// Reads an id, or says which field holds what instead.
pub(super) fn id<T>(field: &str, text: &str) -> Result<T, Error>
where
    T: FromStr,
    T::Err: Display,
{
    if text.len() > MAX_ID_BYTES {
        return Err(Error::Invalid(format!("`{field}` has {} characters, too many for any id", text.len())));
    }
    text.parse().map_err(|error| Error::Invalid(format!("`{field}` is not valid: {error}")))
}

pub(super) fn name(name: Option<String>) -> Result<Option<String>, Error> {
    let Some(text) = name else { return Ok(None) };
    if text.is_empty() || text.len() > MAX_NAME_BYTES || text.chars().any(char::is_control) {
        let message = format!("a name has 1 to {MAX_NAME_BYTES} bytes and no control characters");
        return Err(Error::Invalid(message));
    }
    Ok(Some(text))
}

pub(super) fn scope(scope: i32) -> Result<Scope, Error> {
    match pb::Scope::try_from(scope) {
        Ok(pb::Scope::Follow) => Ok(Scope::Follow),
        Ok(pb::Scope::Read) => Ok(Scope::Read),
        // No default: handing over too much cannot be taken back.
        Ok(pb::Scope::Unspecified) | Err(_) => Err(Error::Invalid("`scope` has to be follow or read".into())),
    }
}

pub(super) fn variant(variant: i32) -> Result<Variant, Error> {
    match pb::Variant::try_from(variant) {
        Ok(pb::Variant::Unspecified | pb::Variant::Raw) => Ok(Variant::Raw),
        Ok(pb::Variant::AccessControlled) => Ok(Variant::AccessControlled),
        Err(_) => Err(Error::Invalid(format!("`variant` {variant} is not known"))),
    }
}

pub(super) fn append_options(options: Option<pb::AppendOptions>) -> Result<AppendOptions, Error> {
    let Some(options) = options else { return Ok(AppendOptions::default()) };
    let durability = match pb::Durability::try_from(options.durability) {
        Ok(pb::Durability::Unspecified) => None,
        Ok(pb::Durability::Sync) => Some(Durability::Sync),
        Ok(pb::Durability::Relaxed) => Some(Durability::Relaxed),
        Err(_) => return Err(Error::Invalid(format!("`durability` {} is not known", options.durability))),
    };
    let audience = match options.audience {
        None | Some(pb::append_options::Audience::Public(false)) => Audience::Readers,
        Some(pb::append_options::Audience::Public(true)) => Audience::Public,
        Some(pb::append_options::Audience::Recipient(identity)) => Audience::Recipient(id("recipient", &identity)?),
    };
    Ok(AppendOptions { durability, audience, client: None })
}

pub(super) fn log_query(request: &pb::ReadLogRequest) -> Result<LogQuery, Error> {
    if request.follow && request.limit.is_some() {
        return Err(Error::Invalid("`limit` ends a stream and `follow` keeps it open: ask for one of them".into()));
    }
    let logs = request.logs.iter().map(|log| id("logs", log)).collect::<Result<_, _>>()?;
    let after = request.after.iter().map(|(log, counter)| Ok((id::<LogId>("after", log)?, *counter)));
    Ok(LogQuery {
        thread: id("thread", &request.thread)?,
        logs,
        after: after.collect::<Result<BTreeMap<_, _>, Error>>()?,
        limit: request.limit,
        follow: request.follow,
        max_body: max_body(request.max_body),
    })
}

pub(super) fn max_body(bytes: u64) -> usize {
    bytes.min(MAX_BODY_BYTES) as usize
}

pub(super) fn sync_options(request: &pb::SyncRequest) -> Result<SyncOptions, Error> {
    let thread = request.thread.as_deref().map(|thread| id("thread", thread)).transpose()?;
    let timeout = request.timeout_ms.map_or(SYNC_TIMEOUT, Duration::from_millis).min(MAX_SYNC_TIMEOUT);
    Ok(SyncOptions { thread, timeout })
}

pub(super) fn followers_timeout(millis: Option<u64>) -> Duration {
    millis.map_or(FOLLOWERS_TIMEOUT, Duration::from_millis).min(MAX_FOLLOWERS_TIMEOUT)
}

pub(super) fn recover_options(request: &pb::RecoverRequest) -> Result<RecoverOptions, Error> {
    let from = request.from.as_deref().map(|from| id("from", from)).transpose()?;
    let timeout = request.timeout_ms.map_or(RECOVER_TIMEOUT, Duration::from_millis).min(MAX_SYNC_TIMEOUT);
    Ok(RecoverOptions { from, timeout })
}

pub(super) fn verify_options(request: &pb::VerifyRequest) -> Result<VerifyOptions, Error> {
    Ok(VerifyOptions { thread: id("thread", &request.thread)?, bodies: !request.skip_bodies })
}

#[cfg(test)]
mod tests {
    use spool_proto::{Cid, ThreadId};

    use super::*;

    #[test]
    fn a_wrong_id_is_named_with_its_field() {
        let error = id::<ThreadId>("thread", "nonsense").unwrap_err();
        assert!(matches!(&error, Error::Invalid(message) if message.starts_with("`thread` is not valid: ")), "{error}");
        let error = id::<Cid>("cid", &"b".repeat(2000)).unwrap_err();
        assert_eq!(error.to_string(), "`cid` has 2000 characters, too many for any id");
    }

    #[test]
    fn a_scope_has_to_be_said() {
        assert!(scope(0).is_err());
        assert!(scope(77).is_err());
        assert!(matches!(scope(pb::Scope::Read.into()), Ok(Scope::Read)));
    }

    #[test]
    fn names_are_bounded_and_printable() {
        assert!(name(Some("a".repeat(65))).is_err());
        assert!(name(Some("\u{1b}[31m".into())).is_err());
        assert!(name(Some(String::new())).is_err());
        assert_eq!(name(Some("notes".into())).unwrap().as_deref(), Some("notes"));
    }

    #[test]
    fn unset_options_leave_the_choice_to_the_node() {
        assert_eq!(append_options(None).unwrap(), AppendOptions::default());
        assert_eq!(append_options(Some(pb::AppendOptions::default())).unwrap(), AppendOptions::default());
    }
}
