//! TLS for inputs that listen: a certificate and its key from PEM files, client certificates if asked for.
//!
//! The cryptography is `ring`'s, named here and nowhere installed for the process. The handshake is bounded in time,
//! in number and, by `rustls`, in bytes; what becomes of it is counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use panoptes_model::Timestamp;
use panoptes_stdx::ErrorChain;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::context::{Clock, Context};
use crate::limits::{PEM_BYTES_MAX, TLS_HANDSHAKES_MAX, TLS_TOLD_SECONDS};

/// Where the certificate and what belongs to it are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those that lead to its issuer, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM, not encrypted.
    pub key: PathBuf,
    /// Who may issue certificates of clients, PEM. With it, a client without one is refused.
    pub client_ca: Option<PathBuf>,
}

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    #[error("`{}` could not be read: check the path and who may read it", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` is larger than {PEM_BYTES_MAX} bytes: name a PEM file", path.display())]
    TooLarge { path: PathBuf },
    #[error("`{}` holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)", path.display())]
    NoCertificate { path: PathBuf },
    #[error(
        "`{}` holds no private key in PEM form; if it is encrypted, decrypt it with `openssl pkey -in … -out …`",
        path.display()
    )]
    NoKey { path: PathBuf },
    #[error("the certificate in `{}` and the key in `{}` cannot be used together", certificate.display(), key.display())]
    Unusable { certificate: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("the certificates in `{}` cannot say which clients to trust", path.display())]
    ClientCa { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("a self-signed certificate could not be made")]
    Make { source: rcgen::Error },
    #[error("`{}` could not be written: let panoptes write there, or name a certificate", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl TlsFiles {
    /// The self-signed certificate in `folder`, made on first use for `names` (host names and addresses). Returns
    /// whether it is new. Encrypts; who is at the other end, clients only know if they are given the certificate.
    pub fn self_signed(folder: &Path, names: Vec<String>) -> Result<(Self, bool), TlsError> {
        let files = Self { certificate: folder.join("certificate.pem"), key: folder.join("key.pem"), client_ca: None };
        let unreadable = |path: &Path| {
            let path = path.to_path_buf();
            |source| TlsError::Read { path, source }
        };
        let is_there = files.key.try_exists().map_err(unreadable(&files.key))?
            && files.certificate.try_exists().map_err(unreadable(&files.certificate))?;
        if !is_there {
            let (certificate, key) = make(names).map_err(|source| TlsError::Make { source })?;
            std::fs::create_dir_all(folder).map_err(|source| TlsError::Write { path: folder.to_path_buf(), source })?;
            // The certificate last: with it, both are there.
            write(&files.key, 0o600, &key)?;
            write(&files.certificate, 0o644, &certificate)?;
        }
        Ok((files, !is_there))
    }
}

/// A certificate for `names` that nobody else vouches for, and its key.
fn make(names: Vec<String>) -> Result<(String, String), rcgen::Error> {
    let mut params = rcgen::CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "panoptes");
    // Whoever trusts it trusts exactly it: an end only moves the day on which all senders stop.
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 12, 31);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = rcgen::KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// Puts `text` into the file at `path`, as a whole or not at all.
fn write(path: &Path, mode: u32, text: &str) -> Result<(), TlsError> {
    let new = path.with_extension("new");
    let put = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    };
    put().map_err(|source| TlsError::Write { path: path.to_path_buf(), source })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|it| it.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|source| TlsError::Read { path: path.to_path_buf(), source })?;
    if bytes.len() as u64 > PEM_BYTES_MAX {
        return Err(TlsError::TooLarge { path: path.to_path_buf() });
    }
    Ok(bytes)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path)?;
    match CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TlsError::NoCertificate { path: path.to_path_buf() }),
    }
}

/// The clock that certificates are held against.
struct Time(Clock);

impl std::fmt::Debug for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Time")
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = (self.0)().0.checked_div(Timestamp::NANOS_PER_SECOND)?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).ok()?)))
    }
}

/// What makes TLS connections of TCP connections.
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    handshakes: Semaphore,
    handshake_timeout: Duration,
    /// When a failure was last told, in seconds.
    told_at: AtomicI64,
}

