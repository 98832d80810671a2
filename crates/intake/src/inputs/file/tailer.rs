//! The tail as a pure step: [`FileTailer::poll_once`] looks at all files once and says what is new.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use glob::Pattern;
use panoptes_model::{Origin, RawBatch, Timestamp};
use panoptes_stdx::ErrorChain;
use panoptes_stdx::decompress::{DecompressError, Encoding, sniff};

use super::archived::{Archived, Waiting, decompressed_start};
use super::identity::{FileCheckpoint, FileCheckpoints, FileIdentity, Fingerprint, Key, is_rotated_name_of, key_of};
use super::tailed::{Look, Out, Tailed, headed_at, last_line_start};
use super::{FileConfig, KIND, StartAt};
use crate::archive::{refusal, start_of};
use crate::container::Names;
use crate::context::InputError;
use crate::inputs::{InputKind, container};
use crate::limits::{FILE_PROBLEMS_MAX, FILE_SCAN_SECONDS, FILES_FOUND_MAX, ORIGINS_MAX, ROTATED_LINGER_SECONDS};
use crate::pattern::{check, expand, literal_folder};

/// Follows the files that its patterns name. Holds no bytes between two steps: what was not handed on is read again.
pub struct FileTailer {
    config: FileConfig,
    /// Whose files they are.
    kind: &'static InputKind,
    exclude: Vec<Pattern>,
    /// How far each file was read, whether it is durable or not.
    known: FileCheckpoints,
    files: Vec<Tailed>,
    waiting: VecDeque<Waiting>,
    archive: Option<Archived>,
    archive_turn: bool,
    /// Files that are done with or refused, with the size that they had.
    ignored: HashMap<Key, u64>,
    /// Files that were there at the first look but could not be opened: they are not new when they can be.
    late: HashSet<PathBuf>,
    problems: BTreeMap<PathBuf, String>,
    scanned_at: Option<Timestamp>,
    /// Whether the first look is over: files that appear later are new.
    started: bool,
    /// Which file comes first in the next step.
    turn: usize,
    scratch: Vec<u8>,
}

/// What one look at the files found.
#[derive(Debug, Default)]
pub struct Step {
    /// New lines, maybe none.
    pub batch: RawBatch,
    /// Whether there is more that needs no waiting for.
    pub more: bool,
    /// Whether lines were read that wait a moment for those that belong to them.
    pub holds: bool,
    /// How many of the records lost their end because they were too long, and how many bytes that were.
    pub cut: (u64, u64),
}

enum Begin {
    At(u64),
    /// It is a copy of a file that is still being read: what that one does not have in the end is read here then.
    Later,
    Never,
}

impl FileTailer {
    /// A tail that goes on where `known` says. Fails only for a pattern that is none.
    pub fn new(config: FileConfig, known: FileCheckpoints) -> Result<Self, InputError> {
        Self::of(&KIND, config, known)
    }

    pub(in crate::inputs) fn of(
        kind: &'static InputKind,
        config: FileConfig,
        known: FileCheckpoints,
    ) -> Result<Self, InputError> {
        let named = |pattern: &String| {
            let pattern = pattern.clone();
            |source| InputError::Pattern { pattern, source }
        };
        config.paths.iter().try_for_each(|it| check(it).map_err(named(it)))?;
        let exclude = config.exclude.iter().map(|it| Pattern::new(it).map_err(named(it)));
        let exclude = exclude.collect::<Result<_, _>>()?;
        Ok(Self {
            config,
            kind,
            exclude,
            known,
            files: Vec::new(),
            waiting: VecDeque::new(),
            archive: None,
            archive_turn: false,
            ignored: HashMap::new(),
            late: HashSet::new(),
            problems: BTreeMap::new(),
            scanned_at: None,
            started: false,
            turn: 0,
            scratch: Vec::new(),
        })
    }

