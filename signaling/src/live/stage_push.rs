//! Keeps the origin's picture of the stage true: every change at once, again until it is acknowledged,
//! and now and then without a reason. A mute that is lost on its way lasts no longer than that.

use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::NodeId;
use protocol::node::{Request, Response, Stage};
use tokio::time::{Instant, sleep, sleep_until};

use crate::app::Shared;
use crate::media;

/// Between two tries while the origin does not acknowledge.
const RETRY: Duration = Duration::from_millis(500);

pub(super) struct StagePush {
    app: Shared,
    wanted: Option<(Stage, NodeId)>,
    /// Underway: resolves to what the origin has acknowledged.
    underway: Option<BoxFuture<'static, Option<Stage>>>,
    acknowledged: Option<Stage>,
    /// When to tell it again though it was acknowledged.
    repeat_at: Instant,
}

impl StagePush {
    pub(super) fn new(app: &Shared) -> Self {
        let repeat_at = Instant::now();
        Self { app: app.clone(), wanted: None, underway: None, acknowledged: None, repeat_at }
    }

    /// From now on this is what the origin must know.
    pub(super) fn want(&mut self, stage: Option<(Stage, NodeId)>) {
        self.wanted = stage;
    }

    /// Returns after each step. Cancelling loses nothing.
    pub(super) async fn work(&mut self) {
        if let Some(underway) = &mut self.underway {
            self.acknowledged = underway.await;
            self.underway = None;
            self.repeat_at = Instant::now() + self.app.config.times.repeat;
            return;
        }
        let Some((stage, node)) = self.wanted.clone() else { return std::future::pending().await };
        if self.acknowledged.as_ref() == Some(&stage) {
            sleep_until(self.repeat_at).await;
            self.acknowledged = None;
            return;
        }
        self.underway = Some(Box::pin(push(self.app.clone(), stage, node)));
    }
}

async fn push(app: Shared, stage: Stage, node: NodeId) -> Option<Stage> {
    match media::ask(&app, &node, &Request::Stage(stage.clone())).await {
        Ok(Response::Done) => return Some(stage),
        Ok(_) => tracing::warn!(%node, "the origin does not take the stage"),
        Err(error) => tracing::debug!(%node, %error, "the origin is not told the stage"),
    }
    sleep(RETRY).await;
    None
}
