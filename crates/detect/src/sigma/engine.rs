//! All single-event rules as one matcher.
//!
//! An event is routed first: the sources that it is decide its *plan*, the rules that may be asked at all. Each of its
//! fields that the plan knows is evaluated once for all of them (through a memo, for most values come again). An item
//! that holds wakes the rules that wait for it; a woken rule's condition is then evaluated over the items that hold.
//! Rules that wait for nothing (negations alone) are evaluated for every event of their plan.
//!
//! Plans are made when the first event needs them, and again when some events have told which items are rare: rules wait
//! for those. Nothing here changes what matches: not the memo, not the order, not
//! the number of threads.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use hashbrown::HashMap;
use memchr::memmem;
use panoptes_model::{Event, EventBatch, FieldId, Schema, Value, field};

use super::decode;
use super::field_plan::FieldScratch;
use super::ir::{KEYWORD, Node, Program, Reference, Symbol, TextOp};
use super::mapping::{Mapping, is_everything};
use super::memo::{Memo, Recalled};
use super::plan::{Asked, Keywords, Plan, PlannedField, SAMPLE_EVENTS_MIN, Shared};
use super::router::{EVERYTHING, Looked, Recent, Router, Routes};
use super::text::{fold_into, folded};
use super::{Matcher, URL_DECODED};

/// How many plans are kept. Reaching it forgets them all; they are made anew when events need them.
const PLANS_MAX: usize = 1_024;
/// How many schemas an engine knows at a time: a program has one, tests have more.
const BINDINGS_MAX: usize = 4;
/// Of so many batches ...
const SAMPLE_PERIOD: u32 = 256;
/// ... the first few tell which items hold often.
const SAMPLE_BATCHES: u32 = 4;

/// Fields that the event itself answers and that are not among its fields.
const ANSWERED: &[FieldId] =
    &[field::TIMESTAMP, field::EVENT_INGESTED, field::EVENT_ORIGINAL, field::PANOPTES_SOURCE, field::PANOPTES_INPUT];

struct EngineRule {
    /// Position in the rule set.
    index: u32,
    node: Node,
    triggers: Option<Vec<u32>>,
    symbols: Vec<Symbol>,
}

/// The compiled rules.
pub(crate) struct Engine {
    program: Program,
    mapping: Arc<Mapping>,
    router: Router,
    rules: Vec<EngineRule>,
    /// By source: positions in `rules`. The last is for rules without a log source.
    by_source: Vec<Vec<u32>>,
    /// Names of event fields by slot.
    slots: Vec<Box<str>>,
    /// All of them in small letters, one in a line.
    folded_names: String,
    slot_by_name: HashMap<Box<str>, u32>,
    /// The slot of the decoded target of a request, if some rule asks for it.
    decoded_slot: Option<u32>,
    plans: RwLock<Plans>,
    bindings: RwLock<Vec<Arc<Binding>>>,
    /// One for each thread that evaluates at the same time.
    scratches: Mutex<Vec<Scratch>>,
}

#[derive(Default)]
struct Plans {
    by_sources: HashMap<Vec<u32>, Arc<Plan>>,
    shared: Shared,
    /// Grows whenever a plan is replaced.
    version: u32,
}

/// Where a schema's fields are.
struct Binding {
    schema: Arc<Schema>,
    /// By fixed index of the field.
    uses: Vec<Use>,
    /// Names that the schema does not know: looked up in each batch.
    missing: Vec<u32>,
    answered: Vec<(u32, FieldId)>,
    /// By fixed index: whether the field says something of the event that no text of the record does.
    is_own: Vec<bool>,
}

/// What a field is for: its slot and its number among those that routing asks for, each plus one; 0 for none.
#[derive(Clone, Copy, Default)]
struct Use {
    slot: u32,
    tested: u16,
}

/// What finds the plan of an event.
#[derive(Default)]
struct Routing {
    recent: Recent<Arc<Plan>>,
    routes: Routes<Arc<Plan>>,
    looked: Looked,
    seen: Vec<(u16, u32)>,
    /// The fields of the event at hand that routing may ask for.
    tested: Vec<Tested>,
    /// The dataset that came last, and what is asked of its events.
    dataset: Option<String>,
    mask: u64,
}

