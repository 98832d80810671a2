//! All that rules say of one field, in one pass over its value.
//!
//! Equal texts are looked up by hash, beginnings and ends by hash of their first or last bytes, and everything that
//! stands somewhere in a text by one automaton over the folded text: literals themselves, and for wildcards and
//! regular expressions a literal that they need, after which they are tried.

use daachorse::DoubleArrayAhoCorasick;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::ir::{self, Atom, NumberOp, Program, TextOp};
use super::networks::Networks;
use super::text;

/// Set in an entry of [`FieldPlan::outputs`] whose atom has to be tried: the literal is only needed.
const TRY: u32 = 1 << 31;
/// How many bytes of a beginning or an end are its key.
const AFFIX_BYTES: usize = 8;

type Map<K, V> = HashMap<K, V, FixedState>;

/// What one field is compared with. Items are numbered within the field: position in [`items`](Self::items).
pub(crate) struct FieldPlan {
    /// Different for each: part of what the memo looks up.
    pub(crate) number: u32,
    /// The items of the program that this field decides.
    pub(crate) items: Box<[u32]>,
    atoms: Vec<u32>,
    /// Items of each atom: those in `item_list` from its entry to the next.
    item_starts: Vec<u32>,
    item_list: Vec<u32>,
    always: Vec<u32>,
    exact: Map<Box<str>, u32>,
    starts: Affixes,
    ends: Affixes,
    automaton: Option<DoubleArrayAhoCorasick<u32>>,
    /// Atoms of each literal of the automaton, as `item_list` for items.
    output_starts: Vec<u32>,
    outputs: Vec<u32>,
    numbers: Map<u64, u32>,
    number_limits: Vec<u32>,
    networks: Networks,
    /// Atoms that are tried on every value.
    tried_always: Vec<u32>,
}

/// What evaluating needs and nobody keeps.
#[derive(Default)]
pub(crate) struct FieldScratch {
    folded: String,
    hits: Vec<u32>,
    tried: Vec<u32>,
    stamps: Vec<u32>,
    stamp: u32,
    /// The items that hold, numbered within the field, in order.
    pub(crate) items: Vec<u32>,
}

impl FieldScratch {
    fn begin(&mut self, atoms: usize) {
        self.hits.clear();
        self.tried.clear();
        self.items.clear();
        if self.stamps.len() < atoms {
            self.stamps.resize(atoms, 0);
        }
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            self.stamps.fill(0);
            self.stamp = 1;
        }
    }

    /// Whether `atom` was not met yet for this value.
    #[inline]
    fn is_new(&mut self, atom: u32) -> bool {
        match self.stamps.get_mut(atom as usize) {
            Some(stamp) if *stamp != self.stamp => {
                *stamp = self.stamp;
                true
            }
            _ => false,
        }
    }

    #[inline]
    fn hit(&mut self, atom: u32) {
        if self.is_new(atom) {
            self.hits.push(atom);
        }
    }
}

impl FieldPlan {
    /// Compiles what `items`, all of one field, ask for without a rule's asking.
    pub(crate) fn build(program: &Program, items: &[u32], number: u32) -> Self {
        let mut plan = Self {
            number,
            items: items.into(),
            atoms: Vec::new(),
            item_starts: Vec::new(),
            item_list: Vec::new(),
            always: Vec::new(),
            exact: Map::default(),
            starts: Affixes::default(),
            ends: Affixes::default(),
            automaton: None,
            output_starts: Vec::new(),
            outputs: Vec::new(),
            numbers: Map::default(),
            number_limits: Vec::new(),
            networks: Networks::default(),
            tried_always: Vec::new(),
        };
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        for (local, item) in (0..).zip(items) {
            let atoms = program.items.get(*item as usize).map(|it| &it.atoms[..]).unwrap_or_default();
            pairs.extend(atoms.iter().filter(|it| !program.is_lazy_atom(**it)).map(|atom| (*atom, local)));
        }
        pairs.sort_unstable();
        for (atom, item) in pairs {
            if plan.atoms.last() != Some(&atom) {
                plan.atoms.push(atom);
                plan.item_starts.push(plan.item_list.len() as u32);
            }
            plan.item_list.push(item);
        }
        plan.item_starts.push(plan.item_list.len() as u32);
        plan.sort_atoms(program);
        plan
    }

