//! RTP packets (RFC 3550): reads what a speaker sends.
//!
//! Bytes come from outside, though from somebody with keys: whatever they are, reading costs no
//! allocation, never panics, and gives slices of the packet. What goes out is written in `audience`.

/// Bytes of the header before CSRCs and extensions.
pub const FIXED_LEN: usize = 12;

/// Marks header extensions with one-byte ids (RFC 8285 §4.2).
pub const ONE_BYTE_PROFILE: u16 = 0xBEDE;

/// The upper twelve bits of the mark of header extensions with two-byte ids (RFC 8285 §4.3).
const TWO_BYTE_PROFILE: u16 = 0x1000;

/// What is wrong with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    /// Not version 2.
    #[error("not RTP version 2")]
    Version,
    /// Ends before its header does.
    #[error("truncated")]
    Truncated,
    /// More padding than payload.
    #[error("padding out of range")]
    Padding,
}

/// A packet, read in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// First of a talkspurt (RFC 7587 §4.1).
    pub marker: bool,
    /// What the payload is, as negotiated.
    pub payload_type: u8,
    /// Position, modulo 2^16.
    pub sequence: u16,
    /// Media time of the first sample, in 1/48,000 s, modulo 2^32.
    pub timestamp: u32,
    /// The stream.
    pub ssrc: u32,
    /// The payload, without padding.
    pub payload: &'a [u8],
    csrcs: &'a [u8],
    profile: u16,
    extensions: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet that is not, or no longer, encrypted.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtpError> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED_LEN>().ok_or(RtpError::Truncated)?;
        if fixed[0] >> 6 != 2 {
            return Err(RtpError::Version);
        }
        let csrc_len = usize::from(fixed[0] & 0x0F) * 4;
        let (csrcs, rest) = rest.split_at_checked(csrc_len).ok_or(RtpError::Truncated)?;
        let has_extensions = fixed[0] & 0x10 != 0;
        let (profile, extensions, rest) =
            if has_extensions { split_extensions(rest)? } else { (0, &[][..], rest) };
        let has_padding = fixed[0] & 0x20 != 0;
        Ok(Self {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7F,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            payload: if has_padding { without_padding(rest)? } else { rest },
            csrcs,
            profile,
            extensions,
        })
    }

    /// Who contributed.
    pub fn csrcs(&self) -> impl Iterator<Item = u32> + 'a {
        self.csrcs.chunks_exact(4).map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]]))
    }

    /// The header extension with this id, where the packet has it.
    pub fn extension(&self, id: u8) -> Option<&'a [u8]> {
        match self.profile {
            ONE_BYTE_PROFILE => find_one_byte(self.extensions, id),
            profile if profile & 0xFFF0 == TWO_BYTE_PROFILE => find_two_byte(self.extensions, id),
            _ => None,
        }
    }

    /// Loudness in −dBov, 0 to 127, from the header extension with this id (RFC 6464).
    pub fn level(&self, id: u8) -> Option<u8> {
        self.extension(id)?.first().map(|byte| byte & 0x7F)
    }
}

fn split_extensions(rest: &[u8]) -> Result<(u16, &[u8], &[u8]), RtpError> {
    let (head, rest) = rest.split_first_chunk::<4>().ok_or(RtpError::Truncated)?;
    let words = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let (extensions, rest) = rest.split_at_checked(words * 4).ok_or(RtpError::Truncated)?;
    Ok((u16::from_be_bytes([head[0], head[1]]), extensions, rest))
}

fn without_padding(payload: &[u8]) -> Result<&[u8], RtpError> {
    let count = usize::from(*payload.last().ok_or(RtpError::Padding)?);
    let len = payload.len().checked_sub(count).filter(|_| count > 0).ok_or(RtpError::Padding)?;
    Ok(&payload[..len])
}

fn find_one_byte(mut rest: &[u8], id: u8) -> Option<&[u8]> {
    while let Some((&head, tail)) = rest.split_first() {
        if head == 0 {
            rest = tail;
            continue;
        }
        let (found, len) = (head >> 4, usize::from(head & 0x0F) + 1);
        if found == 0 || found == 15 {
            return None;
        }
        let (value, tail) = tail.split_at_checked(len)?;
        if found == id {
            return Some(value);
        }
        rest = tail;
    }
    None
}

fn find_two_byte(mut rest: &[u8], id: u8) -> Option<&[u8]> {
    while let Some((&found, tail)) = rest.split_first() {
        if found == 0 {
            rest = tail;
            continue;
        }
        let (&len, tail) = tail.split_first()?;
        let (value, tail) = tail.split_at_checked(usize::from(len))?;
        if found == id {
            return Some(value);
        }
        rest = tail;
    }
    None
}

#[cfg(test)]
mod tests;
