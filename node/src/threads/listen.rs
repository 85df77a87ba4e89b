//! Listening: what changes from now on. Nothing is left out: whoever reads slowly is told only the last of several changes of one instance, and slows nobody.

use futures::{Stream, StreamExt as _};
use serde_json::Value;
use spool_db::documents::{Change, Kind};
use tonic::Status;

use super::{
    base::Base,
    limits,
    pb::{
        ListenReply, ListenRequest,
        listen_reply::Action as Told,
        listen_request::{Filter as Sent, filter::Action},
    },
    refused::Refused,
};
use crate::model::{WatchQuery, WatchStep};

/// Which changes are wanted.
struct Filter {
    collection: String,
    id: String,
    kind: Option<Kind>,
}

impl Filter {
    fn read(sent: Sent) -> Result<Self, Refused> {
        let kind = match Action::try_from(sent.action) {
            Ok(Action::All) => None,
            Ok(Action::Create) => Some(Kind::Create),
            Ok(Action::Save) => Some(Kind::Save),
            Ok(Action::Delete) => Some(Kind::Delete),
            Err(_) => return Err(Refused::invalid("invalid filter action")),
        };
        Ok(Self { collection: sent.collection_name, id: sent.instance_id, kind })
    }

    fn wants(&self, change: &Change) -> bool {
        let is = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        is(&self.collection, &change.target.collection)
            && is(&self.id, &change.target.id)
            && self.kind.is_none_or(|kind| kind == change.kind)
    }
}

/// Follows a database until the client goes, the database is deleted or the node ends.
pub(super) async fn listen(
    base: Base,
    request: ListenRequest,
) -> Result<impl Stream<Item = Result<ListenReply, Status>> + use<>, Refused> {
    if request.filters.len() > limits::FILTERS {
        return Err(Refused::invalid(format!("a listener has at most {} filters", limits::FILTERS)));
    }
    let filters = request.filters.into_iter().map(Filter::read).collect::<Result<Vec<_>, _>>()?;
    // What one filter wants need not be read for the others.
    let collection = match &filters[..] {
        [only] if !only.collection.is_empty() => Some(only.collection.clone()),
        _ => None,
    };
    let query = WatchQuery { thread: Some(base.thread.clone()), collection, ..WatchQuery::default() };
    let items = base.node().watch(query).await?;
    let stopping = base.shared.stopping.clone();
    let replies = items.filter_map(move |item| {
        let reply = match item {
            Err(error) => Some(Err(Refused::from(error).into())),
            Ok(item) => match item.step {
                WatchStep::Change(change) => wanted(&filters, &change).then(|| Ok(reply(&change))),
                WatchStep::Lagged | WatchStep::CaughtUp => None,
            },
        };
        std::future::ready(reply)
    });
    Ok(replies.take_until(stopping.cancelled_owned()))
}

fn wanted(filters: &[Filter], change: &Change) -> bool {
    // Spool's own collections are none of these clients' business.
    !change.target.collection.starts_with('_')
        && (filters.is_empty() || filters.iter().any(|filter| filter.wants(change)))
}

fn reply(change: &Change) -> ListenReply {
    let action = match change.kind {
        Kind::Create => Told::Create,
        Kind::Save => Told::Save,
        Kind::Delete => Told::Delete,
    };
    let instance = change.shown().map(|fields| Value::Object(fields).to_string().into());
    ListenReply {
        collection_name: change.target.collection.clone(),
        instance_id: change.target.id.clone(),
        action: action.into(),
        instance: instance.unwrap_or_default(),
    }
}