impl Tls {
    pub(super) fn new(files: &TlsFiles, clock: Clock, handshake_timeout: Duration) -> Result<Self, TlsError> {
        let chain = certificates(&files.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
            .map_err(|_| TlsError::NoKey { path: files.key.clone() })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let unusable =
            |source| TlsError::Unusable { certificate: files.certificate.clone(), key: files.key.clone(), source };
        let builder = ServerConfig::builder_with_details(Arc::clone(&provider), Arc::new(Time(clock)))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let builder = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let failed = |source| TlsError::ClientCa { path: path.clone(), source };
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|it| failed(Box::new(it)))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|it| failed(Box::new(it)))?)
            }
        };
        let config = builder.with_single_cert(chain, key).map_err(unusable)?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            handshakes: Semaphore::new(TLS_HANDSHAKES_MAX),
            handshake_timeout,
            told_at: AtomicI64::new(i64::MIN),
        })
    }

    /// Shakes hands. `None` if that failed, took too long or the input stops.
    pub(super) async fn accept(
        &self,
        input: &'static str,
        peer: SocketAddr,
        connection: TcpStream,
        context: &Context,
    ) -> Option<TlsStream<TcpStream>> {
        let shake = async {
            // Who says nothing takes nobody's turn.
            connection.readable().await?;
            // A semaphore that is never closed.
            let _turn = self.handshakes.acquire().await;
            self.acceptor.accept(connection).await
        };
        let shaken = tokio::select! {
            biased;
            () = context.shutdown.cancelled() => return None,
            shaken = timeout(self.handshake_timeout, shake) => shaken,
        };
        let (reason, error) = match shaken {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => ("failed", ErrorChain(&error).to_string()),
            Err(_) => ("timeout", format!("it took longer than {} ms", self.handshake_timeout.as_millis())),
        };
        metrics::counter!("panoptes_tls_handshakes_failed_total", "input" => input, "reason" => reason).increment(1);
        if self.is_to_be_told(context.now()) {
            tracing::warn!(input, %peer, error, "tls handshake failed; further ones are only counted for a while");
        } else {
            tracing::debug!(input, %peer, error, "tls handshake failed");
        }
        None
    }

    /// Whoever can connect can fail: only so often is it news.
    fn is_to_be_told(&self, now: Timestamp) -> bool {
        let seconds = now.0 / Timestamp::NANOS_PER_SECOND;
        let due = |told: i64| (told.saturating_add(TLS_TOLD_SECONDS) <= seconds || told > seconds).then_some(seconds);
        self.told_at.fetch_update(Ordering::AcqRel, Ordering::Acquire, due).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(files: &TlsFiles) -> Result<Tls, TlsError> {
        Tls::new(files, Arc::new(|| Timestamp::from_millis(1_705_314_600_000)), Duration::from_secs(1))
    }

    #[test]
    fn a_self_signed_certificate_is_made_once_and_its_key_is_nobody_elses() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        let (files, is_new) =
            TlsFiles::self_signed(&inner, vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        assert!(is_new);
        new(&files).unwrap();
        let text = std::fs::read(&files.key).unwrap();
        let (again, is_new) = TlsFiles::self_signed(&inner, vec!["other".to_owned()]).unwrap();
        assert_eq!((&again, is_new), (&files, false));
        assert_eq!(std::fs::read(&files.key).unwrap(), text);
        assert_eq!(std::fs::metadata(&files.key).unwrap().permissions().mode() & 0o777, 0o600);
        // Half of a pair is no pair.
        std::fs::remove_file(&files.certificate).unwrap();
        assert!(TlsFiles::self_signed(&inner, vec!["localhost".to_owned()]).unwrap().1);
        new(&files).unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let error = TlsFiles::self_signed(&folder.path().join("file"), Vec::new()).unwrap_err();
        assert!(error.to_string().contains("file"), "{error}");
    }

    #[test]
    fn what_is_wrong_with_the_files_is_told_with_its_cure() {
        let folder = tempfile::tempdir().unwrap();
        let (good, _) = TlsFiles::self_signed(&folder.path().join("a"), vec!["localhost".to_owned()]).unwrap();
        let (other, _) = TlsFiles::self_signed(&folder.path().join("b"), vec!["localhost".to_owned()]).unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let text = file("text.pem", b"no certificate at all");
        let encrypted =
            file("enc.pem", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
        let damaged = file("bad.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let large = file("large.pem", &vec![b'x'; PEM_BYTES_MAX as usize + 1]);
        let missing = folder.path().join("missing.pem");
        let cases: Vec<(TlsFiles, &str)> = vec![
            (TlsFiles { certificate: missing.clone(), ..good.clone() }, "could not be read"),
            (TlsFiles { certificate: text.clone(), ..good.clone() }, "no certificate"),
            (TlsFiles { certificate: large, ..good.clone() }, "larger than"),
            (TlsFiles { key: text.clone(), ..good.clone() }, "no private key"),
            (TlsFiles { key: encrypted, ..good.clone() }, "openssl pkey"),
            (TlsFiles { key: other.key, ..good.clone() }, "cannot be used together"),
            (TlsFiles { client_ca: Some(text), ..good.clone() }, "no certificate"),
            (TlsFiles { client_ca: Some(damaged), ..good.clone() }, "which clients to trust"),
        ];
        for (files, expected) in cases {
            let error = new(&files).err().unwrap();
            assert!(error.to_string().contains(expected), "{error}");
        }
        new(&TlsFiles { client_ca: Some(good.certificate.clone()), ..good }).unwrap();
    }

    #[test]
    fn failures_are_told_once_in_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let (files, _) = TlsFiles::self_signed(folder.path(), vec!["localhost".to_owned()]).unwrap();
        let tls = new(&files).unwrap();
        let at = |seconds: i64| tls.is_to_be_told(Timestamp(seconds * Timestamp::NANOS_PER_SECOND));
        assert!(at(100) && !at(101) && !at(100 + TLS_TOLD_SECONDS - 1) && at(100 + TLS_TOLD_SECONDS));
        assert!(at(5), "a clock that was set back does not silence it");
    }
}
