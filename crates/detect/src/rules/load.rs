//! Rule files into parsed rules, each with its place.
//!
//! A file is cut into its YAML documents first and each is parsed alone: a broken document costs only itself, and
//! every error knows the lines of its document.

use rsigma_parser::{CorrelationRule, FilterRule, SigmaRule, SourceLocation, parse_sigma_yaml};
use yaml_serde::Value;

use super::error::{Place, RuleError};
use super::{RULE_FILE_BYTES_MAX, RuleFile};

/// How deep brackets may be nested in a document. A deeper one is an error.
const NESTING_MAX: usize = 256;

/// A parsed document.
pub(crate) enum Parsed {
    Event(Box<SigmaRule>),
    Correlation(Box<CorrelationRule>),
    Filter(Box<FilterRule>),
}

/// A parsed document and where it stands.
pub(crate) struct Document {
    pub(crate) place: Place,
    /// For places inside of the document.
    pub(crate) text: String,
    pub(crate) parsed: Parsed,
}

impl Document {
    /// The place of the first line of the document that contains `needle`; of the document if none does.
    pub(crate) fn place_of(&self, needle: &str) -> Place {
        place_of(&self.place, &self.text, needle)
    }
}

fn place_of(place: &Place, text: &str, needle: &str) -> Place {
    let found = text.lines().enumerate().find_map(|(index, line)| Some((index, line.find(needle)?)));
    let Some((index, offset)) = found else { return place.clone() };
    Place { line: place.line.map(|first| first + index as u32), column: Some(offset as u32 + 1), ..place.clone() }
}

/// Parses all documents of all files; what is wrong goes to `errors`.
pub(crate) fn load(files: &[&RuleFile], errors: &mut Vec<RuleError>) -> Vec<Document> {
    let mut documents = Vec::new();
    for file in files {
        load_file(&mut documents, errors, file);
    }
    documents
}

fn load_file(out: &mut Vec<Document>, errors: &mut Vec<RuleError>, file: &RuleFile) {
    let place = |line: Option<u32>| Place { path: file.path.clone(), line, column: None, title: None };
    if file.text.len() > RULE_FILE_BYTES_MAX {
        let reason = format!("the file is larger than {} KiB", RULE_FILE_BYTES_MAX >> 10);
        errors.push(place(None).error(reason, "split it into several files"));
        return;
    }
    let text = file.text.strip_prefix('\u{feff}').unwrap_or(&file.text);
    if text.lines().any(|line| line.starts_with("action:")) {
        // Documents that build on each other (Sigma 1 collections) cannot be parsed one by one.
        load_document(out, errors, &place(Some(1)), text);
        return;
    }
    let before = (out.len(), errors.len());
    for (line, document) in documents_of(text) {
        load_document(out, errors, &place(Some(line)), document);
    }
    if before == (out.len(), errors.len()) {
        errors.push(place(None).error("there is no rule in the file", "write one, or remove the file"));
    }
}

/// The YAML documents of `text` that hold anything, each with the number of its first line.
fn documents_of(text: &str) -> Vec<(u32, &str)> {
    let mut documents = Vec::new();
    let mut start = 0;
    let mut start_line = 1;
    let mut offset = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let content = line.trim_end();
        if content == "---" || content.starts_with("--- ") || content == "..." {
            documents.extend(beginning_of(start_line, text.get(start..offset).unwrap_or_default()));
            // Something may begin on the marker's own line; a comment there is skipped like any other.
            (start, start_line) = match content.strip_prefix("--- ") {
                Some(_) => (offset + "---".len(), index as u32 + 1),
                None => (offset + line.len(), index as u32 + 2),
            };
        }
        offset += line.len();
    }
    documents.extend(beginning_of(start_line, text.get(start..).unwrap_or_default()));
    documents
}

