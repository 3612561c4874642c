//! `dais health`: asks a process of this machine how it is. For containers, which have nothing else to ask with.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, ensure};
use service::config::Values;

use crate::failure::Failure;
use crate::options::Process;

/// How long each step may take. A process that lives answers in a millisecond.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest answer that is read.
const MAX_ANSWER: u64 = 4_096;

/// Succeeds when the process lives; with `--ready`, when it also admits newcomers.
pub(crate) fn run(mut values: Values) -> Result<(), Failure> {
    let admin = reachable(Process::read(&mut values).admin);
    let path = if values.or("ready", false) { "/ready" } else { "/health" };
    values.check()?;
    let answer = ask(admin, path).with_context(|| format!("http://{admin}{path}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(anyhow::anyhow!("{}", body.trim_end()).into());
    }
    crate::say(body.trim_end());
    Ok(())
}

/// Whoever listens on all addresses listens on this machine's own.
fn reachable(admin: SocketAddr) -> SocketAddr {
    let ip = match admin.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, admin.port())
}

fn ask(admin: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    ensure!(!answer.is_empty(), "no answer");
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_listens_everywhere_is_asked_on_loopback() {
        for (admin, asked) in
            [("0.0.0.0:7001", "127.0.0.1:7001"), ("[::]:1", "[::1]:1"), ("10.0.0.9:7001", "10.0.0.9:7001")]
        {
            assert_eq!(reachable(admin.parse().unwrap()).to_string(), asked);
        }
    }
}
