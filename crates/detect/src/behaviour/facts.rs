//! What the detectors of behaviour read of an event, read once.
//!
//! Only what normalisation understood counts: the ECS words of `event.category`, `event.type` and `event.outcome`, and
//! typed fields. An event that lacks a field is no evidence for the detectors that need it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::LazyLock;

use panoptes_model::{Event, FieldId, Value, content_hash, field};

use super::network;
use super::time::At;

/// How much of a name is looked at: longer ones are cut, so that a sender cannot make hashing slow.
const NAME_BYTES_MAX: usize = 256;

/// Accounts of the system itself: they have no habits that a person could have.
const SYSTEM_USERS: &[&str] = &[
    "-",
    "anonymous",
    "anonymous logon",
    "iusr",
    "local service",
    "localservice",
    "network service",
    "networkservice",
    "nobody",
    "nt authority\\system",
    "system",
];
const SYSTEM_USER_PREFIXES: &[&str] = &["dwm-", "umfd-", "font driver host\\", "window manager\\"];

/// A short name for a value in a profile.
pub(super) type Short = u32;

/// What happened, as far as detectors care.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum What<'e> {
    /// Somebody tried to get in.
    Login {
        success: bool,
    },
    /// A program was started.
    Start {
        program: &'e str,
        parent: Option<&'e str>,
    },
    /// Somebody acted with the rights of another, more powerful account.
    Privilege {
        of: &'e str,
    },
    /// A packet or connection was judged by a firewall, or seen.
    Flow {
        to: IpAddr,
        port: u16,
        denied: bool,
    },
    /// A request to a web server.
    Request {
        status: u16,
        path: &'e str,
    },
    Other,
}

pub(super) struct Facts<'e> {
    pub(super) event: Event<'e>,
    pub(super) at: At,
    pub(super) what: What<'e>,
    /// In small letters.
    pub(super) user: Option<Cow<'e, str>>,
    pub(super) host: Option<&'e str>,
    pub(super) address: Option<IpAddr>,
    /// What was logged into or spoke: `service.name`, else the dataset.
    pub(super) service: &'e str,
    pub(super) dataset: &'e str,
    /// For how many the record stands (`message repeated 5 times`).
    pub(super) times: u32,
    read: Read<'e>,
}

/// The fields that are read of nearly every event: found in one pass, because each look-up of a field that is not there
/// goes through all of the event.
const READ: [FieldId; 24] = [
    field::SOURCE_IP,
    field::EVENT_CATEGORY,
    field::EVENT_TYPE,
    field::EVENT_OUTCOME,
    field::EVENT_ACTION,
    field::EVENT_DATASET,
    field::SERVICE_NAME,
    field::HOST_NAME,
    field::USER_NAME,
    field::USER_EFFECTIVE_NAME,
    field::LOG_LEVEL,
    field::PROCESS_NAME,
    field::PROCESS_EXECUTABLE,
    field::PROCESS_COMMAND_LINE,
    field::PROCESS_PARENT_NAME,
    field::PROCESS_PARENT_EXECUTABLE,
    field::FILE_PATH,
    field::URL_PATH,
    field::HTTP_RESPONSE_STATUS_CODE,
    field::HTTP_RESPONSE_BODY_BYTES,
    field::SOURCE_BYTES,
    field::NETWORK_BYTES,
    field::DESTINATION_IP,
    field::DESTINATION_PORT,
];

/// By the number of a field, its place in [`READ`], or [`NOWHERE`].
static PLACES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let indices = || READ.iter().filter_map(|it| it.fixed_index());
    let mut places = vec![NOWHERE; indices().max().map_or(0, |it| it + 1)];
    for (index, place) in indices().zip(0..) {
        if let Some(it) = places.get_mut(index) {
            *it = place;
        }
    }
    places
});
const NOWHERE: u8 = u8::MAX;

fn place_of(places: &[u8], id: FieldId) -> Option<usize> {
    places.get(id.fixed_index()?).filter(|it| **it != NOWHERE).map(|it| usize::from(*it))
}

/// An event, and where in it those fields are.
#[derive(Clone, Copy)]
struct Read<'e> {
    event: Event<'e>,
    found: [Option<NonZeroU32>; READ.len()],
}

impl<'e> Read<'e> {
    fn of(event: Event<'e>) -> Self {
        let (places, mut found) = (PLACES.as_slice(), [None; READ.len()]);
        for (id, position) in event.field_ids().zip(1..) {
            if let Some(it) = place_of(places, id).and_then(|it| found.get_mut(it)) {
                // The first, as a look-up would find it.
                *it = it.or(NonZeroU32::new(position));
            }
        }
        Self { event, found }
    }

