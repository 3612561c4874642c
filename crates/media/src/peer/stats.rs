//! What a shard's peers have been up to, in numbers: for metrics, where names follow the fields'.

use super::GoneReason;
use crate::srtp::OpenError;

/// Counters since the start. All of them only grow.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams that are neither STUN, DTLS nor RTP (RFC 7983).
    pub garbage: u64,
    /// STUN that does not parse, or asks for something else than a binding.
    pub stun_malformed: u64,
    /// Requests for a peer that is not here: never was, or is gone.
    pub stun_unknown: u64,
    /// Requests and answers signed with a wrong password.
    pub stun_password: u64,
    /// Requests answered.
    pub stun_answered: u64,
    /// Checks of ours to a new address.
    pub checks_sent: u64,
    /// Answers to no check of ours.
    pub checks_unknown: u64,
    /// Peers that moved to a new address.
    pub moved: u64,
    /// Addresses forgotten because a peer had too many.
    pub addresses_dropped: u64,
    /// DTLS from an address that no peer has.
    pub dtls_stranger: u64,
    /// DTLS that is malformed, no ClientHello where one is due, or too much.
    pub dtls_malformed: u64,
    /// DTLS that the handshake refused.
    pub dtls_refused: u64,
    /// Answers and flights not sent, because the address has not sent as much itself.
    pub amplification: u64,
    /// Handshake datagrams dropped because too many waited, of that peer or altogether.
    pub handshakes_dropped: u64,
    /// Handshakes done.
    pub handshakes_done: u64,
    /// Handshakes that ran out of repeats, took too many bytes, or agreed on nothing.
    pub handshakes_failed: u64,
    /// Handshakes done with another certificate than the offer's.
    pub handshakes_stranger: u64,
    /// RTP and RTCP from an address that no peer has.
    pub srtp_stranger: u64,
    /// RTP and RTCP of peers whose packets are not wanted, or before their handshake was done.
    pub srtp_unwanted: u64,
    /// RTP and RTCP that is none.
    pub srtp_malformed: u64,
    /// RTP and RTCP with a wrong tag.
    pub srtp_auth: u64,
    /// RTP and RTCP that was here before, or is too old to tell.
    pub srtp_replay: u64,
    /// RTP and RTCP with more SSRCs than a peer may have.
    pub srtp_streams: u64,
    /// Peers that said goodbye.
    pub closed: u64,
    /// Peers whose consent expired.
    pub consent_expired: u64,
    /// Peers that used more SSRCs than one may.
    pub streams: u64,
    /// Peers that did not connect in time.
    pub not_connected: u64,
    /// Peers refused because the shard is full.
    pub refused_full: u64,
}

impl Stats {
    pub(super) fn count_unopened(&mut self, error: OpenError) {
        *match error {
            OpenError::Malformed => &mut self.srtp_malformed,
            OpenError::Auth => &mut self.srtp_auth,
            OpenError::Replay => &mut self.srtp_replay,
            OpenError::Streams => &mut self.srtp_streams,
        } += 1;
    }

    pub(super) fn count_gone(&mut self, why: GoneReason) {
        *match why {
            GoneReason::Closed => &mut self.closed,
            GoneReason::ConsentExpired => &mut self.consent_expired,
            GoneReason::Streams => &mut self.streams,
            GoneReason::NotConnected => &mut self.not_connected,
            GoneReason::Handshake => &mut self.handshakes_failed,
            GoneReason::Stranger => &mut self.handshakes_stranger,
        } += 1;
    }
}
