//! The outside of DTLS 1.2 records and handshake messages (RFC 6347 §4.1, §4.2.2): enough to tell
//! what a datagram holds before rtc-dtls sees it, which answers some malformed ones with an alert.

const RECORD_HEADER: usize = 13;
const MESSAGE_HEADER: usize = 12;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const CHANGE_CIPHER_SPEC: u8 = 20;

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'d> {
    content: u8,
    epoch: u16,
    body: &'d [u8],
}

/// A piece of a handshake message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fragment<'d> {
    kind: u8,
    /// Bytes of the whole message.
    pub(super) message_len: usize,
    /// Counts the messages of one side.
    pub(super) sequence: u16,
    /// Where the piece belongs.
    pub(super) offset: usize,
    pub(super) body: &'d [u8],
}

/// The records of a datagram, or none if it is anything else than whole records.
pub(super) fn records(datagram: &[u8]) -> Option<impl Iterator<Item = Record<'_>>> {
    let mut rest = datagram;
    while !rest.is_empty() {
        (_, rest) = Record::split(rest)?;
    }
    let mut rest = datagram;
    Some(std::iter::from_fn(move || {
        let (record, after) = Record::split(rest)?;
        rest = after;
        Some(record)
    }))
}

impl<'d> Record<'d> {
    fn split(bytes: &'d [u8]) -> Option<(Self, &'d [u8])> {
        let (header, rest) = bytes.split_first_chunk::<RECORD_HEADER>()?;
        let len = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let known = matches!(header[0], ALERT | HANDSHAKE | APPLICATION_DATA | CHANGE_CIPHER_SPEC);
        let (body, rest) = rest.split_at_checked(len).filter(|_| known && header[1] == 0xfe && len > 0)?;
        let epoch = u16::from_be_bytes([header[3], header[4]]);
        Some((Self { content: header[0], epoch, body }, rest))
    }

    pub(super) fn is_handshake(&self) -> bool {
        self.content == HANDSHAKE
    }

    pub(super) fn is_sealed_alert(&self) -> bool {
        self.content == ALERT && self.epoch > 0
    }

    /// The ClientHello, or the piece of one, that this record begins with.
    pub(super) fn client_hello(&self) -> Option<Fragment<'d>> {
        self.message().filter(|fragment| fragment.kind == CLIENT_HELLO)
    }

    /// A ServerHello is sent only to whoever returned the cookie (RFC 6347 §4.2.1).
    pub(super) fn is_server_hello(&self) -> bool {
        self.message().is_some_and(|fragment| fragment.kind == SERVER_HELLO)
    }

    fn message(&self) -> Option<Fragment<'d>> {
        let (header, rest) = self.body.split_first_chunk::<MESSAGE_HEADER>()?;
        let readable = self.content == HANDSHAKE && self.epoch == 0;
        let body = rest.get(..u24(&header[9..])).filter(|_| readable)?;
        Some(Fragment {
            kind: header[0],
            message_len: u24(&header[1..]),
            sequence: u16::from_be_bytes([header[4], header[5]]),
            offset: u24(&header[6..]),
            body,
        })
    }
}

fn u24(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2])
}
