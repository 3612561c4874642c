//! Starts the shards of a node: each a thread of its own, on a port of its own.

use std::sync::atomic::Ordering::Relaxed;

use anyhow::Context;
use media::Plane;
use service::Tasks;
use transport::shard::Observer;
use transport::{Shard, ShardHandle};

use crate::Config;

/// Datagrams that shards have sent to clients so far, and the bytes in them.
pub fn sent<C>(shards: &[ShardHandle<C>]) -> (u64, u64) {
    let stats = shards.iter().map(ShardHandle::stats);
    let each = stats.map(|stats| (stats.egress_packets.load(Relaxed), stats.egress_bytes.load(Relaxed)));
    each.fold((0, 0), |sum, sent| (sum.0 + sent.0, sum.1 + sent.1))
}

/// Binds and starts all shards of `config`. `make` gives the plane and the observer of each.
pub fn start<P, O>(
    config: &Config,
    tasks: &Tasks,
    make: impl Fn(usize, ShardHandle<P::Command>) -> (P, O),
) -> anyhow::Result<Vec<ShardHandle<P::Command>>>
where
    P: Plane + Send + 'static,
    P::Command: Send + 'static,
    O: Observer<P> + Send + 'static,
{
    let mut handles = Vec::new();
    for index in 0..config.shards.max(1) {
        let addr = config.shard_addr(index);
        let (shard, handle) =
            Shard::bind(addr).with_context(|| format!("media of {} on {addr}", config.node))?;
        let (plane, observer) = make(index, handle.clone());
        tasks.thread(format!("{} shard {index}", config.node), move || Ok(shard.run(plane, observer)?));
        handles.push(handle);
    }
    Ok(handles)
}
