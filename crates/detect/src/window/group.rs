//! One group: its runs of time, and how it is put away while it is small.
//!
//! Most groups ever hold one event or a few: somebody mistyped a password. Such a group is kept as its bare events, 24
//! bytes each, and becomes whole tracks while an event is added to it. Both forms hold the same: putting away and taking
//! out changes no finding.

use panoptes_model::{EventId, FrameId};
use serde::{Deserialize, Serialize};

use super::log::Stamp;
use super::measure::Number;
use super::small::SmallBytes;
use super::span::Span;
use super::track::{Arrival, Counted, Frame, Outcome, Pending, Simple, Track};

/// How many runs of time one group keeps. When one more is needed, the one that was touched longest ago is forgotten
/// and counted.
pub const TRACKS_MAX: usize = 4;
/// How many events a group that is put away may hold.
const FEW_MAX: usize = 16;

/// A bare event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bare {
    time: i64,
    frame: FrameId,
    index: u32,
    member: u8,
    is_fresh: bool,
}

impl Bare {
    fn of(simple: &Simple<'_>) -> Self {
        let EventId { frame, index } = simple.id;
        Self { time: simple.time, frame, index, member: simple.member as u8, is_fresh: simple.is_fresh }
    }

    fn simple<'s>(&self, counted: Counted<'s>) -> Simple<'s> {
        Simple {
            time: self.time,
            id: EventId { frame: self.frame, index: self.index },
            member: usize::from(self.member),
            is_fresh: self.is_fresh,
            counted,
        }
    }
}

/// A number in two halves: as one it would want 16 bytes of alignment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Halves(u64, u64);

impl From<Number> for Halves {
    fn from(number: Number) -> Self {
        let bits = number.to_bits();
        Self((bits >> 64) as u64, bits as u64)
    }
}

impl From<Halves> for Number {
    fn from(Halves(high, low): Halves) -> Self {
        Self::from_bits(u128::from(high) << 64 | u128::from(low))
    }
}

/// The state of a group, as it lies in memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) enum Body {
    /// Taken out, or not there yet.
    #[default]
    Empty,
    One {
        time: i64,
        frame: FrameId,
        index: u32,
        member: u8,
        is_fresh: bool,
        holds: bool,
    },
    Few {
        holds: bool,
        events: Box<[Bare]>,
    },
    Texts {
        holds: bool,
        events: Box<[(Bare, SmallBytes)]>,
    },
    Numbers {
        holds: bool,
        events: Box<[(Bare, Halves)]>,
    },
    Whole(Box<Group>),
}

// What a million groups cost hangs on it.
const _: () = assert!(size_of::<Body>() == 24 && size_of::<Bare>() == 24);

impl Body {
    /// Memory beside itself; the same after a restart.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Empty | Self::One { .. } => 0,
            Self::Few { events, .. } => size_of_val(&**events),
            Self::Texts { events, .. } => {
                size_of_val(&**events) + events.iter().map(|(_, text)| text.bytes()).sum::<usize>()
            }
            Self::Numbers { events, .. } => size_of_val(&**events),
            Self::Whole(group) => group.bytes,
        }
    }

    /// To be called when it has changed.
    pub(crate) fn measure(&mut self) {
        if let Self::Whole(group) = self {
            let tracks = group.tracks.iter().map(|it| size_of::<Track>() + it.bytes());
            group.bytes = size_of::<Group>() + tracks.sum::<usize>();
        }
    }

    /// When its newest event happened.
    pub(crate) fn newest(&self) -> i64 {
        match self {
            Self::Empty => i64::MIN,
            Self::One { time, .. } => *time,
            Self::Few { events, .. } => events.last().map_or(i64::MIN, |it| it.time),
            Self::Texts { events, .. } => events.last().map_or(i64::MIN, |(it, _)| it.time),
            Self::Numbers { events, .. } => events.last().map_or(i64::MIN, |(it, _)| it.time),
            Self::Whole(group) => group.tracks.iter().map(|it| it.newest).max().unwrap_or(i64::MIN),
        }
    }

    /// Takes it out.
    pub(crate) fn whole(self, frame: Frame<'_>) -> Box<Group> {
        let track = match self {
            Self::Whole(group) => return group,
            Self::Empty => None,
            Self::One { time, frame: id, index, member, is_fresh, holds } => {
                let bare = Bare { time, frame: id, index, member, is_fresh };
                Track::of_simple(frame, holds, std::iter::once(bare.simple(Counted::Event)))
            }
            Self::Few { holds, events } => {
                Track::of_simple(frame, holds, events.iter().map(|it| it.simple(Counted::Event)))
            }
            Self::Texts { holds, events } => {
                let simple = events.iter().map(|(it, text)| it.simple(Counted::Text(text.as_slice())));
                Track::of_simple(frame, holds, simple)
            }
            Self::Numbers { holds, events } => {
                let simple = events.iter().map(|(it, number)| it.simple(Counted::Number((*number).into())));
                Track::of_simple(frame, holds, simple)
            }
        };
        Box::new(Group { tracks: track.into_iter().collect(), bytes: 0 })
    }
}