/// A field that routing may ask for.
#[derive(Clone, Copy)]
struct Tested {
    number: u16,
    slotted: Slotted,
}

/// What a thread needs while it evaluates.
#[derive(Default)]
struct Scratch {
    generation: u32,
    items: Vec<u32>,
    /// Lazy items that were tried and do not hold.
    failed: Vec<u32>,
    rules: Vec<u32>,
    woken: Vec<u32>,
    field: FieldScratch,
    memo: Memo,
    routing: Routing,
    /// Of the plans that `routing` leads to.
    plans_version: u32,
    batches: u32,
    text: String,
    folded: String,
    searched: Vec<u8>,
}

impl Engine {
    /// Compiles `matchers`: pairs of a rule's position in the set and what was made of it.
    pub(crate) fn build<'m>(
        mut program: Program,
        mapping: Arc<Mapping>,
        matchers: impl Iterator<Item = (u32, &'m Matcher)>,
    ) -> Self {
        program.seal();
        let mut slots: Vec<Box<str>> = Vec::new();
        let mut slot_by_name: HashMap<Box<str>, u32> = HashMap::new();
        let mut slot_of = |name: &str| match slot_by_name.get(name) {
            Some(slot) => *slot,
            None => {
                let slot = slots.len() as u32;
                slots.push(name.into());
                slot_by_name.insert(name.into(), slot);
                slot
            }
        };
        let router = Router::new(&mapping, &mut slot_of);
        let everything = mapping.sources.len();
        let mut by_source = vec![Vec::new(); everything + 1];
        let mut rules = Vec::new();
        for (index, matcher) in matchers {
            let position = rules.len() as u32;
            for name in &matcher.fields {
                slot_of(name);
            }
            for source in &matcher.sources {
                if let Some(list) = by_source.get_mut(*source as usize) {
                    list.push(position);
                }
            }
            if (mapping.ignore_sources || is_everything(&matcher.log_source))
                && let Some(list) = by_source.get_mut(everything)
            {
                list.push(position);
            }
            rules.push(EngineRule {
                index,
                node: matcher.node.clone(),
                triggers: program.necessary(&matcher.node, &|_| None),
                symbols: matcher.symbols.clone(),
            });
        }
        program.make_eager(rules.iter().filter_map(|it| it.triggers.as_deref()).flatten().copied());
        Self {
            program,
            mapping,
            router,
            rules,
            by_source,
            folded_names: slots.join("\n").to_ascii_lowercase(),
            decoded_slot: slot_by_name.get(URL_DECODED).copied(),
            slots,
            slot_by_name,
            plans: RwLock::default(),
            bindings: RwLock::default(),
            scratches: Mutex::default(),
        }
    }

