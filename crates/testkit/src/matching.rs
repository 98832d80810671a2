//! Whether a finding is what was expected of it, and which of many is meant.

use serde_json::Value;

/// Whether `found` holds what `expected` asks for; if not, the first place where it does not.
///
/// * An object needs the expected members and may have more; an array needs the expected items in any order.
/// * `"~words"` is a text that contains these words, whatever their case.
/// * `">=5"` where a number is found is a lower bound.
pub(crate) fn lacks(expected: &Value, found: &Value) -> Option<String> {
    lacks_at("", expected, found)
}

fn lacks_at(path: &str, expected: &Value, found: &Value) -> Option<String> {
    let fits = match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            return expected.iter().find_map(|(key, value)| {
                let path = if path.is_empty() { key.clone() } else { format!("{path} › {key}") };
                match found.get(key) {
                    Some(found) => lacks_at(&path, value, found),
                    None => Some(format!("{path}: expected {value}, there is none")),
                }
            });
        }
        (Value::Array(expected), Value::Array(found)) => {
            let allowed: Vec<Vec<bool>> =
                expected.iter().map(|it| found.iter().map(|found| lacks(it, found).is_none()).collect()).collect();
            pair_up(&allowed).iter().all(Option::is_some)
        }
        (Value::String(expected), Value::String(found)) => match expected.strip_prefix('~') {
            Some(words) => found.to_lowercase().contains(&words.to_lowercase()),
            None => expected == found,
        },
        (Value::String(expected), Value::Number(found)) => {
            let bound = expected.strip_prefix(">=").and_then(|it| it.trim().parse::<f64>().ok());
            bound.is_some_and(|bound| found.as_f64().is_some_and(|found| found >= bound))
        }
        _ => expected == found,
    };
    (!fits).then(|| format!("{path}: expected {expected}, found {found}"))
}

/// Gives each row a column of its own among those that it allows, to as many rows as possible.
pub(crate) fn pair_up(allowed: &[Vec<bool>]) -> Vec<Option<usize>> {
    let columns = allowed.iter().map(Vec::len).max().unwrap_or(0);
    let mut row_of = vec![None; columns];
    for row in 0..allowed.len() {
        // Where a column is taken, its row looks for another one.
        find_column(allowed, row, &mut row_of, &mut vec![false; columns]);
    }
    let mut column_of = vec![None; allowed.len()];
    for (column, row) in row_of.iter().enumerate() {
        if let Some(row) = *row {
            column_of[row] = Some(column);
        }
    }
    column_of
}

fn find_column(allowed: &[Vec<bool>], row: usize, row_of: &mut [Option<usize>], seen: &mut [bool]) -> bool {
    for column in 0..allowed[row].len() {
        if !allowed[row][column] || seen[column] {
            continue;
        }
        seen[column] = true;
        let is_free = match row_of[column] {
            None => true,
            Some(other) => find_column(allowed, other, row_of, seen),
        };
        if is_free {
            row_of[column] = Some(row);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(expected: &Value, found: &Value, lack: Option<&str>) {
        assert_eq!(lacks(expected, found).as_deref(), lack);
    }

    #[test]
    fn an_expected_part_must_be_there_and_more_may_be() {
        let found =
            json!({"rule": {"title": "SSH password guessing", "level": "high", "tags": ["a", "b"]}, "count": 20});
        check(&json!({}), &found, None);
        check(&json!({"rule": {"level": "high", "tags": ["b"]}}), &found, None);
        check(&json!({"rule": {"title": "~Password GUESS"}, "count": ">=20"}), &found, None);
        check(&json!({"rule": {"level": "low"}}), &found, Some(r#"rule › level: expected "low", found "high""#));
        check(&json!({"count": ">=21"}), &found, Some(r#"count: expected ">=21", found 20"#));
        check(&json!({"count": "20"}), &found, Some(r#"count: expected "20", found 20"#));
        check(&json!({"who": 1}), &found, Some("who: expected 1, there is none"));
        check(&json!({"rule": 1}), &json!({"rule": "1"}), Some(r#"rule: expected 1, found "1""#));
    }

    #[test]
    fn items_of_an_array_need_partners_of_their_own() {
        check(&json!(["~a", "ab"]), &json!(["ab", "xa"]), None);
        check(&json!(["a", "a"]), &json!(["a", "b"]), Some(r#": expected ["a","a"], found ["a","b"]"#));
    }

    #[test]
    fn a_row_gives_its_column_up_for_another_that_has_no_choice() {
        let allowed = [vec![true, true], vec![true, false]];
        assert_eq!(pair_up(&allowed), [Some(1), Some(0)]);
        assert_eq!(pair_up(&[vec![true], vec![true]]).iter().flatten().count(), 1);
        assert_eq!(pair_up(&[]), []);
    }
}
