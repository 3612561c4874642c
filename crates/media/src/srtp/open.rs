//! Opening what comes from one peer: rollover, replay, authentication.

use super::cipher::{Cipher, Kind};
use super::{RTCP_CLEAR, SendKeys};

/// Most SSRCs of one peer that are remembered. A browser has one for its microphone and one or two
/// for its reports; more are refused rather than forgotten, or their packets could be replayed.
pub(super) const MAX_STREAMS: usize = 8;

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
    /// The peer has as many SSRCs as are remembered.
    #[error("too many SSRCs")]
    Streams,
}

/// Opens what comes from one peer.
pub struct Opener {
    rtp: Cipher,
    rtcp: Cipher,
    rtp_streams: Vec<Stream>,
    rtcp_streams: Vec<Stream>,
}

impl Opener {
    /// Derives the session keys; `keys` are what the *other* side seals with.
    pub fn new(keys: SendKeys) -> Self {
        Self {
            rtp: Cipher::derive(keys.profile, &keys.master, Kind::Rtp),
            rtcp: Cipher::derive(keys.profile, &keys.master, Kind::Rtcp),
            rtp_streams: Vec::new(),
            rtcp_streams: Vec::new(),
        }
    }

    /// Opens an RTP packet in place; what comes back is its header and plain payload. After an error
    /// the bytes are worth nothing.
    pub fn open_rtp<'d>(&mut self, packet: &'d mut [u8]) -> Result<&'d mut [u8], OpenError> {
        let (header, sequence, ssrc) = measure(packet).ok_or(OpenError::Malformed)?;
        let (at, mut stream) = find(&self.rtp_streams, ssrc)?;
        let index = stream.index_of(sequence);
        stream.check(index)?;
        let plain = self.rtp.open_rtp(packet, header, ssrc, index)?;
        stream.accept(index);
        keep(&mut self.rtp_streams, at, stream);
        Ok(plain)
    }

    /// Opens a compound RTCP packet in place.
    pub fn open_rtcp<'d>(&mut self, packet: &'d mut [u8]) -> Result<&'d mut [u8], OpenError> {
        let (_, ssrc) = packet[..].split_at_checked(RTCP_CLEAR - 4).ok_or(OpenError::Malformed)?;
        let ssrc = u32::from_be_bytes(*ssrc.first_chunk().ok_or(OpenError::Malformed)?);
        let index = self.rtcp.rtcp_index(packet)?;
        let (at, mut stream) = find(&self.rtcp_streams, ssrc)?;
        stream.check(index.into())?;
        let plain = self.rtcp.open_rtcp(packet, index)?;
        stream.accept(index.into());
        keep(&mut self.rtcp_streams, at, stream);
        Ok(plain)
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opener({} streams)", self.rtp_streams.len())
    }
}

/// What has been received of one SSRC. Only authenticated packets change it, so a forger cannot.
#[derive(Clone, Copy)]
struct Stream {
    ssrc: u32,
    /// The highest index so far; none before the first packet.
    highest: Option<u64>,
    /// Bit n: the packet with `highest - n` was here.
    seen: u64,
}

impl Stream {
    /// The index nearest to the highest that ends in `sequence` (RFC 3711 §3.3.1).
    fn index_of(&self, sequence: u16) -> u64 {
        let Some(highest) = self.highest else { return sequence.into() };
        let ahead = sequence.wrapping_sub(highest as u16) as i16;
        // Before the first rollover nothing lies behind zero: then it can only be far ahead.
        highest.checked_add_signed(ahead.into()).unwrap_or(sequence.into())
    }

    fn check(&self, index: u64) -> Result<(), OpenError> {
        let Some(highest) = self.highest else { return Ok(()) };
        let fresh = index > highest || {
            let age = highest - index;
            age < WINDOW && self.seen & (1 << age) == 0
        };
        if fresh && index < 1 << 48 { Ok(()) } else { Err(OpenError::Replay) }
    }

    fn accept(&mut self, index: u64) {
        let highest = self.highest.unwrap_or(index);
        if index >= highest {
            self.seen = self.seen.checked_shl((index - highest).min(WINDOW) as u32).unwrap_or(0) | 1;
            self.highest = Some(index);
        } else {
            self.seen |= 1 << (highest - index);
        }
    }
}

/// The stream of `ssrc` with its place: the end for one that is new.
fn find(streams: &[Stream], ssrc: u32) -> Result<(usize, Stream), OpenError> {
    let at = streams.iter().position(|stream| stream.ssrc == ssrc).unwrap_or(streams.len());
    let stream = streams.get(at).copied().unwrap_or(Stream { ssrc, highest: None, seen: 0 });
    if at < MAX_STREAMS { Ok((at, stream)) } else { Err(OpenError::Streams) }
}

fn keep(streams: &mut Vec<Stream>, at: usize, stream: Stream) {
    match streams.get_mut(at) {
        Some(kept) => *kept = stream,
        None => streams.push(stream),
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
