//! Where a peer is: requests that say so, and checks that prove it.
//!
//! The first addresses are believed as far as an answer to them goes; the cookie of the handshake
//! proves one of them. From then on a valid request from elsewhere earns a check of ours, sent out of
//! what that address has sent itself, and only its answer moves the peer: a recorded request, sent
//! again with somebody's address on it, moves nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use protocol::PeerId;
use protocol::session::IceText;
use rand::RngCore;
use rand::rngs::StdRng;

use super::association::{Check, Path, Phase};
use super::{Credentials, PeerChange, Peers, Stats};
use crate::Batch;
use crate::stun::{self, Kind, Message, Request};

/// Most addresses of one peer: a computer with some networks, IPv4 and IPv6, has eight.
const MAX_ADDRESSES: usize = 16;

/// For so long a check may be answered.
const CHECK_LIFE: Duration = Duration::from_secs(5);

/// For so long it is not replaced by that of yet another address.
const CHECK_TURN: Duration = Duration::from_secs(1);

/// Bytes of a user name fragment before base64: the peer's id, and what cannot be guessed.
const UFRAG: usize = 12;

impl Credentials {
    /// The fragment names the peer, so that a request is found without a table of names. Twelve bytes
    /// are 16 characters of base64, all of them ice-chars; the password has 144 bits (RFC 8445 asks
    /// for 128).
    pub(super) fn draw(peer: PeerId, rng: &mut StdRng) -> Self {
        let mut name = [0; UFRAG];
        let (id, random) = name.split_at_mut(8);
        id.copy_from_slice(&peer.0.to_be_bytes());
        rng.fill_bytes(random);
        let mut secret = [0; 18];
        rng.fill_bytes(&mut secret);
        Self {
            ufrag: IceText::new(&STANDARD_NO_PAD.encode(name)).expect("16 characters of base64"),
            pwd: IceText::new(&STANDARD_NO_PAD.encode(secret)).expect("24 characters of base64"),
        }
    }
}

fn peer_named(ufrag: &[u8]) -> Option<PeerId> {
    let mut name = [0; UFRAG];
    let len = STANDARD_NO_PAD.decode_slice(ufrag, &mut name).ok()?;
    let id = name.first_chunk().filter(|_| len == UFRAG)?;
    Some(PeerId(u64::from_be_bytes(*id)))
}

impl Peers {
    pub(super) fn on_stun(&mut self, now: Instant, from: SocketAddr, datagram: &[u8], out: &mut Batch) {
        let Ok(message) = Message::parse(datagram) else {
            self.stats.stun_malformed += 1;
            return;
        };
        match message.kind {
            Kind::Request => self.on_request(now, from, datagram.len(), &message, out),
            Kind::Success => self.on_answer(now, from, &message),
            // Keep-alives ask for nothing. A check that was refused is as good as not answered.
            Kind::Indication | Kind::Error => {}
        }
    }

    fn on_request(
        &mut self,
        now: Instant,
        from: SocketAddr,
        len: usize,
        request: &Message<'_>,
        out: &mut Batch,
    ) {
        let Some(id) = self.addressee(request) else {
            self.stats.stun_unknown += 1;
            return;
        };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let pwd = peer.credentials.pwd.as_str().as_bytes();
        if !request.is_signed_with(pwd) {
            self.stats.stun_password += 1;
            return;
        }
        let mut credit = len;
        if let Some(attribute) = request.unknown {
            spend(&mut credit, &mut self.stats, from, out, |bytes| {
                stun::write_unknown_attribute(bytes, &request.transaction, attribute, pwd);
            });
            return;
        }
        peer.hear(now, from, request.use_candidate);
        let pwd = peer.credentials.pwd.as_str().as_bytes();
        let owner = self.by_addr.get(&from).copied();
        if owner.is_some_and(|owner| owner != id) || peer.wants_to_move(now, from) {
            self.check(now, id, from, len, request, out);
            return;
        }
        answer(&mut credit, &mut self.stats, from, out, request, pwd);
        if owner.is_none() {
            self.learn(id, from);
        }
    }

    /// The peer that a request names, on both sides of the colon.
    fn addressee(&self, request: &Message<'_>) -> Option<PeerId> {
        let (ours, theirs) = request.ufrags()?;
        let id = peer_named(ours)?;
        let peer = self.peers.get(&id)?;
        let known = peer.credentials.ufrag.as_str().as_bytes() == ours
            && peer.client.ufrag.as_str().as_bytes() == theirs;
        known.then_some(id)
    }

