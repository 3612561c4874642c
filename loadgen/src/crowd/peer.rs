//! One simulated person's WebRTC: ICE checks, keys, what was received and what is said about that.

use std::net::{Ipv4Addr, SocketAddrV4};

use media::rtcp::{self, Report};
use media::srtp::{Opener, Sealer};
use media::stun::{self, Message, Request};
use protocol::VOICES;
use protocol::session::Fingerprint;
use rand::Rng;
use tokio::sync::oneshot;

use super::{Credentials, Newcomer, Place, Why};
use crate::clock::{MS, SECOND};
use crate::ear::Ear;
use crate::places::Via;

/// How often an unanswered first check is repeated.
const FIRST_CHECKS_NS: u64 = 250 * MS;

/// Between two consent checks: browsers check every 2 to 3 s (RFC 7675 §5.1).
const CONSENT_NS: u64 = 2_500 * MS;

/// Between two receiver reports: Chrome sends them for audio every 5 s.
const REPORT_NS: u64 = 5 * SECOND;

/// So long without an answer to a check, and the server is gone (RFC 7675 §5.1).
const CONSENT_LOST_NS: u64 = 30 * SECOND;

/// How long connecting may take: as long as the SDK waits before it asks for media again.
const CONNECT_NS: u64 = 8 * SECOND;

/// Even a silent room sends something every 400 ms: who hears nothing for so long asks for media again.
const SILENCE_NS: u64 = SECOND;

/// For how long both are heard where somebody is moved: a page in a browser goes over once the new one sounds, which
/// is no sooner, and lets the old one go after that.
pub(super) const FADE_NS: u64 = 100 * MS;

/// Nothing is to be done any more.
const NEVER: u64 = u64::MAX;

/// How often a handshake is looked after.
const SHAKING_NS: u64 = 100 * MS;

/// How far a peer is.
#[expect(clippy::large_enum_variant, reason = "nearly all have keys, which lie where their peer lies")]
pub(super) enum Phase {
    /// Its check is not answered yet.
    Checking,
    /// The DTLS handshake goes on.
    Shaking(Waiting),
    /// The keys are there.
    Connected(Keys),
}

/// Steps of a handshake that wait for their turn here. That time is ours and not the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    steps: u32,
    since_ns: u64,
}

impl Waiting {
    /// One more waits.
    pub(super) fn add(&mut self, now_ns: u64) {
        if self.steps == 0 {
            self.since_ns = now_ns;
        }
        self.steps += 1;
    }

    /// One has its turn; for how long any has waited, if it was the last.
    fn take(&mut self, now_ns: u64) -> u64 {
        self.steps = self.steps.saturating_sub(1);
        if self.steps == 0 { now_ns.saturating_sub(self.since_ns) } else { 0 }
    }
}

pub(super) struct Keys {
    pub(super) opener: Opener,
    pub(super) sealer: Sealer,
}

/// One person.
pub(super) struct Peer {
    pub(super) room: u32,
    pub(super) via: Via,
    pub(super) own: Option<u32>,
    /// Which of the talk's speakers they are.
    pub(super) speaker: Option<usize>,
    /// Whose account goes on here once this flows.
    pub(super) instead_of: Option<Place>,
    /// Where they hear now: what still comes here is heard there, until they have gone over.
    pub(super) fades_into: Option<Place>,
    pub(super) local: Ipv4Addr,
    pub(super) remote: SocketAddrV4,
    credentials: Credentials,
    /// The server's.
    remote_credentials: Credentials,
    pub(super) fingerprint: Fingerprint,
    pub(super) phase: Phase,
    pub(super) ear: Ear,
    pub(super) asked_ns: u64,
    pub(super) why: Why,
    pub(super) began_ns: u64,
    answered_ns: u64,
    /// When the last packet came; none has where it is 0.
    heard_ns: u64,
    /// When the keys were there.
    ready_ns: u64,
    next_check_ns: u64,
    next_report_ns: u64,
    /// When it is looked whether packets still come.
    next_look_ns: u64,
    transaction: stun::TransactionId,
    ssrc: u32,
    pub(super) streams: [Stream; VOICES],
    connected: Option<oneshot::Sender<Result<u64, &'static str>>>,
    lost: Option<oneshot::Sender<&'static str>>,
}

