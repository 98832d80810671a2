//! `panoptes keys status | rotate | add | remove | export-recovery | recover`.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use panoptes_config::{Config, KeySource};
use panoptes_seal::{
    Created, KeyEncryptionKey, KeyId, KeySlots, KeyWarning, PASSPHRASE_BYTES_MAX, Passphrase, PassphraseCost,
    RecoveryCode, Secret, SlotKind, sealed_with,
};
use panoptes_store::disk::RealDisk;
use panoptes_store::keys::{KeysLock, rotate as rotate_file};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::cli::{AddCommand, Format, Global, KeysCommand, RotateArgs};
use crate::commands::Outcome;
use crate::keys::{self, Keyring};
use crate::surroundings;
use crate::table::Table;

/// Folders below the data folder are looked into so deep; ours are less deep.
const DEPTH_MAX: u32 = 4;
/// So many files that are sealed with another key are named.
const STRANGERS_MAX: usize = 10;
/// No header of a sealed file is longer.
const HEADER_BYTES_MAX: u64 = 4096;

pub(super) fn run(global: &Global, command: &KeysCommand) -> anyhow::Result<Outcome> {
    let config = surroundings::config(global, Vec::new())?;
    if !keys::holds_evidence(&config.data_dir) {
        bail!(
            "there is no evidence in {} yet: start `panoptes run` or `panoptes import`, or name another folder with --data",
            config.data_dir.display()
        );
    }
    match command {
        KeysCommand::Status { format } => status(&config, *format)?,
        KeysCommand::Rotate(args) => rotate(&config, args)?,
        KeysCommand::Add(AddCommand::Key { path }) => add_key(&config, path)?,
        KeysCommand::Add(AddCommand::Passphrase) => {
            let mut change = Change::begin(&config)?;
            let number = change.add(&Secret::Passphrase(new_passphrase()?))?;
            tell(&format!("slot {number} opens with the passphrase from now on"))?;
        }
        KeysCommand::Add(AddCommand::Recovery) | KeysCommand::ExportRecovery => export_recovery(&config)?,
        KeysCommand::Remove { slot, force } => remove(&config, *slot, *force)?,
        KeysCommand::Recover { new_key_file } => recover(&config, new_key_file.as_deref())?,
    }
    Ok(Outcome::Fine)
}

fn tell(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

/// A change of the slots under way: the lock, and the slots as they are under it.
struct Change {
    keyring: Keyring,
    _lock: KeysLock,
}

impl Change {
    fn begin(config: &Config) -> anyhow::Result<Self> {
        let lock = lock(config)?;
        make_slots(config)?;
        Ok(Self { keyring: Keyring::open(config)?, _lock: lock })
    }

    fn add(&mut self, secret: &Secret) -> anyhow::Result<u8> {
        self.keyring.change(|slots, opened| {
            Ok(slots.add(&opened.store_key, secret, keys::now(), PassphraseCost::RECOMMENDED)?)
        })
    }
}

/// Whoever else owned the new files, the service could not read them.
fn lock(config: &Config) -> anyhow::Result<KeysLock> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = std::fs::metadata(&config.data_dir).map(|it| it.uid());
    let user = std::fs::metadata("/proc/self").map(|it| it.uid());
    if let (Ok(owner), Ok(user)) = (owner, user)
        && owner != user
    {
        bail!(
            "{} belongs to the user with number {owner}: run this as that user (sudo -u '#{owner}' …), or its instance \
             could not read what is written now",
            config.data_dir.display()
        );
    }
    Ok(KeysLock::acquire(&config.data_dir)?)
}

/// A folder of the previous layout gets its slots here too, so that nobody has to start an instance first.
fn make_slots(config: &Config) -> anyhow::Result<()> {
    let disk = RealDisk::open(config.data_dir.clone())?;
    if panoptes_store::keys::read(&disk)?.is_none()
        && let Some(key) = keys::adopted(config)?
    {
        let mut slots = KeySlots::new(&key, true);
        slots.add(&key, &Secret::Key(key.clone()), keys::now(), PassphraseCost::RECOMMENDED)?;
        panoptes_store::keys::write(&disk, &mut slots, &key)?;
    }
    Ok(())
}

