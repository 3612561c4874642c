//! The handshake of a peer: from the first ClientHello to the keys, and its goodbye.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use protocol::PeerId;

use super::association::{Flight, Kept, Peer, Phase};
use super::backlog::{PORTION, Waiting};
use super::{GoneReason, PeerChange, Peers};
use crate::Batch;
use crate::dtls::{self, Hello, Holds, Offered, Progress};
use crate::srtp::{Opener, Profile};

/// Most bytes that a handshake may take, however often it begins anew. With a certificate of 1 KB and
/// every flight repeated seven times it is half of that; what rtc-dtls would buffer is 2 MB.
const MAX_FED: usize = 64 * 1024;

/// Most datagrams that are looked at once it is done although anybody can forge them: with handshake
/// records, of which rtc-dtls keeps parts, and those that may be the goodbye of somebody settled.
const MAX_DOUBTFUL: usize = 16;

/// For so long after the last handshake record all of it is kept: a client that has not had our last
/// flight, and waits a second and then twice as long each time, has asked for it thrice.
const SETTLES: Duration = Duration::from_secs(10);

/// Most datagrams of our flight: with a certificate of 400 bytes it is one.
const MAX_FLIGHT: usize = 4;

/// How often, and how soon after one another, a flight is sent again because the client asks for it.
/// Chrome asks after 50 ms, and then waits twice as long each time.
const MAX_FLIGHT_REPEATS: u32 = 8;
const REPEAT_PAUSE: Duration = Duration::from_millis(100);

/// A handshake that has proven no address yet begins anew when the client turns up at another one
/// after this time.
const PATIENCE: Duration = Duration::from_secs(1);

impl Peers {
    /// Takes a datagram of a peer that is connected; one of a handshake waits for its turn.
    pub(super) fn on_dtls(&mut self, now: Instant, from: SocketAddr, datagram: &[u8], out: &mut Batch) {
        let Some(&id) = self.by_addr.get(&from) else {
            self.stats.dtls_stranger += 1;
            return;
        };
        let Some(holds) = dtls::holds(datagram) else {
            self.stats.dtls_malformed += 1;
            return;
        };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if matches!(peer.phase, Phase::Connected { .. }) {
            return self.on_records(now, id, &Records { from, holds, datagram }, out);
        }
        let waiting = Waiting { id, from, since: now, holds, datagram: datagram.into() };
        if self.backlog.push(&mut peer.waiting, waiting).is_err() {
            self.stats.handshakes_dropped += 1;
        }
    }

    /// Works off a portion of the datagrams that wait.
    pub(super) fn go_on(&mut self, now: Instant, out: &mut Batch) {
        for _ in 0..PORTION {
            let Some(Waiting { id, from, holds, datagram, .. }) = self.backlog.pop() else { return };
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            // Less than there were, if it is another one of this name.
            peer.waiting = peer.waiting.saturating_sub(1);
            // The address may have become somebody else's meanwhile.
            if self.by_addr.get(&from) == Some(&id) {
                self.on_records(now, id, &Records { from, holds, datagram: &datagram }, out);
            }
        }
    }

    fn on_records(&mut self, now: Instant, id: PeerId, records: &Records<'_>, out: &mut Batch) {
        let &Records { from, holds, datagram } = records;
        self.begin_anew_elsewhere(now, id, from);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if matches!(peer.phase, Phase::Hello(_)) {
            peer.approach(now, from);
        }
        if let Some(path) = peer.path.as_mut().filter(|path| path.addr == from) {
            path.credit += datagram.len();
        }
        match peer.weigh(now, holds, datagram.len()) {
            Verdict::Hello => self.on_hello(now, id, datagram, out),
            Verdict::Feed(profile) => self.feed(now, id, profile, datagram, out),
            Verdict::Goodbye => self.hear_goodbye(now, id, datagram, out),
            Verdict::Again => self.repeat_flight(now, id, out),
            Verdict::Junk => self.stats.dtls_malformed += 1,
            Verdict::Hopeless => self.gone(now, id, GoneReason::Handshake, out),
        }
        self.rearm(now, id);
    }

