//! What every long-running command has around it: logs, open files, signals, the admin server, and the
//! supervision of everything it starts.

use std::num::NonZero;

use service::config::Values;
use service::http::Listener;
use service::runtime::Threads;
use service::{Readiness, Registry, Tasks, admin, shutdown};

use crate::options::Process;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const COMMIT: &str = env!("BUILD_COMMIT");

/// The version of this program, as others see it.
pub(crate) fn program() -> String {
    format!("{VERSION} {COMMIT}")
}

/// Handed to the parts of a process.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// Supervises what they start, and knows when they should drain.
    pub(crate) tasks: Tasks,
    /// Where they count.
    pub(crate) registry: Registry,
    /// Where they say that they admit newcomers.
    pub(crate) readiness: Readiness,
}

/// What carries audio, where it has threads of its own: links, relays and desks need a few percent of one.
pub(crate) const MEDIA: Threads = Threads { name: "media", count: Some(1), gives_way: false };

/// What serves people: ten thousand of them at once must not delay audio.
pub(crate) const PEOPLE: Threads = Threads { name: "signaling", count: None, gives_way: true };

/// The same beside media nodes: a thousand joins a second take a fifth of a core, so one thread for two
/// cores is plenty, and more would mostly wake each other.
pub(crate) fn people_beside_media() -> Threads {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    Threads { count: Some(cores.div_ceil(2)), ..PEOPLE }
}

/// Runs `body` on such threads; it returns when it has drained or when something fails.
pub(crate) fn run(
    options: &Process,
    values: &Values,
    threads: Threads,
    body: impl AsyncFnOnce(Surroundings) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    service::log::start(&options.filter, options.format);
    for stranger in values.strangers() {
        tracing::warn!("the variable {stranger} means nothing here");
    }
    crate::files::raise();
    service::runtime::start(threads)?.block_on(supervise(options, body))
}

async fn supervise(
    options: &Process,
    body: impl AsyncFnOnce(Surroundings) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (trigger, shutdown) = shutdown::channel();
    let registry = Registry::new(VERSION, COMMIT);
    let readiness = Readiness::new(shutdown.clone());
    let listener = Listener::bind(options.admin, None).await?;
    tracing::info!("admin server on http://{}", listener.address()?);
    let tasks = Tasks::new(shutdown);
    let surroundings = Surroundings { tasks, registry: registry.clone(), readiness: readiness.clone() };
    tokio::select! {
        result = body(surroundings) => result,
        result = admin::serve(listener, registry, readiness) => result,
        result = shutdown::on_signals(trigger) => result,
    }
}
