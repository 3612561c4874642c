//! What one listener costs the load generator in memory, and the whole server.
//!
//! Two runs of the real program against a real server, the second with twice as many listeners: what
//! resident memory has grown by is theirs, and whatever is there without them falls out.
//!
//! `cargo build --release && cargo bench -p loadgen --bench memory [-- LISTENERS]`

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot start has nobody to tell but the shell")]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// What `dais up` prints once it admits people.
const IS_UP: &str = "Dais is up.";

const KEY: [(&str, &str); 2] =
    [("DAIS_API_KEY", "bench"), ("DAIS_API_SECRET", "a secret for benchmarks alone, long enough")];

fn main() {
    let listeners = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(2_000);
    let server = Server::start();
    let [half, full] = [listeners / 2, listeners].map(|listeners| server.load(listeners));
    let each = |path: &str| (peak(&full, path) - peak(&half, path)) / (listeners - listeners / 2);
    let of = format!("resident memory with {listeners} against {}", listeners / 2);
    println!("memory: generator {} bytes per listener ({of})", each("/load_generator"));
    println!("memory: server {} bytes per listener ({of})", each("/nodes/0"));
}

/// Most memory that a process had, by its place in the report.
fn peak(report: &Value, process: &str) -> i64 {
    report.pointer(process).unwrap()["rss_peak_bytes"].as_i64().unwrap()
}

/// A `dais up` that ends with this value.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start() -> Self {
        // Below the range that the system hands out by itself, and different for each process.
        let port = 20_000 + (std::process::id() % 1_000) as u16 * 10;
        let at = |offset: u16| format!("127.0.0.1:{}", port + offset);
        let mut process = dais()
            .args(["up", "--log", "warn", "--shards", "3", "--listen", &at(0), "--admin", &at(1)])
            .args(["--link", &at(2), "--media", &at(5)])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.as_mut().unwrap()).lines();
        let is_up = said.map_while(Result::ok).any(|line| line.contains(IS_UP));
        assert!(is_up, "the server did not start");
        Self { process, port }
    }

    /// So many listen for some seconds.
    fn load(&self, listeners: i64) -> Value {
        let at = |port: u16| format!("http://127.0.0.1:{port}");
        let output = dais()
            .args(["load", "--json", "--url", &at(self.port), "--metrics", &at(self.port + 1)])
            .args(["--listeners", &listeners.to_string(), "--speakers", "2", "--probes", "0"])
            .args(["--framing", "60", "--ramp", "300", "--duration", "5s"])
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "the load failed");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["listeners"]["joined"], listeners, "everybody is in");
        report
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has nothing to say goodbye to any more; that it has ended already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program under test.
fn dais() -> Command {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/dais");
    let program = std::env::var_os("DAIS_BIN").map_or_else(|| PathBuf::from(built), PathBuf::from);
    assert!(program.exists(), "there is no {}: cargo build --release", program.display());
    let mut command = Command::new(program);
    command.envs(KEY);
    command
}
