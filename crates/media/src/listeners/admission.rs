//! How listeners are admitted: through the door, so that a storm of newcomers is a stream here.
//!
//! Who is told to come back gets `unavailable` with a time; who cannot be served here at all, without.

use std::time::{Duration, Instant};

use protocol::{ApiError, Code, Offer, PeerId};
use rand::Rng;

use super::room::{Program, Room};
use super::{AdmitListener, Listeners, ListenersEvent, Seat};
use crate::Credentials;
use crate::audience::Negotiated;
use crate::door::Turn;
use crate::peer::{AdmitError, Session};

/// Most newcomers who are admitted before audio has its turn: less than a millisecond.
const PORTION: usize = 32;

impl Listeners {
    /// Takes a newcomer, who is admitted when it is their turn.
    pub(super) fn knock(&mut self, now: Instant, admit: Box<AdmitListener>) {
        let peer = admit.peer;
        if let Err(after) = self.door.knock(now, peer, admit) {
            self.put_off(peer, after);
        }
    }

    /// Admits those whose turn it is, a portion at a time.
    pub(super) fn let_in(&mut self, now: Instant) {
        for _ in 0..PORTION {
            match self.door.turn(now) {
                Some(Turn::Enter(admit)) => {
                    self.admit(now, &admit, None);
                    if self.seats.contains_key(&admit.peer) {
                        self.door.arrives(now, admit.peer);
                    }
                }
                Some(Turn::Leave(peer, after)) => self.put_off(peer, after),
                None => return,
            }
        }
    }

    fn put_off(&mut self, peer: PeerId, after: Duration) {
        self.stats.put_off += 1;
        let says = "many are coming in at once: come back at the time that is yours";
        let error = ApiError::new(Code::Unavailable, says).retry_after_ms(after.as_millis() as u64);
        self.events.push_back(ListenersEvent::Admitted { peer, result: Err(error) });
    }

    /// Makes a peer, or says why not.
    pub(super) fn admit(&mut self, now: Instant, admit: &AdmitListener, session: Option<Session<'_>>) {
        let result = self.try_admit(now, admit, session);
        let full = result.as_ref().is_err_and(|error| error.code == Code::Unavailable);
        self.stats.refused_full += u64::from(full);
        self.events.push_back(ListenersEvent::Admitted { peer: admit.peer, result });
    }

    fn try_admit(
        &mut self,
        now: Instant,
        admit: &AdmitListener,
        session: Option<Session<'_>>,
    ) -> Result<Credentials, ApiError> {
        let program = program(&admit.offer)?;
        if !self.rooms.contains_key(&admit.room) && self.rooms.len() >= self.config.max_rooms {
            return Err(ApiError::new(Code::Unavailable, "this node has all the rooms it can take"));
        }
        let credentials = match session {
            None => self.peers.admit(now, admit.peer, &admit.offer, false),
            Some(session) => self.peers.admit_with_keys(now, admit.peer, &admit.offer, false, session),
        };
        let credentials = credentials.map_err(refusal)?;
        let room = self.rooms.entry(admit.room.clone()).or_insert_with(|| {
            self.events.push_back(ListenersEvent::Wanted(admit.room.clone()));
            Room::new(now, self.rng.random())
        });
        room.admitted += 1;
        let framing_ms = admit.offer.framing.map(|framing| framing.value());
        let negotiated = Negotiated::from(&admit.offer);
        self.seats.insert(admit.peer, Seat { room: admit.room.clone(), negotiated, program, framing_ms });
        Ok(credentials)
    }
}

fn program(offer: &Offer) -> Result<Program, ApiError> {
    match offer.lines.value() {
        0 => Err(ApiError::new(Code::BadOffer, "lines: a listener needs at least one to receive on")),
        1 => Ok(Program::Line),
        _ => Ok(Program::Voices),
    }
}

/// What is said when a peer cannot be made. Without a time to come back, signaling tries another node.
pub(crate) fn refusal(error: AdmitError) -> ApiError {
    match error {
        AdmitError::Full => ApiError::new(Code::Unavailable, error.to_string()),
        AdmitError::Taken => ApiError::new(Code::Internal, error.to_string()),
    }
}
