//! Lists the shipped rules and their tests, so that they are part of the binary: `panoptes run` works from any folder,
//! and `panoptes rules test` shows that its rules do.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    // Asked when it runs: a target folder may outlive the checkout that this was compiled in.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let root = here.join("../../rules/sigma");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();
    let mut code = String::new();
    for (constant, suffix) in [("SHIPPED", ".yml"), ("SHIPPED_TESTS", ".test.toml")] {
        // Writing to a string cannot fail.
        writeln!(code, "pub(crate) const {constant}: &[(&str, &str)] = &[").map_err(std::io::Error::other)?;
        for file in files.iter().filter(|it| it.to_string_lossy().ends_with(suffix)) {
            println!("cargo::rerun-if-changed={}", file.display());
            let name = file.strip_prefix(&root).unwrap_or(file).display();
            writeln!(code, "    ({:?}, include_str!({:?})),", format!("shipped:{name}"), file)
                .map_err(std::io::Error::other)?;
        }
        code.push_str("];\n");
    }
    let out = std::env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    std::fs::write(out.join("shipped_rules.rs"), code)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
