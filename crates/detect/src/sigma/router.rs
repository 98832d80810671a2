//! From an event to the sources that it is.

use std::hash::BuildHasher as _;

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
    /// The number of `event.dataset`, if some mapping asks for it.
    pub(crate) dataset: Option<u16>,
    /// What has to be looked at of events of a dataset: a bit for each of the first 64 tested fields.
    masks: HashMap<Box<str>, u64, FixedState>,
    /// The same for events of datasets that no mapping names.
    general: u64,
}

/// All tested fields.
pub(crate) const EVERYTHING: u64 = u64::MAX;

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

    /// The number of `text`, whatever its case, and of its family.
    fn look(&self, text: &str) -> Numbers {
        let folded = text.to_ascii_lowercase();
        let family = match folded.split_once('.') {
            Some((family, _)) if !self.families.is_empty() => self.families.get(family).copied(),
            _ => None,
        };
        (self.numbers.get(folded.as_str()).copied().unwrap_or(OTHER), family)
    }
}

/// The number of a text, and that of its family.
type Numbers = (u32, Option<u32>);

/// What texts were looked up before: few different ones come.
#[derive(Default)]
pub(crate) struct Looked {
    /// By number of the tested field. Random: a sender cannot choose texts that collide.
    by_field: Vec<HashMap<Box<str>, Numbers, foldhash::fast::RandomState>>,
}

/// How many texts of a field are remembered; reaching it forgets them.
const LOOKED_MAX: usize = 256;
/// Longer texts are not remembered.
const LOOKED_BYTES_MAX: usize = 256;

impl Looked {
    #[inline]
    fn look(&mut self, field: u16, text: &str, values: &Values) -> Numbers {
        if text.len() > LOOKED_BYTES_MAX {
            return values.look(text);
        }
        if self.by_field.len() <= field.into() {
            self.by_field.resize_with(usize::from(field) + 1, HashMap::default);
        }
        let Some(known) = self.by_field.get_mut(usize::from(field)) else { return values.look(text) };
        if let Some(found) = known.get(text) {
            return *found;
        }
        let found = values.look(text);
        if known.len() >= LOOKED_MAX {
            known.clear();
        }
        known.insert(text.into(), found);
        found
    }
}

/// The bit of a tested field; fields beyond the 64th are always looked at.
#[inline]
fn bit_of(number: u16) -> u64 {
    1_u64.checked_shl(number.into()).unwrap_or(EVERYTHING)
}

