//! The door: who is let in, by a token or by a resume ticket, and how often somebody may try.
//!
//! Tokens are never logged, and neither are names and addresses.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use protocol::message::{RequestId, check_name};
use protocol::node::NodeKind;
use protocol::token::{Claims, Role};
use protocol::{ApiError, Code, Identity, Region, RoomId};
use rand::Rng;
use rand::distr::Alphanumeric;
use room::live::By;
use room::{Arrival, Party, Ticket};

use crate::app::{Shared, now_s};
use crate::lanes::Lanes;
use crate::live::{Body, Enter};
use crate::rooms::Entered;

/// Shown where neither token nor join brings a name and there is no identity of their own.
const GUEST: &str = "Guest";

/// Characters of a guest's identity behind `guest-`: no two guests of a room will ever share one.
const GUEST_CHARACTERS: usize = 12;

/// What a `join` brings.
pub(crate) struct Join {
    pub(crate) token: String,
    pub(crate) name: Option<String>,
    pub(crate) resume: Option<String>,
    pub(crate) id: Option<RequestId>,
}

/// The door as seen from one address.
pub(crate) struct Door<'a> {
    pub(crate) app: &'a Shared,
    pub(crate) address: IpAddr,
    /// Where whoever stands there says they are.
    pub(crate) region: Option<Region>,
}

impl Door<'_> {
    /// Lets a client in whose messages go onto `lanes`; `welcome` is the first of them. Where a resume token
    /// does not open the door, the token beside it may, and nothing has failed.
    pub(crate) async fn join(&self, join: Join, lanes: &Lanes) -> Result<Entered, ApiError> {
        let resumed = match &join.resume {
            Some(resume) => self.resume(resume, &join, lanes).await,
            None => return self.enter(&join, lanes).await,
        };
        match resumed {
            Err(error) if error.code == Code::ResumeInvalid && join.token.is_empty() => {
                Err(self.failed(error))
            }
            Err(error) if error.code == Code::ResumeInvalid => self.enter(&join, lanes).await,
            resumed => resumed,
        }
    }

    async fn enter(&self, join: &Join, lanes: &Lanes) -> Result<Entered, ApiError> {
        let claims = self.claims(&join.token)?;
        self.app.gates.joins.pass(&self.address)?;
        let region = self.region(claims.region.as_ref());
        let (room, arrival) = self.arrival(claims, join.name.as_deref())?;
        let body = Body::Socket { lanes: lanes.clone(), id: join.id.clone() };
        self.app.rooms.enter(self.app, &room, Enter { by: By::Token(arrival), body, region }).await
    }

    /// Nothing is begun for a room that there is not: anybody may name one.
    async fn resume(&self, resume: &str, join: &Join, lanes: &Lanes) -> Result<Entered, ApiError> {
        let invalid = || ApiError::new(Code::ResumeInvalid, "`resume` is not what a `welcome` brought");
        let (room, ticket) = resume.split_once(':').ok_or_else(invalid)?;
        let room = RoomId::new(room).map_err(|_| invalid())?;
        let ticket: Ticket = ticket.parse().map_err(|_| invalid())?;
        let is_known = self.app.rooms.is_live(&room) || self.app.has_room(&room).await?;
        if !is_known {
            return Err(invalid());
        }
        // The token beside it may say where they are.
        let claims = self.app.config.keys.verify(&join.token, now_s()).ok();
        let region = self.region(claims.and_then(|claims| claims.region).as_ref());
        let body = Body::Socket { lanes: lanes.clone(), id: join.id.clone() };
        self.app.rooms.enter(self.app, &room, Enter { by: By::Ticket(ticket), body, region }).await
    }

    /// Where somebody is, by what their token says, or they themselves, or a proxy; if there is nothing of that
    /// name, where this node is.
    pub(crate) fn region(&self, claimed: Option<&Region>) -> Region {
        let said = claimed.or(self.region.as_ref());
        let known = said.filter(|region| self.app.nodes.is_in(NodeKind::Edge, region));
        known.unwrap_or(&self.app.config.region).clone()
    }

    /// The claims of a token that is good, whatever for.
    pub(crate) fn claims(&self, token: &str) -> Result<Claims, ApiError> {
        self.app
            .config
            .keys
            .verify(token, now_s())
            .map_err(|error| self.failed(ApiError::new(Code::Unauthorized, error.to_string())))
    }

    /// The claims of the Bearer token of an HTTP request.
    pub(crate) fn bearer(&self, headers: &HeaderMap) -> Result<Claims, ApiError> {
        let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        match token {
            Some(token) => self.claims(token),
            None => Err(ApiError::new(Code::Unauthorized, "a token is needed: `Authorization: Bearer …`")),
        }
    }

    /// Who somebody with these claims is, and where they want to go.
    pub(crate) fn arrival(&self, claims: Claims, name: Option<&str>) -> Result<(RoomId, Arrival), ApiError> {
        if claims.role == Role::Admin {
            return Err(ApiError::new(Code::Forbidden, "an `admin` token cannot enter a room"));
        }
        let room =
            claims.room.ok_or_else(|| ApiError::new(Code::Unauthorized, "the token names no `room`"))?;
        let told = check_name(claims.name.as_deref().or(name).unwrap_or_default())?;
        let own = claims.sub.as_ref().map_or(GUEST, Identity::as_str);
        let name = if told.is_empty() { own } else { told }.to_owned();
        let party = if claims.sub.is_none() { Some(self.party(&claims.iss)?) } else { None };
        let identity = claims.sub.unwrap_or_else(guest);
        Ok((room, Arrival { identity, name, role: claims.role, hidden: claims.hidden, party }))
    }

    /// Those with whom a guest from this address shares. It goes by the address alone: many have the same pass,
    /// and a service may as well sign one for each visitor.
    fn party(&self, key: &str) -> Result<Party, ApiError> {
        let mark = self.app.config.keys.mark(key, self.address.to_string().as_bytes());
        mark.map(Party).map_err(|error| ApiError::new(Code::Internal, error.to_string()))
    }

    /// Counts a failure; past the limit it says so in place of what failed.
    fn failed(&self, error: ApiError) -> ApiError {
        self.app.gates.failed_joins.pass(&self.address).err().unwrap_or(error)
    }
}

fn guest() -> Identity {
    let letters = rand::rng().sample_iter(Alphanumeric).take(GUEST_CHARACTERS).map(char::from);
    let identity: String = "guest-".chars().chain(letters).collect();
    Identity::new(&identity).expect("letters and digits are an identity")
}

/// A room's token for the HTTP API: an admin's of any room, or the room's own host's.
pub(crate) fn check_host(claims: &Claims, room: &RoomId) -> Result<room::Actor, ApiError> {
    let fits = claims.room.as_ref().is_none_or(|only| only == room);
    match (claims.role, &claims.sub) {
        (Role::Admin, _) if fits => Ok(room::Actor::Admin),
        (Role::Host, Some(host)) if fits => Ok(room::Actor::Bearer(host.clone())),
        (Role::Admin | Role::Host, _) => Err(ApiError::new(Code::Forbidden, "the token is for another room")),
        _ => Err(ApiError::new(Code::Forbidden, "this needs an `admin` token or the room's `host` token")),
    }
}
