//! Answering a query as a plan says.

use std::ops::ControlFlow;

use serde_json::{Map, Value};

use crate::order::{index_key, is_exact, key_group, key_may_contain, successor};
use crate::query::candidates::Range;
use crate::query::filter::matches;
use crate::query::plan::{Access, Index, Sorting};
use crate::query::project::project;
use crate::query::raw::{RawDocument, Wanted};
use crate::query::sorter::{Exceeded, Memory, Place, Sorter, bytes_of_map};
use crate::query::{Document, Documents, Error, Options, Plan, Query, Work};

/// The documents that a query asks for, all at once.
///
/// # Errors
///
/// [`Error`] says why there is no answer, and what to do about it.
pub fn find<D: Documents>(
    query: Query,
    indexes: &[Index],
    documents: &D,
    options: Options,
) -> Result<Vec<Document>, Error<D::Error>> {
    Plan::new(query, indexes, documents)?.collect(documents, options)
}

impl Plan {
    /// Hands over the documents that the query asks for one by one, in their order, until told to stop.
    ///
    /// # Errors
    ///
    /// [`Error`] says why there is no answer, and what to do about it; documents may have been handed over before.
    pub fn run<D: Documents>(
        &self,
        documents: &D,
        options: Options,
        mut visit: impl FnMut(Document) -> ControlFlow<()>,
    ) -> Result<Work, Error<D::Error>> {
        let mut visit = |document: Document, _: &mut Memory| Ok(visit(document));
        Runner::new(self, documents, options, &mut visit)?.run()
    }

    /// The documents that the query asks for, all at once; they count as memory of the query.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn collect<D: Documents>(&self, documents: &D, options: Options) -> Result<Vec<Document>, Error<D::Error>> {
        let mut found = Vec::new();
        let mut visit = |document: Document, memory: &mut Memory| {
            memory.take(size_of::<Document>() + document.id.len() + bytes_of_map(&document.fields))?;
            found.push(document);
            Ok(ControlFlow::Continue(()))
        };
        Runner::new(self, documents, options, &mut visit)?.run()?;
        Ok(found)
    }
}

type Visit<'a> = &'a mut dyn FnMut(Document, &mut Memory) -> Result<ControlFlow<()>, Exceeded>;

struct Runner<'a, D> {
    plan: &'a Plan,
    documents: &'a D,
    memory: Memory,
    /// The fields that the filter and the order look at.
    wanted: Wanted,
    /// The place of the document to begin after.
    after: Option<Place>,
    skip: usize,
    left: usize,
    work: Work,
    visit: Visit<'a>,
}

impl<'a, D: Documents> Runner<'a, D> {
    fn new(plan: &'a Plan, documents: &'a D, options: Options, visit: Visit<'a>) -> Result<Self, Error<D::Error>> {
        let mut wanted = Wanted::default();
        plan.query.filter.for_each_path(&mut |path| wanted.add(path));
        plan.order.keys.iter().for_each(|sort| wanted.add(&sort.path));
        let mut runner = Self {
            plan,
            documents,
            memory: Memory::new(options.memory),
            wanted,
            after: None,
            skip: plan.query.skip,
            left: plan.query.limit.unwrap_or(usize::MAX),
            work: Work::default(),
            visit,
        };
        if let Some(id) = &plan.query.after {
            runner.after = Some(runner.place_of(id)?);
        }
        Ok(runner)
    }

    fn run(mut self) -> Result<Work, Error<D::Error>> {
        let plan = self.plan;
        if self.left == 0 {
            return Ok(self.work);
        }
        match (&plan.access, plan.sorting) {
            (Access::Id(id), _) => self.stream_id(id).map(drop)?,
            (Access::Scan, Sorting::InMemory) => self.sort_all()?,
            (Access::Scan, _) => self.stream_all()?,
            (Access::Index { ranges, .. }, Sorting::AsRead) => self.stream_point(ranges)?,
            (Access::Index { ranges, .. }, Sorting::ByGroup) => self.stream_groups(ranges)?,
            (Access::Index { ranges, .. }, Sorting::ById) => self.stream_ids(ranges)?,
            (Access::Index { ranges, .. }, Sorting::InMemory) => self.sort_ranges(ranges)?,
        }
        Ok(self.work)
    }

    fn exceeded(&self) -> Error<D::Error> {
        Error::Memory { limit: self.memory.limit }
    }

    fn place_of(&self, id: &str) -> Result<Place, Error<D::Error>> {
        if self.plan.order.keys.is_empty() {
            return Ok(self.plan.order.place(id, &Map::new()));
        }
        let place = self
            .with(id, |raw| decoded(&raw, raw.fields(&self.wanted)).map(|fields| self.plan.order.place(id, &fields)))?;
        place.ok_or_else(|| Error::After { id: id.to_owned() })
    }

