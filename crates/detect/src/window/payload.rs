//! What an entry of a log carries beside its time, and what the entries of a window add up to.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::measure::{Measure, Number};

/// Carried by an entry. Whatever enters a window and leaves it again leaves no trace.
pub(crate) trait Payload: Clone + std::fmt::Debug + PartialEq {
    type Window: Clone + std::fmt::Debug + Default + PartialEq;

    fn enter(&self, window: &mut Self::Window);
    fn leave(&self, window: &mut Self::Window);
    /// Takes in that of a neighbour, when a crowded log puts both into one entry. `window` is what it has entered, if it
    /// has; the neighbour has not.
    fn absorb(&mut self, other: Self, window: Option<&mut Self::Window>);
    /// Memory beside the entry itself.
    fn bytes(&self) -> usize {
        0
    }
}

/// Events are only counted.
impl Payload for () {
    type Window = ();

    fn enter(&self, (): &mut ()) {}
    fn leave(&self, (): &mut ()) {}
    fn absorb(&mut self, (): (), _: Option<&mut ()>) {}
}

/// For sums and averages: the values of the entry together.
impl Payload for Number {
    type Window = Self;

    fn enter(&self, window: &mut Self) {
        *window = window.plus(*self);
    }

    fn leave(&self, window: &mut Self) {
        *window = window.minus(*self);
    }

    fn absorb(&mut self, other: Self, window: Option<&mut Self>) {
        *self = self.plus(other);
        if let Some(window) = window {
            other.enter(window);
        }
    }
}

/// Place of a value in [`Values`](super::values::Values); [`SEVERAL`](Self::SEVERAL) once entries were put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ValuePlace(pub(crate) u32);

impl ValuePlace {
    pub(crate) const SEVERAL: Self = Self(u32::MAX);
}

impl Payload for ValuePlace {
    type Window = ();

    fn enter(&self, (): &mut ()) {}
    fn leave(&self, (): &mut ()) {}
    fn absorb(&mut self, other: Self, _: Option<&mut ()>) {
        if *self != other {
            *self = Self::SEVERAL;
        }
    }
}

/// How many binary digits of a value are kept once entries are put together: it is then at most 1/128 of itself off.
const CROWDED_BITS: u32 = 7;

/// A rounded value and how often it occurs. Seven digits fit into an `f32` exactly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cell {
    value: f32,
    count: u32,
}

/// For percentiles: the values of the entry, least first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Cells {
    One(Number, u32),
    Many(Vec<Cell>),
}

impl Cells {
    /// Its first value, rounded.
    fn first_cell(&self) -> Cell {
        match self {
            Self::One(value, count) => Cell { value: value.rounded(CROWDED_BITS).to_units(), count: *count },
            Self::Many(cells) => cells.first().copied().unwrap_or(Cell { value: 0.0, count: 0 }),
        }
    }

    /// The value, if it is one that occurs once.
    pub(crate) fn single(&self) -> Option<Number> {
        match self {
            Self::One(value, 1) => Some(*value),
            _ => None,
        }
    }

    fn for_each(&self, mut visit: impl FnMut(Number, u32)) {
        match self {
            Self::One(value, count) => visit(*value, *count),
            Self::Many(cells) => cells.iter().for_each(|cell| visit(Number::from_units(cell.value), cell.count)),
        }
    }
}

impl Payload for Cells {
    type Window = Ranks;

    fn enter(&self, window: &mut Ranks) {
        self.for_each(|value, count| window.add(value, count));
    }

    fn leave(&self, window: &mut Ranks) {
        self.for_each(|value, count| window.remove(value, count));
    }

    fn absorb(&mut self, other: Self, mut window: Option<&mut Ranks>) {
        if let Self::One(..) = self {
            if let Some(window) = &mut window {
                self.leave(window);
            }
            *self = Self::Many(vec![self.first_cell()]);
            if let Some(window) = &mut window {
                self.enter(window);
            }
        }
        let Self::Many(cells) = self else { return };
        let other = match other {
            Self::One(..) => Self::Many(vec![other.first_cell()]),
            many => many,
        };
        if let Some(window) = window {
            other.enter(window);
        }
        let Self::Many(others) = other else { return };
        if let [one] = others.as_slice() {
            let at = cells.partition_point(|it| it.value < one.value);
            match cells.get_mut(at).filter(|it| it.value == one.value) {
                Some(cell) => cell.count = cell.count.saturating_add(one.count),
                None => cells.insert(at, *one),
            }
            return;
        }
        let mut merged: Vec<Cell> = Vec::with_capacity(cells.len() + others.len());
        let (mut left, mut right) = (std::mem::take(cells).into_iter().peekable(), others.into_iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            let (a, b) = (*a, *b);
            match a.value.total_cmp(&b.value) {
                Ordering::Less => merged.extend(left.next()),
                Ordering::Greater => merged.extend(right.next()),
                Ordering::Equal => {
                    merged.push(Cell { value: a.value, count: a.count.saturating_add(b.count) });
                    left.next();
                    right.next();
                }
            }
        }
        merged.extend(left.chain(right));
        *cells = merged;
    }

    fn bytes(&self) -> usize {
        match self {
            Self::One(..) => 0,
            Self::Many(cells) => cells.len() * size_of::<Cell>(),
        }
    }
}

/// The values of a window, least first, each with how often it occurs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ranks {
    values: Vec<(Number, u32)>,
    total: u64,
}

