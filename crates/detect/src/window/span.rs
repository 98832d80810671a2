//! Which events lie in one window together.

/// How windows follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The timespan before each event, both ends included.
    Sliding,
    /// Stretches of the timespan that begin at multiples of it since 1970.
    Tumbling,
    /// Like sliding, but nothing before a silence of more than `gap`.
    Session { gap: i64 },
}

/// How far a window looks back, and how long events are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// The rule's timespan.
    pub(crate) window: i64,
    /// The timespan and the lateness that is allowed.
    pub(crate) reach: i64,
    pub(crate) mode: Mode,
}

impl Span {
    /// How late an event may be for all windows that contain it to be known.
    pub(crate) fn lateness(self) -> i64 {
        self.reach.saturating_sub(self.window)
    }

    /// When the window begins that ends at `end`. `session` is when the run of events began that `end` belongs to.
    pub(crate) fn begin(self, end: i64, session: i64) -> i64 {
        match self.mode {
            Mode::Sliding => end.saturating_sub(self.window),
            Mode::Tumbling => end.saturating_sub(end.rem_euclid(self.window)),
            Mode::Session { .. } => end.saturating_sub(self.window).max(session),
        }
    }

    /// The latest end of a window that contains `time`, sessions aside.
    pub(crate) fn until(self, time: i64) -> i64 {
        match self.mode {
            Mode::Sliding | Mode::Session { .. } => time.saturating_add(self.window),
            Mode::Tumbling => self.begin(time, 0).saturating_add(self.window - 1),
        }
    }

    /// Whether every window that holds something at `middle` also holds something of the same at `left` or `right`, so
    /// that what happens in between need not be remembered.
    pub(crate) fn is_needless(self, left: i64, middle: i64, right: i64) -> bool {
        match self.mode {
            Mode::Sliding => right.saturating_sub(left) <= self.window,
            Mode::Tumbling => self.begin(left, 0) == self.begin(middle, 0),
            Mode::Session { gap } => right.saturating_sub(left) <= self.window.min(gap),
        }
    }

    /// How long one entry of a crowded log may stretch inside of the newest window, and behind it.
    pub(crate) fn quanta(self) -> (i64, i64) {
        let fine = (self.window / QUANTA_WINDOW).max(1);
        (fine, (self.reach / QUANTA_REACH).max(fine))
    }
}

/// Into how many pieces a window is cut at least once its log is crowded.
const QUANTA_WINDOW: i64 = 256;
/// Into how many pieces all that is kept is cut at most, which limits what windows far back cost.
const QUANTA_REACH: i64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_begin_where_their_mode_says() {
        let of = |mode| Span { window: 10, reach: 30, mode };
        assert_eq!(of(Mode::Sliding).begin(25, 0), 15);
        assert_eq!((of(Mode::Tumbling).begin(25, 0), of(Mode::Tumbling).begin(-1, 0)), (20, -10));
        assert_eq!((of(Mode::Tumbling).until(20), of(Mode::Tumbling).until(29)), (29, 29));
        let session = of(Mode::Session { gap: 3 });
        assert_eq!((session.begin(25, 18), session.begin(25, 2)), (18, 15));
        for mode in [Mode::Sliding, Mode::Tumbling, Mode::Session { gap: 3 }] {
            assert!(of(mode).begin(i64::MIN, i64::MIN) <= i64::MIN + 10, "no overflow");
            assert!(of(mode).until(i64::MAX) >= i64::MAX - 10);
        }
    }
}
