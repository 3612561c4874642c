//! The fan-out: packets made once, then for each peer copied, patched in a few header bytes, sealed.
//!
//! ```text
//!   V=2 P X CC │ M PT │ sequence │ timestamp │ SSRC │ CSRC │ BE DE 0 1 │ id, level, 0 0 │ payload │ tag
//!                ^^^^   ^^^^^^^^                                         ^^                        ^^^
//! ```
//!
//! What is marked differs from peer to peer. Sequence numbers count the packets *sent to that peer on
//! that voice*: a standard receiver starts its rollover counter at 0, and must never miss one half
//! of the number space. Nothing is allocated per peer or per packet.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use protocol::session::{ExtensionId, PayloadType};
use protocol::{Offer, PeerId, SpeakerNumber, VOICES, VoiceId};
use rand::Rng;

use crate::Batch;
use crate::rtp::ONE_BYTE_PROFILE;
use crate::srtp::{Sealer, SendKeys};

/// Sequence numbers begin below this: a receiver that misses the first packets near a wrap would
/// guess the rollover counter wrong.
const FIRST_SEQUENCE_BELOW: u64 = 1 << 15;

/// Most bytes of RTP padding (RFC 3550 §5.1).
const MAX_PADDING: usize = 255;

/// RFC 6464: what is in the packet is voice.
const VOICE_ACTIVITY: u8 = 0x80;

/// Level of what is not to be heard, in −dBov.
pub const NO_LEVEL: u8 = 127;

/// One who is sent packets.
#[derive(Debug)]
pub struct Receiver {
    /// Who.
    pub peer: PeerId,
    /// Where to.
    pub to: SocketAddr,
    /// Packets of this speaker are left out: it is the receiver. NOBODY: of none.
    own: SpeakerNumber,
    negotiated: Negotiated,
    sealer: Sealer,
    /// Index of the next packet of each voice: rollover counter << 16 | sequence number.
    next: [u64; VOICES],
}

/// The few bytes of an offer that the headers of a receiver's packets need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    payload_type: u8,
    /// Id of the audio level extension; 0 where the client has none.
    level_ext: u8,
}

impl From<&Offer> for Negotiated {
    fn from(offer: &Offer) -> Self {
        let payload_type = PayloadType::value(offer.opus);
        Self { payload_type, level_ext: offer.level_ext.map_or(0, ExtensionId::value) }
    }
}

impl Receiver {
    /// A receiver who has been sent nothing yet.
    pub fn new(
        peer: PeerId,
        to: SocketAddr,
        keys: SendKeys,
        negotiated: Negotiated,
        rng: &mut impl Rng,
    ) -> Self {
        Self {
            peer,
            to,
            own: SpeakerNumber::NOBODY,
            negotiated,
            sealer: Sealer::new(keys),
            next: std::array::from_fn(|_| rng.random_range(0..FIRST_SEQUENCE_BELOW)),
        }
    }

    /// The same, who does not hear `own` voice.
    pub fn without(self, own: SpeakerNumber) -> Self {
        Self { own, ..self }
    }

    /// Sends every packet but their own ones.
    pub fn send(&mut self, packets: &Packets, out: &mut Batch) -> Sent {
        let mut sent = Sent::default();
        for packet in &packets.list {
            let is_own = packet.speaker == self.own && self.own != SpeakerNumber::NOBODY;
            if !is_own {
                sent.add(self.seal(packet, &packets.bytes[packet.start..packet.start + packet.len], out));
            }
        }
        sent
    }

    /// Seals RTCP, which the caller has written, with the same keys.
    pub fn send_rtcp(&mut self, compound: &[u8], out: &mut Batch) {
        out.push_with(self.to, |bytes| {
            let start = bytes.len();
            bytes.extend_from_slice(compound);
            self.sealer.seal_rtcp(bytes, start);
        });
    }

    fn seal(&mut self, packet: &Packet, template: &[u8], out: &mut Batch) -> usize {
        let next = &mut self.next[packet.voice.index()];
        let index = *next;
        *next += 1;
        let header_len = usize::from(packet.header_len);
        out.push_with(self.to, |bytes| {
            let start = bytes.len();
            bytes.extend_from_slice(template);
            let header = &mut bytes[start..start + header_len];
            header[1] |= self.negotiated.payload_type;
            header[2..4].copy_from_slice(&(index as u16).to_be_bytes());
            match self.negotiated.level_ext {
                0 => header[header_len - 3] = 0,
                id => header[header_len - 4] = id << 4,
            }
            self.sealer.seal(bytes, start, header_len, packet.voice.ssrc(), index);
        });
        template.len() + self.sealer.tag_len()
    }
}

/// What was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Datagrams.
    pub packets: u64,
    /// Bytes in them.
    pub bytes: u64,
}

impl Sent {
    fn add(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}

impl std::ops::AddAssign for Sent {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// Those who are sent the same packets, some at a time.
#[derive(Debug, Default)]
pub struct Audience {
    receivers: Vec<Receiver>,
    /// So many, those in front, have been sent what is being sent.
    served: usize,
}

/// Those who have another place now, and which.
pub type Moved = [Option<(PeerId, usize)>; 2];

impl Audience {
    /// Takes somebody in; their place, until [`remove`](Self::remove) moves it.
    pub fn add(&mut self, receiver: Receiver) -> usize {
        self.receivers.push(receiver);
        self.receivers.len() - 1
    }