    fn on_hello(&mut self, now: Instant, id: PeerId, datagram: &[u8], out: &mut Batch) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let phase = &mut peer.phase;
        let Phase::Hello(hello) = phase else { return };
        match hello.push(datagram) {
            Offered::Incomplete => {}
            Offered::Nothing => self.stats.dtls_malformed += 1,
            Offered::Whole(profile, datagrams) => {
                *phase = Phase::Shaking { profile, flight: Flight::default() };
                for datagram in datagrams {
                    self.feed(now, id, profile, &datagram, out);
                }
            }
        }
    }

    /// A client whose first address leads nowhere says hello again from the next one. The cookie that
    /// went to the first is void then, or it would prove an address where it never was.
    fn begin_anew_elsewhere(&mut self, now: Instant, id: PeerId, from: SocketAddr) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let (Phase::Shaking { profile, .. }, Some(path)) = (&peer.phase, &peer.path) else { return };
        if path.proven || path.addr == from || now < path.since + PATIENCE {
            return;
        }
        self.handshakes.forget(now, id, *profile);
        peer.path = None;
        peer.phase = Phase::Hello(Hello::default());
    }

    fn feed(&mut self, now: Instant, id: PeerId, profile: Profile, datagram: &[u8], out: &mut Batch) {
        // The datagram before this one may have ended it; reading on would begin another.
        if self.peers.get(&id).and_then(|peer| peer.profile()) != Some(profile) {
            return;
        }
        let progress = self.handshakes.read(now, id, profile, datagram);
        self.send_flights(out);
        match progress {
            Progress::On => {}
            Progress::Refused => self.stats.dtls_refused += 1,
            Progress::Done => self.on_done(now, id, profile, out),
            Progress::Closed => self.on_closed(now, id, out),
        }
    }

    /// Sends what the handshakes have to say, as far as the addresses have earned it.
    pub(super) fn send_flights(&mut self, out: &mut Batch) {
        while let Some((id, datagram)) = self.handshakes.poll_transmit() {
            let peer = self.peers.get_mut(&id).map(Box::as_mut);
            let Some(Peer { path: Some(path), phase, .. }) = peer else { continue };
            let holds = dtls::holds(&datagram).unwrap_or_default();
            path.proven |= holds.server_hello;
            if let Phase::Shaking { flight, .. } = phase {
                flight.keep(&datagram, holds);
            }
            if path.spend(datagram.len()) {
                out.push(path.addr, &datagram);
            } else {
                self.stats.amplification += 1;
            }
        }
    }

    /// Sends our flight again as it was: what has arrived of it, the client drops.
    fn repeat_flight(&mut self, now: Instant, id: PeerId, out: &mut Batch) {
        let peer = self.peers.get_mut(&id).map(Box::as_mut);
        let Some(Peer { path: Some(path), phase: Phase::Shaking { flight, .. }, .. }) = peer else { return };
        let soon = flight.repeated.is_some_and(|repeated| now < repeated + REPEAT_PAUSE);
        if soon || flight.repeats >= MAX_FLIGHT_REPEATS {
            return;
        }
        (flight.repeated, flight.repeats) = (Some(now), flight.repeats + 1);
        flight.datagrams.iter().for_each(|datagram| out.push(path.addr, datagram));
    }

    fn on_done(&mut self, now: Instant, id: PeerId, profile: Profile, out: &mut Batch) {
        let outcome = self.handshakes.outcome(id, profile);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let (Some((shown, keys)), Some(path)) = (outcome, &mut peer.path) else {
            return self.gone(now, id, GoneReason::Handshake, out);
        };
        if shown != peer.client.fingerprint {
            return self.gone(now, id, GoneReason::Stranger, out);
        }
        path.proven = true;
        let opener = peer.receives.then(|| Box::new(Opener::new(keys.client())));
        peer.phase =
            Phase::Connected { kept: Kept::Whole { profile, until: now + SETTLES }, doubtful: 0, opener };
        self.stats.handshakes_done += 1;
        let connected = PeerChange::Connected { peer: id, addr: path.addr, keys: keys.server() };
        self.changes.push_back(connected);
    }

    pub(super) fn on_flight_timeout(&mut self, now: Instant, id: PeerId, profile: Profile, out: &mut Batch) {
        let goes_on = self.handshakes.on_timeout(now, id, profile);
        self.send_flights(out);
        if !goes_on {
            self.gone(now, id, GoneReason::Handshake, out);
        }
    }

    /// The client has had our last flight: of the handshake only what a goodbye takes is kept.
    pub(super) fn settle(&mut self, now: Instant, id: PeerId, profile: Profile) {
        let goodbye = self.handshakes.settle(now, id, profile);
        if let Some(Phase::Connected { kept, .. }) = self.peers.get_mut(&id).map(|peer| &mut peer.phase) {
            *kept = goodbye.map_or(Kept::Nothing, Kept::Settled);
        }
    }

    fn hear_goodbye(&mut self, now: Instant, id: PeerId, datagram: &[u8], out: &mut Batch) {
        let peer = self.peers.get_mut(&id).map(|peer| &mut peer.phase);
        let Some(Phase::Connected { kept, .. }) = peer else { return };
        let Kept::Settled(goodbye) = &*kept else { return };
        if self.handshakes.hear(now, id, goodbye, datagram) {
            // With the reply to it, all has been said.
            *kept = Kept::Nothing;
            self.send_flights(out);
            self.gone(now, id, GoneReason::Closed, out);
        } else {
            self.stats.dtls_refused += 1;
        }
    }

    /// A goodbye before the handshake is done is not authentic: then it only begins anew.
    fn on_closed(&mut self, now: Instant, id: PeerId, out: &mut Batch) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if matches!(peer.phase, Phase::Connected { .. }) {
            self.gone(now, id, GoneReason::Closed, out);
        } else {
            peer.path = None;
            peer.phase = Phase::Hello(Hello::default());
        }
    }
}

