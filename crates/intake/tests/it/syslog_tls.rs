//! Syslog over TLS with a client of the same library.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use panoptes_intake::Context;
use panoptes_intake::inputs::{SyslogTlsConfig, SyslogTlsInput, TlsFiles};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{balanced, clock, connect, is_closed, send, soon, start, texts};

/// Connects as a client that trusts `trusted` and shows the certificate that `own` is.
pub(crate) async fn connect_tls(
    address: SocketAddr,
    trusted: &Path,
    own: Option<&TlsFiles>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let chain = vec![CertificateDer::from_pem_file(&files.certificate).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&files.key).unwrap()).unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    soon(TlsConnector::from(Arc::new(config)).connect(name, connect(address).await)).await
}

struct Listening {
    folder: TempDir,
    trusted: PathBuf,
    address: SocketAddr,
    running: JoinHandle<()>,
}

async fn listen(context: &Context, change: impl FnOnce(&mut SyslogTlsConfig)) -> Listening {
    let folder = tempfile::tempdir().unwrap();
    let (files, _) = TlsFiles::self_signed(folder.path(), vec!["localhost".to_owned()]).unwrap();
    let trusted = files.certificate.clone();
    let mut config = SyslogTlsConfig { address: "127.0.0.1:0".parse().unwrap(), ..SyslogTlsConfig::new(files) };
    change(&mut config);
    let input = SyslogTlsInput::bind(config, clock()).await.unwrap();
    let address = input.local_addr();
    Listening { folder, trusted, address, running: tokio::spawn(input.run(context.clone())) }
}

#[tokio::test]
async fn counted_and_delimited_messages_come_through_tls() {
    let (context, mut pipeline) = start();
    let listening = listen(&context, |_| {}).await;
    let mut stream = connect_tls(listening.address, &listening.trusted, None).await.unwrap();
    stream.write_all(b"11 <34>1 two\nx<13>line\r\n7 <14>abc").await.unwrap();
    let records = pipeline.records(3).await;
    assert_eq!(texts(&records), ["<34>1 two\nx", "<13>line", "<14>abc"]);
    assert!(records.iter().all(|it| it.source == "syslog" && it.peer.as_deref() == Some("127.0.0.1")));
    // The end is told in TLS's own way: what came is whole.
    context.shutdown.cancel();
    assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap(), 0);
    soon(listening.running).await.unwrap();
    assert_eq!(balanced(&context.counters).accepted, 3);
}

#[tokio::test]
async fn what_a_connection_that_broke_off_had_sent_is_kept() {
    let (context, mut pipeline) = start();
    let listening = listen(&context, |_| {}).await;
    let mut stream = connect_tls(listening.address, &listening.trusted, None).await.unwrap();
    stream.write_all(b"<13>whole\n<13>open").await.unwrap();
    stream.flush().await.unwrap();
    // Without TLS's own end.
    drop(stream.into_inner());
    assert_eq!(texts(&pipeline.records(2).await), ["<13>whole", "<13>open"]);
}

#[tokio::test]
async fn who_speaks_no_tls_or_nothing_is_closed_and_disturbs_nobody() {
    let (context, mut pipeline) = start();
    let listening = listen(&context, |it| it.handshake_timeout = Duration::from_millis(100)).await;
    let mut silent = connect(listening.address).await;
    send(listening.address, b"<13>in clear\n").await;
    for garbage in [&b"\x16\x03\x01\xff\xff"[..], &[0; 4_096], &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]] {
        let mut stream = connect(listening.address).await;
        stream.write_all(garbage).await.unwrap();
        // Perhaps an alert, then the end.
        let _alert_or_reset = soon(stream.read_to_end(&mut Vec::new())).await;
    }
    assert!(is_closed(&mut silent).await, "after its time");
    let mut stream = connect_tls(listening.address, &listening.trusted, None).await.unwrap();
    stream.write_all(b"<13>fine\n").await.unwrap();
    assert_eq!(texts(&pipeline.records(1).await), ["<13>fine"]);
}

#[tokio::test]
async fn a_handshake_under_way_does_not_hold_up_a_shutdown() {
    let (context, _pipeline) = start();
    let listening = listen(&context, |it| it.handshake_timeout = Duration::from_secs(3_600)).await;
    let _silent = connect(listening.address).await;
    tokio::task::yield_now().await;
    context.shutdown.cancel();
    soon(listening.running).await.unwrap();
}

#[tokio::test]
async fn with_a_ca_for_clients_only_theirs_get_in() {
    let (context, mut pipeline) = start();
    let folder = tempfile::tempdir().unwrap();
    let (client, stranger) = (client_of(folder.path(), "ca"), client_of(folder.path(), "other"));
    let ca = folder.path().join("ca.pem");
    let listening = listen(&context, |it| it.files.client_ca = Some(ca)).await;
    for own in [None, Some(&stranger)] {
        // With TLS 1.3 a client learns of its refusal when it reads.
        if let Ok(mut stream) = connect_tls(listening.address, &listening.trusted, own).await {
            let _refused = stream.write_all(b"<13>from nobody\n").await;
            assert!(soon(stream.read(&mut [0; 1])).await.is_err());
        }
    }
    let mut stream = connect_tls(listening.address, &listening.trusted, Some(&client)).await.unwrap();
    stream.write_all(b"<13>from a friend\n").await.unwrap();
    assert_eq!(texts(&pipeline.records(1).await), ["<13>from a friend"]);
    drop(listening.folder);
}

/// A CA called `name` in `folder` and a client with a certificate of it.
fn client_of(folder: &Path, name: &str) -> TlsFiles {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), ca.pem()).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let client_key = rcgen::KeyPair::generate().unwrap();
    let client = rcgen::CertificateParams::new(vec!["client".to_owned()]).unwrap();
    let client = client.signed_by(&client_key, &issuer).unwrap();
    let files = TlsFiles {
        certificate: folder.join(format!("{name}-client.pem")),
        key: folder.join(format!("{name}-client.key")),
        client_ca: None,
    };
    std::fs::write(&files.certificate, client.pem()).unwrap();
    std::fs::write(&files.key, client_key.serialize_pem()).unwrap();
    files
}
