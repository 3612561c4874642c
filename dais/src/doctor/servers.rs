//! Whether the servers that parts share are there, and are set so that rooms are safe.

use std::time::Duration;

use cluster::bus::nats::Server;
use cluster::store::Condition;
use cluster::{NatsBus, NatsConfig, RedisStore, Store as _};
use tokio::time::timeout;

use super::{Finding, clock};
use crate::options::{Cluster, Store};

/// How long a server may take to be reached.
const PATIENCE: Duration = Duration::from_secs(3);

/// The oldest Redis that has what the scripts use.
const OLDEST: (u32, u32) = (7, 0);

/// Asks those that were named.
pub(super) async fn check(cluster: Option<&Cluster>, store: Option<&Store>) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if let Some(cluster) = cluster {
        findings.push(bus(cluster.nats.clone()).await);
    }
    if let Some(store) = store {
        let rooms = RedisStore::new(store.url.clone(), &store.prefix, cluster::Limits::default())?;
        findings.extend(match rooms.condition().await {
            Ok(condition) => judge(&condition),
            Err(error) => vec![Finding::broken(format!("{}: {error}", name(store)))],
        });
        if let Ok(theirs) = rooms.time().await {
            findings.push(clock::compare(&name(store), theirs, node::unix_ms()));
        }
    }
    Ok(findings)
}

async fn bus(config: NatsConfig) -> Finding {
    let server = name_of(&config.server);
    let (bus, driver) = NatsBus::new(config);
    let reached = async {
        tokio::select! {
            () = bus.reached() => {}
            never = driver.run() => match never {},
        }
    };
    match timeout(PATIENCE, reached).await {
        Ok(()) => Finding::fine(format!("{server} lets us in")),
        Err(_) => Finding::broken(format!(
            "{server} does not let us in within {PATIENCE:?}: is it there, and are the credentials right?"
        )),
    }
}

fn judge(condition: &Condition) -> Vec<Finding> {
    let Condition { version, eviction, appends, is_replica } = condition;
    let number = |part: Option<&str>| part.and_then(|part| part.parse().ok()).unwrap_or(0);
    let mut parts = version.split('.');
    let is_old = (number(parts.next()), number(parts.next())) < OLDEST;
    let server = match (is_old, is_replica) {
        (true, _) => {
            Finding::broken(format!("Redis {version} is too old: 7.0 or later, or Valkey, is needed"))
        }
        (_, true) => Finding::broken("this Redis is a replica: give the address of the primary"),
        _ => Finding::fine(format!("Redis {version} answers")),
    };
    let eviction = match eviction.as_deref() {
        Some("noeviction") => Finding::fine("Redis refuses rather than forget where memory runs out"),
        Some(policy) => Finding::broken(format!(
            "Redis forgets rooms where memory runs out ({policy}): `CONFIG SET maxmemory-policy noeviction`"
        )),
        None => {
            Finding::poor("what Redis forgets where memory runs out is not known: it must be `noeviction`")
        }
    };
    let appends = match appends {
        Some(true) => Finding::fine("Redis writes what changes to disk"),
        Some(false) => Finding::poor(
            "a restart of Redis forgets all rooms: `CONFIG SET appendonly yes`, and the same in its file",
        ),
        None => Finding::poor("whether Redis writes to disk is not known: `appendonly yes` keeps rooms"),
    };
    vec![server, eviction, appends]
}

fn name(store: &Store) -> String {
    format!("Redis at {}", store.url.host())
}

fn name_of(server: &Server) -> String {
    format!("NATS at {}", server.host())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(condition: &Condition) -> Vec<String> {
        judge(condition).iter().map(|finding| finding.to_string()[..6].trim().to_owned()).collect()
    }

    #[test]
    fn a_redis_that_forgets_rooms_is_broken_and_one_that_does_not_write_deserves_a_look() {
        let good = Condition {
            version: "7.0.15".into(),
            eviction: Some("noeviction".into()),
            appends: Some(true),
            is_replica: false,
        };
        assert_eq!(said(&good), ["ok", "ok", "ok"]);
        let lru = Condition { eviction: Some("allkeys-lru".into()), appends: Some(false), ..good.clone() };
        assert_eq!(said(&lru), ["ok", "broken", "look"]);
        assert_eq!(said(&Condition { version: "6.2.14".into(), ..good.clone() })[0], "broken");
        assert_eq!(said(&Condition { is_replica: true, ..good.clone() })[0], "broken");
        assert_eq!(said(&Condition { eviction: None, appends: None, ..good }), ["ok", "look", "look"]);
    }
}
