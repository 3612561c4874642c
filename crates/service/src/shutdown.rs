//! How a process stops: the first SIGTERM (or Ctrl-C) begins the drain, a second one ends it at once.
//!
//! Parts hold a [`Shutdown`], finish what they have when it begins, and return. Nothing here kills a
//! part that still drains: that is the second signal's, or the supervisor's, business.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Tells a part that it should drain and return. Clones share the news.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// Begins a [`Shutdown`].
#[derive(Debug, Clone)]
pub struct Trigger(watch::Sender<bool>);

/// A trigger and what it triggers.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Shutdown(receiver))
}

impl Shutdown {
    /// Waits until the drain begins. Also returns when nobody is left who could begin it.
    pub async fn begun(&self) {
        let _ = self.0.clone().wait_for(|&begun| begun).await;
    }

    /// Whether the drain has begun.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }
}

impl Trigger {
    /// Begins the drain. Doing it again changes nothing.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }
}

/// Waits for the first SIGTERM or SIGINT and begins the drain; ends the process at the second one.
pub async fn on_signals(trigger: Trigger) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut next = async || tokio::select! { _ = terminate.recv() => 143, _ = interrupt.recv() => 130 };
    next().await;
    tracing::info!("draining; a second signal ends the process at once");
    trigger.begin();
    let status = next().await;
    tracing::warn!("second signal: ending without a goodbye");
    std::process::exit(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_hears_that_it_begins_even_late() {
        let (trigger, shutdown) = channel();
        let early = shutdown.clone();
        let waiting = tokio::spawn(async move { early.begun().await });
        assert!(!shutdown.has_begun());
        trigger.begin();
        waiting.await.unwrap();
        shutdown.clone().begun().await;
        assert!(shutdown.has_begun());
    }
}
