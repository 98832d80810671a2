//! What a record of the audit log says that happened, in the words that rules match on.

use crate::fact::{Fact, Words};

const fn fact(category: Words, kind: Words, action: &'static str) -> Fact {
    Fact { category, kind, action, outcome: None }
}

const INFO: Words = &["info"];
const CHANGE: Words = &["change"];
const ACCESS: Words = &["access"];

/// The names of the record types that the kernel gives by number.
pub(super) fn type_name(kind: &str) -> &str {
    match kind {
        "1006" => "LOGIN",
        "1100" => "USER_AUTH",
        "1101" => "USER_ACCT",
        "1105" => "USER_START",
        "1106" => "USER_END",
        "1107" => "USER_AVC",
        "1112" => "USER_LOGIN",
        "1123" => "USER_CMD",
        "1130" => "SERVICE_START",
        "1131" => "SERVICE_STOP",
        "1300" => "SYSCALL",
        "1302" => "PATH",
        "1305" => "CONFIG_CHANGE",
        "1306" => "SOCKADDR",
        "1307" => "CWD",
        "1309" => "EXECVE",
        "1317" => "FD_PAIR",
        "1318" => "OBJ_PID",
        "1319" => "TTY",
        "1320" => "EOE",
        "1325" => "NETFILTER_CFG",
        "1326" => "SECCOMP",
        "1327" => "PROCTITLE",
        "1330" => "KERN_MODULE",
        "1331" => "FANOTIFY",
        "1334" => "BPF",
        "1335" => "EVENT_LISTENER",
        "1336" => "URINGOP",
        "1337" => "OPENAT2",
        "1400" => "AVC",
        "1403" => "MAC_POLICY_LOAD",
        "1404" => "MAC_STATUS",
        "1405" => "MAC_CONFIG_CHANGE",
        "1700" => "ANOM_PROMISCUOUS",
        "1701" => "ANOM_ABEND",
        "1702" => "ANOM_LINK",
        "1703" => "ANOM_CREAT",
        "2000" => "KERNEL",
        other => other,
    }
}

/// What a system call does, as far as its name tells. Whether it succeeded is told apart from it.
pub(super) fn of_syscall(name: &str) -> Fact {
    const PROCESS: Words = &["process"];
    const FILE: Words = &["file"];
    const NETWORK: Words = &["network"];
    match name {
        "execve" | "execveat" => fact(PROCESS, &["start"], "process_started"),
        "fork" | "vfork" | "clone" | "clone3" => fact(PROCESS, INFO, "process_forked"),
        "exit" | "exit_group" => fact(PROCESS, &["end"], "process_ended"),
        "kill" | "tkill" | "tgkill" | "rt_sigqueueinfo" | "rt_tgsigqueueinfo" | "pidfd_send_signal" => {
            fact(PROCESS, INFO, "process_signalled")
        }
        "ptrace" | "process_vm_readv" | "process_vm_writev" => fact(PROCESS, ACCESS, "process_traced"),
        "setuid" | "setgid" | "setreuid" | "setregid" | "setresuid" | "setresgid" | "setfsuid" | "setfsgid"
        | "capset" => fact(PROCESS, CHANGE, "privileges_changed"),
        "connect" => fact(NETWORK, &["connection", "start"], "network_connected"),
        "accept" | "accept4" => fact(NETWORK, &["connection", "start"], "network_accepted"),
        "bind" | "listen" => fact(NETWORK, INFO, "network_listening"),
        "sendto" | "sendmsg" | "sendmmsg" => fact(NETWORK, INFO, "network_sent"),
        "recvfrom" | "recvmsg" | "recvmmsg" => fact(NETWORK, INFO, "network_received"),
        "socket" | "socketpair" | "socketcall" => fact(NETWORK, INFO, "socket_made"),
        "open" | "openat" | "openat2" | "open_by_handle_at" | "read" | "readlink" | "readlinkat" | "access"
        | "faccessat" | "faccessat2" | "stat" | "lstat" | "newfstatat" | "statx" => fact(FILE, ACCESS, "file_opened"),
        "creat" | "mkdir" | "mkdirat" | "mknod" | "mknodat" | "link" | "linkat" | "symlink" | "symlinkat" => {
            fact(FILE, &["creation"], "file_created")
        }
        "unlink" | "unlinkat" | "rmdir" => fact(FILE, &["deletion"], "file_deleted"),
        "rename" | "renameat" | "renameat2" => fact(FILE, CHANGE, "file_renamed"),
        "chmod" | "fchmod" | "fchmodat" | "fchmodat2" => fact(FILE, CHANGE, "file_permissions_changed"),
        "chown" | "fchown" | "lchown" | "fchownat" => fact(FILE, CHANGE, "file_owner_changed"),
        "write" | "pwrite64" | "writev" | "truncate" | "ftruncate" | "fallocate" => fact(FILE, CHANGE, "file_written"),
        "setxattr" | "lsetxattr" | "fsetxattr" | "setxattrat" | "removexattr" | "lremovexattr" | "fremovexattr"
        | "removexattrat" | "utime" | "utimes" | "utimensat" | "futimesat" => {
            fact(FILE, CHANGE, "file_attributes_changed")
        }
        "mount" | "umount" | "umount2" | "fsmount" | "move_mount" | "pivot_root" => {
            fact(FILE, CHANGE, "mounts_changed")
        }
        "init_module" | "finit_module" | "create_module" => fact(&["driver"], &["start"], "module_loaded"),
        "delete_module" => fact(&["driver"], &["end"], "module_unloaded"),
        "settimeofday" | "clock_settime" | "adjtimex" | "clock_adjtime" | "stime" => {
            fact(&["configuration"], CHANGE, "time_changed")
        }
        "sethostname" | "setdomainname" => fact(&["configuration"], CHANGE, "host_name_changed"),
        _ => fact(PROCESS, INFO, "system_call"),
    }
}

