//! From an event to the sources that it is.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use panoptes_model::Value;

use super::mapping::{Mapping, Test};

/// How many combinations of sources are kept. Beyond, they are worked out each time: mappings bound how many there can
/// be, and few come together in practice.
const ROUTES_MAX: usize = 4_096;

/// A value of a tested field: the field's number, and the number of the value among those that some mapping names.
type Seen = (u16, u32);
/// The field is there, with a value that no mapping names.
const OTHER: u32 = 0;

/// Decides which sources an event is.
pub(crate) struct Router {
    tests: Vec<Vec<Tested>>,
    /// By slot: the number of the tested field and one, or 0.
    tested: Vec<u16>,
    /// By number of the tested field.
    values: Vec<Values>,
}

/// The values that mappings name, in lower case, numbered.
#[derive(Default)]
struct Values {
    numbers: HashMap<Box<str>, u32, FixedState>,
    /// Of `product.*`: what stands before the dot.
    families: HashMap<Box<str>, u32, FixedState>,
}

impl Values {
    fn number(&mut self, value: &str) -> u32 {
        let next = (self.numbers.len() + self.families.len()) as u32 + 1;
        let (table, value) = match value.strip_suffix(".*") {
            Some(family) => (&mut self.families, family),
            None => (&mut self.numbers, value),
        };
        *table.entry(value.into()).or_insert(next)
    }

    #[inline]
    fn look(&self, seen: &mut Vec<Seen>, field: u16, text: &str) {
        seen.push((field, self.numbers.get(text).copied().unwrap_or(OTHER)));
        if !self.families.is_empty()
            && let Some((family, _)) = text.split_once('.')
            && let Some(number) = self.families.get(family)
        {
            seen.push((field, *number));
        }
    }
}

/// A [`Test`] in numbers.
enum Tested {
    Present(u16),
    OneOf(u16, Vec<u32>),
}

impl Router {
    /// `slot_of` gives each field a number.
    pub(crate) fn new(mapping: &Mapping, mut slot_of: impl FnMut(&str) -> u32) -> Self {
        let mut router = Self { tests: Vec::new(), tested: Vec::new(), values: Vec::new() };
        for source in &mapping.sources {
            let tests = source.when.iter().map(|it| router.test(it, slot_of(&it.field))).collect();
            router.tests.push(tests);
        }
        router
    }

    fn test(&mut self, test: &Test, slot: u32) -> Tested {
        let slot = slot as usize;
        if self.tested.len() <= slot {
            self.tested.resize(slot + 1, 0);
        }
        let known = self.tested.get(slot).copied().unwrap_or_default();
        let number = match known.checked_sub(1) {
            Some(number) => number,
            None => {
                self.values.push(Values::default());
                if let Some(entry) = self.tested.get_mut(slot) {
                    *entry = self.values.len() as u16;
                }
                self.values.len() as u16 - 1
            }
        };
        let Some(values) = &test.values else { return Tested::Present(number) };
        let numbers = values.iter().filter_map(|value| Some(self.values.get_mut(number as usize)?.number(value)));
        Tested::OneOf(number, numbers.collect())
    }

    /// Whether some mapping asks for the field in `slot`.
    #[inline]
    pub(crate) fn is_tested(&self, slot: u32) -> bool {
        self.tested.get(slot as usize).is_some_and(|it| *it != 0)
    }

    /// Appends what `value` of the field in `slot` says, if any mapping asks for that field.
    #[inline]
    pub(crate) fn look(&self, seen: &mut Vec<Seen>, folded: &mut String, slot: u32, value: Value<'_>) {
        let Some(number) = self.tested.get(slot as usize).and_then(|it| it.checked_sub(1)) else { return };
        let Some(values) = self.values.get(number as usize) else { return };
        for item in value.each() {
            let text = match item {
                Value::Null => continue,
                Value::Text(text) if !text.bytes().any(|it| it.is_ascii_uppercase()) => {
                    values.look(seen, number, text);
                    continue;
                }
                other => other.to_text(),
            };
            folded.clear();
            folded.push_str(&text);
            folded.make_ascii_lowercase();
            values.look(seen, number, folded);
        }
    }

    /// The sources of an event of which `seen` (sorted, each once) is known.
    pub(crate) fn sources(&self, seen: &[Seen]) -> Vec<u32> {
        let holds = |test: &Tested| match test {
            Tested::Present(number) => seen.iter().any(|(field, _)| field == number),
            Tested::OneOf(number, values) => {
                seen.iter().any(|(field, value)| field == number && values.contains(value))
            }
        };
        (0..).zip(&self.tests).filter(|(_, tests)| tests.iter().all(holds)).map(|(index, _)| index).collect()
    }
}

/// Routes that were taken, each with what it leads to.
pub(crate) struct Routes<T> {
    by_seen: HashMap<Box<[Seen]>, T, foldhash::fast::RandomState>,
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self { by_seen: HashMap::default() }
    }
}

impl<T: Clone> Routes<T> {
    #[inline]
    pub(crate) fn get(&self, seen: &[Seen]) -> Option<&T> {
        self.by_seen.get(seen)
    }

    pub(crate) fn keep(&mut self, seen: &[Seen], leads_to: T) {
        if self.by_seen.len() >= ROUTES_MAX {
            self.by_seen.clear();
        }
        self.by_seen.insert(seen.into(), leads_to);
    }
}