    /// The names of the event fields that routing or some rule looks at.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.slots.iter().map(|it| &**it)
    }

    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    pub(crate) fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    fn binding(&self, schema: &Arc<Schema>) -> Arc<Binding> {
        let known = |list: &Vec<Arc<Binding>>| list.iter().find(|it| Arc::ptr_eq(&it.schema, schema)).cloned();
        if let Some(binding) = known(&self.bindings.read().unwrap_or_else(PoisonError::into_inner)) {
            return binding;
        }
        let mut bindings = self.bindings.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(binding) = known(&bindings) {
            return binding;
        }
        let mut binding = Binding {
            schema: Arc::clone(schema),
            uses: Vec::new(),
            missing: Vec::new(),
            answered: Vec::new(),
            is_own: Vec::new(),
        };
        for (slot, name) in (0..).zip(&self.slots) {
            let Some(id) = schema.id(name) else {
                binding.missing.push(slot);
                continue;
            };
            if ANSWERED.contains(&id) {
                binding.answered.push((slot, id));
            }
            let Some(index) = id.fixed_index() else { continue };
            if binding.uses.len() <= index {
                binding.uses.resize(index + 1, Use::default());
            }
            if let Some(entry) = binding.uses.get_mut(index) {
                *entry = Use { slot: slot + 1, tested: self.router.tested(slot) };
            }
        }
        binding.is_own = schema.names().map(is_own).collect();
        let binding = Arc::new(binding);
        if bindings.len() >= BINDINGS_MAX {
            bindings.remove(0);
        }
        bindings.push(Arc::clone(&binding));
        binding
    }

    /// The plan for events that are `sources`.
    fn plan(&self, sources: &[u32]) -> Arc<Plan> {
        if let Some(plan) = self.plans.read().unwrap_or_else(PoisonError::into_inner).by_sources.get(sources) {
            return Arc::clone(plan);
        }
        let mut plans = self.plans.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = plans.by_sources.get(sources) {
            return Arc::clone(plan);
        }
        if plans.by_sources.len() >= PLANS_MAX {
            plans.by_sources.clear();
        }
        let plan = Arc::new(self.make_plan(sources, &mut plans.shared, SAMPLE_EVENTS_MIN, None));
        plans.by_sources.insert(sources.to_vec(), Arc::clone(&plan));
        plan
    }

    /// Has the rules of `plan` wait for what was rare among the events that it noted.
    fn replan(&self, plan: &Arc<Plan>, sample_events: u32) {
        let sources = &*plan.sources;
        let mut plans = self.plans.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have done it.
        if plans.by_sources.get(sources).is_some_and(|it| Arc::ptr_eq(it, plan)) {
            let observed = plan.observed();
            let made = Arc::new(self.make_plan(sources, &mut plans.shared, sample_events, Some(&observed)));
            plans.by_sources.insert(sources.to_vec(), made);
            plans.version = plans.version.wrapping_add(1);
        }
    }

    fn make_plan(
        &self,
        sources: &[u32],
        shared: &mut Shared,
        sample_events: u32,
        observed: Option<&dyn Fn(u32) -> Option<f64>>,
    ) -> Plan {
        let everything = self.by_source.last().map(Vec::as_slice).unwrap_or_default();
        let mut asked: Vec<u32> = everything.to_vec();
        // Fields of a symbol, of every source through which some rule that uses it is asked.
        let mut slots_of: HashMap<Symbol, Vec<u32>> = HashMap::new();
        let mut add_slots = |source, rules: &[u32]| {
            for symbol in rules.iter().filter_map(|it| self.rules.get(*it as usize)).flat_map(|it| &it.symbols) {
                let name = self.mapping.resolved(source, self.program.symbol_name(*symbol));
                let Some(slot) = self.slot_by_name.get(&*name) else { continue };
                let slots = slots_of.entry(*symbol).or_default();
                if !slots.contains(slot) {
                    slots.push(*slot);
                }
            }
        };
        add_slots(None, everything);
        for source in sources {
            let rules = self.by_source.get(*source as usize).map(Vec::as_slice).unwrap_or_default();
            add_slots(self.mapping.source(*source), rules);
            asked.extend_from_slice(rules);
        }
        asked.sort_unstable();
        asked.dedup();
        let rules = asked.iter().filter_map(|position| {
            let rule = self.rules.get(*position as usize)?;
            let triggers = match observed {
                None => rule.triggers.as_deref().map(Cow::Borrowed),
                Some(observed) => self.program.necessary(&rule.node, observed).map(Cow::Owned),
            };
            Some(Asked { rule: *position, node: &rule.node, triggers })
        });
        let slots = |symbol: Symbol| slots_of.get(&symbol).cloned().unwrap_or_default();
        // What is part of a field's name is part of most records that have it.
        let common = |piece: &str| memmem::find(self.folded_names.as_bytes(), piece.as_bytes()).is_some();
        Plan::build(&self.program, sources, rules, slots, shared, sample_events, &common)
    }

    /// Calls `hit` with the index of every event and of every rule that it matches: events in order, rules in order.
    pub(crate) fn evaluate(&self, batch: &EventBatch, mut hit: impl FnMut(u32, u32)) {
        if self.rules.is_empty() {
            return;
        }
        let binding = self.binding(batch.schema());
        // Names that rules use and the schema does not know may still be in the batch.
        let local: HashMap<u32, u32> = binding
            .missing
            .iter()
            .filter_map(|slot| {
                let id = batch.field_id(self.slots.get(*slot as usize)?)?;
                Some((id.local_index()?, *slot))
            })
            .collect();
        let taken = self.scratches.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = taken.unwrap_or_default();
        scratch.items.resize(self.program.items.len(), 0);
        scratch.failed.resize(self.program.items.len(), 0);
        scratch.rules.resize(self.rules.len(), 0);
        let version = self.plans.read().unwrap_or_else(PoisonError::into_inner).version;
        if scratch.plans_version != version {
            scratch.plans_version = version;
            scratch.routing = Routing::default();
        }
        let mut routing = std::mem::take(&mut scratch.routing);
        let is_sampled = scratch.batches % SAMPLE_PERIOD < SAMPLE_BATCHES;
        scratch.batches = scratch.batches.wrapping_add(1);
        let mut values: Vec<Slotted> = Vec::with_capacity(64);
        let mut matched: Vec<u32> = Vec::new();
        for (index, event) in (0..).zip(batch.events()) {
            values.clear();
            self.read(&mut values, &mut routing.tested, event, &binding, &local);
            let Some(plan) = self.route(&mut routing, event).filter(|it| !it.is_empty) else { continue };
            let decoded = self.decoded(plan, event);
            let view = View {
                event,
                values: &values,
                decoded: decoded.as_ref().map(|(slot, text)| (*slot, &**text)),
                is_own: &binding.is_own,
            };
            self.evaluate_event(&mut scratch, plan, &view, &mut matched);
            if is_sampled
                && let Some(sample_events) =
                    plan.note(|item| scratch.items.get(item as usize) == Some(&scratch.generation))
            {
                self.replan(plan, sample_events);
            }
            matched.sort_unstable();
            for rule in matched.drain(..) {
                hit(index, rule);
            }
        }
        scratch.routing = routing;
        self.scratches.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
    }

    /// The sources that `event` is.
    pub(crate) fn sources_of(&self, event: Event<'_>) -> Vec<u32> {
        let mut seen = Vec::new();
        let mut looked = Looked::default();
        for (slot, name) in (0..).zip(&self.slots) {
            if let Some(value) = event.get_named(name) {
                self.router.look(&mut seen, &mut looked, slot, value);
            }
        }
        seen.sort_unstable();
        seen.dedup();
        self.router.sources(&seen)
    }

    /// Collects the fields that have a slot, and those that routing may ask for.
    #[inline]
    fn read(
        &self,
        values: &mut Vec<Slotted>,
        tested: &mut Vec<Tested>,
        event: Event<'_>,
        binding: &Binding,
        local: &HashMap<u32, u32>,
    ) {
        tested.clear();
        for (position, id) in (0..).zip(event.field_ids()) {
            let used = match id.fixed_index() {
                Some(index) => binding.uses.get(index).copied().unwrap_or_default(),
                None if local.is_empty() => continue,
                None => match id.local_index().and_then(|it| local.get(&it)) {
                    Some(slot) => Use { slot: slot + 1, tested: self.router.tested(*slot) },
                    None => continue,
                },
            };
            let Some(slot) = used.slot.checked_sub(1) else { continue };
            let slotted = Slotted { slot, place: Place::At(position) };
            values.push(slotted);
            if let Some(number) = used.tested.checked_sub(1) {
                tested.push(Tested { number, slotted });
            }
        }
        for (slot, id) in &binding.answered {
            let slotted = Slotted { slot: *slot, place: Place::Answered(*id) };
            if slotted.value(event).is_some() {
                values.push(slotted);
                tested.extend(self.router.tested(*slot).checked_sub(1).map(|number| Tested { number, slotted }));
            }
        }
    }

    /// The plan of `event`, whose tested fields were [read](Self::read).
    #[inline]
    fn route<'r>(&self, routing: &'r mut Routing, event: Event<'_>) -> Option<&'r Arc<Plan>> {
        let Routing { recent, tested, dataset, mask, .. } = routing;
        let is_dataset = |it: &&Tested| self.router.dataset == Some(it.number);
        let mask = match tested.iter().find(is_dataset).and_then(|it| it.slotted.value(event)) {
            Some(Value::Text(text)) => {
                if dataset.as_deref() != Some(text) {
                    text.clone_into(dataset.get_or_insert_default());
                    *mask = self.router.mask(text);
                }
                *mask
            }
            Some(_) => EVERYTHING,
            None => self.router.general_mask(),
        };
        tested.retain(|it| Router::is_asked(it.number, mask));
        recent.begin();
        for it in &*tested {
            if let Some(value) = it.slotted.value(event) {
                recent.add(it.number, value);
            }
        }
        let (place, is_known) = recent.find();
        if !is_known {
            self.route_anew(routing, event, place);
        }
        routing.recent.at(place)
    }

    /// Finds the plan without the words that led to it before.
    #[cold]
    #[inline(never)]
    fn route_anew(&self, routing: &mut Routing, event: Event<'_>, place: usize) {
        let Routing { recent, routes, looked, seen, tested, .. } = routing;
        seen.clear();
        for it in &*tested {
            if let Some(value) = it.slotted.value(event) {
                self.router.look(seen, looked, it.slotted.slot, value);
            }
        }
        seen.sort_unstable();
        seen.dedup();
        let plan = match routes.get(seen) {
            Some(plan) => Arc::clone(plan),
            None => {
                let plan = self.plan(&self.router.sources(seen));
                routes.keep(seen, Arc::clone(&plan));
                plan
            }
        };
        recent.put(place, plan);
    }

    /// The decoded target of a request, if some rule of the plan wants it.
    fn decoded<'b>(&self, plan: &Plan, event: Event<'b>) -> Option<(u32, Cow<'b, str>)> {
        let slot = self.decoded_slot?;
        plan.field(slot)?;
        Some((slot, decode::url_decoded(event)?))
    }

    fn evaluate_event(&self, scratch: &mut Scratch, plan: &Plan, view: &View<'_>, matched: &mut Vec<u32>) {
        scratch.generation = scratch.generation.wrapping_add(1);
        if scratch.generation == 0 {
            scratch.items.fill(0);
            scratch.failed.fill(0);
            scratch.rules.fill(0);
            scratch.generation = 1;
        }
        scratch.woken.clear();
        for slotted in view.values {
            if let Some(field) = plan.field(slotted.slot)
                && let Some(value) = slotted.value(view.event)
            {
                self.value(scratch, field, value);
            }
        }
        if let Some((slot, text)) = view.decoded
            && let Some(field) = plan.field(slot)
        {
            self.text(scratch, field, text);
        }
        if let Some(keywords) = &plan.keywords {
            self.keywords(scratch, keywords, view);
        }
        let mut woken = std::mem::take(&mut scratch.woken);
        for position in woken.iter().chain(&plan.always) {
            let Some(rule) = self.rules.get(*position as usize) else { continue };
            if self.holds(scratch, plan, view, &rule.node) {
                matched.push(rule.index);
            }
        }
        woken.clear();
        scratch.woken = woken;
    }

    #[inline]
    fn value(&self, scratch: &mut Scratch, field: &PlannedField, value: Value<'_>) {
        match value {
            Value::Text(text) => self.text(scratch, field, text),
            Value::Null => {}
            Value::List(items) => {
                for item in items.iter() {
                    self.value(scratch, field, item);
                }
            }
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Ip(_) | Value::Timestamp(_) => {
                let mut text = std::mem::take(&mut scratch.text);
                text.clear();
                value.write_text(&mut text);
                self.text(scratch, field, &text);
                scratch.text = text;
            }
        }
    }

    /// Finds the items that hold for `text` and wakes who waits for them.
    #[inline]
    fn text(&self, scratch: &mut Scratch, field: &PlannedField, text: &str) {
        let Scratch { generation, items, rules, woken, field: field_scratch, memo, .. } = scratch;
        let number = field.number;
        let held = match memo.recall(number, text) {
            Recalled::Known(start, length) => memo.items(start, length),
            Recalled::Unknown(hash) => {
                field.plan.evaluate(&self.program, text, field_scratch);
                memo.keep(number, hash, text, &field_scratch.items);
                &field_scratch.items
            }
            Recalled::Ignored => {
                field.plan.evaluate(&self.program, text, field_scratch);
                &field_scratch.items
            }
        };
        wake(*generation, items, rules, woken, field, held);
    }

    fn keywords(&self, scratch: &mut Scratch, keywords: &Keywords, view: &View<'_>) {
        let mut folded = std::mem::take(&mut scratch.searched);
        let original = view.event.original();
        let is_json = is_json(view.event);
        // In JSON, the line tells whether any of its texts can hold a keyword, unless it writes letters as numbers.
        let worth_it = !is_json || view.event.is_spelled() || keywords.may_be_in(original, &mut folded);
        if worth_it {
            view.any_keyword_text(&mut |text| {
                if keywords.may_be_in(text, &mut folded) {
                    let Scratch { generation, items, rules, woken, field, .. } = scratch;
                    keywords.field.plan.evaluate(&self.program, text, field);
                    wake(*generation, items, rules, woken, &keywords.field, &field.items);
                }
                false
            });
        }
        scratch.searched = folded;
    }

    fn holds(&self, scratch: &mut Scratch, plan: &Plan, view: &View<'_>, node: &Node) -> bool {
        match node {
            Node::Item(item) => {
                scratch.items.get(*item as usize) == Some(&scratch.generation)
                    || self.program.is_lazy(*item) && self.lazy(scratch, plan, view, *item)
            }
            Node::Exists(symbol, wanted) => view.has(plan.slots_of(*symbol)) == *wanted,
            Node::Reference(reference) => view.refers(plan, reference),
            Node::And(parts) => parts.iter().all(|it| self.holds(scratch, plan, view, it)),
            Node::Or(parts) => parts.iter().any(|it| self.holds(scratch, plan, view, it)),
            Node::Not(part) => !self.holds(scratch, plan, view, part),
            Node::AtLeast(count, parts) => {
                let holding = parts.iter().filter(|it| self.holds(scratch, plan, view, it)).count();
                holding as u64 >= *count
            }
        }
    }

    /// Tries the atoms of `item` that nothing tells beforehand.
    fn lazy(&self, scratch: &mut Scratch, plan: &Plan, view: &View<'_>, index: u32) -> bool {
        if scratch.failed.get(index as usize) == Some(&scratch.generation) {
            return false;
        }
        let Some(item) = self.program.items.get(index as usize) else { return false };
        let mut folded = std::mem::take(&mut scratch.folded);
        let mut tried = |text: &str| {
            folded.clear();
            fold_into(&mut folded, text);
            let lazy = item.atoms.iter().filter(|it| self.program.is_lazy_atom(**it));
            lazy.filter_map(|it| self.program.atoms.get(*it as usize)).any(|it| it.holds(text, &folded))
        };
        let holds = if item.symbol == KEYWORD {
            view.any_keyword_text(&mut tried)
        } else {
            view.any_text(plan.slots_of(item.symbol), &mut tried)
        };
        scratch.folded = folded;
        let stamps = if holds { &mut scratch.items } else { &mut scratch.failed };
        if let Some(stamp) = stamps.get_mut(index as usize) {
            *stamp = scratch.generation;
        }
        holds
    }

    /// Bytes of memory of all that was compiled so far, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        let plans = self.plans.read().unwrap_or_else(PoisonError::into_inner);
        plans.by_sources.values().map(|it| it.memory_bytes()).sum::<usize>() + plans.shared.memory_bytes()
    }
}

