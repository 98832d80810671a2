//! A login at an hour at which its user never works.
//!
//! *What it claims.* The user has a history, and nearly nothing of it lies within two hours of this one, on any day.
//!
//! *When it is wrong.* Somebody on call, or a new shift. It is told once; what follows is not learnt until it has gone on
//! for [`ODD_DAYS_MAX`] days, from then on it is a shift. Logins from another country than usual are not judged, since it
//! is another hour there; that they come from there is told by others.

use panoptes_model::Severity;

use super::facts::{What, short};
use super::kind::Kind;
use super::scene::Scene;
use super::time::{DAY, day_text};

pub(super) static KIND: Kind = Kind {
    id: "behaviour.unusual_hour",
    title: "Login at an hour unusual for the user",
    level: Severity::Low,
    tags: &["attack.initial-access", "attack.t1078"],
    description: "A user logged in at an hour of the day (UTC) at which, or near which, this user hardly ever did. Judged \
                  after two weeks, by habits that fade.",
    falsepositives: &["Work on call, a new shift, a journey"],
    reads: "successful logins with user.name",
};

/// Which share of the history may lie within an hour of the login, and within two, for it to be unusual.
const SHARE_NEAR_MAX: f32 = 0.005;
const SHARE_AROUND_MAX: f32 = 0.03;
/// On how many days somebody must have logged in, and in how many different hours, before his hours mean something.
const LOGIN_DAYS_MIN: u16 = 8;
const HOURS_MIN: u32 = 12;
/// It is not said again within so long; what happens meanwhile is neither told nor learnt.
const QUIET: u32 = 3 * DAY;
/// After so many days with logins at unusual hours, with no more than a week between them, it is a new shift: it was
/// told, and is learnt from now on.
const ODD_DAYS_MAX: u8 = 3;
const ODD_GAP_DAYS: u16 = 7;

pub(super) fn observe(scene: &mut Scene<'_, '_>) {
    let What::Login { success: true } = scene.facts.what else { return };
    let (at, name) = (scene.facts.at, scene.user_name());
    let country = scene.facts.country().map(short);
    let Some(known) = scene.known_user().filter(|it| it.is_learnt(at)) else { return };
    let since = day_text(known.first().day());
    let Some(user) = scene.user() else { return };
    if user.login_days < LOGIN_DAYS_MIN || user.hours.learnt < HOURS_MIN {
        return;
    }
    if country.is_some_and(|it| !user.countries.is_usual(it, at, 2)) && user.countries.len() > 0 {
        return;
    }
    let (near, around) = (user.hours.share_near(at, 1), user.hours.share_near(at, 2));
    if near > SHARE_NEAR_MAX || around > SHARE_AROUND_MAX {
        return;
    }
    let day = at.day();
    if day > user.odd_day {
        let goes_on = day <= user.odd_day.saturating_add(ODD_GAP_DAYS);
        user.odd_days = if goes_on { user.odd_days.saturating_add(1) } else { 1 };
        user.odd_day = day;
    }
    if user.odd_days >= ODD_DAYS_MAX {
        return;
    }
    let is_told = user.told.may_tell(2, at, QUIET);
    let (usual, hours) = (user.hours.usual_text(), user.hours.learnt);
    scene.is_suspicious = true;
    if !is_told {
        return;
    }
    let reason = format!(
        "{name} logged in at {:02}:{:02} UTC; of {hours} hours with logins since {since}, {:.1} % lie within two hours of \
         that, nearly all in {usual}",
        at.hour_of_day(),
        at.0 % 3_600 / 60,
        around * 100.0,
    );
    scene.claim(&KIND, vec![("user.name", name)], reason);
}
