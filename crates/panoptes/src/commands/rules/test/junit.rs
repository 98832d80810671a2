//! JUnit XML, as continuous integration systems read it.

use super::{FileReport, Verdict};

/// The whole report: a suite per rule file, a case per case.
pub(super) fn report(files: &[FileReport], at: &str) -> String {
    let cases = || files.iter().flat_map(|it| &it.cases);
    let count = |verdict: Verdict| cases().filter(|it| it.verdict == verdict).count();
    let micros: u64 = cases().map(|it| it.micros).sum();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let (tests, failures, errors) = (cases().count(), count(Verdict::Fail), count(Verdict::Error));
    let time = seconds(micros);
    out.push_str(&format!(
        "<testsuites name=\"panoptes rules test\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" \
         time=\"{time}\">\n"
    ));
    for file in files {
        suite(&mut out, file, at);
    }
    out.push_str("</testsuites>\n");
    out
}

fn suite(out: &mut String, file: &FileReport, at: &str) {
    let count = |verdict: Verdict| file.cases.iter().filter(|it| it.verdict == verdict).count();
    let path = escaped(&file.path);
    let time = seconds(file.cases.iter().map(|it| it.micros).sum());
    let (tests, failures, errors) = (file.cases.len(), count(Verdict::Fail), count(Verdict::Error));
    out.push_str(&format!(
        "  <testsuite name=\"{path}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\" \
         timestamp=\"{at}\" time=\"{time}\">\n"
    ));
    let class = escaped(&class_of(&file.path));
    for case in &file.cases {
        let name = escaped(&format!("{}: {}", case.kind, case.why));
        let time = seconds(case.micros);
        out.push_str(&format!("    <testcase classname=\"{class}\" name=\"{name}\" file=\"{path}\" time=\"{time}\""));
        let reason = escaped(&case.reason);
        match case.verdict {
            Verdict::Ok => out.push_str("/>\n"),
            Verdict::Fail => {
                out.push_str(&format!(
                    "><failure type=\"{}\" message=\"{reason}\">{reason}</failure></testcase>\n",
                    case.kind
                ));
            }
            Verdict::Error => {
                out.push_str(&format!("><error type=\"error\" message=\"{reason}\">{reason}</error></testcase>\n"));
            }
        }
    }
    out.push_str("  </testsuite>\n");
}

/// Systems cut the class at its dots into packages: the folders of the file.
fn class_of(path: &str) -> String {
    let path = path.trim_start_matches(['.', '/']);
    let path = path.strip_suffix(".yml").or_else(|| path.strip_suffix(".yaml")).unwrap_or(path);
    path.replace(['/', ':'], ".")
}

fn seconds(micros: u64) -> String {
    format!("{:.3}", micros as f64 / 1_000_000.0)
}

/// Text for an attribute or an element. What XML cannot hold at all becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::Case;
    use super::*;

    #[test]
    fn a_report_counts_and_escapes() {
        let case = |verdict, reason: &str| Case {
            kind: "fires",
            why: "a \"<&\u{1}\n".to_owned(),
            verdict,
            reason: reason.to_owned(),
            micros: 2_000,
        };
        let file = FileReport {
            path: "./rules/ssh/a.yml".to_owned(),
            cases: vec![case(Verdict::Ok, ""), case(Verdict::Fail, "did not <fire>"), case(Verdict::Error, "&")],
        };
        let xml = report(&[file], "2026-03-01T12:00:00");
        for part in [
            "<testsuites name=\"panoptes rules test\" tests=\"3\" failures=\"1\" errors=\"1\" time=\"0.006\">",
            "classname=\"rules.ssh.a\" name=\"fires: a &quot;&lt;&amp;\u{fffd}&#10;\"",
            "message=\"did not &lt;fire&gt;\"",
            "<error type=\"error\" message=\"&amp;\">",
        ] {
            assert!(xml.contains(part), "`{part}` is not in:\n{xml}");
        }
    }
}
