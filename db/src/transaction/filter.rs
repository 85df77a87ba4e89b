//! What readers see of a collection's documents.

use serde_json::{Map, Value};

use super::Error;
use crate::{
    collection::Rule,
    judge::{Filtered, Judge},
};

/// The filter of a collection, as it was defined in the state that is read.
pub struct Filter<'a> {
    collection: String,
    rule: Option<(Rule, &'a dyn Judge)>,
}

impl<'a> Filter<'a> {
    pub(super) fn new(collection: &str, rule: Option<Rule>, judge: Option<&'a dyn Judge>) -> Result<Self, Error> {
        let collection = collection.to_owned();
        let rule = match (rule, judge) {
            (None, _) => None,
            (Some(rule), Some(judge)) => Some((rule, judge)),
            (Some(_), None) => return Err(Error::NoJudge(collection)),
        };
        Ok(Self { collection, rule })
    }

    /// A document with its `_id` and `_mod` as a reader sees it, whose key is given as text; `None` if it is not shown. Where there is no filter, everything is.
    ///
    /// # Errors
    ///
    /// [`Error::Filter`] if the filter does not come to an end; nothing is to be shown then.
    pub fn shown(
        &self,
        reader: Option<&str>,
        document: Map<String, Value>,
    ) -> Result<Option<Map<String, Value>>, Error> {
        match &self.rule {
            None => Ok(Some(document)),
            Some((Rule::Unusable, _)) => Ok(None),
            Some((Rule::Source(source), judge)) => match judge.filter(source, reader, &Value::Object(document)) {
                Filtered::Shown(shown) => Ok(Some(shown)),
                Filtered::Hidden => Ok(None),
                Filtered::Failed(source) => Err(Error::Filter { collection: self.collection.clone(), source }),
            },
        }
    }
}
