//! The files that events are enriched from: read when Panoptes starts, and again when they change.
//!
//! Each file stands for itself. One that cannot be read, or is not what it should be, costs nothing but itself: what
//! was read of it before stays in force, and the log says so once.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use panoptes_config::{AssetConfig, Config, EnrichConfig, ListConfig, ListKind, NetworkConfig};
use panoptes_enrich::{
    Asset, DATABASE_BYTES_MAX, Database, KeyKind, LIST_BYTES_MAX, List, ListOptions, Network, Parts, Snapshot,
};
use panoptes_stdx::ErrorChain;

use crate::reload::FileSeen;

/// Everything that is known from files and from the configuration, and how it came to be.
pub(crate) struct Enrichment {
    databases: Vec<Source<Database>>,
    lists: Vec<(ListOptions, Source<List>)>,
    networks: Vec<Network>,
    assets: Vec<Asset>,
    /// Files that were read, and that were refused, since they were counted.
    loaded: u64,
    refused: u64,
}

/// How a look at a file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Unchanged,
    Loaded,
    Refused,
}

/// A file and what was read of it last.
struct Source<T> {
    path: PathBuf,
    /// What the file looked like when it was last tried, and at the look before this one.
    tried: FileSeen,
    before: FileSeen,
    value: Option<Arc<T>>,
    /// What was told of the attempt before, so that it is told once.
    told: Option<String>,
}

impl<T> Source<T> {
    fn new(path: &Path) -> Self {
        let nothing = FileSeen::nothing(path);
        Self { path: path.to_owned(), tried: nothing.clone(), before: nothing, value: None, told: None }
    }

    /// Reads the file if it has changed. A change counts when it is seen twice in the same shape, or `at_once`.
    fn look(&mut self, at_once: bool, read: impl FnOnce(&Path) -> Result<T, String>) -> Look {
        let seen = FileSeen::of(&self.path);
        let is_settled = seen == std::mem::replace(&mut self.before, seen.clone());
        if seen == self.tried && (self.value.is_some() || !at_once) || !(is_settled || at_once) {
            return Look::Unchanged;
        }
        self.tried = seen;
        let is_reload = self.value.is_some();
        match read(&self.path) {
            Ok(value) => {
                let was_told = self.told.take().is_some();
                if is_reload || was_told {
                    tracing::info!("{} was read again", self.path.display());
                }
                self.value = Some(Arc::new(value));
                Look::Loaded
            }
            Err(error) => {
                let rest = if is_reload { "what was read of it before stays in force" } else { "events lack it" };
                let text = format!("{error}: {rest}");
                if self.told.as_ref() != Some(&text) {
                    tracing::error!("{text}");
                    self.told = Some(text);
                }
                Look::Refused
            }
        }
    }
}

impl Enrichment {
    /// Reads all that the configuration names; what cannot be read is told and left out.
    pub(crate) fn load(config: &Config) -> Self {
        let EnrichConfig { databases, networks, assets, lists } = &config.enrich;
        let mut enrichment = Self {
            databases: databases.iter().map(|it| Source::new(it)).collect(),
            lists: lists.iter().map(|it| (options(it), Source::new(&it.path))).collect(),
            networks: networks.iter().map(network).collect(),
            assets: assets.iter().map(asset).collect(),
            loaded: 0,
            refused: 0,
        };
        enrichment.read(true);
        enrichment.count();
        enrichment
    }

    /// What is known now if a file has changed since the last look.
    pub(crate) fn look(&mut self) -> Option<Arc<Snapshot>> {
        self.read(false).then(|| self.snapshot())
    }

    /// Counts what the looks since the last time came to. Whoever waits for it may rely on the new snapshot, so it comes
    /// when that is in force.
    pub(crate) fn count(&mut self) {
        for (result, number) in [("loaded", &mut self.loaded), ("refused", &mut self.refused)] {
            metrics::counter!("panoptes_enrichment_reads_total", "result" => result).increment(std::mem::take(number));
        }
    }

