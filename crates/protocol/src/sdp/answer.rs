//! The SDP of an answer, written line by line.

use std::fmt::{self, Write};

use crate::session::{Answer, Candidate, Fingerprint};

use super::media::LEVEL_URI;
use super::{Kind, Offered, Section, Served};

/// Type preference of a host candidate (RFC 8445 §5.1.2.2).
const HOST: u32 = 126;

/// The whole answer.
pub(super) fn write(offered: &Offered, answer: &Answer) -> String {
    let mut out = String::with_capacity(2_048);
    // Writing to a String cannot fail.
    let _ = description(&mut out, offered, answer);
    out
}

fn description(out: &mut String, offered: &Offered, answer: &Answer) -> fmt::Result {
    out.write_str("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=dais\r\nt=0 0\r\na=ice-lite\r\n")?;
    let bundled =
        offered.sections.iter().filter(|section| section.served.is_some_and(|served| served.bundled));
    let mids: Vec<&str> = bundled.filter_map(|section| section.mid.as_deref()).collect();
    if !mids.is_empty() {
        write!(out, "a=group:BUNDLE {}\r\n", mids.join(" "))?;
    }
    out.write_str("a=msid-semantic: WMS *\r\n")?;
    let mut voice = 0;
    for section in &offered.sections {
        match section.served {
            Some(served) => {
                line(out, offered, answer, section, served, voice)?;
                voice += 1;
            }
            None => refused(out, section)?,
        }
    }
    Ok(())
}

/// Port 0, and otherwise as it was offered (RFC 3264 §6).
fn refused(out: &mut String, section: &Section) -> fmt::Result {
    write!(out, "m={} 0 {} {}\r\n", section.media, section.protocol, section.formats.join(" "))?;
    out.write_str("c=IN IP4 0.0.0.0\r\na=inactive\r\n")?;
    mid(out, section)
}

fn mid(out: &mut String, section: &Section) -> fmt::Result {
    match &section.mid {
        Some(mid) => write!(out, "a=mid:{mid}\r\n"),
        None => Ok(()),
    }
}

fn line(
    out: &mut String,
    offered: &Offered,
    answer: &Answer,
    section: &Section,
    served: Served,
    voice: usize,
) -> fmt::Result {
    codecs(out, offered, answer, section)?;
    mid(out, section)?;
    transport(out, answer)?;
    if let Some(level) = served.level {
        write!(out, "a=extmap:{}", level.id.value())?;
        if let Some(toward) = level.toward {
            write!(out, "/{}", toward.mirrored())?;
        }
        write!(out, " {LEVEL_URI}\r\n")?;
    }
    match offered.kind {
        Kind::Whip => out.write_str("a=recvonly\r\n")?,
        Kind::Whep => {
            write!(out, "a=sendonly\r\na=msid:dais voice-{voice}\r\n")?;
            if let Some(ssrc) = answer.ssrcs.get(voice) {
                write!(out, "a=ssrc:{ssrc} cname:dais\r\n")?;
            }
        }
    }
    for (index, candidate) in answer.candidates.iter().enumerate() {
        candidate_line(out, index, candidate)?;
    }
    out.write_str("a=end-of-candidates\r\n")
}

/// The `m=` line and what its payload types are.
fn codecs(out: &mut String, offered: &Offered, answer: &Answer, section: &Section) -> fmt::Result {
    let opus = offered.offer.opus.value();
    let red = offered.offer.red.filter(|_| answer.red).map(|red| red.value());
    write!(out, "m={} 9 {}", section.media, section.protocol)?;
    if let Some(red) = red {
        write!(out, " {red}")?;
    }
    write!(out, " {opus}\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:{opus} opus/48000/2\r\n")?;
    // DTX is asked of who speaks: half the packets in a conversation's pauses.
    match offered.kind {
        Kind::Whip => write!(out, "a=fmtp:{opus} minptime=10;useinbandfec=1;usedtx=1\r\na=ptime:20\r\n")?,
        Kind::Whep => write!(out, "a=fmtp:{opus} minptime=10;useinbandfec=1\r\n")?,
    }
    if offered.offer.nack {
        write!(out, "a=rtcp-fb:{opus} nack\r\n")?;
    }
    if let Some(red) = red {
        write!(out, "a=rtpmap:{red} red/48000/2\r\na=fmtp:{red} {opus}/{opus}\r\n")?;
    }
    Ok(())
}

/// In every line: some clients look only there.
fn transport(out: &mut String, answer: &Answer) -> fmt::Result {
    write!(out, "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", answer.ufrag.as_str(), answer.pwd.as_str())?;
    fingerprint(out, answer.fingerprint)?;
    out.write_str("a=setup:passive\r\na=rtcp-mux\r\na=rtcp-rsize\r\n")
}

fn fingerprint(out: &mut String, fingerprint: Fingerprint) -> fmt::Result {
    out.write_str("a=fingerprint:sha-256 ")?;
    for (index, byte) in fingerprint.0.iter().enumerate() {
        write!(out, "{}{byte:02X}", if index == 0 { "" } else { ":" })?;
    }
    out.write_str("\r\n")
}

/// A host candidate; the first is preferred (RFC 8839 §5.1, RFC 8445 §5.1.2.1).
fn candidate_line(out: &mut String, index: usize, candidate: &Candidate) -> fmt::Result {
    let local = 65_535 - (index as u32).min(65_535);
    let priority = (HOST << 24) | (local << 8) | 255;
    let Candidate { ip, port, .. } = candidate;
    write!(out, "a=candidate:{} 1 udp {priority} {ip} {port} typ host\r\n", index + 1)
}
