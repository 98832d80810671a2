//! The lines of one event, put together.

use std::borrow::Cow;

use panoptes_model::{Anomaly, BatchWriter, FieldId, field};

use super::decode::{self, Socket};
use super::line::{Dress, Line, Pair, Pairs};
use super::{meaning, syscalls};
use crate::address;
use crate::context::Context;
use crate::fact::{FAILURE, Fact, SUCCESS, UNKNOWN, write_dataset};
use crate::syslog::take_back;
use crate::time;

const DATASET: &str = "linux.auditd";
/// How many pairs one event may have. Further ones are only in the original text ([`Anomaly::FieldsTooMany`]).
const PAIRS_MAX: usize = 2_048;
/// How many arguments of a program become fields of their own (`auditd.data.a0`…), which rules name. All of them are
/// in `process.args` and in the command line: each further name would take one of the batch's.
const ARGUMENT_FIELDS_MAX: u32 = 64;
/// The login id of who never logged in.
const UNSET: [&str; 3] = ["4294967295", "-1", "unset"];

/// One `name=value`.
struct Item<'t> {
    name: &'t str,
    value: &'t str,
    is_hex: bool,
    /// It goes on with the next item: a long argument comes in pieces.
    goes_on: bool,
    /// It is a further piece of the one before.
    is_rest: bool,
    /// Index of the record.
    record: usize,
}

/// What the lines say, as far as it was read.
#[derive(Default)]
pub(super) struct AuditEvent<'t> {
    /// The type and the node of each line.
    records: Vec<&'t str>,
    items: Vec<Item<'t>>,
    node: Option<&'t str>,
    stamp: Option<(&'t str, &'t str)>,
    id: &'t str,
    is_interpreted: bool,
    /// What an access decision says outside of its pairs: the answer, and what was asked for.
    decision: Option<(&'t str, &'t str)>,
}

/// The value of the first pair that has a name, as an index into the items. What only one type of record can say is
/// taken from that type alone.
#[derive(Default)]
struct Index {
    pid: Option<usize>,
    ppid: Option<usize>,
    uid: Option<usize>,
    user: Option<usize>,
    euid: Option<usize>,
    effective_user: Option<usize>,
    auid: Option<usize>,
    audit_user: Option<usize>,
    gid: Option<usize>,
    group: Option<usize>,
    tty: Option<usize>,
    comm: Option<usize>,
    exe: Option<usize>,
    cwd: Option<usize>,
    command: Option<usize>,
    title: Option<usize>,
    success: Option<usize>,
    exit: Option<usize>,
    result: Option<usize>,
    arch: Option<usize>,
    number: Option<usize>,
    call: Option<usize>,
    account: Option<usize>,
    account_id: Option<usize>,
    account_name: Option<usize>,
    group_account: Option<usize>,
    address: Option<usize>,
    host: Option<usize>,
    unit: Option<usize>,
    socket: Option<usize>,
    local_address: Option<usize>,
    apparmor: Option<usize>,
    argc: Option<usize>,
}

impl<'t> AuditEvent<'t> {
    /// Adds what one line says.
    pub(super) fn add(&mut self, writer: &mut BatchWriter<'_>, line: &Line<'t>) {
        let kind = meaning::type_name(line.kind);
        if self.records.is_empty() {
            self.node = line.node;
            self.stamp = line.time_and_serial();
            self.id = line.stamp;
            self.is_interpreted = line.is_interpreted();
        } else if line.stamp != self.id {
            // Lines of several events in one record: nothing is left out, but it is not to be trusted.
            writer.anomaly(Anomaly::SyntaxInvalid);
        }
        let record = self.records.len();
        self.records.push(kind);
        if matches!(kind, "AVC" | "USER_AVC") {
            self.decision = self.decision.or_else(|| decision(line.body));
        }
        let mut pairs = Pairs::new(line.body, self.is_interpreted);
        for pair in pairs.by_ref() {
            if self.items.len() >= PAIRS_MAX {
                writer.anomaly(Anomaly::FieldsTooMany);
                break;
            }
            if kind == "EXECVE" {
                self.add_argument(pair, record);
            } else {
                let is_hex = !self.is_interpreted && is_strangers_choice(pair.name) && is_hex(&pair);
                let Pair { name, value, .. } = pair;
                self.items.push(Item { name, value, is_hex, goes_on: false, is_rest: false, record });
            }
        }
        if pairs.is_torn() {
            writer.anomaly(Anomaly::Truncated);
        }
    }

