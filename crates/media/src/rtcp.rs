//! RTCP (RFC 3550 §6, RFC 4585): what an origin says to a speaker and the little it wants to hear.
//!
//! A receiver report each second tells a browser what is lost on its way up, and it is that number
//! which makes it switch on Opus' in-band FEC. A NACK asks for single packets again. Of what
//! speakers send, only the time of their sender reports and their goodbye matter.

/// Longest compound that is written here: a report and a NACK.
pub const MAX_LEN: usize = 32 + 12 + 4 * MAX_NACK_ITEMS;

/// Most ranges of 17 packets asked for in one NACK.
pub const MAX_NACK_ITEMS: usize = 8;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const BYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const GENERIC_NACK: u8 = 1;

/// What is wrong with a compound packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtcpError {
    /// Not version 2.
    #[error("not RTCP version 2")]
    Version,
    /// Ends before a packet in it does.
    #[error("truncated")]
    Truncated,
}

/// What a speaker's RTCP says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// Of the last sender report: who sent it, and the middle 32 bits of its NTP time.
    pub sender_report: Option<(u32, u32)>,
    /// A stream that ended.
    pub bye: Option<u32>,
}

/// Reads a compound packet that is no longer encrypted. Packets of other kinds are stepped over.
pub fn parse(mut bytes: &[u8]) -> Result<Heard, RtcpError> {
    let mut heard = Heard::default();
    if bytes.is_empty() {
        return Err(RtcpError::Truncated);
    }
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_first_chunk::<4>().ok_or(RtcpError::Truncated)?;
        if head[0] >> 6 != 2 {
            return Err(RtcpError::Version);
        }
        let words = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (body, rest) = rest.split_at_checked(words * 4).ok_or(RtcpError::Truncated)?;
        match head[1] {
            SENDER_REPORT => heard.sender_report = Some(read_sender_report(body)?),
            BYE if head[0] & 0x1F > 0 => heard.bye = Some(word(body, 0)?),
            _ => {}
        }
        bytes = rest;
    }
    Ok(heard)
}

fn read_sender_report(body: &[u8]) -> Result<(u32, u32), RtcpError> {
    let ntp_middle = word(body, 1)? << 16 | word(body, 2)? >> 16;
    Ok((word(body, 0)?, ntp_middle))
}

fn word(body: &[u8], index: usize) -> Result<u32, RtcpError> {
    let bytes = body.get(index * 4..index * 4 + 4).ok_or(RtcpError::Truncated)?;
    Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// How one stream arrives (RFC 3550 §6.4.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// The stream.
    pub ssrc: u32,
    /// Lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Lost since it began; 24 bits of it are sent.
    pub lost: u32,
    /// Highest sequence number, extended by its cycles.
    pub highest: u32,
    /// Variation of the arrival, in 1/48,000 s.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report, or 0.
    pub last_sender_report: u32,
    /// How long ago that was, in 1/65,536 s.
    pub delay: u32,
}

/// Appends a receiver report from `sender`.
pub fn write_report(sender: u32, report: &Report, out: &mut Vec<u8>) {
    write_head(1, RECEIVER_REPORT, 7, out);
    let words = [
        sender,
        report.ssrc,
        u32::from(report.fraction_lost) << 24 | report.lost & 0x00FF_FFFF,
        report.highest,
        report.jitter,
        report.last_sender_report,
        report.delay,
    ];
    out.extend(words.iter().flat_map(|word| word.to_be_bytes()));
}

/// Appends a NACK for `missing`, which must be in order and not empty. What does not fit into
/// [`MAX_NACK_ITEMS`] is left out.
pub fn write_nack(sender: u32, ssrc: u32, missing: impl Iterator<Item = u16>, out: &mut Vec<u8>) {
    let mut items = [(0u16, 0u16); MAX_NACK_ITEMS];
    let mut count = 0usize;
    for sequence in missing {
        let behind = count.checked_sub(1).map(|last| sequence.wrapping_sub(items[last].0));
        match behind {
            Some(behind @ 1..=16) => items[count - 1].1 |= 1 << (behind - 1),
            _ if count == MAX_NACK_ITEMS => break,
            _ => {
                items[count] = (sequence, 0);
                count += 1;
            }
        }
    }
    write_head(GENERIC_NACK, TRANSPORT_FEEDBACK, 2 + count as u16, out);
    out.extend(sender.to_be_bytes());
    out.extend(ssrc.to_be_bytes());
    for (first, following) in &items[..count] {
        out.extend(first.to_be_bytes());
        out.extend(following.to_be_bytes());
    }
}

fn write_head(count: u8, packet_type: u8, words: u16, out: &mut Vec<u8>) {
    out.extend([0x80 | count, packet_type]);
    out.extend(words.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A sender report without blocks, an SDES item and a goodbye.
    const COMPOUND: &[u8] = &[
        0x80, 200, 0, 6, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // SR
        0x81, 202, 0, 1, 0, 0, 0, 7, // SDES
        0x81, 203, 0, 1, 0, 0, 0, 7, // BYE
    ];

    #[test]
    fn the_time_of_a_sender_and_its_goodbye_are_heard() {
        let expected = Heard { sender_report: Some((7, 0x0304_0506)), bye: Some(7) };
        assert_eq!(parse(COMPOUND), Ok(expected));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(parse(&[]), Err(RtcpError::Truncated));
        assert_eq!(parse(&COMPOUND[..27]), Err(RtcpError::Truncated));
        assert_eq!(parse(&[0x80, 200, 0, 1, 0, 0, 0, 7]), Err(RtcpError::Truncated));
        assert_eq!(parse(&[0x00, 200, 0, 0]), Err(RtcpError::Version));
    }

    #[test]
    fn a_report_is_laid_out_as_the_rfc_says() {
        let mut out = Vec::new();
        let report =
            Report { ssrc: 2, fraction_lost: 26, lost: 3, highest: 0x1_0005, jitter: 9, ..Report::default() };
        write_report(1, &report, &mut out);
        let expected = [0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 26, 0, 0, 3, 0, 1, 0, 5, 0, 0, 0, 9];
        assert_eq!(out[..24], expected);
        assert_eq!(out.len(), 32);
        assert_eq!(parse(&out), Ok(Heard::default()));
    }

    #[test]
    fn neighbours_share_an_item_of_a_nack_across_the_wrap() {
        let mut out = Vec::new();
        write_nack(1, 2, [65_534, 65_535, 0, 14, 15].into_iter(), &mut out);
        let expected = [0x81, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0xFF, 0xFE, 0x80, 0x03, 0, 15, 0, 0];
        assert_eq!(out, expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_change_of_a_real_compound_is_read_or_refused(at in 0..COMPOUND.len(), byte: u8) {
            let mut bytes = COMPOUND.to_vec();
            bytes[at] = byte;
            let _ = parse(&bytes);
        }

        #[test]
        fn a_nack_never_outgrows_its_bound(missing in prop::collection::btree_set(any::<u16>(), 1..200)) {
            let mut out = Vec::new();
            write_nack(1, 2, missing.into_iter(), &mut out);
            prop_assert!(out.len() <= MAX_LEN);
            prop_assert_eq!(parse(&out), Ok(Heard::default()));
        }
    }
}
