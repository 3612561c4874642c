//! WHIP (RFC 9725) and WHEP: any standard client takes part, as a speaker with a seat or as a listener.
//!
//! ```text
//!   POST offer ──▶ enter the room ──▶ media, as for everybody else ──▶ 201, answer, Location
//!   DELETE Location ──▶ the media node ends the peer ──▶ leave
//! ```
//!
//! The session's address has a key that nobody can guess ([`session`]); whoever has it may end the session.

mod session;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body as Sent;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use protocol::message::Purpose;
use protocol::sdp::{Kind, Offered};
use protocol::token::Role;
use protocol::{ApiError, Code};
use room::live::{By, Input};

use crate::address;
use crate::answer::{Refused, body};
use crate::app::Shared;
use crate::entry::Door;
use crate::live::{Body, Enter};
use crate::media::{self, Asked, Got};
use crate::rooms::Member;
use session::{SessionName, no_session};

const SDP: &str = "application/sdp";

/// `POST /whip/{room}`.
pub(crate) async fn publish(
    State(app): State<Shared>,
    ConnectInfo(socket): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    Path(room): Path<String>,
    sent: Sent,
) -> Result<Response, Refused> {
    let door = door(&app, socket, &uri, &headers);
    post(door, Kind::Whip, &headers, &room, sent).await
}

/// `POST /whep/{room}`.
pub(crate) async fn play(
    State(app): State<Shared>,
    ConnectInfo(socket): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    Path(room): Path<String>,
    sent: Sent,
) -> Result<Response, Refused> {
    let door = door(&app, socket, &uri, &headers);
    post(door, Kind::Whep, &headers, &room, sent).await
}

/// `DELETE` of a session. It needs no token, so what cannot name one is not asked about.
pub(crate) async fn delete(
    State(app): State<Shared>,
    ConnectInfo(socket): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Path((_, name)): Path<(String, String)>,
) -> Result<StatusCode, Refused> {
    app.gates.requests.pass(&address::of_request(socket, &headers, &app.config.trusted_proxies))?;
    let name = SessionName::parse(&name).ok_or_else(no_session)?;
    session::end(&app, name).await?;
    Ok(StatusCode::OK)
}

/// `OPTIONS`: what may be posted here.
pub(crate) async fn options() -> impl IntoResponse {
    let allowed = [(header::ALLOW, "POST, OPTIONS"), (header::HeaderName::from_static("accept-post"), SDP)];
    (StatusCode::NO_CONTENT, allowed)
}

fn door<'a>(app: &'a Shared, socket: SocketAddr, uri: &Uri, headers: &HeaderMap) -> Door<'a> {
    let address = address::of_request(socket, headers, &app.config.trusted_proxies);
    Door { app, address, region: address::region_of_request(uri, socket, headers, &app.config) }
}

async fn post(
    door: Door<'_>,
    kind: Kind,
    headers: &HeaderMap,
    room: &str,
    sent: Sent,
) -> Result<Response, Refused> {
    let visit = Visit { app: door.app, door, kind };
    let offered = visit.offered(headers, sent).await?;
    let served = visit.serve(headers, room, &offered).await;
    let (name, sdp) = served.map_err(Refused)?;
    let location = visit.location(room, &name);
    let out = [(header::CONTENT_TYPE, SDP), (header::LOCATION, location.as_str())];
    Ok((StatusCode::CREATED, out, sdp).into_response())
}

struct Visit<'a> {
    app: &'a Shared,
    door: Door<'a>,
    kind: Kind,
}

impl Visit<'_> {
    async fn offered(&self, headers: &HeaderMap, sent: Sent) -> Result<Offered, Refused> {
        let says =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if says.split(';').next().is_none_or(|kind| !kind.trim().eq_ignore_ascii_case(SDP)) {
            let error = ApiError::new(Code::BadRequest, "the body must be `application/sdp`");
            return Err(Refused(error));
        }
        let bytes = body(sent, self.app.config.limits.body_bytes).await?;
        let text = std::str::from_utf8(&bytes).ok();
        let text = text.ok_or_else(|| Refused(ApiError::new(Code::BadOffer, "the offer is not UTF-8")))?;
        Offered::parse(text, self.kind).map_err(|error| {
            self.app.counters.bad("sdp");
            Refused(error.into())
        })
    }

    async fn serve(
        &self,
        headers: &HeaderMap,
        room: &str,
        offered: &Offered,
    ) -> Result<(SessionName, String), ApiError> {
        let member = self.enter(headers, room).await?;
        let key = session::new_key();
        let (purpose, offer) = (self.purpose(), offered.offer().clone());
        let asked = Asked { purpose, offer, turn: 1, whip: Some(key.clone()) };
        match media::admit(self.app, &member, asked).await {
            Ok(Got { node, peer, answer }) => Ok((SessionName { node, peer, key }, offered.answer(&answer))),
            Err(error) => {
                self.app.rooms.tell(&member.room, Input::Leave(member.who.clone())).await;
                Err(error)
            }
        }
    }

    async fn enter(&self, headers: &HeaderMap, room: &str) -> Result<Member, ApiError> {
        let claims = self.door.bearer(headers)?;
        self.app.gates.joins.pass(&self.door.address)?;
        let region = self.door.region(claims.region.as_ref());
        let (of_token, mut arrival) = self.door.arrival(claims, None)?;
        if of_token.as_str() != room {
            return Err(ApiError::new(Code::Forbidden, "the token is for another room"));
        }
        match self.kind {
            Kind::Whip if arrival.role == Role::Listener => {
                return Err(ApiError::new(Code::Forbidden, "a `listener` token cannot publish"));
            }
            Kind::Whip => {}
            // Whoever only listens here takes no seat, whatever their token would give them.
            Kind::Whep => arrival.role = Role::Listener,
        }
        let place = self.app.whip_sessions.clone().try_acquire_owned().map_err(|_| {
            let says = "this node has as many WHIP and WHEP sessions as it may (limit: whip_sessions)";
            ApiError::new(Code::Unavailable, says).retry_after_ms(5_000)
        })?;
        let body = Body::Whip { place: Arc::new(place) };
        let enter = Enter { by: By::Token(arrival), body, region };
        let entered = self.app.rooms.enter(self.app, &of_token, enter).await?;
        self.check_seat(entered.is_full, &entered.member).await?;
        Ok(entered.member)
    }

    async fn check_seat(&self, is_full: bool, member: &Member) -> Result<(), ApiError> {
        if self.kind == Kind::Whep || !is_full {
            return Ok(());
        }
        self.app.rooms.tell(&member.room, Input::Leave(member.who.clone())).await;
        Err(ApiError::new(Code::StageFull, "all seats are taken").retry_after_ms(30_000))
    }

    fn purpose(&self) -> Purpose {
        match self.kind {
            Kind::Whip => Purpose::Speak,
            Kind::Whep => Purpose::Listen,
        }
    }

    fn location(&self, room: &str, name: &SessionName) -> String {
        let base = self.app.config.public_url.as_deref().unwrap_or_default().trim_end_matches('/');
        let kind = if self.kind == Kind::Whip { "whip" } else { "whep" };
        format!("{base}/{kind}/{room}/{name}")
    }
}
