//! How findings are worded: whom they are about, what is worth showing, and one sentence of why.

use std::borrow::Cow;

use panoptes_model::{
    Entity, Event, EventBatch, EventId, FieldId, Finding, FindingId, FindingOrigin, Timestamp, Value, content_hash,
    field, sample_of,
};

use crate::rules::{Body, Correlation, CorrelationKind, Rule, RuleSet};
use crate::sigma;
use crate::window::{Pending, key_values};

/// How many bytes of a field's text a finding shows.
const VALUE_BYTES_MAX: usize = 256;
/// How many fields a finding shows beside its entities.
const CONTEXT_MAX: usize = 10;

/// Whom a single-event rule's finding is about, if the rule does not say: of each line the first field that the event
/// has.
const ENTITIES: &[&[&str]] = &[
    &["source.ip", "source.address", "client.ip"],
    &["user.name"],
    &["user.target.name"],
    &["group.name"],
    &["host.name", "url.domain"],
];
/// What to name if an event has none of these.
const ENTITIES_OTHERWISE: &[&str] = &["service.name", "panoptes.source"];
/// What is worth showing of any event, if it is there.
const CONTEXT: &[&str] = &[
    "host.name",
    "service.name",
    "user.name",
    "user.effective.name",
    "process.command_line",
    "http.request.method",
    "url.original",
    "http.response.status_code",
    "user_agent.original",
    "log.level",
];

/// What all findings of one call have in common.
pub(crate) struct Frame<'b> {
    pub(crate) batch: &'b EventBatch,
    pub(crate) now: Timestamp,
    pub(crate) origin: FindingOrigin,
    /// The batch's number of [`REPEAT`](crate::window::REPEAT), if any of its events may have it.
    pub(crate) repeat: Option<FieldId>,
}

pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    push_shown(&mut out, text);
    out
}

fn push_shown(out: &mut String, text: &str) {
    let end = text.floor_char_boundary(VALUE_BYTES_MAX);
    out.push_str(text.get(..end).unwrap_or_default());
    if end < text.len() {
        out.push('…');
    }
}

fn entity(event: Event<'_>, name: &str) -> Option<Entity> {
    let text = sigma::field_text(event, name).filter(|it| !it.is_empty())?;
    Some(Entity { field: name.to_owned(), value: shown(&text) })
}

fn entities_of(event: Event<'_>, rule: &Rule) -> Vec<Entity> {
    let mut entities: Vec<Entity> = if rule.entities.is_empty() {
        let first = |names: &&[&str]| names.iter().find_map(|name| entity(event, name));
        ENTITIES.iter().filter_map(first).collect()
    } else {
        rule.entities.iter().filter_map(|name| entity(event, name)).collect()
    };
    if entities.is_empty() {
        entities.extend(ENTITIES_OTHERWISE.iter().find_map(|name| entity(event, name)));
    }
    entities.sort_unstable();
    entities.dedup();
    entities
}

fn context_of(event: Option<Event<'_>>, rule: &Rule, entities: &[Entity], mut context: Vec<Entity>) -> Vec<Entity> {
    let Some(event) = event else { return context };
    for name in rule.context.iter().map(String::as_str).chain(CONTEXT.iter().copied()) {
        if context.len() >= CONTEXT_MAX {
            break;
        }
        if !entities.iter().chain(&context).any(|it| it.field == name) {
            context.extend(entity(event, name));
        }
    }
    context
}

/// What is worth showing of an event of a detector that is no rule, beside whom it is about.
pub(crate) fn context_beside(event: Event<'_>, entities: &[Entity], mut context: Vec<Entity>) -> Vec<Entity> {
    for name in CONTEXT {
        if context.len() < CONTEXT_MAX && !entities.iter().chain(&context).any(|it| it.field == *name) {
            context.extend(entity(event, name));
        }
    }
    context
}