/// What a record of this type says, if it is no part of a system call.
pub(super) fn of_type(kind: &str) -> Option<Fact> {
    const AUTHENTICATION: Words = &["authentication"];
    const HOST: Words = &["host"];
    Some(match kind {
        "USER_AUTH" => fact(AUTHENTICATION, &["start"], "user_authentication"),
        "USER_LOGIN" => fact(AUTHENTICATION, &["start"], "user_login"),
        "USER_ACCT" => fact(AUTHENTICATION, INFO, "account_checked"),
        "USER_ERR" => fact(AUTHENTICATION, INFO, "authentication_error"),
        "CRED_ACQ" | "CRED_REFR" => fact(AUTHENTICATION, INFO, "credentials_acquired"),
        "CRED_DISP" => fact(AUTHENTICATION, INFO, "credentials_disposed"),
        "ANOM_LOGIN_FAILURES"
        | "ANOM_LOGIN_TIME"
        | "ANOM_LOGIN_SESSIONS"
        | "ANOM_LOGIN_LOCATION"
        | "ANOM_LOGIN_ACCT" => fact(AUTHENTICATION, INFO, "login_anomaly"),
        "USER_START" => fact(&["session"], &["start"], "session_opened"),
        "USER_END" | "USER_LOGOUT" => fact(&["session"], &["end"], "session_closed"),
        "LOGIN" => fact(&["session"], INFO, "login_id_set"),
        "USER_CHAUTHTOK" => fact(&["iam"], &["user", "change"], "credentials_changed"),
        "ADD_USER" => fact(&["iam"], &["user", "creation"], "user_added"),
        "DEL_USER" => fact(&["iam"], &["user", "deletion"], "user_deleted"),
        "USER_MGMT" | "CHUSER_ID" => fact(&["iam"], &["user", "change"], "user_changed"),
        "ACCT_LOCK" => fact(&["iam"], &["user", "change"], "user_locked"),
        "ACCT_UNLOCK" => fact(&["iam"], &["user", "change"], "user_unlocked"),
        "ADD_GROUP" => fact(&["iam"], &["group", "creation"], "group_added"),
        "DEL_GROUP" => fact(&["iam"], &["group", "deletion"], "group_deleted"),
        "GRP_MGMT" | "CHGRP_ID" => fact(&["iam"], &["group", "change"], "group_changed"),
        "ROLE_ASSIGN" | "ROLE_REMOVE" | "ROLE_MODIFY" | "USER_ROLE_CHANGE" => {
            fact(&["iam"], &["user", "change"], "role_changed")
        }
        "USER_CMD" => fact(&["process"], INFO, "user_command"),
        "TTY" | "USER_TTY" => fact(&["process"], INFO, "keys_typed"),
        "SERVICE_START" => fact(HOST, &["start"], "service_started"),
        "SERVICE_STOP" => fact(HOST, &["end"], "service_stopped"),
        "SYSTEM_BOOT" => fact(HOST, &["start"], "system_booted"),
        "SYSTEM_SHUTDOWN" => fact(HOST, &["end"], "system_stopped"),
        "SYSTEM_RUNLEVEL" => fact(HOST, CHANGE, "run_level_changed"),
        "DAEMON_START" => fact(HOST, &["start"], "audit_started"),
        "DAEMON_END" | "DAEMON_ABORT" | "DAEMON_ERR" => fact(HOST, &["end"], "audit_stopped"),
        "CONFIG_CHANGE" | "FEATURE_CHANGE" | "DAEMON_CONFIG" | "DAEMON_RECONFIG" => {
            fact(&["configuration"], CHANGE, "audit_changed")
        }
        "NETFILTER_CFG" => fact(&["configuration"], CHANGE, "firewall_changed"),
        "TIME_INJOFFSET" | "TIME_ADJNTPVAL" => fact(&["configuration"], CHANGE, "time_changed"),
        "MAC_STATUS"
        | "MAC_POLICY_LOAD"
        | "MAC_CONFIG_CHANGE"
        | "USER_MAC_POLICY_LOAD"
        | "USER_MAC_CONFIG_CHANGE"
        | "USER_SELINUX_ERR" => fact(&["configuration"], CHANGE, "access_policy_changed"),
        "SOFTWARE_UPDATE" => fact(&["package"], &["installation"], "software_updated"),
        "AVC" | "USER_AVC" | "SELINUX_ERR" | "APPARMOR" | "APPARMOR_DENIED" | "APPARMOR_ALLOWED" | "APPARMOR_AUDIT" => {
            fact(&["process"], INFO, "access_decided")
        }
        "SECCOMP" => fact(&["process"], INFO, "seccomp_action"),
        "ANOM_ABEND" => fact(&["process"], &["end"], "process_crashed"),
        "ANOM_PROMISCUOUS" => fact(&["network"], INFO, "promiscuous_mode_changed"),
        "ANOM_LINK" | "ANOM_CREAT" => fact(&["file"], INFO, "file_anomaly"),
        "KERN_MODULE" => fact(&["driver"], &["start"], "module_loaded"),
        "BPF" => fact(&["driver"], INFO, "bpf_program"),
        "CRYPTO_SESSION" | "CRYPTO_KEY_USER" | "CRYPTO_IKE_SA" | "CRYPTO_IPSEC_SA" => {
            fact(&["network"], INFO, "crypto_session")
        }
        "INTEGRITY_DATA" | "INTEGRITY_METADATA" | "INTEGRITY_HASH" | "INTEGRITY_PCR" | "INTEGRITY_RULE"
        | "INTEGRITY_STATUS" => fact(&["file"], INFO, "integrity_checked"),
        "VIRT_CONTROL" | "VIRT_RESOURCE" | "VIRT_MACHINE_ID" => fact(HOST, INFO, "virtual_machine"),
        _ => return None,
    })
}

/// Whether who is named in `acct` or `id` is the one that something is done to.
pub(super) fn has_target(kind: &str) -> bool {
    matches!(
        kind,
        "ADD_USER"
            | "DEL_USER"
            | "USER_MGMT"
            | "ADD_GROUP"
            | "DEL_GROUP"
            | "GRP_MGMT"
            | "USER_CHAUTHTOK"
            | "ACCT_LOCK"
            | "ACCT_UNLOCK"
            | "CHUSER_ID"
            | "CHGRP_ID"
            | "ROLE_ASSIGN"
            | "ROLE_REMOVE"
            | "ROLE_MODIFY"
            | "USER_ROLE_CHANGE"
    )
}

/// Whether it is about a group.
pub(super) fn is_about_group(kind: &str) -> bool {
    matches!(kind, "ADD_GROUP" | "DEL_GROUP" | "GRP_MGMT" | "CHGRP_ID")
}