    /// Looks for files and new lines. The step's batch must be durable before the next call, or be offered until it is.
    pub fn poll_once(&mut self, now: Timestamp) -> Step {
        let scan_nanos = FILE_SCAN_SECONDS * Timestamp::NANOS_PER_SECOND;
        // A clock that was set back must not stop the looking.
        let fresh = |at: Timestamp| (0..scan_nanos).contains(&now.nanos_since(at));
        if !self.scanned_at.is_some_and(fresh) {
            self.scan(now);
            self.scanned_at = Some(now);
        }
        let mut step = Step::default();
        self.archive_turn = !self.archive_turn;
        if self.archive_turn {
            self.read_archive(&mut step, now);
            // Then the files that grow have not had their look.
            step.more = !step.batch.is_empty();
        }
        if step.batch.is_empty() {
            self.read_files(&mut step, now);
        }
        if step.batch.is_empty() {
            self.read_archive(&mut step, now);
        }
        step.more |= self.archive.is_some() || !self.waiting.is_empty();
        self.known.observe(&step.batch);
        step
    }

    /// Has the next step match the patterns again: something was created, removed or renamed.
    pub fn rescan(&mut self) {
        self.scanned_at = None;
    }

    /// How far each file was read. The next start may use it only if all that was read is durable; else what it may
    /// use comes from the batches that are ([`FileCheckpoints::observe`]).
    pub fn into_positions(self) -> FileCheckpoints {
        self.known
    }

    /// What cannot be read at present, each with why and what to do.
    pub fn problems(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.problems.iter().map(|(path, text)| (path.as_path(), text.as_str()))
    }

    /// The folders in which files are followed: where to watch for changes.
    pub(super) fn folders(&self) -> HashSet<PathBuf> {
        let of_files = self.files.iter().filter_map(|it| Some(it.current_path.parent()?.to_owned()));
        let of_patterns = self.config.paths.iter().map(|it| literal_folder(it));
        of_files.chain(of_patterns).collect()
    }

    fn read_files(&mut self, step: &mut Step, now: Timestamp) {
        let mut out = Out { batch: &mut step.batch, now, cut_records: 0, cut_bytes: 0 };
        let count = self.files.len();
        let mut gone = Vec::new();
        let first = self.turn;
        for index in (0..count).map(|it| (first + it) % count) {
            if out.is_full() || out.batch.origins.len() + 1 >= ORIGINS_MAX {
                step.more = true;
                self.turn = index;
                break;
            }
            let Some(tailed) = self.files.get_mut(index) else { continue };
            let origin = origin(self.kind, &self.config, &tailed.path, tailed.container.as_ref());
            let look = tailed.read_on(&mut out, &origin, &mut self.scratch);
            let look = look.and_then(|look| match look {
                Look::Idle if lingered(tailed, now) => {
                    tailed.take_open(&mut out, &origin)?;
                    tailed.moved_at = None;
                    gone.extend((!tailed.listed).then_some(index));
                    Ok(look)
                }
                _ => Ok(look),
            });
            let path = tailed.current_path.clone();
            let unfit = tailed.headed.take_unfit();
            if unfit > 0 {
                tracing::warn!(path = %path.display(), rows = unfit, "rows have no header or do not fit it: they stay text");
            }
            match look {
                Ok(Look::Idle) => {}
                Ok(Look::More) => step.more = true,
                Ok(Look::Restarted) => {
                    tracing::info!(path = %path.display(), "file was emptied: reading from its beginning");
                    step.more = true;
                }
                Err(error) => self.problem(&path, unreadable(&error)),
            }
        }
        step.cut = (out.cut_records, out.cut_bytes);
        step.holds = self.files.iter().any(|it| it.held.is_some());
        gone.sort_unstable();
        for index in gone.into_iter().rev() {
            // Its place may be another's now, so the order of turns is kept.
            let tailed = self.files.remove(index);
            tracing::debug!(path = %tailed.path.display(), "rotated file is done");
            self.turn = 0;
        }
    }

