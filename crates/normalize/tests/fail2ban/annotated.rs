//! fail2ban's annotated logs as cases.
//!
//! `# failJSON: {…}` says of the line after it whether fail2ban's filter holds it against a host, which, and when it
//! happened. `# filterOptions: […]` says in which modes of the filter that is so. What any mode holds against a host is
//! an attempt; a line counts as innocent only if the widest mode (the default, or `aggressive`) lets it pass.

use std::collections::HashSet;

use serde_json::Value as Json;

/// One annotated line.
pub(crate) struct Case {
    pub(crate) number: usize,
    pub(crate) line: String,
    pub(crate) is_attempt: bool,
    pub(crate) host: Option<String>,
    /// Wall-clock time in fail2ban's own zone, `2005-08-14T12:00:00`.
    pub(crate) time: Option<String>,
}

pub(crate) fn cases(text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut pending: Option<Json> = None;
    let (mut is_widest, mut prefix) = (true, String::new());
    for (index, line) in text.lines().enumerate() {
        if let Some(json) = line.strip_prefix("# failJSON: ") {
            // What follows the object is a remark.
            let object = serde_json::Deserializer::from_str(json).into_iter::<Json>().next();
            let object = object.unwrap_or_else(|| panic!("line {index}: no annotation"));
            pending = Some(object.unwrap_or_else(|error| panic!("line {index}: {error}")));
        } else if let Some(json) = line.strip_prefix("# filterOptions: ") {
            let options: Json = serde_json::from_str(json).unwrap_or_else(|error| panic!("line {index}: {error}"));
            let options = match options {
                Json::Array(options) => options,
                one => vec![one],
            };
            is_widest = options.iter().any(|it| it["mode"].as_str().is_none_or(|mode| mode == "aggressive"));
            prefix = options.iter().find_map(|it| it["test.prefix-line"].as_str()).unwrap_or("").to_owned();
        } else if !line.starts_with('#')
            && !line.trim().is_empty()
            && let Some(json) = pending.take()
        {
            let is_attempt = json["match"].as_bool().unwrap_or(true);
            let not_in_widest =
                !is_widest || json["constraint"].as_str().is_some_and(|it| it.contains("!= 'aggressive'"));
            if !is_attempt && not_in_widest {
                continue;
            }
            cases.push(Case {
                number: index + 1,
                line: format!("{prefix}{line}"),
                is_attempt,
                host: json["host"].as_str().map(str::to_owned),
                time: json["time"].as_str().map(str::to_owned),
            });
        }
    }
    let attempts: HashSet<String> = cases.iter().filter(|it| it.is_attempt).map(|it| it.line.clone()).collect();
    cases.retain(|it| it.is_attempt || !attempts.contains(&it.line));
    cases
}
