//! What is asked of events that are the same sources: which field decides which items, and whom they wake.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aho_corasick::packed;
use daachorse::DoubleArrayAhoCorasick;

use super::field_plan::FieldPlan;
use super::ir::{KEYWORD, Program, Symbol, visit};
use super::pieces::{Found, Pieces};
use super::text::fold_bytes_into;

/// How many events tell at first which items are rare.
pub(crate) const SAMPLE_EVENTS_MIN: u32 = 512;
/// Each time twice as many do, up to so many.
const SAMPLE_EVENTS_MAX: u32 = 65_536;

/// A rule of a plan.
pub(crate) struct Asked<'r> {
    /// Position in the engine's rules.
    pub(crate) rule: u32,
    pub(crate) node: &'r super::ir::Node,
    /// Items of which one holds whenever the rule does; the rule is evaluated for every event without.
    pub(crate) triggers: Option<Cow<'r, [u32]>>,
}

/// Rules that are asked together.
#[derive(Default)]
pub(crate) struct Plan {
    fields: Vec<PlannedField>,
    /// By slot: the number of its field and one, or 0.
    field_of_slot: Vec<u16>,
    pub(crate) keywords: Option<Keywords>,
    /// Slots of a symbol: those of `slots` from its entry to the next.
    slot_starts: Vec<u32>,
    slots: Vec<u32>,
    /// Rules that nothing wakes.
    pub(crate) always: Vec<u32>,
    pub(crate) is_empty: bool,
    /// What its events are.
    pub(crate) sources: Box<[u32]>,
    /// All items that its rules use.
    items: Box<[u32]>,
    sample: Mutex<Sample>,
    /// How many events the sample has to have before it counts.
    sample_events: u32,
}

/// How often which item held.
#[derive(Default)]
struct Sample {
    events: u32,
    /// By position in the plan's items.
    held: Vec<u32>,
}

/// A field, and the rules that its items wake.
pub(crate) struct PlannedField {
    pub(crate) plan: Arc<FieldPlan>,
    /// That of the plan, where it is at hand.
    pub(crate) number: u32,
    starts: Vec<u32>,
    rules: Vec<u32>,
}

impl PlannedField {
    /// The rules that wait for `item`, numbered within the field.
    #[inline]
    pub(crate) fn woken_by(&self, item: u32) -> &[u32] {
        let item = item as usize;
        match self.starts.get(item..item + 2) {
            Some([start, end]) => self.rules.get(*start as usize..*end as usize).unwrap_or_default(),
            _ => &[],
        }
    }
}

/// What looks for keywords, and what tells quickly that there are none.
pub(crate) struct Keywords {
    pub(crate) field: PlannedField,
    /// `None`: every text has to be looked at.
    prefilter: Option<Arc<Prefilter>>,
}

pub(crate) struct Prefilter {
    /// Looks at the text as it is written.
    pieces: Option<Pieces>,
    folded: Folded,
}

/// Looks at folded text.
enum Folded {
    Few(packed::Searcher),
    Many(Box<DoubleArrayAhoCorasick<u32>>),
}

impl Keywords {
    /// Whether `text` can hold a keyword, also if it is JSON in which it is escaped. `scratch` is overwritten.
    #[inline]
    pub(crate) fn may_be_in(&self, text: &str, scratch: &mut Vec<u8>) -> bool {
        let Some(prefilter) = self.prefilter.as_deref() else { return true };
        match prefilter.pieces.as_ref().map_or(Found::Fold, |it| it.find(text.as_bytes())) {
            Found::Yes => return true,
            Found::No => return false,
            Found::Fold => {}
        }
        scratch.clear();
        fold_bytes_into(scratch, text);
        match &prefilter.folded {
            Folded::Few(searcher) => searcher.find(&*scratch).is_some(),
            Folded::Many(automaton) => automaton.find_iter(&*scratch).next().is_some(),
        }
    }
}

/// What several plans share.
#[derive(Default)]
pub(crate) struct Shared {
    /// By items.
    fields: hashbrown::HashMap<Box<[u32]>, Arc<FieldPlan>>,
    /// By number of the field plan.
    prefilters: hashbrown::HashMap<u32, Option<Arc<Prefilter>>>,
}

impl Shared {
    /// Bytes of memory, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.fields.values().map(|it| it.memory_bytes()).sum()
    }
}

