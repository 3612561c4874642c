//! How people come into a live room, and how they go.

use cluster::StoreError;
use protocol::message::{
    Invitation, MediaInfo, Person, RemoveReason, Reply as Answer, ServerMessage, Welcome, You,
};
use protocol::token::Role;
use protocol::{ApiError, Code, Identity, VOICES};
use room::presence::NAMED;
use room::{Arrival, Room, Session};

use super::people::{Contact, Here};
use super::{Ask, Body, Enter, Input, LiveRoom};
use crate::app::now_ms;
use crate::entry;
use crate::rooms::{Entered, Member, Reply};
use crate::whip::no_session;

/// How somebody goes.
#[derive(Clone, Copy)]
enum Going {
    Cut { had_media: bool },
    Left,
}

/// Names in the `welcome` of a room that is too large for all of them.
const SOME: usize = 24;

impl LiveRoom {
    pub(super) async fn enter(&mut self, enter: Enter, reply: Reply<Entered>) {
        let entered = self.let_in(enter).await;
        let member = entered.as_ref().ok().map(|entered| entered.member.clone());
        // Whoever hung up while they were let in is cut off at once.
        if reply.send(entered).is_err()
            && let Some(member) = member
        {
            self.cut(&member).await;
        }
    }

    async fn let_in(&mut self, enter: Enter) -> Result<Entered, ApiError> {
        self.check_draining()?;
        self.check_full(&enter.ask)?;
        let session = self.app.session();
        let halls = &self.app.halls;
        let (entered, is_resumed) = match &enter.ask {
            Ask::Token(arrival) => (halls.enter(&self.id, arrival, &session).await?, false),
            Ask::Ticket(ticket) => (halls.resume(&self.id, ticket, &session).await?, true),
        };
        let cluster::Entered { arrival, acted, ticket, .. } = entered;
        let kept = if is_resumed { self.people.take_peers(&arrival.identity) } else { None };
        let (room, is_full) = (acted.room.clone(), acted.outcome.answer == room::Answer::StageFull);
        self.spread_entry(acted, is_resumed).await;
        // Whoever is elsewhere in the store and still here in our books was replaced there and then.
        self.let_go(&arrival.identity, RemoveReason::Replaced);
        let seen = self.presence.board(|board| board.version());
        let contact = match enter.body {
            Body::Socket { lanes, id } => {
                let body =
                    ServerMessage::Welcome(Box::new(self.welcome(&arrival, &room, &ticket, is_resumed)));
                self.app.counters.sent(&body);
                lanes.control(crate::encode::reply(&Answer { body, id }));
                // Told as it was before the cut, for clients who do not look at their `welcome`.
                if let Some(Invitation { by, expires_ms }) = invitation(&room, &arrival.identity) {
                    let invited = ServerMessage::Invited { identity: None, by, expires_ms };
                    lanes.control(crate::encode::message(&invited));
                }
                Contact::Socket(lanes)
            }
            Body::Whip { key, place } => Contact::Whip { key, _place: place },
        };
        let (listen, speak) = kept.unwrap_or_default();
        let here = Here { number: session.number, contact, listen, speak, had_media: is_resumed };
        let member = self.seat(&arrival, here);
        Ok(Entered { member, presence: self.presence.reader(seen), is_full })
    }

    fn seat(&mut self, arrival: &Arrival, here: Here) -> Member {
        let (identity, number) = (arrival.identity.clone(), here.number);
        let is_host = self.room.as_ref().is_some_and(|room| room.is_host(&identity));
        self.people.insert(identity.clone(), here, is_host);
        if !arrival.hidden {
            let person = Person { identity: identity.clone(), name: arrival.name.clone() };
            let now = self.app.elapsed_ms();
            self.presence.board(|board| board.join(now, person));
        }
        self.people.count(&self.app.counters, self.room.as_deref());
        Member::new(self.id.clone(), identity, number, self.to_inbox.clone())
    }

    fn welcome(&self, arrival: &Arrival, room: &Room, ticket: &str, resumed: bool) -> Welcome {
        let place = room.place(&arrival.identity);
        let you = You {
            identity: arrival.identity.clone(),
            name: arrival.name.clone(),
            role: place.role,
            number: place.number,
            muted: place.muted,
            hand: place.hand,
            invitation: invitation(room, &arrival.identity),
        };
        let is_host = room.is_host(&arrival.identity);
        let (presence_version, counts, people) = self.presence.board(|board| {
            let listeners = board.counts().listeners as usize;
            let most = if listeners <= NAMED { NAMED } else { SOME };
            (board.version(), board.counts(), board.people(most))
        });
        let ice_servers = self.app.config.ice_servers.clone();
        Welcome {
            you,
            room: room.info(),
            stage_version: room.version(),
            stage: room.members(),
            presence_version,
            counts,
            people,
            hands: if is_host { room.hands() } else { Vec::new() },
            resume: entry::resume(&self.id, ticket),
            resumed,
            media: MediaInfo { voices: VOICES as u8, ice_servers },
            now: now_ms(),
        }
    }

