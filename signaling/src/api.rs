//! The HTTP API of rooms, for an `admin` or the room's `host` token.
//!
//! Everything here is an action like those of the WebSocket, by another door: the room's rules decide.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cluster::Listed;
use protocol::message::{Counts, Person, RoomInfo, StageMember};
use protocol::token::{Claims, Role};
use protocol::{ApiError, Code, Identity, RoomId};
use room::live::Looked;
use room::{Action, Actor, Answer, Plan, Room};
use serde::{Deserialize, Serialize};

use crate::address;
use crate::answer::{Refused, body, json, parse};
use crate::app::Shared;
use crate::entry::{Door, check_host};
use crate::live::Word;

/// Entries of a list unless the request says less.
const PAGE: usize = 100;

/// Most entries of a list.
const LARGEST_PAGE: usize = 500;

/// A request that may go on: within the limits, with a good token.
struct Asked {
    app: Shared,
    claims: Claims,
}

impl Asked {
    fn new(app: Shared, socket: SocketAddr, headers: &HeaderMap) -> Result<Self, Refused> {
        let address = address::of_request(socket, headers, &app.config.trusted_proxies);
        let claims = checked(&app, address, headers).map_err(Refused)?;
        Ok(Self { app, claims })
    }

    fn host_of(&self, room: &RoomId) -> Result<Actor, Refused> {
        check_host(&self.claims, room).map_err(Refused)
    }

    /// A room as it is, for whoever may see it: a host whom the room has put out may not.
    async fn look(&self, room: &RoomId) -> Result<Looked, Refused> {
        let actor = self.host_of(room)?;
        let looked = self.ask(room, Word::Look).await?;
        looked.room.check_host(&actor).map_err(|refusal| Refused(refusal.into()))?;
        Ok(looked)
    }

    async fn ask<T>(
        &self,
        room: &RoomId,
        input: impl Fn(crate::rooms::Reply<T>) -> Word,
    ) -> Result<T, Refused> {
        self.app.rooms.ask(&self.app, room, input).await.map_err(Refused)
    }
}

fn checked(app: &Shared, address: IpAddr, headers: &HeaderMap) -> Result<Claims, ApiError> {
    app.gates.requests.pass(&address)?;
    Door { app, address, region: None }.bearer(headers)
}

fn room_id(text: &str) -> Result<RoomId, Refused> {
    RoomId::new(text).map_err(|error| Refused(ApiError::new(Code::BadRequest, format!("`room` {error}"))))
}

/// A room as the API shows it.
#[derive(Serialize)]
struct RoomView {
    #[serde(flatten)]
    info: RoomInfo,
    stage: Vec<StageMember>,
    counts: Counts,
}

impl RoomView {
    fn new(room: &Arc<Room>, counts: Counts) -> Self {
        Self { info: room.info(), stage: room.members(), counts }
    }
}

#[derive(Deserialize)]
struct Create {
    room: RoomId,
    #[serde(flatten)]
    plan: Plan,
}

/// `POST /v1/rooms`.
pub(crate) async fn create(
    State(app): State<Shared>,
    ConnectInfo(socket): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    sent: Body,
) -> Result<Response, Refused> {
    let asked = Asked::new(app, socket, &headers)?;
    let bytes = body(sent, asked.app.config.limits.body_bytes).await?;
    let Create { room, plan } = parse(&bytes)?;
    let actor = asked.host_of(&room)?;
    let most = asked.app.config.limits.seats;
    if plan.seats.is_some_and(|seats| seats > most) {
        let says = format!("`seats` may be at most {most} here (limit: seats)");
        return Err(Refused(ApiError::new(Code::BadRequest, says)));
    }
    let made = asked.ask(&room, |reply| Word::Create(actor.clone(), plan.clone(), reply)).await?;
    Ok(json(StatusCode::CREATED, &RoomView::new(&made.room, made.counts)))
}

#[derive(Deserialize)]
pub(crate) struct Page {
    cursor: Option<String>,
    limit: Option<usize>,
}

impl Page {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE)
    }
}

/// `GET /v1/rooms`.
pub(crate) async fn list(
    State(app): State<Shared>,
    ConnectInfo(socket): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Query(page): Query<Page>,
) -> Result<Response, Refused> {
    #[derive(Serialize)]
    struct Rooms {
        rooms: Vec<RoomView>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<RoomId>,
    }
    let asked = Asked::new(app, socket, &headers)?;
    if asked.claims.role != Role::Admin {
        let error = ApiError::new(Code::Forbidden, "only an `admin` token may list all rooms");
        return Err(Refused(error));
    }
    let after = page.cursor.as_deref().map(room_id).transpose()?;
    let listed = asked.app.store.rooms(after.as_ref(), page.limit()).await.map_err(ApiError::from)?;
    let cursor = (listed.len() == page.limit()).then(|| listed.last().map(|last| last.info.room.clone()));
    let only = asked.claims.room.as_ref();
    let shown = listed.into_iter().filter(|listed| only.is_none_or(|only| listed.info.room == *only));
    let rooms = shown.map(|Listed { info, stage, counts }| RoomView { info, stage, counts }).collect();
    Ok(json(StatusCode::OK, &Rooms { rooms, cursor: cursor.flatten() }))
}