    /// Puts each atom where its kind is looked up.
    fn sort_atoms(&mut self, program: &Program) {
        // In order, so that the same rules make the same automaton.
        let mut literals: std::collections::BTreeMap<Box<str>, Vec<u32>> = std::collections::BTreeMap::new();
        let atoms = self.atoms.clone();
        for (local, index) in (0..).zip(atoms) {
            let Some(atom) = program.atoms.get(index as usize) else { continue };
            match atom {
                Atom::Text { op: TextOp::Contains, text, .. } if text.is_empty() => self.always.push(local),
                // One byte is found sooner by looking for it alone.
                Atom::Text { op: TextOp::Contains, text, cased: false } if text.len() == 1 => {
                    self.tried_always.push(local);
                }
                Atom::Text { op: TextOp::Contains, text, cased: false } => {
                    literals.entry(text.clone()).or_default().push(local);
                }
                Atom::Text { op: TextOp::Exact, text, cased: false } => {
                    self.exact.insert(text.clone(), local);
                }
                Atom::Text { op: TextOp::Starts, text, cased: false } => self.starts.add(text, local, false),
                Atom::Text { op: TextOp::Ends, text, cased: false } => self.ends.add(text, local, true),
                Atom::Text { .. } | Atom::Glob { .. } | Atom::Expression(_) => {
                    let needs = program.needs_of(index);
                    // An empty text with its case is still one: it is rare enough to be tried every time.
                    if needs.is_empty() {
                        self.tried_always.push(local);
                    }
                    for literal in needs {
                        literals.entry(literal.clone()).or_default().push(local | TRY);
                    }
                }
                Atom::Number { op: NumberOp::Equal, bits } => {
                    self.numbers.insert(bits_of(f64::from_bits(*bits)), local);
                }
                Atom::Number { .. } => self.number_limits.push(local),
                Atom::Network(network) => self.networks.add(*network, local),
                Atom::Boolean(_) | Atom::TimePart { .. } => self.tried_always.push(local),
            }
        }
        self.starts.sort();
        self.ends.sort();
        for outputs in literals.values() {
            self.output_starts.push(self.outputs.len() as u32);
            self.outputs.extend_from_slice(outputs);
        }
        self.output_starts.push(self.outputs.len() as u32);
        // Literals are distinct and not empty, and rule files bound how many there are, so this does not fail; should
        // it, everything is tried.
        self.automaton = DoubleArrayAhoCorasick::with_values(literals.keys().map(|it| it.as_bytes()).zip(0..)).ok();
        if self.automaton.is_none() {
            self.tried_always.extend(self.outputs.drain(..).map(|it| it & !TRY));
        }
    }

    /// Finds the items that hold for the value `text`: [`FieldScratch::items`].
    pub(crate) fn evaluate(&self, program: &Program, text: &str, scratch: &mut FieldScratch) {
        scratch.begin(self.atoms.len());
        let mut folded = std::mem::take(&mut scratch.folded);
        folded.clear();
        text::fold_into(&mut folded, text);
        self.find_texts(&folded, scratch);
        if (!self.numbers.is_empty() || !self.number_limits.is_empty())
            && let Some(number) = ir::number_of(text)
        {
            if let Some(atom) = self.numbers.get(&bits_of(number)) {
                scratch.hit(*atom);
            }
            scratch.tried.extend_from_slice(&self.number_limits);
        }
        if !self.networks.is_empty()
            && let Some(address) = ir::address_of(text)
        {
            self.networks.find(address, |atom| scratch.hit(atom));
        }
        scratch.tried.extend_from_slice(&self.tried_always);
        let tried = std::mem::take(&mut scratch.tried);
        for local in &tried {
            let atom = self.atoms.get(*local as usize).and_then(|it| program.atoms.get(*it as usize));
            if atom.is_some_and(|it| it.holds(text, &folded)) {
                scratch.hits.push(*local);
            }
        }
        scratch.tried = tried;
        scratch.folded = folded;
        self.collect_items(scratch);
    }

