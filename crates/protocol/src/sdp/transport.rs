//! How to reach a client: ICE credentials and the fingerprint of its certificate, wherever they stand.

use crate::session::{Fingerprint, IceText};

use super::SdpError;
use super::line::Line;

/// How to reach the client; each part may stand in the line, in the first line of the group, or at
/// session level.
#[derive(Debug, Clone, Default)]
pub(super) struct Transport {
    /// `a=ice-ufrag`
    pub(super) ufrag: Option<IceText<4, 32>>,
    /// `a=ice-pwd`
    pub(super) pwd: Option<IceText<22, 64>>,
    /// `a=fingerprint:sha-256`
    pub(super) fingerprint: Option<Fingerprint>,
    /// `a=rtcp-mux`
    pub(super) mux: bool,
}

impl Transport {
    /// Each part from the first place that has it.
    pub(super) fn first_of<'t>(places: impl Iterator<Item = &'t Self> + Clone) -> Self {
        Self {
            ufrag: places.clone().find_map(|place| place.ufrag.clone()),
            pwd: places.clone().find_map(|place| place.pwd.clone()),
            fingerprint: places.clone().find_map(|place| place.fingerprint),
            mux: places.clone().any(|place| place.mux),
        }
    }

    /// Reads one attribute; others than those of the transport are passed over.
    pub(super) fn attribute(&mut self, line: Line<'_>) -> Result<(), SdpError> {
        let (name, value) = line.attribute();
        match name {
            "ice-ufrag" => {
                let ufrag = IceText::new(value);
                let says = "must be 4 to 32 characters of a-z A-Z 0-9 + /";
                self.ufrag = Some(ufrag.ok_or(line.wrong("a=ice-ufrag", says))?);
            }
            "ice-pwd" => {
                let says = "must be 22 to 64 characters of a-z A-Z 0-9 + /";
                self.pwd = Some(IceText::new(value).ok_or(line.wrong("a=ice-pwd", says))?);
            }
            "fingerprint" => self.fingerprint = fingerprint(line)?.or(self.fingerprint),
            "setup" if !matches!(value, "actpass" | "active") => {
                return Err(line.wrong("a=setup", "must be actpass or active: the node is the DTLS server"));
            }
            "rtcp-mux" => self.mux = true,
            _ => {}
        }
        Ok(())
    }
}

/// The fingerprint, if it is of the one hash that we compare with.
fn fingerprint(line: Line<'_>) -> Result<Option<Fingerprint>, SdpError> {
    let (hash, hex) = line.attribute().1.split_once(' ').unwrap_or_default();
    if hash.is_empty() {
        return Err(line.wrong("a=fingerprint", "must be a hash and its value"));
    }
    if !hash.eq_ignore_ascii_case("sha-256") {
        return Ok(None);
    }
    let byte = |text: &str| match text.len() {
        2 if text.bytes().all(|b| b.is_ascii_hexdigit()) => u8::from_str_radix(text, 16).ok(),
        _ => None,
    };
    let bytes = hex.trim().split(':').map(byte).collect::<Option<Vec<u8>>>();
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(|bytes| Some(Fingerprint(bytes)))
        .ok_or(line.wrong("a=fingerprint", "must be 32 bytes as AB:CD:…"))
}