    /// `a1="x"`, or the pieces of a long one: `a1_len=9000 a1[0]=6162 a1[1]=63`.
    fn add_argument(&mut self, pair: Pair<'t>, record: usize) {
        let (name, is_piece) = match pair.name.split_once('[') {
            Some((name, _)) => (name, true),
            None => (pair.name, false),
        };
        let is_argument = argument_number(name).is_some();
        let of_execve = |it: &Item<'_>| self.records.get(it.record) == Some(&"EXECVE");
        let is_rest = is_argument && is_piece && self.items.last().is_some_and(|it| it.name == name && of_execve(it));
        if is_rest && let Some(before) = self.items.last_mut() {
            before.goes_on = true;
        }
        let is_hex = is_argument && !self.is_interpreted && is_hex(&pair);
        self.items.push(Item { name, value: pair.value, is_hex, goes_on: false, is_rest, record });
    }

    /// Writes all of it into the open event.
    pub(super) fn write(self, writer: &mut BatchWriter<'_>, context: &Context<'_>) {
        let index = self.index();
        if let Some((when, _)) = self.stamp {
            match self.instant(when, writer, context) {
                Some(instant) => writer.time(instant.time),
                None => writer.anomaly(Anomaly::TimeInvalid),
            }
        }
        let call = self.call(&index);
        self.write_meaning(writer, &index, call);
        writer.word(field::EVENT_MODULE, "auditd");
        if let Some((_, serial)) = self.stamp {
            writer.text(field::EVENT_ID, self.id);
            if let Ok(serial) = serial.parse() {
                writer.integer(field::EVENT_SEQUENCE, serial);
            }
        }
        if let Some(node) = self.node {
            take_back(writer, &[field::HOST_NAME]);
            writer.text(field::HOST_NAME, node);
        }
        self.write_process(writer, &index);
        self.write_users(writer, &index);
        self.write_network(writer, &index, call);
        self.write_data(writer, &index, call);
    }

    fn instant(&self, when: &str, writer: &BatchWriter<'_>, context: &Context<'_>) -> Option<time::Instant> {
        if !self.is_interpreted {
            return time::of_text(when, context.zone, writer.received_at());
        }
        // As `ausearch --interpret` writes it in most languages: `01/15/24 10:30:00.123`, `01/15/2024 10:30:00.123`.
        let (date, clock) = when.split_once(' ')?;
        let mut parts = date.split('/');
        let (month, day, year) = (parts.next()?, parts.next()?, parts.next()?);
        let century = if year.len() == 2 { "20" } else { "" };
        time::of_text(&format!("{century}{year}-{month}-{day} {clock}"), context.zone, writer.received_at())
    }

    fn index(&self) -> Index {
        let mut index = Index::default();
        for (at, item) in self.items.iter().enumerate() {
            let kind = self.records.get(item.record).copied().unwrap_or("");
            let slot = match (item.name, kind) {
                ("cwd", "CWD" | "USER_CMD") => &mut index.cwd,
                ("cmd", "USER_CMD") => &mut index.command,
                ("proctitle", _) => &mut index.title,
                ("argc", "EXECVE") => &mut index.argc,
                ("saddr", _) => &mut index.socket,
                ("laddr", "SOCKADDR") => &mut index.local_address,
                ("success", "SYSCALL" | "URINGOP") => &mut index.success,
                ("exit", "SYSCALL" | "URINGOP") => &mut index.exit,
                ("arch", _) => &mut index.arch,
                ("syscall", _) => &mut index.number,
                ("SYSCALL", _) => &mut index.call,
                ("apparmor", _) => &mut index.apparmor,
                // Of these a record about a path, an object or arguments speaks of something else.
                (_, "PATH" | "EXECVE" | "OBJ_PID" | "CWD" | "SOCKADDR" | "IPC") => continue,
                ("pid", _) => &mut index.pid,
                ("ppid", _) => &mut index.ppid,
                ("uid", _) => &mut index.uid,
                ("UID", _) => &mut index.user,
                ("euid", _) => &mut index.euid,
                ("EUID", _) => &mut index.effective_user,
                ("auid", _) => &mut index.auid,
                ("AUID", _) => &mut index.audit_user,
                ("gid", _) => &mut index.gid,
                ("GID", _) => &mut index.group,
                ("tty" | "terminal", _) => &mut index.tty,
                ("comm", _) => &mut index.comm,
                ("exe", _) => &mut index.exe,
                ("res", _) => &mut index.result,
                ("acct", _) => &mut index.account,
                ("id", _) => &mut index.account_id,
                ("ID", _) => &mut index.account_name,
                ("grp", _) => &mut index.group_account,
                ("addr", _) => &mut index.address,
                ("hostname", _) => &mut index.host,
                ("unit", _) => &mut index.unit,
                _ => continue,
            };
            slot.get_or_insert(at);
        }
        index
    }

