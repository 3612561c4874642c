//! What every long-running command has around it: logs, open files, signals, the admin server, and the
//! supervision of everything it starts.

use service::config::Values;
use service::http::Listener;
use service::{Readiness, Registry, Tasks, admin, shutdown};

use crate::options::Process;

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

/// Runs `body`, which returns when it has drained or when something fails.
pub(crate) fn run(
    options: &Process,
    values: &Values,
    body: impl AsyncFnOnce(Surroundings) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    service::log::start(&options.filter, options.format);
    for stranger in values.strangers() {
        tracing::warn!("the variable {stranger} means nothing here");
    }
    crate::files::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(supervise(options, body))
}

async fn supervise(
    options: &Process,
    body: impl AsyncFnOnce(Surroundings) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (trigger, shutdown) = shutdown::channel();
    let registry = Registry::new(env!("CARGO_PKG_VERSION"), env!("BUILD_COMMIT"));
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
