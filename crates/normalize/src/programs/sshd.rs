//! OpenSSH's server, releases 5 to 10, whether it calls itself `sshd`, `sshd-session` or `sshd-auth`.
//!
//! One attempt to log in is one event with the action `ssh_login`: `Failed …` or `Accepted …`. The lines around it
//! (an unknown user, a connection that closes before authentication) are told apart by other actions, so that a rule
//! can count attempts. A refused public key of a known user is no failure: clients offer one key after another.

use panoptes_model::{BatchWriter, field};

use super::ProgramKind;
use super::peer::{Peer, strip_invalid};
use crate::address;
use crate::fact::{FAILURE, Fact, SUCCESS, UNKNOWN, write_user};
use crate::text::{Cursor, between};

pub(super) static KIND: ProgramKind = ProgramKind {
    names: &["sshd", "sshd-session", "sshd-auth"],
    dataset: DATASET,
    example: "Failed password for invalid user bob from 203.0.113.9 port 4711 ssh2",
    write,
};

const DATASET: &str = "linux.sshd";

/// An attempt to log in and how it ended.
const LOGIN: Fact = Fact::authentication(&["start"], "ssh_login", FAILURE);
/// One key of several, or a method that is only asked for.
const OFFER: Fact = Fact::authentication(&["info"], "ssh_offer", UNKNOWN);
/// What happens around an attempt.
const PREAUTH: Fact = Fact::authentication(&["info"], "ssh_preauth", FAILURE);
/// The server's configuration forbids it.
const DENIED: Fact = Fact::authentication(&["denied"], "ssh_denied", FAILURE);
const EXCEEDED: Fact = Fact::authentication(&["denied"], "ssh_attempts_exceeded", FAILURE);
const PAM: Fact = Fact::authentication(&["info"], "pam_auth", FAILURE);
const SESSION_START: Fact = Fact::session(&["start"], "ssh_session", SUCCESS);
const SESSION_END: Fact = Fact::session(&["end"], "ssh_session", None);
const CONNECT: Fact = Fact::network(&["connection", "start"], "ssh_connect", None);
const DISCONNECT: Fact = Fact::network(&["connection", "end"], "ssh_disconnect", None);
/// Whoever speaks no SSH on this port is looking around.
const PROBE: Fact = Fact::network(&["connection", "error"], "ssh_probe", FAILURE);
const NEGOTIATION: Fact = Fact::network(&["connection", "error"], "ssh_negotiation", FAILURE);
const DROPPED: Fact = Fact::network(&["connection", "denied"], "ssh_dropped", FAILURE);
const REVERSE_MAPPING: Fact = Fact::network(&["connection", "info"], "ssh_reverse_mapping", None);

fn write(writer: &mut BatchWriter<'_>, said: &str) -> bool {
    match read(said) {
        Some(line) => {
            line.write(writer);
            true
        }
        None => false,
    }
}

/// What a line says.
#[derive(Clone, Copy)]
struct Line<'t> {
    fact: Fact,
    level: Option<&'static str>,
    user: Option<&'t str>,
    address: Option<&'t str>,
    port: Option<u16>,
    reason: Option<&'t str>,
    method: Option<&'t str>,
}

impl<'t> Line<'t> {
    const fn of(fact: Fact) -> Self {
        Self { fact, level: None, user: None, address: None, port: None, reason: None, method: None }
    }

    fn from_peer(fact: Fact, peer: &Peer<'t>) -> Self {
        Self { address: Some(peer.address), port: peer.port, ..Self::of(fact) }
    }

    /// With the user named before the address.
    fn from_user(fact: Fact, peer: &Peer<'t>) -> Self {
        let (user, is_invalid) = peer.user();
        Self { user: Some(user), reason: is_invalid.then_some("invalid user"), ..Self::from_peer(fact, peer) }
    }

