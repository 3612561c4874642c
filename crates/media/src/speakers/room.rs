//! One room at its origin: who may be heard, on which voice, and what goes where.
//!
//! ```text
//!   Said ─▶ on stage? ─▶ silence? ─▶ Stage ─▶ Voice ─┬─▶ other speakers, at once
//!            muted: no    sent less   loudest  time   └─▶ Frame, down the tree, if live
//! ```

use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::message::RoomState;
use protocol::node::{self, StageSpeaker};
use protocol::{Epoch, FRAME_TICKS, Frame, PeerId, RoomId, SpeakerNumber, VOICES, VoiceId};

use super::SpeakersEvent;
use super::microphone::Said;
use super::seat::{Seat, Sink};
use crate::audience::{Head, NO_LEVEL, Packets};
use crate::opus::{self, Toc};
use crate::stage::{Stage, Verdict};
use crate::voice::{ENDING_FRAMES, KEEP_ALIVE, Misplaced, RoomClock, Voice, Wanted, since};

/// A voice that sounds and then gets nothing for so long is ended for it.
const STALLED: Duration = Duration::from_millis(200);

pub(super) struct Room {
    id: RoomId,
    clock: RoomClock,
    epoch: Epoch,
    /// Of the stage, once it is known.
    version: Option<u64>,
    state: RoomState,
    on_stage: Vec<StageSpeaker>,
    stage: Stage,
    voices: [Lane; VOICES],
    /// When something last went down the tree.
    tree_at: Instant,
    pub(super) seats: Vec<Seat>,
}

/// A voice with what is needed beside its timeline.
#[derive(Debug)]
struct Lane {
    voice: Voice,
    /// Next number down the tree in this epoch.
    number: u32,
    /// Who was last on it, and when.
    speaker: SpeakerNumber,
    at: Instant,
    /// Nothing earlier goes down the tree: silence was sent there in its place.
    tree_from: Option<u32>,
}

/// What somebody who may be heard says.
struct Speech {
    speaker: SpeakerNumber,
    level: u8,
    said: Said,
}

/// A frame with its place.
struct Placed {
    voice: VoiceId,
    timestamp: u32,
    speaker: SpeakerNumber,
    level: u8,
    marker: bool,
    payload: Bytes,
}

impl Room {
    /// A room that nobody is on stage of. `base` is where its clock begins: random.
    pub(super) fn new(now: Instant, id: RoomId, epoch: Epoch, base: u32) -> Self {
        let lane = |_| Lane {
            voice: Voice::default(),
            number: 0,
            speaker: SpeakerNumber::NOBODY,
            at: now,
            tree_from: None,
        };
        Self {
            id,
            clock: RoomClock::new(now, base),
            epoch,
            version: None,
            state: RoomState::Backstage,
            on_stage: Vec::new(),
            stage: Stage::default(),
            voices: std::array::from_fn(lane),
            // The first keep-alive is due at once: whoever waits must hear that the room is there.
            tree_at: now.checked_sub(KEEP_ALIVE).unwrap_or(now),
            seats: Vec::new(),
        }
    }

    /// This origin was given the room anew.
    pub(super) fn raise_epoch(&mut self, epoch: Epoch) {
        if epoch > self.epoch {
            (self.epoch, self.version) = (epoch, None);
            self.voices.iter_mut().for_each(|lane| lane.number = 0);
        }
    }

    /// Takes how the stage stands now. Whoever may no longer be heard is silent from here on.
    pub(super) fn set_stage(&mut self, now: Instant, stage: node::Stage, sink: &mut Sink<'_>) {
        self.raise_epoch(stage.epoch);
        let is_old = stage.epoch < self.epoch || self.version.is_some_and(|version| stage.version <= version);
        if is_old {
            return;
        }
        let before = std::mem::replace(&mut self.on_stage, stage.speakers);
        self.version = Some(stage.version);
        for speaker in before.iter().filter(|speaker| !speaker.muted) {
            if !self.is_audible(speaker.number) {
                self.silence(now, speaker.number, sink);
            }
        }
        if stage.state != self.state {
            self.voices_end(now, sink);
            self.state = stage.state;
        }
    }

