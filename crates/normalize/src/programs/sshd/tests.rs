use expect_test::{Expect, expect};

use crate::formats::tests::value;

/// Action, outcome, user, address, port, reason, method.
fn seen(said: &str) -> String {
    let line = format!("Jan 15 10:30:00 h sshd[7]: {said}");
    let names = [
        "event.action",
        "event.outcome",
        "user.name",
        "source.ip",
        "source.address",
        "source.port",
        "event.reason",
        "ssh.method",
    ];
    assert_eq!(value(&line, "event.dataset"), "linux.sshd", "{said}");
    assert_eq!(value(&line, "message"), said);
    names.map(|it| value(&line, it)).into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" | ")
}

#[track_caller]
fn check(lines: &[&str], expected: Expect) {
    let out: Vec<_> = lines.iter().map(|it| seen(it)).collect();
    expected.assert_eq(&out.join("\n"));
}

#[test]
fn attempts_to_log_in_are_counted_once() {
    check(
        &[
            "Failed password for root from 203.0.113.9 port 4711 ssh2",
            "Failed password for invalid user bob from 203.0.113.9 port 4711 ssh2",
            "Failed password for illegal user bob from 203.0.113.9 port 4711 ssh2",
            "Failed password for invalid user  from 203.0.113.9 port 4711 ssh2",
            "Failed password for root from 2001:db8::7",
            "Failed keyboard-interactive/pam for bob from 203.0.113.9 port 4711 ssh2",
            "Failed publickey for bob from 203.0.113.9 port 4711 ssh2: RSA SHA256:abc",
            "Failed publickey for invalid user bob from 203.0.113.9 port 4711 ssh2: RSA SHA256:abc",
            "Failed none for invalid user bob from 203.0.113.9 port 4711 ssh2",
            "Failed none for bob from 203.0.113.9 port 4711 ssh2",
            "Accepted password for bob from 203.0.113.9 port 4711 ssh2",
            "Accepted publickey for bob from 203.0.113.9 port 4711 ssh2: ED25519 SHA256:abc",
            "Postponed publickey for bob from 203.0.113.9 port 4711 ssh2 [preauth]",
        ],
        expect![[r#"
            ssh_login | failure | root | 203.0.113.9 | 4711 | password
            ssh_login | failure | bob | 203.0.113.9 | 4711 | invalid user | password
            ssh_login | failure | bob | 203.0.113.9 | 4711 | invalid user | password
            ssh_login | failure | 203.0.113.9 | 4711 | invalid user | password
            ssh_login | failure | root | 2001:db8::7 | password
            ssh_login | failure | bob | 203.0.113.9 | 4711 | keyboard-interactive/pam
            ssh_offer | unknown | bob | 203.0.113.9 | 4711 | publickey
            ssh_login | failure | bob | 203.0.113.9 | 4711 | invalid user | publickey
            ssh_preauth | failure | bob | 203.0.113.9 | 4711 | invalid user | none
            ssh_offer | unknown | bob | 203.0.113.9 | 4711 | none
            ssh_login | success | bob | 203.0.113.9 | 4711 | password
            ssh_login | success | bob | 203.0.113.9 | 4711 | publickey
            ssh_offer | unknown | bob | 203.0.113.9 | 4711 | publickey"#]],
    );
}

#[test]
fn hostile_user_names_do_not_move_the_address() {
    check(
        &[
            "Failed password for invalid user a b from 203.0.113.9 port 4711 ssh2",
            "Failed password for invalid user from 198.51.100.1 from 203.0.113.9 port 4711 ssh2",
            "Failed password for invalid user x from 198.51.100.1 port 22 ssh2 from 203.0.113.9 port 4711 ssh2",
            "Failed password for invalid user x from 198.51.100.1 port 22 ssh2: y from 203.0.113.9 port 4711 ssh2",
            "Failed hostbased for bob from 203.0.113.9 port 4711 ssh2: RSA SHA256:abc, client user \"x from 198.51.100.1 port 22 ssh2\", client host \"h\"",
            "Failed publickey for invalid user x from 198.51.100.1 port 22 ssh2: RSA SHA256:a from 203.0.113.9 port 4711 ssh2: RSA SHA256:abc",
            "Invalid user x from 198.51.100.1 port 22 from 203.0.113.9 port 4711",
            "Invalid user x from 198.51.100.1 port 22 from 203.0.113.9",
            "error: PAM: Authentication failure for illegal user x from 198.51.100.1 port 22 from 203.0.113.9 via 192.0.2.1",
            "Connection closed by authenticating user x 198.51.100.1 port 22 203.0.113.9 port 4711 [preauth]",
            "Disconnected from invalid user x 198.51.100.1 port 22 203.0.113.9 port 4711 [preauth]",
            "User x from 198.51.100.1 from 203.0.113.9 not allowed because not listed in AllowUsers",
            "Bad protocol version identification 'x' from 198.51.100.1 port 22' from 203.0.113.9 port 4711",
            "Received disconnect from 203.0.113.9 port 4711:11: from 198.51.100.1 port 22 [preauth]",
        ],
        expect![[r#"
            ssh_login | failure | a b | 203.0.113.9 | 4711 | invalid user | password
            ssh_login | failure | from 198.51.100.1 | 203.0.113.9 | 4711 | invalid user | password
            ssh_login | failure | x from 198.51.100.1 port 22 ssh2 | 203.0.113.9 | 4711 | invalid user | password
            ssh_login | failure | x from 198.51.100.1 port 22 ssh2: y | 203.0.113.9 | 4711 | invalid user | password
            ssh_login | failure | bob | 203.0.113.9 | 4711 | hostbased
            ssh_login | failure | x from 198.51.100.1 port 22 ssh2: RSA SHA256:a | 203.0.113.9 | 4711 | invalid user | publickey
            ssh_preauth | failure | x from 198.51.100.1 port 22 | 203.0.113.9 | 4711 | invalid user
            ssh_preauth | failure | x from 198.51.100.1 port 22 | 203.0.113.9 | invalid user
            pam_auth | failure | x from 198.51.100.1 port 22 | 203.0.113.9 | Authentication failure
            ssh_disconnect | failure | x 198.51.100.1 port 22 | 203.0.113.9 | 4711
            ssh_disconnect | failure | x 198.51.100.1 port 22 | 203.0.113.9 | 4711 | invalid user
            ssh_denied | failure | x from 198.51.100.1 | 203.0.113.9 | not listed in AllowUsers
            ssh_probe | failure | 203.0.113.9 | 4711 | bad protocol version
            ssh_disconnect | failure | 203.0.113.9 | 4711 | from 198.51.100.1 port 22"#]],
    );
}

#[test]
fn lines_around_an_attempt_have_actions_of_their_own() {
    check(
        &[
            "Invalid user bob from 203.0.113.9 port 4711",
            "Invalid user  from 203.0.113.9 port 4711",
            "input_userauth_request: invalid user bob [preauth]",
            "error: maximum authentication attempts exceeded for invalid user bob from 203.0.113.9 port 4711 ssh2 [preauth]",
            "Disconnecting invalid user bob 203.0.113.9 port 4711: Too many authentication failures [preauth]",
            "Disconnecting: Too many authentication failures for root [preauth]",
            "Disconnecting invalid user bob 203.0.113.9 port 4711: Change of username or service not allowed: (bob,ssh-connection) -> (eve,ssh-connection) [preauth]",
            "error: PAM: Authentication failure for illegal user bob from host.example",
            "error: PAM: Authentication failure for bob from 203.0.113.9 via 192.0.2.1",
            "User root from 203.0.113.9 not allowed because not listed in AllowUsers",
            "User root not allowed because account is locked",
            "ROOT LOGIN REFUSED FROM 203.0.113.9 port 4711 [preauth]",
            "fatal: Access denied for user bob by PAM account configuration [preauth]",
            "Authentication tried for bob with correct key but not from a permitted host (host=h.example, ip=203.0.113.9).",
            "fatal: Timeout before authentication for 203.0.113.9 port 4711",
            "Timeout before authentication for connection from 203.0.113.9 to 192.0.2.1, pid = 7",
            "refused connect from h.example (::ffff:203.0.113.9)",
        ],
        expect![[r#"
            ssh_preauth | failure | bob | 203.0.113.9 | 4711 | invalid user
            ssh_preauth | failure | 203.0.113.9 | 4711 | invalid user
            ssh_preauth | bob | invalid user
            ssh_attempts_exceeded | failure | bob | 203.0.113.9 | 4711 | maximum authentication attempts exceeded
            ssh_disconnect | bob | 203.0.113.9 | 4711 | Too many authentication failures
            ssh_attempts_exceeded | failure | root | too many authentication failures
            ssh_disconnect | failure | bob | 203.0.113.9 | 4711 | Change of username or service not allowed: (bob,ssh-connection) -> (eve,ssh-connection)
            pam_auth | failure | bob | host.example | Authentication failure
            pam_auth | failure | bob | 203.0.113.9 | Authentication failure
            ssh_denied | failure | root | 203.0.113.9 | not listed in AllowUsers
            ssh_denied | root | account is locked
            ssh_denied | failure | root | 203.0.113.9 | 4711 | root login refused
            ssh_denied | failure | bob | PAM account configuration
            ssh_denied | failure | bob | 203.0.113.9 | host not permitted
            ssh_preauth | failure | 203.0.113.9 | 4711 | timeout
            ssh_preauth | failure | 203.0.113.9 | timeout
            ssh_denied | failure | 203.0.113.9 | refused by tcp wrappers"#]],
    );
}

#[test]
fn connections_come_and_go() {
    check(
        &[
            "Connection from 203.0.113.9 port 4711 on 192.0.2.1 port 22 rdomain \"\"",
            "Connection closed by 203.0.113.9 port 4711 [preauth]",
            "Connection closed by 203.0.113.9",
            "Connection closed by invalid user  203.0.113.9 port 4711 [preauth]",
            "Connection reset by authenticating user root 203.0.113.9 port 4711 [preauth]",
            "Disconnected from user bob 203.0.113.9 port 4711",
            "Received disconnect from 203.0.113.9 port 4711:11: disconnected by user",
            "Received disconnect from 203.0.113.9: 11: Bye Bye [preauth]",
            "error: Received disconnect from 203.0.113.9: 3: com.jcraft.jsch.JSchException: Auth fail",
            "fatal: Read from socket failed: Connection reset by peer [preauth]",
            "Starting session: shell on pts/0 for bob from 203.0.113.9 port 4711 id 0",
            "Close session: user bob from 203.0.113.9 port 4711 id 0",
            "drop connection #10 from [203.0.113.9]:4711 on [192.0.2.1]:22 past MaxStartups",
            "drop connection #0 from [2001:db8::7]:4711 on [2001:db8::1]:22 penalty: failed authentication",
        ],
        expect![[r#"
            ssh_connect | 203.0.113.9 | 4711
            ssh_disconnect | failure | 203.0.113.9 | 4711
            ssh_disconnect | 203.0.113.9
            ssh_disconnect | failure | 203.0.113.9 | 4711 | invalid user
            ssh_disconnect | failure | root | 203.0.113.9 | 4711
            ssh_disconnect | bob | 203.0.113.9 | 4711
            ssh_disconnect | 203.0.113.9 | 4711 | disconnected by user
            ssh_disconnect | failure | 203.0.113.9 | Bye Bye
            ssh_disconnect | failure | 203.0.113.9 | com.jcraft.jsch.JSchException: Auth fail
            ssh_disconnect | failure | Read from socket failed: Connection reset by peer
            ssh_session | success | bob | 203.0.113.9 | 4711
            ssh_session | bob | 203.0.113.9 | 4711
            ssh_dropped | failure | 203.0.113.9 | 4711 | MaxStartups
            ssh_dropped | failure | 2001:db8::7 | 4711 | failed authentication"#]],
    );
}

#[test]
fn whoever_speaks_no_ssh_is_probing() {
    check(
        &[
            "Did not receive identification string from 203.0.113.9 port 4711",
            "Bad protocol version identification 'GET / HTTP/1.1' from 203.0.113.9 port 4711",
            "banner exchange: Connection from 203.0.113.9 port 4711: invalid format",
            "error: kex_exchange_identification: client sent invalid protocol identifier \"\"",
            "error: kex_exchange_identification: Connection closed by remote host",
            "Unable to negotiate with 203.0.113.9 port 4711: no matching key exchange method found. Their offer: diffie-hellman-group1-sha1 [preauth]",
            "fatal: Unable to negotiate a key exchange method [preauth]",
            "ssh_dispatch_run_fatal: Connection from 203.0.113.9 port 4711: message authentication code incorrect [preauth]",
            "reverse mapping checking getaddrinfo for h.example [203.0.113.9] failed - POSSIBLE BREAK-IN ATTEMPT!",
            "Address 203.0.113.9 maps to h.example, but this does not map back to the address",
        ],
        expect![[r#"
            ssh_probe | failure | 203.0.113.9 | 4711 | no identification
            ssh_probe | failure | 203.0.113.9 | 4711 | bad protocol version
            ssh_probe | failure | 203.0.113.9 | 4711 | invalid format
            ssh_probe | failure | client sent invalid protocol identifier ""
            ssh_probe | Connection closed by remote host
            ssh_negotiation | failure | 203.0.113.9 | 4711 | no matching key exchange method found
            ssh_negotiation | failure | Unable to negotiate a key exchange method
            ssh_disconnect | failure | 203.0.113.9 | 4711 | message authentication code incorrect
            ssh_reverse_mapping | 203.0.113.9
            ssh_reverse_mapping | 203.0.113.9"#]],
    );
}

#[test]
fn the_newer_processes_of_openssh_are_sshd_too() {
    for name in ["sshd-session", "sshd-auth", "/usr/sbin/sshd"] {
        let line = format!("Jan 15 10:30:00 h {name}[7]: Failed password for root from 203.0.113.9 port 4711 ssh2");
        assert_eq!(value(&line, "event.action"), "ssh_login");
    }
    let line = "Jan 15 10:30:00 h sshd[7]: [ID 800047 auth.info] Failed keyboard-interactive for bob from 203.0.113.9 port 4711 ssh2";
    assert_eq!(value(line, "event.outcome"), "failure");
    assert_eq!(value(line, "log.level"), "info");
}