impl Plan {
    /// Plans `rules`, whose fields are in the slots that `slots_of` gives.
    pub(crate) fn build<'r>(
        program: &Program,
        sources: &[u32],
        rules: impl Iterator<Item = Asked<'r>>,
        slots_of: impl Fn(Symbol) -> Vec<u32>,
        shared: &mut Shared,
        sample_events: u32,
        common: &dyn Fn(&str) -> bool,
    ) -> Self {
        let mut plan = Self { sample_events, sources: sources.into(), ..Self::default() };
        let mut used: Vec<u32> = Vec::new();
        let mut symbols: Vec<Symbol> = Vec::new();
        let mut waiting: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let mut any = false;
        for asked in rules {
            any = true;
            visit(asked.node, &mut |item| used.push(item), &mut |symbol| symbols.push(symbol));
            match asked.triggers {
                Some(items) => {
                    for item in items.iter() {
                        waiting.entry(*item).or_default().push(asked.rule);
                    }
                }
                None => plan.always.push(asked.rule),
            }
        }
        plan.is_empty = !any;
        used.sort_unstable();
        used.dedup();
        plan.items = used.as_slice().into();
        let mut items_of: BTreeMap<Symbol, Vec<u32>> = BTreeMap::new();
        for item in used {
            if let Some(symbol) = program.items.get(item as usize).map(|it| it.symbol) {
                items_of.entry(symbol).or_default().push(item);
            }
        }
        symbols.extend(items_of.keys());
        plan.set_slots(program.symbols.len(), symbols, &slots_of);

        let mut items_of_slot: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (symbol, items) in items_of {
            if symbol == KEYWORD {
                let field = planned(program, &items, &waiting, shared);
                let made = || Some(Arc::new(prefilter(&field.plan.literals(program)?, common)?));
                let prefilter = shared.prefilters.entry(field.plan.number).or_insert_with(made).clone();
                plan.keywords = Some(Keywords { field, prefilter });
                continue;
            }
            for slot in plan.slots_of(symbol) {
                items_of_slot.entry(*slot).or_default().extend_from_slice(&items);
            }
        }
        for (slot, mut items) in items_of_slot {
            items.sort_unstable();
            items.dedup();
            let field = planned(program, &items, &waiting, shared);
            plan.fields.push(field);
            let slot = slot as usize;
            if plan.field_of_slot.len() <= slot {
                plan.field_of_slot.resize(slot + 1, 0);
            }
            if let Some(entry) = plan.field_of_slot.get_mut(slot) {
                *entry = plan.fields.len() as u16;
            }
        }
        plan
    }

    fn set_slots(&mut self, symbols: usize, mut used: Vec<Symbol>, slots_of: &impl Fn(Symbol) -> Vec<u32>) {
        used.sort_unstable();
        used.dedup();
        let mut used = used.into_iter().peekable();
        for symbol in 0..symbols as Symbol {
            self.slot_starts.push(self.slots.len() as u32);
            if used.next_if_eq(&symbol).is_some() && symbol != KEYWORD {
                self.slots.extend(slots_of(symbol));
            }
        }
        self.slot_starts.push(self.slots.len() as u32);
    }

    /// Where the values of `symbol` are.
    #[inline]
    pub(crate) fn slots_of(&self, symbol: Symbol) -> &[u32] {
        let symbol = symbol as usize;
        match self.slot_starts.get(symbol..symbol + 2) {
            Some([start, end]) => self.slots.get(*start as usize..*end as usize).unwrap_or_default(),
            _ => &[],
        }
    }

    /// What is asked of the values in `slot`.
    #[inline]
    pub(crate) fn field(&self, slot: u32) -> Option<&PlannedField> {
        let number = self.field_of_slot.get(slot as usize)?.checked_sub(1)?;
        self.fields.get(number as usize)
    }

    /// Notes which items hold for an event; says with how many events a plan should be made anew from
    /// [`observed`](Self::observed), once there are enough.
    pub(crate) fn note(&self, holds: impl Fn(u32) -> bool) -> Option<u32> {
        let mut sample = self.sample.lock().unwrap_or_else(PoisonError::into_inner);
        sample.held.resize(self.items.len(), 0);
        for (item, held) in self.items.iter().zip(&mut sample.held) {
            *held += u32::from(holds(*item));
        }
        sample.events += 1;
        (sample.events == self.sample_events).then(|| self.sample_events.saturating_mul(2).min(SAMPLE_EVENTS_MAX))
    }

    /// In what share of the events noted an item held.
    pub(crate) fn observed(&self) -> impl Fn(u32) -> Option<f64> {
        let sample = self.sample.lock().unwrap_or_else(PoisonError::into_inner);
        let events = f64::from(sample.events.max(1));
        let shares: hashbrown::HashMap<u32, f64> =
            self.items.iter().zip(&sample.held).map(|(item, held)| (*item, f64::from(*held) / events)).collect();
        move |item| shares.get(&item).copied()
    }

    /// Bytes of memory beside the shared field plans, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        let fields: usize = self.fields.iter().map(|it| (it.starts.len() + it.rules.len()) * 4).sum();
        fields
            + self.field_of_slot.len() * 2
            + self.items.len() * 8
            + (self.slot_starts.len() + self.slots.len() + self.always.len()) * 4
    }
}

