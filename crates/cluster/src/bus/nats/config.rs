//! Where the server is, who we are to it, and which subjects are ours.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use async_nats::{Auth, ServerAddr};
use nkeys::KeyPair;
use percent_encoding::percent_decode_str;

/// What a bus over NATS is told.
#[derive(Debug, Clone)]
pub struct NatsConfig {
    /// Where the server is.
    pub server: Server,
    /// Who we are; none: what the URL says, if anything.
    pub credentials: Option<Credentials>,
    /// Before all subjects.
    pub prefix: Prefix,
}

/// `nats://` or `tls://`, perhaps with `user:password@` or `token@`. Shown without them.
#[derive(Clone, PartialEq, Eq)]
pub struct Server(ServerAddr);

/// What a user of NATS has in a file: a seed, or a JWT with its seed.
#[derive(Clone)]
pub struct Credentials {
    jwt: Option<String>,
    key: Arc<KeyPair>,
}

/// The first token of all subjects: several systems can share a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

/// Why a text is not one of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotNats {
    /// Not a URL of a server.
    #[error("must be nats://host:port or tls://host:port, with user:password@ or token@ if need be: {0}")]
    Url(String),
    /// Not a token of a subject.
    #[error("must be 1 to 64 characters of a-z A-Z 0-9 _ -")]
    Prefix,
}

impl Server {
    /// The host as it was given.
    pub fn host(&self) -> &str {
        self.0.host()
    }

    pub(super) fn address(&self) -> ServerAddr {
        self.0.clone()
    }

    /// A name without a password is a token.
    fn auth(&self) -> Auth {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (name, password) = (self.0.username().map(decode), self.0.password().map(decode));
        let mut auth = Auth::new();
        if password.is_some() {
            (auth.username, auth.password) = (name, password);
        } else {
            auth.token = name;
        }
        auth
    }
}

impl Default for Server {
    fn default() -> Self {
        "nats://127.0.0.1:4222".parse().expect("a literal")
    }
}

impl FromStr for Server {
    type Err = NotNats;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The error must not repeat the text: there may be a password in it.
        let address: ServerAddr = text.parse().map_err(|_| NotNats::Url("it cannot be read".into()))?;
        match address.scheme() {
            "nats" | "tls" if !address.host().is_empty() => Ok(Self(address)),
            "nats" | "tls" => Err(NotNats::Url("there is no host".into())),
            other => Err(NotNats::Url(format!("{other}:// is not known"))),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.0.scheme(), self.0.host(), self.0.port())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Credentials {
    /// Reads a credentials file, or a file with nothing but a seed.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        std::fs::read_to_string(file)?.parse()
    }

    pub(super) fn sign(&self, nonce: &[u8]) -> Result<Auth, nkeys::error::Error> {
        let mut auth = Auth::new();
        auth.signature = Some(self.key.sign(nonce)?);
        match &self.jwt {
            Some(jwt) => auth.jwt = Some(jwt.clone()),
            None => auth.nkey = Some(self.key.public_key()),
        }
        Ok(auth)
    }
}

impl FromStr for Credentials {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
        let behind = |title: &str| lines().skip_while(|line| !line.contains(title)).nth(1);
        let jwt = behind("BEGIN NATS USER JWT").map(str::to_owned);
        let seed = match behind("BEGIN USER NKEY SEED") {
            Some(seed) => seed,
            None if jwt.is_some() => bail!("there is a JWT, and no seed behind it"),
            None => {
                ensure!(lines().count() == 1, "neither a credentials file nor one line with a seed");
                lines().next().unwrap_or_default()
            }
        };
        // Its own error may repeat what it was given.
        let key = KeyPair::from_seed(seed).ok().context("the seed cannot be read: it begins with SU")?;
        Ok(Self { jwt, key: Arc::new(key) })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Prefix {
    /// A subject as the server knows it.
    pub(super) fn subject(&self, subject: &str) -> String {
        format!("{}.{subject}", self.0)
    }

    /// A subject as everybody here knows it, if it is ours.
    pub(super) fn strip<'a>(&self, subject: &'a str) -> Option<&'a str> {
        subject.strip_prefix(&self.0)?.strip_prefix('.')
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("dais".into())
    }
}

impl FromStr for Prefix {
    type Err = NotNats;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        let is_prefix = (1..=64).contains(&text.len()) && text.bytes().all(legal);
        if is_prefix { Ok(Self(text.into())) } else { Err(NotNats::Prefix) }
    }
}

impl NatsConfig {
    /// What the server is shown; it may ask for a signature of its `nonce`.
    pub(super) fn auth(&self, nonce: &[u8]) -> Result<Auth, nkeys::error::Error> {
        match &self.credentials {
            Some(credentials) => credentials.sign(nonce),
            None => Ok(self.server.auth()),
        }
    }
}