/// A datagram of whole DTLS records, from an address that is the peer's.
struct Records<'d> {
    from: SocketAddr,
    holds: Holds,
    datagram: &'d [u8],
}

/// What is to become of a datagram.
enum Verdict {
    /// It belongs to the first ClientHello.
    Hello,
    /// The handshake may have it.
    Feed(Profile),
    /// It may be the goodbye of somebody settled.
    Goodbye,
    /// It says that our last flight was lost.
    Again,
    /// It is not wanted.
    Junk,
    /// There have been too many.
    Hopeless,
}

impl Flight {
    fn keep(&mut self, datagram: &[u8], holds: Holds) {
        if holds.server_hello {
            self.datagrams.clear();
        }
        let belongs = holds.server_hello || self.is_out() && holds.handshake;
        if belongs && self.datagrams.len() < MAX_FLIGHT {
            self.datagrams.push(datagram.to_vec());
        }
    }

    fn is_out(&self) -> bool {
        !self.datagrams.is_empty()
    }
}

impl Peer {
    fn weigh(&mut self, now: Instant, holds: Holds, len: usize) -> Verdict {
        if let Phase::Connected { kept, doubtful, .. } = &mut self.phase {
            let doubt = holds.handshake || matches!(kept, Kept::Settled(_));
            *doubtful += usize::from(doubt);
            return match kept {
                _ if doubt && *doubtful > MAX_DOUBTFUL => Verdict::Junk,
                Kept::Whole { profile, until } => {
                    if holds.handshake {
                        *until = now + SETTLES;
                    }
                    Verdict::Feed(*profile)
                }
                Kept::Settled(_) if holds.sealed_alert => Verdict::Goodbye,
                Kept::Settled(_) | Kept::Nothing => Verdict::Junk,
            };
        }
        self.fed += len;
        match self.phase {
            _ if self.fed > MAX_FED => Verdict::Hopeless,
            // rtc-dtls would disarm its timer for a repeated ClientHello, and never send its flight again.
            Phase::Shaking { ref flight, .. } if holds.client_hello && flight.is_out() => Verdict::Again,
            Phase::Shaking { profile, .. } => Verdict::Feed(profile),
            _ => Verdict::Hello,
        }
    }
}