    /// Calls `act` with the document of an id, if there is one.
    fn with<T>(
        &self,
        id: &str,
        mut act: impl FnMut(RawDocument<'_>) -> Result<T, Error<D::Error>>,
    ) -> Result<Option<T>, Error<D::Error>> {
        let mut outcome = None;
        self.documents.get(id, &mut |raw| outcome = Some(act(raw))).map_err(Error::Documents)?;
        outcome.transpose()
    }

    /// The place of a document that matches and comes after the one to begin after.
    fn examine(&mut self, raw: &RawDocument<'_>) -> Result<Option<Place>, Error<D::Error>> {
        self.work.examined += 1;
        let fields = decoded(raw, raw.fields(&self.wanted))?;
        if !matches(&self.plan.query.filter, &fields) {
            return Ok(None);
        }
        let place = self.plan.order.place(raw.id, &fields);
        let is_before = self.after.as_ref().is_some_and(|after| self.plan.order.compare(&place, after).is_le());
        Ok((!is_before).then_some(place))
    }

    fn is_before(&self, id: &str) -> bool {
        self.plan.order.keys.is_empty()
            && self.after.as_ref().is_some_and(|after| self.plan.order.compare_ids(id, &after.id).is_le())
    }

    /// Hands a document over whose turn it is.
    fn deliver(&mut self, raw: &RawDocument<'_>) -> Result<ControlFlow<()>, Error<D::Error>> {
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(ControlFlow::Continue(()));
        }
        let fields = project(decoded(raw, raw.decode())?, &self.plan.query.fields);
        self.work.found += 1;
        self.left -= 1;
        let flow = (self.visit)(Document { id: raw.id.to_owned(), fields }, &mut self.memory);
        match flow.map_err(|Exceeded| self.exceeded())? {
            ControlFlow::Continue(()) if self.left > 0 => Ok(ControlFlow::Continue(())),
            _ => Ok(ControlFlow::Break(())),
        }
    }