/// What was received on one voice.
#[derive(Default, Clone, Copy)]
pub(super) struct Stream {
    /// Which one it is; none where the server has fewer.
    ssrc: Option<u32>,
    received: u32,
    first: u32,
    highest: u32,
    reported: (u32, u32),
}

/// What a timer has found.
pub(super) enum Due {
    Nothing,
    /// The handshake may have to repeat something.
    Repeat,
    /// Nothing comes any more.
    Silent,
    /// It is over, for this reason.
    Over(&'static str),
}

impl Peer {
    pub(super) fn new(newcomer: Newcomer, local: Ipv4Addr, remote: SocketAddrV4, now_ns: u64) -> Self {
        let Newcomer {
            room,
            via,
            own,
            credentials,
            answer,
            asked_ns,
            why,
            instead_of,
            speaks,
            connected,
            lost,
            ..
        } = newcomer;
        let mut rng = rand::rng();
        Self {
            room,
            via,
            own,
            speaker: speaks.flatten(),
            instead_of,
            fades_into: None,
            local,
            remote,
            credentials,
            remote_credentials: Credentials { ufrag: answer.ufrag, pwd: answer.pwd },
            fingerprint: answer.fingerprint,
            phase: Phase::Checking,
            ear: Ear::default(),
            asked_ns,
            why,
            began_ns: now_ns,
            answered_ns: now_ns,
            heard_ns: 0,
            ready_ns: now_ns,
            next_look_ns: NEVER,
            next_check_ns: now_ns,
            // Not all at once, whenever they joined.
            next_report_ns: now_ns + rng.random_range(REPORT_NS / 2..REPORT_NS),
            transaction: rng.random(),
            ssrc: rng.random(),
            streams: std::array::from_fn(|voice| Stream::of(answer.ssrcs.get(voice).copied())),
            connected: Some(connected),
            lost,
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected(_))
    }

    /// Whether the first packet has come.
    pub(super) fn flows(&self) -> bool {
        self.heard_ns > 0
    }

    /// When [`on_timer`](Self::on_timer) is to be called.
    pub(super) fn next_timer(&self) -> u64 {
        match self.phase {
            Phase::Checking => self.next_check_ns,
            Phase::Shaking(waiting) if waiting.steps > 0 => self.next_check_ns,
            Phase::Shaking(_) => self.next_check_ns.min(self.began_ns + CONNECT_NS),
            Phase::Connected(_) => self.next_check_ns.min(self.next_report_ns).min(self.next_look_ns),
        }
    }

    /// Writes what is due into `out`, which is empty before.
    pub(super) fn on_timer(&mut self, now_ns: u64, out: &mut Vec<u8>) -> Due {
        if matches!(self.phase, Phase::Shaking(waiting) if waiting.steps > 0) {
            // The server may have answered: nothing is repeated, and nobody given up, before that is read.
            self.next_check_ns = now_ns + SHAKING_NS;
            return Due::Nothing;
        }
        let connecting = !self.is_connected();
        if connecting && now_ns > self.began_ns + CONNECT_NS {
            let checking = matches!(self.phase, Phase::Checking);
            return Due::Over(if checking { "ice_timeout" } else { "dtls_timeout" });
        }
        if now_ns > self.answered_ns + CONSENT_LOST_NS {
            return Due::Over("no_consent");
        }
        if matches!(self.phase, Phase::Shaking(_)) {
            self.next_check_ns = now_ns + SHAKING_NS;
            return Due::Repeat;
        }
        if now_ns >= self.next_look_ns {
            return self.look(now_ns);
        }
        if now_ns >= self.next_check_ns {
            self.write_check(out);
            let pause = if connecting { FIRST_CHECKS_NS } else { self.consent_pause() };
            self.next_check_ns = now_ns + pause;
        } else if now_ns >= self.next_report_ns {
            self.write_reports(out);
            self.next_report_ns = now_ns + REPORT_NS;
        }
        Due::Nothing
    }

