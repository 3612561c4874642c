//! The options of every command, in one table, and their typed values.
//!
//! Names and meaning are a contract: scripts hang on them. A command asks its groups for their values;
//! what is wrong is collected and reported together.

mod certs;
mod cluster;
mod keys;
mod load;
mod media;
mod process;
#[cfg(test)]
mod tests;
mod token;
mod trust;
mod web;

use service::config::{Command, Kind, Program, Setting};

pub(crate) use certs::{Certs, Rotate};
pub(crate) use cluster::{Cluster, Store, key_in};
pub(crate) use keys::{Access, Missing};
pub(crate) use load::Load;
pub(crate) use media::{Bits, Framing, Media};
pub(crate) use process::{Place, Process};
pub(crate) use token::Wish;
pub(crate) use trust::Trust;
#[cfg(test)]
use web::PublicUrl;
pub(crate) use web::Web;

/// What can be typed.
pub(crate) const PROGRAM: Program = Program {
    name: "dais",
    about: "Town halls: a few people speak on a stage, thousands listen, anybody can be called up.",
    version: env!("CARGO_PKG_VERSION"),
    commands: &[UP, ORIGIN, EDGE, SIGNALING, NODES, DRAIN_NODE, CERTS, TOKEN, LOAD, DOCTOR, HEALTH],
};

const UP: Command = Command {
    name: "up",
    about: "Run a whole system in this process: signaling, one origin, two edges",
    example: "dais up --listen 0.0.0.0:7000 --api-key main --api-secret-file secret.txt",
    settings: &[WEB, PAGES, KEYS, MEDIA, EDGES, ADMIN, LOGS],
};

const ORIGIN: Command = Command {
    name: "origin",
    about: "Run an origin: the speakers' SFU, root of the relay tree",
    example: "dais origin --nats nats://10.0.0.5 --cluster-key-file cluster.key --cert-dir certs --region eu",
    settings: &[MEDIA, LINKS, DRAIN, REGION, NODE, CLUSTER, ADMIN, LOGS],
};

const EDGE: Command = Command {
    name: "edge",
    about: "Run an edge: a relay node and the listeners' SFU",
    example: "dais edge --nats nats://10.0.0.5 --cluster-key-file cluster.key --cert-dir certs --node edge-1",
    settings: &[MEDIA, EDGES, LINKS, DRAIN, REGION, NODE, CLUSTER, ADMIN, LOGS],
};

const SIGNALING: Command = Command {
    name: "signaling",
    about: "Run signaling: rooms, WebSocket and HTTP API, stage page",
    example: "dais signaling --nats nats://127.0.0.1 --api-key main --api-secret-file secret.txt",
    settings: &[WEB, PAGES, KEYS, REGIONS, DRAIN, REGION, NODE, CLUSTER, STORE, ADMIN, LOGS],
};

const NODES: Command = Command {
    name: "nodes",
    about: "Show which nodes are there, where, of which version and how busy",
    example: "dais nodes --nats nats://127.0.0.1",
    settings: &[CLUSTER, LISTING],
};

const DRAIN_NODE: Command = Command {
    name: "drain",
    about: "Let the people of a node go elsewhere, so that it can be stopped",
    example: "dais drain edge-1 --nats nats://127.0.0.1",
    settings: &[DRAINING, CLUSTER],
};

const CERTS: Command = Command {
    name: "certs",
    about: "Make and renew the certificates with which nodes know each other",
    example: "dais certs --dir certs --for origin/origin-1 --for edge/edge-1",
    settings: &[CERTIFICATES],
};

const TOKEN: Command = Command {
    name: "token",
    about: "Print a token that opens one room",
    example: "dais token --room all-hands --role host --identity anna --api-key main --api-secret-file secret.txt",
    settings: &[TOKENS, KEYS],
};

const LOAD: Command = Command {
    name: "load",
    about: "Let simulated people listen and speak, and measure what they hear",
    example: "dais load --listeners 1000 --speakers 4 --api-key main --api-secret-file secret.txt",
    settings: &[LOADS, KEYS],
};