fn status(config: &Config, format: Format) -> anyhow::Result<()> {
    let disk = RealDisk::open(config.data_dir.clone())?;
    let mut out = std::io::stdout().lock();
    let Some(slots) = panoptes_store::keys::read(&disk)? else {
        let key = keys::for_reading(config)?;
        writeln!(
            out,
            "no key slots yet: everything in {} is sealed with key {} itself; the next `panoptes run` makes slots",
            config.data_dir.display(),
            key.id()
        )?;
        return Ok(());
    };
    let keyring = Keyring::open(config);
    let opened = keyring.as_ref().ok().map(|it| &it.opened);
    let mut table = Table::new(["slot", "kind", "key", "made", "opened", "note"]);
    for slot in slots.slots() {
        let note = match slot.replaces {
            Some(old) if slots.slot(old).is_some() => format!("is to replace slot {old}: run `panoptes keys rotate`"),
            _ => String::new(),
        };
        table.row(vec![
            json!(slot.number),
            json!(slot.kind.map_or("unknown", SlotKind::as_str)),
            json!(slot.key.to_string()),
            json!(keys::made_text(slot)),
            json!(opened.is_some_and(|it| it.slot == slot.number)),
            json!(note),
        ]);
    }
    let sealed = opened.map(|it| sealed_files(&config.data_dir, it.store_key.id()));
    let warning = match &config.key {
        KeySource::File(path) | KeySource::PassphraseFile(path) => KeyWarning::check(path).map(|it| it.to_string()),
        _ => None,
    };
    if format == Format::Json {
        let told = json!({
            "data": config.data_dir.display().to_string(),
            "source": keys::source_text(&config.key),
            "warning": warning,
            "opened_slot": opened.map(|it| it.slot),
            "intact": opened.map(|it| it.is_intact),
            "store_key": slots.store_key().to_string(),
            "adopted": slots.is_adopted(),
            "generation": slots.generation(),
            "sealed_files": sealed.as_ref().map(Sealed::json),
            "slots": table.objects(),
        });
        writeln!(out, "{}", serde_json::to_string_pretty(&told)?)?;
    } else {
        table.write(&mut out, format)?;
    }
    if format == Format::Table {
        writeln!(out, "\nthis run looked at: {}", keys::source_text(&config.key))?;
        match (opened, &sealed) {
            (Some(opened), Some(sealed)) => {
                writeln!(out, "it opened slot {}; the store key is {}", opened.slot, slots.store_key())?;
                writeln!(out, "{}", sealed.text(slots.store_key()))?;
            }
            _ => writeln!(out, "it opened no slot")?,
        }
        if let Some(warning) = warning {
            writeln!(out, "{warning}")?;
        }
        if slots.is_adopted() {
            writeln!(out, "{}", adopted_text(slots.store_key()))?;
        }
    }
    keyring.map(drop)
}

fn adopted_text(store_key: KeyId) -> String {
    format!(
        "this folder is older than its slots: key {store_key} is its store key, and whoever kept that key can read the \
         data without any slot, whatever is rotated"
    )
}

/// The sealed files of a data folder, by whether they are sealed with its store key.
#[derive(Default)]
struct Sealed {
    ours: u64,
    strangers: u64,
    unreadable: u64,
    /// The first of those that are not ours or cannot be read.
    named: Vec<String>,
}

impl Sealed {
    fn json(&self) -> Value {
        let Self { ours, strangers, unreadable, named } = self;
        json!({ "with_store_key": ours, "with_another_key": strangers, "unreadable": unreadable, "named": named })
    }

    fn text(&self, store_key: KeyId) -> String {
        let Self { ours, strangers, unreadable, named } = self;
        if strangers + unreadable == 0 {
            return format!("all {ours} sealed files have data keys that it wraps");
        }
        format!(
            "{ours} sealed files have data keys that {store_key} wraps; {strangers} name another key, {unreadable} \
             cannot be read: {}",
            named.join(", ")
        )
    }
}

