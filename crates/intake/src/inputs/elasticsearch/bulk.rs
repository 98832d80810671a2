//! From a body to documents.
//!
//! A body is lines: an action, for `index`, `create` and `update` followed by a document. A document that is none is
//! refused alone. A line that is no action makes the request unreadable from there on, because nobody can tell
//! actions from documents any more: it is refused as a whole, as Elasticsearch does.

use std::borrow::Cow;
use std::collections::HashMap;

use memchr::memchr;
use panoptes_model::{Origin, RawBatch, RawRecord, Timestamp};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{KIND, Refusal};
use crate::budget::Lease;
use crate::counters::RejectReason;
use crate::limits::{BULK_ID_BYTES_MAX, BULK_INDEX_BYTES_MAX, BULK_ITEMS_MAX, LINE_BYTES_MAX, ORIGINS_MAX};
use crate::source::check_source;
use crate::text::is_utf16;

/// What an item and its place in the answer take of the memory, beside the document.
const ITEM_BYTES: usize = 512;

/// What the request asks for.
pub(super) enum Wanted {
    /// `_bulk`; `index` is that of actions which name none.
    Actions { index: Option<String> },
    /// `_doc`: the body is one document.
    Document { index: String, id: Option<String> },
}

/// What all records of the request have in common.
pub(super) struct Template {
    pub(super) origin: Origin,
    /// Whether the request named the source, so that indexes do not.
    pub(super) fixed: bool,
    pub(super) now: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Index,
    Create,
    Update,
    Delete,
}

impl Action {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

pub(super) struct Item {
    pub(super) action: Action,
    /// Into [`Bulk::indexes`].
    pub(super) index: usize,
    pub(super) id: Option<Box<str>>,
    pub(super) fate: Fate,
}

pub(super) enum Fate {
    /// The number of the batch that its document is in.
    Taken {
        batch: usize,
    },
    Refused {
        kind: &'static str,
        reason: String,
        counted_as: RejectReason,
    },
}

/// What a request holds.
#[derive(Default)]
pub(super) struct Bulk {
    pub(super) items: Vec<Item>,
    /// The indexes that were named, and the source that each is.
    pub(super) indexes: Vec<(String, String)>,
    pub(super) batches: Vec<RawBatch>,
}

impl Bulk {
    pub(super) fn index_of(&self, item: &Item) -> &str {
        self.indexes.get(item.index).map_or("", |it| &it.0)
    }

    /// The source and reason of each document that was refused.
    pub(super) fn rejected(&self) -> impl Iterator<Item = (&str, RejectReason)> {
        self.items.iter().filter_map(|item| match &item.fate {
            Fate::Taken { .. } => None,
            Fate::Refused { counted_as, .. } => {
                Some((self.indexes.get(item.index).map_or(KIND.name, |it| &it.1), *counted_as))
            }
        })
    }

