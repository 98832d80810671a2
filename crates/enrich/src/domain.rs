//! Which part of a domain somebody has registered: by the Public Suffix List, its private part included, so that
//! neighbours at a hoster (`a.github.io`, `b.github.io`) are two.

use std::borrow::Cow;

/// Longer names are no domains.
const DOMAIN_BYTES_MAX: usize = 253;

/// The parts of a domain. Empty where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts<'d> {
    pub(crate) registered: &'d str,
    pub(crate) top_level: &'d str,
    pub(crate) subdomain: &'d str,
}

/// `domain` in lower case and without a dot at its end; `None` if it is none: an address, a label that is empty or too
/// long, or a character that no resolver would take.
pub(crate) fn canonical(domain: &str) -> Option<Cow<'_, str>> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let is_label = |it: &str| {
        !it.is_empty()
            && it.len() <= 63
            && it.chars().all(|c| !c.is_control() && !c.is_whitespace() && !"/:@[]?#\"'<>\\,;()".contains(c))
    };
    if domain.len() > DOMAIN_BYTES_MAX || !domain.split('.').all(is_label) || is_address(domain) {
        return None;
    }
    if domain.bytes().any(|it| it.is_ascii_uppercase()) || !domain.is_ascii() {
        return Some(Cow::Owned(domain.to_lowercase()));
    }
    Some(Cow::Borrowed(domain))
}

/// No top level consists of digits.
fn is_address(domain: &str) -> bool {
    domain.rsplit('.').next().is_some_and(|it| it.bytes().all(|it| it.is_ascii_digit()))
}

/// The parts of a [`canonical`] domain; `None` for one that is only a top level or only a host name.
pub(crate) fn parts(domain: &str) -> Option<Parts<'_>> {
    let registered = psl::domain_str(domain)?;
    let top_level = psl::suffix_str(domain)?;
    let subdomain = domain.strip_suffix(registered)?.strip_suffix('.').unwrap_or("");
    Some(Parts { registered, top_level, subdomain })
}

/// `domain` and everything that it lies below, the longest first.
pub(crate) fn with_parents(domain: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(domain), |it| it.split_once('.').map(|(_, parent)| parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_fall_into_what_was_registered_and_what_lies_below() {
        for (domain, registered, top_level, subdomain) in [
            ("www.example.com", "example.com", "com", "www"),
            ("example.co.uk", "example.co.uk", "co.uk", ""),
            ("a.b.example.co.uk.", "example.co.uk", "co.uk", "a.b"),
            ("EXAMPLE.Com", "example.com", "com", ""),
            ("shop.bob.github.io", "bob.github.io", "github.io", "shop"),
            ("srv1.corp.local", "corp.local", "local", "srv1"),
            ("www.bücher.de", "bücher.de", "de", "www"),
        ] {
            let domain = canonical(domain).unwrap();
            assert_eq!(parts(&domain), Some(Parts { registered, top_level, subdomain }), "{domain}");
        }
    }

    #[test]
    fn what_is_no_domain_has_no_parts() {
        let long = "a.".repeat(200) + "com";
        for domain in ["", ".", "..", "192.0.2.1", "[::1]", "a..b", "a b.com", "x/y.com", &long, &"a".repeat(64)] {
            assert_eq!(canonical(domain), None, "{domain}");
        }
        for domain in ["localhost", "com", "co.uk"] {
            assert_eq!(parts(&canonical(domain).unwrap()), None, "{domain}");
        }
    }

    #[test]
    fn parents_end_with_the_top_level() {
        assert_eq!(with_parents("a.b.c").collect::<Vec<_>>(), ["a.b.c", "b.c", "c"]);
    }
}