    fn look(&mut self, now_ns: u64) -> Due {
        if !self.flows() {
            return Due::Over("no_audio");
        }
        let is_silent = now_ns >= self.heard_ns + SILENCE_NS;
        self.next_look_ns = if is_silent { NEVER } else { self.heard_ns + SILENCE_NS };
        if is_silent { Due::Silent } else { Due::Nothing }
    }

    /// 0.8 to 1.2 of the mean (RFC 7675 §5.1).
    fn consent_pause(&self) -> u64 {
        let share = 80 + u64::from(self.transaction[11]) % 41;
        CONSENT_NS * share / 100
    }

    fn write_check(&mut self, out: &mut Vec<u8>) {
        self.transaction = rand::rng().random();
        let request = Request {
            transaction: self.transaction,
            remote_ufrag: self.remote_credentials.ufrag.as_str(),
            local_ufrag: self.credentials.ufrag.as_str(),
            remote_pwd: self.remote_credentials.pwd.as_str(),
            controlling: true,
            use_candidate: true,
        };
        stun::write_request(out, &request);
    }

    /// Takes a STUN message. True: the server has answered the first check. What is to be answered
    /// goes into `out`.
    pub(super) fn on_stun(&mut self, now_ns: u64, datagram: &[u8], out: &mut Vec<u8>) -> bool {
        let Ok(message) = Message::parse(datagram) else { return false };
        match message.kind {
            stun::Kind::Success if message.transaction == self.transaction => {
                if !message.is_signed_with(self.remote_credentials.pwd.as_str().as_bytes()) {
                    return false;
                }
                self.answered_ns = now_ns;
                matches!(self.phase, Phase::Checking)
            }
            stun::Kind::Request if message.is_signed_with(self.credentials.pwd.as_str().as_bytes()) => {
                let pwd = self.credentials.pwd.as_str().as_bytes();
                stun::write_success(out, &message.transaction, self.remote.into(), pwd);
                false
            }
            _ => false,
        }
    }

    /// From now on it shakes hands, and the first step waits.
    pub(super) fn shake(&mut self, now_ns: u64) {
        self.phase = Phase::Shaking(Waiting { steps: 1, since_ns: now_ns });
        self.next_check_ns = now_ns + SHAKING_NS;
    }

    /// A step of the handshake has its turn; false when it is over already. What it waited for does not
    /// count as time that the server took.
    pub(super) fn has_its_turn(&mut self, now_ns: u64) -> bool {
        let Phase::Shaking(waiting) = &mut self.phase else { return false };
        let waited_ns = waiting.take(now_ns);
        self.began_ns += waited_ns;
        self.answered_ns += waited_ns;
        true
    }

    /// The keys are there.
    pub(super) fn connect(&mut self, now_ns: u64, keys: Keys) {
        self.phase = Phase::Connected(keys);
        self.ear = Ear::new(now_ns, self.via);
        self.ready_ns = now_ns;
        self.next_check_ns = now_ns + self.consent_pause();
        self.next_look_ns = self.began_ns + CONNECT_NS;
    }

    /// A packet has come. True: the first one.
    pub(super) fn hear(&mut self, now_ns: u64) -> bool {
        std::mem::replace(&mut self.heard_ns, now_ns) == 0
    }

    /// The first packet has come: from now on they hear here what they heard with `before`.
    pub(super) fn flow(&mut self, now_ns: u64, before: Option<&mut Self>) {
        if let Some(before) = before {
            std::mem::swap(&mut self.ear, &mut before.ear);
            self.ear.comes_over(now_ns, now_ns + FADE_NS, self.via);
            if !self.ear.has_heard() {
                (self.why, self.asked_ns) = (before.why, before.asked_ns);
            }
        }
        self.next_look_ns = self.heard_ns + SILENCE_NS;
        if let Some(connected) = self.connected.take() {
            let _ = connected.send(Ok(self.ready_ns));
        }
    }

