//! Redundant audio (RFC 2198): a packet that repeats the ones before it, so that a lost one is
//! still heard.
//!
//! ```text
//!   |1| block PT |  timestamp offset  | block length |   … once for each repeated block, oldest first
//!   |0| block PT |  repeated block … | newest block
//! ```

/// Most blocks that are read from one packet; the newest always is.
pub const MAX_BLOCKS: usize = 9;

/// What is wrong with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedError {
    /// Ends before its blocks do.
    #[error("truncated")]
    Truncated,
    /// More blocks than anybody sends.
    #[error("too many blocks")]
    Count,
}

/// One block: a packet of another payload type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Block<'a> {
    /// What it is.
    pub payload_type: u8,
    /// How much earlier than the newest it is, in 1/48,000 s.
    pub age: u32,
    /// Its payload; empty where the sender had nothing to repeat.
    pub payload: &'a [u8],
}

/// The blocks of a packet, oldest first, read in place.
#[derive(Debug, Clone, Copy)]
pub struct Blocks<'a> {
    blocks: [Block<'a>; MAX_BLOCKS],
    count: usize,
}

impl<'a> Blocks<'a> {
    /// Reads the payload of a RED packet.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RedError> {
        let mut parsed = Self { blocks: [Block::default(); MAX_BLOCKS], count: 0 };
        let mut lengths = [0; MAX_BLOCKS];
        let mut rest = parsed.read_heads(bytes, &mut lengths)?;
        let newest = parsed.count - 1;
        for (block, &length) in parsed.blocks[..newest].iter_mut().zip(&lengths) {
            (block.payload, rest) = rest.split_at_checked(length).ok_or(RedError::Truncated)?;
        }
        parsed.blocks[newest].payload = rest;
        Ok(parsed)
    }

    /// A packet without redundancy, in the same form.
    pub fn single(block: Block<'a>) -> Self {
        let mut blocks = [Block::default(); MAX_BLOCKS];
        blocks[0] = block;
        Self { blocks, count: 1 }
    }

    /// All blocks, oldest first; the newest is last.
    pub fn iter(&self) -> impl Iterator<Item = &Block<'a>> {
        self.blocks[..self.count].iter()
    }

    fn read_heads(&mut self, mut rest: &'a [u8], lengths: &mut [usize]) -> Result<&'a [u8], RedError> {
        loop {
            let block = self.blocks.get_mut(self.count).ok_or(RedError::Count)?;
            let (&head, tail) = rest.split_first().ok_or(RedError::Truncated)?;
            block.payload_type = head & 0x7F;
            self.count += 1;
            if head & 0x80 == 0 {
                return Ok(tail);
            }
            let (fields, tail) = tail.split_first_chunk::<3>().ok_or(RedError::Truncated)?;
            let bits = u32::from_be_bytes([0, fields[0], fields[1], fields[2]]);
            block.age = bits >> 10;
            lengths[self.count - 1] = (bits & 0x3FF) as usize;
            rest = tail;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_packet_before_is_found_in_the_packet() {
        let packet = [0x80 | 111, 0x0F, 0x00, 3, 111, 1, 2, 3, 9, 9];
        let blocks: Vec<_> = Blocks::parse(&packet).unwrap().iter().copied().collect();
        let expected = [
            Block { payload_type: 111, age: 960, payload: &[1, 2, 3] },
            Block { payload_type: 111, age: 0, payload: &[9, 9] },
        ];
        assert_eq!(blocks, expected);
    }

    #[test]
    fn what_is_cut_or_endless_is_refused() {
        assert_eq!(Blocks::parse(&[]).err(), Some(RedError::Truncated));
        assert_eq!(Blocks::parse(&[0x80 | 111, 0, 0]).err(), Some(RedError::Truncated));
        assert_eq!(Blocks::parse(&[0x80 | 111, 0, 0, 9, 111, 1]).err(), Some(RedError::Truncated));
        assert_eq!(Blocks::parse(&[0xFF; 80]).err(), Some(RedError::Count));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(blocks) = Blocks::parse(&bytes) {
                let total: usize = blocks.iter().map(|block| block.payload.len()).sum();
                prop_assert!(total < bytes.len());
            }
        }
    }
}
