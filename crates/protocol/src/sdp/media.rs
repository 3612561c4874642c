//! What each line of an offer says, read on its own: nonsense is found here, whether the line is for us
//! or not. Attributes that we do not use are passed over (RFC 8866 §5.13), candidates among them: a
//! lite agent waits to be found.

use crate::session::{ExtensionId, PayloadType};

use super::line::{Line, is_token};
use super::transport::Transport;
use super::{Extension, Kind, MAX_LINES, SdpError};

/// RFC 6464.
pub(super) const LEVEL_URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";

/// Most formats of one media line.
const MAX_FORMATS: usize = 128;

/// Longest mid; browsers write one digit or `audio0`.
const MAX_MID: usize = 32;

/// A whole offer.
#[derive(Debug, Default)]
pub(super) struct Description<'a> {
    /// Mids of the BUNDLE group.
    group: Vec<&'a str>,
    /// Said once for all lines.
    session: Transport,
    /// Said once for all lines.
    direction: Direction,
    /// The media lines.
    pub(super) media: Vec<Media<'a>>,
}

/// A media line with its attributes.
#[derive(Debug, Default)]
pub(super) struct Media<'a> {
    number: usize,
    /// `audio`, `video`, …
    pub(super) kind: &'a str,
    /// 0 refuses the line, unless it is bundle-only.
    pub(super) port: u16,
    /// `UDP/TLS/RTP/SAVPF` and its like.
    pub(super) protocol: &'a str,
    /// Payload types in order of preference.
    pub(super) formats: Vec<&'a str>,
    /// `a=mid`
    pub(super) mid: Option<&'a str>,
    /// `a=bundle-only`
    pub(super) bundle_only: bool,
    /// `a=sendrecv` and its like.
    pub(super) direction: Direction,
    /// `a=extmap` of ssrc-audio-level.
    pub(super) level: Option<Extension>,
    /// `a=ptime`
    pub(super) ptime: Option<u16>,
    /// `a=maxptime`
    pub(super) max_ptime: Option<u16>,
    transport: Transport,
    rtpmap: Vec<(u8, &'a str)>,
    fmtp: Vec<(u8, &'a str)>,
    nack: Vec<&'a str>,
}

/// Where media of a line may flow, seen from the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Direction {
    /// Both ways: what a line without a direction means.
    #[default]
    SendRecv,
    /// From the client.
    SendOnly,
    /// To the client.
    RecvOnly,
    /// Nowhere.
    Inactive,
}

impl Direction {
    fn read(text: &str) -> Option<Self> {
        match text {
            "sendrecv" => Some(Self::SendRecv),
            "sendonly" => Some(Self::SendOnly),
            "recvonly" => Some(Self::RecvOnly),
            "inactive" => Some(Self::Inactive),
            _ => None,
        }
    }

    /// The same, as an answer names it.
    pub(super) fn mirrored(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "recvonly",
            Self::RecvOnly => "sendonly",
            Self::Inactive => "inactive",
        }
    }

    /// Whether it lets flow what a client of this kind is here for.
    pub(super) fn fits(self, kind: Kind) -> bool {
        match kind {
            Kind::Whip => matches!(self, Self::SendOnly | Self::SendRecv),
            Kind::Whep => matches!(self, Self::RecvOnly | Self::SendRecv),
        }
    }
}