    /// They hear with another peer from now on.
    pub(super) fn fade(&mut self, into: Place) {
        self.fades_into = Some(into);
        self.forget();
        self.rest();
    }

    /// They are with other nodes now.
    pub(super) fn moves(&mut self, now_ns: u64, via: Via) {
        self.via = via;
        self.ear.moves(now_ns, via);
    }

    /// It is over, or silent: tells whoever wants to know.
    pub(super) fn fail(&mut self, why: &'static str) {
        if let Some(connected) = self.connected.take() {
            let _ = connected.send(Err(why));
        } else if let Some(lost) = self.lost.take() {
            let _ = lost.send(why);
        }
    }

    /// Asks and says nothing any more; what still comes is heard.
    pub(super) fn rest(&mut self) {
        (self.next_check_ns, self.next_report_ns, self.next_look_ns) = (NEVER, NEVER, NEVER);
    }

    /// What becomes of it does not matter any more.
    pub(super) fn forget(&mut self) {
        self.lost = None;
        self.next_look_ns = NEVER;
    }

    fn write_reports(&mut self, out: &mut Vec<u8>) {
        let Phase::Connected(keys) = &mut self.phase else { return };
        for report in self.streams.iter_mut().filter_map(Stream::report) {
            rtcp::write_report(self.ssrc, &report, out);
        }
        if !out.is_empty() {
            keys.sealer.seal_rtcp(out, 0);
        }
    }
}

impl Stream {
    fn of(ssrc: Option<u32>) -> Self {
        Self { ssrc, ..Self::default() }
    }

    pub(super) fn is_of(&self, ssrc: u32) -> bool {
        self.ssrc == Some(ssrc)
    }

    /// Counts a packet; by how many more, or fewer, are missing since.
    pub(super) fn count(&mut self, sequence: u16) -> i64 {
        self.received += 1;
        if self.received == 1 {
            (self.first, self.highest) = (sequence.into(), sequence.into());
            return 0;
        }
        let ahead = sequence.wrapping_sub(self.highest as u16) as i16;
        if ahead > 0 {
            self.highest = self.highest.wrapping_add(ahead as u32);
        }
        // One that comes late fills a gap; replays have not come this far.
        if ahead > 0 { i64::from(ahead) - 1 } else { -1 }
    }

    /// Whether its sequence numbers have begun anew.
    pub(super) fn has_wrapped(&self) -> bool {
        self.highest > u16::MAX.into()
    }

    /// What has come since the last report; nothing before anything has.
    fn report(&mut self) -> Option<Report> {
        let ssrc = self.ssrc.filter(|_| self.received > 0)?;
        let expected = self.highest.wrapping_sub(self.first) + 1;
        let (expected_before, received_before) = self.reported;
        let (expected_now, received_now) = (expected - expected_before, self.received - received_before);
        let lost_now = expected_now.saturating_sub(received_now);
        self.reported = (expected, self.received);
        Some(Report {
            ssrc,
            fraction_lost: (u64::from(lost_now) * 256 / u64::from(expected_now.max(1))).min(255) as u8,
            lost: expected.saturating_sub(self.received),
            highest: self.highest,
            ..Report::default()
        })
    }
}

/// Where the answer says that the server is: its first address of IPv4.
pub(crate) fn remote_of(answer: &protocol::Answer) -> Option<SocketAddrV4> {
    answer.candidates.iter().find_map(|candidate| match candidate.ip {
        std::net::IpAddr::V4(ip) => Some(SocketAddrV4::new(ip, candidate.port)),
        std::net::IpAddr::V6(_) => None,
    })
}

/// Entries of the timer queue.
pub(super) type Timer = std::cmp::Reverse<(u64, Place)>;

#[cfg(test)]
mod tests;
