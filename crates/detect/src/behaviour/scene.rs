//! One event with the profiles of all whom it concerns: what detectors look at and speak about.

use panoptes_model::EventId;

use super::facts::{Facts, What, key_of};
use super::kind::Kind;
use super::profile::{Address, Host, Place, Profile, Program, Service, User};
use super::store::{Entity, Store};
use super::time::{At, DAY};

/// An entity, taken out of the store.
pub(super) struct Taken {
    key: u128,
    pub(super) entity: Entity,
}

/// What a detector says.
pub(super) struct Claim {
    pub(super) kind: &'static Kind,
    pub(super) entities: Vec<(&'static str, String)>,
    pub(super) context: Vec<(&'static str, String)>,
    pub(super) reason: String,
    /// When the newest and the oldest event of it happened.
    pub(super) time: At,
    pub(super) first: At,
    pub(super) count: u64,
    /// The events that it rests on, without the one at hand.
    pub(super) evidence: Vec<EventId>,
}

pub(super) struct Scene<'s, 'e> {
    pub(super) facts: &'s Facts<'e>,
    user: Option<Taken>,
    address: Option<Taken>,
    host: Option<Taken>,
    program: Option<Taken>,
    parent: Option<Taken>,
    service: Option<Taken>,
    pub(super) claims: Vec<Claim>,
    /// Something was unusual, whether or not it was said: nothing is learnt from this event.
    pub(super) is_suspicious: bool,
    /// How many profiles were made for it.
    pub(super) newcomers: u32,
    /// Where the user is, if nothing speaks against it.
    pub(super) place: Option<Place>,
}

/// For how long somebody must have been known before anything of his is unusual, and on how many different days he
/// must have been there: five days a week and a holiday fit in.
const LEARN_SECONDS: u32 = 14 * DAY;
const LEARN_DAYS: u16 = 8;

impl Taken {
    /// Whether there is enough history to judge by.
    pub(super) fn is_learnt(&self, at: At) -> bool {
        at.since(self.entity.first) >= LEARN_SECONDS && self.entity.days >= LEARN_DAYS
    }

    pub(super) fn first(&self) -> At {
        self.entity.first
    }
}

macro_rules! profiles {
    ($($field:ident $variant:ident $type:ty,)*) => {
        impl Scene<'_, '_> {
            $(pub(super) fn $field(&mut self) -> Option<&mut $type> {
                match &mut self.$field.as_mut()?.entity.profile {
                    Profile::$variant(it) => Some(it),
                    _ => None,
                }
            })*
        }
    };
}

profiles! {
    user User User,
    address Address Address,
    host Host Host,
    program Program Program,
    parent Program Program,
    service Service Service,
}

/// Takes profiles out of the store, and counts those that were made.
struct Taking<'t, 'e> {
    store: &'t mut Store,
    facts: &'t Facts<'e>,
    newcomers: u32,
}

impl Taking<'_, '_> {
    fn take(&mut self, kind: &str, name: &str, make: fn() -> Profile) -> Taken {
        let key = key_of(kind, name);
        let (entity, is_new) = self.store.take(key, self.facts.at, make);
        self.newcomers += u32::from(is_new);
        Taken { key, entity }
    }

    fn user(&mut self) -> Option<Taken> {
        let facts = self.facts;
        facts.user.as_deref().map(|it| self.take("user", it, || Profile::User(Box::default())))
    }

    fn address(&mut self) -> Option<Taken> {
        self.facts.address?;
        Some(self.take("address", &self.facts.address_text(), || Profile::Address(Box::default())))
    }

    fn host(&mut self) -> Option<Taken> {
        let host = self.facts.host?;
        Some(self.take("host", host, || Profile::Host(Box::default())))
    }

    fn program(&mut self, name: &str) -> Taken {
        self.take("program", &name.to_lowercase(), || Profile::Program(Box::default()))
    }

    fn service(&mut self) -> Option<Taken> {
        let facts = self.facts;
        let is_counted = matches!(facts.what, What::Login { .. }) || facts.is_error().is_some();
        if facts.service.is_empty() || !is_counted {
            return None;
        }
        let name = format!("{}\u{1f}{}", facts.service, facts.host.unwrap_or_default());
        Some(self.take("service", &name, || Profile::Service(Box::default())))
    }
}

impl<'s, 'e> Scene<'s, 'e> {
    pub(super) fn set(store: &mut Store, facts: &'s Facts<'e>) -> Self {
        let mut scene = Self {
            facts,
            user: None,
            address: None,
            host: None,
            program: None,
            parent: None,
            service: None,
            claims: Vec::new(),
            is_suspicious: false,
            newcomers: 0,
            place: None,
        };
        let mut taking = Taking { store, facts, newcomers: 0 };
        match facts.what {
            What::Login { .. } => {
                (scene.user, scene.address, scene.host) = (taking.user(), taking.address(), taking.host());
            }
            What::Start { program, parent } => {
                scene.user = taking.user();
                scene.program = Some(taking.program(program));
                // A program that starts itself has one profile, which cannot be taken twice.
                let parent = parent.filter(|it| it.to_lowercase() != program.to_lowercase());
                scene.parent = parent.map(|it| taking.program(it));
            }
            What::Privilege { .. } => scene.user = taking.user(),
            What::Flow { .. } | What::Request { .. } => {
                (scene.user, scene.address) = (taking.user(), taking.address());
            }
            What::Other => {}
        }
        scene.service = taking.service();
        scene.newcomers = taking.newcomers;
        scene
    }

    /// Puts all profiles back; what was claimed remains.
    pub(super) fn strike(self, store: &mut Store) -> (Vec<Claim>, u32) {
        let all = [self.user, self.address, self.host, self.program, self.parent, self.service];
        for taken in all.into_iter().flatten() {
            store.put(taken.key, taken.entity);
        }
        (self.claims, self.newcomers)
    }

    pub(super) fn known_user(&self) -> Option<&Taken> {
        self.user.as_ref()
    }

    pub(super) fn known_host(&self) -> Option<&Taken> {
        self.host.as_ref()
    }

    pub(super) fn known_program(&self) -> Option<&Taken> {
        self.program.as_ref()
    }

    pub(super) fn known_parent(&self) -> Option<&Taken> {
        self.parent.as_ref()
    }

    pub(super) fn user_name(&self) -> String {
        self.facts.user.as_deref().unwrap_or_default().to_owned()
    }

    pub(super) fn address_text(&self) -> String {
        self.facts.address_text()
    }

    /// Says something that rests on the event at hand alone.
    pub(super) fn claim(&mut self, kind: &'static Kind, entities: Vec<(&'static str, String)>, reason: String) {
        self.claim_of(kind, entities, reason, self.facts.at, 1, Vec::new());
    }

    /// Says something that rests on many events, the one at hand last.
    pub(super) fn claim_of(
        &mut self,
        kind: &'static Kind,
        entities: Vec<(&'static str, String)>,
        reason: String,
        first: At,
        count: u64,
        evidence: Vec<EventId>,
    ) {
        self.is_suspicious = true;
        self.claims.push(Claim {
            kind,
            entities,
            context: Vec::new(),
            reason,
            time: self.facts.at,
            first,
            count,
            evidence,
        });
    }
}