    fn read_archive(&mut self, step: &mut Step, now: Timestamp) {
        while self.archive.is_none()
            && let Some(waiting) = self.waiting.pop_front()
        {
            let origin = origin(self.kind, &self.config, &waiting.path, None);
            match Archived::open(waiting, origin) {
                Ok(archive) => self.archive = Some(archive),
                Err((waiting, error)) => self.archive_ended(&waiting, Err(error)),
            }
        }
        let Some(archive) = &mut self.archive else { return };
        let read = archive.step(now);
        step.batch = read.batch;
        step.cut = read.cut;
        if let Some(end) = read.end
            && let Some(archive) = self.archive.take()
        {
            self.archive_ended(&archive.waiting, end);
        }
    }

    fn archive_ended(&mut self, waiting: &Waiting, end: Result<(), DecompressError>) {
        // It is looked at again only if its size changes: then it was still being written.
        self.ignored.insert(waiting.key, waiting.size);
        if let Err(error) = end {
            self.problem(&waiting.path, format!("read up to where {}", ErrorChain(&error)));
        }
    }

    fn problem(&mut self, path: &Path, text: String) {
        if self.problems.get(path) == Some(&text) {
            return;
        }
        if self.problems.len() < FILE_PROBLEMS_MAX || self.problems.contains_key(path) {
            tracing::warn!(path = %path.display(), "file is not read: {text}");
            self.problems.insert(path.to_owned(), text);
        }
    }

    /// Matches the patterns against the folders.
    fn scan(&mut self, now: Timestamp) {
        let first = !std::mem::replace(&mut self.started, true);
        let (found, faulty) = self.find();
        let listed: HashMap<Key, &PathBuf> = found.iter().map(|(path, metadata)| (key_of(metadata), path)).collect();
        for tailed in &mut self.files {
            let path = listed.get(&tailed.key).copied();
            tailed.listed = path.is_some();
            let moved = path != Some(&tailed.current_path);
            if moved && tailed.moved_at.is_none() {
                tailed.moved_at = Some(now);
            }
            if let Some(path) = path {
                tailed.current_path.clone_from(path);
            }
        }
        self.ignored.retain(|key, _| listed.contains_key(key));
        self.problems.retain(|path, _| faulty.contains(path) || path.symlink_metadata().is_ok_and(|it| !it.is_dir()));
        if first {
            self.open_renamed(&found, now);
        }
        for (path, metadata) in &found {
            let key = key_of(metadata);
            let followed = self.files.iter().any(|it| it.key == key)
                || self.waiting.iter().any(|it| it.key == key)
                || self.archive.as_ref().is_some_and(|it| it.waiting.key == key);
            if !followed && self.ignored.get(&key) != Some(&metadata.len()) {
                self.open(path, first, now);
            }
        }
    }

    /// All files that match, the longest unchanged first: so rotated logs are read before those that follow them.
    /// Also which paths could not be looked at.
    fn find(&mut self) -> (Vec<(PathBuf, Metadata)>, HashSet<PathBuf>) {
        let mut faulty = HashSet::new();
        let mut found: BTreeMap<Key, (PathBuf, Metadata)> = BTreeMap::new();
        for pattern in self.config.paths.clone() {
            // The patterns were checked when the tail was made.
            let Ok(expanded) = expand(&pattern) else { continue };
            if expanded.is_cut {
                self.problem(Path::new(&pattern), "it leads to too many files: narrow it".to_owned());
                faulty.insert(PathBuf::from(&pattern));
            }
            for (folder, error) in expanded.faults {
                self.problem(&folder, unreadable(&error));
                faulty.insert(folder);
            }
            for path in expanded.found {
                if self.exclude.iter().any(|it| it.matches_path(&path)) {
                    continue;
                }
                match path.metadata() {
                    Ok(metadata) if metadata.is_file() => {
                        if found.len() >= FILES_FOUND_MAX {
                            let text = format!("more than {FILES_FOUND_MAX} files match: narrow `paths`");
                            self.problem(Path::new(&pattern), text);
                            faulty.insert(PathBuf::from(&pattern));
                            break;
                        }
                        found.entry(key_of(&metadata)).or_insert((path, metadata));
                    }
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => self.problem(&path, unreadable(&error)),
                }
            }
        }
        let mut found: Vec<_> = found.into_values().collect();
        found.sort_by_cached_key(|(path, metadata)| (metadata.modified().ok(), path.clone()));
        (found, faulty)
    }

