//! A disk in memory that loses what a real one may lose. For tests, of this and of other crates.
//!
//! For each file it knows what was synced and which writes were not, for each folder the same of its names. A
//! [`crash`](SimDisk::crash) keeps any subset of what was not synced, tears what it keeps, and is the same for the same
//! seed and the same operations. It can also [fill up](SimDisk::set_capacity), [fail](SimDisk::fail_operation), fail
//! [to sync](SimDisk::fail_sync) (what was not synced is then never written, and a later sync does not say so: what Linux
//! does) and [lose power in the middle of an operation](SimDisk::power_off_after).
//!
//! It is harsher than any one file system: syncing a file saves neither its name nor its folder, and names may be
//! lost in any order.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile, checked, checked_rename, split};

/// What a drive writes in one go.
const SECTOR_BYTES: usize = 512;

/// Numbers that look random and follow from the seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if `end` is 0.
    pub const fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.next() % end }
    }

    pub const fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// The disk. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    files: BTreeMap<u64, Inode>,
    folders: BTreeMap<u64, Folder>,
    inode_next: u64,
    /// Rises with each crash: what was opened before is dead.
    boot: u64,
    /// Operations that change something or sync, so far.
    operations: u64,
    syncs: u64,
    fail_at: Option<u64>,
    fail_sync_at: Option<u64>,
    power_off_at: Option<u64>,
    capacity: Option<u64>,
    /// Syncs of files and folders so far, and which of them lies.
    sync_story: Vec<(u64, String)>,
    ignore_sync_at: Option<usize>,
    is_read_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    File(u64),
    Folder(u64),
}

