//! How a Redis server is set, for whoever looks whether rooms are safe there.

use redis::Value;

use super::RedisStore;
use crate::StoreError;

/// What matters to rooms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Condition {
    /// Such as `7.0.15`.
    pub version: String,
    /// What goes where memory runs out: `noeviction` is right. None: it does not say.
    pub eviction: Option<String>,
    /// Whether changes are written to disk at once, or every second. None: it does not say.
    pub appends: Option<bool>,
    /// Whether it is a replica, which cannot be written.
    pub is_replica: bool,
}

impl RedisStore {
    /// Asks how the server is set.
    pub async fn condition(&self) -> Result<Condition, StoreError> {
        let mut info = redis::cmd("INFO");
        info.arg("server").arg("replication");
        let info = text(self.connection.ask(&info).await?);
        let line = |name: &str| {
            info.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(|it| it.trim().to_owned())
        };
        Ok(Condition {
            version: line("redis_version").unwrap_or_default(),
            eviction: self.setting("maxmemory-policy").await,
            appends: self.setting("appendonly").await.map(|is_on| is_on == "yes"),
            is_replica: line("role").is_some_and(|role| role != "master"),
        })
    }

    /// None where it may not be asked, as with many who offer Redis as a service.
    async fn setting(&self, name: &str) -> Option<String> {
        let mut ask = redis::cmd("CONFIG");
        ask.arg("GET").arg(name);
        let answer = self.connection.ask(&ask).await.ok()?;
        let pairs: Vec<(String, String)> = redis::from_redis_value(answer).ok()?;
        pairs.into_iter().next().map(|(_, value)| value)
    }
}

fn text(value: Value) -> String {
    redis::from_redis_value(value).unwrap_or_default()
}
