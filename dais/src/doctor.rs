//! `dais doctor`: looks at this machine the way `dais up`, or the part that is named, with the same options would, and
//! says what to do about each thing that is not as it should be.
//!
//! Where parts share servers (`--nats`, `--redis`), it asks those too, and the other parts. It changes nothing. Whatever
//! cannot be found out is said to be unknown, not fine.

mod certificate;
mod clock;
mod firewall;
mod limits;
mod others;
mod ports;
mod servers;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use protocol::address::is_private;
use protocol::node::NodeKind;
use service::config::Values;

use crate::failure::Failure;
use crate::options::{Access, Cluster, Media, Missing, Place, Process, Store, Web};
use crate::say;
use ports::Ports;

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
    let part = values.or("part", Part::Up);
    let web = Web::read(&mut values);
    let cluster = (part != Part::Up || values.has("nats")).then(|| Cluster::read(&mut values));
    let media = match &cluster {
        Some(cluster) if part != Part::Up => Media::of_part(&mut values, cluster.is_local()),
        _ => Media::read(&mut values, web.is_local()),
    };
    let access = Access::read(&mut values, Missing::Invent);
    let process = Process::read(&mut values);
    let region = Place::read(&mut values, NodeKind::Edge).region;
    let certificates = values.one::<PathBuf>("cert-dir");
    let store = if values.has("redis") { Store::read(&mut values) } else { None };
    values.check()?;

    let ports = Ports::of(part, &web, &process, &media);
    let mut findings = ports.check();
    if part.has_people() {
        findings.extend(check_keys(&web, &access));
        findings.extend(check_page(&web));
    }
    if part.has_media() {
        findings.extend(check_addresses(&media));
    }
    findings.extend(limits::check());
    findings.push(clock::check());
    let identity = certificates.map(|directory| certificate::check(&directory));
    let (identity, finding) = identity.unzip();
    findings.extend(finding);
    let asked = async {
        let mut findings = servers::check(cluster.as_ref(), store.as_ref()).await?;
        if let Some(cluster) = &cluster {
            findings.extend(others::check(cluster, identity.flatten(), &region).await);
        }
        anyhow::Ok(findings)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    findings.extend(runtime.map_err(anyhow::Error::from)?.block_on(asked)?);
    findings.iter().for_each(say);
    firewall::lines(&ports).iter().for_each(say);
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

fn check_addresses(media: &Media) -> Vec<Finding> {
    let told = media.ips.iter().map(|&ip| {
        if media.local || !(is_private(ip) || ip.is_loopback()) {
            Finding::fine(format!("clients are told to send audio to {ip}"))
        } else {
            Finding::poor(format!(
                "clients are told to send audio to {ip}, which the Internet cannot reach: if people come from \
                 there, give the public address as --media-ip"
            ))
        }
    });
    told.collect()
}

fn check_page(web: &Web) -> Option<Finding> {
    let secure = web.is_local() || web.tls.is_some() || web.has_secure_url();
    (!secure).then(|| {
        Finding::poor(
            "browsers give the microphone only to pages from https or localhost: give --tls-cert and --tls-key, \
             or an https --public-url if a proxy in front does TLS",
        )
    })
}

/// Whose options these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Up,
    Origin,
    Edge,
    Signaling,
}

impl Part {
    fn has_people(self) -> bool {
        matches!(self, Self::Up | Self::Signaling)
    }

    fn has_media(self) -> bool {
        self != Self::Signaling
    }
}

impl FromStr for Part {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "up" => Ok(Self::Up),
            "origin" => Ok(Self::Origin),
            "edge" => Ok(Self::Edge),
            "signaling" => Ok(Self::Signaling),
            _ => Err("must be up, origin, edge or signaling"),
        }
    }
}
