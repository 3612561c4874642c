//! What `dais up` prints once everything runs: where to go, with which link, and what to mind.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use protocol::RoomId;
use protocol::address::is_private;

use crate::addresses;
use crate::options::{Access, Media, Web};
use crate::token;

/// Room that the links open.
const ROOM: &str = "town-hall";

/// Validity of the links: long enough for an event and its rehearsal.
const LINKS_HOURS: u64 = 24;

/// The text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Welcome {
    /// The stage page.
    page: String,
    /// Tokens of the host's link and of the listeners' one.
    host: String,
    listener: String,
    /// The key ends with the process, and the links with it.
    invented: bool,
    /// What to mind, a line each.
    hints: Vec<String>,
}

impl Welcome {
    /// Makes links that are valid from now on. `bound` is the address that signaling got.
    pub(crate) fn new(web: &Web, media: &Media, access: &Access, bound: SocketAddr) -> anyhow::Result<Self> {
        let (host, listener) = token::of_links(access, &RoomId::new(ROOM)?, LINKS_HOURS * 3600)?;
        let page = page(web, bound);
        let hints = hints(web, media, &page);
        Ok(Self { page, host, listener, invented: access.invented, hints })
    }
}

impl fmt::Display for Welcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { page, host, listener, .. } = self;
        writeln!(f, "\nDais is up.\n")?;
        writeln!(f, "  The stage page  {page}/")?;
        writeln!(f, "  For the host    {page}/#token={host}")?;
        writeln!(f, "  For listeners   {page}/#token={listener}\n")?;
        write!(
            f,
            "  The listeners' link is one for any number of people. Both are valid for {LINKS_HOURS} h"
        )?;
        writeln!(f, "{}.", if self.invented { ", and end with this process" } else { "" })?;
        self.hints.iter().try_for_each(|hint| writeln!(f, "  {hint}"))?;
        writeln!(f, "  Ctrl-C ends it.\n")
    }
}

/// What people type: the public URL, or the address with one of the host's own for "any".
pub(crate) fn page(web: &Web, bound: SocketAddr) -> String {
    if let Some(url) = &web.public_url {
        return url.as_str().into();
    }
    let ip = match bound.ip() {
        ip if ip.is_unspecified() => addresses::own().first().copied().unwrap_or(ip),
        ip => ip,
    };
    let scheme = if web.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", SocketAddr::new(ip, bound.port()))
}

fn hints(web: &Web, media: &Media, page: &str) -> Vec<String> {
    let secure = web.is_local() || page.starts_with("https:");
    let microphone = (!secure).then(|| {
        "Listening works, but browsers give the microphone only to pages from https or localhost:\n  \
         use --tls-cert and --tls-key, or a proxy with TLS and its address as --public-url."
            .into()
    });
    let private = |ip: &&IpAddr| !web.is_local() && media.guessed && is_private(**ip);
    let unreachable = media.ips.iter().find(private).map(|ip| {
        format!("Audio goes to {ip}, which the Internet cannot reach: give the public address as --media-ip.")
    });
    microphone.into_iter().chain(unreachable).collect()
}