    fn find_texts(&self, folded: &str, scratch: &mut FieldScratch) {
        for atom in &self.always {
            scratch.hit(*atom);
        }
        if !self.exact.is_empty()
            && let Some(atom) = self.exact.get(folded)
        {
            scratch.hit(*atom);
        }
        self.starts.find(folded, false, |atom| scratch.hit(atom));
        self.ends.find(folded, true, |atom| scratch.hit(atom));
        let Some(automaton) = &self.automaton else { return };
        for found in automaton.find_overlapping_iter(folded.as_bytes()) {
            for output in range(&self.output_starts, &self.outputs, found.value() as usize) {
                let atom = output & !TRY;
                if scratch.is_new(atom) {
                    if output & TRY == 0 { scratch.hits.push(atom) } else { scratch.tried.push(atom) }
                }
            }
        }
    }

    fn collect_items(&self, scratch: &mut FieldScratch) {
        let FieldScratch { hits, items, .. } = scratch;
        for atom in hits.iter() {
            items.extend_from_slice(range(&self.item_starts, &self.item_list, *atom as usize));
        }
        items.sort_unstable();
        items.dedup();
    }

    /// Bytes of memory, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.automaton.as_ref().map_or(0, DoubleArrayAhoCorasick::heap_bytes)
            + (self.outputs.len() + self.output_starts.len() + self.item_list.len() + self.items.len()) * 4
            + self.exact.iter().map(|(text, _)| text.len() + 32).sum::<usize>()
    }

    /// The literals of the automaton and how to find any of them; `None` if some item is decided by other means, so
    /// that a text without any literal has to be evaluated all the same.
    pub(crate) fn literals(&self, program: &Program) -> Option<Vec<Box<str>>> {
        let mut literals = Vec::new();
        for index in &self.atoms {
            let needs = match program.atoms.get(*index as usize)? {
                Atom::Text { op: TextOp::Contains, text, cased: false } if !text.is_empty() => vec![text.clone()],
                _ => program.needs_of(*index).to_vec(),
            };
            if needs.is_empty() {
                return None;
            }
            literals.extend(needs);
        }
        literals.sort_unstable();
        literals.dedup();
        Some(literals)
    }
}

/// The bits of `number`, the same for both zeros.
fn bits_of(number: f64) -> u64 {
    (number + 0.0).to_bits()
}

/// The part of `list` between the starts `index` and `index + 1`.
#[inline]
fn range<'l>(starts: &[u32], list: &'l [u32], index: usize) -> &'l [u32] {
    match starts.get(index..index + 2) {
        Some([start, end]) => list.get(*start as usize..*end as usize).unwrap_or_default(),
        _ => &[],
    }
}

/// A beginning or end, and its atom.
type Affix = (Box<str>, u32);

/// Beginnings or ends of texts, by up to [`AFFIX_BYTES`] of their bytes.
#[derive(Default)]
struct Affixes {
    /// By how many bytes are the key.
    by_length: Vec<(usize, Map<u64, Vec<Affix>>)>,
}

impl Affixes {
    fn add(&mut self, text: &str, atom: u32, from_end: bool) {
        let length = text.len().min(AFFIX_BYTES);
        let index = match self.by_length.iter().position(|(known, _)| *known == length) {
            Some(index) => index,
            None => {
                self.by_length.push((length, Map::default()));
                self.by_length.len() - 1
            }
        };
        if let (Some(key), Some((_, table))) = (key(text.as_bytes(), length, from_end), self.by_length.get_mut(index)) {
            table.entry(key).or_default().push((text.into(), atom));
        }
    }

    fn sort(&mut self) {
        self.by_length.sort_unstable_by_key(|(length, _)| *length);
    }

    #[inline]
    fn find(&self, text: &str, from_end: bool, mut hit: impl FnMut(u32)) {
        for (length, table) in &self.by_length {
            let Some(key) = key(text.as_bytes(), *length, from_end) else { return };
            for (affix, atom) in table.get(&key).map(Vec::as_slice).unwrap_or_default() {
                if if from_end { text.ends_with(&**affix) } else { text.starts_with(&**affix) } {
                    hit(*atom);
                }
            }
        }
    }
}

/// The first or last `length` bytes as a number.
#[inline]
fn key(bytes: &[u8], length: usize, from_end: bool) -> Option<u64> {
    let start = if from_end { bytes.len().checked_sub(length)? } else { 0 };
    let part = bytes.get(start..start + length)?;
    let mut key = [0; AFFIX_BYTES];
    key.get_mut(..length)?.copy_from_slice(part);
    Some(u64::from_le_bytes(key))
}
