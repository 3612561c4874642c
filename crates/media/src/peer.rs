//! The peers of one UDP port: who may send here (STUN), with which keys (DTLS), and what they say
//! (SRTP).
//!
//! ```text
//!                 ┌ STUN ─▶ answer; a new address: check it, then move the peer
//!   datagram ─────┼ DTLS ─▶ backlog ─▶ handshake ─▶ PeerChange::Connected with the keys to seal with
//!   (RFC 7983)    └ SRTP ─▶ Received: plain RTP or RTCP of one peer
//! ```
//!
//! A datagram from an address that has not passed an authenticated STUN check costs a hash look-up,
//! and no address is sent more than came from it before it has answered something that only its owner
//! can know. Sending is not done here: whoever seals keeps the address that [`PeerChange`] tells.

mod association;
mod backlog;
mod change;
mod handshake;
mod reach;
mod stats;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use protocol::{Offer, PeerId};
use rand::rngs::StdRng;

use crate::Batch;
use crate::dtls::{Certificate, Handshakes};
use crate::srtp::{OpenError, Opener, SessionKeys};
use crate::stun::TransactionId;
use crate::wheel::{NEVER, Wheel};

use association::{Kept, Path, Peer, Phase};
use backlog::Backlog;
pub use change::{AdmitError, Credentials, GoneReason, PeerChange, Received};
pub use stats::Stats;

/// Most peers that are looked at before audio has its turn: when as many thousand have left at once,
/// that they are forgotten is no hurry.
const LOOKS: usize = 64;

/// What all peers of a shard have in common.
#[derive(Debug, Clone)]
pub struct PeersConfig {
    /// Shown in every handshake; its fingerprint is in every answer.
    pub certificate: Arc<Certificate>,
    /// Most peers at a time; [`Peers::admit`] refuses the next.
    pub max_peers: usize,
}

/// The peers of one shard.
pub struct Peers {
    config: PeersConfig,
    rng: StdRng,
    handshakes: Handshakes,
    /// Boxed: the table of a map under churn is half empty, and is moved as a whole when it grows.
    peers: HashMap<PeerId, Box<Peer>>,
    /// Addresses that have passed an authenticated check, and whose they are.
    by_addr: HashMap<SocketAddr, PeerId>,
    /// Our questions: at most one for each peer.
    checks: HashMap<TransactionId, PeerId>,
    /// Datagrams of handshakes.
    backlog: Backlog,
    /// When each peer is looked at next: the entry at its `wake`. Others have been overtaken.
    timers: Wheel<PeerId>,
    /// Peers to be removed, and since when.
    leaving: VecDeque<(Instant, PeerId)>,
    changes: VecDeque<PeerChange>,
    stats: Stats,
}

impl Peers {
    /// No peers yet.
    pub fn new(config: PeersConfig, rng: StdRng) -> Self {
        let handshakes = Handshakes::new(config.certificate.clone());
        Self {
            config,
            rng,
            handshakes,
            peers: HashMap::new(),
            by_addr: HashMap::new(),
            checks: HashMap::new(),
            backlog: Backlog::default(),
            timers: Wheel::default(),
            leaving: VecDeque::new(),
            changes: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// Makes a peer that may connect for 30 s from now. `receives`: its packets are opened
    /// (speakers), or dropped unseen (listeners).
    pub fn admit(
        &mut self,
        now: Instant,
        peer: PeerId,
        offer: &Offer,
        receives: bool,
    ) -> Result<Credentials, AdmitError> {
        if self.peers.contains_key(&peer) {
            return Err(AdmitError::Taken);
        }
        if self.peers.len() >= self.config.max_peers {
            self.stats.refused_full += 1;
            return Err(AdmitError::Full);
        }
        let credentials = Credentials::draw(peer, &mut self.rng);
        self.peers.insert(peer, Box::new(Peer::new(now, credentials.clone(), offer, receives)));
        self.rearm(now, peer);
        Ok(credentials)
    }

    /// Makes a peer that is connected already: simulations and benchmarks start so. It has the
    /// credentials of its answer all the same, and consent expires for it too.
    /// [`PeerChange::Connected`] follows.
    pub fn admit_with_keys(
        &mut self,
        now: Instant,
        peer: PeerId,
        offer: &Offer,
        receives: bool,
        session: Session<'_>,
    ) -> Result<Credentials, AdmitError> {
        let credentials = self.admit(now, peer, offer, receives)?;
        let Session { addr, keys } = session;
        if let Some(peer) = self.peers.get_mut(&peer) {
            let opener = receives.then(|| Box::new(Opener::new(keys.client())));
            peer.path = Some(Path::new(now, addr, true));
            peer.phase = Phase::Connected { kept: Kept::Nothing, doubtful: 0, opener };
        }
        self.learn(peer, addr);
        self.changes.push_back(PeerChange::Connected { peer, addr, keys: keys.server() });
        Ok(credentials)
    }

    /// Forgets a peer, and says goodbye to it if there was a handshake.
    pub fn remove(&mut self, now: Instant, peer: PeerId, out: &mut Batch) {
        self.say_goodbye(now, peer, out);
        self.forget(now, peer);
    }

    /// The same soon, in portions: for many at once, whose goodbyes would keep audio waiting.
    pub fn remove_soon(&mut self, now: Instant, peers: impl IntoIterator<Item = PeerId>) {
        self.leaving.extend(peers.into_iter().map(|peer| (now, peer)));
    }

    /// Takes a datagram, whatever it is. Answers go to `out`; a packet of a peer that `receives` comes
    /// back opened, in the memory of `datagram`; one of a handshake waits for
    /// [`on_timeout`](Self::on_timeout). After it, [`poll`](Self::poll).
    pub fn receive<'d>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &'d mut [u8],
        out: &mut Batch,
    ) -> Option<Received<'d>> {
        match datagram.first() {
            Some(0..=3) => self.on_stun(now, from, datagram, out),
            Some(20..=63) => self.on_dtls(now, from, datagram, out),
            Some(128..=191) => return self.on_srtp(now, from, datagram, out),
            _ => self.stats.garbage += 1,
        }
        None
    }