impl<'a> Description<'a> {
    /// Reads all lines.
    pub(super) fn read(lines: &[Line<'a>]) -> Result<Self, SdpError> {
        let mut this = Self::default();
        match lines.first() {
            Some(Line { letter: b'v', value: "0", .. }) => {}
            _ => return Err(SdpError::Line { line: 1, field: "v=", says: "must be v=0" }),
        }
        for &line in lines {
            match line.letter {
                b'm' if this.media.len() == MAX_LINES => {
                    return Err(SdpError::TooLarge { what: "media lines", max: MAX_LINES });
                }
                b'm' => this.media.push(Media::read(line, this.direction)?),
                b'a' => this.attribute(line)?,
                _ => {}
            }
        }
        this.check_mids()?;
        Ok(this)
    }

    fn attribute(&mut self, line: Line<'a>) -> Result<(), SdpError> {
        match self.media.last_mut() {
            Some(media) => media.attribute(line),
            None => self.session_attribute(line),
        }
    }

    fn session_attribute(&mut self, line: Line<'a>) -> Result<(), SdpError> {
        let (name, value) = line.attribute();
        match name {
            "group" if self.group.is_empty() => {
                if let Some(mids) = value.strip_prefix("BUNDLE ") {
                    self.group = mids.split_ascii_whitespace().collect();
                }
            }
            "ice-lite" => {
                return Err(line.wrong("a=ice-lite", "the node is lite itself: one side must check"));
            }
            _ => match Direction::read(name) {
                Some(direction) => self.direction = direction,
                None => self.session.attribute(line)?,
            },
        }
        Ok(())
    }

    fn check_mids(&self) -> Result<(), SdpError> {
        let mids: Vec<&str> = self.media.iter().filter_map(|media| media.mid).collect();
        let twice =
            |media: &&Media<'_>| media.mid.is_some_and(|mid| mids.iter().filter(|&&m| m == mid).count() > 1);
        if let Some(media) = self.media.iter().find(twice) {
            return Err(media.lacks("an a=mid that no other line has"));
        }
        let says = "BUNDLE names a mid that no line has";
        match self.group.iter().all(|mid| mids.contains(mid)) {
            true => Ok(()),
            false => Err(SdpError::Line { line: 1, field: "a=group", says }),
        }
    }

    /// Whether the line shares the one transport of the BUNDLE group.
    pub(super) fn bundles(&self, media: &Media<'_>) -> bool {
        media.mid.is_some_and(|mid| self.group.contains(&mid))
    }

    /// How to reach the client on this line.
    pub(super) fn transport(&self, media: &Media<'_>) -> Transport {
        let tagged =
            self.media.iter().find(|other| other.mid.is_some() && other.mid == self.group.first().copied());
        let tagged = tagged.filter(|_| self.bundles(media)).map(|tagged| &tagged.transport);
        let from = [Some(&media.transport), tagged, Some(&self.session)];
        Transport::first_of(from.into_iter().flatten())
    }
}

impl<'a> Media<'a> {
    fn read(line: Line<'a>, direction: Direction) -> Result<Self, SdpError> {
        let mut parts = line.value.split(' ');
        let mut next = || parts.next().filter(|part| !part.is_empty());
        let (kind, port, protocol) = (next(), next(), next());
        let says = "must be `m=<media> <port> <protocol> <format> …`";
        let (Some(kind), Some(port), Some(protocol)) = (kind, port, protocol) else {
            return Err(line.wrong("m=", says));
        };
        let port = port.split('/').next().and_then(|port| port.parse().ok());
        let formats: Vec<&str> = parts.collect();
        let tokens = protocol.split('/').chain([kind]).chain(formats.iter().copied()).all(is_token);
        if !tokens || formats.is_empty() || formats.len() > MAX_FORMATS {
            return Err(line.wrong("m=", says));
        }
        let port = port.ok_or(line.wrong("m=", "the port must be 0 to 65535"))?;
        Ok(Self { number: line.number, kind, port, protocol, formats, direction, ..Self::default() })
    }

    fn attribute(&mut self, line: Line<'a>) -> Result<(), SdpError> {
        let (name, value) = line.attribute();
        match name {
            "mid" if value.len() > MAX_MID || !is_token(value) => {
                return Err(line.wrong("a=mid", "must be a token of at most 32 characters"));
            }
            "mid" => self.mid = Some(value),
            "bundle-only" => self.bundle_only = true,
            "rtpmap" => self.rtpmap.push(payload_type(line, "a=rtpmap")?),
            "fmtp" if self.is_rtp() => self.fmtp.push(payload_type(line, "a=fmtp")?),
            "extmap" => self.extension(line)?,
            "rtcp-fb" => self.nack.extend(value.strip_suffix(" nack")),
            "ptime" => self.ptime = Some(milliseconds(line, "a=ptime")?),
            "maxptime" => self.max_ptime = Some(milliseconds(line, "a=maxptime")?),
            _ => match Direction::read(name) {
                Some(direction) => self.direction = direction,
                None => self.transport.attribute(line)?,
            },
        }
        Ok(())
    }

