//! The handshakes of a crowd's people: what comes for them waits its turn, and each turn is one step.

use std::time::Instant;

use media::srtp::{Opener, Sealer, SessionKeys};

use super::super::backlog::{SLICE_NS, Step};
use super::super::dtls::Progress;
use super::super::peer::{Keys, Phase};
use super::{Place, Worker};
use crate::clock::now_ns;

impl Worker {
    /// Somebody's first check is answered. Where no hello can wait, the next check comes here again.
    pub(super) fn begin(&mut self, place: Place, now_ns: u64) {
        let Some(Some(peer)) = self.peers.get_mut(place.0 as usize) else { return };
        if self.backlog.push(now_ns, place, Step::Begin) {
            peer.shake(now_ns);
            self.timers.push(std::cmp::Reverse((peer.next_timer(), place)));
        }
    }

    /// After the handshake it is a repeat, or a goodbye: the WebSocket says more.
    pub(super) fn on_dtls(&mut self, place: Place, datagram: &[u8]) {
        self.let_wait(place, now_ns(), Step::Read(datagram.into()));
    }

    pub(super) fn let_wait(&mut self, place: Place, now_ns: u64, step: Step) {
        let Some(Some(peer)) = self.peers.get_mut(place.0 as usize) else { return };
        if let Phase::Shaking(waiting) = &mut peer.phase
            && self.backlog.push(now_ns, place, step)
        {
            waiting.add(now_ns);
        }
    }

    /// Takes as many steps as fit into this tick.
    pub(super) fn work_off(&mut self) {
        if self.backlog.is_empty() {
            return;
        }
        let until_ns = now_ns() + SLICE_NS;
        while let Some((place, step)) = self.backlog.next(now_ns(), until_ns) {
            self.step(place, &step);
        }
    }

    fn step(&mut self, place: Place, step: &Step) {
        let Some(Some(peer)) = self.peers.get_mut(place.0 as usize) else { return };
        if !peer.has_its_turn(now_ns()) {
            return;
        }
        let now = Instant::now();
        let progress = match step {
            Step::Begin => self.handshakes.begin(now, place),
            Step::Read(datagram) => self.handshakes.read(now, place, datagram, &peer.fingerprint),
            Step::Repeat => self.handshakes.on_timeout(now, place),
        };
        self.flush_handshakes();
        match progress {
            Progress::On => {}
            Progress::Failed => self.fail(place, "dtls"),
            Progress::Done(keys) => self.connect(place, &keys),
        }
    }

    fn connect(&mut self, place: Place, keys: &SessionKeys) {
        let Some(Some(peer)) = self.peers.get_mut(place.0 as usize) else { return };
        let (opener, sealer) = (Opener::new(keys.server()), Sealer::new(keys.client()));
        peer.connect(now_ns(), Keys { opener, sealer });
        self.timers.push(std::cmp::Reverse((peer.next_timer(), place)));
        self.handshakes.forget(Instant::now(), place);
    }

    fn flush_handshakes(&mut self) {
        while let Some((place, datagram)) = self.handshakes.poll_transmit() {
            if let Some(Some(peer)) = self.peers.get(place.0 as usize) {
                self.wire.send(place, peer.local, peer.remote, &datagram);
            }
        }
    }
}
