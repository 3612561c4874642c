//! Any datagram of a link: an error, or what writes the same bytes again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::frame;
use protocol::link::Datagram;

fuzz_target!(|bytes: &[u8]| {
    let mut out = Vec::new();
    match Datagram::read(Bytes::copy_from_slice(bytes)) {
        Ok(Datagram::Frames { channel, frames }) => frame::write(channel, &frames, &mut out),
        Ok(Datagram::Heartbeat(heartbeat)) => heartbeat.write(&mut out),
        Ok(Datagram::Missing(missing)) => missing.write(&mut out),
        Err(_) => return,
    }
    assert_eq!(out, bytes);
});