    /// Takes out who is at `place`. Those who have been served stay in front of those who have not.
    pub fn remove(&mut self, place: usize) -> (Receiver, Moved) {
        let (mut hole, mut moved) = (place, Moved::default());
        if place < self.served {
            self.served -= 1;
            hole = self.served;
            self.receivers.swap(place, hole);
            moved[0] = (place != hole).then(|| (self.receivers[place].peer, place));
        }
        let removed = self.receivers.swap_remove(hole);
        moved[1] = self.receivers.get(hole).map(|receiver| (receiver.peer, hole));
        (removed, moved)
    }

    /// Who is at `place`.
    pub fn get_mut(&mut self, place: usize) -> Option<&mut Receiver> {
        self.receivers.get_mut(place)
    }

    /// Everybody, the newest first.
    pub fn peers(&self) -> impl Iterator<Item = PeerId> {
        self.receivers.iter().rev().map(|receiver| receiver.peer)
    }

    /// From now on something else is sent: nobody has been served.
    pub fn begin(&mut self) {
        self.served = 0;
    }

    /// Whether everybody has been served.
    pub fn is_served(&self) -> bool {
        self.served == self.receivers.len()
    }

    /// Sends `packets` to the next `most` who have not been served. All of one receiver's leave side by
    /// side, so that they can share one send.
    pub fn serve(&mut self, most: usize, packets: &Packets, out: &mut Batch) -> Sent {
        let mut sent = Sent::default();
        let end = self.receivers.len().min(self.served.saturating_add(most));
        for receiver in &mut self.receivers[self.served..end] {
            sent += receiver.send(packets, out);
        }
        self.served = end;
        sent
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.receivers.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.receivers.is_empty()
    }
}

/// Packets that leave together, complete but for what differs from peer to peer.
#[derive(Debug, Default)]
pub struct Packets {
    bytes: Vec<u8>,
    list: Vec<Packet>,
}

#[derive(Debug, Clone, Copy)]
struct Packet {
    start: usize,
    len: usize,
    header_len: u8,
    voice: VoiceId,
    speaker: SpeakerNumber,
    due: Instant,
    /// What framing took of its first frame's time.
    held: Duration,
}

/// The header of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// First of a talkspurt.
    pub marker: bool,
    /// Of the first frame.
    pub timestamp: u32,
    /// On this voice.
    pub voice: VoiceId,
    /// CSRC; NOBODY is not written.
    pub speaker: SpeakerNumber,
    /// In −dBov.
    pub level: u8,
}

impl Packets {
    /// Appends a packet whose payload `write` puts at the end of the buffer. `due`: when it could have
    /// left at the earliest.
    pub fn push(&mut self, head: Head, due: Instant, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        head.write(&mut self.bytes);
        let header_len = (self.bytes.len() - start) as u8;
        write(&mut self.bytes);
        let len = self.bytes.len() - start;
        let Head { voice, speaker, .. } = head;
        self.list.push(Packet { start, len, header_len, voice, speaker, due, held: Duration::ZERO });
    }

    /// Notes for how long the first frame of the last packet was held back.
    pub(crate) fn held_last(&mut self, held: Duration) {
        self.list.iter_mut().last().into_iter().for_each(|packet| packet.held = held);
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// When each could have left.
    pub fn due(&self) -> impl Iterator<Item = Instant> {
        self.list.iter().map(|packet| packet.due)
    }

    /// For how long framing held back the first frame of each.
    pub(crate) fn held(&self) -> impl Iterator<Item = Duration> {
        self.list.iter().map(|packet| packet.held)
    }

    /// Each packet as it is before anybody's patches.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.list.iter().map(|packet| &self.bytes[packet.start..packet.start + packet.len])
    }

    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.list.clear();
    }

    /// Makes the packets fit one GSO send, in which only the last may be shorter: all before it are padded
    /// to the longest. Different voices may change places, so the longest go first; packets of one voice,
    /// of which several leave together where a shard is behind, stay in order.
    pub fn arrange(&mut self) {
        let mut voices = [false; VOICES];
        let distinct = self.list.iter().all(|p| !std::mem::replace(&mut voices[p.voice.index()], true));
        if distinct {
            self.list.sort_by_key(|packet| std::cmp::Reverse(packet.len));
        }
        let longest = self.list.iter().map(|packet| packet.len).max().unwrap_or_default();
        let before_last = self.list.len().saturating_sub(1);
        for packet in &mut self.list[..before_last] {
            packet.pad(longest - packet.len, &mut self.bytes);
        }
    }
}

impl Packet {
    /// Moves to the end of the buffer, with padding.
    fn pad(&mut self, padding: usize, bytes: &mut Vec<u8>) {
        if !(1..=MAX_PADDING).contains(&padding) {
            return;
        }
        let start = bytes.len();
        bytes.extend_from_within(self.start..self.start + self.len);
        bytes.resize(bytes.len() + padding - 1, 0);
        bytes.push(padding as u8);
        bytes[start] |= 0x20;
        (self.start, self.len) = (start, self.len + padding);
    }
}

impl Head {
    /// Writes everything but payload type, sequence number and extension id. Where a receiver has no
    /// audio level, the extension becomes padding (RFC 8285 §4.2), so that all headers have one length.
    fn write(&self, out: &mut Vec<u8>) {
        let has_speaker = self.speaker != SpeakerNumber::NOBODY;
        out.extend([0x90 | u8::from(has_speaker), u8::from(self.marker) << 7, 0, 0]);
        out.extend(self.timestamp.to_be_bytes());
        out.extend(self.voice.ssrc().to_be_bytes());
        if has_speaker {
            out.extend(self.speaker.0.to_be_bytes());
        }
        let activity = if self.level < NO_LEVEL { VOICE_ACTIVITY } else { 0 };
        out.extend(ONE_BYTE_PROFILE.to_be_bytes());
        out.extend([0, 1, 0, activity | self.level, 0, 0]);
    }
}

#[cfg(test)]
mod tests;
