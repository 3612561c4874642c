//! How people come into a live room, what they ask there, and how they go.

use protocol::VOICES;
use protocol::error::{ApiError, Code};
use protocol::id::Identity;
use protocol::message::{
    ClientMessage, Invitation, MediaInfo, Person, RemoveReason, Reply, RequestId, RoomState, ServerMessage,
    Welcome, You,
};

use super::people::{Here, Peer};
use super::work::{Entry, Whose};
use super::{Answered, Around, By, Contact, Effect, Enter, Live, Who};
use crate::hall::{Due, Operation};
use crate::presence::NAMED;
use crate::{Action, Actor, Answer, Arrival, Numbered, Present, Refusal, Room, Session, Ticket};

/// Names in the `welcome` of a room that is too large for all of them.
const SOME: usize = 12;

/// People in a page of the audience list unless the client says less.
const PAGE: u16 = 100;

/// Most people in such a page.
const LARGEST_PAGE: u16 = 500;

/// At an edge, at the origin.
pub(super) type Peers = (Option<Peer>, Option<Peer>);

/// Somebody who has come in.
pub(super) struct Newcomer {
    pub(super) arrival: Arrival,
    /// What they had here.
    pub(super) peers: Peers,
    pub(super) entry: Option<Numbered<Present>>,
}

impl Live {
    pub(super) fn enter(&mut self, around: &Around<'_>, enter: Enter) {
        let Enter { asked, by, number, secret, contact, region, id } = enter;
        if let Err(error) = self.check_may_enter(around.now, &by) {
            return self.answer(asked, Err(error));
        }
        let (session, is_resumed) = (self.session(number), matches!(by, By::Ticket(_)));
        let peer = match &by {
            By::Peer { purpose, peer, .. } => Some((*purpose, peer.clone())),
            By::Token(_) | By::Ticket(_) => None,
        };
        let operation = match by {
            By::Token(arrival) => Operation::Enter { arrival, session, secret },
            By::Ticket(ticket) => Operation::Resume { ticket, session, secret },
            By::Peer { identity, from, .. } => Operation::Adopt { identity, from, session, secret },
        };
        let entry = Entry { asked, number, contact, region, id, is_resumed, peer };
        self.work.add(operation, Whose::Entry(entry));
    }

    fn check_may_enter(&self, now: u64, by: &By) -> Result<(), ApiError> {
        if self.is_draining {
            let says = "this node is about to stop: join again, at another one";
            return Err(ApiError::new(Code::Unavailable, says).retry_after_ms(1_000));
        }
        // Whoever is no guest still gets in; how many of them, the store bounds.
        let party = match by {
            By::Token(arrival) => arrival.party,
            By::Ticket(_) | By::Peer { .. } => None,
        };
        let most = self.settings.participants;
        match party {
            Some(_) if self.people.len() >= most => Err(Refusal::RoomFull(most).into()),
            Some(party) if self.work.is_party_full(now, party) => Err(Refusal::PartyFull.into()),
            _ => Ok(()),
        }
    }

    /// Somebody is in, by what the store says.
    pub(super) fn entered(
        &mut self,
        around: &mut Around<'_>,
        entry: Entry,
        newcomer: Newcomer,
        answer: Answer,
    ) {
        let Newcomer { arrival, peers: (listen, speak), entry: present } = newcomer;
        let Entry { asked, number, contact, region, id, is_resumed, peer } = entry;
        let identity = arrival.identity.clone();
        // Whoever is elsewhere in the store and still here in our books was replaced there and then.
        self.let_go(around, &identity, RemoveReason::Replaced);
        let Some(room) = self.ledger.newest() else { return };
        if room.state() == RoomState::Ended {
            let error = ApiError::new(Code::Ended, "the room has ended");
            return self.answer(asked, Err(error));
        }
        let is_host = room.is_host(&identity);
        let who = Who { identity: identity.clone(), number };
        let ticket = present.as_ref().and_then(|present| present.value.tickets.newest());
        let ticket = ticket.map(|secret| Ticket { identity: identity.clone(), secret });
        let version = around.board.version();
        self.effects.push(Effect::Seat(who.clone()));
        if contact == Contact::Socket {
            let welcome = self.welcome(around, &arrival, ticket.as_ref(), is_resumed);
            if let Some(body) = welcome {
                let body = ServerMessage::Welcome(Box::new(body));
                self.effects.push(Effect::Reply(number, Reply { body, id }));
            }
        }
        let is_socket = contact == Contact::Socket;
        let had_media = is_resumed || peer.is_some();
        let mut here = Here { number, contact, region, listen, speak, had_media, entry: present };
        if let Some((purpose, peer)) = peer {
            *here.peer(purpose) = Some(peer);
        }
        self.people.insert(identity.clone(), here, is_host);
        if is_socket {
            self.tell_invitation(around.now, &identity);
        }
        if is_host && !self.push.pending().is_empty() {
            let identities = self.push.pending().to_vec();
            self.tell(&identity, ServerMessage::Pending { identities });
        }
        if !arrival.hidden {
            let person = Person { identity, name: arrival.name };
            around.board.join(around.now, person);
        }
        let is_full = answer == Answer::StageFull;
        self.answer(asked, Ok(Answered::Entered { who, presence: version, is_full }));
    }