impl Tested {
    fn bit(&self) -> u64 {
        match self {
            Self::Present(number) | Self::OneOf(number, _) => match number {
                0..64 => bit_of(*number),
                _ => 0,
            },
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
        let mut router = Self {
            tests: Vec::new(),
            tested: Vec::new(),
            values: Vec::new(),
            dataset: None,
            masks: HashMap::default(),
            general: 0,
        };
        // (datasets, fields) of each source.
        let mut asked: Vec<(Vec<&str>, u64)> = Vec::new();
        for source in &mapping.sources {
            let tests: Vec<Tested> = source.when.iter().map(|it| router.test(it, slot_of(&it.field))).collect();
            let bits = tests.iter().fold(0, |bits, it| bits | it.bit());
            asked.push((source.datasets().collect(), bits));
            router.tests.push(tests);
        }
        let of_no_dataset = asked.iter().filter(|(datasets, _)| datasets.is_empty());
        router.general = of_no_dataset.fold(0, |bits, (_, it)| bits | it);
        for (datasets, bits) in &asked {
            for dataset in datasets {
                *router.masks.entry((*dataset).into()).or_insert(router.general) |= bits;
            }
        }
        // What a family asks for, its members have to be asked as well.
        let families: Vec<(String, u64)> =
            router.masks.iter().filter_map(|(name, bits)| Some((name.strip_suffix('*')?.to_owned(), *bits))).collect();
        for (family, bits) in families {
            for (_, mask) in router.masks.iter_mut().filter(|(name, _)| name.starts_with(&family)) {
                *mask |= bits;
            }
        }
        // The dataset itself is looked at even if it leads nowhere.
        router.dataset = router.tested.get(slot_of("event.dataset") as usize).and_then(|it| it.checked_sub(1));
        let own = router.dataset.map_or(0, bit_of);
        router.general |= own;
        router.masks.values_mut().for_each(|it| *it |= own);
        router
    }

    /// Which tested fields have to be looked at in an event of `dataset`.
    #[inline]
    pub(crate) fn mask(&self, dataset: &str) -> u64 {
        match self.masks.get(dataset) {
            Some(mask) => *mask,
            // A family, or a name in capitals: rare enough to look at everything.
            None if dataset.contains('.') || dataset.bytes().any(|it| it.is_ascii_uppercase()) => EVERYTHING,
            None => self.general,
        }
    }

    /// [`mask`](Self::mask) of an event without a dataset.
    pub(crate) fn general_mask(&self) -> u64 {
        self.general
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

    /// The number of the field in `slot` among those that some mapping asks for, plus one; 0 if none does.
    #[inline]
    pub(crate) fn tested(&self, slot: u32) -> u16 {
        self.tested.get(slot as usize).copied().unwrap_or(0)
    }

    /// Whether `mask` asks for the field of this number (not plus one).
    #[inline]
    pub(crate) fn is_asked(number: u16, mask: u64) -> bool {
        mask & bit_of(number) != 0
    }

    /// Appends what `value` of the field in `slot` says, if any mapping asks for that field.
    #[inline]
    pub(crate) fn look(&self, seen: &mut Vec<Seen>, looked: &mut Looked, slot: u32, value: Value<'_>) {
        let Some(number) = self.tested.get(slot as usize).and_then(|it| it.checked_sub(1)) else { return };
        let Some(values) = self.values.get(number as usize) else { return };
        let mut note = |text: &str| {
            let (value, family) = looked.look(number, text, values);
            seen.push((number, value));
            seen.extend(family.map(|it| (number, it)));
        };
        match value {
            Value::Null => {}
            Value::Text(text) => note(text),
            other => other.each().filter(|it| *it != Value::Null).for_each(|it| note(&it.to_text())),
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

/// How many routes are remembered by the words that led to them; each takes the place of one with the same hash.
const RECENT: usize = 512;
/// Words of more bytes together are not remembered.
const WORDS_BYTES_MAX: usize = 1_024;

/// Routes by what the tested fields say, word for word: neither the case nor the order of the words is looked at, so one
/// route may be here several times.
pub(crate) struct Recent<T> {
    /// One more than [`RECENT`]: the last is for the event at hand, if its words are not remembered.
    places: Box<[Taken<T>]>,
    /// What the event at hand says: for each word the number of its field, its length, itself.
    words: Vec<u8>,
    /// Random: a sender cannot choose words that share a place.
    hasher: foldhash::fast::RandomState,
}

struct Taken<T> {
    words: Vec<u8>,
    leads_to: Option<T>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self {
            places: (0..=RECENT).map(|_| Taken { words: Vec::new(), leads_to: None }).collect(),
            words: Vec::new(),
            hasher: foldhash::fast::RandomState::default(),
        }
    }
}

impl<T> Recent<T> {
    pub(crate) fn begin(&mut self) {
        self.words.clear();
    }

    /// The event says `value` in the tested field of this number.
    #[inline]
    pub(crate) fn add(&mut self, number: u16, value: Value<'_>) {
        match value {
            Value::Null => {}
            Value::Text(text) => self.add_word(number, text),
            other => other.each().filter(|it| *it != Value::Null).for_each(|it| self.add_word(number, &it.to_text())),
        }
    }

    #[inline]
    fn add_word(&mut self, number: u16, word: &str) {
        if self.words.len() <= WORDS_BYTES_MAX {
            self.words.extend_from_slice(&number.to_le_bytes());
            self.words.extend_from_slice(&word.len().to_le_bytes());
            self.words.extend_from_slice(word.as_bytes());
        }
    }

    /// The place of the words that were [added](Self::add), and whether it is [known](Self::at) where they lead.
    #[inline]
    pub(crate) fn find(&mut self) -> (usize, bool) {
        if self.words.len() > WORDS_BYTES_MAX {
            return (RECENT, false);
        }
        let place = self.hasher.hash_one(self.words.as_slice()) as usize % RECENT;
        (place, self.places.get(place).is_some_and(|it| it.leads_to.is_some() && it.words == self.words))
    }

    /// The words that were added lead there; `place` is what [`find`](Self::find) said.
    pub(crate) fn put(&mut self, place: usize, leads_to: T) {
        if let Some(taken) = self.places.get_mut(place) {
            taken.words.clear();
            taken.words.extend_from_slice(&self.words);
            taken.leads_to = Some(leads_to);
        }
    }

    #[inline]
    pub(crate) fn at(&self, place: usize) -> Option<&T> {
        self.places.get(place)?.leads_to.as_ref()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleFile;

    /// Names of the sources of an event with these fields, looked at through the mask of its dataset.
    fn sources_of(text: &str, fields: &[(&str, &str)]) -> Vec<String> {
        let file = RuleFile { path: "own.toml".to_owned(), text: text.to_owned() };
        let mapping = Mapping::load([&file].into_iter(), false, &mut Vec::new());
        let mut names: Vec<String> = Vec::new();
        let router = Router::new(&mapping, |name| {
            let known = names.iter().position(|it| it == name);
            known.unwrap_or_else(|| {
                names.push(name.to_owned());
                names.len() - 1
            }) as u32
        });
        let dataset = fields.iter().find(|(name, _)| *name == "event.dataset");
        let mask = dataset.map_or(router.general_mask(), |(_, value)| router.mask(value));
        let (mut seen, mut looked) = (Vec::new(), Looked::default());
        for (name, value) in fields {
            let slot = names.iter().position(|it| it == name).unwrap_or(usize::MAX) as u32;
            if router.tested(slot).checked_sub(1).is_some_and(|it| Router::is_asked(it, mask)) {
                router.look(&mut seen, &mut looked, slot, Value::Text(value));
            }
        }
        seen.sort_unstable();
        seen.dedup();
        let own = |name: &String| name.starts_with("own");
        router.sources(&seen).iter().map(|it| mapping.source(*it).unwrap().name.clone()).filter(own).collect()
    }

    #[test]
    fn what_a_source_tests_is_looked_at_whatever_the_dataset() {
        let text = r#"
            [[source]]
            name = "own: of a family"
            product = "shop"
            when = { "event.dataset" = "shop.*", "shop.kind" = ["Sale", "return"] }
            [[source]]
            name = "own: one dataset"
            product = "shop"
            when = { "event.dataset" = "shop.till" }
            [[source]]
            name = "own: of no dataset"
            product = "shop"
            when = { "shop.id" = true }
        "#;
        let till = [("event.dataset", "shop.till"), ("shop.kind", "SALE"), ("shop.id", "7")];
        assert_eq!(sources_of(text, &till), ["own: of a family", "own: one dataset", "own: of no dataset"]);
        let door = [("event.dataset", "Shop.Door"), ("shop.kind", "return")];
        assert_eq!(sources_of(text, &door), ["own: of a family"]);
        assert_eq!(sources_of(text, &[("event.dataset", "shop.door"), ("shop.kind", "other")]), [""; 0]);
        assert_eq!(sources_of(text, &[("event.dataset", "nothing"), ("shop.id", "7")]), ["own: of no dataset"]);
        assert_eq!(sources_of(text, &[("shop.kind", "sale"), ("shop.id", "7")]), ["own: of no dataset"]);
    }

    #[test]
    fn routes_are_found_again_by_every_word_and_nothing_else() {
        let mut recent: Recent<usize> = Recent::default();
        let long = "x".repeat(WORDS_BYTES_MAX);
        let events: Vec<Vec<(u16, &str)>> = vec![
            vec![],
            vec![(0, "")],
            vec![(0, "ab")],
            vec![(1, "ab")],
            vec![(0, "a"), (0, "b")],
            vec![(0, "b"), (0, "a")],
            vec![(0, "a"), (1, "b")],
            vec![(0, &long)],
            vec![(0, &long), (0, "more")],
        ];
        for round in 0..2 {
            for (index, event) in events.iter().enumerate() {
                recent.begin();
                recent.add(7, Value::Null);
                event.iter().for_each(|(number, word)| recent.add(*number, Value::Text(word)));
                let (place, is_known) = recent.find();
                // Two may share a place, but none is taken for another.
                if is_known {
                    assert!(round > 0 && index < 7);
                    assert_eq!(recent.at(place), Some(&index));
                }
                recent.put(place, index);
                assert_eq!(recent.at(place), Some(&index));
                assert_eq!(recent.find(), (place, index < 7));
            }
        }
        assert!(recent.places.iter().all(|it| it.words.len() <= 2 * WORDS_BYTES_MAX));
    }

    #[test]
    fn what_was_looked_up_is_bounded_and_no_answer_depends_on_it() {
        let mut values = Values::default();
        let (known, family) = (values.number("known"), values.number("shop.*"));
        let mut looked = Looked::default();
        let long = "x".repeat(LOOKED_BYTES_MAX + 1);
        for number in 0..3 * LOOKED_MAX {
            assert_eq!(looked.look(0, &format!("other {number}"), &values), (OTHER, None));
            assert_eq!(looked.look(0, "KNOWN", &values), (known, None));
            assert_eq!(looked.look(0, "Shop.till", &values), (OTHER, Some(family)));
            assert_eq!(looked.look(0, &long, &values), (OTHER, None));
            let kept = &looked.by_field[0];
            assert!(kept.len() <= LOOKED_MAX && !kept.contains_key(long.as_str()));
        }
        assert_eq!(looked.look(1, "known", &Values::default()), (OTHER, None), "fields do not share what they know");
    }
}