    pub(super) fn is_all_taken(&self) -> bool {
        self.items.iter().all(|it| matches!(it.fate, Fate::Taken { .. }))
    }
}

/// `{"index":{…}}` and its like.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ActionLine<'t> {
    #[serde(borrow)]
    Index(Meta<'t>),
    #[serde(borrow)]
    Create(Meta<'t>),
    #[serde(borrow)]
    Update(Meta<'t>),
    #[serde(borrow)]
    Delete(Meta<'t>),
}

#[derive(Deserialize)]
struct Meta<'t> {
    #[serde(borrow, rename = "_index")]
    index: Option<Cow<'t, str>>,
    /// A text, or a number from older clients.
    #[serde(borrow, rename = "_id")]
    id: Option<&'t RawValue>,
}

impl<'t> ActionLine<'t> {
    fn split(self) -> (Action, Meta<'t>) {
        match self {
            Self::Index(meta) => (Action::Index, meta),
            Self::Create(meta) => (Action::Create, meta),
            Self::Update(meta) => (Action::Update, meta),
            Self::Delete(meta) => (Action::Delete, meta),
        }
    }
}

/// Cuts the body. Takes time: not for a thread of the runtime.
pub(super) fn cut(template: &Template, wanted: Wanted, text: &[u8], lease: &mut Lease) -> Result<Bulk, Refusal> {
    if is_utf16(text) {
        return Err(Refusal::malformed("the body is UTF-16: send UTF-8"));
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut cutter = Cutter { template, lease, leased: 0, used: 0, known: HashMap::new(), bulk: Bulk::default() };
    match wanted {
        Wanted::Actions { index } => cutter.actions(index.as_deref(), text)?,
        Wanted::Document { index, id } => {
            let fate = cutter.document(&index, 1, Some(text))?;
            cutter.item(Action::Index, &index, id.map(String::into_boxed_str), fate)?;
        }
    }
    if cutter.bulk.items.is_empty() {
        return Err(Refusal::malformed("the body is empty: send an action and its document, a line each"));
    }
    Ok(cutter.bulk)
}

struct Cutter<'c> {
    template: &'c Template,
    lease: &'c mut Lease,
    leased: usize,
    used: usize,
    /// Where in [`Bulk::indexes`] an index is.
    known: HashMap<String, usize>,
    bulk: Bulk,
}

impl Cutter<'_> {
    fn actions(&mut self, index: Option<&str>, text: &[u8]) -> Result<(), Refusal> {
        let mut lines = Lines { text, number: 0 };
        while let Some((number, line)) = lines.next() {
            if line.is_empty() {
                continue;
            }
            let (action, meta) = action(number, line)?;
            let index = meta.index.as_deref().or(index).unwrap_or(KIND.name);
            let id = meta.id.map(|it| id_of(it).into_boxed_str());
            let fate = match action {
                Action::Index | Action::Create => {
                    let (number, line) = lines.next().map_or((number + 1, None), |(number, line)| (number, Some(line)));
                    self.document(index, number, line)?
                }
                Action::Update => {
                    let _partial_document = lines.next();
                    not_supported(number, action)
                }
                Action::Delete => not_supported(number, action),
            };
            self.item(action, index, id, fate)?;
        }
        Ok(())
    }

    /// Takes the document in `line`, or says why not.
    fn document(&mut self, index: &str, number: u64, line: Option<&[u8]>) -> Result<Fate, Refusal> {
        let line = line.unwrap_or_default().trim_ascii();
        if let Err(what) = check(line) {
            let reason = format!("line {number}: {}", what.reason);
            return Ok(Fate::Refused { kind: "document_parsing_exception", reason, counted_as: what.counted_as });
        }
        self.book(line.len() + size_of::<RawRecord>())?;
        let origin = Origin { source: self.source(index), ..self.template.origin.clone() };
        let has_room = |it: &RawBatch| it.has_room_for(line.len()) && it.origins.len() < ORIGINS_MAX;
        if !self.bulk.batches.last().is_some_and(has_room) {
            self.bulk.batches.push(RawBatch::new());
        }
        let number_of_batch = self.bulk.batches.len() - 1;
        if let Some(batch) = self.bulk.batches.last_mut() {
            let origin = batch.origin(&origin);
            batch.push(origin, self.template.now, number, line);
        }
        Ok(Fate::Taken { batch: number_of_batch })
    }

    fn item(&mut self, action: Action, index: &str, id: Option<Box<str>>, fate: Fate) -> Result<(), Refusal> {
        if self.bulk.items.len() >= BULK_ITEMS_MAX {
            return Err(Refusal::too_large(format!("the body has more than {BULK_ITEMS_MAX} items: send it in parts")));
        }
        let name = cut_to(index, BULK_INDEX_BYTES_MAX);
        let id = id.map(|it| if it.len() > BULK_ID_BYTES_MAX { cut_to(&it, BULK_ID_BYTES_MAX).into() } else { it });
        self.book(ITEM_BYTES + name.len() + id.as_ref().map_or(0, |it| it.len()))?;
        let index = match self.known.get(name) {
            Some(index) => *index,
            None => {
                let source = self.source(name);
                self.bulk.indexes.push((name.to_owned(), source));
                self.known.insert(name.to_owned(), self.bulk.indexes.len() - 1);
                self.bulk.indexes.len() - 1
            }
        };
        self.bulk.items.push(Item { action, index, id, fate });
        Ok(())
    }

    fn source(&self, index: &str) -> String {
        if self.template.fixed { self.template.origin.source.clone() } else { source_of(index).to_owned() }
    }

    /// Books memory in steps, so that small documents do not contend for the shared counter.
    fn book(&mut self, more: usize) -> Result<(), Refusal> {
        const STEP: usize = 256 << 10;
        self.used += more;
        if self.used > self.leased {
            let step = STEP.max(self.used - self.leased);
            if !self.lease.grow(step) {
                return Err(Refusal::busy());
            }
            self.leased += step;
        }
        Ok(())
    }
}

fn action(number: u64, line: &[u8]) -> Result<(Action, Meta<'_>), Refusal> {
    let malformed = |what: &str| {
        let wanted = r#"`{"index":{}}` or `{"create":{}}`"#;
        Refusal::malformed(format!(
            "line {number} is no action such as {wanted}: {what}; nothing of the request was taken"
        ))
    };
    let text = std::str::from_utf8(line).map_err(|_| malformed("it is not UTF-8"))?;
    if text.len() >= LINE_BYTES_MAX {
        return Err(malformed("it is too long"));
    }
    serde_json::from_str::<ActionLine<'_>>(text).map(ActionLine::split).map_err(|error| malformed(&error.to_string()))
}

fn id_of(id: &RawValue) -> String {
    serde_json::from_str::<String>(id.get()).unwrap_or_else(|_| id.get().to_owned())
}

fn not_supported(number: u64, action: Action) -> Fate {
    let reason = format!(
        "line {number}: evidence cannot be changed, so there is no `{}`; use `index` or `create`",
        action.as_str()
    );
    Fate::Refused { kind: "illegal_argument_exception", reason, counted_as: RejectReason::TypeUnsupported }
}

struct Unfit {
    reason: String,
    counted_as: RejectReason,
}

/// Whether `line` is a document: one whole JSON object.
fn check(line: &[u8]) -> Result<(), Unfit> {
    let unfit = |counted_as, reason: String| Unfit { reason, counted_as };
    if line.is_empty() {
        return Err(unfit(RejectReason::Malformed, "the document is missing".to_owned()));
    }
    if line.len() >= LINE_BYTES_MAX {
        let reason = format!("the document has {} bytes, {LINE_BYTES_MAX} or more", line.len());
        return Err(unfit(RejectReason::TooLong, reason));
    }
    let text = std::str::from_utf8(line)
        .map_err(|error| unfit(RejectReason::Binary, format!("the document is not UTF-8: {error}")))?;
    if !text.starts_with('{') {
        return Err(unfit(RejectReason::Malformed, "the document is no JSON object".to_owned()));
    }
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(unfit(RejectReason::Malformed, format!("the document is not JSON: {error}"))),
    }
}

/// The source that an index is: its name without what changes from day to day.
fn source_of(index: &str) -> &str {
    let name = index.strip_prefix(".ds-").unwrap_or(index);
    let name = name.rsplit_once('-').filter(|(_, it)| is_generation(it)).map_or(name, |it| it.0);
    let stem = ['-', '_', '.'].into_iter().find_map(|it| without_date(name, it)).unwrap_or(name);
    check_source(stem).unwrap_or(KIND.name)
}

/// `000001`, as rollover counts.
fn is_generation(part: &str) -> bool {
    part.len() == 6 && part.bytes().all(|it| it.is_ascii_digit())
}

/// `name` without a date such as `2024.01.15`, `2024-01-15`, `2024.01`, `2024.w03` or `20240115` behind `separator`.
fn without_date(name: &str, separator: char) -> Option<&str> {
    let is_digit = |it: &u8| it.is_ascii_digit();
    name.match_indices(separator).map(|it| name.split_at(it.0)).find_map(|(stem, rest)| {
        let date = rest.get(1..)?;
        let year = date.get(..4)?;
        let is_year = year.bytes().all(|it| it.is_ascii_digit()) && (year.starts_with("19") || year.starts_with("20"));
        let rest = date.get(4..)?.as_bytes();
        let is_date = match rest {
            [b'.' | b'-', b'w', inner @ ..] => inner.len() == 2 && inner.iter().all(is_digit),
            [b'.' | b'-', a, b] => is_digit(a) && is_digit(b),
            [b'.' | b'-', a, b, b'.' | b'-', c, d] => [a, b, c, d].into_iter().all(is_digit),
            digits => digits.len() == 4 && digits.iter().all(is_digit),
        };
        (is_year && is_date && !stem.is_empty()).then_some(stem)
    })
}

/// No more than `bytes_max` of `text`.
fn cut_to(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}

/// The lines of a body with their numbers, from 1, without what ends them.
struct Lines<'t> {
    text: &'t [u8],
    number: u64,
}

