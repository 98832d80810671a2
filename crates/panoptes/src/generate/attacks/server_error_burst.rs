//! A web server answers forty visitors in three seconds with server errors.

use super::super::kinds::{AGENTS, Access};
use super::{Attack, Expected};

pub(super) static ATTACK: Attack = Attack {
    title: "burst of server errors",
    // Access logs name no host.
    expected: &[Expected { title: "Many failed requests of one server", about: None }],
    kind: "nginx",
    write: |script, role| {
        let host = role.host;
        for index in 0..40 {
            let access = Access {
                host,
                address: role.cast.visitors[role.rng.usize(0..role.cast.visitors.len())],
                method: if index % 3 == 0 { "POST" } else { "GET" },
                status: [502, 503, 500, 504][index % 4],
                bytes: 157,
                referrer: "https://shop.example.com/",
                agent: AGENTS[index % 6].1,
            };
            let path =
                ["/checkout/confirm", "/api/v1/cart/items", "/api/v1/payments", "/account/orders"][index / 2 % 4];
            script.after(70, |line| {
                access.write(line, |line| {
                    line.text(path);
                })
            });
        }
    },
};

#[cfg(test)]
mod tests {
    use super::super::tests::{check, staged};
    use super::*;

    #[test]
    fn every_answer_is_a_server_error() {
        check(&ATTACK, &[" HTTP/1.1\" 50"], 40);
        assert_eq!(staged(&ATTACK).0.lines().count(), 40);
    }
}
