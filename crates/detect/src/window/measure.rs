//! What a window adds up to, in exact arithmetic: numbers are whole multiples of 2⁻³², so that what has entered a sum can
//! leave it again without a trace, however long the window slides.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// How many binary places a [`Number`] has behind the point.
const FRACTION_BITS: u32 = 32;
/// The largest magnitude that is counted: 2⁶³. With 32 places behind the point, sums of two thousand million of them fit.
const MAGNITUDE_MAX: f64 = 9_223_372_036_854_775_808.0;

/// A number of an event, as a multiple of 2⁻³². Whole numbers are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Number(i128);

impl Number {
    /// Reads decimal text: `17`, `-0.5`, `1e6`. `None` if it is no number, not finite or too large.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(whole) = text.parse::<i64>() {
            return Some(Self(i128::from(whole) << FRACTION_BITS));
        }
        // Rust would read `inf`, `nan` and `infinity` as numbers too; the check refuses them.
        let float: f64 = text.parse().ok()?;
        if float.is_nan() || float.abs() > MAGNITUDE_MAX {
            return None;
        }
        // A power of two is exact as a factor, and the product lies far inside of `i128`.
        Some(Self((float * f64::from(1_u32 << 16) * f64::from(1_u32 << 16)).round_ties_even() as i128))
    }

    pub(crate) fn to_bits(self) -> u128 {
        self.0 as u128
    }

    pub(crate) fn from_bits(bits: u128) -> Self {
        Self(bits as i128)
    }

    /// What [`to_units`](Self::to_units) made.
    pub(crate) fn from_units(units: f32) -> Self {
        Self(units as i128)
    }

    /// As a multiple of 2⁻³²; exact for numbers of at most 24 binary digits.
    pub(crate) fn to_units(self) -> f32 {
        self.0 as f32
    }

    /// `times` of it together.
    pub(crate) fn times(self, times: u32) -> Self {
        Self(self.0.saturating_mul(i128::from(times)))
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The number cut to `bits` binary digits, rounded: at most 2⁻ᵇⁱᵗˢ of it away.
    pub(crate) fn rounded(self, bits: u32) -> Self {
        let magnitude = self.0.unsigned_abs();
        let length = u128::BITS - magnitude.leading_zeros();
        let Some(surplus) = length.checked_sub(bits).filter(|it| *it > 0) else { return self };
        // At most 2⁹⁶ plus half of it: far from the end of the range.
        let rounded = ((magnitude + (1 << (surplus - 1))) >> surplus << surplus) as i128;
        Self(if self.0 < 0 { -rounded } else { rounded })
    }
}

/// What a condition is asked about: a fraction of whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measure {
    /// In multiples of 2⁻³².
    numerator: i128,
    /// Never zero.
    denominator: u64,
}

impl Measure {
    pub(crate) fn count(count: u64) -> Self {
        Self { numerator: i128::from(count) << FRACTION_BITS, denominator: 1 }
    }

    pub(crate) fn number(number: Number) -> Self {
        Self { numerator: number.0, denominator: 1 }
    }

    /// `sum / count`; `None` of nothing.
    pub(crate) fn average(sum: Number, count: u64) -> Option<Self> {
        (count > 0).then_some(Self { numerator: sum.0, denominator: count })
    }

    /// The value `hundredths / 100` of the way from `low` to `high`.
    pub(crate) fn between(low: Number, high: Number, hundredths: u64) -> Self {
        let (low_share, high_share) = (100 - i128::from(hundredths.min(100)), i128::from(hundredths.min(100)));
        let numerator = low.0.saturating_mul(low_share).saturating_add(high.0.saturating_mul(high_share));
        Self { numerator, denominator: 100 }
    }

    pub(crate) fn compare(self, threshold: i64) -> Ordering {
        let threshold = (i128::from(threshold) << FRACTION_BITS).saturating_mul(i128::from(self.denominator));
        self.numerator.cmp(&threshold)
    }

    /// For people.
    pub(crate) fn to_f64(self) -> f64 {
        self.numerator as f64 / f64::from(1_u32 << 16) / f64::from(1_u32 << 16) / self.denominator as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<f64> {
        Number::parse(text).map(|it| Measure::number(it).to_f64())
    }

    #[test]
    fn numbers_are_read_and_what_is_none_is_refused() {
        for (text, expected) in [
            ("17", 17.0),
            (" -3 ", -3.0),
            ("0.5", 0.5),
            ("1e6", 1e6),
            ("9223372036854775807", 2_f64.powi(63)),
            ("-0", 0.0),
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
        for text in ["", "abc", "NaN", "inf", "-infinity", "1e300", "-1e19", "0x10", "1,5", "true", "1 2", "９"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_entered_a_sum_leaves_no_trace() {
        let mut sum = Number::default();
        let huge = Number::parse("9e18").unwrap();
        let small = Number::parse("0.25").unwrap();
        for _ in 0..1_000 {
            sum = sum.plus(huge).plus(small);
        }
        for _ in 0..1_000 {
            sum = sum.minus(huge);
        }
        assert_eq!(Measure::number(sum).to_f64(), 250.0);
        assert_eq!(huge.times(u32::MAX).times(u32::MAX).plus(huge), Number(i128::MAX), "saturates");
    }

    #[test]
    fn averages_and_places_in_between_compare_exactly() {
        let ten = Number::parse("10").unwrap();
        let third = Measure::average(ten, 3).unwrap();
        assert_eq!((third.compare(3), third.compare(4)), (Ordering::Greater, Ordering::Less));
        assert_eq!(Measure::average(Number::parse("9").unwrap(), 3).unwrap().compare(3), Ordering::Equal);
        assert_eq!(Measure::average(ten, 0), None);
        let eleven = Number::parse("11").unwrap();
        assert_eq!(Measure::between(ten, eleven, 50).to_f64(), 10.5);
        assert_eq!(Measure::between(ten, eleven, 0).compare(10), Ordering::Equal);
        assert_eq!(Measure::count(u64::MAX).compare(i64::MAX), Ordering::Greater);
        assert_eq!(Measure { numerator: 5, denominator: u64::MAX }.compare(i64::MAX), Ordering::Less);
    }

    proptest! {
        #[test]
        fn rounding_is_as_close_as_it_says(value in -1e15_f64..1e15, bits in 2_u32..12) {
            let number = Number::parse(&value.to_string()).unwrap();
            let exact = Measure::number(number).to_f64();
            let rounded = Measure::number(number.rounded(bits)).to_f64();
            prop_assert!((rounded - exact).abs() <= exact.abs() * 2_f64.powi(-(bits as i32)) + 1e-9);
            prop_assert_eq!(number.rounded(bits).rounded(bits), number.rounded(bits));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}", number in any::<f64>()) {
            let _ = Number::parse(&text);
            let _ = Number::parse(&number.to_string());
            let _ = Number::parse(&format!("{number:e}"));
        }
    }
}
