//! Real servers for tests: each test starts its own on a free port, and may kill, stop and restart it.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ports that are tried: between finding a free one and using it somebody else may take it.
const TRIES: u32 = 10;

/// A server in a directory of its own; both are gone when this is dropped.
pub struct Server {
    kind: Kind,
    directory: PathBuf,
    address: SocketAddr,
    process: Child,
    /// How far its clock is ahead.
    ahead_ms: i64,
}

/// Gives a process another time than the machine's.
const CLOCK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/contract/clock.c");

/// How a kind of server is started.
#[derive(Clone)]
struct Kind {
    program: &'static str,
    /// The Debian package that brings it.
    package: &'static str,
    /// What it is told, in its directory.
    config: String,
    args: fn(&Path, SocketAddr) -> Vec<String>,
    /// Its clock can be changed.
    is_fake: bool,
}

impl Server {
    /// NATS, configured as we recommend it.
    pub fn nats() -> Self {
        Self::nats_with("")
    }

    /// The same with more lines of configuration.
    pub fn nats_with(more: &str) -> Self {
        let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/nats.conf");
        let config = fs::read_to_string(ours).unwrap() + more;
        let args = |file: &Path, at: SocketAddr| {
            let words =
                ["-c", &file.to_string_lossy(), "-a", &at.ip().to_string(), "-p", &at.port().to_string()];
            words.map(str::to_owned).into()
        };
        Self::start(Kind { program: "nats-server", package: "nats-server", config, args, is_fake: false })
    }

    /// Redis, with a clock that can be [advanced](Self::advance). What it keeps outlives a
    /// [`kill`](Self::kill).
    pub fn redis() -> Self {
        let config = "appendonly yes\nappendfsync always\nsave \"\"\n".to_owned();
        let args = |file: &Path, at: SocketAddr| {
            let port = at.port().to_string();
            let words = [&*file.to_string_lossy(), "--bind", &at.ip().to_string(), "--port", &port]
                .map(str::to_owned);
            words.into()
        };
        let kind = Kind { program: "redis-server", package: "redis-server", config, args, is_fake: true };
        Self::start(kind)
    }

    /// Puts a server's clock so much further forward (below 0: back), in ms.
    pub fn advance(&mut self, ms: i64) {
        self.ahead_ms += ms;
        tell_time(&self.directory, self.ahead_ms);
    }

    fn start(kind: Kind) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("dais-{}-{}-{}", kind.program, std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        tell_time(&directory, 0);
        for _ in 0..TRIES {
            let address = free();
            if let Some(process) = kind.run(&directory, address) {
                return Self { kind, directory, address, process, ahead_ms: 0 };
            }
        }
        let log = fs::read_to_string(directory.join("log")).unwrap();
        panic!("{} does not start:\n{log}", kind.program)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it without a word (SIGKILL).
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again, after [`kill`](Self::kill), where it was before.
    pub fn restart(&mut self) {
        self.restart_with(&self.kind.config.clone());
    }

    /// The same with another configuration.
    pub fn restart_with(&mut self, config: &str) {
        self.kind.config = config.into();
        self.process = self.kind.run(&self.directory, self.address).expect("the port is still free");
    }

    /// Has it do nothing any more, with all its connections open (SIGSTOP).
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on, after [`stop`](Self::stop).
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
        let _left = fs::remove_dir_all(&self.directory);
    }
}

impl Kind {
    /// Starts a process and waits until it answers; none if it ended instead.
    fn run(&self, directory: &Path, address: SocketAddr) -> Option<Child> {
        let file = directory.join("config");
        fs::File::create(&file).unwrap().write_all(self.config.as_bytes()).unwrap();
        let log = fs::File::create(directory.join("log")).unwrap();
        let mut command = Command::new(self.program);
        if self.is_fake {
            command.env("LD_PRELOAD", clock()).env("CLOCK_AHEAD_FILE", time_of(directory));
        }
        let started = command
            .args((self.args)(&file, address))
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        let mut process = started.unwrap_or_else(|error| {
            panic!("{}: {error}; `apt-get install {}` brings it", self.program, self.package)
        });
        let since = Instant::now();
        while TcpStream::connect(address).is_err() {
            if process.try_wait().unwrap().is_some() {
                return None;
            }
            if since.elapsed() > PATIENCE {
                let _gone = process.kill();
                panic!("{} does not answer on {address}", self.program);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(process)
    }
}

fn time_of(directory: &Path) -> PathBuf {
    directory.join("ahead_ms")
}

/// Mapped by the server: written in place.
fn tell_time(directory: &Path, ahead_ms: i64) {
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(time_of(directory));
    file.unwrap().write_all(&ahead_ms.to_ne_bytes()).unwrap();
}

/// What is preloaded, made once for this process.
fn clock() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let library = std::env::temp_dir().join(format!("dais-clock-{}.so", std::process::id()));
        let made =
            Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(CLOCK).status();
        let made = made.unwrap_or_else(|error| panic!("cc: {error}; `apt-get install gcc` brings it"));
        assert!(made.success(), "{CLOCK} cannot be compiled");
        library
    })
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