/// `document` from the first line that says something, so that errors do not point at a comment.
fn beginning_of(line: u32, document: &str) -> Option<(u32, &str)> {
    let mut rest = document;
    let mut skipped = 0;
    while let Some((first, after)) = rest.split_once('\n')
        && is_blank(first)
    {
        (rest, skipped) = (after, skipped + 1);
    }
    rest.lines().any(|it| !is_blank(it)).then_some((line + skipped, rest))
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

fn load_document(out: &mut Vec<Document>, errors: &mut Vec<RuleError>, place: &Place, text: &str) {
    let title = text.lines().find_map(|line| line.strip_prefix("title:")).map(clean_title);
    let place = Place { title, ..place.clone() };
    if nesting(text) > NESTING_MAX {
        let reason = format!("it is nested deeper than {NESTING_MAX}");
        errors.push(place.error(reason, "split the condition or the rule"));
        return;
    }
    let collection = match parse_sigma_yaml(text) {
        Ok(collection) => collection,
        Err(error) => {
            errors.push(match yaml_error(&place, text) {
                Some(error) => error,
                None => sigma_error(&place, text, &error.to_string(), error.location()),
            });
            return;
        }
    };
    let loaded = !collection.is_empty();
    if !loaded && let Some(error) = yaml_error(&place, text) {
        errors.push(error);
        return;
    }
    for reason in &collection.errors {
        errors.push(RuleError { loaded, ..sigma_error(&place, text, reason, None) });
    }
    let mut add = |title: &str, parsed: Parsed| {
        let place = Place { title: Some(title.to_owned()), ..place.clone() };
        out.push(Document { place, text: text.to_owned(), parsed });
    };
    for rule in collection.rules {
        add(&rule.title.clone(), Parsed::Event(Box::new(rule)));
    }
    for rule in collection.correlations {
        add(&rule.title.clone(), Parsed::Correlation(Box::new(rule)));
    }
    for filter in collection.filters {
        add(&filter.title.clone(), Parsed::Filter(Box::new(filter)));
    }
}

/// What is wrong with `text` as YAML: only this error knows its line. A stream of documents is not asked.
fn yaml_error(place: &Place, text: &str) -> Option<RuleError> {
    if text.lines().any(|line| line.trim_end() == "---") {
        return None;
    }
    let error = yaml_serde::from_str::<Value>(text).err()?;
    let place = match error.location() {
        Some(location) => Place {
            line: place.line.map(|first| first + (location.line() as u32).saturating_sub(1)),
            column: Some(location.column() as u32),
            ..place.clone()
        },
        None => place.clone(),
    };
    Some(place.error(format!("not YAML: {error}"), "correct the indentation or quote the value"))
}

/// How deep brackets and negations go, at most: the parsers of YAML and of conditions go as deep.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    let mut negations = 0;
    for word in text.split_whitespace() {
        negations = if word.trim_start_matches('(') == "not" { negations + 1 } else { 0 };
        deepest = deepest.max(negations);
    }
    deepest
}

fn clean_title(text: &str) -> String {
    text.trim().trim_matches(['"', '\'']).to_owned()
}

/// The parser says what is wrong but rarely where: the line that holds the word it quotes is it, or the key it means.
fn sigma_error(place: &Place, text: &str, reason: &str, location: Option<SourceLocation>) -> RuleError {
    let lower = reason.to_lowercase();
    let quoted = reason.split('\'').nth(1).filter(|word| !word.is_empty());
    let place = if lower.contains("condition") {
        let place = place_of(place, text, "condition:");
        // Its columns count within the condition, which begins behind the key.
        match (location, place.column) {
            (Some(SourceLocation { line: 1, col }), Some(key)) => {
                Place { column: Some(key + "condition: ".len() as u32 + col - 1), ..place }
            }
            _ => place,
        }
    } else if lower.contains("modifier")
        && let Some(word) = quoted
    {
        place_of(place, text, &format!("|{word}"))
    } else if lower.contains("missing") {
        place.clone()
    } else if let Some(word) = quoted {
        place_of(place, text, word)
    } else {
        place.clone()
    };
    let cure = if lower.contains("modifier") {
        "use a modifier of Sigma 2 (docs/sigma.md lists them)"
    } else if lower.contains("condition") {
        "name the selections of `detection` joined by and, or, not, `1 of`, `all of`"
    } else if lower.contains("missing") {
        "add it"
    } else {
        "see docs/sigma.md for what is supported"
    };
    place.error(lower_first(reason), cure)
}

fn lower_first(text: &str) -> String {
    let mut characters = text.trim_end().chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).map(|it| if it == '\n' { ' ' } else { it }).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_cut_with_the_lines_they_begin_at() {
        let text = "# about\n---\n\ntitle: a\nx: 1\n---\r\n# nothing\n--- # comment\ntitle: b\n...\n";
        let found = documents_of(text);
        assert_eq!(found, [(4, "title: a\nx: 1\n"), (9, "title: b\n")]);
        assert!(documents_of("").is_empty());
        assert_eq!(documents_of("title: only"), [(1, "title: only")]);
    }
}