    /// Files that were renamed while nobody looked, to names that no pattern matches: their rest is read.
    fn open_renamed(&mut self, found: &[(PathBuf, Metadata)], now: Timestamp) {
        let found: HashSet<Key> = found.iter().map(|(_, metadata)| key_of(metadata)).collect();
        let mut missing: HashMap<PathBuf, HashMap<Key, PathBuf>> = HashMap::new();
        for checkpoint in self.known.iter() {
            let FileIdentity { device, inode, .. } = checkpoint.identity;
            let path = PathBuf::from(&checkpoint.path);
            if let Some(folder) = path.parent()
                && !found.contains(&(device, inode))
                && self.config.paths.iter().any(|it| Pattern::new(it).is_ok_and(|it| it.matches_path(&path)))
            {
                missing.entry(folder.to_owned()).or_default().insert((device, inode), path);
            }
        }
        for (folder, missing) in missing {
            let Ok(entries) = folder.read_dir() else { continue };
            for entry in entries.flatten().take(FILES_FOUND_MAX) {
                let path = entry.path();
                let Ok(metadata) = entry.metadata() else { continue };
                if let Some(original) = missing.get(&key_of(&metadata))
                    && metadata.is_file()
                    && is_rotated_name_of(&path, original)
                {
                    self.open(&path, false, now);
                    if let Some(tailed) = self.files.last_mut().filter(|it| it.key == key_of(&metadata)) {
                        (tailed.listed, tailed.moved_at) = (false, Some(now));
                    }
                }
            }
        }
    }