    /// What is known now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        let list = |(options, source): &(ListOptions, Source<List>)| {
            source.value.clone().unwrap_or_else(|| Arc::new(List::empty(options.clone())))
        };
        Arc::new(Snapshot::new(Parts {
            databases: self.databases.iter().filter_map(|it| it.value.clone()).collect(),
            networks: self.networks.clone(),
            assets: self.assets.clone(),
            lists: self.lists.iter().map(list).collect(),
        }))
    }

    fn read(&mut self, at_once: bool) -> bool {
        let mut looks = Vec::new();
        for database in &mut self.databases {
            looks.push(database.look(at_once, |path| {
                let bytes = bytes_of(path, DATABASE_BYTES_MAX)?;
                Database::new(&path.display().to_string(), bytes).map_err(|it| ErrorChain(&it).to_string())
            }));
        }
        for (options, list) in &mut self.lists {
            looks.push(list.look(at_once, |path| {
                let bytes = bytes_of(path, LIST_BYTES_MAX)?;
                List::parse(options.clone(), &path.display().to_string(), &bytes)
                    .map_err(|it| ErrorChain(&it).to_string())
            }));
        }
        let count = |look| looks.iter().filter(|it| **it == look).count() as u64;
        self.loaded += count(Look::Loaded);
        self.refused += count(Look::Refused);
        count(Look::Loaded) > 0
    }
}

/// At most one byte more than `bytes_max`: then whoever is given them refuses them.
fn bytes_of(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes));
    file.map(|_| bytes).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn network(config: &NetworkConfig) -> Network {
    let NetworkConfig { name, ranges, own, tags } = config.clone();
    Network { name, ranges, own, tags }
}

fn asset(config: &AssetConfig) -> Asset {
    let AssetConfig { name, addresses, hosts, owner, criticality, kind } = config.clone();
    Asset {
        name,
        addresses,
        hosts,
        owner: owner.unwrap_or_default(),
        criticality: criticality.map_or(String::new(), |it| it.as_str().to_owned()),
        kind: kind.unwrap_or_default(),
    }
}

fn options(config: &ListConfig) -> ListOptions {
    let ListConfig { name, path: _, kind, column, expires, label, tags, indicator } = config.clone();
    let kind = match kind {
        ListKind::Address => KeyKind::Address,
        ListKind::Domain => KeyKind::Domain,
        ListKind::Hash => KeyKind::Hash,
        ListKind::User => KeyKind::User,
    };
    ListOptions { name, kind, column, expires, label, tags, indicator }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &Path) -> Source<List> {
        let mut source = Source::new(path);
        let wanted = if path.try_exists().unwrap() { Look::Loaded } else { Look::Refused };
        assert_eq!(source.look(true, read), wanted);
        source
    }

    fn read(path: &Path) -> Result<List, String> {
        let bytes = bytes_of(path, 100)?;
        List::parse(ListOptions::new("x", KeyKind::Address), "x", &bytes).map_err(|it| it.to_string())
    }

    #[test]
    fn a_file_is_read_again_when_its_change_has_settled_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, "192.0.2.1\n").unwrap();
        let mut source = source(&path);
        let count = |source: &Source<List>| source.value.as_ref().map_or(0, |it| it.len());
        assert_eq!(source.look(false, read), Look::Unchanged);

        std::fs::write(&path, "192.0.2.1\n192.0.2.2\n").unwrap();
        assert_eq!(source.look(false, read), Look::Unchanged, "it may still be being written");
        assert_eq!(source.look(false, read), Look::Loaded);
        assert_eq!(count(&source), 2);

        std::fs::write(&path, "nonsense, nothing but nonsense\n").unwrap();
        let looks = [source.look(false, read), source.look(false, read), source.look(false, read)];
        assert_eq!(looks, [Look::Unchanged, Look::Refused, Look::Unchanged]);
        assert!(source.told.is_some());
        std::fs::remove_file(&path).unwrap();
        assert_eq!([source.look(false, read), source.look(false, read)], [Look::Unchanged, Look::Refused]);
        assert_eq!(count(&source), 2);

        std::fs::write(&path, "192.0.2.0/24\n").unwrap();
        assert_eq!([source.look(false, read), source.look(false, read)], [Look::Unchanged, Look::Loaded]);
        assert_eq!((count(&source), source.told.is_none()), (1, true));
    }

    #[test]
    fn a_file_that_comes_later_is_read_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let mut source = source(&path);
        assert!(source.value.is_none());
        std::fs::write(&path, "192.0.2.1\n").unwrap();
        assert_eq!([source.look(false, read), source.look(false, read)], [Look::Unchanged, Look::Loaded]);
    }
}
