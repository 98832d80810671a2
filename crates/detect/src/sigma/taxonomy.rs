//! The field names that Sigma's own rules use where our events speak ECS.
//!
//! Renaming happens once, when rules are compiled: matching knows ECS names only.

use rsigma_parser::LogSource;

/// W3C names, as rules for `category: webserver` and `category: proxy` use them. What such rules call the query is in
/// practice path and query together, so it is matched against the whole target of the request.
const WEB: &[(&str, &str)] = &[
    ("c-ip", "source.ip"),
    ("c-uri", "url.original"),
    ("c-uri-query", "url.original"),
    ("c-useragent", "user_agent.original"),
    ("cs-bytes", "http.request.bytes"),
    ("cs-host", "url.domain"),
    ("cs-method", "http.request.method"),
    ("cs-referer", "http.request.referrer"),
    ("cs-referrer", "http.request.referrer"),
    ("cs-uri", "url.original"),
    ("cs-uri-query", "url.original"),
    ("cs-uri-stem", "url.path"),
    ("cs-user-agent", "user_agent.original"),
    ("cs-username", "user.name"),
    ("cs-version", "http.version"),
    ("sc-bytes", "http.response.body.bytes"),
    ("sc-status", "http.response.status_code"),
];

/// The ECS name for what a rule with this log source calls `name`; `None` if it stays as it is.
pub(crate) fn ecs_name(source: &LogSource, name: &str) -> Option<&'static str> {
    let category = source.category.as_deref()?;
    if !["webserver", "proxy"].iter().any(|it| category.eq_ignore_ascii_case(it)) {
        return None;
    }
    WEB.iter().find(|(sigma, _)| sigma.eq_ignore_ascii_case(name)).map(|(_, ecs)| *ecs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_names_become_ecs_only_in_web_rules() {
        let web = LogSource { category: Some("webserver".to_owned()), ..LogSource::default() };
        assert_eq!(ecs_name(&web, "cs-uri-query"), Some("url.original"));
        assert_eq!(ecs_name(&web, "url.path"), None);
        assert_eq!(ecs_name(&LogSource::default(), "cs-uri-query"), None);
    }
}
