//! Listeners, and what must have been heard in the end.

use super::*;

impl World {
    pub(super) fn add_listener(&mut self, place: Place, framing: u8, lines: u8) {
        let index = self.listeners.len();
        let addr = SocketAddr::from(([10, 1, place as u8, index as u8], 6_000));
        let keys = Keys::new(&mut self.net.rng);
        let admit = AdmitListener {
            peer: PeerId(index as u64 + 100),
            room: self.room.clone(),
            offer: offer(lines, Some(framing)),
        };
        let (now, mut out) = (self.now, Batch::default());
        let ears = [(); 2].map(|()| Ear::new(framing, lines, &keys));
        self.listen(Client { place, peer: admit.peer, addr }, None, ears);
        let command = ListenersCommand::AdmitConnected(Box::new(admit), addr, keys.session());
        let plane = &mut self.edge(place).plane;
        plane.handle(now, command, &mut out);
        let events: Vec<_> = std::iter::from_fn(|| plane.poll()).collect();
        for event in events {
            if let ListenersEvent::Admitted { peer, result } = event {
                self.keep_credentials(peer, result);
            }
        }
        self.send_down(out);
    }

    pub(super) fn keep_credentials(&mut self, peer: PeerId, result: Result<Credentials, ApiError>) {
        self.credentials.insert(peer, result.expect("there is room"));
    }

    /// Everybody's browser shows that it is still there; no weather touches that.
    pub(super) fn check_consent(&mut self) {
        for index in 0..self.listeners.len() {
            let Client { place, peer, addr } = self.listeners[index].client;
            let (now, mut out) = (self.now, Batch::default());
            let mut datagram = consent(&self.credentials[&peer]);
            match place {
                Place::Origin => self.origin.receive(now, addr, &mut datagram, &mut out),
                _ => self.edge(place).plane.receive(now, addr, &mut datagram, &mut out),
            }
        }
        self.net.at(self.now + CONSENT, Event::Consent);
    }

    pub(super) fn listen(&mut self, client: Client, number: Option<SpeakerNumber>, ears: [Ear; 2]) {
        self.by_addr.insert(client.addr, self.listeners.len());
        let [door, home] = ears;
        self.listeners.push(Listener { client, number, door, home, last_packet: self.now });
    }

    pub(super) fn send_down(&mut self, out: Batch) {
        for (to, datagram) in out.datagrams() {
            let index = self.by_addr[&to];
            let listener = &mut self.listeners[index];
            listener.door.hear(self.now, datagram);
            if listener.number.is_none() {
                let silence = self.now - listener.last_packet;
                assert!(
                    silence < Duration::from_millis(1_300),
                    "a silence that means two things: {silence:?}"
                );
            }
            listener.last_packet = self.now;
            self.digest = datagram.iter().fold(self.digest, |digest, &byte| {
                (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
            });
            self.net.send(self.now, self.weather.access, Event::Down(index, datagram.to_vec()));
        }
    }

    /// What went down the tree has left for every listener; at home only the network's losses lack.
    /// Gives the share of the frames that did not leave for a listener at 20 ms, on the average.
    pub(super) fn check_all_was_heard(&self) -> f64 {
        let ends = [self.new_origin_at(), self.end()];
        let starts = [self.start, ends[0]];
        let is_settled = |at: Instant| {
            // While a link is made, and when an origin dies, what is under way may be lost.
            starts.iter().all(|&start| at < start || at > start + SETTLING)
                && ends.iter().all(|&end| at > end || at + SETTLING < end)
        };
        let said: Vec<_> =
            self.said.iter().filter(|&(_, &at)| is_settled(at)).map(|(said, _)| *said).collect();
        assert!(said.len() > 50, "somebody spoke: {}", said.len());
        for listener in self.listeners.iter().filter(|l| l.number.is_none() && l.door.lines == 3) {
            let (door, home) = (share(&said, &listener.door), share(&said, &listener.home));
            let rate = self.weather.access.loss;
            // A joined packet that has left cannot take up a frame that was overtaken on its way.
            let least = if listener.door.framing_ms == 20 { 0.99 } else { 0.98 };
            assert!(
                door > least,
                "{:?} at {} ms: {door} of the frames left",
                listener.client.place,
                listener.door.framing_ms
            );
            assert!(
                home > 0.97 * (1.0 - 3.0 * rate),
                "{:?}: {home} of the frames came home",
                listener.client.place
            );
        }
        for listener in self.listeners.iter().filter(|l| l.number.is_none() && l.door.lines == 1) {
            assert!(listener.door.heard.len() * 3 > said.len(), "one line hears the loudest");
        }
        for listener in &self.listeners {
            let Some(own) = listener.number else { continue };
            assert!(
                listener.door.heard.keys().all(|(speaker, _)| *speaker != own),
                "nobody hears themselves"
            );
        }
        let of_all = |l: &&Listener| l.number.is_none() && l.door.lines == 3 && l.door.framing_ms == 20;
        let unjoined: Vec<_> = self.listeners.iter().filter(of_all).collect();
        unjoined.iter().map(|listener| 1.0 - share(&said, &listener.door)).sum::<f64>()
            / unjoined.len() as f64
    }
}

fn share(said: &[Said], ear: &Ear) -> f64 {
    said.iter().filter(|said| ear.heard.contains_key(said)).count() as f64 / said.len() as f64
}