const DOCTOR: Command = Command {
    name: "doctor",
    about: "Check ports, addresses, limits, clocks, servers and links, and say what to do about each",
    example: "dais doctor edge --nats nats://10.0.0.5 --cluster-key-file cluster.key --cert-dir certs",
    settings: &[PARTS, WEB, KEYS, MEDIA, LINKS, REGION, CLUSTER, STORE, ADMIN],
};

const HEALTH: Command = Command {
    name: "health",
    about: "Ask a process of this machine whether it lives: for containers",
    example: "dais health --admin 0.0.0.0:7001",
    settings: &[ADMIN, HEALTHS],
};

const WEB: &[Setting] = &[
    Setting::one("listen", "ADDR", "HTTP and WebSocket [127.0.0.1:7000]"),
    Setting::one("public-url", "URL", "What people type; goes into links and WHIP's Location"),
    Setting::one("tls-cert", "FILE", "Certificate chain (PEM) for HTTPS and WSS"),
    Setting::one("tls-key", "FILE", "Its private key (PEM)"),
];

const PAGES: &[Setting] = &[
    Setting::many("allow-origin", "ORIGIN", "Only these web pages may use and embed it [any]"),
    Setting::many("trusted-proxy", "CIDR", "Whose X-Forwarded-For is believed [nobody's]"),
    Setting { name: "limit", value: "NAME=N", kind: Kind::Pairs('='), help: "A limit, see docs/limits.md" },
];

const KEYS: &[Setting] = &[
    Setting::one("api-key", "NAME", "Key that signs and checks tokens [up on loopback: invented]"),
    Setting::one("api-secret", "SECRET", "Its secret, at least 32 bytes"),
    Setting::one("api-secret-file", "FILE", "File with the secret"),
    Setting { name: "keys", value: "K:S", kind: Kind::Pairs(':'), help: "Several keys with their secrets" },
];

const MEDIA: &[Setting] = &[
    Setting::one(
        "media",
        "ADDR",
        "First UDP port, then one for each shard [0.0.0.0:7100, or 127.0.0.1 where all is on loopback]",
    ),
    Setting::many("media-ip", "IP", "Address to tell clients [loopback, or the host's own]"),
    Setting::one("shards", "N", "Worker threads for media [number of cores]"),
    Setting::one("capacity", "N", "Most peers of each node [10000 for each shard]"),
    Setting::one(
        "link",
        "ADDR",
        "First UDP port of the links between nodes [0.0.0.0:7200; on loopback, up: 7200, parts: any]",
    ),
];

const EDGES: &[Setting] = &[
    Setting::one("framing", "20|60|auto", "How many ms of audio in one packet to a listener [auto]"),
    Setting::one("max-egress", "BITS", "Bits per second for which an edge takes listeners: 900M [any]"),
];

const LINKS: &[Setting] = &[
    Setting::many(
        "link-ip",
        "IP",
        "Address to tell other nodes; a private one is for those of its region [as to clients]",
    ),
    Setting::one("cert-dir", "DIR", "Its certificate, from `dais certs` [on loopback: none]"),
];

const REGIONS: &[Setting] = &[
    Setting {
        name: "spill",
        value: "R=R:R",
        kind: Kind::Pairs('='),
        help: "Where listeners of a full region go, nearest first [anywhere]",
    },
    Setting::one("region-header", "NAME", "Header in which a trusted proxy says where people are [none]"),
];

const DRAIN: &[Setting] =
    &[Setting::one("drain", "TIME", "Over how long it lets its people go when it is to stop [30s]")];

const REGION: &[Setting] = &[Setting::one("region", "NAME", "Where this node is [local]")];

const NODE: &[Setting] = &[Setting::one("node", "NAME", "What it is called [its kind and number 1]")];

const CLUSTER: &[Setting] = &[
    Setting::one("nats", "URL", "Bus between the parts: nats://user:password@host:4222, or tls://"),
    Setting::one("nats-creds", "FILE", "Credentials file or nkey seed for it"),
    Setting::one("nats-prefix", "NAME", "First word of its subjects [dais]"),
    Setting::many(
        "cluster-key",
        "KEY",
        "What all parts know, 32 bytes or more; a second one is believed, too [on loopback: none]",
    ),
    Setting::one("cluster-key-file", "FILE", "File with it; a second one in its second line"),
];

