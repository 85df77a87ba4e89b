//! Listening: what changes from now on. Nothing is left out: whoever reads slowly is told only the last of several changes of one instance, and slows nobody.

use std::collections::HashMap;

use futures::{Stream, StreamExt as _, stream};
use serde_json::{Map, Value};
use spool_db::{
    collection::COLLECTIONS,
    documents::{Change, Kind},
};
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

type Fields = Map<String, Value>;

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
    let query = WatchQuery { thread: Some(base.thread.clone()), ..WatchQuery::default() };
    let items = base.node().watch(query).await?;
    let stopping = base.shared.stopping.clone();
    let listener = Listener { base, filters, filtered: HashMap::new() };
    let replies = stream::unfold((items, listener), |(mut items, mut listener)| async move {
        loop {
            match items.next().await?.map_err(Refused::from).map(|item| item.step) {
                Ok(WatchStep::Change(change)) => match listener.reply(*change).await {
                    Ok(None) => {}
                    Ok(Some(reply)) => return Some((Ok(reply), (items, listener))),
                    Err(refused) => return Some((Err(refused.into()), (items, listener))),
                },
                Ok(WatchStep::Lagged | WatchStep::CaughtUp) => {}
                Err(refused) => return Some((Err(refused.into()), (items, listener))),
            }
        }
    });
    Ok(replies.take_until(stopping.cancelled_owned()))
}

struct Listener {
    base: Base,
    filters: Vec<Filter>,
    /// Which collections have a filter, as far as that is known.
    filtered: HashMap<String, bool>,
}

impl Listener {
    /// What is told of a change, if anything.
    async fn reply(&mut self, change: Change) -> Result<Option<ListenReply>, Refused> {
        if change.target.collection == COLLECTIONS {
            self.filtered.clear();
        }
        if !wanted(&self.filters, &change) {
            return Ok(None);
        }
        let shown = match change.shown() {
            None => None,
            Some(fields) if !self.is_filtered(&change.target.collection)? => Some(fields),
            Some(fields) => match self.filter(change.target.collection.clone(), fields).await? {
                // It is not there for this reader.
                None => return Ok(None),
                shown => shown,
            },
        };
        Ok(Some(reply(&change, shown)))
    }

    fn is_filtered(&mut self, collection: &str) -> Result<bool, Refused> {
        if let Some(known) = self.filtered.get(collection) {
            return Ok(*known);
        }
        let definition = self.base.database.read(|read| read.definition(collection))?;
        let is_filtered = definition.is_some_and(|definition| definition.filter.is_some());
        self.filtered.insert(collection.to_owned(), is_filtered);
        Ok(is_filtered)
    }

    async fn filter(&self, collection: String, fields: Fields) -> Result<Option<Fields>, Refused> {
        let show = move |base: &Base| {
            let reader = base.caller.as_ref().map(|caller| caller.statement.owner.to_string());
            let shown = base.database.read(|read| read.filter(&collection)?.shown(reader.as_deref(), fields));
            Ok(shown?)
        };
        self.base.blocking(show).await
    }
}

fn wanted(filters: &[Filter], change: &Change) -> bool {
    // Spool's own collections are none of these clients' business.
    !change.target.collection.starts_with('_')
        && (filters.is_empty() || filters.iter().any(|filter| filter.wants(change)))
}

fn reply(change: &Change, shown: Option<Fields>) -> ListenReply {
    let action = match change.kind {
        Kind::Create => Told::Create,
        Kind::Save => Told::Save,
        Kind::Delete => Told::Delete,
    };
    let instance = shown.map(|fields| Value::Object(fields).to_string().into());
    ListenReply {
        collection_name: change.target.collection.clone(),
        instance_id: change.target.id.clone(),
        action: action.into(),
        instance: instance.unwrap_or_default(),
    }
}
