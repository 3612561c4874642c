//! What a participant asks over their socket, and the answer.

use cluster::Acted;
use protocol::message::{ClientMessage, RequestId, ServerMessage};
use protocol::{ApiError, Code, Identity};
use room::{Action, Actor, Answer};

use super::LiveRoom;
use crate::rooms::Member;

/// People in a page of the audience list unless the client says less.
const PAGE: u16 = 100;

/// Most people in such a page.
const LARGEST_PAGE: u16 = 500;

/// What follows once the answer is on its way. The answer goes first: `end` and `leave` close the
/// connection that asked.
enum Then {
    Nothing,
    Spread(Box<Acted>),
    Leave,
}

impl LiveRoom {
    pub(super) async fn say(&mut self, who: &Member, body: ClientMessage, id: Option<RequestId>) {
        if self.people.current(who).is_none() {
            return;
        }
        if let (ClientMessage::Quality(quality), None) = (&body, &id) {
            return self.app.counters.heard(quality);
        }
        let (answer, then) = self.serve(who, body).await.unwrap_or_else(|error| {
            self.app.counters.refused(&error);
            (ServerMessage::Error(error), Then::Nothing)
        });
        self.people.reply(&self.app.counters, who, answer, id);
        match then {
            Then::Nothing => {}
            Then::Spread(acted) => self.spread(*acted).await,
            Then::Leave => self.leave(who).await,
        }
    }

    async fn serve(&mut self, who: &Member, body: ClientMessage) -> Result<(ServerMessage, Then), ApiError> {
        match body {
            ClientMessage::Audience { cursor, limit } => Ok((self.page(cursor, limit).await?, Then::Nothing)),
            ClientMessage::Quality(quality) => {
                self.app.counters.heard(&quality);
                Ok((ServerMessage::Ok, Then::Nothing))
            }
            ClientMessage::Leave => Ok((ServerMessage::Ok, Then::Leave)),
            ClientMessage::Join { .. } => {
                Err(ApiError::new(Code::Conflict, "this connection has joined already"))
            }
            body => {
                let promoted = match &body {
                    ClientMessage::Promote { identity } => Some(identity.clone()),
                    _ => None,
                };
                let action = self.action(who, body)?;
                let actor = Actor::Participant(who.identity.clone());
                let acted = self.app.halls.act(&self.id, &actor, &action).await?;
                Ok((told(acted.outcome.answer, promoted), Then::Spread(Box::new(acted))))
            }
        }
    }

    fn action(&self, who: &Member, body: ClientMessage) -> Result<Action, ApiError> {
        Ok(match body {
            ClientMessage::RaiseHand => {
                self.app.gates.hands.pass(&(self.id.clone(), who.identity.clone()))?;
                Action::RaiseHand
            }
            ClientMessage::LowerHand { identity } => Action::LowerHand { identity },
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
            ClientMessage::Join { .. }
            | ClientMessage::Media { .. }
            | ClientMessage::Audience { .. }
            | ClientMessage::Quality(_)
            | ClientMessage::Leave => {
                return Err(ApiError::new(Code::Internal, "this message is no action"));
            }
        })
    }

    /// A page of those who are not hidden, in the order of identities; the cursor is the last identity.
    async fn page(&mut self, cursor: Option<String>, limit: Option<u16>) -> Result<ServerMessage, ApiError> {
        let after = cursor.map(|cursor| Identity::new(&cursor)).transpose();
        let after =
            after.map_err(|_| ApiError::new(Code::BadRequest, "`cursor` is not from a page before"))?;
        let limit = usize::from(limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE));
        let mut participants = self.app.halls.people(&self.id, after.as_ref(), limit).await?;
        let cursor =
            (participants.len() == limit).then(|| participants.last().map(|last| last.identity.to_string()));
        if let Some(room) = &self.room {
            participants.retain(|person| room.place(&person.identity).number.is_none());
        }
        Ok(ServerMessage::Audience { participants, cursor: cursor.flatten() })
    }
}

/// The answer in words. Only whoever promoted somebody else is told more than that it is done.
fn told(answer: Answer, asked_for: Option<Identity>) -> ServerMessage {
    match (answer, asked_for) {
        (Answer::Seated { .. }, Some(identity)) => ServerMessage::Seated { identity },
        (Answer::Invited { expires_ms }, Some(identity)) => {
            ServerMessage::Invited { identity: Some(identity), by: None, expires_ms }
        }
        _ => ServerMessage::Ok,
    }
}