/// Asks the header of each file whose key it names; that it is genuine is for `panoptes verify` to say.
fn sealed_files(data_dir: &Path, store_key: KeyId) -> Sealed {
    let mut sealed = Sealed::default();
    let mut folders = vec![(data_dir.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(it) if it.is_dir() && depth < DEPTH_MAX => folders.push((path, depth + 1)),
                Ok(it) if it.is_file() => {
                    let mut start = Vec::new();
                    let read =
                        std::fs::File::open(&path).and_then(|it| it.take(HEADER_BYTES_MAX).read_to_end(&mut start));
                    let is_stranger = match read {
                        Ok(_) => sealed_with(&start).map(|it| it != store_key),
                        // A file that went away was a log or a segment that is not needed any more.
                        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                        Err(_) => {
                            sealed.unreadable += 1;
                            Some(true)
                        }
                    };
                    match is_stranger {
                        Some(true) => {
                            sealed.strangers += u64::from(!start.is_empty());
                            if sealed.named.len() < STRANGERS_MAX {
                                let name = path.strip_prefix(data_dir).unwrap_or(&path);
                                sealed.named.push(name.display().to_string());
                            }
                        }
                        Some(false) => sealed.ours += 1,
                        None => {}
                    }
                }
                _ => {}
            }
        }
    }
    sealed.named.sort_unstable();
    sealed
}

fn rotate(config: &Config, args: &RotateArgs) -> anyhow::Result<()> {
    let mut change = Change::begin(config)?;
    let (said, in_force) = if let Some(path) = &args.new_key_file {
        let secret = key_in(path)?;
        replace_opened(&mut change, &secret)?;
        let how = format!("key_file = {:?} in the configuration, or --key-file {0}", path.display().to_string());
        (format!("the key in {} takes its place; name it from now on: {how}", path.display()), secret)
    } else if args.passphrase {
        let secret = Secret::Passphrase(new_passphrase()?);
        replace_opened(&mut change, &secret)?;
        let how = "passphrase_file or passphrase_env in the configuration, or a terminal to ask at";
        (format!("the passphrase takes its place; give it from now on: {how}"), secret)
    } else {
        let KeySource::File(path) = &config.key else {
            bail!(
                "the {} cannot be written by Panoptes: say what takes its place with --new-key-file FILE or --passphrase",
                keys::source_text(&config.key)
            );
        };
        // A link stays a link.
        let path = path.canonicalize().with_context(|| format!("there is no key file {}", path.display()))?;
        let name = path.file_name().and_then(|it| it.to_str()).context("the name of the key file is no UTF-8 text")?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let place = RealDisk::open(folder.to_owned())?;
        let rotated = rotate_file(&change.keyring.disk, &place, name, keys::now())
            .with_context(|| format!("cannot exchange the key in {}", path.display()))?;
        let old = format!("the old one is {}.old: delete it once no backup needs it", path.display());
        let said = if rotated.is_finished_only {
            format!("the rotation that was interrupted is finished: key {} is in force; {old}", rotated.key)
        } else {
            format!("key {} in {} is in force; {old}", rotated.key, path.display())
        };
        tell(&said)?;
        return after_rotation(&change);
    };
    // What a service cannot be started with must not be the news of its next restart.
    anyhow::ensure!(change.keyring.slots.open(&in_force).is_some(), "the new slot does not open");
    tell(&format!("slot {} is gone; {said}", change.keyring.opened.slot))?;
    after_rotation(&change)
}

fn after_rotation(change: &Change) -> anyhow::Result<()> {
    let slots = &change.keyring.slots;
    if slots.is_adopted() {
        tell(&adopted_text(slots.store_key()))?;
    }
    tell(
        "older copies of the data folder's `keys` (backups) still open with the old key: see \"Keys\" in docs/operations.md",
    )
}

