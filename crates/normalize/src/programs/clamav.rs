//! ClamAV: `/tmp/x: Win.Test.EICAR_HDB-1 FOUND`.

use panoptes_model::{BatchWriter, field};

use super::ProgramKind;
use crate::fact::Fact;

pub(super) static KIND: ProgramKind = ProgramKind {
    names: &["clamd", "clamscan", "clamdscan", "clamonacc", "clamav-daemon", "clamav-milter"],
    dataset: "clamav.scan",
    example: "/srv/upload/x.zip: Win.Test.EICAR_HDB-1 FOUND",
    write,
};

const FOUND: Fact = Fact { category: &["malware"], kind: &["info"], action: "virus_found", outcome: None };

fn write(writer: &mut BatchWriter<'_>, said: &str) -> bool {
    let Some(found) = said.trim_ascii_end().strip_suffix(" FOUND") else { return false };
    let found = found.rsplit_once("->").map_or(found, |(_, it)| it.trim_ascii_start());
    let Some((path, signature)) = found.rsplit_once(": ") else { return false };
    // `Name(hash:size)` with extended detection information.
    let signature = signature.split('(').next().unwrap_or(signature);
    if path.is_empty() || signature.is_empty() || signature.contains(' ') {
        return false;
    }
    FOUND.write(writer, KIND.dataset);
    writer.text(field::FILE_PATH, path);
    writer.text(field::RULE_NAME, signature);
    true
}

#[cfg(test)]
mod tests {
    use crate::formats::tests::value;

    #[test]
    fn what_was_found_is_named() {
        for said in [
            super::KIND.example,
            "Mon Jan 15 10:30:00 2024 -> /srv/upload/x.zip: Win.Test.EICAR_HDB-1(44d88612fea8a8f36de82e1278abb02f:68) FOUND",
        ] {
            let line = format!("Jan 15 10:30:00 h clamd[7]: {said}");
            assert_eq!(value(&line, "file.path"), "/srv/upload/x.zip");
            assert_eq!(value(&line, "rule.name"), "Win.Test.EICAR_HDB-1");
            assert_eq!(value(&line, "event.category"), "malware");
        }
        for said in ["SelfCheck: Database status OK.", " FOUND", ": FOUND", "a: b c FOUND"] {
            assert_eq!(value(&format!("Jan 15 10:30:00 h clamd[7]: {said}"), "event.category"), "", "{said}");
        }
    }
}
