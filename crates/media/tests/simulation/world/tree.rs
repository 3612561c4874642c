//! Links between origin, hub and leaf, with what a node does around the relay types.

use super::*;

impl World {
    pub(super) fn edge(&mut self, place: Place) -> &mut Edge {
        if place == Place::Hub { &mut self.hub } else { &mut self.leaf }
    }

    /// Links origin, hub and leaf anew, and has the room come down.
    pub(super) fn link_up(&mut self) {
        let names = ["origin", "hub"].map(|name| NodeId::new(name).expect("a node id"));
        self.root.link_up(DOWN);
        self.root.set_path(&self.room, vec![names[0].clone()], self.epoch, &mut Vec::new());
        let is_first = self.epoch == Epoch(1);
        if is_first {
            self.hub.downstream.link_up(DOWN);
        } else {
            self.hub.upstream.link_lost(UP);
        }
        let (room, epoch) = (self.room.clone(), self.epoch);
        for place in [Place::Hub, Place::Leaf] {
            let mut outputs = Vec::new();
            let edge = self.edge(place);
            if place == Place::Hub || is_first {
                edge.upstream.link_up(UP);
                edge.upstream.join(&room, UP, &names[0], epoch, &mut outputs);
                edge.upstream.set_rtt(UP, Duration::from_millis(20));
            }
            self.tell_parent(place, outputs);
        }
    }

    pub(super) fn hear_parent(&mut self, place: Place, what: FromParent) {
        let now = self.now;
        match what {
            FromParent::Message(message) => {
                let mut outputs = Vec::new();
                let told = self.edge(place).upstream.message(now, UP, message, &mut outputs);
                assert!(!matches!(told, Told::Loop(_) | Told::Refused(_)), "{told:?}");
                self.tell_parent(place, outputs);
                self.pass_path_on(place);
            }
            FromParent::Datagram(bytes) => match Datagram::read(bytes).expect("ours") {
                Datagram::Frames { channel, frames } => self.frames(place, channel, frames),
                Datagram::Heartbeat(heartbeat) => self.answer_heartbeat(place, heartbeat),
                Datagram::Missing(_) => unreachable!("parents do not ask"),
            },
        }
    }

    pub(super) fn frames(&mut self, place: Place, channel: u32, frames: Vec<Frame>) {
        let (now, room) = (self.now, self.room.clone());
        let (mut fresh, mut up, mut down) = (Vec::new(), Vec::new(), Vec::new());
        let edge = self.edge(place);
        edge.upstream.frames(now, UP, channel, frames, &mut fresh, &mut up);
        let mut out = Batch::default();
        for frame in fresh {
            edge.downstream.forward(&room, &frame, &mut down);
            let command = ListenersCommand::Frame { room: room.clone(), frame, arrived: now };
            edge.plane.handle(now, command, &mut out);
        }
        self.tell_parent(place, up);
        self.tell_children(place, down);
        self.send_down(out);
    }

    pub(super) fn pass_path_on(&mut self, place: Place) {
        let room = self.room.clone();
        let name = if place == Place::Hub { "hub" } else { "leaf" };
        let mut outputs = Vec::new();
        let edge = self.edge(place);
        let (path, epoch) = edge.upstream.path(&room);
        let mut path = path.to_vec();
        path.push(NodeId::new(name).expect("a node id"));
        edge.downstream.set_path(&room, path, epoch, &mut outputs);
        self.tell_children(place, outputs);
    }

    pub(super) fn hear_child(&mut self, place: Place, what: FromChild) {
        let (now, room) = (self.now, self.room.clone());
        let downstream = if place == Place::Origin { &mut self.root } else { &mut self.hub.downstream };
        let mut outputs = Vec::new();
        match what {
            FromChild::Message(ChildMessage::Subscribe { channel, .. }) => {
                downstream.subscribe(DOWN, &room, channel, &mut outputs).expect("subscribed");
            }
            FromChild::Message(ChildMessage::Unsubscribe { channel }) => {
                downstream.unsubscribe(DOWN, channel);
            }
            FromChild::Datagram(bytes) => match Datagram::read(bytes).expect("ours") {
                Datagram::Missing(missing) => downstream.missing(DOWN, &missing, &mut outputs),
                Datagram::Heartbeat(beat) => downstream.loss(now, DOWN, beat.loss_permille),
                Datagram::Frames { .. } => unreachable!("children have no audio"),
            },
        }
        self.tell_children(place, outputs);
    }

    pub(super) fn tell_children(&mut self, place: Place, outputs: Vec<Output<ParentMessage>>) {
        let child = if place == Place::Origin { Place::Hub } else { Place::Leaf };
        for output in outputs {
            match output {
                Output::Datagram(_, bytes) => {
                    let event = Event::FromParent(child, FromParent::Datagram(bytes));
                    self.net.send(self.now, self.weather.link, event);
                }
                Output::Message(_, message) => {
                    let event = Event::FromParent(child, FromParent::Message(message));
                    self.net.send(self.now, reliable(self.weather.link), event);
                }
            }
        }
    }

    pub(super) fn tell_parent(&mut self, place: Place, outputs: Vec<Output<ChildMessage>>) {
        let parent = if place == Place::Hub { Place::Origin } else { Place::Hub };
        for output in outputs {
            match output {
                Output::Datagram(_, bytes) => {
                    let event = Event::FromChild(parent, FromChild::Datagram(bytes));
                    self.net.send(self.now, self.weather.link, event);
                }
                Output::Message(_, message) => {
                    let event = Event::FromChild(parent, FromChild::Message(message));
                    self.net.send(self.now, reliable(self.weather.link), event);
                }
            }
        }
    }

    pub(super) fn heartbeats(&mut self) {
        self.beats += 1;
        for child in [Place::Hub, Place::Leaf] {
            let mut bytes = Vec::new();
            Heartbeat { sequence: self.beats, loss_permille: 0 }.write(&mut bytes);
            let event = Event::FromParent(child, FromParent::Datagram(bytes.into()));
            self.net.send(self.now, self.weather.link, event);
        }
        self.net.at(self.now + HEARTBEAT, Event::Heartbeats);
    }

    pub(super) fn answer_heartbeat(&mut self, place: Place, heartbeat: Heartbeat) {
        let loss_permille = self.edge(place).upstream.heartbeat(UP, heartbeat);
        let mut bytes = Vec::new();
        Heartbeat { sequence: heartbeat.sequence, loss_permille }.write(&mut bytes);
        self.tell_parent(place, vec![Output::Datagram(UP, bytes.into())]);
    }

    pub(super) fn repeats(&mut self) {
        let now = self.now;
        for place in [Place::Hub, Place::Leaf] {
            let mut outputs = Vec::new();
            self.edge(place).upstream.on_timeout(now, &mut outputs);
            self.tell_parent(place, outputs);
        }
        self.net.at(self.now + TICK, Event::Repeats);
    }
}

fn reliable(hop: Hop) -> Hop {
    Hop { loss: 0.0, jitter: Duration::ZERO, ..hop }
}
