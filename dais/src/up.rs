//! `dais up`: signaling, one origin and two edges in one process, over real sockets and real links.
//!
//! People and media have runtimes of their own, so that whoever comes delays nothing that others hear.
//! It stops in two steps: first signaling says goodbye to everybody, then the media nodes drain; so
//! nobody is cut off before they know why.

use std::time::Duration;

use anyhow::Context;
use cluster::{MemoryBus, MemoryStore};
use protocol::NodeId;
use protocol::node::NodeKind;
use service::config::Values;
use service::{Tasks, shutdown};
use tokio::runtime::Handle;
use tokio::time::{interval, timeout};
use transport::Authority;

use crate::failure::Failure;
use crate::layout::{EDGES, Layout};
use crate::media::{Nodes, Spot};
use crate::options::{Access, Framing, Media, Missing, Place, Process, Web};
use crate::process::{self, Surroundings};
use crate::say;
use crate::shared::Shared;
use crate::welcome::Welcome;

/// How long the media nodes may drain. Everybody has been told to go by then, and whoever is still there
/// was cut off before: there is no other node to move them to.
const DRAIN: Duration = Duration::from_secs(2);

/// What it runs with.
struct Options {
    web: Web,
    access: Access,
    media: Media,
    framing: Framing,
}

/// Runs until the shutdown.
pub(crate) fn run(mut values: Values) -> Result<(), Failure> {
    let web = Web::read(&mut values);
    let missing = if web.is_local() {
        Missing::Invent
    } else {
        Missing::Refuse("is needed where it listens beyond this machine")
    };
    let options = Options {
        access: Access::read(&mut values, missing),
        media: Media::read(&mut values, web.is_local()),
        framing: Framing::read(&mut values),
        web,
    };
    let process = Process::read(&mut values);
    values.check()?;
    let media = service::runtime::start(process::MEDIA).map_err(anyhow::Error::from)?;
    let body = async |around| up(&options, around, media.handle().clone()).await;
    Ok(process::run(&process, &values, process::people_beside_media(), body)?)
}

async fn up(options: &Options, people: Surroundings, media: Handle) -> anyhow::Result<()> {
    let (drain, draining) = shutdown::channel();
    let media = Tasks::new(draining).on(media);
    let shared = Shared::new(MemoryBus::new());
    let store = MemoryStore::new(options.web.store_limits());
    let place = Place::numbered(NodeKind::Signaling, 1);
    let metrics = people.registry.node(place.node.as_str(), place.region.as_str());
    shared.start(&media, &metrics, &people.readiness, media_nodes());

    start_media(options, &shared, &media, &people).await?;
    let server = shared.signaling(store, &options.web, &options.access, &place, &people).await?;
    let bound = server.address();
    people.tasks.part("signaling", server.run());

    let goodbye = async {
        people.tasks.watch().await?;
        drain.begin();
        timeout(DRAIN, media.watch()).await.unwrap_or(Ok(()))
    };
    let welcome = async {
        ready(&people).await;
        let welcome = Welcome::new(&options.web, &options.media, &options.access, bound)?;
        say(welcome.to_string().trim_end());
        std::future::pending().await
    };
    tokio::select! {
        result = media.watch() => result,
        result = goodbye => result,
        result = welcome => result,
    }
}

async fn start_media(
    options: &Options,
    shared: &Shared,
    tasks: &Tasks,
    people: &Surroundings,
) -> anyhow::Result<()> {
    let layout = Layout::of_system(&options.media);
    // It lives as long as the process, so nobody else can link to these nodes.
    let authority = Authority::ephemeral().context("the authority of the links")?;
    let nodes = Nodes::new(shared, tasks, &people.registry, &options.media)?;
    let spot = |index: usize, kind, number| {
        let place = Place::numbered(kind, number);
        let credentials = authority.issue(&place.node, kind)?.into();
        let (media, link, shards) = (layout.media(index), layout.link(index), layout.share(index));
        anyhow::Ok(Spot { place, credentials, media, link, shards })
    };
    nodes.origin(spot(0, NodeKind::Origin, 1)?).await?;
    for number in 1..=EDGES {
        nodes.edge(spot(number, NodeKind::Edge, number)?, options.framing).await?;
    }
    Ok(())
}

fn media_nodes() -> Vec<NodeId> {
    let edges = (1..=EDGES).map(|number| Place::numbered(NodeKind::Edge, number));
    [Place::numbered(NodeKind::Origin, 1)].into_iter().chain(edges).map(|place| place.node).collect()
}

/// Waits until everybody admits newcomers: the first announcements are heard within a second.
async fn ready(around: &Surroundings) {
    let mut tick = interval(Duration::from_millis(20));
    while !around.readiness.waits_for().is_empty() {
        tick.tick().await;
    }
}