    fn because(self, reason: &'t str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    #[inline]
    fn write(&self, writer: &mut BatchWriter<'_>) {
        self.fact.write(writer, DATASET);
        if let Some(user) = self.user {
            write_user(writer, field::USER_NAME, user);
        }
        if let Some(address) = self.address {
            address::write_source(writer, address, self.port);
        }
        if let Some(reason) = self.reason.filter(|it| !it.is_empty()) {
            writer.text(field::EVENT_REASON, reason);
        }
        if let Some(method) = self.method
            && let Some(id) = writer.field("ssh.method")
        {
            writer.text(id, method);
        }
        if let Some(level) = self.level.filter(|_| !writer.has(field::LOG_LEVEL)) {
            writer.text(field::LOG_LEVEL, level);
        }
    }
}

#[inline]
fn read(said: &str) -> Option<Line<'_>> {
    let said = said.trim_ascii();
    let (level, text) = if let Some(text) = said.strip_prefix("error: ") {
        (Some("error"), text)
    } else if let Some(text) = said.strip_prefix("fatal: ") {
        (Some("critical"), text)
    } else {
        (None, said)
    };
    let (text, preauth) = match text.strip_suffix(" [preauth]") {
        Some(text) => (text, true),
        None => (text.strip_suffix(" [postauth]").unwrap_or(text), false),
    };
    let line = match text.as_bytes().first()? {
        b'F' => failed(text),
        b'A' | b'P' => accepted(text),
        b'C' => connection(text, preauth),
        b'D' => disconnect(text, preauth),
        b'R' => received(text, preauth),
        b'I' => invalid(text),
        b'U' => user(text),
        _ => None,
    };
    let line = line.or_else(|| other(text, preauth))?;
    Some(Line { level: level.or(line.level), ..line })
}

/// `Failed METHOD for [invalid user ]NAME from ADDRESS port N ssh2[: KEY]`
fn failed(text: &str) -> Option<Line<'_>> {
    let (method, rest) = method_for(text.strip_prefix("Failed ")?)?;
    // Of all methods only this one tells what the *client* calls its user and host, behind the key.
    let own = match method {
        "hostbased" => rest.split_once(", client user \"").map_or(rest, |(own, _)| own),
        _ => rest,
    };
    let peer = Peer::last_from(own)?;
    let line = Line::from_user(LOGIN, &peer);
    let is_invalid = line.reason.is_some();
    let fact = match method {
        // Another key may be the right one; that there is no such user will not change.
        "publickey" if !is_invalid => OFFER,
        // Asks which methods there are; the attempt itself follows.
        "none" if is_invalid => PREAUTH,
        "none" => OFFER,
        _ => LOGIN,
    };
    Some(Line { fact, method: Some(method), ..line })
}

/// The word before ` for `, and what follows.
#[inline]
fn method_for(text: &str) -> Option<(&str, &str)> {
    let mut cursor = Cursor::new(text);
    let method = cursor.word();
    cursor.eat("for ").then_some((method, cursor.rest))
}

/// `Accepted METHOD for NAME from ADDRESS port N ssh2[: KEY]`, and what else begins like it.
fn accepted(text: &str) -> Option<Line<'_>> {
    if let Some((method, rest)) = text.strip_prefix("Accepted ").and_then(method_for) {
        // The name is a known user's; the id of a certificate, behind `ssh2: `, is its owner's choice.
        let peer = Peer::last_from(rest.split_once(" ssh2: ").map_or(rest, |(own, _)| own))?;
        let line = Line::from_user(LOGIN.with(SUCCESS), &peer);
        return Some(Line { method: Some(method), reason: None, ..line });
    }
    if let Some((method, rest)) =
        text.strip_prefix("Postponed ").or_else(|| text.strip_prefix("Partial ")).and_then(|it| it.split_once(" for "))
    {
        let line = Line::from_user(OFFER, &Peer::last_from(rest)?);
        return Some(Line { method: Some(method), ..line });
    }
    // `PAM: Authentication failure for [illegal user ]NAME from HOST[ via INTERFACE]`
    if let Some(rest) = text.strip_prefix("PAM: ") {
        let place = rest.rsplit_once(" via ").map_or(rest, |(place, _interface)| place);
        let peer = Peer::from_at_end(place)?;
        let (reason, who) = peer.who.split_once(" for ")?;
        let (user, _) = strip_invalid(who);
        return Some(Line { user: Some(user), ..Line::from_peer(PAM, &peer) }.because(reason));
    }
    // `Address 192.0.2.1 maps to name, but this does not map back to the address`
    if let Some(rest) = text.strip_prefix("Address ")
        && rest.contains(" maps to ")
    {
        return Some(Line::from_peer(REVERSE_MAPPING, &Peer::at_start(rest)?));
    }
    // `Access denied for user NAME by PAM account configuration`
    if let Some((name, reason)) = text.strip_prefix("Access denied for user ").and_then(|it| it.rsplit_once(" by ")) {
        return Some(Line { user: Some(name), ..Line::of(DENIED) }.because(reason));
    }
    // `Authentication tried for NAME with correct key but not from a permitted host (host=H, ip=A)`
    if let Some((name, rest)) = text.strip_prefix("Authentication tried for ").and_then(|it| it.split_once(" with ")) {
        let (_, address) = rest.rsplit_once("ip=")?;
        let address = address.split([',', ')']).next();
        return Some(Line { user: Some(name), address, ..Line::of(DENIED) }.because("host not permitted"));
    }
    None
}

