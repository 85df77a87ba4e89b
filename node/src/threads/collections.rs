//! Collections: what clients define is what all peers of a database have.

use serde_json::Value;
use spool_db::{
    Path, Target,
    collection::{Builder, COLLECTIONS, Definition, Rule},
    query::ID,
    transaction::{Error as Transaction, Read, Write},
};
use spool_proto::LogId;

use super::{
    base::Base,
    limits,
    pb::{CollectionConfig, GetCollectionInfoReply, Index},
    provisional::{self, Definitions},
    refused::{NAME, NO_COLLECTION, Refused},
    schema,
};
use crate::{model::Error, node::try_rules};

/// Reads configurations, where it holds up nobody: their rules are tried.
pub(super) async fn reading<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    let done = tokio::task::spawn_blocking(read).await;
    done.map_err(|error| Error::Internal { context: "read a configuration", source: Box::new(error) })?
}

/// Reads a configuration.
pub(super) fn read(config: &CollectionConfig) -> Result<Definition, Refused> {
    let mut builder = Builder::new(&config.name).map_err(|_| Refused::unknown(NAME))?;
    let schema = schema::read(&config.schema)?;
    for index in &config.indexes {
        check_index(schema.as_ref(), &index.path)?;
        builder = builder.index(&index.path, index.unique)?;
    }
    let [validator, filter] =
        [&config.write_validator, &config.read_filter].map(|rule| Some(rule.as_str()).filter(|rule| !rule.is_empty()));
    try_rules(validator, filter).map_err(|error| Refused::unknown(error.to_string()))?;
    Ok(builder.schema(schema)?.validator(validator)?.filter(filter)?.build())
}

/// Reads the configurations of a new database.
pub(super) fn read_all(configs: &[CollectionConfig]) -> Result<Definitions, Refused> {
    if configs.len() > limits::COLLECTIONS {
        return Err(Refused::invalid(format!("at most {} collections at once", limits::COLLECTIONS)));
    }
    let mut definitions = Definitions::new();
    for config in configs {
        let definition = read(config).map_err(|refused| Refused::invalid(refused.text))?;
        if definitions.insert(definition.name.clone(), definition).is_some() {
            return Err(Refused::unknown("collection already registered"));
        }
    }
    Ok(definitions)
}

fn check_index(schema: Option<&Value>, path: &str) -> Result<(), Refused> {
    if path == ID {
        return Err(Refused::unknown("cannot create custom index on _id"));
    }
    // Without a schema anything may be anywhere.
    let Some(schema) = schema else { return Ok(()) };
    let missing = || Refused::unknown("collection schema does not contain path");
    let path = Path::parse(path).map_err(|_| missing())?;
    let property = schema::property(schema, &path).ok_or_else(missing)?;
    let kind = property.get("type").and_then(Value::as_str);
    if kind.is_some_and(|kind| ["string", "number", "integer", "boolean"].contains(&kind)) {
        Ok(())
    } else {
        Err(Refused::unknown("value not indexable"))
    }
}

/// A definition as clients are told it.
pub(super) fn show(definition: &Definition) -> GetCollectionInfoReply {
    let schema = definition.schema.as_ref().map(schema::show).unwrap_or_else(|| Value::Object(Default::default()));
    GetCollectionInfoReply {
        name: definition.name.clone(),
        schema: schema.to_string().into(),
        indexes: indexes(definition),
        write_validator: source(definition.validator.as_ref()),
        read_filter: source(definition.filter.as_ref()),
    }
}

fn source(rule: Option<&Rule>) -> String {
    match rule {
        Some(Rule::Source(source)) => source.clone(),
        Some(Rule::Unusable) | None => String::new(),
    }
}

pub(super) fn indexes(definition: &Definition) -> Vec<Index> {
    let index = |index: &spool_db::collection::Index| Index { path: index.path.to_string(), unique: index.unique };
    definition.indexes.iter().map(index).collect()
}

/// All collections, those included that are provisional.
pub(super) fn list(base: &Base, read: &Read<'_>) -> Result<Vec<Definition>, Refused> {
    let mut definitions = base.provisional()?;
    for name in read.collections()? {
        definitions.extend(read.definition(&name)?.map(|definition| (name, definition)));
    }
    Ok(definitions.into_values().collect())
}

