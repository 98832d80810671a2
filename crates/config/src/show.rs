//! The configuration in force, as TOML that can be read back, each value with where it came from.

use std::fmt::Write as _;

use toml::{Table, Value};

use crate::Config;
use crate::tree::Origin;

impl Config {
    /// Every setting as TOML; a comment says which file, variable or flag it came from, or that it is the default.
    pub fn show(&self) -> String {
        let mut out = String::new();
        if let Ok(table) = Table::try_from(&self.effective) {
            self.section(&mut out, &table, "");
        }
        out
    }

    fn section(&self, out: &mut String, table: &Table, path: &str) {
        let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let is_section = |value: &Value| matches!(value, Value::Table(_)) || is_table_list(value);
        let lines: Vec<(String, String)> = (table.iter())
            .filter(|it| !is_section(it.1))
            .map(|(name, value)| (format!("{name} = {value}"), self.origin(&join(name))))
            .collect();
        let width = lines.iter().map(|it| it.0.chars().count()).max().unwrap_or(0);
        for (line, origin) in lines {
            push(out, format_args!("{line:width$}  # {origin}\n"));
        }
        for (name, value) in table.iter().filter(|it| is_section(it.1)) {
            let path = join(name);
            match value {
                Value::Table(inner) => {
                    // A section that only holds sections needs no head of its own.
                    if inner.is_empty() || inner.values().any(|it| !matches!(it, Value::Table(_))) {
                        push(out, format_args!("\n[{path}]\n"));
                    }
                    self.section(out, inner, &path);
                }
                Value::Array(items) if items.is_empty() => {}
                Value::Array(items) => {
                    let origin = self.origin(&path);
                    for inner in items.iter().filter_map(Value::as_table) {
                        push(out, format_args!("\n[[{path}]]  # {origin}\n"));
                        for (name, value) in inner {
                            push(out, format_args!("{name} = {value}\n"));
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn origin(&self, path: &str) -> String {
        // A comment ends with its line, whatever a path holds.
        self.origins.get(path).unwrap_or(&Origin::Default).to_string().replace(char::is_control, "?")
    }
}

fn is_table_list(value: &Value) -> bool {
    value.as_array().is_some_and(|it| !it.is_empty() && it.iter().all(Value::is_table))
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _infallible = out.write_fmt(text);
}
