//! The QUIC endpoint of a node: dials parents, takes children.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::NodeId;
use protocol::node::NodeKind;
use quinn::{EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use rustls::pki_types::CertificateDer;
use socket2::{Domain, Protocol, Type};

use super::{LinkError, ToChild, ToParent, Versions};
use crate::authority::HOST;
use crate::congestion::Floored;
use crate::identity::{self, Credentials, IdentityError, Remote};

/// For the whole handshake and the opening of the control stream.
const HANDSHAKE: Duration = Duration::from_secs(3);

/// QUIC's own end of a silent connection; ours comes first, except in the handshake.
const IDLE_MS: u32 = 5_000;

/// Most children. The tree asks for far fewer; this stops a storm.
const MAX_LINKS: usize = 1_024;

/// Most handshakes that are under way with one address. Fewer, and edges behind one address wait for each
/// other when they all come back; more, and a machine that we do not know keeps the others out.
const MAX_HANDSHAKES: usize = 64;

/// Bytes of datagrams that wait to be sent: what a link of 200 rooms makes in 100 ms. What does not go
/// out within that is worth less than what comes next.
const SEND_BUFFER: usize = 256 << 10;

/// Bytes that the kernel is asked to hold in each direction, for all links together.
const SOCKET_BUFFER: usize = 4 << 20;

/// Bytes of datagrams that wait to be read.
const RECEIVE_BUFFER: usize = 1 << 20;

/// A node's endpoint for links. Clones share it.
#[derive(Clone)]
pub struct Links {
    endpoint: quinn::Endpoint,
    local: SocketAddr,
    speech: Speech,
    handshakes: Handshakes,
}

/// How we speak with others.
#[derive(Clone)]
struct Speech {
    versions: Versions,
    credentials: Credentials,
    transport: Arc<TransportConfig>,
}

/// A node that wants to be our child, and can hear us.
pub struct Incoming {
    incoming: quinn::Incoming,
    speech: Speech,
    _turn: Turn,
}

/// Who is at the other end, and what it showed.
pub(super) struct Known {
    pub(super) remote: Remote,
    pub(super) chain: Vec<CertificateDer<'static>>,
}

impl Links {
    /// Binds the UDP port of all links of this node. Must be called within a tokio runtime.
    pub fn bind(addr: SocketAddr, credentials: Credentials) -> Result<Self, BindError> {
        Self::speaking(Versions::spoken(), addr, credentials)
    }

    pub(super) fn speaking(
        versions: Versions,
        addr: SocketAddr,
        credentials: Credentials,
    ) -> Result<Self, BindError> {
        let speech = Speech { versions, credentials, transport: Arc::new(transport()) };
        let mut server = speech.server()?;
        server.max_incoming(MAX_LINKS);
        let socket = socket2::Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_recv_buffer_size(SOCKET_BUFFER)?;
        socket.set_send_buffer_size(SOCKET_BUFFER)?;
        socket.bind(&addr.into())?;
        let endpoint = quinn::Endpoint::new(
            EndpointConfig::default(),
            Some(server),
            socket.into(),
            Arc::new(quinn::TokioRuntime),
        )?;
        let local = endpoint.local_addr()?;
        Ok(Self { endpoint, local, speech, handshakes: Handshakes::default() })
    }

    /// Where it is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Who this node is on its links.
    pub fn credentials(&self) -> Credentials {
        self.speech.credentials.clone()
    }

    /// Dials `parent` at `addr`.
    pub async fn dial(&self, addr: SocketAddr, parent: &NodeId) -> Result<ToParent, LinkError> {
        let Speech { versions, credentials, .. } = &self.speech;
        let connecting = self.endpoint.connect_with(self.speech.client()?, addr, HOST)?;
        in_time(async {
            let connection = connecting.await?;
            let known = known(&connection, |remote| remote.node == *parent)?;
            let Some(version) = versions.agreed(&connection) else {
                return Err(versions.tell_parent(&connection, known.remote).await);
            };
            let streams = connection.open_bi().await?;
            Ok(ToParent::new(known, version, connection, streams, credentials.clone()))
        })
        .await
    }

    /// The next node that dials us; none after [`close`](Self::close). It has shown that it hears us at the address
    /// that it seems to come from (RFC 9000 §8.1.2): until then it costs one packet, and nothing is kept of it.
    pub async fn accept(&self) -> Option<Incoming> {
        loop {
            let incoming = self.endpoint.accept().await?;
            if !incoming.remote_address_validated() {
                // It can only fail for one that has been validated.
                let _ = incoming.retry();
                continue;
            }
            let has_room = self.endpoint.open_connections() < MAX_LINKS;
            match self.handshakes.begin(incoming.remote_address().ip()).filter(|_| has_room) {
                Some(turn) => return Some(Incoming { incoming, speech: self.speech.clone(), _turn: turn }),
                None => incoming.refuse(),
            }
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
        let Self { incoming, speech, .. } = self;
        in_time(async {
            let connection = incoming.accept_with(Arc::new(speech.server()?))?.await?;
            let known = known(&connection, |remote| remote.kind == NodeKind::Edge)?;
            let Some(version) = speech.versions.agreed(&connection) else {
                return Err(speech.versions.tell_child(&connection, known.remote).await);
            };
            let streams = connection.accept_bi().await?;
            Ok(ToChild::new(known, version, connection, streams, speech.credentials))
        })
        .await
    }
}

impl Speech {
    fn server(&self) -> Result<quinn::ServerConfig, IdentityError> {
        let tls = self.credentials.now().server(&self.versions)?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(tls));
        server.transport_config(self.transport.clone());
        Ok(server)
    }

    fn client(&self) -> Result<quinn::ClientConfig, IdentityError> {
        let tls = self.credentials.now().client(&self.versions)?;
        let mut client = quinn::ClientConfig::new(Arc::new(tls));
        client.transport_config(self.transport.clone());
        Ok(client)
    }
}

/// Handshakes that are under way, by address.
#[derive(Clone, Default)]
struct Handshakes(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One of them; it is over when this is dropped.
struct Turn {
    handshakes: Handshakes,
    from: IpAddr,
}

impl Handshakes {
    fn begin(&self, from: IpAddr) -> Option<Turn> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = under_way.entry(from).or_default();
        (*of_address < MAX_HANDSHAKES).then(|| {
            *of_address += 1;
            Turn { handshakes: self.clone(), from }
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut under_way = self.handshakes.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut of_address) = under_way.entry(self.from) {
            *of_address.get_mut() -= 1;
            if *of_address.get() == 0 {
                of_address.remove();
            }
        }
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
    Identity(#[from] IdentityError),
}

async fn in_time<T>(work: impl Future<Output = Result<T, LinkError>>) -> Result<T, LinkError> {
    tokio::time::timeout(HANDSHAKE, work).await.unwrap_or(Err(LinkError::Timeout))
}

/// Who it is, where that is somebody who has business here.
fn known(connection: &quinn::Connection, wanted: impl Fn(&Remote) -> bool) -> Result<Known, LinkError> {
    shown(connection).filter(|known| wanted(&known.remote)).ok_or_else(|| {
        connection.close(1u32.into(), b"stranger");
        LinkError::Stranger
    })
}

fn shown(connection: &quinn::Connection) -> Option<Known> {
    let chain = *connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    Some(Known { remote: identity::named(chain.first()?)?, chain })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_handshakes_at_a_time_and_others_have_theirs() {
        let handshakes = Handshakes::default();
        let [stranger, edge] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        let mut turns: Vec<_> = (0..MAX_HANDSHAKES).map(|_| handshakes.begin(stranger).unwrap()).collect();
        assert!(handshakes.begin(stranger).is_none() && handshakes.begin(edge).is_some());
        turns.pop();
        turns.push(handshakes.begin(stranger).unwrap());
        drop(turns);
        assert!(handshakes.0.lock().unwrap().is_empty());
    }
}
