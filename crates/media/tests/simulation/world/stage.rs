//! Speakers, hosts and origins come and go, and the origin is held to its rules.

use super::*;

impl World {
    pub(super) fn add_speaker(&mut self) {
        let index = self.mouths.len();
        let number = SpeakerNumber(index as u32 + 1);
        self.stage.speakers.push(StageSpeaker { identity: identity(number), number, muted: false });
        self.connect_speaker(index);
        self.tell_stage();
        self.net.at(self.now + TICK.mul_f64(index as f64 / 4.0), Event::Speak(index));
    }

    /// Makes the speaker's peer at the origin of this time, with new keys and a new address.
    pub(super) fn connect_speaker(&mut self, index: usize) {
        let number = SpeakerNumber(index as u32 + 1);
        let addr = SocketAddr::from(([10, 0, self.epoch.0 as u8, number.0 as u8], 5_000));
        let keys = Keys::new(&mut self.net.rng);
        let mouth = Mouth::new(self.now, addr, number, &keys, &mut self.net.rng);
        if index < self.mouths.len() {
            let old = self.mouths.remove(index);
            self.mouths.insert(index, old.reconnected(mouth));
        } else {
            self.mouths.push(mouth);
        }
        self.seat(number, addr, &keys);
    }

    /// Those who are on stage all the time and say nothing: one is connected, one never will be.
    pub(super) fn add_silent_speakers(&mut self) {
        for number in [MUTE, BLOCKED] {
            self.stage.speakers.push(StageSpeaker { identity: identity(number), number, muted: false });
        }
        self.connect_mute();
        self.tell_stage();
    }

    fn connect_mute(&mut self) {
        let addr = SocketAddr::from(([10, 0, self.epoch.0 as u8, MUTE.0 as u8], 5_000));
        let keys = Keys::new(&mut self.net.rng);
        self.seat(MUTE, addr, &keys);
    }

    fn seat(&mut self, number: SpeakerNumber, addr: SocketAddr, keys: &Keys) {
        let admit = self.admission(PeerId(u64::from(number.0)), number);
        let ears = [(); 2].map(|()| Ear::new(20, lines(number), keys));
        self.listen(Client { place: Place::Origin, peer: admit.peer, addr }, Some(number), ears);
        self.tell_origin(SpeakersCommand::AdmitConnected(Box::new(admit), addr, keys.session()));
    }

    /// Somebody whose media never comes through wants another peer.
    pub(super) fn ask_again(&mut self) {
        self.peers += 1;
        let admit = self.admission(PeerId(self.peers), BLOCKED);
        self.tell_origin(SpeakersCommand::Admit(Box::new(admit)));
        self.net.at(self.now + ASKS_AGAIN, Event::Blocked);
    }

    fn admission(&self, peer: PeerId, number: SpeakerNumber) -> AdmitSpeaker {
        let (room, identity) = (self.room.clone(), identity(number));
        AdmitSpeaker { peer, room, identity, number, epoch: self.epoch, offer: offer(lines(number), None) }
    }

    fn tell_origin(&mut self, command: SpeakersCommand) {
        let mut out = Batch::default();
        self.origin.handle(self.now, command, &mut out);
        self.after_origin(out);
    }

    /// Nobody says anything for as long as the weather has it.
    pub(super) fn fall_silent(&mut self) {
        let until = self.now + self.weather.silence;
        self.mouths.iter_mut().for_each(|mouth| mouth.hush(until));
    }

    pub(super) fn speak(&mut self, index: usize) {
        let uttered = self.mouths[index].tick(self.now, &mut self.net.rng);
        if let Some(uttered) = uttered {
            if !uttered.audible {
                self.hearing.pauses(self.mouths[index].number);
            }
            self.net.send(self.now, self.weather.access, Event::Up(index, uttered));
        }
        self.net.at(self.now + TICK, Event::Speak(index));
    }

