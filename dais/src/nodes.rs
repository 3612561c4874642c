//! `dais nodes`: who is there, where and how busy, as the nodes say themselves over the bus. `dais drain`: lets one of
//! them go empty, and takes it back.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use cluster::{Bus, NatsBus, Sealed, Subscription};
use protocol::NodeId;
use protocol::node::{Announcement, NODES, NodeKind, Request, Response};
use service::config::Values;
use tokio::time::timeout;

use crate::failure::Failure;
use crate::options::Cluster;
use crate::say;

/// How long NATS may take to let us in.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long is listened: each node speaks once a second, and is first asked whether it lives.
const LISTEN: Duration = Duration::from_millis(3_500);

/// Prints a table, or JSON.
pub(crate) fn run(mut values: Values) -> Result<(), Failure> {
    let cluster = Cluster::read(&mut values);
    cluster.check(&mut values, cluster.is_local());
    let json = values.or("json", false);
    values.check()?;
    let nodes = on_the_bus(cluster, async |bus| listen(&bus).await)?;
    if json {
        let nodes: Vec<_> = nodes.into_values().collect();
        say(serde_json::to_string_pretty(&nodes).map_err(anyhow::Error::from)?);
    } else {
        say(table(&nodes, node::unix_ms()).trim_end());
    }
    Ok(())
}

/// Lets a node's people go, or has it take people again.
pub(crate) fn drain(mut values: Values) -> Result<(), Failure> {
    let cluster = Cluster::read(&mut values);
    cluster.check(&mut values, cluster.is_local());
    let node = values.one::<NodeId>("which");
    if node.is_none() {
        values.wrong("which", "a node is needed: `dais drain edge-1`; `dais nodes` shows their names");
    }
    let undo = values.or("undo", false);
    values.check()?;
    let node = node.expect("without one the check has failed");
    on_the_bus(cluster, async |bus| {
        let mut announcements = bus.subscribe(NODES).await?;
        let said = said_by(&mut announcements, &node).await?;
        ensure!(
            said.kind.has_media(),
            "{node} is a signaling node: it lets its people go when it is stopped"
        );
        let ask = serde_json::to_vec(&Request::Drain { on: !undo })?;
        let answer = bus.request(&protocol::node::subject(&node), ask.into(), PATIENCE).await?;
        match serde_json::from_slice(&answer)? {
            Response::Done => {}
            Response::Refused(error) => anyhow::bail!("{node}: {error}"),
            other => anyhow::bail!("{node} does not know how to drain: {other:?}"),
        }
        if undo {
            say(format_args!("{node} takes people again"));
            return Ok(());
        }
        if said.kind == NodeKind::Origin {
            say(format_args!("{node} gets no new rooms; those that it has stay until it is stopped"));
            return Ok(());
        }
        until_empty(&mut announcements, &node).await
    })?;
    Ok(())
}

/// Shows how many are left until nobody is.
async fn until_empty(announcements: &mut Subscription, node: &NodeId) -> anyhow::Result<()> {
    let mut shown = None;
    loop {
        let said = said_by(announcements, node).await?;
        ensure!(
            !said.admits || shown.is_none(),
            "{node} takes people again: somebody has taken the drain back"
        );
        if said.admits {
            continue;
        }
        if said.peers == 0 {
            say(format_args!("{node} is empty: it can be stopped, or taken back with --undo"));
            return Ok(());
        }
        if shown != Some(said.peers) {
            say(format_args!("{node}: {} people left", said.peers));
        }
        shown = Some(said.peers);
    }
}

/// What a node says next.
async fn said_by(announcements: &mut Subscription, node: &NodeId) -> anyhow::Result<Announcement> {
    let heard = async {
        while let Some(message) = announcements.recv().await {
            match serde_json::from_slice::<Announcement>(&message.payload) {
                Ok(said) if said.node == *node => return Ok(said),
                _ => {}
            }
        }
        anyhow::bail!("the bus is gone")
    };
    timeout(LISTEN, heard)
        .await
        .unwrap_or_else(|_| anyhow::bail!("{node} is not heard: `dais nodes` shows who is there"))
}

/// Everybody who is heard.
pub(crate) async fn listen(bus: &Sealed) -> anyhow::Result<BTreeMap<NodeId, Announcement>> {
    let mut announcements = bus.subscribe(NODES).await?;
    let mut nodes: BTreeMap<NodeId, Announcement> = BTreeMap::new();
    let hear = async {
        while let Some(message) = announcements.recv().await {
            if let Ok(said) = serde_json::from_slice::<Announcement>(&message.payload) {
                nodes.insert(said.node.clone(), said);
            }
        }
    };
    let is_gone = timeout(LISTEN, hear).await.is_ok();
    ensure!(!is_gone, "the bus is gone");
    ensure!(
        !nodes.is_empty(),
        "nobody is heard: are nodes running on this NATS server, with this --cluster-key and --nats-prefix?"
    );
    Ok(nodes)
}

