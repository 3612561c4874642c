//! What a run was asked for, as the report tells it: enough to run it again, and no secret.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The options of a run by the names that they have on the command line, with units.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Where signaling is: the first of its nodes.
    pub url: String,
    /// All of its nodes.
    #[serde(default)]
    pub urls: Vec<String>,
    /// The network in which the simulated people were, where one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Rooms; listeners and speakers are for each.
    pub rooms: u32,
    /// Listeners of each room, probes included.
    pub listeners: u32,
    /// Speakers of each room.
    pub speakers: u32,
    /// Who speaks when.
    pub talk: String,
    /// Joins per second that were asked for.
    pub ramp: f64,
    /// How long it went on with everybody in.
    pub duration_s: f64,
    /// Listeners leaving, and as many coming, per second.
    pub churn: f64,
    /// Promotions per minute.
    pub promote: f64,
    /// Listeners of each room who kept their hands up.
    #[serde(default)]
    pub hands: u32,
    /// When everybody was cut off, after everybody was in.
    pub reconnect_at_s: Option<f64>,
    /// Datagrams per second that strangers threw.
    #[serde(default)]
    pub garbage: u64,
    /// Listeners that are full peer connections.
    pub probes: u32,
    /// Framing that was asked for; none leaves it to the node.
    pub framing: Option<u8>,
    /// Nodes' metrics that were read.
    pub metrics: Vec<String>,
}

impl Config {
    /// Whether the server is on the generator's own machine, as far as the address tells.
    pub fn is_local(&self) -> bool {
        let host = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        ["127.", "localhost", "[::1]"].iter().any(|local| host.starts_with(local))
    }
}

impl fmt::Display for Config {
    /// The command that does it again, without what is as by default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dais load")?;
        self.urls.iter().try_for_each(|url| write!(f, " --url {url}"))?;
        self.from.iter().try_for_each(|from| write!(f, " --from {from}"))?;
        write!(f, " --listeners {} --speakers {}", self.listeners, self.speakers)?;
        if self.rooms != 1 {
            write!(f, " --rooms {}", self.rooms)?;
        }
        write!(f, " --talk {} --ramp {} --duration {}s", self.talk, self.ramp, self.duration_s)?;
        for (name, value) in [("churn", self.churn), ("promote", self.promote)] {
            if value > 0.0 {
                write!(f, " --{name} {value}")?;
            }
        }
        if self.hands > 0 {
            write!(f, " --hands {}", self.hands)?;
        }
        if let Some(at) = self.reconnect_at_s {
            write!(f, " --reconnect-at {at}s")?;
        }
        if self.garbage > 0 {
            write!(f, " --garbage {}", self.garbage)?;
        }
        write!(f, " --probes {}", self.probes)?;
        if let Some(framing) = self.framing {
            write!(f, " --framing {framing}")?;
        }
        self.metrics.iter().try_for_each(|url| write!(f, " --metrics {url}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_is_the_command_that_does_it_again() {
        let config = Config {
            urls: vec!["http://127.0.0.1:7000".into(), "http://127.0.0.1:7010".into()],
            rooms: 1,
            listeners: 200,
            speakers: 4,
            talk: "turns".into(),
            ramp: 500.0,
            duration_s: 10.0,
            churn: 2.5,
            hands: 7,
            garbage: 50_000,
            probes: 2,
            ..Config::default()
        };
        let again = "dais load --url http://127.0.0.1:7000 --url http://127.0.0.1:7010 --listeners 200 \
                     --speakers 4 --talk turns --ramp 500 --duration 10s --churn 2.5 --hands 7 --garbage 50000 --probes 2";
        assert_eq!(config.to_string(), again);
    }

    #[test]
    fn a_server_on_this_machine_is_known() {
        let local = |url: &str| Config { url: url.into(), ..Config::default() }.is_local();
        assert!(local("http://127.0.0.1:7000") && local("https://localhost") && local("http://[::1]:7000/"));
        assert!(!local("https://halls.example.org"));
    }
}
