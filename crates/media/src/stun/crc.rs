//! The CRC-32 of FINGERPRINT (RFC 8489 §14.7): the one of Ethernet and zip.

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xEDB8_8320 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// The value of the attribute that follows these bytes, whose length field must count it already.
pub(super) fn fingerprint(bytes: &[u8]) -> [u8; 4] {
    let crc = bytes.iter().fold(!0, |crc: u32, &byte| crc >> 8 ^ TABLE[usize::from(crc as u8 ^ byte)]);
    (!crc ^ 0x5354_554E).to_be_bytes()
}
