//! Takes children: other nodes that dial this one to get rooms from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use media::relay::LinkId;
use protocol::NodeId;
use protocol::link::{ChildMessage, ParentMessage};
use service::{Metrics, Tasks};
use transport::Links;
use transport::link::{Event, Incoming, LinkError, LinkHandle};
use transport::queue::Full;

/// Gives every link of a node its id.
#[derive(Debug, Clone, Default)]
pub struct Ids(Arc<AtomicU64>);

/// The ids of a node's links.
pub fn ids() -> Ids {
    Ids::default()
}

impl Ids {
    /// One that was not given before.
    pub fn next(&self) -> LinkId {
        LinkId(self.0.fetch_add(1, Relaxed))
    }
}

/// What happens on the link of a child.
pub enum Child {
    /// It is there.
    Up(LinkHandle<ParentMessage>),
    /// It said something.
    Said(Event<ChildMessage>),
    /// It is gone.
    Lost,
}

/// Takes children as a part of the node, until the endpoint is closed, and tells what happens on their
/// links. `tell` must not block. Where it refuses what a child has said, the link ends, and the child comes
/// again with all that it wants: half of that would be wrong for good. It must refuse nothing else.
pub fn children<T>(name: &NodeId, links: Links, ids: Ids, tasks: &Tasks, metrics: &Metrics, tell: T)
where
    T: Fn(LinkId, Child) -> Result<(), Full> + Clone + Send + Sync + 'static,
{
    let refused = metrics.counters("dais_link_refused_total", "Links that were not taken.", &["reason"]);
    let errands = tasks.clone();
    tasks.part(format!("{name} links"), async move {
        while let Some(incoming) = links.accept().await {
            let (id, tell, refused) = (ids.next(), tell.clone(), refused.clone());
            errands.errand("child link", async move {
                if let Err(reason) = child(incoming, id, tell).await {
                    refused.of(&[reason]).inc();
                }
            });
        }
        Ok(())
    });
}

/// One child, from its handshake to its end.
async fn child(
    incoming: Incoming,
    id: LinkId,
    tell: impl Fn(LinkId, Child) -> Result<(), Full> + Send + Sync,
) -> Result<(), &'static str> {
    let link = incoming.link().await.map_err(|error| {
        match error {
            LinkError::Version { .. } => tracing::warn!(%error, "a link was not taken"),
            _ => tracing::debug!(%error, "a link was not taken"),
        }
        error.reason()
    })?;
    let handle = link.handle();
    let child = handle.remote().node.clone();
    tracing::info!(%child, version = handle.version(), "child linked");
    // Neither is ever refused.
    let _ = tell(id, Child::Up(handle.clone()));
    let hear = |event| tell(id, Child::Said(event)).unwrap_or_else(|Full| handle.close("relay queue full"));
    let why = link.run(hear).await;
    tracing::info!(%child, %why, "child gone");
    let _ = tell(id, Child::Lost);
    Ok(())
}