impl Ranks {
    fn add(&mut self, value: Number, count: u32) {
        self.total += u64::from(count);
        let at = self.values.partition_point(|(it, _)| *it < value);
        match self.values.get_mut(at).filter(|(it, _)| *it == value) {
            Some((_, known)) => *known = known.saturating_add(count),
            None => self.values.insert(at, (value, count)),
        }
    }

    fn remove(&mut self, value: Number, count: u32) {
        let at = self.values.partition_point(|(it, _)| *it < value);
        let Some((_, known)) = self.values.get_mut(at).filter(|(it, _)| *it == value) else { return };
        self.total = self.total.saturating_sub(u64::from(count));
        *known = known.saturating_sub(count);
        if *known == 0 {
            self.values.remove(at);
        }
    }

    /// Memory that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.values.len().next_power_of_two() * size_of::<(Number, u32)>()
    }

    /// The value below which `percent` of the values lie: straight between the two nearest, as most statistics programs
    /// have it. `None` of nothing.
    pub(crate) fn percentile(&self, percent: u32) -> Option<Measure> {
        let last = u128::from(self.total.checked_sub(1)?);
        let place = last * u128::from(percent.min(100));
        let (low, hundredths) = ((place / 100) as u64, (place % 100) as u64);
        let (low_value, high_value) = self.pair_at(low)?;
        Some(Measure::between(low_value, high_value, hundredths))
    }

    /// The values number `place` and `place + 1` (or the last twice), counted from 0; found from the nearer end.
    fn pair_at(&self, place: u64) -> Option<(Number, Number)> {
        let next = (place + 1).min(self.total - 1);
        if place < self.total / 2 {
            let mut passed = 0;
            let mut low = None;
            for (value, count) in &self.values {
                passed += u64::from(*count);
                if low.is_none() && place < passed {
                    low = Some(*value);
                }
                if next < passed {
                    return Some((low?, *value));
                }
            }
        } else {
            let mut begins = self.total;
            let mut high = None;
            for (value, count) in self.values.iter().rev() {
                begins = begins.saturating_sub(u64::from(*count));
                if high.is_none() && next >= begins {
                    high = Some(*value);
                }
                if place >= begins {
                    return Some((*value, high?));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(value: f64) -> Number {
        Number::parse(&value.to_string()).unwrap()
    }

    #[test]
    fn percentiles_lie_between_the_nearest_values() {
        let mut ranks = Ranks::default();
        assert_eq!(ranks.percentile(50), None);
        for value in [10.0, 20.0, 30.0, 40.0] {
            Cells::One(number(value), 1).enter(&mut ranks);
        }
        let at = |percent| ranks.percentile(percent).unwrap().to_f64();
        assert_eq!((at(0), at(50), at(75), at(100), at(999)), (10.0, 25.0, 32.5, 40.0, 40.0));
    }

    proptest! {
        #[test]
        fn ranks_are_those_of_the_sorted_values(
            values in prop::collection::vec((0_i32..50, 1_u32..4), 1..60),
            gone in 0_usize..60,
            percent in 0_u32..=100,
        ) {
            let cells: Vec<Cells> = values.iter().map(|(it, times)| Cells::One(number(f64::from(*it) / 4.0), *times)).collect();
            let mut ranks = Ranks::default();
            cells.iter().for_each(|it| it.enter(&mut ranks));
            let gone = gone.min(values.len() - 1);
            cells.iter().take(gone).for_each(|it| it.leave(&mut ranks));
            let mut sorted: Vec<f64> = values
                .iter()
                .skip(gone)
                .flat_map(|(it, times)| std::iter::repeat_n(f64::from(*it) / 4.0, *times as usize))
                .collect();
            sorted.sort_by(f64::total_cmp);
            let place = (sorted.len() - 1) as f64 * f64::from(percent) / 100.0;
            let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            let expected = low + (high - low) * place.fract();
            let found = ranks.percentile(percent).unwrap().to_f64();
            prop_assert!((found - expected).abs() < 1e-9, "{} instead of {}", found, expected);
        }

        #[test]
        fn crowded_cells_keep_count_and_nearly_the_values(values in prop::collection::vec(-1e9_f64..1e9, 2..80)) {
            let mut cells = Cells::One(number(values[0]), 1);
            values[1..].iter().for_each(|it| cells.absorb(Cells::One(number(*it), 1), None));
            let mut ranks = Ranks::default();
            cells.enter(&mut ranks);
            // The window that it grew in is the same.
            let mut grown = Cells::One(number(values[0]), 1);
            let mut window = Ranks::default();
            grown.enter(&mut window);
            let (half, rest) = values[1..].split_at(values.len() / 2);
            half.iter().for_each(|it| grown.absorb(Cells::One(number(*it), 1), Some(&mut window)));
            let mut other: Option<Cells> = None;
            for value in rest.iter().map(|it| Cells::One(number(*it), 1)) {
                match &mut other {
                    Some(other) => other.absorb(value, None),
                    None => other = Some(value),
                }
            }
            other.into_iter().for_each(|it| grown.absorb(it, Some(&mut window)));
            prop_assert_eq!(&grown, &cells);
            prop_assert_eq!(&window, &ranks);
            prop_assert_eq!(ranks.total, values.len() as u64);
            let mut sorted = values;
            sorted.sort_by(f64::total_cmp);
            for (percent, exact) in [(0, sorted[0]), (100, sorted[sorted.len() - 1])] {
                let found = ranks.percentile(percent).unwrap().to_f64();
                prop_assert!((found - exact).abs() <= exact.abs() / 127.0 + 1e-6, "{} instead of {}", found, exact);
            }
            cells.leave(&mut ranks);
            prop_assert_eq!(ranks, Ranks::default());
        }
    }
}
