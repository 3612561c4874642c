//! From an SDP offer to what we need of it: first every line is read on its own, then the lines for us
//! are chosen, then the small session description is taken from them.

use crate::VOICES;
use crate::session::{FramingMs, Lines, Offer, PayloadType};

use super::line::lines;
use super::media::{Description, Media};
use super::{Extension, Kind, Offered, SdpError, Section, Served};

/// What may carry DTLS-SRTP: the profiles that JSEP tells everybody to take (RFC 8829 §5.1.2).
const PROTOCOLS: [&str; 5] =
    ["UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "TCP/DTLS/RTP/SAVPF", "RTP/SAVPF", "RTP/SAVP"];

/// Reads an offer.
pub(super) fn parse(sdp: &str, kind: Kind) -> Result<Offered, SdpError> {
    let description = Description::read(&lines(sdp)?)?;
    let chosen = choose(&description, kind)?;
    let offer = offer(&description, &chosen, kind)?;
    let section = |(index, media): (usize, &Media<'_>)| Section {
        media: media.kind.into(),
        protocol: media.protocol.into(),
        formats: media.formats.iter().map(|&format| format.into()).collect(),
        mid: media.mid.map(Into::into),
        served: chosen
            .contains(&index)
            .then(|| Served { level: level(media, kind), bundled: description.bundles(media) }),
    };
    let sections = description.media.iter().enumerate().map(section).collect();
    Ok(Offered { kind, offer, sections })
}

/// Indexes of the lines that we serve: one that sends, or one or all voices that receive.
fn choose(description: &Description<'_>, kind: Kind) -> Result<Vec<usize>, SdpError> {
    let fits = |media: &Media<'_>| {
        let enabled = media.port != 0 || media.bundle_only;
        let audio = media.kind == "audio" && PROTOCOLS.contains(&media.protocol);
        enabled && audio && media.direction.fits(kind)
    };
    let fitting: Vec<usize> = (0..description.media.len()).filter(|&i| fits(&description.media[i])).collect();
    let first = *fitting.first().ok_or(SdpError::NoAudio(match kind {
        Kind::Whip => "sends (a=sendonly or a=sendrecv) over DTLS-SRTP",
        Kind::Whep => "receives (a=recvonly or a=sendrecv) over DTLS-SRTP",
    }))?;
    let bundled: Vec<usize> =
        fitting.into_iter().filter(|&i| description.bundles(&description.media[i])).take(VOICES).collect();
    let all_voices = kind == Kind::Whep && bundled.len() == VOICES && bundled[0] == first;
    Ok(if all_voices { bundled } else { vec![first] })
}

fn offer(description: &Description<'_>, chosen: &[usize], kind: Kind) -> Result<Offer, SdpError> {
    let served: Vec<&Media<'_>> = chosen.iter().map(|&index| &description.media[index]).collect();
    let first = served[0];
    let opus = first.opus().ok_or(first.lacks("Opus (a=rtpmap:… opus/48000/2)"))?;
    for media in &served {
        agrees(media, first, opus)?;
    }
    let transport = description.transport(first);
    if !transport.mux {
        return Err(first.lacks("a=rtcp-mux"));
    }
    let lines = if kind == Kind::Whip { 0 } else { served.len() as u8 };
    Ok(Offer {
        ufrag: transport.ufrag.ok_or(first.lacks("a=ice-ufrag"))?,
        pwd: transport.pwd.ok_or(first.lacks("a=ice-pwd"))?,
        fingerprint: transport.fingerprint.ok_or(first.lacks("a=fingerprint:sha-256"))?,
        opus,
        red: if kind == Kind::Whip { first.red(opus) } else { None },
        level_ext: level(first, kind).map(|level| level.id),
        nack: kind == Kind::Whip && first.nack(opus),
        lines: Lines::new(lines).ok_or(first.lacks("fewer lines"))?,
        framing: if kind == Kind::Whep { framing(first) } else { None },
    })
}

/// The audio level, where it may travel with the audio.
fn level(media: &Media<'_>, kind: Kind) -> Option<Extension> {
    media.level.filter(|level| level.toward.is_none_or(|toward| toward.fits(kind)))
}

/// In a BUNDLE group one payload type and one extension id mean the same in every line (RFC 9143 §9, §10),
/// and we send every voice alike.
fn agrees(media: &Media<'_>, first: &Media<'_>, opus: PayloadType) -> Result<(), SdpError> {
    if !media.is_opus(opus) {
        return Err(media.lacks("Opus under the payload type of the first audio line"));
    }
    if media.level != first.level {
        return Err(media.lacks("the ssrc-audio-level extension as the first audio line has it"));
    }
    Ok(())
}

/// Somebody who cannot take long packets says so with `a=maxptime`, or asks with `a=ptime`.
fn framing(media: &Media<'_>) -> Option<FramingMs> {
    let longest = media.max_ptime.unwrap_or(u16::MAX);
    match media.ptime {
        _ if longest < 60 => FramingMs::new(20),
        Some(20) => FramingMs::new(20),
        Some(60) => FramingMs::new(60),
        _ => None,
    }
}
