//! The QUIC endpoint of a node: dials parents, takes children.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::NodeId;
use protocol::node::NodeKind;
use quinn::{EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use rustls::pki_types::CertificateDer;
use socket2::{Domain, Protocol, Type};

use super::{LinkError, Remote, ToChild, ToParent, Versions};
use crate::authority::{self, AuthorityError, LinkIdentity};
use crate::congestion::Floored;

/// For the whole handshake and the opening of the control stream.
const HANDSHAKE: Duration = Duration::from_secs(3);

/// QUIC's own end of a silent connection; ours comes first, except in the handshake.
const IDLE_MS: u32 = 5_000;

/// Most children. The tree asks for far fewer; this stops a storm.
const MAX_LINKS: usize = 1_024;

/// Bytes of datagrams that wait to be sent: what a link of 200 rooms makes in 100 ms. What does not go
/// out within that is worth less than what comes next.
const SEND_BUFFER: usize = 256 << 10;

/// Bytes that the kernel is asked to hold in each direction, for all links together.
const SOCKET_BUFFER: usize = 4 << 20;

/// Bytes of datagrams that wait to be read.
const RECEIVE_BUFFER: usize = 1 << 20;

/// A node's endpoint for links. Clones share it.
#[derive(Debug, Clone)]
pub struct Links {
    endpoint: quinn::Endpoint,
    local: SocketAddr,
    versions: Versions,
}

/// A node that wants to be our child.
pub struct Incoming {
    incoming: quinn::Incoming,
    versions: Versions,
}

impl Links {
    /// Binds the UDP port of all links of this node. Must be called within a tokio runtime.
    pub fn bind(addr: SocketAddr, identity: &LinkIdentity) -> Result<Self, BindError> {
        Self::speaking(Versions::spoken(), addr, identity)
    }

    pub(super) fn speaking(
        versions: Versions,
        addr: SocketAddr,
        identity: &LinkIdentity,
    ) -> Result<Self, BindError> {
        let transport = Arc::new(transport());
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(identity.server(&versions)?));
        server.transport_config(transport.clone());
        let mut client = quinn::ClientConfig::new(Arc::new(identity.client(&versions)?));
        client.transport_config(transport);
        let socket = socket2::Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_recv_buffer_size(SOCKET_BUFFER)?;
        socket.set_send_buffer_size(SOCKET_BUFFER)?;
        socket.bind(&addr.into())?;
        let mut endpoint = quinn::Endpoint::new(
            EndpointConfig::default(),
            Some(server),
            socket.into(),
            Arc::new(quinn::TokioRuntime),
        )?;
        endpoint.set_default_client_config(client);
        let local = endpoint.local_addr()?;
        Ok(Self { endpoint, local, versions })
    }

    /// Where it is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Dials `parent` at `addr`.
    pub async fn dial(&self, addr: SocketAddr, parent: &NodeId) -> Result<ToParent, LinkError> {
        let connecting = self.endpoint.connect(addr, authority::HOST)?;
        in_time(async {
            let connection = connecting.await?;
            let remote = remote(&connection).filter(|remote| remote.node == *parent);
            let remote = known(&connection, remote)?;
            let Some(version) = self.versions.agreed(&connection) else {
                return Err(self.versions.tell_parent(&connection, remote).await);
            };
            let (send, receive) = connection.open_bi().await?;
            Ok(ToParent::new(remote, version, connection, send, receive))
        })
        .await
    }

    /// The next node that dials us; none after [`close`](Self::close).
    pub async fn accept(&self) -> Option<Incoming> {
        loop {
            let incoming = self.endpoint.accept().await?;
            if self.endpoint.open_connections() < MAX_LINKS {
                return Some(Incoming { incoming, versions: self.versions.clone() });
            }
            incoming.refuse();
        }
    }

    /// Ends all links and takes no more. Returns when the others have been told.
    pub async fn close(&self) {
        self.endpoint.close(0u32.into(), b"node stops");
        self.endpoint.wait_idle().await;
    }
}

impl Incoming {
    /// Completes the handshake. Only an edge may be a child.
    pub async fn link(self) -> Result<ToChild, LinkError> {
        in_time(async {
            let connection = self.incoming.await?;
            let remote = remote(&connection).filter(|remote| remote.kind == NodeKind::Edge);
            let remote = known(&connection, remote)?;
            let Some(version) = self.versions.agreed(&connection) else {
                return Err(self.versions.tell_child(&connection, remote).await);
            };
            let (send, receive) = connection.accept_bi().await?;
            Ok(ToChild::new(remote, version, connection, send, receive))
        })
        .await
    }
}

/// Why a node has no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port cannot be had.
    #[error(transparent)]
    Port(#[from] io::Error),
    /// The identity is of no use.
    #[error(transparent)]
    Identity(#[from] AuthorityError),
}

async fn in_time<T>(work: impl Future<Output = Result<T, LinkError>>) -> Result<T, LinkError> {
    tokio::time::timeout(HANDSHAKE, work).await.unwrap_or(Err(LinkError::Timeout))
}

fn known(connection: &quinn::Connection, remote: Option<Remote>) -> Result<Remote, LinkError> {
    remote.ok_or_else(|| {
        connection.close(1u32.into(), b"stranger");
        LinkError::Stranger
    })
}

fn remote(connection: &quinn::Connection) -> Option<Remote> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    authority::named(chain.first()?)
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MS))))
        .max_concurrent_bidi_streams(1u32.into())
        .max_concurrent_uni_streams(0u32.into())
        .datagram_send_buffer_size(SEND_BUFFER)
        .datagram_receive_buffer_size(Some(RECEIVE_BUFFER))
        .initial_rtt(Duration::from_millis(100))
        .congestion_controller_factory(Arc::new(Floored::default()));
    transport
}