    /// Told as it was before the cut, for clients who do not look at their `welcome`.
    fn tell_invitation(&mut self, now: u64, identity: &Identity) {
        let invitation = self.ledger.newest().and_then(|room| self.invitation(now, room, identity));
        if let Some(Invitation { by, expires_ms }) = invitation {
            self.tell(identity, ServerMessage::Invited { identity: None, by, expires_ms });
        }
    }

    fn welcome(
        &self,
        around: &Around<'_>,
        arrival: &Arrival,
        ticket: Option<&Ticket>,
        resumed: bool,
    ) -> Option<Welcome> {
        let (room, ticket) = (self.ledger.newest()?, ticket?);
        let place = room.place(&arrival.identity);
        let you = You {
            identity: arrival.identity.clone(),
            name: arrival.name.clone(),
            role: place.role,
            number: place.number,
            muted: place.muted,
            hand: place.hand,
            invitation: self.invitation(around.now, room, &arrival.identity),
        };
        let is_host = room.is_host(&arrival.identity);
        let board = &around.board;
        let most = if board.counts().listeners as usize <= NAMED { NAMED } else { SOME };
        let ice_servers = self.settings.ice_servers.clone();
        Some(Welcome {
            you,
            room: room.info(),
            // What comes after this is told, also where some of it is in here already.
            stage_version: self.ledger.version(),
            stage: room.members(),
            presence_version: board.version(),
            counts: board.counts(),
            people: board.people(most),
            hands: if is_host { room.hands() } else { Vec::new() },
            resume: format!("{}:{ticket}", self.id),
            resumed,
            media: MediaInfo { voices: VOICES as u8, ice_servers },
            now: around.unix_ms,
        })
    }

    /// What somebody is asked, also after a cut.
    fn invitation(&self, now: u64, room: &Room, identity: &Identity) -> Option<Invitation> {
        let invitation = room.invitation(identity)?;
        let now = self.work.store_now(now)?;
        Some(Invitation { by: invitation.by.clone(), expires_ms: invitation.expires.saturating_sub(now) })
    }

    pub(super) fn say(
        &mut self,
        around: &mut Around<'_>,
        who: &Who,
        body: ClientMessage,
        id: Option<RequestId>,
    ) {
        if self.people.current(who).is_none() {
            return;
        }
        let promoted = match &body {
            ClientMessage::Promote { identity } => Some(identity.clone()),
            _ => None,
        };
        let action = match body {
            ClientMessage::Audience { cursor, limit } => return self.ask_page(who, id, cursor, limit),
            ClientMessage::Leave => {
                self.reply(who, ServerMessage::Ok, id);
                return self.leave(around, who);
            }
            body => action(body),
        };
        match action {
            Ok(action) => {
                let actor = Actor::Participant(who.identity.clone());
                self.work.add(Operation::Act { actor, action }, Whose::Said(who.clone(), id, promoted));
            }
            Err(error) => self.reply(who, ServerMessage::Error(error), id),
        }
    }

