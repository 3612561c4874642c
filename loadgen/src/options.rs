//! What a run is asked for. The words are those of `dais load --help`.

use std::path::PathBuf;
use std::time::Duration;

use protocol::token::Keys;

pub use crate::home::Home;
pub use crate::target::{MAX_URLS, Url, UrlError};

/// What a run is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The signaling nodes: people are spread over them, and go to the next where theirs does not answer.
    pub urls: Vec<Url>,
    /// The network in which the simulated people live; none: towards loopback 127.0.0.0/8, else this machine's address.
    pub home: Option<Home>,
    /// Name of the API key that signs tokens.
    pub signer: String,
    /// The keys.
    pub keys: Keys,
    /// Rooms; `listeners` and `speakers` are for each.
    pub rooms: u32,
    /// Listeners of each room, probes included.
    pub listeners: u32,
    /// Speakers of each room; the first of them is its host.
    pub speakers: u32,
    /// Who speaks when.
    pub talk: crate::talk::Pattern,
    /// Joins per second.
    pub ramp: f64,
    /// How long the run goes on once everybody is in.
    pub duration: Duration,
    /// Listeners who leave, and as many who come, per second.
    pub churn: f64,
    /// Promotions per minute, in all rooms together.
    pub promote: f64,
    /// Listeners of each room who raise their hands once everybody is in, and keep them up.
    pub hands: u32,
    /// So long after everybody is in, all listeners are cut and come back at once.
    pub reconnect_at: Option<Duration>,
    /// Datagrams per second that strangers throw at the nodes' media ports once everybody is in.
    pub garbage: u64,
    /// Listeners that are full peer connections of the `webrtc` crate.
    pub probes: u32,
    /// Framing in ms that listeners ask for; none leaves it to the node.
    pub framing: Option<u8>,
    /// `/metrics` of the nodes that may be read.
    pub metrics: Vec<String>,
    /// Threads with a UDP socket each for the listeners; 0 chooses.
    pub threads: usize,
    /// Conditions such as `first_audio_ms.p99<1000`, checked by the report.
    pub require: Vec<crate::require::Requirement>,
    /// Where `report.html` and `report.json` go.
    pub report: Option<PathBuf>,
    /// `report.json` on stdout in place of the table.
    pub json: bool,
}