    /// Takes what somebody's microphone gave, and asks for what it missed.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        peer: PeerId,
        said: impl Iterator<Item = Said>,
        sink: &mut Sink<'_>,
    ) {
        let Some(seat) = self.seats.iter().position(|seat| seat.peer == peer) else { return };
        said.for_each(|said| self.say(now, seat, said, sink));
        self.seats[seat].feedback(now, sink);
    }

    pub(super) fn seat_mut(&mut self, peer: PeerId) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.peer == peer)
    }

    /// The other peers of the person whose peer this is.
    pub(super) fn others_of(&self, peer: PeerId) -> Vec<PeerId> {
        let Some(newest) = self.seats.iter().find(|seat| seat.peer == peer) else { return Vec::new() };
        let others = self.seats.iter().filter(|seat| seat.identity == newest.identity && seat.peer != peer);
        others.map(|seat| seat.peer).collect()
    }

    fn say(&mut self, now: Instant, seat: usize, said: Said, sink: &mut Sink<'_>) {
        let Some(number) = self.audible_number(seat) else { return sink.stats.dropped_muted += 1 };
        let seat = &mut self.seats[seat];
        let level = seat.level(now, &said, sink.stats);
        if seat.is_passed_over(now, level) {
            sink.stats.dropped_silence += 1;
            self.pause(now, number, sink);
            return;
        }
        let voice = match self.stage.hear(now, number, level) {
            Verdict::Unheard => return sink.stats.dropped_unheard += 1,
            Verdict::Holds(voice) => voice,
            Verdict::Takes { voice, .. } => {
                self.voices[voice.index()].voice.begin_turn();
                voice
            }
        };
        self.speak(now, voice, Speech { speaker: number, level, said }, sink);
    }

    /// Somebody's peer is gone.
    pub(super) fn leave(&mut self, now: Instant, peer: PeerId, sink: &mut Sink<'_>) {
        let Some(index) = self.seats.iter().position(|seat| seat.peer == peer) else { return };
        let left = self.seats.swap_remove(index);
        if !self.seats.iter().any(|seat| seat.number == left.number) {
            self.silence(now, left.number, sink);
        }
    }

    /// Does what is due: endings, a keep-alive, feedback. Every 20 ms.
    pub(super) fn tick(&mut self, now: Instant, sink: &mut Sink<'_>) {
        let clock = self.clock.at(now);
        for voice in VoiceId::all() {
            let lane = &mut self.voices[voice.index()];
            lane.voice.follow(clock);
            if lane.voice.is_sounding() && now.saturating_duration_since(lane.at) >= STALLED {
                self.end_turn(now, voice, sink);
            }
        }
        self.keep_alive(now, sink);
        for seat in &mut self.seats {
            seat.feedback(now, sink);
        }
    }

    fn audible_number(&self, seat: usize) -> Option<SpeakerNumber> {
        let identity = &self.seats.get(seat)?.identity;
        let speaker = self.on_stage.iter().find(|speaker| speaker.identity == *identity)?;
        (!speaker.muted && self.state != RoomState::Ended).then_some(speaker.number)
    }

    fn is_audible(&self, number: SpeakerNumber) -> bool {
        self.on_stage.iter().any(|speaker| speaker.number == number && !speaker.muted)
    }

    fn speak(&mut self, now: Instant, voice: VoiceId, speech: Speech, sink: &mut Sink<'_>) {
        let Speech { speaker, level, said } = speech;
        let lane = &mut self.voices[voice.index()];
        if said.starts {
            lane.voice.begin_turn();
        }
        let dtx = opus::is_dtx(&said.payload);
        let toc = Toc(said.payload.first().copied().unwrap_or(Toc::DEFAULT.0));
        let marker = !dtx && (!lane.voice.is_sounding() || lane.speaker != speaker);
        let wanted = Wanted { source: said.source, ticks: said.ticks, toc, dtx };
        let timestamp = match lane.voice.place(self.clock.at(now), wanted) {
            Ok(timestamp) => timestamp,
            Err(Misplaced::Late) => return sink.stats.dropped_late += 1,
            Err(Misplaced::Early) => return sink.stats.dropped_early += 1,
        };
        let placed = Placed { voice, timestamp, speaker, level, marker, payload: said.payload };
        self.send(now, placed, sink);
    }

    /// Takes somebody's voice away, ending what they were saying.
    fn silence(&mut self, now: Instant, number: SpeakerNumber, sink: &mut Sink<'_>) {
        if let Some(voice) = self.stage.remove(number) {
            self.end_turn(now, voice, sink);
        }
    }

    /// Ends what somebody was saying; the voice stays theirs.
    fn pause(&mut self, now: Instant, number: SpeakerNumber, sink: &mut Sink<'_>) {
        self.stage.hear(now, number, NO_LEVEL);
        let held = VoiceId::all().find(|&voice| self.stage.holder(voice) == Some(number));
        if let Some(voice) = held {
            self.end_turn(now, voice, sink);
        }
    }

    fn voices_end(&mut self, now: Instant, sink: &mut Sink<'_>) {
        VoiceId::all().for_each(|voice| self.end_turn(now, voice, sink));
    }

    fn end_turn(&mut self, now: Instant, voice: VoiceId, sink: &mut Sink<'_>) {
        let lane = &mut self.voices[voice.index()];
        let speaker = lane.speaker;
        let Some((first, toc)) = lane.voice.end_turn() else { return };
        for i in 0..ENDING_FRAMES {
            let timestamp = first.wrapping_add(i * FRAME_TICKS);
            self.send(now, dtx(voice, timestamp, speaker, toc), sink);
        }
    }

    /// Shows the tree, and speakers who have only themselves to hear, that the room is there. At most one
    /// moment of one silent voice is taken for all of them, so that nothing is said later at that moment
    /// and no voice gets ahead of its clock; while there is none, they wait for the next tick.
    fn keep_alive(&mut self, now: Instant, sink: &mut Sink<'_>) {
        let clock = self.clock.at(now);
        let is_live = self.state == RoomState::Live;
        let tree_is_due = now.saturating_duration_since(self.tree_at) >= KEEP_ALIVE;
        if tree_is_due && !is_live {
            self.keep_tree_alive_backstage(now, clock, sink);
        }
        let tree_is_due = tree_is_due && is_live;
        if !tree_is_due && !self.seats.iter().any(|seat| seat.is_due(now)) {
            return;
        }
        let taken = VoiceId::all().find_map(|voice| {
            let (timestamp, toc) = self.voices[voice.index()].voice.keep_alive(clock)?;
            Some(dtx(voice, timestamp, SpeakerNumber::NOBODY, toc))
        });
        match taken {
            Some(placed) if tree_is_due => self.send(now, placed, sink),
            Some(placed) => {
                sink.packets.clear();
                placed.write(now, sink.packets);
                let due = self.seats.iter_mut().filter(|seat| seat.is_due(now));
                due.for_each(|seat| seat.send(now, SpeakerNumber::NOBODY, sink));
            }
            None => {}
        }
    }

    /// The tree hears nothing of what is said backstage, so its silence leaves the voices alone.
    fn keep_tree_alive_backstage(&mut self, now: Instant, clock: u32, sink: &mut Sink<'_>) {
        let Some(voice) = VoiceId::all().next() else { return };
        self.voices[voice.index()].tree_from = Some(clock.wrapping_add(FRAME_TICKS));
        self.send_down(now, dtx(voice, clock, SpeakerNumber::NOBODY, Toc::DEFAULT), sink);
    }

    /// Sends a frame to the other speakers and, if the room is live, down the tree.
    fn send(&mut self, now: Instant, placed: Placed, sink: &mut Sink<'_>) {
        let lane = &mut self.voices[placed.voice.index()];
        (lane.speaker, lane.at) = (placed.speaker, now);
        sink.packets.clear();
        placed.write(now, sink.packets);
        self.seats.iter_mut().for_each(|seat| seat.send(now, placed.speaker, sink));
        let is_new = lane.tree_from.is_none_or(|from| since(placed.timestamp, from) >= 0);
        if self.state == RoomState::Live && is_new {
            self.send_down(now, placed, sink);
        }
    }

    fn send_down(&mut self, now: Instant, placed: Placed, sink: &mut Sink<'_>) {
        let lane = &mut self.voices[placed.voice.index()];
        if self.state == RoomState::Live {
            lane.tree_from = None;
        }
        let Placed { voice, timestamp, speaker, level, payload, .. } = placed;
        let frame =
            Frame { epoch: self.epoch, number: lane.number, timestamp, speaker, voice, level, payload };
        lane.number = lane.number.wrapping_add(1);
        self.tree_at = now;
        sink.stats.frames += 1;
        sink.events.push_back(SpeakersEvent::Frame { room: self.id.clone(), frame });
    }
}

impl Placed {
    fn write(&self, now: Instant, packets: &mut Packets) {
        let Self { voice, timestamp, speaker, level, marker, .. } = *self;
        packets.push(Head { marker, timestamp, voice, speaker, level }, now, |bytes| {
            bytes.extend_from_slice(&self.payload);
        });
    }
}

/// A frame without audio.
fn dtx(voice: VoiceId, timestamp: u32, speaker: SpeakerNumber, toc: Toc) -> Placed {
    let payload = Bytes::copy_from_slice(&[toc.0]);
    Placed { voice, timestamp, speaker, level: NO_LEVEL, marker: false, payload }
}
