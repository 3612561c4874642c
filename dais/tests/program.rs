//! The program as somebody at a shell meets it: what it prints, how it ends, and with which status.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use cluster::contract::servers::Server;
use cluster::{Bus, NatsBus, NatsConfig};
use rustix::process::{Pid, Signal, kill_process};

const SECRET: &str = "a secret for tests alone, of 32 bytes or more";

fn dais(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dais"));
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = dais(args).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A `dais up` on ports that it finds itself.
struct Up {
    process: Child,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Up {
    fn start(args: &[&str]) -> Self {
        let ports = ["--listen", "--admin", "--media", "--link"].map(|name| format!("{name}=127.0.0.1:0"));
        let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
        // The bare name is `up`.
        let mut process = dais(&[&ports, args].concat()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, stdout }
    }

    /// The rest of the first line that begins with this.
    fn said(&mut self, start: &str) -> String {
        let mut found = self
            .stdout
            .by_ref()
            .map(Result::unwrap)
            .filter_map(|line| line.trim().strip_prefix(start).map(|rest| rest.trim().to_owned()));
        found.next().unwrap_or_else(|| panic!("never said {start:?}"))
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn all_mistakes_come_at_once_with_status_64() {
    let args =
        ["up", "--listen", "here", "--framing", "30", "--nope", "--nats", "nats://x", "--api-key", "k"];
    let (status, stdout, stderr) = run(&args);
    assert_eq!((status, stdout.as_str()), (Some(64), ""));
    for part in
        ["--listen: ", "--framing: must be 20, 60 or auto", "--nope: no such", "--nats: ", "--api-key: needs"]
    {
        assert!(stderr.contains(part), "{part} is missing in\n{stderr}");
    }
}

#[test]
fn beyond_this_machine_it_wants_a_key() {
    let (status, _, stderr) = run(&["--listen", "0.0.0.0:0"]);
    assert_eq!(status, Some(64));
    assert!(stderr.contains("--api-key: is needed where it listens beyond this machine"), "{stderr}");
}

#[test]
fn a_token_says_what_was_asked_for() {
    let args = ["token", "--room", "hall", "--role", "host", "--identity", "anna", "--ttl", "2h"];
    let (status, stdout, _) = run(&[&args[..], &["--api-key", "k", "--api-secret", SECRET]].concat());
    assert_eq!(status, Some(0));
    let mut keys = protocol::token::Keys::default();
    keys.add("k", SECRET.as_bytes()).unwrap();
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = keys.verify(stdout.trim(), now_s).unwrap();
    assert_eq!(claims.sub.unwrap().as_str(), "anna");
    assert_eq!(claims.role, protocol::token::Role::Host);
    assert!((7_100..=7_200).contains(&(claims.exp - now_s)));
}

#[test]
fn a_port_in_use_ends_it_with_the_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, _, stderr) = run(&["up", "--admin", &address]);
    assert_eq!(status, Some(1));
    assert!(stderr.contains(&format!("cannot listen on {address}")), "{stderr}");
}

#[test]
fn doctor_finds_a_port_that_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, stdout, stderr) = run(&["doctor", "--listen", &address]);
    assert_eq!(status, Some(1), "{stderr}");
    assert!(stdout.lines().any(|line| line.starts_with("broken") && line.contains(&address)), "{stdout}");
}

#[test]
fn doctor_finds_a_redis_in_which_rooms_are_not_safe() {
    let mut redis = Server::redis();
    let url = format!("redis://{}", redis.address());
    let says = |what: &str| {
        let (_, stdout, stderr) = run(&["doctor", "--redis", &url]);
        let line = stdout.lines().find(|line| line.contains(what));
        line.map(str::to_owned).unwrap_or_else(|| panic!("{stdout}{stderr}"))
    };
    assert!(says("where memory runs out").starts_with("ok"));
    assert!(says("to disk").starts_with("ok"));
    redis.kill();
    assert!(says("Redis at").starts_with("broken"));
    redis.restart_with("maxmemory-policy allkeys-lru\nappendonly no\nsave \"\"\n");
    assert!(says("maxmemory-policy noeviction").starts_with("broken"));
    assert!(says("appendonly yes").starts_with("look"));
}

#[tokio::test]
async fn up_prints_links_that_open_and_ends_well_when_asked() {
    let mut up = Up::start(&[]);
    let page = up.said("The stage page");
    assert!(reqwest::get(&page).await.unwrap().text().await.unwrap().contains("<!doctype html>"));
    let (host, listener) = (up.said("For the host"), up.said("For listeners"));
    for link in [host, listener] {
        assert!(link.starts_with(&format!("{page}#token=")), "{link}");
    }
    up.signal(Signal::TERM);
    assert_eq!(up.process.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_part_waits_for_its_bus_becomes_ready_counts_and_drains() {
    let mut nats = Server::nats();
    nats.kill();
    let admin = free_port();
    let mut part = dais(&["edge", "--media=127.0.0.1:0", "--node=edge-9"])
        .arg(format!("--admin=127.0.0.1:{admin}"))
        .arg(format!("--nats=nats://{}", nats.address()))
        .spawn()
        .unwrap();
    let ask = async |what| reqwest::get(format!("http://127.0.0.1:{admin}/{what}")).await;
    while !ask("health").await.is_ok_and(|answer| answer.status() == 200) {
        assert!(part.try_wait().unwrap().is_none(), "it ended");
    }
    let waits = ask("ready").await.unwrap();
    assert_eq!(waits.status(), 503);
    assert_eq!(waits.text().await.unwrap(), "not ready: bus, edge-9\n");
    nats.restart();
    while ask("ready").await.unwrap().status() != 200 {
        assert!(part.try_wait().unwrap().is_none(), "it ended");
    }
    // Whoever speaks on NATS without the cluster's key is counted.
    let server = format!("nats://{}", nats.address()).parse().unwrap();
    let config = NatsConfig { server, credentials: None, prefix: Default::default() };
    let (stranger, driver) = NatsBus::new(config);
    let driving = tokio::spawn(driver.run());
    stranger.reached().await;
    let close = r#"{"type":"close","room":"hall","epoch":7}"#;
    stranger.publish("node.edge-9", close.into()).await.unwrap();
    let shows = async |line| ask("metrics").await.unwrap().text().await.unwrap().contains(line);
    while !shows(r#"dais_bad_input_total{node="edge-9",region="local",what="bus_forged"} 1"#).await {}
    driving.abort();
    // An outage is everybody's: it is shown, and nobody is taken out of service for it.
    nats.kill();
    while !shows(r#"dais_bus_up{node="edge-9",region="local"} 0"#).await {}
    assert_eq!(ask("ready").await.unwrap().status(), 200);
    let metrics = ask("metrics").await.unwrap().text().await.unwrap();
    let listeners = r#"dais_edge_listeners{node="edge-9",region="local"} 0"#;
    assert!(metrics.contains("dais_build_info{") && metrics.contains(listeners), "{metrics}");
    assert_eq!(ask("anything-else").await.unwrap().status(), 404);
    kill_process(Pid::from_child(&part), Signal::TERM).unwrap();
    assert_eq!(part.wait().unwrap().code(), Some(0));
}

/// Nobody else asks for it in the moment that it takes to start.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