/// `Connection closed|reset by …`, `Connection from …`, `Close session: …`
fn connection(text: &str, preauth: bool) -> Option<Line<'_>> {
    if let Some(rest) = text.strip_prefix("Connection closed by ").or_else(|| text.strip_prefix("Connection reset by "))
    {
        return ended(rest, preauth);
    }
    if let Some(rest) = text.strip_prefix("Connection from ") {
        return Some(Line::from_peer(CONNECT, &Peer::at_start(rest)?));
    }
    if let Some(rest) = text.strip_prefix("Close session: user ") {
        return Some(Line::from_user(SESSION_END, &Peer::last_from(rest)?));
    }
    None
}

/// `[invalid user|authenticating user|user ]NAME ADDRESS[ port N]` at the end of a connection.
fn ended(rest: &str, preauth: bool) -> Option<Line<'_>> {
    let peer = Peer::at_end(rest)?;
    let (who, state) = if let Some(name) = peer.who.strip_prefix("authenticating user") {
        (name, "authenticating")
    } else if let Some(name) = peer.who.strip_prefix("invalid user") {
        (name, "invalid user")
    } else {
        (peer.who.strip_prefix("user").unwrap_or(peer.who), "")
    };
    let fact = if preauth || !state.is_empty() { DISCONNECT.with(FAILURE) } else { DISCONNECT };
    let line = Line::from_peer(fact, &peer);
    let line = Line { user: Some(who.trim_ascii_start()).filter(|it| !it.is_empty()), ..line };
    Some(if state == "invalid user" { line.because(state) } else { line })
}

/// `Disconnected from …`, `Disconnecting …: reason`, `Did not receive identification string from …`
fn disconnect(text: &str, preauth: bool) -> Option<Line<'_>> {
    if let Some(rest) = text.strip_prefix("Disconnected from ") {
        return ended(rest, preauth);
    }
    if let Some(rest) = text.strip_prefix("Did not receive identification string from ") {
        return Some(Line::from_peer(PROBE, &Peer::at_start(rest)?).because("no identification"));
    }
    let rest = text.strip_prefix("Disconnecting")?;
    // Before 6.8: `Disconnecting: Too many authentication failures for NAME`; no other line tells it.
    if let Some(reason) = rest.strip_prefix(": ") {
        if let Some(tail) = reason.strip_prefix("Too many authentication failures") {
            let user = tail.strip_prefix(" for ").map(|it| strip_invalid(it).0);
            return Some(Line { user, ..Line::of(EXCEEDED) }.because("too many authentication failures"));
        }
        return Some(Line::of(if preauth { DISCONNECT.with(FAILURE) } else { DISCONNECT }).because(reason));
    }
    let rest = rest.strip_prefix(' ')?;
    const TOO_MANY: &str = ": Too many authentication failures";
    const CHANGED: &str = ": Change of username or service not allowed";
    // The reason may quote a user name, and the name stands before the address: the server's own words part them.
    let (who, reason) = match rest.find(TOO_MANY).or_else(|| rest.find(CHANGED)) {
        Some(at) => rest.split_at_checked(at)?,
        None => rest.split_at_checked(rest.find(": ").unwrap_or(rest.len()))?,
    };
    let line = ended(who, preauth)?;
    // `maximum authentication attempts exceeded` has told of these already.
    let fact = if reason == TOO_MANY { DISCONNECT } else { line.fact };
    Some(Line { fact, ..line }.because(reason.strip_prefix(": ").unwrap_or(reason)))
}

