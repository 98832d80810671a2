//! What the corpora hold: SigmaHQ's rules, and Windows events as JSON.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use panoptes_detect::RuleFile;

/// How much one member of an archive may decompress to; more is cut off. The largest of the corpus has 200 MB.
const MEMBER_BYTES_MAX: u64 = 1 << 29;

/// SigmaHQ's rules for production and for hunting; what is deprecated or unsupported is left out, as SigmaHQ does.
pub(crate) fn sigma_rules(corpora: &Path) -> Vec<RuleFile> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(corpora.join("sigma"))
        .expect("the corpora have a folder `sigma`")
        .flatten()
        .map(|it| it.path())
        .filter(|it| it.file_name().is_some_and(|name| name.to_string_lossy().starts_with("rules")))
        .collect();
    folders.sort();
    let mut paths = Vec::new();
    for folder in folders {
        files_below(&folder, &mut paths);
    }
    paths.retain(|it| it.extension().is_some_and(|it| it == "yml"));
    let read = |path: &PathBuf| RuleFile {
        path: path.strip_prefix(corpora).unwrap_or(path).to_string_lossy().into_owned(),
        text: String::from_utf8_lossy(&std::fs::read(path).expect("listed just now")).into_owned(),
    };
    paths.iter().map(read).collect()
}

/// All files below `folder`, sorted.
pub(crate) fn files_below(folder: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|it| it.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files_below(&path, out);
        } else {
            out.push(path);
        }
    }
}

/// The Windows captures of `security-datasets`, each unzipped in memory and handed to `each` while the next waits: the
/// name of its archive, and a JSON object a line.
pub(crate) fn windows_captures(corpora: &Path, mut each: impl FnMut(&str, Vec<String>)) {
    let mut paths = Vec::new();
    files_below(&corpora.join("security-datasets/datasets"), &mut paths);
    paths.retain(|it| {
        it.extension().is_some_and(|it| it == "zip")
            && !it.components().any(|it| it.as_os_str() == "aws" || it.as_os_str() == "linux")
    });
    for path in paths {
        let mut archive = zip::ZipArchive::new(std::fs::File::open(&path).expect("listed just now"))
            .expect("the corpus's archives are zip files");
        let mut lines = Vec::new();
        for index in 0..archive.len() {
            let member = archive.by_index(index).expect("an index below the length");
            if !member.name().ends_with(".json") {
                continue;
            }
            let mut bytes = Vec::new();
            member.take(MEMBER_BYTES_MAX).read_to_end(&mut bytes).expect("the corpus's archives are whole");
            let text = String::from_utf8_lossy(&bytes);
            lines.extend(text.lines().filter(|it| it.trim_ascii_start().starts_with('{')).map(str::to_owned));
        }
        each(&path.file_stem().unwrap_or_default().to_string_lossy(), lines);
    }
}
