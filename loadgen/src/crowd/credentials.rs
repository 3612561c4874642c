//! What a client tells about itself before it connects.

use protocol::Offer;
use protocol::session::{ExtensionId, Fingerprint, FramingMs, IceText, Lines, PayloadType};
use rand::Rng;
use rand::distr::Alphanumeric;

/// Payload type of Opus, as Chrome numbers it.
pub(crate) const OPUS: u8 = 111;

/// Id of the audio level extension, as Chrome numbers it.
pub(crate) const LEVEL: u8 = 1;

/// A client's ICE credentials.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) ufrag: IceText<4, 32>,
    pub(crate) pwd: IceText<22, 64>,
}

impl Credentials {
    /// New ones, as long as Chrome's.
    pub(crate) fn new() -> Self {
        Self {
            ufrag: IceText::new(&random(4)).expect("four letters or digits"),
            pwd: IceText::new(&random(24)).expect("24 letters or digits"),
        }
    }

    /// The offer of somebody who hears all voices.
    pub(crate) fn offer(&self, fingerprint: Fingerprint, framing: Option<u8>) -> Offer {
        Offer {
            ufrag: self.ufrag.clone(),
            pwd: self.pwd.clone(),
            fingerprint,
            opus: PayloadType::new(OPUS).expect("a dynamic payload type"),
            red: None,
            level_ext: ExtensionId::new(LEVEL),
            nack: false,
            lines: Lines::new(protocol::VOICES as u8).expect("all voices"),
            framing: framing.and_then(FramingMs::new),
        }
    }
}

fn random(length: usize) -> String {
    rand::rng().sample_iter(Alphanumeric).take(length).map(char::from).collect()
}
