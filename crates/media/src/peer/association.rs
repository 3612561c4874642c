//! What is known of one peer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use protocol::Offer;
use protocol::session::{Fingerprint, IceText};

use super::{Credentials, GoneReason};
use crate::dtls::{Goodbye, Hello};
use crate::srtp::{Opener, Profile};
use crate::stun::TransactionId;
use crate::wheel::{NEVER, Tick};

/// Without a valid request for so long, consent to be sent to is over (RFC 7675 §5.1).
const CONSENT: Duration = Duration::from_secs(30);

/// From admission to the end of the handshake. A client on a bad network needs some seconds.
const CONNECT: Duration = Duration::from_secs(30);

/// A nominated address that was heard from within this is not left for one that the client keeps in
/// reserve: libwebrtc checks its reserves too, and nominates only the pair in use, every 2.5 s.
const NOMINATION: Duration = Duration::from_secs(5);

/// One association.
pub(super) struct Peer {
    /// Ours, that the client must know.
    pub(super) credentials: Credentials,
    /// What the client told of itself.
    pub(super) client: Client,
    /// Its packets are opened, not dropped.
    pub(super) receives: bool,
    pub(super) admitted: Instant,
    /// The last valid request.
    pub(super) heard: Instant,
    /// Addresses from which valid requests came, oldest first.
    pub(super) addresses: Vec<SocketAddr>,
    /// The address that the client nominated last, if it still does with each request, and when.
    pub(super) nominee: Option<(SocketAddr, Instant)>,
    /// Where it is sent to; none before the handshake begins.
    pub(super) path: Option<Path>,
    /// Our question to another address.
    pub(super) check: Option<Box<Check>>,
    pub(super) phase: Phase,
    /// Bytes that its handshake has taken, with all its beginnings.
    pub(super) fed: usize,
    /// Datagrams of its handshake in the backlog.
    pub(super) waiting: u8,
    /// When it is looked at again; its place among the timers.
    pub(super) wake: Tick,
}

/// The client's part of the session description, as far as it concerns the association.
pub(super) struct Client {
    pub(super) ufrag: IceText<4, 32>,
    pub(super) pwd: IceText<22, 64>,
    pub(super) fingerprint: Fingerprint,
}

/// Where a peer is sent to.
pub(super) struct Path {
    pub(super) addr: SocketAddr,
    /// Whoever is there has answered something that was only sent there.
    pub(super) proven: bool,
    /// Bytes that came from there less those sent there, until it is proven.
    pub(super) credit: usize,
    pub(super) since: Instant,
}

/// A question to an address that wants to be the peer's: only who is there can answer it.
pub(super) struct Check {
    pub(super) addr: SocketAddr,
    pub(super) transaction: TransactionId,
    pub(super) since: Instant,
    /// Bytes that came from there less those sent there.
    pub(super) credit: usize,
    /// It has been sent at least once.
    pub(super) sent: bool,
    /// The first request from there that there was no credit to answer. Firefox misses that answer: it
    /// takes the peer for disconnected.
    pub(super) owed: Option<TransactionId>,
}

/// How far the handshake is.
pub(super) enum Phase {
    /// Nothing, or parts of a ClientHello.
    Hello(Hello),
    /// Under way.
    Shaking {
        profile: Profile,
        /// Our flight from the ServerHello on, once the client has returned the cookie.
        flight: Flight,
    },
    /// Done.
    Connected {
        kept: Kept,
        /// Datagrams since then that may be forged: with handshake records, or once it is settled.
        doubtful: usize,
        /// For peers that receive.
        opener: Option<Box<Opener>>,
    },
}

/// What is kept of a handshake that is done.
pub(super) enum Kept {
    /// Nothing: the session began with keys, or the peer has said goodbye.
    Nothing,
    /// All of it, until the client has surely had our last flight.
    Whole { profile: Profile, until: Instant },
    /// What a goodbye takes.
    Settled(Goodbye),
}

/// What was sent last, to be sent again when the client asks for it.
#[derive(Default)]
pub(super) struct Flight {
    pub(super) datagrams: Vec<Vec<u8>>,
    /// When it was last sent again.
    pub(super) repeated: Option<Instant>,
    pub(super) repeats: u32,
}

impl Peer {
    pub(super) fn new(now: Instant, credentials: Credentials, offer: &Offer, receives: bool) -> Self {
        let client =
            Client { ufrag: offer.ufrag.clone(), pwd: offer.pwd.clone(), fingerprint: offer.fingerprint };
        Self {
            credentials,
            client,
            receives,
            admitted: now,
            heard: now,
            addresses: Vec::new(),
            nominee: None,
            path: None,
            check: None,
            phase: Phase::Hello(Hello::default()),
            fed: 0,
            waiting: 0,
            wake: NEVER,
        }
    }

    /// When it is given up unless something happens, and why.
    pub(super) fn expiry(&self) -> (Instant, GoneReason) {
        match self.phase {
            Phase::Connected { .. } => (self.heard + CONSENT, GoneReason::ConsentExpired),
            _ => (self.admitted + CONNECT, GoneReason::NotConnected),
        }
    }

    /// The endpoint that has its handshake, if one has.
    pub(super) fn profile(&self) -> Option<Profile> {
        match self.phase {
            Phase::Hello(_) => None,
            Phase::Shaking { profile, .. } => Some(profile),
            Phase::Connected { kept: Kept::Whole { profile, .. }, .. } => Some(profile),
            Phase::Connected { .. } => None,
        }
    }

    /// Notes a valid request.
    pub(super) fn hear(&mut self, now: Instant, from: SocketAddr, nominates: bool) {
        self.heard = now;
        if nominates {
            self.nominee = Some((from, now));
        } else if self.nominee.is_some_and(|(nominee, _)| nominee == from) {
            self.nominee = None;
        }
    }

    /// Whether a valid request from this address asks to leave the one in use. While the handshake has
    /// proven no address, it chooses by itself.
    pub(super) fn wants_to_move(&self, now: Instant, from: SocketAddr) -> bool {
        self.path.as_ref().is_some_and(|path| {
            let in_use = |(nominee, at)| nominee == path.addr && now < at + NOMINATION;
            path.proven && path.addr != from && !self.nominee.is_some_and(in_use)
        })
    }

    /// Notes DTLS from this address while the handshake has not begun: it is where the answer goes.
    pub(super) fn approach(&mut self, now: Instant, from: SocketAddr) {
        if self.path.as_ref().is_none_or(|path| !path.proven && path.addr != from) {
            self.path = Some(Path::new(now, from, false));
        }
    }
}

impl Path {
    pub(super) fn new(now: Instant, addr: SocketAddr, proven: bool) -> Self {
        Self { addr, proven, credit: 0, since: now }
    }

    /// Whether so many bytes may go there; if so, they are counted.
    pub(super) fn spend(&mut self, bytes: usize) -> bool {
        let left = self.credit.checked_sub(bytes);
        self.credit = left.unwrap_or(self.credit);
        self.proven || left.is_some()
    }
}