    fn open(&mut self, path: &Path, first: bool, now: Timestamp) {
        if self.files.len() + self.waiting.len() >= self.config.files_max {
            let text = format!("{} files are followed already: narrow `paths` or raise `files_max`", self.files.len());
            self.problem(path, text);
            return self.note_late(path, first);
        }
        match self.try_open(path, first, now) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                self.problem(path, unreadable(&error));
                self.note_late(path, first);
            }
        }
    }

    fn note_late(&mut self, path: &Path, first: bool) {
        if first {
            self.late.insert(path.to_owned());
        }
    }

    fn try_open(&mut self, path: &Path, first: bool, now: Timestamp) -> io::Result<()> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(());
        }
        let (key, size) = (key_of(&metadata), metadata.len());
        let start = start_of(&file)?;
        if let Some(encoding) = sniff(&start) {
            self.open_archive(path, first, file, (key, size), encoding);
            return Ok(());
        }
        if let Some(reason) = refusal(&start) {
            self.refuse(path, (key, size), reason.to_owned());
            return Ok(());
        }
        let offset = match self.begin(path, key, &start, first) {
            Begin::At(offset) if offset <= size => offset,
            Begin::At(_) => 0,
            Begin::Later => return Ok(()),
            Begin::Never => last_line_start(&file, size)?,
        };
        let headed = headed_at(&file, self.config.format.as_deref(), offset)?;
        self.problems.remove(path);
        self.late.remove(path);
        let fingerprint = Fingerprint::of(&start);
        let identity = FileIdentity { device: key.0, inode: key.1, fingerprint };
        let original = self.known.resume(key, &start).map_or_else(|| path.to_owned(), |it| PathBuf::from(&it.path));
        self.note(&original, identity, offset);
        tracing::info!(path = %path.display(), offset, "file is followed");
        self.files.push(Tailed {
            path: original,
            current_path: path.to_owned(),
            key,
            file,
            offset,
            searched: offset,
            held: None,
            fingerprint,
            headed,
            grown_at: now,
            moved_at: None,
            listed: true,
            container: std::ptr::eq(self.kind, &container::KIND).then(|| Names::of(path)),
        });
        Ok(())
    }

    fn open_archive(&mut self, path: &Path, first: bool, mut file: File, which: (Key, u64), encoding: Encoding) {
        let (key, size) = which;
        let start = match decompressed_start(&mut file, encoding) {
            Ok(start) => start,
            Err(error) => return self.refuse(path, which, ErrorChain(&error).to_string()),
        };
        if let Some(reason) = refusal(&start) {
            return self.refuse(path, which, reason.to_owned());
        }
        let offset = match self.begin(path, key, &start, first) {
            Begin::At(offset) => offset,
            Begin::Later => return,
            Begin::Never => {
                self.ignored.insert(key, size);
                return;
            }
        };
        self.problems.remove(path);
        self.late.remove(path);
        let identity = FileIdentity { device: key.0, inode: key.1, fingerprint: Fingerprint::of(&start) };
        self.note(path, identity, offset);
        self.waiting.push_back(Waiting { path: path.to_owned(), key, size, file, encoding, identity, offset });
    }

    fn refuse(&mut self, path: &Path, (key, size): (Key, u64), reason: String) {
        self.ignored.insert(key, size);
        self.problem(path, reason);
    }

    /// Where to begin in a file that was not followed so far.
    fn begin(&self, path: &Path, key: Key, start: &[u8], first: bool) -> Begin {
        if let Some(checkpoint) = self.known.resume(key, start) {
            return Begin::At(checkpoint.offset);
        }
        if let Some(original) = self.known.copied(path, start) {
            let FileIdentity { device, inode, .. } = original.identity;
            let alive = |it: &Tailed| it.key == (device, inode) && it.fingerprint.matches(start);
            return if self.files.iter().any(alive) { Begin::Later } else { Begin::At(original.offset) };
        }
        let old = first || self.late.contains(path);
        let path = path.to_string_lossy();
        match self.config.start_at {
            StartAt::End if old && !self.known.knows_path(&path) => Begin::Never,
            StartAt::End | StartAt::Beginning => Begin::At(0),
        }
    }

    fn note(&mut self, path: &Path, identity: FileIdentity, offset: u64) {
        if !identity.fingerprint.is_empty() {
            self.known.note(FileCheckpoint { path: path.to_string_lossy().into_owned(), identity, offset });
        }
    }
}

fn origin(kind: &InputKind, config: &FileConfig, path: &Path, container: Option<&Names>) -> Origin {
    let path = path.to_string_lossy().into_owned();
    let named = config.source.as_ref().or_else(|| container?.source.as_ref());
    Origin {
        input: kind.name.to_owned(),
        source: named.unwrap_or(&path).clone(),
        path: Some(path),
        format: config.format.clone(),
        time_zone: config.time_zone.clone(),
        ..Origin::default()
    }
}

/// Whether a file that was moved has been quiet for so long that its writer has surely gone over to the new one.
fn lingered(tailed: &Tailed, now: Timestamp) -> bool {
    let linger = ROTATED_LINGER_SECONDS * Timestamp::NANOS_PER_SECOND;
    tailed.moved_at.is_some_and(|moved_at| now.nanos_since(moved_at.max(tailed.grown_at)) >= linger)
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "permission denied: add the user that runs panoptes to the file's group (often `adm`)".to_owned()
        }
        _ => format!("{error}: it is tried again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cure_is_told_for_what_has_one() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(unreadable(&denied).contains("group"));
        assert!(unreadable(&io::Error::other("device gone")).contains("device gone"));
    }
}
