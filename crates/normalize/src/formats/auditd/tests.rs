use expect_test::expect;
use panoptes_model::Value;
use proptest::prelude::*;

use super::*;
use crate::formats::tests::{check, fields, normalize, value};

/// Every value of a field of `line`.
fn values(line: &str, name: &str) -> Vec<String> {
    let batch = normalize(line.as_bytes());
    let found = batch.event(0).unwrap().get_named(name);
    found.map_or_else(Vec::new, |it| it.each().map(|it| it.to_text().into_owned()).collect())
}

#[test]
fn the_lines_of_a_started_program_are_one_event() {
    check(
        KIND.example,
        expect![[r#"
            2024-01-15T10:30:00.123Z
            event.kind: event
            event.dataset: linux.auditd
            event.category: process
            event.type: start
            event.action: process_started
            event.outcome: success
            event.module: auditd
            event.id: 1705314600.123:456
            event.sequence: 456
            process.executable: /usr/bin/id
            process.name: id
            process.working_directory: /home/bob
            process.tty.name: pts0
            process.pid: 42
            process.parent.pid: 41
            process.command_line: id -u
            process.args: id,-u
            user.id: 1000
            user.name: bob
            user.audit.id: 1000
            user.audit.name: bob
            user.effective.id: 0
            user.effective.name: root
            auditd.data.type: SYSCALL,EXECVE,CWD,PATH,PROCTITLE
            auditd.data.arch: c000003e
            auditd.data.syscall: 59
            auditd.data.success: yes
            auditd.data.exit: 0
            auditd.data.a0: 55d0,id
            auditd.data.a1: 55d1,-u
            auditd.data.ppid: 41
            auditd.data.pid: 42
            auditd.data.auid: 1000
            auditd.data.uid: 1000
            auditd.data.euid: 0
            auditd.data.tty: pts0
            auditd.data.ses: 3
            auditd.data.comm: id
            auditd.data.exe: /usr/bin/id
            auditd.data.key: exec
            auditd.data.ARCH: x86_64
            auditd.data.SYSCALL: execve
            auditd.data.AUID: bob
            auditd.data.UID: bob
            auditd.data.EUID: root
            auditd.data.argc: 2
            auditd.data.cwd: /home/bob
            auditd.data.item: 0
            auditd.data.name: /usr/bin/id
            auditd.data.inode: 7
            auditd.data.nametype: NORMAL
            auditd.data.proctitle: id -u
            panoptes.format: auditd
            message: type=SYSCALL msg=audit(1705314600.123:456): arch=c000003e syscall=59 success=yes exit=0 a0=55d0 a1=55d1 ppid=41 pid=42 auid=1000 uid=1000 euid=0 tty=pts0 ses=3 comm="id" exe="/usr/bin/id" key="exec"ARCH=x86_64 SYSCALL=execve AUID="bob" UID="bob" EUID="root"
            type=EXECVE msg=audit(1705314600.123:456): argc=2 a0="id" a1=2D75
            type=CWD msg=audit(1705314600.123:456): cwd="/home/bob"
            type=PATH msg=audit(1705314600.123:456): item=0 name="/usr/bin/id" inode=7 nametype=NORMAL
            type=PROCTITLE msg=audit(1705314600.123:456): proctitle=6964002D75
        "#]],
    );
}

#[test]
fn a_login_is_about_who_logs_in() {
    check(
        "node=web1 type=USER_LOGIN msg=audit(1705314600.123:456): pid=12 uid=0 auid=4294967295 ses=4294967295 subj=unconfined msg='op=login acct=\"bob\" exe=\"/usr/sbin/sshd\" hostname=? addr=203.0.113.9 terminal=ssh res=failed'\u{1d}UID=\"root\" AUID=\"unset\"",
        expect![[r#"
            2024-01-15T10:30:00.123Z
            event.kind: event
            event.dataset: linux.auditd
            event.category: authentication
            event.type: start
            event.action: user_login
            event.outcome: failure
            event.module: auditd
            event.id: 1705314600.123:456
            event.sequence: 456
            host.name: web1
            process.executable: /usr/sbin/sshd
            process.pid: 12
            user.name: bob
            source.ip: 203.0.113.9
            auditd.data.type: USER_LOGIN
            auditd.data.pid: 12
            auditd.data.uid: 0
            auditd.data.auid: 4294967295
            auditd.data.ses: 4294967295
            auditd.data.subj: unconfined
            auditd.data.op: login
            auditd.data.acct: bob
            auditd.data.exe: /usr/sbin/sshd
            auditd.data.hostname: ?
            auditd.data.addr: 203.0.113.9
            auditd.data.terminal: ssh
            auditd.data.res: failed
            auditd.data.UID: root
            auditd.data.AUID: unset
            panoptes.format: auditd
            message: node=web1 type=USER_LOGIN msg=audit(1705314600.123:456): pid=12 uid=0 auid=4294967295 ses=4294967295 subj=unconfined msg='op=login acct="bob" exe="/usr/sbin/sshd" hostname=? addr=203.0.113.9 terminal=ssh res=failed'UID="root" AUID="unset"
        "#]],
    );
    let nobody = "type=USER_LOGIN msg=audit(1705314600.123:456): pid=1 uid=0 msg='op=login acct=28756E6B6E6F776E207573657229 exe=\"/usr/sbin/sshd\" hostname=h.example addr=? terminal=ssh res=failed'";
    assert_eq!(value(nobody, "user.name"), "");
    assert_eq!(value(nobody, "auditd.data.acct"), "(unknown user)");
    assert_eq!(value(nobody, "source.address"), "h.example");
    assert_eq!(value(nobody, "user.id"), "", "the number is the service's");
}

#[test]
fn a_new_user_is_the_target_of_who_made_it() {
    let line = "type=ADD_USER msg=audit(1705314600.123:456): pid=9 uid=0 auid=1000 ses=1 msg='op=adding user id=1001 exe=\"/usr/sbin/useradd\" hostname=h addr=? terminal=pts/0 res=success'\u{1d}UID=\"root\" AUID=\"bob\" ID=\"mallory\"";
    let get = |name| value(line, name);
    assert_eq!((get("user.name"), get("user.target.name")), ("root".into(), "mallory".into()));
    assert_eq!((get("user.target.id"), get("user.audit.name")), ("1001".into(), "bob".into()));
    assert_eq!((get("event.action"), get("event.outcome")), ("user_added".into(), "success".into()));
    assert_eq!(get("process.tty.name"), "pts/0");
}

const CONNECT: &str = "type=SYSCALL msg=audit(1705314600.123:456): arch=c000003e syscall=42 success=no exit=-115 a0=3 a1=7ffc a2=10 a3=0 items=0 ppid=1 pid=77 auid=1000 uid=33 gid=33 comm=\"curl\" exe=\"/usr/bin/curl\" key=(null)\n\
    type=SOCKADDR msg=audit(1705314600.123:456): saddr=02000050C00002010000000000000000\n\
    type=PROCTITLE msg=audit(1705314600.123:456): proctitle=6375726C0068747470733A2F2F782F";

#[test]
fn a_connection_has_its_other_end() {
    check(
        CONNECT,
        expect![[r#"
            2024-01-15T10:30:00.123Z
            event.kind: event
            event.dataset: linux.auditd
            event.category: network
            event.type: connection,start
            event.action: network_connected
            event.outcome: unknown
            event.module: auditd
            event.id: 1705314600.123:456
            event.sequence: 456
            process.executable: /usr/bin/curl
            process.name: curl
            process.pid: 77
            process.parent.pid: 1
            process.command_line: curl https://x/
            user.id: 33
            user.audit.id: 1000
            group.id: 33
            destination.ip: 192.0.2.1
            destination.port: 80
            network.direction: egress
            panoptes.auditd.initiated: true
            auditd.data.type: SYSCALL,SOCKADDR,PROCTITLE
            auditd.data.arch: c000003e
            auditd.data.syscall: 42
            auditd.data.success: no
            auditd.data.exit: -115
            auditd.data.a0: 3
            auditd.data.a1: 7ffc
            auditd.data.a2: 10
            auditd.data.a3: 0
            auditd.data.items: 0
            auditd.data.ppid: 1
            auditd.data.pid: 77
            auditd.data.auid: 1000
            auditd.data.uid: 33
            auditd.data.gid: 33
            auditd.data.comm: curl
            auditd.data.exe: /usr/bin/curl
            auditd.data.key: (null)
            auditd.data.saddr: 02000050C00002010000000000000000
            auditd.data.proctitle: curl https://x/
            auditd.data.SYSCALL: connect
            auditd.data.saddr_fam: inet
            auditd.data.laddr: 192.0.2.1
            auditd.data.lport: 80
            panoptes.format: auditd
            message: type=SYSCALL msg=audit(1705314600.123:456): arch=c000003e syscall=42 success=no exit=-115 a0=3 a1=7ffc a2=10 a3=0 items=0 ppid=1 pid=77 auid=1000 uid=33 gid=33 comm="curl" exe="/usr/bin/curl" key=(null)
            type=SOCKADDR msg=audit(1705314600.123:456): saddr=02000050C00002010000000000000000
            type=PROCTITLE msg=audit(1705314600.123:456): proctitle=6375726C0068747470733A2F2F782F
        "#]],
    );
    let accepted = CONNECT.replace("syscall=42 success=no exit=-115", "syscall=288 success=yes exit=4");
    assert_eq!(value(&accepted, "source.ip"), "192.0.2.1");
    assert_eq!(value(&accepted, "network.direction"), "ingress");
    let local = CONNECT.replace("02000050C00002010000000000000000", "01002F72756E2F780000");
    assert_eq!(value(&local, "event.category"), "process");
    assert_eq!(value(&local, "auditd.data.path"), "/run/x");
    let refused = CONNECT.replace("exit=-115", "exit=-111");
    assert_eq!((value(&refused, "event.type"), value(&refused, "event.outcome")), ("info".into(), "failure".into()));
    let enriched = CONNECT
        .replace("0000000000000000\n", "0000000000000000\u{1d}SADDR={ saddr_fam=inet laddr=192.0.2.1 lport=80 }\n");
    assert_eq!(values(&enriched, "auditd.data.laddr"), ["192.0.2.1"]);
}

#[test]
fn a_file_that_is_new_is_the_one_that_the_event_is_about() {
    let line = "type=SYSCALL msg=audit(1705314600.123:456): arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c ppid=1 pid=7 uid=0 comm=\"sh\" exe=\"/bin/dash\" key=FF6162\n\
        type=CWD msg=audit(1705314600.123:456): cwd=\"/etc\"\n\
        type=PATH msg=audit(1705314600.123:456): item=0 name=\"cron.d/\" nametype=PARENT\n\
        type=PATH msg=audit(1705314600.123:456): item=1 name=63726F6E2E642F6120C3A9 nametype=CREATE";
    let get = |name| value(line, name);
    assert_eq!(get("file.path"), "/etc/cron.d/a é");
    assert_eq!(get("file.name"), "a é");
    assert_eq!((get("event.category"), get("event.type")), ("file".into(), "creation".into()));
    assert_eq!(values(line, "auditd.data.name"), ["cron.d/", "cron.d/a é"]);
    assert_eq!(values(line, "auditd.data.nametype"), ["PARENT", "CREATE"]);
    assert_eq!(get("auditd.data.SYSCALL"), "openat");
    assert_eq!(get("auditd.data.key"), "\u{fffd}ab");
    let failed = line.replace("success=yes exit=3", "success=no exit=-13");
    assert_eq!((value(&failed, "event.type"), value(&failed, "file.path")), ("info".into(), "/etc/cron.d/a é".into()));
    let deleted = line.replace("syscall=257", "syscall=263").replace("CREATE", "DELETE");
    assert_eq!(value(&deleted, "event.action"), "file_deleted");
}

#[test]
fn long_arguments_come_in_pieces_and_in_hexadecimal() {
    let line = "type=EXECVE msg=audit(1705314600.123:456): argc=4 a0=\"sh\" a1=2D63 a2_len=12 a2[0]=6563686F20 a2[1]=C3\n\
        type=EXECVE msg=audit(1705314600.123:456): a2[2]=A9 a3=\"x\"";
    assert_eq!(value(line, "process.command_line"), "sh -c echo é x");
    assert_eq!(values(line, "process.args"), ["sh", "-c", "echo é", "x"]);
    assert_eq!(values(line, "auditd.data.a2"), ["echo é"]);
    assert_eq!(value(line, "auditd.data.a2_len"), "12");
    assert_eq!(value(line, "panoptes.anomaly"), "");
    assert_eq!(value(&line.replace("argc=4", "argc=9"), "panoptes.anomaly"), "truncated");
}

#[test]
fn what_a_call_and_a_program_were_given_stand_side_by_side() {
    assert_eq!(values(KIND.example, "auditd.data.a1"), ["55d1", "-u"]);
    assert_eq!(values(KIND.example, "auditd.data.type"), ["SYSCALL", "EXECVE", "CWD", "PATH", "PROCTITLE"]);
}

#[test]
fn a_program_that_was_not_started_is_none() {
    let line = KIND.example.lines().next().unwrap().replace("success=yes exit=0", "success=no exit=-2");
    assert_eq!(value(&line, "event.type"), "info");
    assert_eq!(value(&line, "event.outcome"), "failure");
    let alone = KIND.example.lines().nth(1).unwrap();
    assert_eq!(value(alone, "event.type"), "start", "the arguments alone are told only if it was");
    assert_eq!(value(alone, "process.command_line"), "id -u");
}

#[test]
fn several_keys_are_a_list() {
    let line = "type=SYSCALL msg=audit(1705314600.123:456): arch=c000003e syscall=2 success=yes key=6101620163";
    assert_eq!(values(line, "auditd.data.key"), ["a", "b", "c"]);
}

#[test]
fn access_decisions_are_read() {
    let line = "type=AVC msg=audit(1705314600.123:456): avc:  denied  { read write } for  pid=7 comm=\"cat\" name=\"shadow\" scontext=u:r:t:s0 tclass=file permissive=0";
    assert_eq!(value(line, "auditd.data.seperms"), "read write");
    assert_eq!(
        (value(line, "event.action"), value(line, "event.outcome")),
        ("access_decided".into(), "failure".into())
    );
    let kernel = "Jan 15 10:30:00 h kernel: [   12.345678] audit: type=1400 audit(1705314600.123:45): apparmor=\"DENIED\" operation=\"open\" profile=\"/usr/sbin/x\" name=\"/etc/y\" pid=8 comm=\"x\" fsuid=0";
    assert_eq!(value(kernel, "event.outcome"), "failure");
    assert_eq!(
        (value(kernel, "auditd.data.type"), value(kernel, "event.dataset")),
        ("AVC".into(), "linux.auditd".into())
    );
    assert_eq!((value(kernel, "host.name"), value(kernel, "process.name")), ("h".into(), "x".into()));
}

#[test]
fn records_come_through_syslog_and_journald() {
    let line = "<13>Jan 15 10:30:01 relay audispd[9]: node=web1 type=SYSCALL msg=audit(1705314600.123:456): arch=c000003e syscall=59 success=yes pid=7 uid=0 exe=\"/bin/ls\"\n\
        <13>Jan 15 10:30:01 relay audispd[9]: node=web1 type=EXECVE msg=audit(1705314600.123:456): argc=1 a0=\"ls\"";
    check(
        line,
        expect![[r#"
        2024-01-15T10:30:00.123Z
        log.syslog.priority: 13
        log.syslog.facility.code: 1
        log.syslog.facility.name: user
        log.syslog.severity.code: 5
        log.syslog.severity.name: notice
        log.level: notice
        log.syslog.hostname: relay
        log.syslog.appname: audispd
        event.kind: event
        event.dataset: linux.auditd
        event.category: process
        event.type: start
        event.action: process_started
        event.outcome: success
        event.module: auditd
        event.id: 1705314600.123:456
        event.sequence: 456
        host.name: web1
        process.executable: /bin/ls
        process.pid: 7
        process.command_line: ls
        process.args: ls
        user.id: 0
        user.name: root
        auditd.data.type: SYSCALL,EXECVE
        auditd.data.arch: c000003e
        auditd.data.syscall: 59
        auditd.data.success: yes
        auditd.data.pid: 7
        auditd.data.uid: 0
        auditd.data.exe: /bin/ls
        auditd.data.argc: 1
        auditd.data.a0: ls
        auditd.data.SYSCALL: execve
        message: node=web1 type=SYSCALL msg=audit(1705314600.123:456): arch=c000003e syscall=59 success=yes pid=7 uid=0 exe="/bin/ls"
        <13>Jan 15 10:30:01 relay audispd[9]: node=web1 type=EXECVE msg=audit(1705314600.123:456): argc=1 a0="ls"
        panoptes.format: syslog_rfc3164
        panoptes.anomaly: year_inferred
    "#]],
    );
    let journal = "Jan 15 10:30:00 h audit[42]: USER_CMD pid=42 uid=1000 auid=1000 msg='cwd=\"/root\" cmd=6C73202D6C terminal=pts/0 res=success'";
    assert_eq!(value(journal, "process.command_line"), "ls -l");
    assert_eq!(value(journal, "process.working_directory"), "/root");
    assert_eq!(value(journal, "event.action"), "user_command");
    assert_eq!(value("Jan 15 10:30:00 h audit[42]: said nothing", "event.dataset"), "linux.syslog");
}

#[test]
fn interpreted_records_are_read_as_far_as_they_can_be() {
    let line = "type=PROCTITLE msg=audit(01/15/24 10:30:00.123:456) : proctitle=dd if=/dev/zero of=x\n\
        type=SYSCALL msg=audit(01/15/24 10:30:00.123:456) : arch=x86_64 syscall=execve success=yes exit=0 ppid=1 pid=7 auid=bob uid=bob comm=dd exe=/usr/bin/dd key=cafe";
    assert!(fields(line).starts_with("2024-01-15T10:30:00.123Z\n"), "{}", fields(line));
    assert_eq!((value(line, "user.name"), value(line, "user.id")), ("bob".into(), String::new()));
    assert_eq!(value(line, "process.command_line"), "dd if=/dev/zero of=x");
    assert_eq!(value(line, "auditd.data.key"), "cafe", "no hexadecimal here");
}

#[test]
fn damage_is_told_and_nothing_is_lost() {
    let torn = "type=EXECVE msg=audit(1705314600.123:456): argc=1 a0=\"rm -rf";
    assert_eq!(
        (value(torn, "process.command_line"), value(torn, "panoptes.anomaly")),
        ("rm -rf".into(), "truncated".into())
    );
    let foreign =
        "type=CWD msg=audit(1705314600.123:456): cwd=\"/\"\nsomething else\ntype=CWD msg=audit(1.2:3): cwd=\"/b\"";
    assert_eq!(value(foreign, "panoptes.anomaly"), "syntax_invalid");
    assert_eq!(values(foreign, "auditd.data.cwd"), ["/", "/b"]);
    assert_eq!(value("type=CWD msg=audit(x.y:3): cwd=\"/\"", "panoptes.anomaly"), "time_missing,time_invalid");
    assert_eq!(value("type=CWD msg=audit(1705314600.123): cwd=\"/\"", "event.dataset"), "keyvalue");
    assert_eq!(value("type=WHAT_IS_IT msg=audit(1705314600.123:4): a=b", "event.action"), "what_is_it");
}

#[test]
fn pairs_lines_and_argument_fields_are_bounded() {
    let pairs: String = (0..3_000).map(|n| format!(" k{n}=1")).collect();
    let line = format!("type=X msg=audit(1705314600.123:4):{pairs}");
    assert_eq!(value(&line, "panoptes.anomaly"), "fields_too_many");
    let line = "type=X msg=audit(1705314600.123:4): a=b\n".repeat(LINES_MAX + 1);
    assert_eq!(value(&line, "panoptes.anomaly"), "fields_too_many");
    let arguments: String = (0..100).map(|n| format!(" a{n}=\"{n}\"")).collect();
    let line = format!("type=EXECVE msg=audit(1705314600.123:4): argc=100{arguments}");
    assert_eq!((value(&line, "auditd.data.a63"), value(&line, "auditd.data.a64")), ("63".into(), String::new()));
    assert_eq!(values(&line, "process.args").len(), 100);
}

#[test]
fn real_captures_are_read() {
    let corpora = std::env::var_os("PANOPTES_CORPORA").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora"),
        std::path::PathBuf::from,
    );
    let files = [
        "crowdsec-hub/tests/auditd-suid-crash/auditd-suid-crash.log",
        "fail2ban/fail2ban/tests/files/logs/selinux-ssh",
    ];
    for file in files {
        let Ok(text) = std::fs::read_to_string(corpora.join(file)) else {
            assert!(std::env::var_os("CI").is_none(), "{file} is missing");
            eprintln!("skipped: {file} is missing");
            continue;
        };
        for line in text.lines().filter(|it| it.starts_with("type=")) {
            assert_eq!(value(line, "event.dataset"), "linux.auditd", "{line}");
            assert_eq!(value(line, "panoptes.anomaly"), "", "{line}");
        }
        if file.contains("suid") {
            let group: Vec<&str> = text.lines().filter(|it| it.contains(":8282)")).collect();
            let joined = group.join("\n");
            assert_eq!(value(&joined, "process.command_line"), "/usr/bin/su --help");
            assert_eq!(
                (value(&joined, "user.name"), value(&joined, "user.effective.name")),
                ("bui".into(), "root".into())
            );
            assert_eq!(value(&joined, "auditd.data.key"), "priv_esc");
        }
    }
}

proptest! {
    #[test]
    fn records_of_words_in_any_order_never_panic(
        words in prop::collection::vec(
            "(type=SYSCALL |type=EXECVE |type=PATH |type=SOCKADDR |msg=audit\\(|1705314600\\.1:2|\\): |a0=|a1\\[0\\]=|6162|\"|'|\\{|\\}|\u{1d}|saddr=0200|UID=|é|\n|name=|nametype=CREATE |cwd=| )",
            0..24,
        ),
    ) {
        let line = format!("type=SYSCALL msg=audit(1705314600.1:2): {}", words.concat());
        let batch = normalize(line.as_bytes());
        prop_assert_eq!(batch.len(), 1);
        prop_assert!(matches!(batch.event(0).unwrap().get_named("event.dataset"), Some(Value::Text("linux.auditd"))));
    }
}