fn id_of(rule: &Rule, key: &[u8], first: EventId) -> FindingId {
    let (frame, index) = (first.frame.0.to_le_bytes(), first.index.to_le_bytes());
    FindingId(content_hash(&[rule.meta.summary.id.as_bytes(), key, &frame, &index]))
}

/// The finding that `event` matches the single-event rule `rule`.
pub(crate) fn of_event(rule: &Rule, event: Event<'_>, frame: &Frame<'_>) -> Finding {
    let entities = entities_of(event, rule);
    let context = context_of(Some(event), rule, &entities, Vec::new());
    let reason = match &rule.body {
        Body::Event(matcher) => match matcher.fields.iter().find_map(|name| {
            let text = sigma::field_text(event, name).filter(|it| !it.is_empty())?;
            Some(format!("{name} is `{}`", shown(&text)))
        }) {
            Some(reason) => reason,
            None => "the text matches".to_owned(),
        },
        Body::Correlation(_) => String::new(),
    };
    Finding {
        id: id_of(rule, &[], event.id()),
        rule: rule.meta.summary.clone(),
        time: event.time(),
        first_seen: event.time(),
        entities,
        context,
        count: 1,
        events: vec![event.id()],
        sample: sample_of(event.original()),
        reason,
        source: event.origin().map(|it| it.source.clone()).unwrap_or_default(),
        position: event.position(),
        origin: frame.origin,
    }
}

/// The finding that the correlation `rule` holds for the group `key`. `values` are counted values, newest first.
pub(crate) fn of_group<'v>(
    rules: &RuleSet,
    rule: u32,
    key: &[u8],
    values: &[&'v str],
    pending: &Pending,
    frame: &Frame<'_>,
) -> Option<Finding> {
    let rule = rules.rule(rule)?;
    let Body::Correlation(correlation) = &rule.body else { return None };
    let event = frame.batch.event(pending.newest as usize);
    let group: Vec<(&String, &str)> = correlation.group_by.iter().zip(key_values(key)).collect();
    let mut entities: Vec<Entity> =
        group.iter().map(|(field, value)| Entity { field: (*field).clone(), value: shown(value) }).collect();
    entities.sort_unstable();
    entities.dedup();
    let mut context = Vec::new();
    if !values.is_empty() {
        let parts = |it: &&'v str| match it.contains('\u{1f}') {
            true => Cow::Owned(it.replace('\u{1f}', "/")),
            false => Cow::Borrowed(*it),
        };
        let mut values: Vec<Cow<'v, str>> = values.iter().map(parts).collect();
        values.sort_unstable();
        let mut text = String::new();
        push_joined(&mut text, values.iter().map(|it| &**it), ", ");
        context.push(Entity { field: correlation.counted.join("/"), value: shown(&text) });
    }
    let context = context_of(event, rule, &entities, context);
    let told = &pending.told;
    let first = *told.ids.first()?;
    Some(Finding {
        id: id_of(rule, key, first),
        rule: rule.meta.summary.clone(),
        time: Timestamp(told.last),
        first_seen: Timestamp(told.first),
        entities,
        context,
        count: told.count,
        events: told.ids.clone(),
        sample: event.map(|it| sample_of(it.original())).unwrap_or_default(),
        reason: reason_of(rules, correlation, pending, &group),
        source: event.and_then(Event::origin).map(|it| it.source.clone()).unwrap_or_default(),
        position: event.map_or(0, Event::position),
        origin: frame.origin,
    })
}

/// A measure for people: whole, or with up to three places.
fn number_text(number: f64) -> String {
    // Counts nearly always.
    if number.fract() == 0.0 && (1.0..1e15).contains(&number) {
        return (number as u64).to_string();
    }
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn push_joined<'t>(out: &mut String, texts: impl Iterator<Item = &'t str>, joint: &str) {
    for (index, text) in texts.enumerate() {
        if index > 0 {
            out.push_str(joint);
        }
        out.push_str(text);
    }
}

