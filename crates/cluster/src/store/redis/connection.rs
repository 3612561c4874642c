//! The way to the server: how long is waited, what is tried again, and what its errors mean.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError,
    RedisResult, ScriptInvocation, ServerErrorKind, Value,
};
use tokio::time::{Instant, timeout_at};

use crate::StoreError;

/// How long one try may take: a server that is there answers within a few ms, also across an ocean.
const TRY: Duration = Duration::from_millis(800);

/// How long an operation may take with all its tries.
const ALTOGETHER: Duration = Duration::from_millis(2_500);

/// The same where the server answers that it cannot now: a failover's moment, not how long a mistake in its
/// configuration lasts.
const MOMENT: Duration = Duration::from_millis(800);

/// How long a server that did not answer is left alone: whoever asks meanwhile is told so at once, so that not
/// everybody who waits for a room waits for the server in turn.
const REST: Duration = Duration::from_millis(500);

/// Between two tries, and to a server that cannot be reached.
const PAUSE: Duration = Duration::from_millis(50);

/// Where a server is, and how one is let in: `redis://user:password@host:6379/0`, or `rediss://` for TLS.
#[derive(Clone)]
pub struct RedisUrl(ConnectionInfo);

/// It is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be redis://host:port, or rediss:// for TLS, with user:password@ and /database if need be")]
pub struct NotRedis;

impl RedisUrl {
    /// The host that it names.
    pub fn host(&self) -> &str {
        match self.0.addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
            // A socket of this machine.
            _ => "localhost",
        }
    }
}

impl FromStr for RedisUrl {
    type Err = NotRedis;

    fn from_str(text: &str) -> Result<Self, NotRedis> {
        // The library's error repeats the text, and so perhaps the password.
        text.into_connection_info().map(Self).map_err(|_| NotRedis)
    }
}

/// Without the password.
impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({})", self.host())
    }
}

pub(super) struct Connection {
    client: Client,
    /// Connects when it is first used, and again whenever it was cut.
    manager: Mutex<ConnectionManager>,
    /// It did not answer, and is left alone until then.
    rests: Mutex<Option<Instant>>,
}

#[derive(Clone, Copy)]
enum Ask<'a> {
    Command(&'a Cmd),
    Script(&'a ScriptInvocation<'a>),
}

impl Ask<'_> {
    async fn of(self, mut manager: ConnectionManager) -> RedisResult<Value> {
        match self {
            Self::Command(command) => command.query_async(&mut manager).await,
            Self::Script(script) => script.invoke_async(&mut manager).await,
        }
    }
}

impl Connection {
    pub(super) fn new(url: RedisUrl) -> RedisResult<Self> {
        let client = Client::open(url.0)?;
        let manager = Mutex::new(manage(&client)?);
        Ok(Self { client, manager, rests: Mutex::default() })
    }

    /// Asks something that may be asked twice.
    pub(super) async fn ask(&self, cmd: &Cmd) -> Result<Value, StoreError> {
        self.insist(Ask::Command(cmd)).await
    }

    /// Runs a script that may be run twice: it changes nothing, or sees to it by itself.
    pub(super) async fn run(&self, script: &ScriptInvocation<'_>) -> Result<Value, StoreError> {
        self.insist(Ask::Script(script)).await
    }

    /// The same, with the answer read.
    pub(super) async fn read<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
        what: &str,
    ) -> Result<T, StoreError> {
        let answer = self.run(script).await?;
        redis::from_redis_value(answer).map_err(|error| StoreError::Garbage(format!("{what}: {error}")))
    }

    async fn insist(&self, ask: Ask<'_>) -> Result<Value, StoreError> {
        if lock(&self.rests).is_some_and(|until| Instant::now() < until) {
            return Err(StoreError::Unavailable("it did not answer a moment ago".into()));
        }
        let began = Instant::now();
        loop {
            let manager = lock(&self.manager).clone();
            let until = (began + ALTOGETHER).min(Instant::now() + TRY);
            let (error, answers) = match timeout_at(until, ask.of(manager)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => self.judge(error)?,
                Err(_) => (StoreError::Unavailable("it is silent".into()), false),
            };
            let patience = if answers { MOMENT } else { ALTOGETHER };
            if began.elapsed() + PAUSE >= patience {
                if !answers {
                    *lock(&self.rests) = Some(Instant::now() + REST);
                }
                return Err(error);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// An error after which it is worth asking again is answered, and whether the server answers at all; any other
    /// is returned.
    fn judge(&self, error: RedisError) -> Result<(StoreError, bool), StoreError> {
        let says = StoreError::Unavailable(error.to_string());
        match error.kind() {
            // No longer the primary: whoever is now is found under the same name.
            ErrorKind::Server(ServerErrorKind::ReadOnly) => {
                if let Ok(manager) = manage(&self.client) {
                    *lock(&self.manager) = manager;
                }
                Ok((says, true))
            }
            ErrorKind::Server(ServerErrorKind::BusyLoading | ServerErrorKind::TryAgain) => Ok((says, true)),
            ErrorKind::Io => Ok((says, false)),
            // A value of another type under a key of ours; out of a script it comes in words.
            _ if error.to_string().contains("WRONGTYPE") => {
                tracing::error!(%error, "the store holds what is no part of a room");
                Err(StoreError::Garbage(error.to_string()))
            }
            // Out of memory, cannot write to disk, refused: it says so at once, and again the next time.
            _ => Err(says),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn manage(client: &Client) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(TRY))
        .set_response_timeout(Some(TRY))
        .set_number_of_retries(1)
        .set_min_delay(PAUSE)
        .set_max_delay(PAUSE);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}
