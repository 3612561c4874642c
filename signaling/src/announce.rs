//! Tells everybody each second that this signaling node is there, and how busy: those who share the edges reckon
//! with each other.

use std::net::SocketAddr;
use std::time::Duration;

use protocol::node::{Announcement, NODES, NodeKind};
use room::load::{Meter, Totals};
use tokio::time::{MissedTickBehavior, interval};

use crate::app::{Shared, now_ms};

/// Between two announcements.
const ANNOUNCE: Duration = Duration::from_secs(1);

/// Runs until the process ends.
pub(crate) async fn run(app: &Shared, address: SocketAddr) {
    let mut tick = interval(ANNOUNCE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let shutdown = app.tasks.shutdown().clone();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut meter = Meter::default();
    let mut admits = true;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.begun(), if admits => admits = false,
        }
        look_who_waits(app);
        let totals = Totals { cpu_ms: service::metrics::cpu_ms(), ..Totals::default() };
        let load = meter.look(app.elapsed_ms(), totals, cores);
        let config = &app.config;
        let capacity = config.limits.connections;
        let free = app.connections.available_permits();
        app.counters.places.show(capacity as u32, free as u32, !admits);
        let announcement = Announcement {
            version: config.version.clone(),
            clock_ms: Some(now_ms()),
            clients: vec![address],
            peers: (capacity - free) as u32,
            capacity: capacity as u32,
            load,
            admits,
            ..Announcement::new(config.node.clone(), NodeKind::Signaling, config.region.clone(), app.boot)
        };
        let Ok(payload) = serde_json::to_vec(&announcement) else { continue };
        // While the bus is down nobody can be told; they are told again.
        let _down = app.bus.publish(NODES, payload.into()).await;
    }
}

/// Whoever does not keep their appointment waits no more.
fn look_who_waits(app: &Shared) {
    let mut waiting = app.waiting();
    waiting.forget_missed(app.elapsed_ms());
    app.counters.waiting(waiting.people());
}
