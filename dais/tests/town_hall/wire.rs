//! A wire between a peer and its node that a test can tamper with: it changes, repeats and invents
//! datagrams, all of which come to the node from the address that it knows the peer by.
//!
//! ```text
//!   peer ◀──▶ wire ◀──▶ node
//! ```

use std::net::{SocketAddr, UdpSocket as Bound};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// What becomes of one datagram.
type Tamper = fn(&[u8]) -> Vec<Vec<u8>>;

/// The wire.
pub(crate) struct Wire {
    socket: Arc<UdpSocket>,
    node: SocketAddr,
    tamper: Arc<Mutex<Option<Tamper>>>,
    carrying: JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

impl Wire {
    /// Lays a wire into an SDP answer: the candidates lead to it, and it to where they led.
    pub(crate) fn into_answer(answer: String) -> (String, Self) {
        let line = answer.lines().find(|line| line.starts_with("a=candidate:")).expect("a candidate");
        let words: Vec<&str> = line.split(' ').collect();
        let node: SocketAddr = format!("{}:{}", words[4], words[5]).parse().expect("an address");
        let wire = Self::to(node);
        let port = wire.socket.local_addr().expect("it is bound").port();
        let (from, to) = (format!(" {} {} typ", words[4], words[5]), format!(" {} {port} typ", words[4]));
        (answer.replace(&from, &to), wire)
    }

    fn to(node: SocketAddr) -> Self {
        let bound = Bound::bind("127.0.0.1:0").expect("a free port");
        bound.set_nonblocking(true).expect("it can be");
        let socket = Arc::new(UdpSocket::from_std(bound).expect("within a runtime"));
        let tamper = Arc::default();
        let carrying = tokio::spawn(carry(Arc::clone(&socket), node, Arc::clone(&tamper)));
        Self { socket, node, tamper, carrying }
    }

    /// Does this to the next RTP packet of the peer.
    pub(crate) fn tamper(&self, tamper: Tamper) {
        *self.tamper.lock().expect("no test panics with it") = Some(tamper);
    }

    /// Sends a datagram as if the peer had.
    pub(crate) async fn forge(&self, datagram: &[u8]) {
        self.socket.send_to(datagram, self.node).await.expect("loopback takes it");
    }
}

async fn carry(socket: Arc<UdpSocket>, node: SocketAddr, tamper: Arc<Mutex<Option<Tamper>>>) {
    let mut buffer = [0; 2_048];
    let mut peer = None;
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let datagram = &buffer[..length];
        if from == node {
            let Some(peer) = peer else { continue };
            let _ = socket.send_to(datagram, peer).await;
            continue;
        }
        peer = Some(from);
        let tampering =
            if is_rtp(datagram) { tamper.lock().expect("no test panics with it").take() } else { None };
        let datagrams = tampering.map_or_else(|| vec![datagram.to_vec()], |tamper| tamper(datagram));
        for datagram in datagrams {
            let _ = socket.send_to(&datagram, node).await;
        }
    }
}

fn is_rtp(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, kind, ..] if !(192..=223).contains(kind))
}