impl<'t> Iterator for Lines<'t> {
    type Item = (u64, &'t [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.text.is_empty() {
            return None;
        }
        let end = memchr(b'\n', self.text).unwrap_or(self.text.len());
        let line = self.text.get(..end).unwrap_or_default();
        self.text = self.text.get(end + 1..).unwrap_or_default();
        self.number += 1;
        Some((self.number, line.trim_ascii()))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use proptest::prelude::*;

    use super::*;
    use crate::budget::Budget;

    fn cut_all(index: Option<&str>, text: &[u8]) -> Result<Bulk, (StatusCode, String)> {
        let template = Template {
            origin: Origin { input: KIND.name.to_owned(), ..Origin::default() },
            fixed: false,
            now: Timestamp(1),
        };
        let wanted = Wanted::Actions { index: index.map(str::to_owned) };
        let budget = Budget::new(64 << 20);
        cut(&template, wanted, text, &mut budget.lease()).map_err(|it| {
            let (status, reason, _) = it.into_parts();
            (status, reason)
        })
    }

    /// Every item as `action index id fate`.
    fn told(bulk: &Bulk) -> Vec<String> {
        let of = |item: &Item| {
            let id = item.id.as_deref().unwrap_or("-");
            let fate = match &item.fate {
                Fate::Taken { batch } => format!("batch {batch}"),
                Fate::Refused { reason, .. } => reason.clone(),
            };
            format!("{} {} {id} {fate}", item.action.as_str(), bulk.index_of(item))
        };
        bulk.items.iter().map(of).collect()
    }