#[derive(Clone, Debug, Default)]
struct Folder {
    live: BTreeMap<String, Entry>,
    durable: BTreeMap<String, Entry>,
    pending: Vec<NameChange>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Add { name: String, entry: Entry },
    Rename { from: String, to: String, entry: Entry },
    Remove { name: String },
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, Entry>) {
        match self {
            Self::Add { name, entry } => {
                names.insert(name.clone(), *entry);
            }
            Self::Rename { from, to, entry } => {
                names.remove(from);
                names.insert(to.clone(), *entry);
            }
            Self::Remove { name } => {
                names.remove(name);
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { length: usize },
}

const ROOT: u64 = 0;

impl Default for State {
    fn default() -> Self {
        Self {
            files: BTreeMap::new(),
            folders: BTreeMap::from([(ROOT, Folder::default())]),
            inode_next: ROOT + 1,
            boot: 0,
            operations: 0,
            syncs: 0,
            fail_at: None,
            fail_sync_at: None,
            power_off_at: None,
            capacity: None,
            sync_story: Vec::new(),
            ignore_sync_at: None,
            is_read_only: false,
        }
    }
}

/// How an operation goes.
enum Fate {
    Succeeds,
    /// It reports an error; it may have had its effect in part.
    Fails,
    /// The power goes away just before or just after it takes effect.
    Interrupted {
        before: bool,
    },
}

impl SimDisk {
    /// An empty disk that works.
    pub fn new() -> Self {
        Self::default()
    }

    /// The power fails and comes back: of what was not synced any subset is left. Every open file is dead, and no
    /// fault is planned any more.
    pub fn crash(&self, seed: u64) {
        let mut dice = Dice::new(seed);
        let state = &mut *self.state();
        for inode in state.files.values_mut() {
            inode.crash(&mut dice);
        }
        for folder in state.folders.values_mut() {
            let all = dice.percent(20);
            let none = dice.percent(20);
            for change in folder.pending.drain(..) {
                if all || (!none && dice.percent(50)) {
                    change.apply(&mut folder.durable);
                }
            }
            folder.live = folder.durable.clone();
        }
        state.restart();
    }

    /// The process ends and another starts: nothing is lost, every open file is dead, and no fault is planned.
    pub fn kill(&self) {
        self.state().restart();
    }

    /// Operations so far that change something or sync: what [`fail_operation`](Self::fail_operation) and
    /// [`power_off_after`](Self::power_off_after) count.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The operation after `count` more fails once with an input/output error. An append that fails so has written a part.
    pub fn fail_operation(&self, count: u64) {
        let mut state = self.state();
        state.fail_at = Some(state.operations + count);
    }

    /// The file sync after `count` more fails once: what it should have saved never will be.
    pub fn fail_sync(&self, count: u64) {
        let mut state = self.state();
        state.fail_sync_at = Some(state.syncs + count);
    }

    /// The power goes away during the operation after `count` more; until [`crash`](Self::crash) or
    /// [`kill`](Self::kill) all fails.
    pub fn power_off_after(&self, count: u64) {
        let mut state = self.state();
        state.power_off_at = Some(state.operations + count);
    }

    /// What was synced so far, in order: the operation, and the path of the file, or of the folder with a `/` behind it.
    pub fn sync_story(&self) -> Vec<(u64, String)> {
        self.state().sync_story.clone()
    }

    /// The sync number `number` of the [story](Self::sync_story) says that it succeeded and does nothing: as if the program had
    /// left it out. What a test should notice.
    pub fn ignore_sync(&self, number: usize) {
        self.state().ignore_sync_at = Some(number);
    }

    /// Whether the file system refuses every change, as one does after errors of its disk.
    pub fn set_read_only(&self, is_read_only: bool) {
        self.state().is_read_only = is_read_only;
    }

    /// How many bytes all files together may have; `None`: no limit. What is appended beyond is cut off with
    /// `StorageFull`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// How many bytes all files together have.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// Every file, as a process that reads it now would see it.
    pub fn dump(&self) -> Vec<(String, Vec<u8>)> {
        let state = self.state();
        let mut out = Vec::new();
        state.walk(ROOT, "", &mut |path, inode| {
            if let Some(file) = state.files.get(&inode) {
                out.push((path.to_owned(), file.live.clone()));
            }
        });
        out
    }

    /// What a name stands for: the file stays the same when it is renamed or removed.
    pub fn inode(&self, path: &str) -> Option<u64> {
        match self.state().find(path) {
            Ok(Entry::File(inode)) => Some(inode),
            _ => None,
        }
    }

    /// What is on the disk of a file, also when its name is gone: what somebody finds who searches the disk itself.
    pub fn content(&self, inode: u64) -> Vec<u8> {
        self.state().files.get(&inode).map_or_else(Vec::new, |it| it.live.clone())
    }

    /// Changes a file behind everybody's back, as decay and intruders do.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn tamper(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let Ok(Entry::File(inode)) = state.find(path) else { panic!("no file `{path}` to tamper with") };
        let file = state.files.entry(inode).or_default();
        change(&mut file.live);
        file.durable = file.live.clone();
        file.pending.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked has already failed; the state is still consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, path: &str, writable: bool) -> io::Result<Box<dyn DiskFile>> {
        let state = self.state();
        state.powered()?;
        match state.find(checked(path)?)? {
            Entry::File(inode) => Ok(Box::new(SimFile { disk: self.clone(), inode, boot: state.boot, writable })),
            Entry::Folder(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }
}

impl Inode {
    fn crash(&mut self, dice: &mut Dice) {
        let fate = dice.below(5);
        let last = self.pending.len().saturating_sub(1);
        for (index, change) in std::mem::take(&mut self.pending).into_iter().enumerate() {
            match fate {
                0 => {}
                1 => change.apply(&mut self.durable),
                // Whole writes are lost.
                2 => {
                    if dice.percent(50) {
                        change.apply(&mut self.durable);
                    }
                }
                // Any sector is lost.
                3 => change.apply_sectors(&mut self.durable, dice),
                // All arrives but for the end of the last write.
                _ if index == last => change.apply_torn(&mut self.durable, dice),
                _ => change.apply(&mut self.durable),
            }
        }
        self.live = self.durable.clone();
    }
}

/// Writes over and past the end; a hole reads as zeros.
fn write(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if content.len() < offset + bytes.len() {
        content.resize(offset + bytes.len(), 0);
    }
    if let Some(place) = content.get_mut(offset..offset + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => write(content, *offset, bytes),
            Self::Truncate { length } => content.truncate(*length),
        }
    }

    fn apply_sectors(&self, content: &mut Vec<u8>, dice: &mut Dice) {
        let Self::Write { offset, bytes } = self else {
            if dice.percent(50) {
                self.apply(content);
            }
            return;
        };
        let mut from = 0;
        while from < bytes.len() {
            // Up to the next border between sectors.
            let to = (from + SECTOR_BYTES - (offset + from) % SECTOR_BYTES).min(bytes.len());
            if dice.percent(60) {
                write(content, offset + from, bytes.get(from..to).unwrap_or_default());
            }
            from = to;
        }
    }

    fn apply_torn(&self, content: &mut Vec<u8>, dice: &mut Dice) {
        match self {
            Self::Write { offset, bytes } => {
                let kept = dice.below(bytes.len() as u64 + 1) as usize;
                write(content, *offset, bytes.get(..kept).unwrap_or_default());
                // Some file systems save the length before the content.
                if dice.percent(30) && content.len() < offset + bytes.len() {
                    let garbage = dice.percent(50);
                    let filler = |dice: &mut Dice| if garbage { dice.next() as u8 } else { 0 };
                    content.resize_with(offset + bytes.len(), || filler(dice));
                }
            }
            Self::Truncate { .. } => self.apply(content),
        }
    }
}

impl State {
    fn restart(&mut self) {
        self.boot += 1;
        self.fail_at = None;
        self.fail_sync_at = None;
        self.power_off_at = None;
    }

    fn powered(&self) -> io::Result<()> {
        match self.power_off_at {
            Some(at) if self.operations > at => Err(io::Error::other("the power is off")),
            _ => Ok(()),
        }
    }

    /// Counts a sync and says whether it is the one that lies.
    fn ignores_sync(&mut self, what: &str) -> bool {
        self.sync_story.push((self.operations.saturating_sub(1), what.to_owned()));
        self.ignore_sync_at == Some(self.sync_story.len() - 1)
    }

    /// A name that the file has.
    fn path_of(&self, wanted: u64) -> String {
        let mut found = String::new();
        self.walk(ROOT, "", &mut |path, inode| {
            if inode == wanted {
                path.clone_into(&mut found);
            }
        });
        found
    }

    /// Counts an operation and says how it goes.
    fn step(&mut self) -> io::Result<Fate> {
        self.powered()?;
        if self.is_read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let number = self.operations;
        self.operations += 1;
        if self.power_off_at == Some(number) {
            Ok(Fate::Interrupted { before: Dice::new(number).percent(50) })
        } else if self.fail_at == Some(number) {
            self.fail_at = None;
            Ok(Fate::Fails)
        } else {
            Ok(Fate::Succeeds)
        }
    }

    fn find(&self, path: &str) -> io::Result<Entry> {
        let mut entry = Entry::Folder(ROOT);
        for name in path.split('/').filter(|it| !it.is_empty()) {
            let Entry::Folder(folder) = entry else { return Err(io::ErrorKind::NotADirectory.into()) };
            let names = self.folders.get(&folder).ok_or(io::ErrorKind::NotFound)?;
            entry = *names.live.get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(entry)
    }

    fn folder(&mut self, path: &str) -> io::Result<&mut Folder> {
        match self.find(path)? {
            Entry::Folder(inode) => self.folders.get_mut(&inode).ok_or(io::ErrorKind::NotFound.into()),
            Entry::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn change_name(&mut self, folder: &str, change: NameChange) -> io::Result<()> {
        let folder = self.folder(folder)?;
        change.apply(&mut folder.live);
        folder.pending.push(change);
        Ok(())
    }

    fn add(&mut self, path: &str, entry: impl FnOnce(u64) -> Entry) -> io::Result<u64> {
        let (folder, name) = split(path);
        let inode = self.inode_next;
        let entry = entry(inode);
        self.change_name(folder, NameChange::Add { name: name.to_owned(), entry })?;
        self.inode_next += 1;
        match entry {
            Entry::File(_) => drop(self.files.insert(inode, Inode::default())),
            Entry::Folder(_) => drop(self.folders.insert(inode, Folder::default())),
        }
        Ok(inode)
    }

    fn walk(&self, folder: u64, path: &str, see: &mut dyn FnMut(&str, u64)) {
        let Some(names) = self.folders.get(&folder) else { return };
        for (name, entry) in &names.live {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            match *entry {
                Entry::File(inode) => see(&path, inode),
                Entry::Folder(inode) => self.walk(inode, &path, see),
            }
        }
    }

    fn used(&self) -> u64 {
        let mut used = 0;
        self.walk(ROOT, "", &mut |_, inode| used += self.files.get(&inode).map_or(0, |it| it.live.len() as u64));
        used
    }
}

fn broken() -> io::Error {
    io::Error::other("input/output error")
}

fn interrupted() -> io::Error {
    io::Error::other("the power went off")
}

impl Fate {
    /// For operations that happen as a whole or not at all.
    fn all_or_nothing(self, happen: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        match self {
            Self::Succeeds => happen(),
            Self::Fails => Err(broken()),
            Self::Interrupted { before: true } => Err(interrupted()),
            Self::Interrupted { before: false } => happen().and(Err(interrupted())),
        }
    }
}

impl Disk for SimDisk {
    fn create_new(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        let fate = state.step()?;
        if state.find(checked(path)?).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut inode = 0;
        fate.all_or_nothing(|| {
            inode = state.add(path, Entry::File)?;
            Ok(())
        })?;
        Ok(Box::new(SimFile { disk: self.clone(), inode, boot: state.boot, writable: true }))
    }

    fn open_append(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.open(path, true)
    }

    fn open_read(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.open(path, false)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        checked_rename(from, to)?;
        let mut state = self.state();
        let fate = state.step()?;
        let entry = state.find(from)?;
        let ((folder, from), (_, to)) = (split(from), split(to));
        let change = NameChange::Rename { from: from.to_owned(), to: to.to_owned(), entry };
        fate.all_or_nothing(|| state.change_name(folder, change))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        let fate = state.step()?;
        if let Entry::Folder(_) = state.find(checked(path)?)? {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let (folder, name) = split(path);
        fate.all_or_nothing(|| state.change_name(folder, NameChange::Remove { name: name.to_owned() }))
    }

    fn overwrite(&self, path: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let fate = state.step()?;
        let Entry::File(inode) = state.find(checked(path)?)? else { return Err(io::ErrorKind::IsADirectory.into()) };
        let ignored = state.ignores_sync(path);
        let file = state.files.entry(inode).or_default();
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        if offset.checked_add(bytes.len()).is_none_or(|end| end > file.live.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let result = match fate {
            Fate::Succeeds => Ok(()),
            Fate::Fails => Err(broken()),
            Fate::Interrupted { before: true } => return Err(interrupted()),
            Fate::Interrupted { before: false } => Err(interrupted()),
        };
        write(&mut file.live, offset, bytes);
        file.pending.push(Change::Write { offset, bytes: bytes.to_vec() });
        if result.is_ok() && !ignored {
            for change in std::mem::take(&mut file.pending) {
                change.apply(&mut file.durable);
            }
        }
        result
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.powered()?;
        Ok(state.folder(checked(folder)?)?.live.keys().cloned().collect())
    }

    fn create_dir_all(&self, folder: &str) -> io::Result<()> {
        let mut state = self.state();
        let borders = checked(folder)?.match_indices('/').map(|(index, _)| index).chain([folder.len()]);
        for end in borders {
            let path = folder.get(..end).unwrap_or_default();
            match state.find(path) {
                Ok(Entry::Folder(_)) => {}
                Ok(Entry::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                Err(_) => {
                    let fate = state.step()?;
                    fate.all_or_nothing(|| state.add(path, Entry::Folder).map(drop))?;
                }
            }
        }
        Ok(())
    }

    fn sync_dir(&self, folder: &str) -> io::Result<()> {
        let mut state = self.state();
        match state.step()? {
            Fate::Succeeds => {}
            Fate::Fails => return Err(broken()),
            Fate::Interrupted { .. } => return Err(interrupted()),
        }
        let ignored = state.ignores_sync(&format!("{folder}/"));
        let folder = state.folder(checked(folder)?)?;
        if ignored {
            return Ok(());
        }
        folder.pending.clear();
        folder.durable = folder.live.clone();
        Ok(())
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        let state = self.state();
        state.powered()?;
        Ok(state.find(checked(path)?).is_ok())
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: u64,
    boot: u64,
    writable: bool,
}

impl SimFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.boot != self.boot {
            return Err(io::Error::other("the process that opened this file has ended"));
        }
        state.powered()?;
        Ok(state)
    }

    fn writable_state(&self) -> io::Result<MutexGuard<'_, State>> {
        if self.writable { self.state() } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

impl DiskFile for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.writable_state()?;
        let fate = state.step()?;
        let room = state.capacity.map_or(u64::MAX, |it| it.saturating_sub(state.used()));
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let (length, result) = match fate {
            Fate::Succeeds if bytes.len() <= room => (bytes.len(), Ok(())),
            Fate::Succeeds => (room, Err(io::ErrorKind::StorageFull.into())),
            Fate::Fails => ((bytes.len() / 2).min(room), Err(broken())),
            Fate::Interrupted { before: true } => (0, Err(interrupted())),
            Fate::Interrupted { before: false } => (bytes.len().min(room), Err(interrupted())),
        };
        let file = state.files.entry(self.inode).or_default();
        let bytes = bytes.get(..length).unwrap_or_default();
        if !bytes.is_empty() {
            file.pending.push(Change::Write { offset: file.live.len(), bytes: bytes.to_vec() });
            file.live.extend_from_slice(bytes);
        }
        result
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let state = self.state()?;
        let content = state.files.get(&self.inode).map_or(&[][..], |it| &it.live);
        let part = usize::try_from(offset)
            .ok()
            .and_then(|offset| content.get(offset..offset.checked_add(buffer.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(part);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.files.get(&self.inode).map_or(0, |it| it.live.len() as u64))
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.writable_state()?;
        let fate = state.step()?;
        let number = state.syncs;
        state.syncs += 1;
        let fails = matches!(fate, Fate::Fails) || state.fail_sync_at == Some(number);
        let path = state.path_of(self.inode);
        let ignored = state.ignores_sync(&path);
        let file = state.files.entry(self.inode).or_default();
        if matches!(fate, Fate::Interrupted { .. }) {
            return Err(interrupted());
        }
        if fails {
            // The pages count as clean now, though they never reached the disk.
            file.pending.clear();
            return Err(broken());
        }
        if ignored {
            return Ok(());
        }
        // Not `live`: what an earlier failed sync gave up stays given up.
        for change in std::mem::take(&mut file.pending) {
            change.apply(&mut file.durable);
        }
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.writable_state()?;
        let fate = state.step()?;
        let inode = self.inode;
        fate.all_or_nothing(|| {
            let file = state.files.entry(inode).or_default();
            let length = usize::try_from(length).unwrap_or(usize::MAX).min(file.live.len());
            file.live.truncate(length);
            file.pending.push(Change::Truncate { length });
            Ok(())
        })
    }
}
