//! A service goes wrong more often than it used to.
//!
//! *What it claims.* In this hour, the share of records of one service that are errors (level error or worse, status 500
//! or above) lies far above its usual share and its worst, by more than chance explains.
//!
//! *When it is wrong.* A deployment, a dependency that is down: that is what it is for. Hours that were told are not
//! learnt.

use panoptes_model::Severity;

use super::kind::Kind;
use super::scene::Scene;
use super::time::HOUR;

pub(super) static KIND: Kind = Kind {
    id: "behaviour.error_rate",
    title: "Share of errors of a service far above usual",
    level: Severity::Low,
    tags: &["attack.impact", "attack.t1499"],
    description: "The share of errors among the records of one service this hour is far above what it usually is and \
                  above its worst hour.",
    falsepositives: &["Deployments, a dependency that is down"],
    reads: "log.level or http.response.status_code, with service.name or event.dataset",
};

/// Hours of history before an hour can be unusual.
const HOURS_MIN: u16 = 72;
const ERRORS_MIN: u32 = 20;
const RECORDS_MIN: u32 = 40;
/// How many times the usual share, and the worst, it must be.
const TIMES_USUAL: f32 = 4.0;
const TIMES_WORST: f32 = 1.5;
/// How many standard deviations above what the usual share lets expect.
const DEVIATIONS_MIN: f32 = 6.0;
/// What an old hour still weighs after one more: half after a week.
const FADE: f32 = 0.995_9;
/// No service is taken to be better than this: one error in a thousand.
const SHARE_MIN: f32 = 0.001;
const QUIET: u32 = 6 * HOUR;

pub(super) fn observe(scene: &mut Scene<'_, '_>) {
    let Some(is_error) = scene.facts.is_error() else { return };
    let facts = scene.facts;
    let (at, id) = (facts.at, facts.event.id());
    let Some(service) = scene.service() else { return };
    let hour = at.0 / HOUR;
    if hour < service.hour {
        return;
    }
    if hour > service.hour {
        if service.records > 0 && !service.is_flagged {
            service.usual_records = service.usual_records * FADE + service.records as f32;
            service.usual_errors = service.usual_errors * FADE + service.errors as f32;
            service.worst_share *= FADE;
            if service.records >= RECORDS_MIN {
                service.worst_share = service.worst_share.max(service.errors as f32 / service.records as f32);
            }
            service.hours = service.hours.saturating_add(1);
        }
        (service.hour, service.records, service.errors, service.is_flagged) = (hour, 0, 0, false);
    }
    service.records = service.records.saturating_add(1);
    if !is_error {
        return;
    }
    service.errors = service.errors.saturating_add(1);
    service.evidence.add(id);
    if service.hours < HOURS_MIN || service.errors < ERRORS_MIN || service.records < RECORDS_MIN || service.is_flagged {
        return;
    }
    let usual = (service.usual_errors / service.usual_records.max(1.0)).max(SHARE_MIN);
    let share = service.errors as f32 / service.records as f32;
    let expected = usual * service.records as f32;
    let deviations = (service.errors as f32 - expected) / expected.max(1.0).sqrt();
    if share < TIMES_USUAL * usual || share < TIMES_WORST * service.worst_share || deviations < DEVIATIONS_MIN {
        return;
    }
    service.is_flagged = true;
    if !service.told.may_tell(1, at, QUIET) {
        return;
    }
    let (name, host) = (facts.service.to_owned(), facts.host.map(str::to_owned));
    let (errors, records, hours) = (service.errors, service.records, service.hours);
    let evidence = service.evidence.ids(errors as usize);
    let reason = format!(
        "{errors} of {records} records of {name} this hour are errors ({:.1} %); usual are {:.2} % over {hours} hours, {:.0} \
         times less",
        share * 100.0,
        usual * 100.0,
        share / usual
    );
    let entities = [Some(("service.name", name)), host.map(|it| ("host.name", it))].into_iter().flatten().collect();
    scene.claim_of(&KIND, entities, reason, at, u64::from(errors), evidence);
}