    fn texts(bulk: &Bulk) -> Vec<(String, u64, &str)> {
        let of = |batch| {
            move |it: &RawRecord| {
                let batch: &RawBatch = batch;
                let source = batch.origin_of(it).unwrap().source.clone();
                (source, it.position, std::str::from_utf8(batch.bytes_of(it)).unwrap())
            }
        };
        bulk.batches.iter().flat_map(|it| it.records.iter().map(of(it))).collect()
    }

    #[test]
    fn actions_and_documents_alternate() {
        let body = b"{\"index\":{\"_index\":\"web-2024.01.15\",\"_id\":7}}\r\n{\"a\":1}\r\n\n{\"create\":{}}\n {\"a\":2} \n{\"delete\":{\"_id\":\"x\"}}\n{\"update\":{\"_index\":\"w\"}}\n{\"doc\":{}}\n{\"index\":{\"_index\":\"%{bad} name\"}}\n{\"a\":3}";
        let bulk = cut_all(Some("app"), body).unwrap();
        assert_eq!(
            told(&bulk),
            [
                "index web-2024.01.15 7 batch 0",
                "create app - batch 0",
                "delete app x line 6: evidence cannot be changed, so there is no `delete`; use `index` or `create`",
                "update w - line 7: evidence cannot be changed, so there is no `update`; use `index` or `create`",
                "index %{bad} name - batch 0",
            ]
        );
        let sources: Vec<_> = texts(&bulk);
        let expected = [("web", 2, "{\"a\":1}"), ("app", 5, "{\"a\":2}"), ("elasticsearch", 10, "{\"a\":3}")];
        assert_eq!(sources.iter().map(|it| (it.0.as_str(), it.1, it.2)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_document_that_is_none_is_refused_alone_with_its_line() {
        let body = b"{\"index\":{}}\n{\"a\":1\n{\"index\":{}}\n[1]\n{\"index\":{}}\n\xff{}\n{\"index\":{}}\n{\"a\":2}\n{\"index\":{}}\n";
        let bulk = cut_all(None, body).unwrap();
        let told = told(&bulk);
        assert!(told[0].contains("line 2: the document is not JSON: EOF"), "{told:?}");
        assert!(told[1].contains("line 4: the document is no JSON object"), "{told:?}");
        assert!(told[2].contains("line 6: the document is not UTF-8"), "{told:?}");
        assert!(told[3].ends_with("batch 0"), "{told:?}");
        assert!(told[4].contains("line 10: the document is missing"), "{told:?}");
        assert_eq!(texts(&bulk).len(), 1);
        let reasons: Vec<_> = bulk.rejected().map(|it| it.1).collect();
        use RejectReason::{Binary, Malformed};
        assert_eq!(reasons, [Malformed, Malformed, Binary, Malformed]);
    }

    #[test]
    fn a_document_that_is_too_long_is_refused() {
        let body = format!("{{\"index\":{{}}}}\n{{\"a\":\"{}\"}}\n", "x".repeat(LINE_BYTES_MAX));
        let bulk = cut_all(None, body.as_bytes()).unwrap();
        assert!(told(&bulk)[0].contains("line 2: the document has"), "{:?}", told(&bulk));
        assert_eq!(bulk.rejected().next().unwrap().1, RejectReason::TooLong);
    }

    #[test]
    fn what_is_no_action_refuses_the_request_with_its_line() {
        for line in
            ["{\"a\":1}", "{\"index\":null}", "index", "{\"index\":{},\"create\":{}}", "{\"index\":{\"_index\":1}}"]
        {
            let body = format!("{{\"index\":{{}}}}\n{{\"a\":1}}\n{line}\n{{\"a\":2}}\n");
            let (status, reason) = cut_all(None, body.as_bytes()).err().unwrap();
            assert_eq!(status, StatusCode::BAD_REQUEST, "{line}");
            assert!(reason.starts_with("line 3 is no action"), "{reason}");
        }
        for empty in ["", "\n\n", "  \r\n"] {
            assert_eq!(cut_all(None, empty.as_bytes()).err().unwrap().0, StatusCode::BAD_REQUEST);
        }
    }

    #[test]
    fn each_limit_of_a_request_is_told() {
        let many = "{\"index\":{}}\n{}\n".repeat(BULK_ITEMS_MAX + 1);
        let (status, reason) = cut_all(None, many.as_bytes()).err().unwrap();
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(reason.contains("65536 items"), "{reason}");
        let long = "x".repeat(5_000);
        let body = format!("{{\"index\":{{\"_index\":\"{long}\",\"_id\":\"{long}\"}}}}\n{{}}\n");
        let bulk = cut_all(None, body.as_bytes()).unwrap();
        let item = &bulk.items[0];
        assert_eq!((bulk.index_of(item).len(), item.id.as_ref().unwrap().len()), (255, 512));
        let mut lease = Budget::new(1_000).lease();
        let template = Template { origin: Origin::default(), fixed: false, now: Timestamp(1) };
        let refused =
            cut(&template, Wanted::Actions { index: None }, b"{\"index\":{}}\n{}\n", &mut lease).err().unwrap();
        assert_eq!(refused.into_parts().0, StatusCode::TOO_MANY_REQUESTS);
    }

    #[test]
    fn many_indexes_are_many_batches() {
        let body: String =
            (0..ORIGINS_MAX * 2 + 1).map(|n| format!("{{\"index\":{{\"_index\":\"i{n}\"}}}}\n{{}}\n")).collect();
        let bulk = cut_all(None, body.as_bytes()).unwrap();
        assert_eq!(bulk.batches.iter().map(|it| it.origins.len()).collect::<Vec<_>>(), [ORIGINS_MAX, ORIGINS_MAX, 1]);
    }

    #[test]
    fn the_source_is_the_index_without_its_date() {
        for (index, source) in [
            ("logs", "logs"),
            ("logs-2024.01.15", "logs"),
            ("logstash-2024.01.15-000001", "logstash"),
            ("filebeat-8.12.0-2024.01.15", "filebeat-8.12.0"),
            (".ds-logs-nginx-prod-2024.01.15-000003", "logs-nginx-prod"),
            ("app_2024-01", "app"),
            ("app.20240115", "app"),
            ("app-2024.w03", "app"),
            ("winlogbeat-8.12.0", "winlogbeat-8.12.0"),
            ("y-1234.56.78", "y-1234.56.78"),
            ("2024.01.15", "2024.01.15"),
            ("", "elasticsearch"),
            ("über", "elasticsearch"),
        ] {
            assert_eq!(source_of(index), source, "{index}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_items_or_one_refusal(bytes in proptest::collection::vec(prop_oneof![
            Just(b"{\"index\":{}}\n".to_vec()), Just(b"{\"delete\":{}}\n".to_vec()), Just(b"{}\n".to_vec()),
            Just(b"{\"create\":{\"_index\":\"a-2024.01.1\xc3\"}}\n".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..8)
        ], 0..40)) {
            if let Ok(bulk) = cut_all(None, &bytes.concat()) {
                let taken = bulk.items.iter().filter(|it| matches!(it.fate, Fate::Taken { .. })).count();
                prop_assert_eq!(taken, bulk.batches.iter().map(|it| it.records.len()).sum::<usize>());
                prop_assert_eq!(taken + bulk.rejected().count(), bulk.items.len());
            }
        }

        #[test]
        fn any_index_has_a_source(index in ".{0,40}") {
            prop_assert!(check_source(source_of(&index)).is_ok());
        }
    }
}
