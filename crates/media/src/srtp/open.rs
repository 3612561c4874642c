//! Opening what comes from one peer: rollover, replay, authentication.

use super::cipher::{Cipher, Kind};
use super::{RTCP_CLEAR, SendKeys};

/// Most SSRCs of one peer: 24 bytes each. A browser has one for its microphone and one or two for its
/// reports; an encoder draws another each time it begins anew. None is ever forgotten, or its packets
/// could be replayed, so whoever needs more needs another association.
pub const MAX_STREAMS: usize = 64;

/// Packets before the newest that can still be told from a replay (RFC 3711 §3.3.2 asks for 64).
const WINDOW: u64 = 64;

/// Why a packet was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is no RTP or RTCP, or too short to be sealed.
    #[error("not a sealed packet")]
    Malformed,
    /// Its tag does not fit: not from this peer, or changed on the way.
    #[error("authentication failed")]
    Auth,
    /// It has been here before, or is too old to tell.
    #[error("replayed")]
    Replay,
    /// It is the peer's, and of one SSRC more than a peer may have: whatever comes of it is refused, so
    /// the peer should be ended, to come again with other keys.
    #[error("too many SSRCs")]
    Streams,
}

/// Opens what comes from one peer.
pub struct Opener {
    rtp: Cipher,
    rtcp: Cipher,
    rtp_streams: Streams,
    rtcp_streams: Streams,
}

impl Opener {
    /// Derives the session keys; `keys` are what the *other* side seals with.
    pub fn new(keys: SendKeys) -> Self {
        Self {
            rtp: Cipher::derive(keys.profile, &keys.master, Kind::Rtp),
            rtcp: Cipher::derive(keys.profile, &keys.master, Kind::Rtcp),
            rtp_streams: Streams::default(),
            rtcp_streams: Streams::default(),
        }
    }

    /// Opens an RTP packet in place; what comes back is its header and plain payload. After an error
    /// the bytes are worth nothing.
    pub fn open_rtp<'d>(&mut self, packet: &'d mut [u8]) -> Result<&'d mut [u8], OpenError> {
        let (header, sequence, ssrc) = measure(packet).ok_or(OpenError::Malformed)?;
        let (at, stream) = self.rtp_streams.find(ssrc);
        let index = stream.index_of(sequence);
        stream.check(index)?;
        let plain = self.rtp.open_rtp(packet, header, ssrc, index)?;
        self.rtp_streams.keep(at, stream.with(index))?;
        Ok(plain)
    }

    /// Opens a compound RTCP packet in place.
    pub fn open_rtcp<'d>(&mut self, packet: &'d mut [u8]) -> Result<&'d mut [u8], OpenError> {
        let (_, ssrc) = packet[..].split_at_checked(RTCP_CLEAR - 4).ok_or(OpenError::Malformed)?;
        let ssrc = u32::from_be_bytes(*ssrc.first_chunk().ok_or(OpenError::Malformed)?);
        let index = self.rtcp.rtcp_index(packet)?;
        let (at, stream) = self.rtcp_streams.find(ssrc);
        stream.check(index.into())?;
        let plain = self.rtcp.open_rtcp(packet, index)?;
        self.rtcp_streams.keep(at, stream.with(index.into()))?;
        Ok(plain)
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opener({} streams)", self.rtp_streams.0.len())
    }
}

/// All SSRCs of a peer, the one in use first.
#[derive(Default)]
struct Streams(Vec<Stream>);

impl Streams {
    /// The stream of `ssrc` with its place: the end for one that is new.
    fn find(&self, ssrc: u32) -> (usize, Stream) {
        let at = self.0.iter().position(|stream| stream.ssrc == ssrc).unwrap_or(self.0.len());
        (at, self.0.get(at).copied().unwrap_or(Stream { ssrc, highest: 0, seen: 0 }))
    }

    /// Notes what has become of the stream at this place, once its packet has proven authentic.
    fn keep(&mut self, at: usize, stream: Stream) -> Result<(), OpenError> {
        match self.0.get_mut(at) {
            Some(kept) => *kept = stream,
            None if at < MAX_STREAMS => self.0.push(stream),
            None => return Err(OpenError::Streams),
        }
        self.0[..=at].rotate_right(1);
        Ok(())
    }
}

/// What has been received of one SSRC. Only authenticated packets change it, so a forger cannot.
#[derive(Clone, Copy)]
struct Stream {
    ssrc: u32,
    /// The highest index so far.
    highest: u64,
    /// Bit n: the packet with `highest - n` was here. None before the first packet.
    seen: u64,
}

impl Stream {
    /// The index nearest to the highest that ends in `sequence` (RFC 3711 §3.3.1).
    fn index_of(&self, sequence: u16) -> u64 {
        if self.is_new() {
            return sequence.into();
        }
        let ahead = sequence.wrapping_sub(self.highest as u16) as i16;
        // Before the first rollover nothing lies behind zero: then it can only be far ahead.
        self.highest.checked_add_signed(ahead.into()).unwrap_or(sequence.into())
    }

    fn check(&self, index: u64) -> Result<(), OpenError> {
        let fresh = self.is_new() || index > self.highest || {
            let age = self.highest - index;
            age < WINDOW && self.seen & (1 << age) == 0
        };
        if fresh && index < 1 << 48 { Ok(()) } else { Err(OpenError::Replay) }
    }

    /// The same, once the packet with this index is here.
    fn with(self, index: u64) -> Self {
        match index.checked_sub(self.highest) {
            Some(ahead) => {
                let seen = self.seen.checked_shl(ahead.min(WINDOW) as u32).unwrap_or(0);
                Self { highest: index, seen: seen | 1, ..self }
            }
            None => Self { seen: self.seen | 1 << (self.highest - index), ..self },
        }
    }

    fn is_new(&self) -> bool {
        self.seen == 0
    }
}

/// Length of the RTP header with CSRCs and extension, sequence number and SSRC (RFC 3550 §5.1).
fn measure(packet: &[u8]) -> Option<(usize, u16, u32)> {
    let fixed: &[u8; 12] = packet.first_chunk()?;
    if fixed[0] >> 6 != 2 {
        return None;
    }
    let mut header = 12 + 4 * usize::from(fixed[0] & 0x0f);
    if fixed[0] & 0x10 != 0 {
        let words: &[u8; 2] = packet.get(header + 2..)?.first_chunk()?;
        header += 4 + 4 * usize::from(u16::from_be_bytes(*words));
    }
    let sequence = u16::from_be_bytes([fixed[2], fixed[3]]);
    let ssrc = u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
    (header <= packet.len()).then_some((header, sequence, ssrc))
}