/// Marks `held`, numbered within the field, as holding, and wakes the rules that wait for them.
#[inline]
fn wake(
    generation: u32,
    items: &mut [u32],
    rules: &mut [u32],
    woken: &mut Vec<u32>,
    field: &PlannedField,
    held: &[u32],
) {
    for local in held {
        let Some(item) = field.plan.items.get(*local as usize) else { continue };
        match items.get_mut(*item as usize) {
            Some(stamp) if *stamp != generation => *stamp = generation,
            _ => continue,
        }
        for rule in field.woken_by(*local) {
            match rules.get_mut(*rule as usize) {
                Some(stamp) if *stamp != generation => *stamp = generation,
                _ => continue,
            }
            woken.push(*rule);
        }
    }
}

/// Whether the record is a JSON object that was read as one.
fn is_json(event: Event<'_>) -> bool {
    !event.is_unparsed() && event.original().trim_ascii_start().starts_with('{')
}

/// Whether the field called `name` is what Panoptes says of an event: no keyword is looked for in it.
pub(crate) fn is_own(name: &str) -> bool {
    name.starts_with("event.") || name.starts_with("panoptes.") || matches!(name, "log.level" | "ecs.version")
}

/// One event as rules see it.
struct View<'a> {
    event: Event<'a>,
    values: &'a [Slotted],
    decoded: Option<(u32, &'a str)>,
    is_own: &'a [bool],
}

