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

use super::association::{Check, Path, Peer, Phase};
use super::{Credentials, PeerChange, Peers};
use crate::Batch;
use crate::stun::{self, Kind, Message, Request};

/// Most addresses of one peer: a computer with some networks, IPv4 and IPv6, has eight.
const MAX_ADDRESSES: usize = 16;

/// For so long a check may be answered.
const CHECK_LIFE: Duration = Duration::from_secs(5);

/// For so long it is not replaced by that of yet another address.
const CHECK_TURN: Duration = Duration::from_secs(1);

type Pwd = IceText<22, 64>;

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
            Kind::Request => {
                self.on_request(now, &Asked { from, len: datagram.len(), request: message }, out)
            }
            Kind::Success => self.on_answer(now, from, &message, out),
            // Keep-alives ask for nothing. A check that was refused is as good as not answered.
            Kind::Indication | Kind::Error => {}
        }
    }

    fn on_request(&mut self, now: Instant, asked: &Asked<'_>, out: &mut Batch) {
        let Some(id) = self.addressee(&asked.request) else {
            self.stats.stun_unknown += 1;
            return;
        };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let pwd = &peer.credentials.pwd;
        if !asked.request.is_signed_with(pwd.as_str().as_bytes()) {
            self.stats.stun_password += 1;
            return;
        }
        if let Some(attribute) = asked.request.unknown {
            let sent = asked.refuse(attribute, pwd, out);
            self.stats.amplification += u64::from(!sent);
            return;
        }
        peer.hear(now, asked.from, asked.request.use_candidate);
        let owner = self.by_addr.get(&asked.from).copied();
        if owner.is_some_and(|owner| owner != id) || peer.wants_to_move(now, asked.from) {
            return self.check(now, id, asked, out);
        }
        self.answer(id, asked, out);
        if owner.is_none() {
            self.learn(id, asked.from);
        }
    }

    fn answer(&mut self, id: PeerId, asked: &Asked<'_>, out: &mut Batch) {
        let Some(peer) = self.peers.get(&id) else { return };
        let sent = asked.answer(&mut { asked.len }, &peer.credentials.pwd, out);
        *if sent { &mut self.stats.stun_answered } else { &mut self.stats.amplification } += 1;
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

    /// Asks the address that sent this request whether it can hear us, out of what it has sent. That
    /// leaves too little for an answer: it is owed until we have ours.
    fn check(&mut self, now: Instant, id: PeerId, asked: &Asked<'_>, out: &mut Batch) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let going = peer.check.as_ref().map(|check| (check.addr == asked.from, now - check.since));
        match going {
            Some((true, age)) if age < CHECK_LIFE => {}
            Some((false, age)) if age < CHECK_TURN => return self.answer(id, asked, out),
            _ => self.begin_check(now, id, asked.from),
        }
        let peer = self.peers.get_mut(&id).map(Box::as_mut);
        let Some(Peer { check: Some(check), credentials, client, .. }) = peer else { return };
        check.credit += asked.len;
        let answered = check.sent && asked.answer(&mut check.credit, &credentials.pwd, out);
        self.stats.stun_answered += u64::from(answered);
        if !answered {
            check.owed.get_or_insert(asked.request.transaction);
        }
        let ours = Request {
            transaction: check.transaction,
            remote_ufrag: client.ufrag.as_str(),
            local_ufrag: credentials.ufrag.as_str(),
            remote_pwd: client.pwd.as_str(),
            controlling: false,
            use_candidate: false,
        };
        let sent = spend(&mut check.credit, asked.from, out, |bytes| stun::write_request(bytes, &ours));
        self.stats.checks_sent += u64::from(sent);
        check.sent |= sent;
    }

    fn begin_check(&mut self, now: Instant, id: PeerId, addr: SocketAddr) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let mut transaction = [0; 12];
        self.rng.fill_bytes(&mut transaction);
        let check = Check { addr, transaction, since: now, credit: 0, sent: false, owed: None };
        if let Some(old) = peer.check.replace(Box::new(check)) {
            self.checks.remove(&old.transaction);
        }
        self.checks.insert(transaction, id);
    }

    /// An answer to a check of ours, from where it was sent to and signed with the client's password,
    /// moves the peer.
    fn on_answer(&mut self, now: Instant, from: SocketAddr, answer: &Message<'_>, out: &mut Batch) {
        let id = self.checks.get(&answer.transaction).copied();
        let peer = id.and_then(|id| self.peers.get(&id)).map(Box::as_ref);
        let (Some(id), Some(Peer { check: Some(check), client, credentials, .. })) = (id, peer) else {
            self.stats.checks_unknown += 1;
            return;
        };
        if check.addr != from || now - check.since >= CHECK_LIFE {
            self.stats.checks_unknown += 1;
        } else if !answer.is_signed_with(client.pwd.as_str().as_bytes()) {
            self.stats.stun_password += 1;
        } else {
            if let Some(owed) = check.owed {
                let pwd = credentials.pwd.as_str().as_bytes();
                out.push_with(from, |bytes| stun::write_success(bytes, &owed, from, pwd));
                self.stats.stun_answered += 1;
            }
            self.checks.remove(&answer.transaction);
            self.move_to(id, Path::new(now, from, true));
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

/// A request as it came.
struct Asked<'d> {
    from: SocketAddr,
    /// Bytes of it: no more is sent back, unless the address has proven itself.
    len: usize,
    request: Message<'d>,
}

impl Asked<'_> {
    /// Answers; false where the credit does not cover it.
    fn answer(&self, credit: &mut usize, pwd: &Pwd, out: &mut Batch) -> bool {
        let transaction = &self.request.transaction;
        spend(credit, self.from, out, |bytes| {
            stun::write_success(bytes, transaction, self.from, pwd.as_str().as_bytes());
        })
    }

    fn refuse(&self, attribute: u16, pwd: &Pwd, out: &mut Batch) -> bool {
        let transaction = &self.request.transaction;
        spend(&mut { self.len }, self.from, out, |bytes| {
            stun::write_unknown_attribute(bytes, transaction, attribute, pwd.as_str().as_bytes());
        })
    }
}

/// Sends what `write` writes, if the credit covers it.
fn spend(credit: &mut usize, to: SocketAddr, out: &mut Batch, write: impl FnOnce(&mut Vec<u8>)) -> bool {
    let mut covered = false;
    out.push_with(to, |bytes| {
        let start = bytes.len();
        write(bytes);
        match credit.checked_sub(bytes.len() - start) {
            Some(left) => (*credit, covered) = (left, true),
            None => bytes.truncate(start),
        }
    });
    covered
}