/// Does something as one more process of the cluster.
fn on_the_bus<T>(
    cluster: Cluster,
    body: impl AsyncFnOnce(Arc<Sealed>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(as_onlooker(&cluster, body))
}

/// Takes part in what is said for as long as `body` runs.
pub(crate) async fn as_onlooker<T>(
    cluster: &Cluster,
    body: impl AsyncFnOnce(Arc<Sealed>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let (bus, nats) = NatsBus::new(cluster.nats.clone());
    let me = NodeId::new(&format!("asks-{:08x}", rand::random::<u32>()))?;
    let (sealed, herald) = Sealed::new(bus.clone(), me, node::boot(), cluster.keys());
    let body = async {
        let reached = timeout(PATIENCE, bus.reached()).await;
        ensure!(
            reached.is_ok(),
            "NATS at {} does not let us in within {PATIENCE:?}: is it there, and are the credentials right?",
            cluster.nats.server.host()
        );
        body(sealed).await
    };
    tokio::select! {
        done = body => done,
        result = herald.run() => anyhow::bail!("the bus is gone: {result:?}"),
        never = nats.run() => match never {},
    }
}

/// One line a node, by region and kind.
fn table(nodes: &BTreeMap<NodeId, Announcement>, now_ms: u64) -> String {
    let row = |said: &Announcement| {
        [
            said.node.to_string(),
            said.kind.as_str().into(),
            said.region.to_string(),
            if said.version.is_empty() { "older".into() } else { said.version.clone() },
            duration(now_ms.saturating_sub(said.boot)),
            format!("{:.0} %", f64::from(said.load.cpu_permille) / 10.0),
            format!("{} of {}", said.peers, said.capacity),
            if said.kind.has_media() { megabits(said.load.egress_bits_s) } else { "-".into() },
            if said.admits { "takes people".into() } else { "drains".into() },
            said.clients.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        ]
    };
    let head = ["NODE", "KIND", "REGION", "VERSION", "UP", "CPU", "PEOPLE", "EGRESS", "STATE", "CLIENTS"];
    let mut rows = vec![head.map(str::to_owned)];
    let mut sorted: Vec<_> = nodes.values().collect();
    sorted.sort_by_key(|said| (&said.region, said.kind.as_str(), &said.node));
    rows.extend(sorted.into_iter().map(row));
    let widths: [usize; 10] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}

fn megabits(bits: u64) -> String {
    format!("{:.1} Mbit/s", bits as f64 / 1e6)
}

/// The two largest units: `3 d 4 h`, `12 min 5 s`.
fn duration(ms: u64) -> String {
    let s = ms / 1_000;
    let units = [(s / 86_400, "d"), (s / 3_600 % 24, "h"), (s / 60 % 60, "min"), (s % 60, "s")];
    let from = units.iter().position(|(number, _)| *number > 0).unwrap_or(3);
    let shown = units[from..].iter().take(2).map(|(number, unit)| format!("{number} {unit}"));
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use protocol::Region;

    use super::*;

    #[test]
    fn each_node_has_a_line_under_its_region() {
        let said = |name: &str, kind, region: &str| {
            let (node, region) = (NodeId::new(name).unwrap(), Region::new(region).unwrap());
            (
                node.clone(),
                Announcement { peers: 3, capacity: 10, ..Announcement::new(node, kind, region, 1_000) },
            )
        };
        let mut nodes = BTreeMap::from([
            said("a-edge", NodeKind::Edge, "us"),
            said("z-edge", NodeKind::Edge, "eu"),
            said("talk", NodeKind::Signaling, "eu"),
        ]);
        nodes.get_mut(&NodeId::new("a-edge").unwrap()).unwrap().admits = false;
        let table = table(&nodes, 3_661_000);
        let lines: Vec<_> = table.lines().collect();
        assert!(lines[0].starts_with("NODE    KIND       REGION  VERSION  UP"), "{table}");
        let names: Vec<_> = lines[1..].iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(names, ["z-edge", "talk", "a-edge"], "{table}");
        assert!(lines[3].contains("drains"), "{table}");
        assert!(table.contains("1 h 1 min") && table.contains("3 of 10"), "{table}");
    }

    #[test]
    fn a_duration_has_its_two_largest_units() {
        assert_eq!([0, 59_000, 60_000, 90_061_000].map(duration), ["0 s", "59 s", "1 min 0 s", "1 d 1 h"]);
    }
}
