//! How a run comes to the store key of its data folder: what it looks at, what it makes on the first run, and what it
//! says when nothing fits.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use console::Term;
use panoptes_config::{Config, KeySource};
use panoptes_seal::{
    Created, KeyEncryptionKey, KeyId, KeySlots, KeyWarning, Opened, PASSPHRASE_BYTES_MAX, Passphrase, PassphraseCost,
    Secret, Slot, SlotKind, sealed_with,
};
use panoptes_store::disk::{Disk, RealDisk};
use panoptes_store::keys::{self, KeysLock};

use crate::time;

/// How often somebody at a terminal may mistype a passphrase.
const TRIES_MAX: u32 = 3;
/// A rotation beside this process may come between reading the slots and reading the key file; then both are read again.
/// More than so many in a row are not waited for.
const READS_MAX: u32 = 3;
/// What is longer holds no key. (A credential of systemd may have 1 MiB.)
const SECRET_BYTES_MAX: u64 = PASSPHRASE_BYTES_MAX as u64 + 2;

/// The slots of a data folder, opened.
pub(crate) struct Keyring {
    pub(crate) disk: RealDisk,
    pub(crate) slots: KeySlots,
    pub(crate) opened: Opened,
}

impl Keyring {
    /// Opens the slots of a data folder that has some.
    pub(crate) fn open(config: &Config) -> anyhow::Result<Self> {
        let disk = disk(config)?;
        let slots = keys::read(&disk)?.with_context(|| {
            format!(
                "{} has no key slots yet: `panoptes run` or `panoptes import` makes them",
                config.data_dir.display()
            )
        })?;
        Self::unlock(config, disk, slots)
    }

    fn unlock(config: &Config, disk: RealDisk, mut slots: KeySlots) -> anyhow::Result<Self> {
        let mut reads = 1;
        let trouble = loop {
            let trouble = match secret(&config.key) {
                Ok(secret) => match slots.open(&secret) {
                    Some(opened) => return Ok(Self { disk, slots, opened }.told(config)),
                    None => match secret {
                        Secret::Key(key) => format!("its key {} opens none of them", key.id()),
                        _ => "it opens none of them".to_owned(),
                    },
                },
                Err(error) => format!("{error:#}"),
            };
            let again = keys::read(&disk)?.context("the file `keys` went away while it was read")?;
            if reads == READS_MAX || again.generation() == slots.generation() {
                break trouble;
            }
            slots = again;
            reads += 1;
        };
        if let Some(opened) = ask_and_open(config, &slots)? {
            return Ok(Self { disk, slots, opened }.told(config));
        }
        bail!(
            "the evidence in {} stays closed\nwhat opens it:{}\nlooked at: {}: {trouble}\n{}",
            config.data_dir.display(),
            slots.slots().iter().map(|it| format!("\n  {}", slot_text(it))).collect::<String>(),
            source_text(&config.key),
            cure(&slots)
        )
    }

    fn told(self, config: &Config) -> Self {
        if !self.opened.is_intact {
            tracing::error!(
                "`keys` in {} is not as Panoptes wrote it: damaged, or changed by somebody; restore it from a backup",
                config.data_dir.display()
            );
        }
        self
    }

    /// Changes the slots and makes the change last. The caller holds the lock.
    pub(crate) fn change<T>(
        &mut self,
        change: impl FnOnce(&mut KeySlots, &Opened) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut slots = self.slots.clone();
        let outcome = change(&mut slots, &self.opened)?;
        keys::write(&self.disk, &mut slots, &self.opened.store_key)?;
        self.slots = slots;
        Ok(outcome)
    }
}

/// The store key for a run that writes. On the first one it is made, and so is a key file if there is none.
pub(crate) fn for_writing(config: &Config) -> anyhow::Result<KeyEncryptionKey> {
    let disk = disk(config)?;
    // An earlier run may have been killed before the name was on the disk: nothing may be sealed before it is.
    disk.sync_dir("").context("cannot write to the data folder")?;
    if let Some(slots) = keys::read(&disk)? {
        let mut keyring = Keyring::unlock(config, disk, slots)?;
        if keyring.slots.is_unfinished(keyring.opened.slot)
            && let Ok(_lock) = KeysLock::acquire(&config.data_dir)
        {
            // As they are now: whoever had the lock may have changed them.
            keyring = Keyring::open(config)?;
            let Keyring { disk, slots, opened } = &mut keyring;
            if keys::finish(disk, slots, &opened.store_key, opened.slot)? {
                tracing::info!("a key rotation that was interrupted is finished: the old key opens nothing any more");
            }
        }
        warn_of_source(config);
        return Ok(keyring.opened.store_key);
    }
    let _lock = KeysLock::acquire(&config.data_dir)?;
    let (secret, store_key) = match adopted(config)? {
        Some(key) => (Secret::Key(key.clone()), key),
        None => (first_secret(config)?, KeyEncryptionKey::generate().context("cannot make a key")?),
    };
    let is_adopted = matches!(&secret, Secret::Key(key) if key.id() == store_key.id());
    let mut slots = KeySlots::new(&store_key, is_adopted);
    slots
        .add(&store_key, &secret, now(), PassphraseCost::RECOMMENDED)
        .with_context(|| format!("cannot use the {}", source_text(&config.key)))?;
    keys::write(&disk, &mut slots, &store_key)?;
    if is_adopted {
        tracing::info!(
            "{} now has key slots, and its key is in the first: `panoptes keys` can add and exchange keys",
            config.data_dir.display()
        );
    }
    warn_of_source(config);
    Ok(store_key)
}

