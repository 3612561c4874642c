//! `dais doctor`: looks at this machine the way `dais up` with the same options would, and says what to
//! do about each thing that is not as it should be.
//!
//! Where parts share servers (`--nats`, `--redis`), it asks those too. It changes nothing. Whatever cannot be found out is said to be unknown, not fine.

mod clock;
mod limits;
mod ports;
mod servers;

use std::fmt;

use protocol::address::is_private;
use service::config::Values;

use crate::failure::Failure;
use crate::options::{Access, Cluster, Media, Missing, Process, Store, Web};
use crate::say;

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    verdict: Verdict,
    /// What it is, and what to do about it.
    says: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// As it should be.
    Fine,
    /// It works, but not for everybody or not for many.
    Poor,
    /// It does not work.
    Broken,
}

impl Finding {
    fn fine(says: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fine, says: says.into() }
    }

    fn poor(says: impl Into<String>) -> Self {
        Self { verdict: Verdict::Poor, says: says.into() }
    }

    fn broken(says: impl Into<String>) -> Self {
        Self { verdict: Verdict::Broken, says: says.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Fine => "ok    ",
            Verdict::Poor => "look  ",
            Verdict::Broken => "broken",
        };
        write!(f, "{verdict}  {}", self.says)
    }
}

/// Prints a line for each thing; fails when something is broken.
pub(crate) fn run(mut values: Values) -> Result<(), Failure> {
    let web = Web::read(&mut values);
    let media = Media::read(&mut values, web.is_local());
    let access = Access::read(&mut values, Missing::Invent);
    let process = Process::read(&mut values);
    let bus = values.has("nats").then(|| Cluster::read(&mut values));
    let store = if values.has("redis") { Store::read(&mut values) } else { None };
    values.check()?;

    let mut findings = ports::check(&web, &process, &media);
    findings.extend(check_keys(&web, &access));
    findings.extend(check_addresses(&web, &media));
    findings.extend(limits::check());
    findings.push(clock::check());
    findings.extend(servers::check(bus.as_ref(), store.as_ref())?);
    findings.iter().for_each(say);
    match findings.iter().filter(|finding| finding.verdict == Verdict::Broken).count() {
        0 => Ok(()),
        broken => Err(anyhow::anyhow!("{broken} of {} checks failed", findings.len()).into()),
    }
}

fn check_keys(web: &Web, access: &Access) -> Option<Finding> {
    match (access.invented, web.is_local()) {
        (false, _) => Some(Finding::fine("there is an API key")),
        (true, true) => None,
        (true, false) => Some(Finding::broken(
            "no API key, and it listens beyond this machine: give --api-key and --api-secret-file",
        )),
    }
}

fn check_addresses(web: &Web, media: &Media) -> Vec<Finding> {
    let told = media.ips.iter().map(|&ip| {
        if web.is_local() || !(is_private(ip) || ip.is_loopback()) {
            Finding::fine(format!("clients are told to send audio to {ip}"))
        } else {
            Finding::poor(format!(
                "clients are told to send audio to {ip}, which the Internet cannot reach: if people come from \
                 there, give the public address as --media-ip"
            ))
        }
    });
    let secure = web.is_local() || web.tls.is_some() || web.has_secure_url();
    let page = (!secure).then(|| {
        Finding::poor(
            "browsers give the microphone only to pages from https or localhost: give --tls-cert and --tls-key, \
             or an https --public-url if a proxy in front does TLS",
        )
    });
    told.chain(page).collect()
}