/// Defines a collection that is new. One that arrived from a peer may be defined once more, if that changes nothing.
pub(super) async fn create(base: &Base, definition: Definition) -> Result<(), Refused> {
    if base.shared.provisional.is_there(&base.thread) {
        let name = definition.name.clone();
        let known = base.blocking(move |base| base.database.read(|read| Ok(read.definition(&name)?))).await?;
        if known.is_none() {
            return provisional::add(base, Definitions::from([(definition.name.clone(), definition)])).await;
        }
    }
    if is_known_from_peer(base, &definition).await? {
        return Ok(());
    }
    define(base, vec![definition]).await
}

/// Defines collections that are new.
pub(super) async fn define(base: &Base, definitions: Vec<Definition>) -> Result<(), Refused> {
    if definitions.is_empty() {
        return Ok(());
    }
    let writer = base.writer().await?;
    let define = move |write: &mut Write<'_>| {
        for definition in &definitions {
            if write.definition(&definition.name)?.is_some() {
                return Err(Transaction::Exists(Target::new(COLLECTIONS, definition.name.as_str())));
            }
            write.define(definition)?;
        }
        Ok(())
    };
    base.node().transact(&base.database, writer, define).await?;
    Ok(())
}

/// Whether a collection is defined so already, by another node.
async fn is_known_from_peer(base: &Base, definition: &Definition) -> Result<bool, Refused> {
    let definition = definition.clone();
    let log = base
        .blocking(move |base| {
            base.database.read(|read| {
                let known = read.definition(&definition.name)?.is_some_and(|known| is_same(&known, &definition));
                let document = read.document(&Target::new(COLLECTIONS, definition.name.as_str()))?;
                Ok(document.last.filter(|_| known).and_then(|stamp| stamp.log_id()))
            })
        })
        .await?;
    match log {
        Some(log) => Ok(!is_written_here(base, &log).await?),
        None => Ok(false),
    }
}

/// Whether two definitions say the same. A joiner may leave out the rules in code: those of the peers hold.
fn is_same(known: &Definition, definition: &Definition) -> bool {
    let is_same = |known: &Option<Rule>, said: &Option<Rule>| said.is_none() || known == said;
    known.schema == definition.schema
        && known.indexes == definition.indexes
        && is_same(&known.validator, &definition.validator)
        && is_same(&known.filter, &definition.filter)
}

async fn is_written_here(base: &Base, log: &LogId) -> Result<bool, Refused> {
    let me = base.node().info().peer;
    let logs = base.node().thread(&base.thread).await?.logs;
    let found = logs.iter().find(|info| info.id == *log);
    Ok(found.is_some_and(|info| info.own || info.author.is_some_and(|author| author.via == Some(me))))
}

/// Puts another definition in place of the one that there is.
pub(super) async fn update(base: &Base, definition: Definition) -> Result<(), Refused> {
    let writer = base.writer().await?;
    let provided = base.provisional()?;
    let define = move |write: &mut Write<'_>| {
        provided.values().try_for_each(|definition| write.provide(definition.clone()))?;
        let known = write.definition(&definition.name)?;
        let known = known.ok_or_else(|| Transaction::NoCollection(definition.name.clone()))?;
        // What these clients cannot say stays.
        write.define(&Definition { keep_both: known.keep_both, ..definition.clone() })
    };
    base.node().transact(&base.database, writer, define).await.map_err(not_found)?;
    Ok(())
}

/// Takes a definition away; its instances stay, and are there again when it is defined again.
pub(super) async fn delete(base: &Base, name: String) -> Result<(), Refused> {
    let writer = base.writer().await?;
    let delete = move |write: &mut Write<'_>| {
        let target = Target::new(COLLECTIONS, name.as_str());
        if !write.exists(&target)? {
            return Err(Transaction::NoCollection(name.clone()));
        }
        write.delete(&target)
    };
    base.node().transact(&base.database, writer, delete).await.map_err(not_found)?;
    Ok(())
}

/// In these two calls the reference has no code for it.
fn not_found(error: Error) -> Refused {
    let refused = Refused::from(error);
    if refused.text == NO_COLLECTION { Refused::unknown(refused.text) } else { refused }
}