    fn extension(&mut self, line: Line<'a>) -> Result<(), SdpError> {
        let mut parts = line.attribute().1.split(' ');
        let (id, direction) = match parts.next().unwrap_or_default().split_once('/') {
            None => (line.attribute().1.split(' ').next(), Some(None)),
            Some((id, direction)) => (Some(id), Direction::read(direction).map(Some)),
        };
        let id = id.and_then(|id| id.parse::<u16>().ok()).filter(|&id| id != 0);
        let (Some(id), Some(direction), Some(uri)) = (id, direction, parts.next()) else {
            return Err(line.wrong("a=extmap", "must be `<id>[/<direction>] <uri>`"));
        };
        // An id above 14 would need the two-byte form, which we do not write.
        if let (LEVEL_URI, Some(id)) = (uri, u8::try_from(id).ok().and_then(ExtensionId::new)) {
            self.level = Some(Extension { id, toward: direction });
        }
        Ok(())
    }

    /// The most preferred payload type of Opus.
    pub(super) fn opus(&self) -> Option<PayloadType> {
        self.listed().find(|&payload_type| self.is_opus(payload_type))
    }

    /// Whether this payload type is Opus here.
    pub(super) fn is_opus(&self, payload_type: PayloadType) -> bool {
        self.is(payload_type, "opus/48000/2")
    }

    /// The payload type of RED with nothing but this Opus in it (RFC 2198 §5).
    pub(super) fn red(&self, opus: PayloadType) -> Option<PayloadType> {
        let opus = opus.value().to_string();
        let only_opus = |&red: &PayloadType| {
            let mut fmtp = self.fmtp.iter().filter(|(of, _)| *of == red.value());
            fmtp.any(|(_, blocks)| blocks.split('/').all(|block| block == opus))
        };
        self.listed().filter(|&red| self.is(red, "red/48000/2")).find(only_opus)
    }

    /// Whether the client retransmits this payload type when asked.
    pub(super) fn nack(&self, payload_type: PayloadType) -> bool {
        self.nack.iter().any(|&of| of == "*" || of == payload_type.value().to_string())
    }

    /// The error that this line would be for us but needs something.
    pub(super) fn lacks(&self, needs: &'static str) -> SdpError {
        SdpError::Lacks { line: self.number, needs }
    }

    fn is(&self, payload_type: PayloadType, codec: &str) -> bool {
        self.rtpmap.iter().any(|(of, is)| *of == payload_type.value() && is.eq_ignore_ascii_case(codec))
    }

    fn listed(&self) -> impl Iterator<Item = PayloadType> {
        self.formats.iter().filter_map(|format| PayloadType::new(format.parse().ok()?))
    }

    fn is_rtp(&self) -> bool {
        self.protocol.contains("RTP/")
    }
}

fn payload_type<'a>(line: Line<'a>, field: &'static str) -> Result<(u8, &'a str), SdpError> {
    let read =
        line.attribute().1.split_once(' ').and_then(|(of, rest)| Some((of.parse().ok()?, rest.trim())));
    read.filter(|(of, _)| *of < 128).ok_or(line.wrong(field, "must begin with a payload type of 0 to 127"))
}

fn milliseconds(line: Line<'_>, field: &'static str) -> Result<u16, SdpError> {
    let whole = line.attribute().1.split('.').next();
    whole.and_then(|text| text.parse().ok()).ok_or(line.wrong(field, "must be a number of ms"))
}
