//! How many lines may go out now: a token bucket without a clock of its own.

use std::time::Duration;

use panoptes_model::Timestamp;

/// What may be caught up after a pause, in seconds' worth of lines. A receiver that stalls longer is not flooded
/// afterwards: the lines of that time are never made.
const CATCH_UP_SECONDS: u64 = 1;
/// One line in credit. Credit is nanoseconds times lines per second, so nothing is ever rounded away.
const LINE: u128 = 1_000_000_000;

/// A token bucket. A rate of 0 means no limit.
#[derive(Debug)]
pub(super) struct Limiter {
    rate: u64,
    credit: u128,
    last: Timestamp,
}

impl Limiter {
    /// Starts empty.
    pub(super) const fn new(rate: u64, now: Timestamp) -> Self {
        Self { rate, credit: 0, last: now }
    }

    /// Takes up to `most` lines, or none if `least` are not there yet.
    pub(super) fn take_at_least(&mut self, now: Timestamp, least: u64, most: u64) -> u64 {
        if self.rate == 0 {
            return most;
        }
        let elapsed = now.nanos_since(self.last).max(0).unsigned_abs();
        // A clock that was set back only starts a new measurement.
        self.last = now;
        let credit_max = u128::from((self.rate * CATCH_UP_SECONDS).max(1)) * LINE;
        self.credit = (self.credit + u128::from(elapsed) * u128::from(self.rate)).min(credit_max);
        let there = u64::try_from(self.credit / LINE).unwrap_or(u64::MAX);
        if there < least {
            return 0;
        }
        let taken = most.min(there);
        self.credit -= u128::from(taken) * LINE;
        taken
    }

    /// How long until `wanted` lines may go out, if nothing is taken before.
    pub(super) fn wait(&self, wanted: u64) -> Duration {
        if self.rate == 0 {
            return Duration::ZERO;
        }
        let missing = (u128::from(wanted) * LINE).saturating_sub(self.credit);
        Duration::from_nanos(u64::try_from(missing.div_ceil(u128::from(self.rate))).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Limiter {
        fn take(&mut self, now: Timestamp, most: u64) -> u64 {
            self.take_at_least(now, 1, most)
        }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_705_314_600_000 + millis)
    }

    #[test]
    fn a_second_is_worth_exactly_the_rate() {
        for (rate, step) in [(1, 1), (3, 7), (5_000, 1), (4_999, 13), (100_000, 10)] {
            let mut limiter = Limiter::new(rate, at(0));
            let taken: u64 = (0..=10_000 / step).map(|tick| limiter.take(at(tick * step), u64::MAX)).sum();
            let expected = rate * (10_000 / step * step) as u64 / 1_000;
            assert_eq!(taken, expected, "at {rate}/s in steps of {step} ms");
        }
    }

    #[test]
    fn after_a_pause_one_second_is_caught_up_and_no_more() {
        let mut limiter = Limiter::new(500, at(0));
        assert_eq!(limiter.take(at(60_000), u64::MAX), 500);
        assert_eq!(limiter.take(at(60_000), u64::MAX), 0);
        assert_eq!(limiter.take(at(60_002), u64::MAX), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_neither_stops_nor_floods() {
        let mut limiter = Limiter::new(1_000, at(10_000));
        assert_eq!(limiter.take(at(0), 10), 0);
        assert_eq!(limiter.take(at(5), 10), 5);
    }

    #[test]
    fn the_wait_is_as_long_as_it_takes() {
        let mut limiter = Limiter::new(200, at(0));
        assert_eq!(limiter.wait(1), Duration::from_millis(5));
        assert_eq!(limiter.take(at(2), 1), 0);
        assert_eq!(limiter.wait(1), Duration::from_millis(3));
        assert_eq!(limiter.take(at(5), 1), 1);
        assert_eq!(Limiter::new(0, at(0)).wait(100), Duration::ZERO);
    }

    #[test]
    fn fewer_than_asked_for_are_left_to_gather() {
        let mut limiter = Limiter::new(1_000, at(0));
        assert_eq!(limiter.take_at_least(at(9), 10, 500), 0);
        assert_eq!(limiter.take_at_least(at(12), 10, 500), 12);
    }

    #[test]
    fn without_a_rate_everything_may_go() {
        assert_eq!(Limiter::new(0, at(0)).take(at(0), 12_345), 12_345);
    }
}