    /// The text of the item that an index leads to, unless it says that there is none.
    fn get(&self, at: Option<usize>) -> Option<Cow<'t, str>> {
        self.text(at?).filter(|it| !matches!(it.as_ref(), "" | "?" | "(null)" | "(none)" | "(unknown)" | "\"?\""))
    }

    /// What an item stands for.
    fn text(&self, at: usize) -> Option<Cow<'t, str>> {
        let item = self.items.get(at)?;
        if !item.is_hex && !item.goes_on {
            return Some(Cow::Borrowed(item.value));
        }
        let mut bytes = Vec::new();
        for item in self.items.get(at..)? {
            if item.is_hex {
                decode::hex(item.value, &mut bytes);
            } else {
                bytes.extend_from_slice(item.value.as_bytes());
            }
            if !item.goes_on {
                break;
            }
        }
        if item.name == "proctitle" {
            // Between the arguments there are zeros.
            let zeros = bytes.iter_mut().filter(|it| **it == 0);
            zeros.for_each(|it| *it = b' ');
        }
        Some(Cow::Owned(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }))
    }

    /// The name of the system call.
    fn call(&self, index: &Index) -> Option<&'t str> {
        let stated = |at: Option<usize>| self.items.get(at?).map(|it| it.value);
        stated(index.call).or_else(|| {
            let number = stated(index.number)?;
            // Interpreted records have the name in its place.
            if number.starts_with(|it: char| it.is_ascii_alphabetic()) {
                return Some(number);
            }
            syscalls::name(stated(index.arch)?, number)
        })
    }

    fn outcome(&self, index: &Index) -> Option<&'static str> {
        let value = |at: Option<usize>| self.items.get(at?).map(|it| it.value);
        match value(index.success) {
            Some("yes") => return SUCCESS,
            // A connection that is on its way has not failed.
            Some("no") if value(index.exit).is_some_and(|it| it == "-115" || it.starts_with("EINPROGRESS")) => {
                return UNKNOWN;
            }
            Some("no") => return FAILURE,
            _ => {}
        }
        match value(index.result) {
            Some("success" | "1" | "yes") => return SUCCESS,
            Some("failed" | "fail" | "0" | "no") => return FAILURE,
            _ => {}
        }
        let decided = self.decision.map(|it| it.0).or_else(|| value(index.apparmor));
        match decided {
            Some("denied" | "DENIED") => FAILURE,
            Some("granted" | "ALLOWED") => SUCCESS,
            _ => None,
        }
    }

    fn has(&self, kind: &str) -> bool {
        self.records.contains(&kind)
    }

    fn write_meaning(&self, writer: &mut BatchWriter<'_>, index: &Index, call: Option<&str>) {
        let outcome = self.outcome(index);
        let failed = outcome == FAILURE;
        let of_call = call.map(meaning::of_syscall);
        let started = !failed && (self.has("EXECVE") || matches!(call, Some("execve" | "execveat")));
        let of_type = || self.records.iter().find_map(|it| meaning::of_type(it));
        let fact = if started { Some(meaning::of_syscall("execve")) } else { of_type().or(of_call) };
        let Some(fact) = fact else {
            write_dataset(writer, DATASET);
            if let Some(kind) = self.records.first() {
                writer.text_with(field::EVENT_ACTION, |out| out.extend(kind.chars().map(|it| it.to_ascii_lowercase())));
            }
            if let Some(outcome) = outcome {
                writer.text(field::EVENT_OUTCOME, outcome);
            }
            return;
        };
        let is_call = self.has("SYSCALL");
        let path = self.path();
        let created = path.as_ref().is_some_and(|it| it.is_new);
        let is_network =
            fact.category == ["network"] && self.socket(index).is_none_or(|it| matches!(it, Socket::Ip(..)));
        let fact = match fact {
            // What did not happen did not begin, end, appear or vanish.
            Fact { category: ["network"], action, .. } if is_call && !is_network => {
                Fact { category: &["process"], kind: &["info"], action, outcome: None }
            }
            fact if is_call && failed => Fact { kind: &["info"], ..fact },
            Fact { category: ["file"], action: "file_renamed", .. } if created => {
                Fact { kind: &["change", "creation"], ..fact }
            }
            Fact { category: ["file"], .. } if created => Fact { kind: &["creation"], action: "file_created", ..fact },
            fact => fact,
        };
        fact.with(outcome).write(writer, DATASET);
        if let Some(path) = path.filter(|_| fact.category.contains(&"file")) {
            writer.text(field::FILE_PATH, &path.text);
            if let Some((_, name)) = path.text.rsplit_once('/').filter(|it| !it.1.is_empty()) {
                writer.text(field::FILE_NAME, name);
            }
        }
    }

    /// The file that the event is about: the one that is new, else gone, else the last one that is no folder on the way.
    fn path(&self) -> Option<Path> {
        let mut chosen: Option<(u8, usize)> = None;
        let (mut name, mut record) = (None, usize::MAX);
        for (at, item) in self.items.iter().enumerate() {
            if self.records.get(item.record) != Some(&"PATH") {
                continue;
            }
            if item.record != record {
                (name, record) = (None, item.record);
            }
            let rank = match (item.name, item.value) {
                ("name", _) => {
                    name = Some(at);
                    continue;
                }
                ("nametype", "CREATE") => 3,
                ("nametype", "DELETE") => 2,
                ("nametype", "NORMAL") => 1,
                _ => continue,
            };
            if let Some(name) = name
                && chosen.is_none_or(|it| rank >= it.0)
            {
                chosen = Some((rank, name));
            }
        }
        let (rank, at) = chosen?;
        let name = self.get(Some(at))?;
        let mut text = String::new();
        if !name.starts_with('/') {
            let is_cwd = |it: &Item<'_>| it.name == "cwd" && self.records.get(it.record) == Some(&"CWD");
            let cwd = self.items.iter().position(is_cwd);
            if let Some(cwd) = self.get(cwd) {
                text.push_str(cwd.trim_end_matches('/'));
                text.push('/');
            }
        }
        text.push_str(name.strip_prefix("./").unwrap_or(&name));
        Some(Path { text, is_new: rank == 3 })
    }

    fn write_process(&self, writer: &mut BatchWriter<'_>, index: &Index) {
        let arguments: Vec<usize> = (0..self.items.len()).filter(|at| self.is_argument(*at)).collect();
        let mut put = |id: FieldId, at: Option<usize>| {
            if let Some(text) = self.get(at) {
                writer.text(id, &text);
            }
        };
        put(field::PROCESS_EXECUTABLE, index.exe);
        put(field::PROCESS_NAME, index.comm);
        put(field::PROCESS_WORKING_DIRECTORY, index.cwd);
        put(field::SERVICE_NAME, index.unit);
        let tty = index.tty.filter(|at| self.items.get(*at).is_some_and(|it| !matches!(it.value, "ssh" | "cron")));
        put(field::PROCESS_TTY_NAME, tty);
        for (id, at) in [(field::PROCESS_PID, index.pid), (field::PROCESS_PARENT_PID, index.ppid)] {
            if let Some(number) = self.get(at).and_then(|it| it.parse().ok()) {
                writer.integer(id, number);
            }
        }
        if !arguments.is_empty() {
            let stated = self.get(index.argc).and_then(|it| it.parse().ok());
            if stated.is_some_and(|it: usize| it > arguments.len()) {
                writer.anomaly(Anomaly::Truncated);
            }
            writer.text_with(field::PROCESS_COMMAND_LINE, |out| {
                for (number, at) in arguments.iter().enumerate() {
                    if number > 0 {
                        out.push(' ');
                    }
                    out.push_str(&self.text(*at).unwrap_or_default());
                }
            });
            if let Some(id) = writer.field("process.args") {
                let mut list = writer.list(id);
                for at in arguments {
                    list.text(&self.text(at).unwrap_or_default());
                }
                list.close();
            }
            return;
        }
        if let Some(command) = self.get(index.command) {
            writer.text(field::PROCESS_COMMAND_LINE, &command);
        } else if let Some(title) = self.get(index.title) {
            writer.text(field::PROCESS_COMMAND_LINE, title.trim_ascii_end());
        }
    }

    /// Whether an item is an argument of a program, and not a further piece of one.
    fn is_argument(&self, at: usize) -> bool {
        self.items.get(at).is_some_and(|it| {
            !it.is_rest && self.records.get(it.record) == Some(&"EXECVE") && argument_number(it.name).is_some()
        })
    }

    fn write_users(&self, writer: &mut BatchWriter<'_>, index: &Index) {
        let kind = self.records.first().copied().unwrap_or("");
        let mut put = |id: FieldId, at: Option<usize>| {
            // `(unknown user)` and `(invalid user)` are nobody.
            let known = |it: &Cow<'_, str>| !UNSET.contains(&it.as_ref()) && !it.starts_with('(');
            if let Some(text) = self.get(at).filter(known) {
                writer.text(id, &text);
                return true;
            }
            false
        };
        let mut has_name = false;
        if meaning::has_target(kind) {
            if meaning::is_about_group(kind) {
                put(field::GROUP_NAME, index.group_account.or(index.account));
                put(field::GROUP_ID, index.account_id);
            } else {
                put(field::USER_TARGET_NAME, index.account.or(index.account_name));
                put(field::USER_TARGET_ID, index.account_id);
            }
        } else if index.account.or(index.account_id).is_some() {
            // The one that logs in, not the service that says so.
            put(field::USER_NAME, index.account.or(index.account_name));
            put(field::USER_ID, index.account_id);
            has_name = true;
        }
        if !has_name {
            // Interpreted records have the name in place of the number.
            let is_number = self.get(index.uid).is_some_and(|it| it.bytes().all(|it| it.is_ascii_digit()));
            if is_number {
                put(field::USER_ID, index.uid);
            }
            let named = put(field::USER_NAME, index.user.or(index.uid.filter(|_| !is_number)));
            if !named && self.get(index.uid).as_deref() == Some("0") {
                writer.word(field::USER_NAME, "root");
            }
        }
        let mut named = |name: &str, at: Option<usize>| {
            let text = self.get(at).filter(|it| !UNSET.contains(&it.as_ref()));
            if let Some((id, text)) = text.and_then(|text| Some((writer.field(name)?, text))) {
                writer.text(id, &text);
            }
        };
        named("user.audit.id", index.auid);
        named("user.audit.name", index.audit_user);
        named("user.effective.id", index.euid);
        named("user.effective.name", index.effective_user);
        if !meaning::is_about_group(kind) {
            named("group.id", index.gid);
            named("group.name", index.group);
        }
    }

    fn socket(&self, index: &Index) -> Option<Socket> {
        let item = self.items.get(index.socket?)?;
        Socket::of(item.value)
    }

    fn write_network(&self, writer: &mut BatchWriter<'_>, index: &Index, call: Option<&str>) {
        let said = self.get(index.address).or_else(|| self.get(index.host));
        if let Some(address) = &said {
            match address::ip(address) {
                Some(address) => writer.ip(field::SOURCE_IP, address),
                None => writer.text(field::SOURCE_ADDRESS, address),
            }
        }
        let Some(Socket::Ip(address, port)) = self.socket(index) else { return };
        let (ip, port_id, direction) = match call {
            Some("accept" | "accept4" | "recvfrom" | "recvmsg" | "recvmmsg") => {
                (field::SOURCE_IP, field::SOURCE_PORT, "ingress")
            }
            Some("bind") => return,
            _ => (field::DESTINATION_IP, field::DESTINATION_PORT, "egress"),
        };
        writer.ip(ip, address);
        writer.integer(port_id, i64::from(port));
        writer.text(field::NETWORK_DIRECTION, direction);
        // What rules ask for as `Initiated`.
        if let Some(id) = writer.field("panoptes.auditd.initiated") {
            writer.text(id, if direction == "egress" { "true" } else { "false" });
        }
    }

    /// Everything under its own name.
    fn write_data(&self, writer: &mut BatchWriter<'_>, index: &Index, call: Option<&str>) {
        let mut name = String::with_capacity(64);
        let mut field_of = |writer: &mut BatchWriter<'_>, own: &str| {
            name.clear();
            name.push_str("auditd.data.");
            name.push_str(own);
            writer.field(&name)
        };
        if let Some(id) = field_of(writer, "type") {
            let distinct = self.records.iter().enumerate().filter(|(at, kind)| {
                // Short lists: there are few types, and most lines repeat one of the first.
                !self.records.iter().take(*at).any(|it| it == *kind)
            });
            let distinct: Vec<&str> = distinct.map(|it| *it.1).collect();
            match distinct.as_slice() {
                [only] => writer.text(id, only),
                several => writer.text_list(id, several.iter().copied()),
            }
        }
        let mut first_of: Vec<(FieldId, usize, usize)> = Vec::with_capacity(self.items.len().min(128));
        let mut next = vec![usize::MAX; self.items.len()];
        for (at, item) in self.items.iter().enumerate() {
            let is_beyond = || argument_number(item.name).is_some_and(|it| it >= ARGUMENT_FIELDS_MAX);
            if item.is_rest || is_beyond() {
                continue;
            }
            let Some(id) = field_of(writer, item.name) else { continue };
            match first_of.iter_mut().find(|it| it.0 == id) {
                Some((_, _, last)) => {
                    if let Some(link) = next.get_mut(*last) {
                        *link = at;
                    }
                    *last = at;
                }
                None => first_of.push((id, at, at)),
            }
        }
        for (id, first, last) in first_of {
            let is_key = self.items.get(first).is_some_and(|it| it.name == "key");
            if first == last && !is_key {
                self.write_text(writer, id, first);
                continue;
            }
            let mut texts = Vec::new();
            let mut at = first;
            while let Some(text) = self.text(at) {
                texts.push(text);
                at = next.get(at).copied().unwrap_or(usize::MAX);
            }
            // Several keys of one rule come as one value with 0x01 between them.
            let parts = texts.iter().flat_map(|it| it.split('\u{1}'));
            if is_key && parts.clone().nth(1).is_none() {
                self.write_text(writer, id, first);
            } else if is_key {
                writer.text_list(id, parts);
            } else {
                writer.text_list(id, texts.iter().map(AsRef::as_ref));
            }
        }
        let mut put = |own: &str, value: &str| {
            if let Some(id) = field_of(writer, own) {
                writer.text(id, value);
            }
        };
        if let Some(call) = call.filter(|_| index.call.is_none()) {
            put("SYSCALL", call);
        }
        if let Some((answer, wanted)) = self.decision {
            put("seresult", answer);
            put("seperms", wanted);
        }
        if let Some(socket) = self.socket(index).filter(|_| index.local_address.is_none()) {
            put("saddr_fam", socket.family());
            match &socket {
                Socket::Ip(address, port) => {
                    put("laddr", &address.to_string());
                    put("lport", &port.to_string());
                }
                Socket::Unix(path) => put("path", path),
                Socket::Other(_) => {}
            }
        }
    }

    /// A value as it was written, or decoded.
    fn write_text(&self, writer: &mut BatchWriter<'_>, id: FieldId, at: usize) {
        if let Some(text) = self.text(at) {
            writer.text(id, &text);
        }
    }
}

