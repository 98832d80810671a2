//! As much of `Cargo.toml` as the checks need: which dependency stands in which section, on which line.

/// One dependency of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dependency<'a> {
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    pub(super) from_workspace: bool,
    pub(super) line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `[dependencies]` and `[build-dependencies]`, also of one target.
    Real,
    Dev,
    /// `[workspace.dependencies]`.
    Workspace,
}

/// All dependencies, in the order of the text.
pub(super) fn dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    let mut found: Vec<Dependency<'_>> = Vec::new();
    let mut section = Section::Other;
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            section = Section::of(header.trim_end_matches(']'));
            if let Section::One(kind, name) = section {
                found.push(Dependency { name, kind, from_workspace: false, line: index + 1 });
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let key = key.trim();
        match section {
            Section::Many(kind) if !line.starts_with('#') => {
                let (name, rest) = key.split_once('.').unwrap_or((key, ""));
                let inline = value.split(['{', ',', '}']).any(|it| it.replace(' ', "") == "workspace=true");
                let from_workspace = rest == "workspace" || inline;
                found.push(Dependency { name: name.trim_matches('"'), kind, from_workspace, line: index + 1 });
            }
            Section::One(..) if key == "workspace" && value.trim() == "true" => {
                if let Some(last) = found.last_mut() {
                    last.from_workspace = true;
                }
            }
            _ => {}
        }
    }
    found
}

/// Values of `path = "…"` under `[lib]`, `[[bin]]`, `[[test]]`, `[[bench]]` and `[[example]]`.
pub(super) fn target_paths(manifest: &str) -> Vec<&str> {
    let mut in_target = false;
    let mut paths = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            in_target = ["[lib]", "[[bin]]", "[[test]]", "[[bench]]", "[[example]]"].contains(&line);
        } else if in_target
            && let Some(rest) = line.strip_prefix("path")
            && let Some(value) = rest.trim_start().strip_prefix('=')
        {
            paths.push(value.trim().trim_matches('"'));
        }
    }
    paths
}

#[derive(Clone, Copy)]
enum Section<'a> {
    /// A table of dependencies.
    Many(Kind),
    /// The table of one dependency.
    One(Kind, &'a str),
    Other,
}

impl<'a> Section<'a> {
    fn of(header: &'a str) -> Self {
        const TABLES: [(&str, Kind); 3] =
            [("dev-dependencies", Kind::Dev), ("build-dependencies", Kind::Real), ("dependencies", Kind::Real)];
        if header == "workspace.dependencies" {
            return Self::Many(Kind::Workspace);
        }
        if let Some(name) = header.strip_prefix("workspace.dependencies.") {
            return Self::One(Kind::Workspace, name);
        }
        for (table, kind) in TABLES {
            let Some(at) = header.find(table) else { continue };
            let (before, after) = (header.get(..at).unwrap_or(""), header.get(at + table.len()..).unwrap_or(""));
            if !(before.is_empty() || before.starts_with("target.") && before.ends_with('.')) {
                continue;
            }
            return match after.strip_prefix('.') {
                Some(name) => Self::One(kind, name),
                None if after.is_empty() => Self::Many(kind),
                None => Self::Other,
            };
        }
        Self::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_dependency_is_seen() {
        let manifest = "\
[package]
name = \"x\"
[dependencies]
a.workspace = true
b = \"1\"
c = { workspace = true, features = [\"d\"] }
# e = \"1\"
[dependencies.f]
workspace = true
optional = true
[target.'cfg(unix)'.dependencies]
g = { version = \"1\" }
[build-dependencies]
h.workspace = true
[dev-dependencies]
i = \"2\"
[features]
j = [\"dep:f\"]
[workspace.dependencies]
k = \"3\"
";
        let found: Vec<_> = dependencies(manifest).iter().map(|it| (it.name, it.kind, it.from_workspace)).collect();
        assert_eq!(
            found,
            [
                ("a", Kind::Real, true),
                ("b", Kind::Real, false),
                ("c", Kind::Real, true),
                ("f", Kind::Real, true),
                ("g", Kind::Real, false),
                ("h", Kind::Real, true),
                ("i", Kind::Dev, false),
                ("k", Kind::Workspace, false),
            ]
        );
        assert_eq!(dependencies(manifest)[1].line, 5);
    }

    #[test]
    fn paths_of_targets_are_seen() {
        let manifest = "[package]\npath = \"no\"\n[[bench]]\nname = \"b\"\npath = \"speed/b.rs\"\n";
        assert_eq!(target_paths(manifest), ["speed/b.rs"]);
    }
}