    fn check_draining(&self) -> Result<(), ApiError> {
        if self.app.tasks.shutdown().has_begun() {
            let says = "this node is about to stop: join again, at another one";
            return Err(ApiError::new(Code::Unavailable, says).retry_after_ms(1_000));
        }
        Ok(())
    }

    fn check_full(&mut self, ask: &Ask) -> Result<(), ApiError> {
        let most = self.app.config.limits.room_participants;
        // Whoever may come on stage still gets in; how many of them, the store bounds.
        let is_one_more = match ask {
            Ask::Token(arrival) => {
                arrival.role == Role::Listener && self.people.get_mut(&arrival.identity).is_none()
            }
            Ask::Ticket(_) => false,
        };
        if is_one_more && self.people.len() >= most {
            let says = format!("the room has {most} participants here (limit: room_participants)");
            return Err(ApiError::new(Code::RoomFull, says).retry_after_ms(room::limits::ROOM_FULL_RETRY_MS));
        }
        Ok(())
    }

    /// A socket is gone. Whoever has left or was put out before is not concerned.
    pub(super) async fn cut(&mut self, who: &Member) {
        let Some(here) = self.people.current(who) else { return };
        here.contact = Contact::Away;
        let had_media = here.had_media;
        let session = self.app.session_of(who.number);
        match self.app.halls.cut(&self.id, &who.identity, &session, had_media).await {
            Ok(acted) => self.spread(acted).await,
            Err(StoreError::Unavailable(_)) => {
                self.note_later(&who.identity, session, Going::Cut { had_media })
            }
            Err(error) => tracing::warn!(%error, "a cut is not noted: the participant stays"),
        }
    }

    /// Somebody goes of their own accord.
    pub(super) async fn leave(&mut self, who: &Member) {
        let session = self.app.session_of(who.number);
        match self.app.halls.leave(&self.id, &who.identity, &session).await {
            Ok(acted) => self.spread(acted).await,
            Err(StoreError::Unavailable(_)) => self.note_later(&who.identity, session, Going::Left),
            Err(error) => tracing::warn!(%error, "a leave is not noted: it counts as a cut"),
        }
        if self.people.current(who).is_some() {
            self.let_go(&who.identity, RemoveReason::Left);
        }
    }

    /// This node was taken for gone: whoever is here is put back where they were, beside the room's task. The
    /// sessions whose place has been taken, or given up, end.
    pub(super) fn put_back(&self) {
        let (app, room) = (self.app.clone(), self.id.clone());
        let sessions = self.people.connected();
        self.app.tasks.errand("people who are put back", async move {
            for (identity, number) in sessions {
                let session = app.session_of(number);
                let put_back = loop {
                    let answer = app.halls.put_back(&room, &identity, &session).await;
                    if !app.must_ask_again(&answer).await {
                        break answer;
                    }
                };
                let reason = match put_back {
                    Ok(Some(theirs)) if theirs == session => continue,
                    Ok(Some(_)) => RemoveReason::Replaced,
                    // They come again by themselves.
                    Ok(None) => RemoveReason::Shutdown,
                    Err(_) => return,
                };
                app.rooms.tell(&room, Input::Over(identity, number, reason)).await;
            }
        });
    }

    /// A session is over in the store.
    pub(super) fn over(&mut self, identity: &Identity, number: u64, reason: RemoveReason) {
        if self.people.get_mut(identity).is_some_and(|here| here.number == number) {
            self.let_go(identity, reason);
        }
    }

    /// Tells the store that somebody is gone once it can be told: without it they would stay for good. Who has
    /// come back until then is not concerned.
    fn note_later(&self, identity: &Identity, session: Session, going: Going) {
        let (app, room, identity) = (self.app.clone(), self.id.clone(), identity.clone());
        self.app.tasks.errand("somebody who is gone", async move {
            let noted = loop {
                let answer = match going {
                    Going::Cut { had_media } => app.halls.cut(&room, &identity, &session, had_media).await,
                    Going::Left => app.halls.leave(&room, &identity, &session).await,
                };
                if !app.must_ask_again(&answer).await {
                    break answer;
                }
            };
            if let Ok(acted) = noted {
                app.rooms.tell_or_start(&app, &room, Input::Expired(acted)).await;
            }
        });
    }

    /// Ends the WHIP or WHEP session of a key, if it is here.
    pub(super) async fn hang(&mut self, key: &str) -> Result<(), ApiError> {
        let identity = self.people.by_key(key).ok_or_else(no_session)?;
        self.hang_up(&identity).await;
        Ok(())
    }

    /// Ends the session of somebody who has no socket.
    pub(super) async fn hang_up(&mut self, identity: &Identity) {
        let Some(number) = self.people.get_mut(identity).map(|here| here.number) else { return };
        let who = Member::new(self.id.clone(), identity.clone(), number, self.to_inbox.clone());
        self.leave(&who).await;
    }
}

/// What somebody is asked, also after a cut.
fn invitation(room: &Room, identity: &Identity) -> Option<Invitation> {
    let invitation = room.invitation(identity)?;
    Some(Invitation { by: invitation.by.clone(), expires_ms: invitation.expires.saturating_sub(now_ms()) })
}
