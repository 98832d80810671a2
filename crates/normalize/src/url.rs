//! The parts of a request's target.

/// A request target: a path with or without a query, a whole URL, or `host:port` of CONNECT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target<'t> {
    pub(crate) scheme: Option<&'t str>,
    pub(crate) domain: Option<&'t str>,
    pub(crate) port: Option<u16>,
    pub(crate) path: Option<&'t str>,
    pub(crate) query: Option<&'t str>,
}

impl<'t> Target<'t> {
    #[inline]
    pub(crate) fn of(text: &'t str) -> Self {
        let mut target = Self::default();
        let mut rest = text;
        if !text.starts_with('/') {
            let Some((scheme, tail)) = text.split_once("://") else { return target };
            let is_scheme =
                |it: &str| (1..=12).contains(&it.len()) && it.bytes().all(|byte| byte.is_ascii_alphabetic());
            if !is_scheme(scheme) {
                return target;
            }
            target.scheme = Some(scheme);
            let end = tail.find(['/', '?', '#']).unwrap_or(tail.len());
            let (authority, path) = tail.split_at(end);
            let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            (target.domain, target.port) = host_and_port(authority);
            rest = path;
        }
        // What follows `#` never reaches a server by the book; attackers send it all the same, as part of the path.
        match rest.split_once('?') {
            Some((path, query)) => (target.path, target.query) = (Some(path), Some(query)),
            None => target.path = Some(rest),
        }
        target.path = target.path.filter(|it| !it.is_empty());
        target.query = target.query.filter(|it| !it.is_empty());
        target
    }
}

/// `host`, `host:port`, `[v6]:port`.
pub(crate) fn host_and_port(text: &str) -> (Option<&str>, Option<u16>) {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && !port.contains(']') && !host.ends_with(':') => {
            (host, port.parse().ok())
        }
        _ => (text, None),
    };
    let host = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
    (Some(host).filter(|it| !it.is_empty()), port)
}

/// The extension of the file that the path names, as proxies log it.
pub(crate) fn extension(path: &str) -> Option<&str> {
    const BYTES_MAX: usize = 16;
    let (stem, extension) = path.rsplit('/').next()?.rsplit_once('.')?;
    let is_one = (1..=BYTES_MAX).contains(&extension.len()) && extension.bytes().all(|it| it.is_ascii_alphanumeric());
    (is_one && !stem.is_empty()).then_some(extension)
}

/// Where `part` lies in `whole`, as byte offsets; `None` if it does not.
pub(crate) fn offsets(whole: &str, part: &str) -> Option<(usize, usize)> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let end = start + part.len();
    (end <= whole.len()).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_fall_into_their_parts() {
        let path = |path| Target { path: Some(path), ..Target::default() };
        assert_eq!(Target::of("/a/b"), path("/a/b"));
        assert_eq!(Target::of("/a?x=1?y"), Target { query: Some("x=1?y"), ..path("/a") });
        assert_eq!(Target::of("//evil.example/x"), path("//evil.example/x"));
        assert_eq!(
            Target::of("http://user@example.com:8080/x?y"),
            Target {
                scheme: Some("http"),
                domain: Some("example.com"),
                port: Some(8080),
                query: Some("y"),
                ..path("/x")
            }
        );
        let bare = Target { scheme: Some("https"), domain: Some("2001:db8::1"), ..Target::default() };
        assert_eq!(Target::of("https://[2001:db8::1]"), bare);
        for text in ["*", "", "example.com:443", "x/../y", "://"] {
            assert_eq!(Target::of(text), Target::default(), "{text}");
        }
    }
}
