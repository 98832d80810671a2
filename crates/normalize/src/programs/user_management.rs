//! Users and groups that change: shadow's useradd, usermod, userdel, groupadd, gpasswd, passwd, chage…
//!
//! A group that makes its members masters of the machine is tagged `privileged_group`, a new user with the number 0
//! `privileged_user`.

use panoptes_model::{BatchWriter, field};

use super::ProgramKind;
use crate::fact::{FAILURE, Fact, SUCCESS, Words, write_user};
use crate::text::{between, value_of};

pub(super) static KIND: ProgramKind = ProgramKind {
    names: &[
        "useradd",
        "usermod",
        "userdel",
        "adduser",
        "deluser",
        "groupadd",
        "groupmod",
        "groupdel",
        "addgroup",
        "gpasswd",
        "passwd",
        "chpasswd",
        "chgpasswd",
        "chage",
        "chsh",
        "chfn",
        "newusers",
        "groupmems",
        "vipw",
        "pwck",
    ],
    dataset: "linux.user_management",
    example: "new user: name=bob, UID=1001, GID=1001, home=/home/bob, shell=/bin/bash, from=/dev/pts/0",
    write,
};

/// Groups whose members can become root.
const PRIVILEGED_GROUPS: [&str; 14] = [
    "root",
    "sudo",
    "wheel",
    "admin",
    "adm",
    "docker",
    "lxd",
    "libvirt",
    "disk",
    "shadow",
    "kmem",
    "staff",
    "systemd-journal",
    "incus-admin",
];

const fn iam(kind: Words, action: &'static str) -> Fact {
    Fact { category: &["iam"], kind, action, outcome: SUCCESS }
}

const USER_ADDED: Fact = iam(&["user", "creation"], "user_added");
const USER_DELETED: Fact = iam(&["user", "deletion"], "user_deleted");
const USER_CHANGED: Fact = iam(&["user", "change"], "user_changed");
const USER_LOCKED: Fact = iam(&["user", "change"], "user_locked");
const USER_UNLOCKED: Fact = iam(&["user", "change"], "user_unlocked");
const PASSWORD_CHANGED: Fact = iam(&["user", "change"], "password_changed");
const GROUP_ADDED: Fact = iam(&["group", "creation"], "group_added");
const GROUP_DELETED: Fact = iam(&["group", "deletion"], "group_deleted");
const GROUP_CHANGED: Fact = iam(&["group", "change"], "group_changed");
const MEMBER_ADDED: Fact = iam(&["group", "change"], "group_member_added");
const MEMBER_REMOVED: Fact = iam(&["group", "change"], "group_member_removed");

/// What a message says changed.
struct Change<'t> {
    fact: Fact,
    /// Who did it.
    by: Option<&'t str>,
    target: Option<&'t str>,
    group: Option<&'t str>,
    id: Option<&'t str>,
}

impl<'t> Change<'t> {
    const fn of(fact: Fact) -> Self {
        Self { fact, by: None, target: None, group: None, id: None }
    }

    const fn user(fact: Fact, target: &'t str) -> Self {
        Self { target: Some(target), ..Self::of(fact) }
    }

    const fn group(fact: Fact, group: &'t str) -> Self {
        Self { group: Some(group), ..Self::of(fact) }
    }

    const fn member(fact: Fact, target: &'t str, group: &'t str) -> Self {
        Self { target: Some(target), group: Some(group), ..Self::of(fact) }
    }
}

fn write(writer: &mut BatchWriter<'_>, said: &str) -> bool {
    let Some(change) = read(said.trim_ascii()) else { return false };
    change.fact.write(writer, KIND.dataset);
    if let Some(by) = change.by {
        write_user(writer, field::USER_NAME, by);
    }
    if let Some(target) = change.target {
        // `members of group … set … to bob,eve`
        writer.text_list(field::USER_TARGET_NAME, target.split(',').filter(|it| !it.is_empty()));
    }
    if let Some(group) = change.group {
        writer.text(field::GROUP_NAME, group);
        if PRIVILEGED_GROUPS.contains(&group) {
            writer.word(field::TAGS, "privileged_group");
        }
    }
    if let Some(id) = change.id {
        let is_group = change.target.is_none();
        writer.text(if is_group { field::GROUP_ID } else { field::USER_TARGET_ID }, id);
        if id == "0" && !is_group {
            writer.word(field::TAGS, "privileged_user");
        }
    }
    true
}

