//! Text files of the page, made small once and kept: a crowd that arrives at the same moment costs no
//! compression, and its first view a third of the bytes.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Files that are kept; there are about forty. In debug builds a file changes while the program runs.
const KEPT: usize = 256;

/// Files by their hash.
#[derive(Default)]
pub(crate) struct Gzip(Mutex<HashMap<[u8; 32], Bytes>>);

impl Gzip {
    /// The file in fewer bytes.
    pub(crate) fn pack(&self, hash: [u8; 32], data: &[u8]) -> Bytes {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.entry(hash).or_insert_with(|| packed(data)).clone()
    }
}

/// Whether the client can read it.
pub(crate) fn is_accepted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|list| list.split(',')).any(|one| {
        let mut parts = one.split(';').map(str::trim);
        parts.next() == Some("gzip")
            && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

fn packed(data: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(data.len() / 2), Compression::best());
    let written = encoder.write_all(data).and_then(|()| encoder.finish());
    written.expect("writing into memory does not fail").into()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_was_packed_is_the_same_again() {
        let text = "a voice, a voice, a voice".repeat(100);
        let small = Gzip::default().pack([1; 32], text.as_bytes());
        let mut again = String::new();
        flate2::read::GzDecoder::new(&small[..]).read_to_string(&mut again).expect("it is gzip");
        assert!(again == text && small.len() < text.len() / 4);
    }

    #[test]
    fn only_who_asks_for_it_gets_it() {
        let accepts = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().expect("a header"));
            is_accepted(&headers)
        };
        assert!(accepts("gzip") && accepts("br, gzip;q=0.8"));
        assert!(!accepts("br") && !accepts("gzip;q=0") && !is_accepted(&HeaderMap::new()));
    }
}
