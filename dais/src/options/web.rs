//! Where signaling listens, under which name people know it, and what it bounds.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::token::Ttl;
use service::config::Values;
use service::http::Tls;
use signaling::{Cidr, HeaderName, Limits, Origin, Origins, Spill, SpillOrder};

/// HTTP and WebSocket.
#[derive(Debug)]
pub(crate) struct Web {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// What people type, if that is not the address.
    pub(crate) public_url: Option<PublicUrl>,
    /// HTTPS.
    pub(crate) tls: Option<Tls>,
    /// Whose pages may use it.
    pub(crate) allow_origins: Origins,
    /// Whose X-Forwarded-For is believed.
    pub(crate) trusted_proxies: Vec<Cidr>,
    /// Where listeners of a full region go.
    pub(crate) spill: Spill,
    /// Where a trusted proxy says which region a request comes from.
    pub(crate) region_header: Option<HeaderName>,
    /// Over how long people go to other nodes when it is to stop.
    pub(crate) drain: Duration,
    /// What is bounded.
    pub(crate) limits: Limits,
}

impl Web {
    pub(crate) fn read(values: &mut Values) -> Self {
        Self {
            listen: values.or("listen", SocketAddr::from(([127, 0, 0, 1], 7000))),
            public_url: values.one("public-url"),
            tls: read_tls(values),
            allow_origins: values.many::<Origin>("allow-origin").into(),
            trusted_proxies: values.many("trusted-proxy"),
            spill: values.many::<SpillOrder>("spill").into_iter().collect(),
            region_header: values.one("region-header"),
            drain: Duration::from_secs(values.or("drain", Ttl(30)).0),
            limits: read_limits(values),
        }
    }

    /// What its store of rooms takes.
    pub(crate) fn store_limits(&self) -> cluster::Limits {
        cluster::Limits { rooms: self.limits.rooms, participants: self.limits.room_participants }
    }

    /// Whether only this machine can reach it.
    pub(crate) fn is_local(&self) -> bool {
        self.listen.ip().is_loopback()
    }

    /// Whether people reach it by https although it does not speak TLS itself.
    pub(crate) fn has_secure_url(&self) -> bool {
        self.public_url.as_ref().is_some_and(PublicUrl::is_secure)
    }
}

/// `https://example.org` or with a port: a web origin without a path, because the page names its
/// files from the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicUrl(String);

impl FromStr for PublicUrl {
    type Err = signaling::NotOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<Origin>().map(|_| Self(text.trim_end_matches('/').into()))
    }
}

impl PublicUrl {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn is_secure(&self) -> bool {
        self.0.starts_with("https://")
    }
}

fn read_tls(values: &mut Values) -> Option<Tls> {
    let cert = values.one::<PathBuf>("tls-cert");
    let key = values.one::<PathBuf>("tls-key");
    for (name, file) in [("tls-cert", &cert), ("tls-key", &key)] {
        if let Some(Err(error)) = file.as_ref().map(std::fs::File::open) {
            values.wrong(name, error);
        }
    }
    match (cert, key) {
        (Some(cert), Some(key)) => Some(Tls { cert, key }),
        (Some(_), None) => {
            values.wrong("tls-cert", "needs --tls-key too");
            None
        }
        (None, Some(_)) => {
            values.wrong("tls-key", "needs --tls-cert too");
            None
        }
        (None, None) => None,
    }
}

/// Limits carry their names from `signaling::Limits`, so that an error that names one names
/// what can be changed.
fn read_limits(values: &mut Values) -> Limits {
    let mut table = toml::Table::new();
    for pair in values.many::<String>("limit") {
        match pair.split_once('=').map(|(name, number)| (name.trim(), number.trim().parse::<u32>())) {
            Some((name, Ok(number))) => drop(table.insert(name.replace('-', "_"), i64::from(number).into())),
            _ => values.wrong("limit", format_args!("{pair:?} must be written name=number")),
        }
    }
    table.try_into().unwrap_or_else(|error: toml::de::Error| {
        values.wrong("limit", error.message());
        Limits::default()
    })
}