    /// A page of those who are not hidden, in the order of identities; the cursor is the last identity.
    fn ask_page(&mut self, who: &Who, id: Option<RequestId>, cursor: Option<String>, limit: Option<u16>) {
        let Ok(after) = cursor.map(|cursor| Identity::new(&cursor)).transpose() else {
            let error = ApiError::new(Code::BadRequest, "`cursor` is not from a page before");
            return self.reply(who, ServerMessage::Error(error), id);
        };
        let limit = usize::from(limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE));
        self.effects.push(Effect::Page { who: who.clone(), id, after, limit });
    }

    pub(super) fn page(
        &mut self,
        who: &Who,
        id: Option<RequestId>,
        people: Result<Vec<Person>, ApiError>,
        limit: usize,
    ) {
        let mut participants = match people {
            Ok(people) => people,
            Err(error) => return self.reply(who, ServerMessage::Error(error), id),
        };
        let cursor = (participants.len() == limit).then(|| participants.last()).flatten();
        let cursor = cursor.map(|last| last.identity.to_string());
        if let Some(room) = self.ledger.newest() {
            participants.retain(|person| room.place(&person.identity).number.is_none());
        }
        self.reply(who, ServerMessage::Audience { participants, cursor }, id);
    }

    /// A socket is gone. Whoever has left or was put out before is not concerned.
    pub(super) fn cut(&mut self, who: &Who) {
        let Some(here) = self.people.current(who) else { return };
        here.contact = Contact::Away;
        let had_media = here.had_media;
        self.effects.push(Effect::Release(who.number));
        let (identity, session) = (who.identity.clone(), self.session(who.number));
        self.work.add(Operation::Cut { identity, session, had_media, if_lapsed: false }, Whose::Gone(None));
    }

    /// This node is about to stop: whose turn it is goes on at another one, as who they are.
    pub(super) fn say_goodbye(&mut self, now: u64) {
        for node in self.goodbyes.look(now) {
            for who in self.people.with_socket() {
                if self.goodbyes.is_turn(now, &node, &who.identity) {
                    self.effects.push(Effect::End(who.number, RemoveReason::Shutdown));
                }
            }
        }
    }

    /// Somebody goes of their own accord.
    pub(super) fn leave(&mut self, around: &mut Around<'_>, who: &Who) {
        if let Some(here) = self.people.current(who) {
            let entry = here.entry.take().map(Box::new);
            self.let_go(around, &who.identity, RemoveReason::Left);
            let (identity, session) = (who.identity.clone(), self.session(who.number));
            self.work.add(Operation::Leave { identity, session }, Whose::Gone(entry));
        }
    }

    /// These are due by the store's time.
    pub(super) fn lapse(&mut self, due: Vec<Due>) {
        for due in due {
            self.work.add(Operation::Lapse(due), Whose::Nobody);
        }
    }

    /// The signaling nodes of these sessions are gone.
    pub(super) fn cut_orphans(&mut self, sessions: Vec<(Identity, Session)>) {
        for (identity, session) in sessions {
            let cut = Operation::Cut { identity, session, had_media: true, if_lapsed: true };
            self.work.add(cut, Whose::Nobody);
        }
    }
}

fn action(body: ClientMessage) -> Result<Action, ApiError> {
    Ok(match body {
        ClientMessage::RaiseHand => Action::RaiseHand,
        ClientMessage::LowerHand { identity } => Action::LowerHand { identity },
        ClientMessage::LowerAllHands => Action::LowerAllHands,
        ClientMessage::Accept => Action::Accept,
        ClientMessage::Decline => Action::Decline,
        ClientMessage::Mute { identity } => Action::Mute { identity },
        ClientMessage::Unmute => Action::Unmute,
        ClientMessage::Demote { identity } => Action::Demote { identity },
        ClientMessage::Promote { identity } => Action::Promote { identity },
        ClientMessage::Kick { identity } => Action::Kick { identity },
        ClientMessage::Ban { identity } => Action::Ban { identity },
        ClientMessage::Unban { identity } => Action::Unban { identity },
        ClientMessage::GoLive => Action::GoLive,
        ClientMessage::End => Action::End,
        ClientMessage::Join { .. } => {
            return Err(ApiError::new(Code::Conflict, "this connection has joined already"));
        }
        ClientMessage::Media { .. }
        | ClientMessage::Audience { .. }
        | ClientMessage::Quality(_)
        | ClientMessage::Leave => return Err(ApiError::new(Code::Internal, "this message is no action")),
    })
}