fn planned(program: &Program, items: &[u32], waiting: &BTreeMap<u32, Vec<u32>>, shared: &mut Shared) -> PlannedField {
    let number = shared.fields.len() as u32;
    let plan = shared.fields.entry(items.into()).or_insert_with(|| Arc::new(FieldPlan::build(program, items, number)));
    let mut field = PlannedField {
        plan: Arc::clone(plan),
        number: plan.number,
        starts: Vec::with_capacity(items.len() + 1),
        rules: Vec::new(),
    };
    for item in &*field.plan.items {
        field.starts.push(field.rules.len() as u32);
        field.rules.extend_from_slice(waiting.get(item).map(Vec::as_slice).unwrap_or_default());
    }
    field.starts.push(field.rules.len() as u32);
    field
}

/// How much of a keyword's piece tells how rare it is: so much is looked at first.
const PIECE_BYTES: usize = 4;
/// How long a piece is at most.
const PIECE_BYTES_MAX: usize = 12;

/// What finds any of `literals`, as they are and as JSON writes them inside one or two strings; `common`
/// says whether a piece of text is in many records.
fn prefilter(literals: &[Box<str>], common: &dyn Fn(&str) -> bool) -> Option<Prefilter> {
    let mut all: Vec<String> = Vec::new();
    for literal in literals {
        if let Some(piece) = rarest_piece(literal, common) {
            all.push(piece.to_owned());
            continue;
        }
        let once = json_escaped(literal);
        let twice = json_escaped(&once);
        if literal.contains('/') {
            all.push(once.replace('/', "\\/"));
        }
        all.extend([literal.to_string(), once, twice]);
    }
    all.sort_unstable();
    all.dedup();
    let folded = match packed::Config::new().builder().extend(&all).build() {
        Some(searcher) => Folded::Few(searcher),
        None => Folded::Many(Box::new(DoubleArrayAhoCorasick::with_values(all.iter().zip(0..)).ok()?)),
    };
    Some(Prefilter { pieces: Pieces::new(&all), folded })
}

/// The piece of `literal` that is likely to be in the fewest texts and that JSON writes as it is, if there is one.
fn rarest_piece<'l>(literal: &'l str, common: &dyn Fn(&str) -> bool) -> Option<&'l str> {
    let is_plain = |byte: u8| (b' '..0x7f).contains(&byte) && !matches!(byte, b'"' | b'\\' | b'/');
    let piece_at = |start: usize| {
        let rest = literal.get(start..)?;
        let length = rest.bytes().take(PIECE_BYTES_MAX).take_while(|it| is_plain(*it)).count();
        Some((rest.get(..length)?, rest.get(..PIECE_BYTES).filter(|_| length >= PIECE_BYTES)?))
    };
    let pieces = (0..literal.len()).filter_map(piece_at);
    let likely = |(piece, first): &(&str, &str)| {
        let bytes: u32 = first.bytes().map(frequency).sum();
        // Such as `::`.
        let doubled = |it: &[u8]| matches!(it, [one, other] if one == other && one.is_ascii_punctuation());
        let doubles = first.as_bytes().windows(2).filter(|it| doubled(it)).count() as u32;
        (common(first), (bytes + 2 * PIECE_BYTES_MAX as u32).saturating_sub(8 * doubles + 2 * piece.len() as u32))
    };
    pieces.min_by_key(likely).map(|(piece, _)| piece)
}

/// How often a byte is in folded log text, roughly; twice the logarithm.
fn frequency(byte: u8) -> u32 {
    match byte {
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' | b'0' => 12,
        b' ' | b'.' | b'-' | b'c' | b'd' | b'l' | b'm' | b'p' | b'u' | b'1'..=b'9' | b':' | b',' => 10,
        b'f' | b'g' | b'h' | b'w' | b'y' | b'b' | b'v' | b'_' | b'=' => 8,
        b'k' | b'x' | b'j' | b'q' | b'z' => 6,
        _ => 4,
    }
}

fn json_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out
}
