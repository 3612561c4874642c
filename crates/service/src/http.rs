//! An HTTP or HTTPS server on one address, with the limits that a server on the open Internet needs.
//!
//! Handlers find the client's address in axum's `ConnectInfo<SocketAddr>`, with and without TLS. The
//! socket is bound before anything is served, so that a port in use is an error at the start.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;
use socket2::{Domain, Socket, Type};

/// How long a client may take to send the head of a request. Shorter would refuse slow phones, longer
/// lets idle connections pile up.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long requests that are under way when the server stops may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// Connections that may wait to be taken: when thousands come at once, whoever finds no place tries
/// again only after one, three, seven seconds. The kernel may grant less (`net.core.somaxconn`).
const BACKLOG: i32 = 16_384;

/// Where the certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: Option<RustlsConfig>,
}

impl Listener {
    /// Binds `address` and reads the certificate.
    pub async fn bind(address: SocketAddr, tls: Option<&Tls>) -> anyhow::Result<Self> {
        let socket = listen(address).with_context(|| format!("cannot listen on {address}"))?;
        let tls = match tls {
            Some(tls) => Some(read(tls).await?),
            None => None,
        };
        Ok(Self { socket, tls })
    }

    /// The address in use: with port 0 asked for, the one that was found.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    /// Serves until `stop`, then gives requests that are under way a few seconds. WebSockets are not
    /// requests any more: who opened them says goodbye.
    pub async fn serve(self, app: Router, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let handle = Handle::new();
        let service = app.into_make_service_with_connect_info::<SocketAddr>();
        let serving = async {
            let mut server =
                axum_server::from_tcp(self.socket)?.handle(handle.clone()).acceptor(NoDelayAcceptor);
            limit(&mut server);
            match self.tls {
                None => server.serve(service).await,
                Some(tls) => server.map(|tcp| RustlsAcceptor::new(tls).acceptor(tcp)).serve(service).await,
            }
        };
        let stopping = async {
            stop.await;
            handle.graceful_shutdown(Some(GOODBYE));
            std::future::pending().await
        };
        tokio::select! { result = serving => Ok(result?), () = stopping => Ok(()) }
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Else the port of a server that was just stopped stays taken for a minute.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn limit(server: &mut Server<SocketAddr, NoDelayAcceptor>) {
    let mut http1 = server.http_builder().http1();
    http1.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
}

async fn read(tls: &Tls) -> anyhow::Result<RustlsConfig> {
    // Another crate's choice of provider would otherwise make the choice ambiguous. Err: made before.
    let _made_before = rustls::crypto::ring::default_provider().install_default();
    let Tls { cert, key } = tls;
    RustlsConfig::from_pem_file(cert, key).await.with_context(|| {
        format!("cannot use the certificate {} with the key {}", cert.display(), key.display())
    })
}

#[cfg(test)]
mod tests;