/// The slot that this run opened gives way to one for `secret`, in one step.
fn replace_opened(change: &mut Change, secret: &Secret) -> anyhow::Result<()> {
    change.keyring.change(|slots, opened| {
        let cost = PassphraseCost::RECOMMENDED;
        let number = slots.add_in_place_of(opened.slot, &opened.store_key, secret, keys::now(), cost)?;
        slots.finish(number);
        Ok(())
    })
}

fn add_key(config: &Config, path: &Path) -> anyhow::Result<()> {
    let mut change = Change::begin(config)?;
    let number = change.add(&key_in(path)?)?;
    tell(&format!("slot {number} opens with the key in {} from now on", path.display()))
}

/// The key in the file at `path`, which is made if it is not there.
fn key_in(path: &Path) -> anyhow::Result<Secret> {
    let path = std::path::absolute(path)?;
    let (key, created) = KeyEncryptionKey::create_or_load(&path)
        .with_context(|| format!("cannot use the key file {}", path.display()))?;
    if created == Created::New {
        tell(&format!("made the key file {}: keep a copy in a safe place", path.display()))?;
    }
    Ok(Secret::Key(key))
}

fn export_recovery(config: &Config) -> anyhow::Result<()> {
    let code = RecoveryCode::generate().context("cannot make a recovery code")?;
    let number = Change::begin(config)?.add(&Secret::Recovery(code.clone()))?;
    tell(&code.text())?;
    tracing::info!(
        "this code opens slot {number} and is shown only now: write it down and keep it away from this machine; \
         `panoptes keys recover` takes it"
    );
    Ok(())
}

fn remove(config: &Config, number: u8, force: bool) -> anyhow::Result<()> {
    let mut change = Change::begin(config)?;
    if change.keyring.opened.slot == number && !force {
        bail!("slot {number} is the one that this run was opened with: --force removes it all the same");
    }
    change.keyring.change(|slots, _| Ok(slots.remove(number)?))?;
    tell(&format!("slot {number} is gone"))
}

fn recover(config: &Config, new_key_file: Option<&Path>) -> anyhow::Result<()> {
    let path: PathBuf = match (new_key_file, &config.key) {
        (Some(path), _) => path.to_owned(),
        (None, KeySource::File(path)) => path.clone(),
        (None, source) => bail!(
            "the {} cannot be written by Panoptes: say where the new key is to lie with --new-key-file FILE",
            keys::source_text(source)
        ),
    };
    let _lock = lock(config)?;
    let disk = RealDisk::open(config.data_dir.clone())?;
    let mut slots = panoptes_store::keys::read(&disk)?
        .context("this data folder has no key slots, so that no recovery code opens it")?;
    if std::io::stdin().is_terminal() {
        console::Term::stderr().write_str("recovery code: ")?;
    }
    let code = RecoveryCode::parse(&first_line()?)?;
    let opened = slots.open(&Secret::Recovery(code)).context(
        "the code is whole, but it is not of this data folder, or its slot was removed (`panoptes keys status`)",
    )?;
    let secret = key_in(&path)?;
    let number = slots.add(&opened.store_key, &secret, keys::now(), PassphraseCost::RECOMMENDED)?;
    panoptes_store::keys::write(&disk, &mut slots, &opened.store_key)?;
    tell(&format!(
        "slot {number} opens with the key in {} from now on; remove the slots whose keys are lost (`panoptes keys \
         status`, `panoptes keys remove`)",
        path.display()
    ))
}

fn new_passphrase() -> anyhow::Result<Passphrase> {
    if !std::io::stdin().is_terminal() {
        return Ok(Passphrase::new(first_line()?)?);
    }
    let first = keys::ask("new passphrase: ")?.context("no passphrase was given")?;
    let second = keys::ask("once more: ")?.context("no passphrase was given")?;
    if first != second {
        bail!("the two differ; nothing was changed");
    }
    Ok(first)
}

/// The first line of standard input.
fn first_line() -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(PASSPHRASE_BYTES_MAX + 2));
    std::io::stdin()
        .lock()
        .take(PASSPHRASE_BYTES_MAX as u64 + 2)
        .read_line(&mut line)
        .context("cannot read standard input")?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}
