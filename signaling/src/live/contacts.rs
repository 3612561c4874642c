//! How the people of a room are reached: the lanes of their sockets, by the number of their session.

use std::collections::HashMap;
use std::sync::Arc;

use protocol::message::{ClientMessage, RemoveReason, Reply, RequestId, ServerMessage};
use room::live::Contact;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::app::Shared;
use crate::encode;
use crate::lanes::Lanes;

/// Requests of one person whose answers are timed at once; more are answered too.
const MAX_TIMED: usize = 8;

/// By what somebody takes part.
#[derive(Clone)]
pub(crate) enum Body {
    /// A WebSocket; `id` is that of its `join`.
    Socket { lanes: Lanes, id: Option<RequestId> },
    /// WHIP or WHEP: its place among those of this node.
    Whip { place: Arc<OwnedSemaphorePermit> },
}

/// What is kept of it.
enum Line {
    Socket(Lanes),
    /// They cannot be told anything.
    Whip {
        _place: Arc<OwnedSemaphorePermit>,
    },
}

pub(super) struct Contacts {
    app: Shared,
    /// Those who are not in yet.
    at_the_door: HashMap<u64, Line>,
    seated: HashMap<u64, Line>,
    /// What people who are in have asked: its type, and when.
    asked: HashMap<u64, Vec<Timed>>,
}

struct Timed {
    id: RequestId,
    kind: &'static str,
    since: Instant,
}

impl Line {
    fn lanes(&self) -> Option<&Lanes> {
        match self {
            Self::Socket(lanes) => Some(lanes),
            Self::Whip { .. } => None,
        }
    }
}

impl Contacts {
    pub(super) fn new(app: &Shared) -> Self {
        Self { app: app.clone(), at_the_door: HashMap::new(), seated: HashMap::new(), asked: HashMap::new() }
    }

    /// Somebody wants in.
    pub(super) fn knock(&mut self, number: u64, body: Body) -> (Contact, Option<RequestId>) {
        let (line, contact, id) = match body {
            Body::Socket { lanes, id } => (Line::Socket(lanes), Contact::Socket, id),
            Body::Whip { place } => (Line::Whip { _place: place }, Contact::Whip, None),
        };
        self.at_the_door.insert(number, line);
        (contact, id)
    }

    /// They are in.
    pub(super) fn seat(&mut self, number: u64) {
        if let Some(line) = self.at_the_door.remove(&number) {
            self.seated.insert(number, line);
        }
    }

    pub(super) fn tell_all(&self, message: &ServerMessage) {
        let lanes = self.seated.values().filter_map(Line::lanes);
        self.tell_these(&lanes.collect::<Vec<_>>(), message);
    }

    pub(super) fn tell(&self, numbers: &[u64], message: &ServerMessage) {
        let lanes = numbers.iter().filter_map(|number| self.seated.get(number)?.lanes());
        self.tell_these(&lanes.collect::<Vec<_>>(), message);
    }

    /// What is said to many is written once.
    fn tell_these(&self, lanes: &[&Lanes], message: &ServerMessage) {
        if lanes.is_empty() {
            return;
        }
        self.app.counters.sent_to(message.kind(), lanes.len());
        let text = encode::message(message);
        for lanes in lanes {
            if lanes.control(text.clone()) {
                self.app.counters.lane_full();
            }
        }
    }

    /// Somebody asks something.
    pub(super) fn asks(&mut self, number: u64, body: &ClientMessage, id: Option<&RequestId>) {
        let (Some(id), true) = (id, self.seated.contains_key(&number)) else { return };
        let asked = self.asked.entry(number).or_default();
        if asked.len() < MAX_TIMED {
            asked.push(Timed { id: id.clone(), kind: body.kind(), since: Instant::now() });
        }
    }

    fn time(&mut self, number: u64, id: Option<&RequestId>) {
        let Some(asked) = self.asked.get_mut(&number) else { return };
        let Some(index) = asked.iter().position(|asked| Some(&asked.id) == id) else { return };
        let Timed { kind, since, .. } = asked.swap_remove(index);
        if asked.is_empty() {
            self.asked.remove(&number);
        }
        self.app.counters.answered(kind, since.elapsed());
    }

    /// Answers a request.
    pub(super) fn reply(&mut self, number: u64, body: ServerMessage, id: Option<RequestId>) {
        self.time(number, id.as_ref());
        if let ServerMessage::Error(error) = &body {
            self.app.counters.refused(error);
        }
        let Some(lanes) = self.seated.get(&number).and_then(Line::lanes) else { return };
        self.app.counters.sent(&body);
        if lanes.control(encode::reply(&Reply { body, id })) {
            self.app.counters.lane_full();
        }
    }

    /// A socket is gone, or never came in.
    pub(super) fn release(&mut self, number: u64) {
        self.at_the_door.remove(&number);
        self.seated.remove(&number);
        self.asked.remove(&number);
    }

    /// A session is over.
    pub(super) fn end(&mut self, number: u64, reason: RemoveReason) {
        self.asked.remove(&number);
        if let Some(lanes) = self.seated.remove(&number).as_ref().and_then(Line::lanes) {
            lanes.end(reason);
        }
    }
}
