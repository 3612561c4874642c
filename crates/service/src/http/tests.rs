use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::routing::get;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

use super::*;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Serves the caller's own address.
async fn who(ConnectInfo(address): ConnectInfo<SocketAddr>) -> String {
    address.to_string()
}

/// Asks for `/who` and returns everything until the server closes.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    stream.write_all(b"GET /who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// A certificate for localhost in a directory of its own.
fn certificate() -> (Tls, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let directory = std::env::temp_dir().join(format!("dais-tls-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let tls = Tls { cert: directory.join("cert.pem"), key: directory.join("key.pem") };
    std::fs::write(&tls.cert, made.cert.pem()).unwrap();
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
    (tls, made.cert.der().clone())
}

#[tokio::test]
async fn handlers_see_the_clients_address_and_the_end_is_asked_for() {
    let listener = Listener::bind(ANY, None).await.unwrap();
    let address = listener.address().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving =
        tokio::spawn(listener.serve(Router::new().route("/who", get(who)), async { drop(stopped.await) }));

    let mut stream = TcpStream::connect(address).await.unwrap();
    let own = stream.local_addr().unwrap().to_string();
    assert!(ask(&mut stream).await.ends_with(&own));

    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    TcpStream::connect(address).await.unwrap_err();
}

#[tokio::test]
async fn https_is_the_same_behind_tls() {
    let (tls, trusted) = certificate();
    let listener = Listener::bind(ANY, Some(&tls)).await.unwrap();
    std::fs::remove_dir_all(tls.cert.parent().unwrap()).unwrap();
    let address = listener.address().unwrap();
    let serving = tokio::spawn(listener.serve(Router::new().route("/who", get(who)), std::future::pending()));

    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let tcp = TcpStream::connect(address).await.unwrap();
    let own = tcp.local_addr().unwrap().to_string();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    assert!(ask(&mut stream).await.ends_with(&own));
    serving.abort();
}

#[tokio::test]
async fn a_port_in_use_and_a_missing_certificate_are_errors_at_the_start() {
    let first = Listener::bind(ANY, None).await.unwrap();
    let taken = first.address().unwrap();
    assert!(
        Listener::bind(taken, None).await.unwrap_err().to_string().contains("cannot listen on 127.0.0.1")
    );
    let nowhere = Tls { cert: "/nowhere/cert.pem".into(), key: "/nowhere/key.pem".into() };
    assert!(Listener::bind(ANY, Some(&nowhere)).await.unwrap_err().to_string().contains("/nowhere/cert.pem"));
}