    /// Does what is due: a portion of the handshakes, repeats of their flights, goodbyes, expiry. After
    /// it, [`poll`](Self::poll).
    pub fn on_timeout(&mut self, now: Instant, out: &mut Batch) {
        self.go_on(now, out);
        for _ in 0..LOOKS {
            let Some((_, id)) = self.leaving.pop_front() else { break };
            self.remove(now, id, out);
        }
        for _ in 0..LOOKS {
            let Some((tick, id)) = self.timers.pop(now) else { return };
            let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.wake == tick) else { continue };
            peer.wake = NEVER;
            self.on_wake(now, id, out);
            self.rearm(now, id);
        }
    }

    /// When [`on_timeout`](Self::on_timeout) is due; in the past: at once. None while there are no
    /// peers.
    pub fn poll_timeout(&self) -> Option<Instant> {
        // Entries of peers that are gone stay on the wheel until they come up.
        let look = self.timers.poll_timeout().filter(|_| !self.peers.is_empty());
        let leaving = self.leaving.front().map(|&(since, _)| since);
        self.backlog.due().into_iter().chain(leaving).chain(look).min()
    }

    /// The next change. Call until there is none.
    pub fn poll(&mut self) -> Option<PeerChange> {
        self.changes.pop_front()
    }

    /// What has been counted since the start.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// How many peers there are, connected or not.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    fn on_srtp<'d>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &'d mut [u8],
        out: &mut Batch,
    ) -> Option<Received<'d>> {
        let Some(&id) = self.by_addr.get(&from) else {
            self.stats.srtp_stranger += 1;
            return None;
        };
        let peer = self.peers.get_mut(&id).map(|peer| &mut peer.phase);
        let Some(Phase::Connected { opener: Some(opener), .. }) = peer else {
            self.stats.srtp_unwanted += 1;
            return None;
        };
        let opened = if is_rtcp(datagram) {
            opener.open_rtcp(datagram).map(|packet| Received::Rtcp { peer: id, packet })
        } else {
            opener.open_rtp(datagram).map(|packet| Received::Rtp { peer: id, packet })
        };
        let error = match opened {
            Ok(received) => return Some(received),
            Err(error) => error,
        };
        self.stats.count_unopened(error);
        if error == OpenError::Streams {
            // Nothing that it sends now could be heard: it had better come again than be silent for good.
            self.gone(now, id, GoneReason::Streams, out);
        }
        None
    }

    fn on_wake(&mut self, now: Instant, id: PeerId, out: &mut Batch) {
        let Some(peer) = self.peers.get(&id) else { return };
        let (at, why) = peer.expiry();
        if at <= now {
            return self.gone(now, id, why, out);
        }
        match peer.phase {
            Phase::Shaking { profile, .. } => self.on_flight_timeout(now, id, profile, out),
            Phase::Connected { kept: Kept::Whole { profile, until }, .. } if until <= now => {
                self.settle(now, id, profile);
            }
            _ => {}
        }
    }

    /// Puts a peer's timer where it belongs: called after whatever may bring it forward. What only
    /// puts it off, as each request does, is noticed when it fires.
    fn rearm(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let (expiry, _) = peer.expiry();
        let due = match peer.phase {
            Phase::Shaking { profile, .. } => self.handshakes.poll_timeout(id, profile),
            Phase::Connected { kept: Kept::Whole { until, .. }, .. } => Some(until),
            _ => None,
        };
        let wake = self.timers.tick(now, due.map_or(expiry, |due| due.min(expiry)));
        if wake < peer.wake {
            self.timers.set(wake, id);
            peer.wake = wake;
        }
    }

    /// Ends a peer from our side or its own.
    fn gone(&mut self, now: Instant, id: PeerId, why: GoneReason, out: &mut Batch) {
        if why != GoneReason::ConsentExpired {
            self.say_goodbye(now, id, out);
        }
        self.forget(now, id);
        self.stats.count_gone(why);
        self.changes.push_back(PeerChange::Gone { peer: id, why });
    }

    fn say_goodbye(&mut self, now: Instant, id: PeerId, out: &mut Batch) {
        let Some(peer) = self.peers.get(&id) else { return };
        if let Some(profile) = peer.profile() {
            self.handshakes.stop(now, id, profile);
        } else if let Phase::Connected { kept: Kept::Settled(goodbye), .. } = &peer.phase {
            self.handshakes.say(now, id, goodbye);
        }
        self.send_flights(out);
    }

    fn forget(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.remove(&id) else { return };
        for addr in &peer.addresses {
            self.by_addr.remove(addr);
        }
        if let Some(check) = &peer.check {
            self.checks.remove(&check.transaction);
        }
        if let Some(profile) = peer.profile() {
            self.handshakes.forget(now, id, profile);
        }
    }
}

/// RTCP's packet types lie where RTP would have its payload types 64 to 95 (RFC 5761 §4).
fn is_rtcp(datagram: &[u8]) -> bool {
    datagram.get(1).is_some_and(|second| (64..96).contains(&(second & 0x7f)))
}

/// An association that exists already.
#[derive(Debug, Clone, Copy)]
pub struct Session<'k> {
    /// Where the peer is.
    pub addr: SocketAddr,
    /// Its keys.
    pub keys: &'k SessionKeys,
}

#[cfg(test)]
mod tests;