    fn get(&self, id: FieldId) -> Option<Value<'e>> {
        match place_of(&PLACES, id) {
            Some(place) => self.event.value_at((*self.found.get(place)?)?.get() - 1),
            None => self.event.get(id),
        }
    }
}

/// The most that one record may stand for: the number is the sender's word.
const TIMES_MAX: u32 = 100;

/// A name for `text` of 128 bits. Two names that somebody made collide would share a profile: all that this gains him
/// is to be judged by habits that he has to invent himself.
pub(super) fn key_of(kind: &str, text: &str) -> u128 {
    content_hash(&[kind.as_bytes(), cut(text).as_bytes()])
}

pub(super) fn short(text: &str) -> Short {
    let hash = content_hash(&[cut(text).as_bytes()]);
    ((hash >> 96) ^ (hash >> 64) ^ (hash >> 32) ^ hash) as u32
}

pub(super) fn short_of_network(address: IpAddr) -> Short {
    short(&network::network_of(address))
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(NAME_BYTES_MAX)).unwrap_or_default()
}

fn has(event: &Read<'_>, id: FieldId, word: &str) -> bool {
    event.get(id).is_some_and(|value| value.each().any(|it| matches!(it, Value::Text(text) if text == word)))
}

fn text<'e>(event: &Read<'e>, id: FieldId) -> Option<&'e str> {
    match event.get(id)?.each().next()? {
        Value::Text(text) => Some(cut(text)).filter(|it| !it.is_empty() && *it != "-"),
        _ => None,
    }
}

fn small(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_uppercase) { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) }
}

/// The file name at the end of a path of either kind.
pub(super) fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

fn program<'e>(event: &Read<'e>, name: FieldId, executable: FieldId) -> Option<&'e str> {
    let name = text(event, name).or_else(|| text(event, executable))?;
    Some(base_name(name)).filter(|it| !it.is_empty())
}

fn is_system(user: &str) -> bool {
    user.is_empty()
        || user.ends_with('$')
        || SYSTEM_USERS.contains(&user)
        || SYSTEM_USER_PREFIXES.iter().any(|it| user.starts_with(it))
}

fn what<'e>(event: &Read<'e>, address: Option<IpAddr>) -> What<'e> {
    let success = match text(event, field::EVENT_OUTCOME) {
        Some("success") => Some(true),
        Some("failure") => Some(false),
        _ => None,
    };
    let action = text(event, field::EVENT_ACTION);
    if has(event, field::EVENT_CATEGORY, "authentication") {
        if matches!(action, Some("sudo" | "su")) {
            let of = text(event, field::USER_EFFECTIVE_NAME).unwrap_or("root");
            return if success == Some(true) { What::Privilege { of } } else { What::Other };
        }
        // What a login of the machine to itself looks like is told by the outcome; ends of sessions are no attempts.
        let starts = event.get(field::EVENT_TYPE).is_none() || has(event, field::EVENT_TYPE, "start");
        return match success {
            Some(success) if starts => What::Login { success },
            _ => What::Other,
        };
    }
    if has(event, field::EVENT_CATEGORY, "process") && has(event, field::EVENT_TYPE, "start") {
        return match program(event, field::PROCESS_NAME, field::PROCESS_EXECUTABLE) {
            Some(name) => What::Start {
                program: name,
                parent: program(event, field::PROCESS_PARENT_NAME, field::PROCESS_PARENT_EXECUTABLE),
            },
            None => What::Other,
        };
    }
    if address.is_none() {
        return What::Other;
    }
    if has(event, field::EVENT_CATEGORY, "web")
        && let (Some(Value::Integer(status)), Some(path)) =
            (event.get(field::HTTP_RESPONSE_STATUS_CODE), text(event, field::URL_PATH))
    {
        return What::Request { status: u16::try_from(status).unwrap_or(0), path };
    }
    if let (Some(Value::Ip(to)), Some(Value::Integer(port))) =
        (event.get(field::DESTINATION_IP), event.get(field::DESTINATION_PORT))
        && let Ok(port) = u16::try_from(port)
    {
        let blocked = match event.event.get_named("firewall.blocked") {
            Some(Value::Boolean(blocked)) => blocked,
            Some(Value::Text(blocked)) => blocked == "true",
            _ => false,
        };
        return What::Flow { to, port, denied: blocked || has(event, field::EVENT_TYPE, "denied") };
    }
    What::Other
}