/// A field that has a slot.
#[derive(Clone, Copy)]
struct Slotted {
    slot: u32,
    place: Place,
}

/// Where an event has a value.
#[derive(Clone, Copy)]
enum Place {
    At(u32),
    Answered(FieldId),
}

impl Slotted {
    #[inline]
    fn value(self, event: Event<'_>) -> Option<Value<'_>> {
        match self.place {
            Place::At(position) => event.value_at(position),
            Place::Answered(id) => event.get(id),
        }
    }
}

impl<'a> View<'a> {
    fn in_slots<'v>(&'v self, slots: &'v [u32]) -> impl Iterator<Item = Value<'a>> + 'v {
        self.values.iter().filter(|it| slots.contains(&it.slot)).filter_map(|it| it.value(self.event))
    }

    fn has(&self, slots: &[u32]) -> bool {
        self.decoded.is_some_and(|(slot, _)| slots.contains(&slot))
            || self.in_slots(slots).any(|value| value != Value::Null)
    }

    /// Calls `visit` with every text in `slots` until it says that it has seen enough.
    fn any_text(&self, slots: &[u32], visit: &mut dyn FnMut(&str) -> bool) -> bool {
        self.decoded.is_some_and(|(slot, text)| slots.contains(&slot) && visit(text))
            || self.in_slots(slots).any(|value| any_text(value, visit))
    }