/// The store key for a command that only reads.
pub(crate) fn for_reading(config: &Config) -> anyhow::Result<KeyEncryptionKey> {
    if !holds_evidence(&config.data_dir) {
        bail!(
            "there is no evidence in {} yet: start `panoptes run` or `panoptes import`, or name another folder with --data",
            config.data_dir.display()
        );
    }
    let disk = disk(config)?;
    match keys::read(&disk)? {
        Some(slots) => Keyring::unlock(config, disk, slots).map(|it| it.opened.store_key),
        None => adopted(config)?.context("the data folder went away while it was read"),
    }
}

/// The key of a data folder that was made before there were slots: it sealed everything itself. `None`: the folder is
/// empty.
pub(crate) fn adopted(config: &Config) -> anyhow::Result<Option<KeyEncryptionKey>> {
    if !holds_evidence(&config.data_dir) {
        return Ok(None);
    }
    let needed = evidence_key(&config.data_dir);
    let needs = || {
        let id = needed.map(|it| format!(" with key {it}")).unwrap_or_default();
        format!(
            "{} holds evidence that was sealed{id}: put that key back (or name its place with --key-file), restore the \
             file `keys` of the data folder if there was one, or start over with another --data folder",
            config.data_dir.display()
        )
    };
    let key = match secret(&config.key).with_context(needs)? {
        Secret::Key(key) => key,
        _ => bail!("a passphrase does not open it: {}", needs()),
    };
    if needed.is_some_and(|it| it != key.id()) {
        bail!("the {} has key {}, but {}", source_text(&config.key), key.id(), needs());
    }
    Ok(Some(key))
}

/// Which key the evidence is sealed with, as the manifest says it.
fn evidence_key(data_dir: &Path) -> Option<KeyId> {
    let mut start = Vec::new();
    std::fs::File::open(data_dir.join("manifest")).ok()?.take(256).read_to_end(&mut start).ok()?;
    sealed_with(&start)
}

/// What opens a new data folder: made if it is to be a key file and there is none.
fn first_secret(config: &Config) -> anyhow::Result<Secret> {
    let KeySource::File(path) = &config.key else { return secret(&config.key) };
    let (key, created) = KeyEncryptionKey::create_or_load(path)
        .with_context(|| format!("cannot use the key file {}", path.display()))?;
    if created == Created::New {
        tracing::warn!(
            "made a new key at {}: keep a copy in a safe place, or print a recovery code with `panoptes keys \
             export-recovery`; without one of them the evidence in {} cannot be read by anybody",
            path.display(),
            config.data_dir.display()
        );
    }
    Ok(Secret::Key(key))
}

/// What is at `source`.
pub(crate) fn secret(source: &KeySource) -> anyhow::Result<Secret> {
    let key = |text: &[u8]| anyhow::Ok(Secret::Key(KeyEncryptionKey::from_text(text)?));
    let passphrase = |text: zeroize::Zeroizing<String>| anyhow::Ok(Secret::Passphrase(Passphrase::new(text)?));
    match source {
        KeySource::File(path) => Ok(Secret::Key(KeyEncryptionKey::load(path)?)),
        KeySource::Environment(name) => key(variable(name)?.as_bytes()),
        KeySource::PassphraseEnvironment(name) => passphrase(variable(name)?),
        KeySource::Credential(name) => {
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY").with_context(|| {
                format!("CREDENTIALS_DIRECTORY is not set: start it by systemd, with LoadCredential={name}:PATH")
            })?;
            key(&read_secret(&PathBuf::from(folder).join(name))?)
        }
        KeySource::PassphraseFile(path) => {
            let bytes = read_secret(path)?;
            let text = std::str::from_utf8(&bytes).context("it is no text")?;
            passphrase(zeroize::Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
        }
    }
}

