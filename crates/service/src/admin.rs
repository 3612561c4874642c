//! The admin server: what runs the process asks here how it is.
//!
//! - `GET /metrics` everything countable, in the text format of OpenMetrics
//! - `GET /health`  200 as long as the process is alive
//! - `GET /ready`   200 while it admits newcomers, else 503 and what is not ready
//!
//! Nothing else, and nothing that changes anything: the port needs no password, only no audience.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::http::Listener;
use crate::metrics::{CONTENT_TYPE, Registry};
use crate::shutdown::Shutdown;

/// Whether each part of the process admits newcomers. Clones share the knowledge.
#[derive(Debug, Clone)]
pub struct Readiness {
    parts: Arc<Mutex<BTreeMap<String, bool>>>,
    shutdown: Shutdown,
}

impl Readiness {
    /// Nothing is ready once `shutdown` has begun.
    pub fn new(shutdown: Shutdown) -> Self {
        Self { parts: Arc::default(), shutdown }
    }

    /// Says whether `part` admits newcomers. A part counts from its first call on: announce every part
    /// as not ready before starting it.
    pub fn set(&self, part: &str, ready: bool) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(part.into(), ready);
    }

    /// What keeps the process from admitting newcomers; nothing: it is ready.
    pub fn waits_for(&self) -> Vec<String> {
        if self.shutdown.has_begun() {
            return vec!["draining".into()];
        }
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().filter(|&(_, &ready)| !ready).map(|(part, _)| part.clone()).collect()
    }
}

#[derive(Clone)]
struct Admin {
    registry: Registry,
    readiness: Readiness,
}

/// Serves until the process ends: during a drain it must still answer.
pub async fn serve(listener: Listener, registry: Registry, readiness: Readiness) -> anyhow::Result<()> {
    listener.serve(router(registry, readiness), std::future::pending()).await
}

fn router(registry: Registry, readiness: Readiness) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(async || "alive\n"))
        .route("/ready", get(ready))
        .with_state(Admin { registry, readiness })
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], admin.registry.render())
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, String) {
    match admin.readiness.waits_for() {
        nothing if nothing.is_empty() => (StatusCode::OK, "ready\n".into()),
        parts => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", parts.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown;

    #[tokio::test]
    async fn ready_says_what_is_missing_and_fails_in_a_drain() {
        let (trigger, shutdown) = shutdown::channel();
        let readiness = Readiness::new(shutdown);
        let answer = async || {
            ready(State(Admin { registry: Registry::default(), readiness: readiness.clone() })).await
        };
        readiness.set("origin-1", true);
        readiness.set("edge-1", false);
        assert_eq!(answer().await, (StatusCode::SERVICE_UNAVAILABLE, "not ready: edge-1\n".into()));
        readiness.set("edge-1", true);
        assert_eq!(answer().await.0, StatusCode::OK);
        trigger.begin();
        assert_eq!(answer().await, (StatusCode::SERVICE_UNAVAILABLE, "not ready: draining\n".into()));
    }
}
