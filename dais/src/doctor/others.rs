//! The other parts of the cluster: whether they are heard, whether their clocks agree with this machine's, and whether
//! their links can be reached from here.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use protocol::Region;
use protocol::node::Announcement;
use tokio::task::JoinSet;
use transport::{Credentials, LinkIdentity, Links};

use super::{Finding, Verdict, clock};
use crate::nodes::{as_onlooker, listen};
use crate::options::Cluster;

/// How long a link may take to be there; it gives up itself a little later.
const PATIENCE: Duration = Duration::from_secs(3);

/// Most links that are tried at a time.
const AT_A_TIME: usize = 32;

/// Listens, and dials whoever has links, as the node whose certificate this is.
pub(super) async fn check(
    cluster: &Cluster,
    identity: Option<LinkIdentity>,
    region: &Region,
) -> Vec<Finding> {
    let heard = as_onlooker(cluster, async |bus| Ok((listen(&bus).await?, node::unix_ms()))).await;
    let (nodes, now_ms) = match heard {
        Ok(heard) => heard,
        Err(error) => return vec![Finding::poor(format!("other nodes: {error:#}"))],
    };
    let clocks =
        nodes.values().filter_map(|said| Some(clock::compare(said.node.as_str(), said.clock_ms?, now_ms)));
    let mut findings = gathered(clocks.collect(), "nodes have the same time as this machine");
    let Some(identity) = identity else {
        findings.push(Finding::poor(
            "whether links of other nodes can be reached is not known: give --cert-dir, this node's certificate",
        ));
        return findings;
    };
    let me = identity.remote().map(|remote| remote.node);
    let others = nodes.into_values().filter(|said| said.link.is_some() && Some(&said.node) != me.as_ref());
    let reached = dial(others, identity, region).await;
    findings.extend(gathered(reached, "nodes have links that are reached from here"));
    findings
}

/// One line for all that is well, and one for each that is not.
fn gathered(findings: Vec<Finding>, what: &str) -> Vec<Finding> {
    let all = findings.len();
    let mut gathered: Vec<_> =
        findings.into_iter().filter(|finding| finding.verdict != Verdict::Fine).collect();
    match all - gathered.len() {
        0 => {}
        fine => gathered.insert(0, Finding::fine(format!("{fine} {what}"))),
    }
    gathered
}

async fn dial(
    others: impl Iterator<Item = Announcement>,
    identity: LinkIdentity,
    region: &Region,
) -> Vec<Finding> {
    let credentials = Credentials::from(identity);
    let mut dialling = JoinSet::new();
    let mut findings = Vec::new();
    for said in others {
        if dialling.len() >= AT_A_TIME {
            findings.extend(dialling.join_next().await.and_then(Result::ok));
        }
        dialling.spawn(reach(said.links_from(region), said, credentials.clone()));
    }
    while let Some(finding) = dialling.join_next().await {
        findings.extend(finding.ok());
    }
    findings
}

/// The first of its addresses that leads to it.
async fn reach(addresses: Vec<SocketAddr>, said: Announcement, credentials: Credentials) -> Finding {
    let mut failed = Vec::new();
    for &address in &addresses {
        let any = if address.is_ipv4() { IpAddr::from([0, 0, 0, 0]) } else { Ipv6Addr::UNSPECIFIED.into() };
        let dialled = async {
            let links = Links::bind(SocketAddr::new(any, 0), credentials.clone())
                .map_err(|error| error.to_string())?;
            let link = links.dial(address, &said.node).await.map_err(|error| error.to_string())?;
            link.handle().close("only asked");
            links.close().await;
            Ok::<_, String>(())
        };
        match tokio::time::timeout(PATIENCE, dialled).await {
            Ok(Ok(())) => {
                return Finding::fine(format!("the links of {} are reached at {address}", said.node));
            }
            Ok(Err(error)) => failed.push(format!("{address} ({error})")),
            Err(_) => failed.push(format!("{address} (no answer)")),
        }
    }
    Finding::broken(format!(
        "the links of {} are not reached at {}: let in UDP there, or give that node a --link-ip that leads to it",
        said.node,
        failed.join(" nor ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_well_is_one_line_and_what_is_not_is_named() {
        let findings = vec![Finding::fine("a"), Finding::poor("b is late"), Finding::fine("c")];
        let said: Vec<_> = gathered(findings, "are well").iter().map(ToString::to_string).collect();
        assert_eq!(said, ["ok      2 are well", "look    b is late"]);
        assert!(gathered(Vec::new(), "are well").is_empty());
    }
}