fn reason_of(rules: &RuleSet, correlation: &Correlation, pending: &Pending, group: &[(&String, &str)]) -> String {
    let title = |member: u32| rules.rule(member).map_or("", |rule| &rule.meta.summary.title);
    let titles =
        |out: &mut String, joint: &str| push_joined(out, correlation.members.iter().map(|it| title(it.rule)), joint);
    let measure = number_text(pending.measure);
    let mut out = String::with_capacity(REASON_BYTES);
    let push_counted = |out: &mut String| push_joined(out, correlation.counted.iter().map(String::as_str), "/");
    // What was counted of whom, up to the time within which; and what was found, if the condition does not say it.
    let found = match correlation.kind {
        CorrelationKind::EventCount => {
            out.extend([measure.as_str(), " × "]);
            titles(&mut out, " or ");
            None
        }
        CorrelationKind::ValueCount => {
            out.extend([measure.as_str(), " different "]);
            push_counted(&mut out);
            out.push_str(" in ");
            titles(&mut out, " or ");
            None
        }
        CorrelationKind::Temporal | CorrelationKind::TemporalOrdered => {
            let is_some = (pending.measure as usize) < correlation.members.len();
            match correlation.kind {
                CorrelationKind::TemporalOrdered => titles(&mut out, ", then "),
                _ if is_some => {
                    out.extend([measure.as_str(), " of: "]);
                    titles(&mut out, ", ");
                }
                _ => titles(&mut out, " and "),
            }
            out.extend([" within ", &correlation.timespan_text]);
            return with_group(out, group);
        }
        kind => {
            match kind {
                CorrelationKind::ValueSum => out.push_str("sum of "),
                CorrelationKind::ValueAvg => out.push_str("average "),
                CorrelationKind::ValueMedian => out.push_str("median "),
                _ => out.push_str(&format!("percentile {} of ", correlation.percentile)),
            }
            push_counted(&mut out);
            out.push_str(" of ");
            titles(&mut out, " or ");
            Some(measure)
        }
    };
    out.extend([" within ", &correlation.timespan_text]);
    if let Some(found) = found {
        out.extend([": ", &found]);
    }
    out.extend([" (", correlation.condition_text(), ")"]);
    with_group(out, group)
}

/// How long a reason is, about.
const REASON_BYTES: usize = 160;

/// `what`, and for whom.
fn with_group(mut what: String, group: &[(&String, &str)]) -> String {
    for (index, (field, value)) in group.iter().enumerate() {
        what.push_str(if index == 0 { " for " } else { ", " });
        what.extend([field.as_str(), " "]);
        push_shown(&mut what, value);
    }
    what
}

/// The finding of a detector that is no rule.
pub(crate) fn of_detector(
    rule: &std::sync::Arc<panoptes_model::RuleSummary>,
    event: Event<'_>,
    entities: &[&str],
    context: Vec<Entity>,
    reason: String,
    origin: FindingOrigin,
) -> Finding {
    let mut entities: Vec<Entity> = entities.iter().filter_map(|name| entity(event, name)).collect();
    entities.sort_unstable();
    let key: Vec<&str> = entities.iter().map(|it| it.value.as_str()).collect();
    let (frame, index) = (event.id().frame.0.to_le_bytes(), event.id().index.to_le_bytes());
    let id = content_hash(&[rule.id.as_bytes(), key.join("\u{1f}").as_bytes(), &frame, &index]);
    Finding {
        id: FindingId(id),
        rule: rule.clone(),
        time: event.time(),
        first_seen: event.time(),
        context,
        count: 1,
        events: vec![event.id()],
        sample: sample_of(event.original()),
        reason,
        source: source_of(event).to_owned(),
        position: event.position(),
        origin,
        entities,
    }
}

/// The stream that an event came in.
pub(crate) fn source_of(event: Event<'_>) -> &str {
    match event.get(field::PANOPTES_SOURCE) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}