/// `GET /v1/rooms/{room}`.
pub(crate) async fn show(
    State(app): State<Shared>,
    ConnectInfo(socket): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Path(room): Path<String>,
) -> Result<Response, Refused> {
    let asked = Asked::new(app, socket, &headers)?;
    let room = room_id(&room)?;
    let Looked { room, counts } = asked.look(&room).await?;
    Ok(json(StatusCode::OK, &RoomView::new(&room, counts)))
}

/// `GET /v1/rooms/{room}/participants`: everybody who is not hidden, in the order of identities.
pub(crate) async fn participants(
    State(app): State<Shared>,
    ConnectInfo(socket): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Path(room): Path<String>,
    Query(page): Query<Page>,
) -> Result<Response, Refused> {
    #[derive(Serialize)]
    struct Participant {
        #[serde(flatten)]
        person: Person,
        role: Role,
        muted: bool,
        hand: bool,
    }
    #[derive(Serialize)]
    struct Participants {
        participants: Vec<Participant>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<Identity>,
    }
    let asked = Asked::new(app, socket, &headers)?;
    let room = room_id(&room)?;
    let bad_cursor = |_| Refused(ApiError::new(Code::BadRequest, "`cursor` is not from a page before"));
    let after = page.cursor.as_deref().map(Identity::new).transpose().map_err(bad_cursor)?;
    let state = asked.look(&room).await?.room;
    let people = asked.app.store.people(&room, after.as_ref(), page.limit()).await.map_err(ApiError::from)?;
    let cursor = (people.len() == page.limit()).then(|| people.last().map(|last| last.identity.clone()));
    let participant = |person: Person| {
        let place = state.place(&person.identity);
        Participant { person, role: place.role, muted: place.muted, hand: place.hand }
    };
    let participants = people.into_iter().map(participant).collect();
    Ok(json(StatusCode::OK, &Participants { participants, cursor: cursor.flatten() }))
}

/// `DELETE /v1/rooms/{room}`.
pub(crate) async fn delete(
    State(app): State<Shared>,
    ConnectInfo(socket): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Path(room): Path<String>,
) -> Result<StatusCode, Refused> {
    let asked = Asked::new(app, socket, &headers)?;
    let room = room_id(&room)?;
    let actor = asked.host_of(&room)?;
    match asked.ask(&room, |reply| Word::Act(actor.clone(), Action::End, reply)).await {
        Err(Refused(error)) if error.code != Code::Ended => Err(Refused(error)),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

#[derive(Deserialize)]
struct Target {
    identity: Identity,
}

/// `POST /v1/rooms/{room}/{what}`.
pub(crate) async fn act(
    State(app): State<Shared>,
    ConnectInfo(socket): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Path((room, what)): Path<(String, String)>,
    sent: Body,
) -> Result<Response, Refused> {
    let asked = Asked::new(app, socket, &headers)?;
    let room = room_id(&room)?;
    let actor = asked.host_of(&room)?;
    let bytes = body(sent, asked.app.config.limits.body_bytes).await?;
    let action = action(&what, &bytes)?;
    let answer = asked.ask(&room, |reply| Word::Act(actor.clone(), action.clone(), reply)).await?;
    Ok(json(StatusCode::OK, &told(answer)).into_response())
}

fn action(what: &str, bytes: &[u8]) -> Result<Action, Refused> {
    let identity = || parse::<Target>(bytes).map(|target| target.identity);
    Ok(match what {
        "go_live" => Action::GoLive,
        "end" => Action::End,
        "promote" => Action::Promote { identity: identity()? },
        "demote" => Action::Demote { identity: Some(identity()?) },
        "mute" => Action::Mute { identity: Some(identity()?) },
        "kick" => Action::Kick { identity: identity()? },
        "ban" => Action::Ban { identity: identity()? },
        "unban" => Action::Unban { identity: identity()? },
        _ => return Err(Refused(ApiError::new(Code::NotFound, "there is no such action"))),
    })
}

/// The same words as on the WebSocket.
fn told(answer: Answer) -> BTreeMap<&'static str, serde_json::Value> {
    match answer {
        Answer::Done | Answer::StageFull => BTreeMap::from([("result", "ok".into())]),
        Answer::Seated { .. } => BTreeMap::from([("result", "seated".into())]),
        Answer::Invited { expires_ms } => {
            BTreeMap::from([("result", "invited".into()), ("expires_ms", expires_ms.into())])
        }
    }
}
