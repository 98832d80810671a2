//! A program started by one that never starts it.
//!
//! *What it claims.* Both programs have been started for weeks by various people, the one has started a few others, but
//! never this one, on no host: a word processor that starts a shell.
//!
//! *When it is wrong.* After an update. Guards: programs that start everything (shells, desktops, schedulers) and those
//! that started something new lately are left out; a program that is new itself is told by `first_program`, if by any.

use panoptes_model::Severity;

use super::facts::{What, short};
use super::kind::Kind;
use super::scene::Scene;
use super::time::day_text;
use super::usual::Standing;

pub(super) static KIND: Kind = Kind {
    id: "behaviour.rare_parent",
    title: "Program started by one that never starts it",
    level: Severity::Medium,
    tags: &["attack.execution", "attack.t1059"],
    description: "Two programs that have both been in use for weeks, one of which started the other for the first time \
                  on any host.",
    falsepositives: &["Updates that change how programs work together"],
    reads: "starts of processes with process.parent.name",
};

/// How often both must have been started.
const STARTS_MIN: u32 = 20;
/// A program that starts more different ones than this starts anything.
const CHILDREN_MAX: usize = 24;
const NEWS_DAYS: u16 = 10;
const NEWS_MAX: usize = 1;

pub(super) fn observe(scene: &mut Scene<'_, '_>) {
    let What::Start { program, parent: Some(parent_name) } = scene.facts.what else { return };
    let at = scene.facts.at;
    let small = program.to_lowercase();
    let child = short(&small);
    let is_learnt = scene.known_program().is_some_and(|it| it.is_learnt(at));
    let Some(known) = scene.known_parent().filter(|it| it.is_learnt(at) && is_learnt) else { return };
    let since = day_text(known.first().day());
    let starts = scene.program().map_or(0, |it| it.starts);
    let parent_starts = scene.parent().map_or(0, |it| it.starts);
    let Some(parent) = scene.parent() else { return };
    let children = parent.children.len();
    if starts < STARTS_MIN
        || parent_starts < STARTS_MIN
        || children > CHILDREN_MAX
        || parent.children.standing(child, at) != Standing::Unseen
        || parent.children.news(at, NEWS_DAYS) > NEWS_MAX
    {
        return;
    }
    parent.children.flag(child, at);
    let reason = format!(
        "{parent_name} started {program}; since {since} it was started {parent_starts} times and started {children} other \
         programs, {program} was started {starts} times by others"
    );
    let mut entities = vec![("process.parent.name", parent_name.to_lowercase()), ("process.name", small)];
    entities.extend(scene.facts.host.map(|it| ("host.name", it.to_owned())));
    scene.claim(&KIND, entities, reason);
}