    fn any_keyword_text(&self, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        let is_own = |id: FieldId| id.fixed_index().and_then(|it| self.is_own.get(it)).copied().unwrap_or(false);
        any_keyword_text(self.event, &is_own, visit)
    }

    fn refers(&self, plan: &Plan, reference: &Reference) -> bool {
        let as_compared = |text: &str| if reference.cased { text.to_owned() } else { folded(text) };
        let mut others: Vec<String> = Vec::new();
        self.any_text(plan.slots_of(reference.other), &mut |text| {
            others.push(as_compared(text));
            false
        });
        !others.is_empty()
            && self.any_text(plan.slots_of(reference.symbol), &mut |text| {
                let text = as_compared(text);
                others.iter().any(|other| TextOp::holds(reference.op, &text, other))
            })
    }
}

/// Calls `visit` with every text that a keyword could stand in until it says that it has seen enough: of a record in
/// JSON its values, of any other the record as it came and the fields whose text is not simply a piece of it.
pub(crate) fn any_keyword_text(
    event: Event<'_>,
    is_own: &dyn Fn(FieldId) -> bool,
    visit: &mut dyn FnMut(&str) -> bool,
) -> bool {
    let original = event.original();
    let span = original.as_bytes().as_ptr_range();
    let is_json = is_json(event);
    if !is_json && visit(original) {
        return true;
    }
    let mut visit_value = |text: &str| {
        let piece = text.as_bytes().as_ptr_range();
        let is_piece = span.start <= piece.start && piece.end <= span.end;
        // A record whose message is the record itself says nothing more by it.
        let is_known = if is_json { text.len() == original.len() } else { is_piece };
        !is_known && visit(text)
    };
    event.fields().any(|(id, value)| !is_own(id) && any_text(value, &mut visit_value))
}

/// Calls `visit` with every text in `value` until it says that it has seen enough.
pub(crate) fn any_text(value: Value<'_>, visit: &mut dyn FnMut(&str) -> bool) -> bool {
    match value {
        Value::Text(text) => visit(text),
        Value::Null => false,
        Value::List(items) => items.iter().any(|item| any_text(item, visit)),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Ip(_) | Value::Timestamp(_) => {
            visit(&value.to_text())
        }
    }
}
