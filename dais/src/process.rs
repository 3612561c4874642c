//! What every long-running command has around it: logs, open files, signals, the admin server, and the
//! supervision of everything it starts.

use service::config::Values;
use service::http::Listener;
use service::{Readiness, Registry, Shutdown, Tasks, admin, shutdown};

use crate::options::Process;

/// Handed to the parts of a process.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// Supervises what they start.
    pub(crate) tasks: Tasks,
    /// Where they count.
    pub(crate) registry: Registry,
    /// Where they say that they admit newcomers.
    pub(crate) readiness: Readiness,
    /// Tells them to drain.
    pub(crate) shutdown: Shutdown,
}

/// Runs what `start` starts until it has drained, or until something fails.
pub(crate) fn run(
    options: &Process,
    values: &Values,
    start: impl AsyncFnOnce(Surroundings) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    service::log::start(&options.filter, options.format);
    for stranger in values.strangers() {
        tracing::warn!("the variable {stranger} means nothing here");
    }
    crate::files::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(supervise(options, start))
}

async fn supervise(
    options: &Process,
    start: impl AsyncFnOnce(Surroundings) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (trigger, shutdown) = shutdown::channel();
    let tasks = Tasks::new(shutdown.clone());
    let registry = Registry::new(env!("CARGO_PKG_VERSION"), env!("DAIS_COMMIT"));
    let readiness = Readiness::new(shutdown.clone());
    let listener = Listener::bind(options.admin, None).await?;
    tracing::info!("admin server on http://{}", listener.address()?);
    let surroundings = Surroundings {
        tasks: tasks.clone(),
        registry: registry.clone(),
        readiness: readiness.clone(),
        shutdown,
    };
    let parts = async {
        start(surroundings).await?;
        tasks.watch().await
    };
    tokio::select! {
        result = parts => result,
        result = admin::serve(listener, registry, readiness) => result,
        result = shutdown::on_signals(trigger) => result,
    }
}