/// A group that is taken out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Group {
    /// The one that was touched longest ago first.
    tracks: Vec<Track>,
    /// Memory of all of it, when it was last put back: looking for it again would touch all of it again.
    #[serde(skip)]
    bytes: usize,
}

/// What came of an event in a group.
#[derive(Debug, Default)]
pub(crate) struct Added {
    pub(crate) outcome: Outcome,
    /// It came too late for all other runs of time.
    pub(crate) is_late: bool,
    /// A run of time was forgotten for lack of room; what it still had to tell.
    pub(crate) forgotten: Option<Track>,
}

impl Group {
    /// The track that was touched last.
    pub(crate) fn current(&self) -> Option<&Track> {
        self.tracks.last()
    }

    pub(crate) fn has_pending(&self) -> bool {
        self.tracks.iter().any(|it| it.pending.is_some())
    }

    /// Whether it may be put away.
    pub(crate) fn may_be_small(&self) -> bool {
        matches!(self.tracks.as_slice(), [track] if track.is_few(FEW_MAX))
    }

    /// Puts it away, if it is small.
    pub(crate) fn put_away(self: Box<Self>) -> Body {
        match self.small() {
            Some(body) => body,
            None => Body::Whole(self),
        }
    }

    fn small(&self) -> Option<Body> {
        let [track] = self.tracks.as_slice() else { return None };
        let simple = track.simple(FEW_MAX)?;
        let holds = track.holds();
        Some(match simple.first()?.counted {
            Counted::Event if simple.len() == 1 => {
                let Bare { time, frame, index, member, is_fresh } = Bare::of(simple.first()?);
                Body::One { time, frame, index, member, is_fresh, holds }
            }
            Counted::Event => Body::Few { holds, events: simple.iter().map(Bare::of).collect() },
            Counted::Text(_) => {
                let text = |it: &Simple<'_>| match it.counted {
                    Counted::Text(text) => Some((Bare::of(it), SmallBytes::from(text))),
                    _ => None,
                };
                Body::Texts { holds, events: simple.iter().map(text).collect::<Option<_>>()? }
            }
            Counted::Number(_) => {
                let number = |it: &Simple<'_>| match it.counted {
                    Counted::Number(number) => Some((Bare::of(it), number.into())),
                    _ => None,
                };
                Body::Numbers { holds, events: simple.iter().map(number).collect::<Option<_>>()? }
            }
        })
    }

    /// The tracks that an event at `time` concerns: the one it belongs to, and one that this one takes in first.
    ///
    /// An event belongs to the latest track that it is not too late for. One whose windows would reach behind what that
    /// track still knows goes on with an older run, if there is one; and once a run that lay far behind has caught up,
    /// both become one.
    fn place_of(&self, time: i64, span: Span) -> (Option<usize>, Option<usize>) {
        let fits = |track: &Track| time >= track.newest.saturating_sub(span.reach);
        let tracks = || self.tracks.iter().enumerate().filter(|(_, track)| fits(track));
        let Some((latest, newest)) = tracks().map(|(index, it)| (index, it.newest)).max_by_key(|(_, newest)| *newest)
        else {
            return (None, None);
        };
        let goes_on = tracks()
            .filter(|(index, it)| *index != latest && it.newest >= time.saturating_sub(span.window))
            .max_by_key(|(_, it)| it.newest)
            .map(|(index, _)| index);
        if time >= newest.saturating_sub(span.lateness()) {
            (Some(latest), goes_on)
        } else {
            (Some(goes_on.unwrap_or(latest)), None)
        }
    }

    pub(crate) fn add(&mut self, frame: Frame<'_>, arrival: Arrival<'_>) -> Added {
        let mut added = Added::default();
        let time = arrival.stamp.time;
        match self.place_of(time, frame.span) {
            (Some(place), older) => {
                let mut place = place;
                if let Some(older) = older {
                    let taken = self.tracks.remove(older);
                    place -= usize::from(older < place);
                    if let Some(track) = self.tracks.get_mut(place) {
                        track.absorb(frame, taken);
                    }
                }
                // Behind all others goes the one that was touched last.
                if place + 1 < self.tracks.len() {
                    let track = self.tracks.remove(place);
                    self.tracks.push(track);
                }
            }
            (None, _) => {
                added.is_late = !self.tracks.is_empty();
                if self.tracks.len() >= TRACKS_MAX {
                    added.forgotten = Some(self.tracks.remove(0));
                }
                self.tracks.push(Track::new(frame.correlation, time));
            }
        }
        if let Some(track) = self.tracks.last_mut() {
            added.outcome = track.add(frame, arrival);
        }
        added
    }

    /// Takes all findings in the making.
    pub(crate) fn take_pending(&mut self) -> impl Iterator<Item = (Box<Pending>, &Track)> {
        self.tracks.iter_mut().filter_map(|track| Some((track.pending.take()?, &*track)))
    }
}

/// A stamp of one event.
pub(crate) fn stamp(time: i64, id: EventId, times: u32, fresh: u64) -> Stamp {
    Stamp { time, id, times, fresh: u32::try_from(fresh).unwrap_or(u32::MAX) }
}