fn read(said: &str) -> Option<Change<'_>> {
    let comma = |it: &'_ str| it.trim_end_matches(',').len();
    let value = |text, key| value_of(text, key).and_then(|it| it.get(..comma(it)));
    // useradd: `new user: name=bob, UID=1001, …`; groupadd: `new group: name=staff, GID=1002`
    if let Some(rest) = said.strip_prefix("new user: ") {
        return Some(Change { id: value(rest, "UID"), ..Change::user(USER_ADDED, value(rest, "name")?) });
    }
    if let Some(rest) = said.strip_prefix("new group: ").or_else(|| said.strip_prefix("group added to /etc/group: ")) {
        return Some(Change { id: value(rest, "GID"), ..Change::group(GROUP_ADDED, value(rest, "name")?) });
    }
    if let Some((user, _)) = between(said, "failed adding user '", '\'') {
        return Some(Change::user(USER_ADDED.with(FAILURE), user));
    }
    // usermod: `add 'bob' to group 'sudo'`, `add 'bob' to shadow group 'sudo'`
    if let Some((user, rest)) = between(said, "add '", '\'') {
        return member(MEMBER_ADDED, user, rest.strip_prefix(" to ")?);
    }
    if let Some((user, rest)) = between(said, "delete '", '\'') {
        return member(MEMBER_REMOVED, user, rest.strip_prefix(" from ")?);
    }
    if let Some((user, _)) = between(said, "delete user '", '\'') {
        return Some(Change::user(USER_DELETED, user));
    }
    if let Some((group, _)) =
        between(said, "removed group '", '\'').or_else(|| between(said, "removed shadow group '", '\''))
    {
        return Some(Change::group(GROUP_DELETED, group));
    }
    if let Some((group, rest)) = between(said, "group '", '\'') {
        return rest.starts_with(" removed").then(|| Change::group(GROUP_DELETED, group));
    }
    if let Some(rest) = said.strip_prefix("group changed in ") {
        let (_, rest) = rest.split_once("(group ")?;
        return Some(Change::group(GROUP_CHANGED, rest.split(['/', ',', ')']).next()?));
    }
    if let Some((user, rest)) = between(said, "change user '", '\'').or_else(|| between(said, "changed user '", '\'')) {
        let change = Change::user(if rest == " password" { PASSWORD_CHANGED } else { USER_CHANGED }, user);
        // `change user 'bob' UID from '1001' to '0'`
        let id = rest.strip_prefix(" UID from '").and_then(|it| it.split_once("' to '")).map(|(_, it)| it);
        return Some(Change { id: id.and_then(|it| it.strip_suffix('\'')), ..change });
    }
    if let Some((user, _)) = between(said, "change user name '", '\'') {
        return Some(Change::user(USER_CHANGED, user));
    }
    if let Some((user, _)) = between(said, "lock user '", '\'') {
        return Some(Change::user(USER_LOCKED, user));
    }
    if let Some((user, _)) = between(said, "unlock user '", '\'') {
        return Some(Change::user(USER_UNLOCKED, user));
    }
    // passwd: `password for 'bob' changed by 'root'`; chage: `changed password expiry for bob`
    if let Some((user, rest)) = between(said, "password for '", '\'') {
        let by = rest.strip_prefix(" changed by '").and_then(|it| it.strip_suffix('\''));
        return Some(Change { by, ..Change::user(PASSWORD_CHANGED, user) });
    }
    if let Some(user) = said.strip_prefix("changed password expiry for ") {
        return Some(Change::user(USER_CHANGED, user));
    }
    // gpasswd: `user bob added by root to group sudo`, `members of group sudo set by root to bob,eve`
    if let Some(rest) = said.strip_prefix("user ") {
        let (user, rest) = rest.split_once(' ')?;
        for (verb, mark, fact) in
            [("added by ", " to group ", MEMBER_ADDED), ("removed by ", " from group ", MEMBER_REMOVED)]
        {
            if let Some((by, group)) = rest.strip_prefix(verb).and_then(|it| it.split_once(mark)) {
                return Some(Change { by: Some(by), ..Change::member(fact, user, group) });
            }
        }
        return None;
    }
    let rest = said.strip_prefix("members of group ").or_else(|| said.strip_prefix("set members of "))?;
    let (group, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let by = rest.strip_prefix("set by ").and_then(|it| it.split(' ').next());
    let members = rest.rsplit_once("to ").map(|(_, members)| members);
    Some(Change { by, target: members, ..Change::group(MEMBER_ADDED, group) })
}

