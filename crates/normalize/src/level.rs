//! How bad a record says it is: many spellings, eight words.

use crate::text::lower;

/// The canonical word for `word`, whatever its case; `None` if it is no level.
pub(crate) fn canonical(word: &str) -> Option<&'static str> {
    let mut buffer = [0; 32];
    Some(match lower(word, &mut buffer)? {
        "trace" | "finest" | "finer" | "verbose" | "silly" => "trace",
        "debug" | "fine" | "dbg" | "debug1" | "debug2" | "debug3" => "debug",
        "info" | "information" | "informational" | "inf" | "config" => "info",
        "notice" => "notice",
        "warning" | "warn" | "wrn" => "warning",
        "error" | "err" | "severe" | "failure" => "error",
        "critical" | "crit" | "fatal" | "ftl" => "critical",
        "alert" => "alert",
        "emergency" | "emerg" | "panic" => "emergency",
        _ => return None,
    })
}

/// The word of a level given as a number: syslog's 0 to 7, or the 10 to 60 of Bunyan and pino.
pub(crate) fn of_number(number: i64) -> Option<&'static str> {
    Some(match number {
        0 => "emergency",
        1 => "alert",
        2 => "critical",
        3 => "error",
        4 => "warning",
        5 => "notice",
        6 => "info",
        7 => "debug",
        10 => "trace",
        20 => "debug",
        30 => "info",
        40 => "warning",
        50 => "error",
        60 => "critical",
        _ => return None,
    })
}

/// The word of a level given as one letter (klog, Android, MongoDB).
pub(crate) fn of_letter(word: &str) -> Option<&'static str> {
    Some(match word {
        "T" | "V" => "trace",
        "D" => "debug",
        "I" => "info",
        "N" => "notice",
        "W" => "warning",
        "E" => "error",
        "F" | "C" => "critical",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_meet_in_one_word() {
        for (spelling, word) in [("WARN", "warning"), ("Error", "error"), ("FATAL", "critical"), ("emerg", "emergency")]
        {
            assert_eq!(canonical(spelling), Some(word));
        }
        assert_eq!(canonical("errors"), None);
        assert_eq!(canonical(&"e".repeat(40)), None);
        assert_eq!(of_number(3), Some("error"));
        assert_eq!(of_number(50), Some("error"));
        assert_eq!(of_number(8), None);
    }
}
