//! The server: the routes, and the parts that run beside them.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU16;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use cluster::{Bus, Heard, Nodes, SharedStore};
use protocol::ApiError;
use protocol::node::{Announcement, EVENTS, Event, KNOWN, Known, MAX_ORIGINS};
use room::live::{Draining, Input};
use service::http::Listener;
use service::{Metrics, Tasks};
use tokio::sync::{Semaphore, watch};

use crate::app::{App, Shared, now_ms};
use crate::config::SignalingConfig;
use crate::counters::Counters;
use crate::limits::Gates;
use crate::origins::Origins;
use crate::peers::Wanted;
use crate::rooms::Rooms;
use crate::timed::Timed;
use crate::{announce, answer, api, connection, load, origins, peers, upkeep, web, whip};

/// What signaling is built on.
pub struct Parts {
    /// The rooms' truth.
    pub store: SharedStore,
    /// To media nodes and other signaling nodes.
    pub bus: Arc<dyn Bus>,
    /// Who is alive. Whoever makes it also runs it.
    pub nodes: Arc<Nodes>,
    /// Of this node.
    pub metrics: Metrics,
    /// Runs the connections and rooms; its shutdown is the server's.
    pub tasks: Tasks,
}

/// A signaling node whose socket is bound.
pub struct Server {
    listener: Listener,
    address: SocketAddr,
    app: Shared,
}

impl Server {
    /// Binds the socket.
    pub async fn bind(config: SignalingConfig, parts: Parts) -> anyhow::Result<Self> {
        let listener = Listener::bind(config.listen, config.tls.as_ref()).await?;
        let address = listener.address()?;
        let Parts { store, bus, nodes, metrics, tasks } = parts;
        let app = App {
            counters: Counters::new(&metrics),
            gates: Gates::new(&config.limits),
            connections: Arc::new(Semaphore::new(config.limits.connections)),
            whip_sessions: Arc::new(Semaphore::new(config.limits.whip_sessions)),
            rooms: Rooms::default(),
            origins: Origins::default(),
            wanted: Wanted::default(),
            waiting: Mutex::default(),
            draining: Mutex::default(),
            steady: watch::Sender::default(),
            boot: now_ms(),
            start: Instant::now(),
            store: Arc::new(Timed::new(store, &metrics)),
            restraint: AtomicU16::new(0),
            config,
            bus,
            nodes,
            tasks,
        };
        Ok(Self { listener, address, app: Arc::new(app) })
    }

    /// The address in use.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the shutdown; then nobody new is let in, and everybody gets `removed {shutdown}`: one after another
    /// where they can go on at another node.
    pub async fn run(self) -> anyhow::Result<()> {
        let shutdown = self.app.tasks.shutdown().clone();
        let app = self.app.clone();
        let router = router(self.app.clone());
        let serve = async {
            self.listener.serve(router, async { shutdown.begun().await }).await?;
            app.emptied().await;
            Ok(())
        };
        tokio::select! {
            result = serve => result,
            result = upkeep::run(&app) => result,
            () = origins::tell(&app) => Ok(()),
            result = load::run(&app) => result,
            () = announce::run(&app, self.address) => Ok(()),
            result = hear_events(&app) => result,
            result = hear_known(&app) => result,
            () = peers::run(&app) => Ok(()),
            result = watch_nodes(&app) => result,
        }
    }
}

/// Binds and serves until the shutdown of `parts.tasks`.
pub async fn run(config: SignalingConfig, parts: Parts) -> anyhow::Result<()> {
    Server::bind(config, parts).await?.run().await
}

fn router(app: Shared) -> Router {
    Router::new()
        .route("/", get(web::index))
        .route("/page/{*path}", get(web::page))
        .route("/sdk/v1/{*path}", get(web::sdk))
        .route("/v1/join", any(connection::upgrade))
        .route("/v1/rooms", get(api::list).post(api::create))
        .route("/v1/rooms/{room}", get(api::show).delete(api::delete))
        .route("/v1/rooms/{room}/participants", get(api::participants))
        .route("/v1/rooms/{room}/{what}", post(api::act))
        .route("/whip/{room}", post(whip::publish).options(whip::options))
        .route("/whep/{room}", post(whip::play).options(whip::options))
        .route("/whip/{room}/{key}", axum::routing::delete(whip::delete).options(whip::options))
        .route("/whep/{room}/{key}", axum::routing::delete(whip::delete).options(whip::options))
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(from_fn_with_state(app.clone(), headers))
        .with_state(app)
}