/// `group 'sudo'` or `shadow group 'sudo'`.
fn member<'t>(fact: Fact, user: &'t str, rest: &'t str) -> Option<Change<'t>> {
    let rest = rest.strip_prefix("shadow ").unwrap_or(rest);
    let (group, _) = between(rest, "group '", '\'')?;
    Some(Change::member(fact, user, group))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::formats::tests::value;

    #[test]
    fn changes_name_whom_and_which_group() {
        let out = [
            ("useradd", "new user: name=bob, UID=1001, GID=1001, home=/home/bob, shell=/bin/bash, from=/dev/pts/0"),
            ("useradd", "new user: name=toor, UID=0, GID=0, home=/root, shell=/bin/bash"),
            ("useradd", "new group: name=bob, GID=1001"),
            ("useradd", "failed adding user 'bob', data deleted"),
            ("usermod", "add 'bob' to group 'sudo'"),
            ("usermod", "add 'bob' to shadow group 'sudo'"),
            ("usermod", "change user 'bob' password"),
            ("usermod", "change user 'bob' UID from '1001' to '0'"),
            ("usermod", "change user 'bob' shell from '/bin/sh' to '/bin/bash'"),
            ("usermod", "lock user 'bob' password"),
            ("usermod", "unlock user 'bob' password"),
            ("groupadd", "group added to /etc/group: name=ops, GID=1002"),
            ("groupmod", "group changed in /etc/group (group ops/1002, new name: devops)"),
            ("groupdel", "group 'ops' removed from /etc/group"),
            ("userdel", "delete user 'bob'"),
            ("userdel", "removed group 'bob' owned by 'bob'"),
            ("userdel", "delete 'bob' from group 'sudo'"),
            ("passwd", "password for 'bob' changed by 'root'"),
            ("passwd", "pam_unix(passwd:chauthtok): password changed for bob"),
            ("chpasswd", "pam_unix(chpasswd:chauthtok): password changed for bob"),
            ("gpasswd", "user bob added by root to group wheel"),
            ("gpasswd", "user bob removed by root from group wheel"),
            ("gpasswd", "members of group wheel set by root to bob,eve"),
            ("chage", "changed password expiry for bob"),
            ("chsh", "changed user 'bob' shell to '/bin/zsh'"),
            ("useradd", "something else"),
        ]
        .map(|(name, said)| {
            let line = format!("Jan 15 10:30:00 h {name}[7]: {said}");
            [
                "event.dataset",
                "event.action",
                "event.outcome",
                "user.name",
                "user.target.name",
                "group.name",
                "user.target.id",
                "tags",
            ]
            .map(|it| value(&line, it))
            .join(" | ")
        });
        expect![[r#"
            linux.user_management | user_added | success |  | bob |  | 1001 | 
            linux.user_management | user_added | success |  | toor |  | 0 | privileged_user
            linux.user_management | group_added | success |  |  | bob |  | 
            linux.user_management | user_added | failure |  | bob |  |  | 
            linux.user_management | group_member_added | success |  | bob | sudo |  | privileged_group
            linux.user_management | group_member_added | success |  | bob | sudo |  | privileged_group
            linux.user_management | password_changed | success |  | bob |  |  | 
            linux.user_management | user_changed | success |  | bob |  | 0 | privileged_user
            linux.user_management | user_changed | success |  | bob |  |  | 
            linux.user_management | user_locked | success |  | bob |  |  | 
            linux.user_management | user_unlocked | success |  | bob |  |  | 
            linux.user_management | group_added | success |  |  | ops |  | 
            linux.user_management | group_changed | success |  |  | ops |  | 
            linux.user_management | group_deleted | success |  |  | ops |  | 
            linux.user_management | user_deleted | success |  | bob |  |  | 
            linux.user_management | group_deleted | success |  |  | bob |  | 
            linux.user_management | group_member_removed | success |  | bob | sudo |  | privileged_group
            linux.user_management | password_changed | success | root | bob |  |  | 
            linux.pam | password_changed | success |  | bob |  |  | 
            linux.pam | password_changed | success |  | bob |  |  | 
            linux.user_management | group_member_added | success | root | bob | wheel |  | privileged_group
            linux.user_management | group_member_removed | success | root | bob | wheel |  | privileged_group
            linux.user_management | group_member_added | success | root | bob,eve | wheel |  | privileged_group
            linux.user_management | user_changed | success |  | bob |  |  | 
            linux.user_management | user_changed | success |  | bob |  |  | 
            linux.user_management |  |  |  |  |  |  | "#]]
        .assert_eq(&out.join("\n"));
    }
}