impl<'e> Facts<'e> {
    /// `repeat` is the field that says for how many the record stands.
    pub(super) fn of(event: Event<'e>, repeat: Option<FieldId>) -> Self {
        let read = &Read::of(event);
        let address = match read.get(field::SOURCE_IP) {
            Some(Value::Ip(address)) => Some(address.to_canonical()),
            _ => None,
        };
        let dataset = text(read, field::EVENT_DATASET).unwrap_or("");
        let times = match repeat.and_then(|it| event.get(it)) {
            Some(Value::Integer(times)) => u32::try_from(times).unwrap_or(1).clamp(1, TIMES_MAX),
            _ => 1,
        };
        let user = text(read, field::USER_NAME).map(small).filter(|it| !is_system(it));
        Self {
            event,
            at: At::of(event.time()),
            what: what(read, address),
            user,
            host: text(read, field::HOST_NAME),
            address,
            service: text(read, field::SERVICE_NAME).unwrap_or(dataset),
            dataset,
            times,
            read: *read,
        }
    }

    /// The value of a field.
    pub(super) fn get(&self, id: FieldId) -> Option<Value<'e>> {
        self.read.get(id)
    }

    /// The address as text; empty if there is none.
    pub(super) fn address_text(&self) -> String {
        let mut text = String::new();
        if let Some(address) = self.address {
            panoptes_model::write_ip(&mut text, address);
        }
        text
    }

    /// Upper-case letters of the country that the address is in, as enrichment says.
    pub(super) fn country(&self) -> Option<&'e str> {
        text(&self.read, field::SOURCE_GEO_COUNTRY_ISO_CODE).filter(|it| it.len() == 2)
    }

    /// Latitude and longitude, in any of the ways in which ECS lets a point be written.
    pub(super) fn location(&self) -> Option<(f32, f32)> {
        let number = |value: Value<'_>| match value {
            Value::Float(value) => Some(value as f32),
            Value::Integer(value) => Some(value as f32),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        let named = |name: &str| self.event.get_named(name).and_then(number);
        let (latitude, longitude) = match self.event.get_named("source.geo.location") {
            Some(Value::Text(text)) => {
                let (latitude, longitude) = text.split_once(',')?;
                (latitude.trim().parse().ok()?, longitude.trim().parse().ok()?)
            }
            Some(Value::List(list)) => {
                let mut parts = list.iter().filter_map(number);
                // GeoJSON writes the longitude first.
                let (longitude, latitude) = (parts.next()?, parts.next()?);
                (latitude, longitude)
            }
            _ => (named("source.geo.location.lat")?, named("source.geo.location.lon")?),
        };
        let is_on_earth = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        is_on_earth.then_some((latitude, longitude))
    }

    /// The number and the name of the network's operator.
    fn operator(&self) -> (Option<u32>, &'e str) {
        let number = match self.event.get(field::SOURCE_AS_NUMBER) {
            Some(Value::Integer(number)) => u32::try_from(number).ok(),
            _ => None,
        };
        let name = match self.event.get_named("source.as.organization.name") {
            Some(Value::Text(name)) => cut(name),
            _ => "",
        };
        (number, name)
    }

    /// Whether the address belongs to a network that says nothing of where somebody is.
    pub(super) fn is_relayed(&self) -> bool {
        let (number, name) = self.operator();
        network::is_relay(number, name)
    }

    /// Whether it belongs to a network in the air or at sea.
    pub(super) fn is_on_board(&self) -> bool {
        let (number, name) = self.operator();
        network::is_on_board(number, name)
    }

    /// How much was carried.
    pub(super) fn bytes(&self) -> u64 {
        let first =
            [field::SOURCE_BYTES, field::NETWORK_BYTES, field::HTTP_RESPONSE_BODY_BYTES].into_iter().find_map(|it| {
                match self.read.get(it) {
                    Some(Value::Integer(bytes)) => u64::try_from(bytes).ok(),
                    _ => None,
                }
            });
        first.unwrap_or(0)
    }

    /// Whether the record says that something went wrong; `None` if it says neither.
    pub(super) fn is_error(&self) -> Option<bool> {
        if let What::Request { status, .. } = self.what {
            return Some(status >= 500);
        }
        let level = text(&self.read, field::LOG_LEVEL)?;
        Some(matches!(level, "error" | "critical" | "alert" | "emergency"))
    }
}