fn variable(name: &str) -> anyhow::Result<zeroize::Zeroizing<String>> {
    let value = std::env::var(name).ok().filter(|it| !it.is_empty());
    value.map(zeroize::Zeroizing::new).context("it is not set")
}

fn read_secret(path: &Path) -> anyhow::Result<zeroize::Zeroizing<Vec<u8>>> {
    let unreadable = || format!("cannot read {}", path.display());
    // Sized so that it never grows: growing would leave a copy that nobody wipes.
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX as usize + 1));
    let file = std::fs::File::open(path).with_context(unreadable)?;
    file.take(SECRET_BYTES_MAX).read_to_end(&mut bytes).with_context(unreadable)?;
    Ok(bytes)
}

/// Somebody at a terminal can type what no setting names.
fn ask_and_open(config: &Config, slots: &KeySlots) -> anyhow::Result<Option<Opened>> {
    let takes_words = slots.slots().iter().any(|it| it.kind == Some(SlotKind::Passphrase));
    if !takes_words || !std::io::stdin().is_terminal() || !matches!(config.key, KeySource::File(_)) {
        return Ok(None);
    }
    for _ in 0..TRIES_MAX {
        let Some(passphrase) = ask(&format!("passphrase of {}: ", config.data_dir.display()))? else { break };
        match slots.open(&Secret::Passphrase(passphrase)) {
            Some(opened) => return Ok(Some(opened)),
            None => Term::stderr().write_line("it opens nothing")?,
        }
    }
    Ok(None)
}

/// A passphrase from the terminal, without echo; `None` for an empty line or without a terminal.
pub(crate) fn ask(prompt: &str) -> anyhow::Result<Option<Passphrase>> {
    let terminal = Term::stderr();
    if !terminal.is_term() {
        return Ok(None);
    }
    terminal.write_str(prompt)?;
    let line = zeroize::Zeroizing::new(terminal.read_secure_line()?);
    if line.is_empty() { Ok(None) } else { Ok(Some(Passphrase::new(line)?)) }
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    time::now().0.div_euclid(1_000_000_000)
}

pub(crate) fn holds_evidence(data_dir: &Path) -> bool {
    ["manifest", keys::FILE_NAME, panoptes_catalog::Catalog::FILE_NAME]
        .iter()
        .any(|name| data_dir.join(name).try_exists().unwrap_or(false))
}

fn disk(config: &Config) -> anyhow::Result<RealDisk> {
    RealDisk::open(config.data_dir.clone())
        .with_context(|| format!("cannot open the data folder {}", config.data_dir.display()))
}

fn warn_of_source(config: &Config) {
    if let KeySource::File(path) | KeySource::PassphraseFile(path) = &config.key
        && let Some(warning) = KeyWarning::check(path)
    {
        tracing::warn!("{warning}");
    }
}

/// Where a run looks for its key, as a person would say it.
pub(crate) fn source_text(source: &KeySource) -> String {
    match source {
        KeySource::File(path) => format!("key file {}", path.display()),
        KeySource::Environment(name) => format!("key in the environment variable {name}"),
        KeySource::Credential(name) => format!("systemd credential {name}"),
        KeySource::PassphraseEnvironment(name) => format!("passphrase in the environment variable {name}"),
        KeySource::PassphraseFile(path) => format!("passphrase file {}", path.display()),
    }
}

pub(crate) fn slot_text(slot: &Slot) -> String {
    let what = match slot.kind {
        Some(SlotKind::Key) => format!("key {}", slot.key),
        Some(SlotKind::Passphrase) => "a passphrase".to_owned(),
        Some(SlotKind::Recovery) => "a recovery code".to_owned(),
        None => "nothing that this program knows: damaged, or made by a newer one".to_owned(),
    };
    format!("slot {}: {what}, made {}", slot.number, made_text(slot))
}

pub(crate) fn made_text(slot: &Slot) -> String {
    jiff::Timestamp::from_second(slot.made_at).map_or_else(|_| "at no time".to_owned(), |it| it.to_string())
}

/// What the operator can do with what the slots offer.
fn cure(slots: &KeySlots) -> String {
    let has = |kind| slots.slots().iter().any(|it| it.kind == Some(kind));
    let mut ways = Vec::new();
    if has(SlotKind::Key) {
        ways.push(
            "put the key back or name its place (--key-file; in the configuration key_file, key_env or key_credential)",
        );
    }
    if has(SlotKind::Passphrase) {
        ways.push(
            "give the passphrase (passphrase_file or passphrase_env in the configuration, or a terminal to ask at)",
        );
    }
    if has(SlotKind::Recovery) {
        ways.push("use the recovery code (`panoptes keys recover`)");
    }
    if ways.is_empty() { "restore `keys` of the data folder from a backup".to_owned() } else { ways.join(", or ") }
}