/// Answers what browsers ask before a request from another origin, puts on every answer what they must know
/// about it, and counts errors.
async fn headers(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let allowed = app.config.allow_origins.cors(request.headers());
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response =
        if is_preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        app.counters.refused(&error);
    }
    let out = response.headers_mut();
    let mut put = |name: HeaderName, value: &'static str| out.insert(name, HeaderValue::from_static(value));
    put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(header::REFERRER_POLICY, "no-referrer");
    put(header::VARY, "Origin, Accept-Encoding");
    if is_preflight {
        put(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS");
        put(header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type");
        put(header::ACCESS_CONTROL_MAX_AGE, "86400");
    }
    put(header::ACCESS_CONTROL_EXPOSE_HEADERS, "Location, Link, Retry-After, ETag");
    if let Some(origin) = allowed.and_then(|origin| HeaderValue::from_str(&origin).ok()) {
        out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}

/// Passes on what media nodes tell about their peers.
async fn hear_events(app: &Shared) -> anyhow::Result<()> {
    let mut events = app.bus.subscribe(EVENTS).await?;
    while let Some(heard) = events.hear().await {
        let Heard::Message(message) = heard else {
            app.counters.gap("events");
            continue;
        };
        match serde_json::from_slice::<Event>(&message.payload) {
            Ok(event) => {
                let room = event.room.clone();
                app.rooms.tell(&room, Input::Event(event)).await;
            }
            Err(_) => app.counters.bad("bus_event"),
        }
    }
    anyhow::bail!("the bus is gone")
}

/// Passes on what media nodes know otherwise than they are told.
async fn hear_known(app: &Shared) -> anyhow::Result<()> {
    let mut known = app.bus.subscribe(KNOWN).await?;
    while let Some(heard) = known.hear().await {
        // What was missed is said again as long as it holds.
        let Heard::Message(message) = heard else {
            app.counters.gap("known");
            continue;
        };
        match serde_json::from_slice(&message.payload) {
            Ok(Known { node, rooms }) => {
                for known in rooms.into_iter().take(MAX_ORIGINS) {
                    let room = known.room.clone();
                    app.rooms.tell(&room, Input::Known(node.clone(), known)).await;
                }
            }
            Err(_) => app.counters.bad("bus_known"),
        }
    }
    anyhow::bail!("the bus is gone")
}

async fn tell_all(app: &Shared, input: impl Fn() -> Input) {
    for room in app.rooms.all() {
        app.rooms.tell(&room, input()).await;
    }
}

/// Tells the rooms when a node drains or is gone.
async fn watch_nodes(app: &Shared) -> anyhow::Result<()> {
    let mut watch = app.nodes.watch();
    let mut before = watch.borrow_and_update().clone();
    while watch.changed().await.is_ok() {
        let now = watch.borrow_and_update().clone();
        let is_same = |said: &Announcement| now.get(&said.node).is_some_and(|again| again.boot == said.boot);
        for lost in before.values().filter(|said| said.kind.has_media() && !is_same(said)) {
            tell_all(app, || Input::NodeLost(lost.node.clone())).await;
        }
        let drains = |said: &&Announcement| said.kind.has_media() && !said.admits;
        let draining: Draining =
            now.values().filter(drains).map(|said| (said.node.clone(), said.drain_ms.unwrap_or(0))).collect();
        if !draining.keys().eq(app.draining().keys()) {
            let draining = Arc::new(draining);
            app.drain(draining.clone());
            tell_all(app, || Input::Draining(draining.clone())).await;
        }
        before = now;
    }
    anyhow::bail!("nobody listens to the nodes any more")
}
