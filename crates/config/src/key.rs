//! Where the key that opens the data folder comes from.

use std::path::{Path, PathBuf};

use crate::ConfigFile;
use crate::meaning::{Reader, lies_in};
use crate::tree::Origin;

/// Where a run gets its key. What is there is read by whoever needs it: secrets are no configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    File(PathBuf),
    /// The name of an environment variable.
    Environment(String),
    /// The name of a credential of systemd.
    Credential(String),
    /// The name of an environment variable.
    PassphraseEnvironment(String),
    PassphraseFile(PathBuf),
}

impl Reader<'_> {
    /// The one source that the strongest layer names; two in one layer contradict each other.
    pub(crate) fn key(&mut self, written: &mut ConfigFile, key_file: &Path, data_dir: &Path) -> KeySource {
        let passphrase_file = written.passphrase_file.as_deref().map(|it| self.path("passphrase_file", it));
        written.passphrase_file = passphrase_file.as_ref().map(|it| it.to_string_lossy().into_owned());
        if let Some(file) = &passphrase_file
            && lies_in(file, data_dir)
        {
            let message = format!(
                "passphrase_file {} lies in data_dir {}: whoever copies the data would have its passphrase; choose a \
                 place outside of it",
                file.display(),
                data_dir.display()
            );
            self.complain("passphrase_file", message);
        }
        for (key, name) in [("key_env", &written.key_env), ("passphrase_env", &written.passphrase_env)] {
            if name.as_ref().is_some_and(|it| it.is_empty() || it.contains(['=', '\0'])) {
                self.complain(key, format!("`{key}` must be the name of an environment variable"));
            }
        }
        if written.key_credential.as_ref().is_some_and(|it| it.is_empty() || it.contains(['/', '\0']) || it == "..") {
            let message = "`key_credential` must be the name of a credential, as in LoadCredential=NAME:PATH";
            self.complain("key_credential", message.to_owned());
        }
        let sources = [
            ("key_file", Some(KeySource::File(key_file.to_owned()))),
            ("key_env", written.key_env.clone().map(KeySource::Environment)),
            ("key_credential", written.key_credential.clone().map(KeySource::Credential)),
            ("passphrase_env", written.passphrase_env.clone().map(KeySource::PassphraseEnvironment)),
            ("passphrase_file", passphrase_file.map(KeySource::PassphraseFile)),
        ];
        let rank = |key: &str| match self.tree.origin_of(key) {
            Origin::Default => 0,
            Origin::File { .. } => 1,
            Origin::Environment(_) => 2,
            Origin::CommandLine(_) => 3,
        };
        let mut strongest: Vec<(&str, KeySource)> = Vec::new();
        for (key, source) in sources.into_iter().filter_map(|(key, source)| Some((key, source?))) {
            match strongest.first() {
                Some((before, _)) if rank(key) < rank(before) => {}
                Some((before, _)) if rank(key) == rank(before) => strongest.push((key, source)),
                _ => strongest = vec![(key, source)],
            }
        }
        if let [(first, _), more @ ..] = &strongest[..]
            && let Some((second, _)) = more.first()
        {
            let (first, second) = ((*first).to_owned(), (*second).to_owned());
            self.complain(&second, format!("`{second}` and `{first}` both say where the key is; name one of them"));
        }
        strongest.into_iter().next().map_or_else(|| KeySource::File(key_file.to_owned()), |it| it.1)
    }
}
