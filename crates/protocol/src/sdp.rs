//! The SDP adapter for WHIP and WHEP: a client's SDP offer becomes the small session description, and
//! the node's answer becomes SDP again. Nothing behind it ever sees SDP.
//!
//! ```text
//!   client ── SDP ──▶ Offered::parse ── Offer ──▶ node
//!   client ◀─ SDP ─── Offered::answer ◀─ Answer ─ node
//! ```
//!
//! The answer is written, not negotiated: it echoes the offer's mids, payload types and extension ids,
//! refuses with port 0 every line that is not audio for us, and repeats transport, candidates and
//! SSRC in each line that is, because some client needs each of them there.

mod answer;
mod line;
mod media;
mod parse;
#[cfg(test)]
mod tests;
mod transport;

use crate::error::{ApiError, Code};
use crate::session::{Answer, ExtensionId, Offer};

use media::Direction;

/// Longest offer, in bytes. Chromium's with audio, video and data has 7,000.
pub const MAX_SDP: usize = 32 * 1024;

/// Most media lines in an offer.
pub const MAX_LINES: usize = 32;

/// Longest line of an offer, in bytes.
pub const MAX_LINE: usize = 1_024;

/// What the client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Speak (RFC 9725): one audio line that sends.
    Whip,
    /// Listen: audio lines that receive.
    Whep,
}

/// Why an offer cannot be served. Each names the line, counted from 1, or what is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Larger than it may be.
    #[error("the session description may have {max} {what}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How many it may have.
        max: usize,
    },
    /// A line that cannot be read, or says what we cannot do.
    #[error("line {line} ({field}): {says}")]
    Line {
        /// Its number.
        line: usize,
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        says: &'static str,
    },
    /// A media line that would be the one for us but lacks something.
    #[error("the media line at line {line} needs {needs}")]
    Lacks {
        /// Number of its `m=` line.
        line: usize,
        /// What it needs.
        needs: &'static str,
    },
    /// Nothing for us in it.
    #[error("no audio line that {0}")]
    NoAudio(&'static str),
}

impl From<SdpError> for ApiError {
    fn from(error: SdpError) -> Self {
        let code = match error {
            SdpError::TooLarge { .. } => Code::TooLarge,
            _ => Code::BadOffer,
        };
        Self::new(code, error.to_string())
    }
}

/// An offer that has been read, with what its answer must echo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    kind: Kind,
    offer: Offer,
    sections: Vec<Section>,
}

impl Offered {
    /// Reads a client's SDP. `kind` says which of its lines are for us.
    pub fn parse(sdp: &str, kind: Kind) -> Result<Self, SdpError> {
        parse::parse(sdp, kind)
    }

    /// The same, small.
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// The SDP that tells the client what `answer` says.
    pub fn answer(&self, answer: &Answer) -> String {
        answer::write(self, answer)
    }
}

/// A media line of the offer, as far as the answer repeats it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    /// `audio`, `video`, `application`…
    media: String,
    /// `UDP/TLS/RTP/SAVPF` and its like.
    protocol: String,
    /// Payload types, or what stands in their place.
    formats: Vec<String>,
    /// Its name in the BUNDLE group.
    mid: Option<String>,
    /// How we serve it; none is refused.
    served: Option<Served>,
}

/// What the answer to a served line depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Served {
    /// The extension ssrc-audio-level in this line.
    level: Option<Extension>,
    /// The line is in the BUNDLE group.
    bundled: bool,
}

/// A header extension as it was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extension {
    /// Its number.
    id: ExtensionId,
    /// Where it may go; none: both ways.
    toward: Option<Direction>,
}
