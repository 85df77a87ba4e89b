//! Instances: what calls read and write.
//!
//! What is to be written is gathered in a [`Draft`] and takes effect as one event, or not at all. A save is held against what the client could see when it saved, so that
//! what others have written to other fields meanwhile stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use bytes::Bytes;
use serde_json::{Map, Value};
use spool_db::{
    Target,
    collection::Definition,
    operation::check_id,
    query::{ID, MODIFIED, Options},
    transaction::{Error as Transaction, Filter, Read, Write},
};
use tonic::Code;

use super::{
    base::Base,
    limits::{DRAFT_BYTES, FOUND_BYTES},
    query,
    refused::Refused,
};

type Fields = Map<String, Value>;

/// What a transaction is to write, in order.
#[derive(Default)]
pub(super) struct Draft {
    actions: Vec<Action>,
    /// Instances as the client knows them, by id: as it was told, or as it has written them. Only where more than one step may write.
    known: Option<BTreeMap<String, Fields>>,
    bytes: usize,
}

#[derive(Clone)]
struct Action {
    target: Target,
    what: What,
}

#[derive(Clone)]
enum What {
    Create(Fields),
    Save { seen: Fields, fields: Fields },
    Delete,
}

/// A collection, as one step of a call finds it.
pub(super) struct Collection<'a> {
    base: &'a Base,
    read: &'a Read<'a>,
    definition: Definition,
    filter: Filter<'a>,
    /// The caller, to the filter.
    reader: Option<String>,
}

impl<'a> Collection<'a> {
    /// It may have been redefined since the last step.
    pub(super) fn new(base: &'a Base, read: &'a Read<'a>, name: &str) -> Result<Self, Refused> {
        // Spool's own collections are none of these clients' business.
        if name.starts_with('_') {
            return Err(Refused::no_collection());
        }
        let (definition, filter) = (base.definition(read, name)?, read.filter(name)?);
        let reader = base.caller.as_ref().map(|caller| caller.statement.owner.to_string());
        Ok(Self { base, read, definition, filter, reader })
    }

    pub(super) fn definition(&self) -> &Definition {
        &self.definition
    }

    fn target(&self, id: &str) -> Target {
        Target::new(self.definition.name.as_str(), id)
    }

    /// What the caller sees of an instance, if it exists and is not hidden.
    fn seen(&self, id: &str) -> Result<Option<Fields>, Refused> {
        let Some(fields) = self.read.get(&self.target(id))? else { return Ok(None) };
        self.shown(fields)
    }

    /// What the caller sees of these fields.
    fn shown(&self, fields: Fields) -> Result<Option<Fields>, Refused> {
        Ok(self.filter.shown(self.reader.as_deref(), fields)?)
    }

    /// New instances; returns their ids.
    pub(super) fn create(&self, instances: &[Bytes], draft: &mut Draft) -> Result<Vec<String>, Refused> {
        let mut actions = Vec::with_capacity(instances.len());
        for instance in instances {
            let mut fields = parse(instance)?;
            fields.remove(MODIFIED);
            let id = match fields.remove(ID) {
                None => self.base.database.new_id(),
                Some(Value::String(id)) if id.is_empty() => self.base.database.new_id(),
                Some(Value::String(id)) => id,
                Some(_) => return Err(Refused::unknown("unmarshaling json instance: the _id is not a string")),
            };
            let target = self.checked(&id, &fields)?;
            if self.read.document(&target)?.is_alive() {
                return Err(Refused::unknown("can't create already existing instance"));
            }
            actions.push(Action { target, what: What::Create(fields) });
        }
        let ids = actions.iter().map(|action| action.target.id.clone()).collect();
        draft.extend(actions, bytes_of(instances))?;
        Ok(ids)
    }

    /// Instances as they are to be, whether they exist or not.
    pub(super) fn save(&self, instances: &[Bytes], draft: &mut Draft) -> Result<(), Refused> {
        let actions = self.saved(instances, draft)?;
        draft.extend(actions, bytes_of(instances))
    }

    /// Whether instances could be saved.
    pub(super) fn verify(&self, instances: &[Bytes], draft: &Draft) -> Result<(), Refused> {
        let actions = self.saved(instances, draft)?;
        let writer = self.base.caller.as_ref().map(|caller| caller.statement.owner);
        let provided = self.base.provisional()?;
        self.base.database.rehearse(writer, |write| {
            provided.into_values().try_for_each(|definition| write.provide(definition))?;
            actions.into_iter().try_for_each(|action| apply(write, action))
        })?;
        Ok(())
    }

    fn saved(&self, instances: &[Bytes], draft: &Draft) -> Result<Vec<Action>, Refused> {
        let mut actions = Vec::with_capacity(instances.len());
        let mut known = BTreeMap::new();
        for instance in instances {
            let mut fields = parse(instance)?;
            let missing = || Refused::unknown("invalid instance: missing _id attribute");
            fields.remove(MODIFIED);
            let Some(Value::String(id)) = fields.remove(ID) else { return Err(missing()) };
            if id.is_empty() {
                return Err(missing());
            }
            let target = self.checked(&id, &fields)?;
            // A merge patch takes away what is null.
            without_nulls(&mut fields);
            let seen = match known.remove(&id).or_else(|| draft.known.as_ref()?.get(&id).cloned()) {
                Some(seen) => seen,
                None => self.seen(&id)?.unwrap_or_default(),
            };
            known.insert(id, fields.clone());
            actions.push(Action { target, what: What::Save { seen, fields } });
        }
        Ok(actions)
    }