const PARTS: &[Setting] =
    &[Setting::word("part", "PART", "Whose options these are: up, origin, edge or signaling [up]")];

const DRAINING: &[Setting] = &[
    Setting::word("which", "NODE", "Its name, as `dais nodes` shows it"),
    Setting::flag("undo", "Have it take people again"),
];

const LISTING: &[Setting] = &[Setting::flag("json", "Print what they announce in place of a table")];

const STORE: &[Setting] = &[
    Setting::one("redis", "URL", "Where rooms are kept: redis://user:password@host:6379, or rediss://"),
    Setting::one("redis-prefix", "NAME", "What its keys begin with [dais]"),
];

const ADMIN: &[Setting] = &[Setting::one("admin", "ADDR", "/metrics, /health and /ready [127.0.0.1:7001]")];

const HEALTHS: &[Setting] = &[Setting::flag("ready", "Whether it also admits newcomers")];

const CERTIFICATES: &[Setting] = &[
    Setting::one("dir", "DIR", "Where they are; its authority.key belongs on no node"),
    Setting::many("for", "ROLE/NAME", "A node that needs one: edge/edge-1; the others are renewed in time"),
    Setting::one("days", "N", "How long new ones are valid; renewed in the last third [90]"),
    Setting::one(
        "rotate",
        "begin|use|end",
        "A step to another authority; between two steps copy to all nodes",
    ),
];

const LOGS: &[Setting] = &[
    Setting::one("log", "FILTER", "What is logged, such as info,edge=debug [info]"),
    Setting::one("log-format", "text|json", "How it is logged [text]"),
];

const TOKENS: &[Setting] = &[
    Setting::one("room", "ROOM", "The room it opens"),
    Setting::one("role", "ROLE", "host, speaker, listener or admin [listener]"),
    Setting::one("identity", "ID", "Who; a listener's token without it is a guest pass"),
    Setting::one("name", "NAME", "Shown to others"),
    Setting::one(
        "region",
        "NAME",
        "Where they are: edges of this region are nearest [wherever they come in]",
    ),
    Setting::one("ttl", "TIME", "How long it is valid: 90s, 30m, 6h, 7d [6h]"),
];

const LOADS: &[Setting] = &[
    Setting::many("url", "URL", "Signaling nodes, people spread over them [http://127.0.0.1:7000]"),
    Setting::one("from", "NET", "A network that leads here, for everybody's addresses [127/8 on loopback]"),
    Setting::one("rooms", "N", "So many rooms, each with --listeners and --speakers [1]"),
    Setting::one("listeners", "N", "Listeners of each room, probes included [100]"),
    Setting::one("speakers", "N", "Speakers of each room [2]"),
    Setting::one("talk", "PATTERN", "monologue, conversation, turns or all [conversation]"),
    Setting::one("ramp", "N", "Joins per second [500]"),
    Setting::one("duration", "TIME", "How long, after everybody is in [60s]"),
    Setting::one("churn", "N", "Listeners leaving and joining per second [0]"),
    Setting::one("promote", "N", "Promotions per minute [0]"),
    Setting::one("hands", "N", "Listeners of each room who keep their hands up [0]"),
    Setting::one("reconnect-at", "TIME", "Cut everybody then, and let them come back at once [never]"),
    Setting::one("garbage", "N", "Datagrams of noise per second at the media ports, from strangers [0]"),
    Setting::one("probes", "N", "Listeners that are full peer connections, as a check [2]"),
    Setting::one("framing", "any|20|60", "What listeners ask for [any]"),
    Setting::one("threads", "N", "Threads that read what listeners hear [by their number]"),
    Setting::many("metrics", "URL", "/metrics of nodes to read: http://127.0.0.1:7001"),
    Setting::many("require", "EXPR", "Exit with 1 unless it holds: 'first_audio_ms.p99<1000'"),
    Setting::one("report", "DIR", "Write report.html and report.json there"),
    Setting::flag("json", "Print report.json in place of the table"),
];