    /// Asks the address that sent this request whether it can hear us. Both the check and the answer
    /// to the request are paid for by what it has sent, the check first, and then the answers: a
    /// client asks again, and goes on without this answer.
    fn check(
        &mut self,
        now: Instant,
        id: PeerId,
        from: SocketAddr,
        len: usize,
        request: &Message<'_>,
        out: &mut Batch,
    ) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let going = peer.check.as_ref().map(|check| (check.addr == from, now - check.since));
        match going {
            Some((true, age)) if age < CHECK_LIFE => {}
            Some((false, age)) if age < CHECK_TURN => {
                let pwd = peer.credentials.pwd.as_str().as_bytes();
                return answer(&mut { len }, &mut self.stats, from, out, request, pwd);
            }
            _ => {
                let mut transaction = [0; 12];
                self.rng.fill_bytes(&mut transaction);
                let check = Check { addr: from, transaction, since: now, credit: 0, sent: false };
                if let Some(old) = peer.check.replace(Box::new(check)) {
                    self.checks.remove(&old.transaction);
                }
                self.checks.insert(transaction, id);
            }
        }
        let Some(check) = peer.check.as_mut() else { return };
        check.credit += len;
        let pwd = peer.credentials.pwd.as_str().as_bytes();
        if check.sent {
            answer(&mut check.credit, &mut self.stats, from, out, request, pwd);
        }
        let ours = Request {
            transaction: check.transaction,
            remote_ufrag: peer.client.ufrag.as_str(),
            local_ufrag: peer.credentials.ufrag.as_str(),
            remote_pwd: peer.client.pwd.as_str(),
            controlling: false,
            use_candidate: false,
        };
        let sent = spend(&mut check.credit, &mut self.stats, from, out, |bytes| {
            stun::write_request(bytes, &ours);
        });
        self.stats.checks_sent += u64::from(sent);
        if !check.sent {
            answer(&mut check.credit, &mut self.stats, from, out, request, pwd);
        }
        check.sent |= sent;
    }

    /// An answer to a check of ours, from where it was sent to and signed with the client's password,
    /// moves the peer.
    fn on_answer(&mut self, now: Instant, from: SocketAddr, answer: &Message<'_>) {
        let id = self.checks.get(&answer.transaction).copied();
        let peer = id.and_then(|id| self.peers.get_mut(&id));
        let check = peer.as_ref().and_then(|peer| peer.check.as_ref());
        let (Some(id), Some(peer), Some(check)) = (id, &peer, check) else {
            self.stats.checks_unknown += 1;
            return;
        };
        if check.addr != from || now - check.since >= CHECK_LIFE {
            self.stats.checks_unknown += 1;
        } else if !answer.is_signed_with(peer.client.pwd.as_str().as_bytes()) {
            self.stats.stun_password += 1;
        } else {
            let path = Path::new(now, from, true);
            self.checks.remove(&answer.transaction);
            self.move_to(id, path);
        }
    }

    fn move_to(&mut self, id: PeerId, path: Path) {
        let addr = path.addr;
        if let Some(owner) = self.by_addr.get(&addr).copied().filter(|&owner| owner != id) {
            // Its old owner has lost it: a NAT gave it to somebody else.
            if let Some(owner) = self.peers.get_mut(&owner) {
                owner.addresses.retain(|&address| address != addr);
            }
            self.by_addr.remove(&addr);
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.path = Some(path);
        peer.check = None;
        if matches!(peer.phase, Phase::Connected { .. }) {
            self.stats.moved += 1;
            self.changes.push_back(PeerChange::Moved { peer: id, addr });
        }
        self.learn(id, addr);
    }

    /// Notes that this address is the peer's. What comes from it is looked at from now on.
    pub(super) fn learn(&mut self, id: PeerId, addr: SocketAddr) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if self.by_addr.insert(addr, id) == Some(id) {
            return;
        }
        peer.addresses.push(addr);
        if peer.addresses.len() > MAX_ADDRESSES {
            let in_use = peer.path.as_ref().map(|path| path.addr);
            let oldest = usize::from(peer.addresses.first().copied() == in_use);
            self.by_addr.remove(&peer.addresses.remove(oldest));
            self.stats.addresses_dropped += 1;
        }
    }
}

fn answer(
    credit: &mut usize,
    stats: &mut Stats,
    from: SocketAddr,
    out: &mut Batch,
    request: &Message<'_>,
    pwd: &[u8],
) {
    let write = |bytes: &mut Vec<u8>| stun::write_success(bytes, &request.transaction, from, pwd);
    stats.stun_answered += u64::from(spend(credit, stats, from, out, write));
}

/// Sends what `write` writes, if the credit covers it.
fn spend(
    credit: &mut usize,
    stats: &mut Stats,
    to: SocketAddr,
    out: &mut Batch,
    write: impl FnOnce(&mut Vec<u8>),
) -> bool {
    let mut covered = false;
    out.push_with(to, |bytes| {
        let start = bytes.len();
        write(bytes);
        match credit.checked_sub(bytes.len() - start) {
            Some(left) => (*credit, covered) = (left, true),
            None => bytes.truncate(start),
        }
    });
    stats.amplification += u64::from(!covered);
    covered
}