    fn checked(&self, id: &str, fields: &Fields) -> Result<Target, Refused> {
        check_id(id).map_err(|error| Refused::unknown(error.to_string()))?;
        self.base.database.check(&self.definition, id, fields)?;
        Ok(self.target(id))
    }

    /// Instances to delete. Those that are not there are passed over.
    pub(super) fn delete(&self, ids: &[String], draft: &mut Draft) -> Result<(), Refused> {
        let targets = ids.iter().filter(|id| check_id(id).is_ok()).map(|id| self.target(id));
        draft.extend(targets.map(|target| Action { target, what: What::Delete }).collect(), 0)
    }

    /// Whether all of these instances exist.
    pub(super) fn has(&self, ids: &[String]) -> Result<bool, Refused> {
        for id in ids {
            if self.seen(id)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The instances that answer a query, as JSON.
    pub(super) fn find(&self, sent: &[u8]) -> Result<Vec<Bytes>, Refused> {
        let query = query::read(sent)?;
        let (mut found, mut bytes, mut refused) = (Vec::new(), 0, None);
        self.read.find_each(&self.definition.name, query, Options::default(), &mut |document| {
            match self.shown(document.fields) {
                Ok(None) => {}
                Ok(Some(fields)) => {
                    let json = Bytes::from(Value::Object(fields).to_string());
                    bytes += json.len();
                    found.push(json);
                }
                Err(error) => refused = Some(error),
            }
            if bytes > FOUND_BYTES && refused.is_none() {
                let text = format!("more than {FOUND_BYTES} bytes were found: ask with a limit");
                refused = Some(Refused::new(Code::ResourceExhausted, text));
            }
            if refused.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        refused.map_or(Ok(found), Err)
    }

    /// One instance, as JSON.
    pub(super) fn find_by_id(&self, id: &str) -> Result<Bytes, Refused> {
        let fields = self.seen(id)?.ok_or_else(|| Refused::unknown("instance not found"))?;
        Ok(Value::Object(fields).to_string().into())
    }
}

fn parse(instance: &[u8]) -> Result<Fields, Refused> {
    match serde_json::from_slice(instance) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Refused::unknown("unmarshaling json instance: not an object")),
        Err(error) => Err(Refused::unknown(format!("unmarshaling json instance: {error}"))),
    }
}

fn bytes_of(instances: &[Bytes]) -> usize {
    instances.iter().map(Bytes::len).sum()
}

fn without_nulls(fields: &mut Fields) {
    fields.retain(|_, value| !value.is_null());
    for value in fields.values_mut() {
        if let Value::Object(within) = value {
            without_nulls(within);
        }
    }
}

impl Draft {
    /// Of a transaction in several steps.
    pub(super) fn in_steps() -> Self {
        Self { known: Some(BTreeMap::new()), ..Self::default() }
    }

    /// All of these, or none.
    fn extend(&mut self, actions: Vec<Action>, bytes: usize) -> Result<(), Refused> {
        let bytes = bytes + actions.iter().map(|action| action.target.id.len()).sum::<usize>();
        if self.bytes + bytes > DRAFT_BYTES {
            let text = format!("a transaction has at most {DRAFT_BYTES} bytes");
            return Err(Refused::new(Code::ResourceExhausted, text));
        }
        self.bytes += bytes;
        if let Some(known) = &mut self.known {
            for Action { target, what } in &actions {
                match what {
                    What::Create(fields) | What::Save { fields, .. } => {
                        known.insert(target.id.clone(), fields.clone());
                    }
                    What::Delete => drop(known.remove(&target.id)),
                }
            }
        }
        self.actions.extend(actions);
        Ok(())
    }

    /// The client was told of these: what it saves is held against that, and not against what others have written meanwhile. As far as there is room.
    pub(super) fn told(&mut self, instances: &[Bytes]) {
        let Some(known) = &mut self.known else { return };
        for instance in instances.iter().filter(|instance| !instance.is_empty()) {
            if self.bytes + instance.len() > DRAFT_BYTES {
                return;
            }
            let Ok(mut fields) = parse(instance) else { continue };
            fields.remove(MODIFIED);
            if let Some(Value::String(id)) = fields.remove(ID) {
                self.bytes += instance.len();
                // What it has written itself it knows better.
                let _ = known.entry(id).or_insert(fields);
            }
        }
    }

    /// Makes it take effect.
    pub(super) async fn commit(self, base: &Base) -> Result<(), Refused> {
        if self.actions.is_empty() {
            return Ok(());
        }
        let mut created = BTreeSet::new();
        let is_new = |action: &&Action| matches!(action.what, What::Create(_));
        if !self.actions.iter().filter(is_new).all(|action| created.insert(&action.target)) {
            // Texts that programs compare: the typing errors are the reference's.
            return Err(Refused::unknown("cant't create already existent instance"));
        }
        let (writer, provided) = (base.writer().await?, base.provisional()?);
        let actions = self.actions;
        let write = move |write: &mut Write<'_>| {
            provided.values().try_for_each(|definition| write.provide(definition.clone()))?;
            actions.iter().cloned().try_for_each(|action| apply(write, action))
        };
        base.node().transact(&base.database, writer, write).await?;
        Ok(())
    }
}

fn apply(write: &mut Write<'_>, Action { target, what }: Action) -> Result<(), Transaction> {
    match what {
        What::Create(fields) => write.create(&target, fields),
        What::Save { seen, fields } => write.save_seen(&target, seen, fields),
        What::Delete => {
            if write.exists(&target)? {
                write.delete(&target)?;
            }
            Ok(())
        }
    }
}
