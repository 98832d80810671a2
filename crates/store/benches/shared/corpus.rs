//! Windows events of the `security-datasets` corpus, for the benches.

use std::io::Read;
use std::path::{Path, PathBuf};

pub(crate) const BATCH_BYTES: usize = 1 << 20;

/// The lines of every zipped JSON capture under `windows` or `compound`, in texts of about [`BATCH_BYTES`].
pub(crate) fn windows_lines() -> Option<Vec<String>> {
    let root = std::env::var_os("PANOPTES_CORPORA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora"), PathBuf::from);
    let mut archives = Vec::new();
    find_archives(&root.join("security-datasets/datasets"), &mut archives);
    archives.sort();
    let mut texts = vec![String::new()];
    for path in archives {
        let file = std::fs::File::open(&path).expect("listed just now");
        let mut archive = zip::ZipArchive::new(file).expect("corpus archives are zip files");
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).expect("index below length");
            if !file.name().ends_with(".json") {
                continue;
            }
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).expect("corpus archives are whole");
            let text = String::from_utf8_lossy(&bytes);
            for line in
                text.lines().filter(|it| serde_json::from_str::<serde_json::Value>(it).is_ok_and(|it| it.is_object()))
            {
                if texts.last().is_some_and(|last| last.len() + line.len() > BATCH_BYTES) {
                    texts.push(String::new());
                }
                if let Some(last) = texts.last_mut() {
                    last.push_str(line);
                    last.push('\n');
                }
            }
        }
    }
    (texts.len() > 1).then_some(texts)
}

fn find_archives(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            find_archives(&path, out);
        } else if path.extension().is_some_and(|it| it == "zip") && !path.components().any(|it| it.as_os_str() == "aws")
        {
            out.push(path);
        }
    }
}