/// `Received disconnect from ADDRESS[ port N]:CODE: REASON`; the reason is the stranger's.
fn received(text: &str, preauth: bool) -> Option<Line<'_>> {
    if let Some(rest) = text.strip_prefix("Received disconnect from ") {
        let peer = Peer::at_start(rest)?;
        let reason = peer.after.trim_start_matches([':', ' ']);
        let reason = reason.split_once(':').map_or(reason, |(_code, reason)| reason.trim_ascii_start());
        let failed = preauth || reason.ends_with("Auth fail");
        let fact = if failed { DISCONNECT.with(FAILURE) } else { DISCONNECT };
        return Some(Line::from_peer(fact, &peer).because(reason));
    }
    if let Some(rest) = text.strip_prefix("ROOT LOGIN REFUSED FROM ") {
        let line = Line::from_peer(DENIED, &Peer::at_start(rest)?);
        return Some(Line { user: Some("root"), ..line }.because("root login refused"));
    }
    if text.starts_with("Read from socket failed") {
        return Some(Line::of(if preauth { DISCONNECT.with(FAILURE) } else { DISCONNECT }).because(text));
    }
    None
}

/// `Invalid user NAME from ADDRESS[ port N]`
fn invalid(text: &str) -> Option<Line<'_>> {
    let rest = text.strip_prefix("Invalid user").or_else(|| text.strip_prefix("Illegal user"))?;
    let peer = Peer::from_at_end(rest)?;
    let user = peer.who.strip_prefix(' ').unwrap_or(peer.who);
    Some(Line { user: Some(user), ..Line::from_peer(PREAUTH, &peer) }.because("invalid user"))
}

/// `User NAME[ from HOST] not allowed because REASON`, `Unable to negotiate with …`
fn user(text: &str) -> Option<Line<'_>> {
    if let Some(rest) = text.strip_prefix("User ") {
        let (who, reason) = rest.rsplit_once(" not allowed because ")?;
        return Some(match Peer::from_at_end(who) {
            Some(peer) => Line::from_user(DENIED, &peer).because(reason),
            // Accompanies the failure that follows and has no address to count.
            None => Line { user: Some(who), ..Line::of(DENIED.with(None)) }.because(reason),
        });
    }
    if let Some(rest) = text.strip_prefix("Unable to negotiate ") {
        let Some(rest) = rest.strip_prefix("with ") else {
            return Some(Line::of(NEGOTIATION).because(text));
        };
        let peer = Peer::at_start(rest)?;
        let reason = peer.after.strip_prefix(": ").unwrap_or(peer.after);
        let reason = reason.split_once(". Their offer").map_or(reason, |(reason, _offer)| reason);
        return Some(Line::from_peer(NEGOTIATION, &peer).because(reason));
    }
    None
}

