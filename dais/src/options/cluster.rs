//! How parts in different processes find and believe each other.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use cluster::bus::nats::{Credentials, Server};
use cluster::{NatsConfig, RedisUrl};
use protocol::NodeId;
use protocol::envelope::Keys;
use service::config::Values;
use transport::{Authority, AuthorityError};

use crate::followed::Followed;

/// Shortest key, in bytes.
const SHORTEST: usize = 32;

/// The key of parts that only this machine can reach: whoever is on it could speak on the bus as well.
const LOOPBACK: &[u8] = b"every process on this machine may link to every other one";

/// The bus, and what everybody who belongs to the cluster knows.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Where the bus is.
    pub(crate) nats: NatsConfig,
    key: Option<ClusterKey>,
    /// Where that comes from, if it is a file.
    pub(crate) key_file: Option<Followed<1>>,
}

/// A secret that all parts share; while it changes, two.
pub(crate) struct ClusterKey {
    /// Signs, and is believed.
    signs: String,
    /// Is believed.
    other: Option<String>,
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(…)")
    }
}

impl ClusterKey {
    /// From a file, which has one in each line.
    pub(crate) fn from_lines(text: &str) -> Result<Self, String> {
        Self::of(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    fn of(keys: Vec<String>) -> Result<Self, String> {
        if let Some(short) = keys.iter().find(|key| key.len() < SHORTEST) {
            let bytes = short.len();
            return Err(format!(
                "{bytes} bytes are too few, {SHORTEST} are needed: `openssl rand -base64 32`"
            ));
        }
        let mut keys = keys.into_iter();
        match (keys.next(), keys.next(), keys.next()) {
            (None, ..) => Err("there is no key in it".into()),
            (Some(signs), other, None) => Ok(Self { signs, other }),
            _ => Err("two at most: the one that signs, and one that is believed too".into()),
        }
    }

    /// Signs what is said on the bus.
    pub(crate) fn keys(&self) -> Keys {
        let keys = Keys::new(self.signs.as_bytes());
        match self.other() {
            Some(other) => keys.and_believes(other),
            None => keys,
        }
    }

    fn other(&self) -> Option<&[u8]> {
        self.other.as_deref().map(str::as_bytes)
    }
}

impl Cluster {
    pub(crate) fn read(values: &mut Values) -> Self {
        if !values.has("nats") {
            values.wrong("nats", "is needed: a part finds the others by it; `dais up` is a whole system");
        }
        let nats = NatsConfig {
            server: values.or("nats", Server::default()),
            credentials: read_credentials(values),
            prefix: values.or("nats-prefix", Default::default()),
        };
        let key_file = values.one::<PathBuf>("cluster-key-file").map(|file| Followed::new([file]));
        Self { nats, key: read_key(values, key_file.as_ref()), key_file }
    }

    /// Whether the bus can be reached from this machine only, as far as its address says.
    pub(crate) fn is_local(&self) -> bool {
        is_loopback(self.nats.server.host())
    }

    /// Writes down that a part others reach from elsewhere, which is not `local`, needs a key.
    pub(crate) fn check(&self, values: &mut Values, local: bool) {
        if self.key.is_none() && !local && !given(values) {
            let why = "is needed where not everything is on loopback, the same for all parts";
            values.wrong("cluster-key", format_args!("{why} (make one with `openssl rand -base64 32`)"));
        }
    }

    /// Signs the links of all nodes of the cluster.
    pub(crate) fn authority(&self) -> Result<Authority, AuthorityError> {
        let authority = Authority::of_cluster(self.signs())?;
        match self.key.as_ref().and_then(ClusterKey::other) {
            Some(other) => authority.and_believes(other),
            None => Ok(authority),
        }
    }

    /// Signs what is said on the bus.
    pub(crate) fn keys(&self) -> Keys {
        self.key.as_ref().map_or_else(|| Keys::new(LOOPBACK), ClusterKey::keys)
    }

    fn signs(&self) -> &[u8] {
        self.key.as_ref().map_or(LOOPBACK, |key| key.signs.as_bytes())
    }
}

/// Where signaling nodes keep the rooms.
#[derive(Debug)]
pub(crate) struct Store {
    /// Its server.
    pub(crate) url: RedisUrl,
    /// What its keys begin with.
    pub(crate) prefix: String,
}

impl Store {
    /// None where something is wrong, which is written down.
    pub(crate) fn read(values: &mut Values) -> Option<Self> {
        if !values.has("redis") {
            let why = "is needed: signaling nodes keep the rooms there; `dais up` keeps them in memory";
            values.wrong("redis", why);
        }
        let prefix = values.one::<NodeId>("redis-prefix").map_or("dais".into(), |name| name.to_string());
        Some(Self { url: values.one("redis")?, prefix })
    }

    /// Whether it can be reached from this machine only, as far as its address says.
    pub(crate) fn is_local(&self) -> bool {
        is_loopback(self.url.host())
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn read_credentials(values: &mut Values) -> Option<Credentials> {
    let file = values.one::<PathBuf>("nats-creds")?;
    match Credentials::read(&file) {
        Ok(credentials) => Some(credentials),
        Err(error) => {
            values.wrong("nats-creds", format_args!("{}: {error:#}", file.display()));
            None
        }
    }
}

fn read_key(values: &mut Values, file: Option<&Followed<1>>) -> Option<ClusterKey> {
    let given = values.many::<String>("cluster-key");
    let (name, key) = match file {
        Some(_) if !given.is_empty() => {
            ("cluster-key-file", Err("give the key or its file, not both".into()))
        }
        Some(file) => ("cluster-key-file", key_in(file)),
        None if given.is_empty() => return None,
        None => ("cluster-key", ClusterKey::of(given)),
    };
    key.map_err(|says| values.wrong(name, says)).ok()
}

/// What a file says now.
pub(crate) fn key_in(file: &Followed<1>) -> Result<ClusterKey, String> {
    let [text] = file.contents().map_err(|error| error.to_string())?;
    let [path] = file.paths().map(Path::display);
    ClusterKey::from_lines(&String::from_utf8_lossy(text)).map_err(|says| format!("{path}: {says}"))
}

/// Whether somebody gave a key, however bad.
fn given(values: &Values) -> bool {
    values.has("cluster-key") || values.has("cluster-key-file")
}
