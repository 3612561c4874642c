//! SDP as lines: what each is made of (RFC 8866 §5), and the limits that hold before anything is read.

use super::{MAX_LINE, MAX_SDP, SdpError};

/// One `x=value` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Counted from 1.
    pub(super) number: usize,
    /// The letter before the `=`.
    pub(super) letter: u8,
    /// What follows it.
    pub(super) value: &'a str,
}

impl<'a> Line<'a> {
    /// Name and value of an `a=` line; the value is empty where there is none.
    pub(super) fn attribute(self) -> (&'a str, &'a str) {
        self.value.split_once(':').unwrap_or((self.value, ""))
    }

    /// The error that this line is wrong.
    pub(super) fn wrong(self, field: &'static str, says: &'static str) -> SdpError {
        SdpError::Line { line: self.number, field, says }
    }
}

/// Splits `sdp` into lines, whatever their ends are.
pub(super) fn lines(sdp: &str) -> Result<Vec<Line<'_>>, SdpError> {
    if sdp.len() > MAX_SDP {
        return Err(SdpError::TooLarge { what: "bytes", max: MAX_SDP });
    }
    let texts = sdp.split('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
    let numbered = texts.zip(1..).filter(|(text, _)| !text.is_empty());
    numbered.map(|(text, number)| line(text, number)).collect()
}

fn line(text: &str, number: usize) -> Result<Line<'_>, SdpError> {
    let wrong = |says| SdpError::Line { line: number, field: "line", says };
    if text.len() > MAX_LINE {
        return Err(SdpError::TooLarge { what: "bytes in a line", max: MAX_LINE });
    }
    if text.chars().any(char::is_control) {
        return Err(wrong("has a control character"));
    }
    match text.as_bytes() {
        [letter @ b'a'..=b'z', b'=', ..] => Ok(Line { number, letter: *letter, value: &text[2..] }),
        _ => Err(wrong("is not a letter, `=` and a value")),
    }
}

/// A token (RFC 8866 §9): what mids and formats are made of.
pub(super) fn is_token(text: &str) -> bool {
    let odd = |b| matches!(b, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'{'..=b'~');
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || odd(b))
}
