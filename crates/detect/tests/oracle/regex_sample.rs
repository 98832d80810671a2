//! A text that a regular expression matches.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

use crate::witness::Choices;

/// How often `*` and `+` repeat at most beyond what is necessary.
const EXTRA_MAX: u64 = 2;

/// A text that `pattern` probably matches (anchors inside of it are not thought about), and whether the pattern wants
/// to stand at the beginning or at the end.
pub(crate) struct Sample {
    pub(crate) text: String,
    pub(crate) at_start: bool,
    pub(crate) at_end: bool,
}

pub(crate) fn sample(pattern: &str, ignore_case: bool, choices: &mut Choices) -> Option<Sample> {
    let hir = ParserBuilder::new().case_insensitive(ignore_case).build().parse(pattern).ok()?;
    let mut sample = Sample { text: String::new(), at_start: false, at_end: false };
    write(&mut sample, &hir, choices)?;
    Some(sample)
}

fn write(sample: &mut Sample, hir: &Hir, choices: &mut Choices) -> Option<()> {
    match hir.kind() {
        HirKind::Empty => {}
        HirKind::Literal(literal) => sample.text.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(class) => sample.text.push(member(class, choices)?),
        HirKind::Look(Look::Start | Look::StartLF | Look::StartCRLF) => sample.at_start |= sample.text.is_empty(),
        HirKind::Look(Look::End | Look::EndLF | Look::EndCRLF) => sample.at_end = true,
        HirKind::Look(_) => {}
        HirKind::Repetition(repetition) => {
            let most = repetition.max.map_or(u64::MAX, u64::from);
            let count = u64::from(repetition.min).saturating_add(choices.below(EXTRA_MAX + 1)).min(most);
            for _ in 0..count {
                write(sample, &repetition.sub, choices)?;
            }
        }
        HirKind::Capture(capture) => write(sample, &capture.sub, choices)?,
        HirKind::Concat(parts) => {
            for part in parts {
                write(sample, part, choices)?;
            }
        }
        HirKind::Alternation(branches) => write(sample, choices.one_of(branches)?, choices)?,
    }
    Some(())
}

/// A character of the class: letters and digits if it has any, because they stand in logs.
fn member(class: &Class, choices: &mut Choices) -> Option<char> {
    let ranges: Vec<(char, char)> = match class {
        Class::Unicode(class) => class.ranges().iter().map(|it| (it.start(), it.end())).collect(),
        Class::Bytes(class) => class.ranges().iter().map(|it| (char::from(it.start()), char::from(it.end()))).collect(),
    };
    let usual: Vec<char> =
        ('!'..='~').filter(|it| ranges.iter().any(|(start, end)| (start..=end).contains(&it))).collect();
    let plain: Vec<char> = usual.iter().copied().filter(char::is_ascii_alphanumeric).collect();
    let preferred = if plain.is_empty() { usual } else { plain };
    match choices.one_of(&preferred) {
        Some(character) => Some(*character),
        None => Some(ranges.first()?.0),
    }
}