fn other(text: &str, preauth: bool) -> Option<Line<'_>> {
    let failed_preauth = |fact: Fact| if preauth { fact.with(FAILURE) } else { fact };
    if let Some(rest) = text.strip_prefix("maximum authentication attempts exceeded for ") {
        let line = Line::from_user(EXCEEDED, &Peer::last_from(rest)?);
        return Some(line.because("maximum authentication attempts exceeded"));
    }
    if let Some(rest) = text.strip_prefix("input_userauth_request: invalid user ") {
        return Some(Line { user: Some(rest), ..Line::of(PREAUTH.with(None)) }.because("invalid user"));
    }
    if let Some(rest) = text.strip_prefix("Timeout before authentication for ") {
        let rest = rest.strip_prefix("connection from ").unwrap_or(rest);
        return Some(Line::from_peer(PREAUTH, &Peer::at_start(rest)?).because("timeout"));
    }
    // The identification is the stranger's.
    if text.starts_with("Bad protocol version identification '") {
        return Some(Line::from_peer(PROBE, &Peer::from_at_end(text)?).because("bad protocol version"));
    }
    if let Some(rest) = text.strip_prefix("banner exchange: Connection from ") {
        let peer = Peer::at_start(rest)?;
        return Some(Line::from_peer(PROBE, &peer).because(peer.after.trim_start_matches([':', ' '])));
    }
    if let Some(rest) = text.strip_prefix("kex_exchange_identification: ") {
        // The line that names the address follows; only what the client itself got wrong is held against it here.
        let fact = if rest.starts_with("client sent invalid protocol") { PROBE } else { PROBE.with(None) };
        return Some(Line::of(fact).because(rest));
    }
    if let Some(rest) = text.strip_prefix("ssh_dispatch_run_fatal: Connection from ") {
        let (who, reason) = rest.rsplit_once(": ").unwrap_or((rest, ""));
        let line = ended(who, preauth)?;
        return Some(line.because(reason));
    }
    if text.starts_with("no matching ") || text.starts_with("no hostkey alg") {
        return Some(Line::of(failed_preauth(NEGOTIATION.with(None))).because(text));
    }
    if text.starts_with("Write failed: ") || text.starts_with("Connection closed") {
        return Some(Line::of(failed_preauth(DISCONNECT)).because(text));
    }
    if let Some(rest) = text.strip_prefix("reverse mapping checking getaddrinfo for ") {
        let (_, address) = rest.split_once(" [")?;
        let address = address.split_once(']').map(|(address, _)| address);
        return Some(Line { address, ..Line::of(REVERSE_MAPPING) });
    }
    if let Some(rest) = text.strip_prefix("Nasty PTR record ") {
        let (_, rest) = rest.rsplit_once(" is set up for ")?;
        return Some(Line::from_peer(REVERSE_MAPPING, &Peer::at_start(rest)?));
    }
    // `refused connect from NAME (ADDRESS)`, by TCP wrappers.
    if let Some(rest) = text.strip_prefix("refused connect from ") {
        let address = rest.rsplit_once('(').and_then(|(_, it)| it.strip_suffix(')')).unwrap_or(rest);
        return Some(Line { address: Some(address), ..Line::of(DENIED) }.because("refused by tcp wrappers"));
    }
    // `drop connection #3 from [ADDRESS]:PORT on [ADDRESS]:PORT past MaxStartups`
    if let Some((_, rest)) = text.strip_prefix("drop connection #").and_then(|it| it.split_once(" from ")) {
        let (address, rest) = between(rest, "[", ']')?;
        let (port, rest) = rest.strip_prefix(':')?.split_once(' ')?;
        let reason = rest.split_once("past ").or_else(|| rest.split_once("penalty: ")).map_or(rest, |(_, it)| it);
        return Some(Line { address: Some(address), port: port.parse().ok(), ..Line::of(DROPPED) }.because(reason));
    }
    if let Some(rest) = text.strip_prefix("Starting session: ") {
        let peer = Peer::last_from(rest)?;
        let (_what, user) = peer.who.rsplit_once(" for ")?;
        return Some(Line { user: Some(user), ..Line::from_peer(SESSION_START, &peer) });
    }
    // `SSH: Server;Ltype: Version;Remote: ADDRESS-PORT;…`, a patch that some vendors carry.
    if let Some(rest) = text.strip_prefix("SSH: Server;") {
        let (_, remote) = rest.split_once("Remote: ")?;
        let (address, port) = remote.split(';').next()?.rsplit_once('-')?;
        return Some(Line { address: Some(address), port: port.parse().ok(), ..Line::of(CONNECT) });
    }
    None
}

#[cfg(test)]
mod tests;