    fn deliver_place(&mut self, place: &Place) -> Result<ControlFlow<()>, Error<D::Error>> {
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(ControlFlow::Continue(()));
        }
        let documents = self.documents;
        let mut outcome = Ok(ControlFlow::Continue(()));
        documents.get(&place.id, &mut |raw| outcome = self.deliver(&raw)).map_err(Error::Documents)?;
        outcome
    }

    /// Hands a document over if it matches.
    fn stream(&mut self, raw: &RawDocument<'_>) -> Result<ControlFlow<()>, Error<D::Error>> {
        match self.examine(raw)? {
            Some(_) => self.deliver(raw),
            None => Ok(ControlFlow::Continue(())),
        }
    }

    fn stream_id(&mut self, id: &str) -> Result<ControlFlow<()>, Error<D::Error>> {
        let documents = self.documents;
        let mut outcome = Ok(ControlFlow::Continue(()));
        documents.get(id, &mut |raw| outcome = self.stream(&raw)).map_err(Error::Documents)?;
        outcome
    }

    fn stream_all(&mut self) -> Result<(), Error<D::Error>> {
        let (documents, order) = (self.documents, &self.plan.order);
        let after = self.after.as_ref().map(|after| after.id.clone());
        let mut outcome = Ok(());
        documents
            .scan(after.as_deref(), order.descending, &mut |raw| until_error(&mut outcome, self.stream(&raw)))
            .map_err(Error::Documents)?;
        outcome
    }

    fn sort_all(&mut self) -> Result<(), Error<D::Error>> {
        let mut sorter = Sorter::new(&self.plan.order, self.most());
        let documents = self.documents;
        let mut outcome = Ok(());
        documents
            .scan(None, false, &mut |raw| {
                until_error(&mut outcome, self.push(&raw, &mut sorter).map(ControlFlow::Continue))
            })
            .map_err(Error::Documents)?;
        outcome?;
        self.deliver_sorted(&mut sorter).map(drop)
    }

    /// How many places have to be kept for those that are still to be skipped and delivered.
    fn most(&self) -> usize {
        self.left.saturating_add(self.skip)
    }

    fn push(&mut self, raw: &RawDocument<'_>, sorter: &mut Sorter<'_>) -> Result<(), Error<D::Error>> {
        let Some(place) = self.examine(raw)? else { return Ok(()) };
        sorter.push(place, &mut self.memory).map_err(|Exceeded| self.exceeded())
    }

    fn push_id(&mut self, id: &str, sorter: &mut Sorter<'_>) -> Result<(), Error<D::Error>> {
        let documents = self.documents;
        let mut outcome = Ok(());
        documents.get(id, &mut |raw| outcome = self.push(&raw, sorter)).map_err(Error::Documents)?;
        outcome
    }

    fn deliver_sorted(&mut self, sorter: &mut Sorter<'_>) -> Result<ControlFlow<()>, Error<D::Error>> {
        for place in sorter.take_sorted(&mut self.memory) {
            if self.deliver_place(&place)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Hands the entries of a range over, without those whose keys already tell that they do not match.
    fn entries(
        &mut self,
        range: &Range,
        reverse: bool,
        mut visit: impl FnMut(&mut Self, &[u8], &str) -> Result<ControlFlow<()>, Error<D::Error>>,
    ) -> Result<(), Error<D::Error>> {
        let documents = self.documents;
        let mut outcome = Ok(());
        let each = &mut |key: &[u8], id: &str| {
            self.work.entries += 1;
            if range.part.as_ref().is_some_and(|part| !key_may_contain(key, part)) {
                return ControlFlow::Continue(());
            }
            until_error(&mut outcome, visit(self, key, id))
        };
        documents.index(&range.index, &range.from, &range.until, reverse, each).map_err(Error::Documents)?;
        outcome
    }

    /// Entries of one key, which are in the order of ids.
    fn stream_point(&mut self, ranges: &[Range]) -> Result<(), Error<D::Error>> {
        let reverse = self.plan.order.descending;
        for range in ranges {
            self.entries(range, reverse, |runner, _, id| match runner.is_before(id) {
                true => Ok(ControlFlow::Continue(())),
                false => runner.stream_id(id),
            })?;
        }
        Ok(())
    }

    /// The ids of all entries, each once, in the order of ids.
    fn ids(&mut self, ranges: &[Range]) -> Result<Vec<String>, Error<D::Error>> {
        let mut ids = Vec::new();
        for range in ranges {
            self.entries(range, false, |runner, _, id| {
                if !runner.is_before(id) {
                    runner.memory.take(size_of::<String>() + id.len()).map_err(|Exceeded| runner.exceeded())?;
                    ids.push(id.to_owned());
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        ids.sort_unstable_by(|left, right| self.plan.order.compare_ids(left, right));
        ids.dedup();
        Ok(ids)
    }

    fn stream_ids(&mut self, ranges: &[Range]) -> Result<(), Error<D::Error>> {
        for id in self.ids(ranges)? {
            if self.stream_id(&id)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn sort_ranges(&mut self, ranges: &[Range]) -> Result<(), Error<D::Error>> {
        let mut sorter = Sorter::new(&self.plan.order, self.most());
        for id in self.ids(ranges)? {
            self.push_id(&id, &mut sorter)?;
        }
        self.deliver_sorted(&mut sorter).map(drop)
    }

    /// Entries in the order of the first path to sort by: documents are sorted only among those with the same key.
    fn stream_groups(&mut self, ranges: &[Range]) -> Result<(), Error<D::Error>> {
        let order = &self.plan.order;
        let reverse = order.keys.first().is_some_and(|sort| sort.descending);
        // Among equal keys, entries come by id in the direction in which they are read.
        let is_by_id = order.keys.len() == 1 && order.descending == reverse;
        let mut group: Vec<u8> = Vec::new();
        let mut sorter = Sorter::new(order, self.most());
        let mut is_done = false;
        for range in ranges {
            let range = self.behind(range, reverse);
            self.entries(&range, reverse, |runner, key, id| {
                if group != key_group(key) {
                    if !sorter.is_empty() && runner.deliver_sorted(&mut sorter)?.is_break() {
                        is_done = true;
                        return Ok(ControlFlow::Break(()));
                    }
                    sorter.set_most(runner.most());
                    group = key_group(key).to_vec();
                }
                if is_by_id && is_exact(key) {
                    let flow = runner.stream_id(id)?;
                    is_done = flow.is_break();
                    return Ok(flow);
                }
                runner.push_id(id, &mut sorter).map(ControlFlow::Continue)
            })?;
        }
        if is_done { Ok(()) } else { self.deliver_sorted(&mut sorter).map(drop) }
    }

    /// The part of a range that can have documents after the one to begin after.
    fn behind(&self, range: &Range, reverse: bool) -> Range {
        let mut range = range.clone();
        let Some(after) = &self.after else { return range };
        let key = index_key(after.first_key());
        let group = key_group(&key);
        if reverse {
            range.until = range.until.min(successor(group));
        } else {
            range.from = range.from.max(group.to_vec());
        }
        range
    }
}

fn decoded<E: std::error::Error>(
    raw: &RawDocument<'_>,
    fields: Result<Map<String, Value>, serde_ipld_dagcbor::DecodeError<std::convert::Infallible>>,
) -> Result<Map<String, Value>, Error<E>> {
    fields.map_err(|source| Error::Damaged { id: raw.id.to_owned(), source })
}

/// Keeps the error, and stops at it.
fn until_error<E>(outcome: &mut Result<(), E>, step: Result<ControlFlow<()>, E>) -> ControlFlow<()> {
    match step {
        Ok(flow) => flow,
        Err(error) => {
            *outcome = Err(error);
            ControlFlow::Break(())
        }
    }
}