struct Path {
    text: String,
    is_new: bool,
}

/// `avc:  denied  { read write } for …`: the answer, and what was asked for.
fn decision(body: &str) -> Option<(&str, &str)> {
    let (before, rest) = body.split_once('{')?;
    let answer = before.trim_ascii_end().rsplit(' ').next()?;
    let (wanted, _) = rest.split_once('}')?;
    matches!(answer, "denied" | "granted").then(|| (answer, wanted.trim_ascii()))
}

/// `a0` is 0.
fn argument_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix('a')?;
    if digits.starts_with('0') && digits != "0" {
        return None;
    }
    digits.parse().ok()
}

/// Whether the kernel or a program writes such a value in hexadecimal if it holds more than plain letters.
fn is_strangers_choice(name: &str) -> bool {
    matches!(
        name,
        "comm"
            | "exe"
            | "name"
            | "cwd"
            | "path"
            | "proctitle"
            | "data"
            | "acct"
            | "cmd"
            | "key"
            | "dir"
            | "file"
            | "ocomm"
            | "watch"
            | "profile"
            | "device"
            | "grp"
            | "sw"
            | "root_dir"
            | "vm"
    )
}

fn is_hex(pair: &Pair<'_>) -> bool {
    pair.dress == Dress::Bare && decode::is_hex(pair.value)
}