    /// Mutes, unmutes, demotes and promotes as the seed has it.
    pub(super) fn host_acts(&mut self) {
        let rng = &mut self.net.rng;
        if let Some(index) = (0..self.stage.speakers.len()).collect::<Vec<_>>().choose(rng).copied() {
            match rng.random_range(0..4) {
                0 => drop(self.stage.speakers.remove(index)),
                _ => self.stage.speakers[index].muted ^= true,
            }
        }
        let numbers = (1..=self.mouths.len() as u32).map(SpeakerNumber);
        let missing: Vec<_> =
            numbers.filter(|n| self.stage.speakers.iter().all(|speaker| speaker.number != *n)).collect();
        if let Some(&number) = missing.first().filter(|_| self.net.rng.random()) {
            self.stage.speakers.push(StageSpeaker { identity: identity(number), number, muted: false });
        }
        self.tell_stage();
        let pause = Duration::from_millis(self.net.rng.random_range(50..1_500));
        self.net.at(self.now + pause, Event::Host);
    }

    pub(super) fn tell_stage(&mut self) {
        self.stage.version += 1;
        self.audible = self.stage.speakers.iter().filter(|s| !s.muted).map(|s| s.number).collect();
        let silenced = self.mouths.iter().map(|mouth| mouth.number).filter(|n| !self.audible.contains(n));
        silenced.for_each(|number| self.hearing.is_silenced(number));
        self.tell_origin(SpeakersCommand::Stage(self.stage.clone()));
    }

    /// The old origin is gone with everything it knew; the speakers come back to a new one.
    pub(super) fn new_origin(&mut self) {
        self.epoch = Epoch(self.epoch.0 + 1);
        self.stage.epoch = self.epoch;
        self.last_frames = [None; VOICES];
        let rng = &mut self.net.rng;
        self.origin = Speakers::new(speakers_config(), fork(rng), fork(rng));
        self.root = Downstream::default();
        self.link_up();
        (0..self.mouths.len()).for_each(|index| self.connect_speaker(index));
        self.connect_mute();
        self.hearing.restart();
        self.tell_stage();
    }

    /// Sends what the origin's plane wants sent, and holds it to its rules.
    pub(super) fn after_origin(&mut self, out: Batch) {
        self.send_down(out);
        while let Some(event) = self.origin.poll() {
            match event {
                SpeakersEvent::Frame { frame, .. } => {
                    self.check_frame(&frame);
                    let mut outputs = Vec::new();
                    self.root.forward(&self.room, &frame, &mut outputs);
                    self.tell_children(Place::Origin, outputs);
                }
                SpeakersEvent::Admitted { peer, result } => self.keep_credentials(peer, result),
                SpeakersEvent::Gone { peer, .. } => assert!(peer.0 > 1_000, "only who never came is gone"),
                SpeakersEvent::Connected { .. } => {}
            }
        }
    }

    pub(super) fn check_frame(&mut self, frame: &Frame) {
        assert_eq!(frame.epoch, self.epoch);
        if let Some((number, timestamp)) = self.last_frames[frame.voice.index()] {
            assert_eq!(frame.number, number + 1, "numbers of a voice are consecutive");
            assert_ne!(frame.timestamp, timestamp, "a moment of a voice comes once");
        }
        self.last_frames[frame.voice.index()] = Some((frame.number, frame.timestamp));
        if frame.payload.len() > 2 {
            assert!(self.audible.contains(&frame.speaker), "{:?} may not be heard", frame.speaker);
            let count = u32::from_be_bytes(frame.payload[2..6].try_into().expect("four bytes"));
            self.said.insert((frame.speaker, count), self.now);
            self.hearing.is_heard(frame.speaker);
        }
    }
}

/// What their offers say they have to hear on.
fn lines(number: SpeakerNumber) -> u8 {
    if number == DEAF || number == MUTE { 0 } else { 3 }
}
