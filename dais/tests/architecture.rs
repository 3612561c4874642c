//! Holds the dependency rules of docs/architecture.md: arrows between the rooms only point down, and the
//! pure crates have no way to a socket, a clock or a runtime.
//!
//! The compiler refuses a use without a dependency; this refuses the dependency.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Who may use whom. A crate that is not listed must be added here, and to the document.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "dais",
        &[
            "origin",
            "edge",
            "signaling",
            "loadgen",
            "node",
            "transport",
            "cluster",
            "service",
            "media",
            "protocol",
        ],
    ),
    ("origin", &["node", "transport", "cluster", "service", "media", "room", "protocol"]),
    ("edge", &["node", "transport", "cluster", "service", "media", "room", "protocol"]),
    ("signaling", &["cluster", "service", "room", "protocol"]),
    ("loadgen", &["transport", "service", "media", "protocol"]),
    ("node", &["transport", "cluster", "service", "media", "room", "protocol"]),
    ("transport", &["media", "protocol"]),
    ("cluster", &["room", "protocol"]),
    ("service", &[]),
    ("media", &["protocol"]),
    ("room", &["protocol"]),
    ("protocol", &[]),
];

/// The crates without sockets, clocks, randomness of their own, and runtimes.
const PURE: &[&str] = &["protocol", "media", "room"];

/// What must not be reachable from a pure crate, however indirectly.
const IMPURE: &[&str] = &[
    "tokio",
    "mio",
    "socket2",
    "quinn",
    "axum",
    "hyper",
    "async-std",
    "smol",
    "rustix",
    "tracing-subscriber",
];

/// What each pure crate's clippy.toml must ban.
const BANNED: &[&str] = &[
    "std::time::Instant::now",
    "std::time::Instant::elapsed",
    "std::time::SystemTime::now",
    "std::time::SystemTime::elapsed",
];

struct Workspace {
    /// Directory and direct dependencies of each member, tests' ones left out.
    members: BTreeMap<String, (String, BTreeSet<String>)>,
    /// Direct dependencies of every package, ours and others', by package id.
    graph: BTreeMap<String, Vec<String>>,
}

impl Workspace {
    fn read() -> Self {
        let platform = format!("--filter-platform={}-unknown-linux-gnu", std::env::consts::ARCH);
        let arguments = ["metadata", "--format-version=1", "--offline", &platform];
        let output = Command::new(env!("CARGO")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let ours: BTreeSet<&str> =
            metadata["workspace_members"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        let packages = metadata["packages"].as_array().unwrap().iter();
        let members = packages.filter(|package| ours.contains(text(package, "id"))).map(member).collect();
        let graph = metadata["resolve"]["nodes"].as_array().unwrap().iter().map(node).collect();
        Self { members, graph }
    }

    /// Names of all packages that a member is built with.
    fn reachable(&self, member: &str) -> BTreeSet<String> {
        let mut waiting: Vec<&String> =
            self.graph.keys().filter(|id| name(id) == member && id.starts_with("path+")).collect();
        assert_eq!(waiting.len(), 1, "{member}");
        let mut seen = BTreeSet::new();
        while let Some(id) = waiting.pop() {
            if seen.insert(id) {
                waiting.extend(&self.graph[id]);
            }
        }
        seen.into_iter().map(|id| name(id).to_owned()).collect()
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

fn member(package: &Value) -> (String, (String, BTreeSet<String>)) {
    let manifest = Path::new(text(package, "manifest_path"));
    let normal =
        package["dependencies"].as_array().unwrap().iter().filter(|dependency| dependency["kind"].is_null());
    let uses = normal.map(|dependency| text(dependency, "name").to_owned()).collect();
    (text(package, "name").into(), (manifest.parent().unwrap().display().to_string(), uses))
}

fn node(node: &Value) -> (String, Vec<String>) {
    let is_normal = |dependency: &&Value| {
        dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| {
            // Other systems' dependencies are never built here.
            kind["kind"].is_null()
                && !kind["target"].as_str().is_some_and(|target| target.contains("windows"))
        })
    };
    let dependencies = node["deps"].as_array().unwrap().iter().filter(is_normal);
    (text(node, "id").into(), dependencies.map(|dependency| text(dependency, "pkg").into()).collect())
}

/// `registry+https://…#tokio@1.0.0` or `path+file:///…/crates/media#0.1.0` → the name.
fn name(id: &str) -> &str {
    let (source, fragment) = id.rsplit_once('#').unwrap();
    match fragment.split_once('@') {
        Some((name, _)) => name,
        None => source.rsplit('/').next().unwrap(),
    }
}

#[test]
fn arrows_only_point_down() {
    let workspace = Workspace::read();
    for (member, (_, uses)) in &workspace.members {
        let allowed = ARROWS.iter().find(|(name, _)| name == member).map(|(_, allowed)| *allowed);
        let allowed = allowed.unwrap_or_else(|| panic!("{member} has no place in the architecture"));
        for used in uses.iter().filter(|used| workspace.members.contains_key(*used)) {
            assert!(allowed.contains(&used.as_str()), "{member} must not use {used}");
        }
    }
}

#[test]
fn pure_crates_reach_no_socket_and_no_runtime() {
    let workspace = Workspace::read();
    assert!(workspace.reachable("service").contains("tokio"), "the graph is not read right");
    for member in PURE {
        let reachable = workspace.reachable(member);
        for impure in IMPURE {
            assert!(
                !reachable.contains(*impure),
                "{member} must not reach {impure} (`cargo tree -p {member} -i {impure}`)"
            );
        }
    }
}

#[test]
fn pure_crates_ban_the_clock() {
    let workspace = Workspace::read();
    for member in PURE {
        let (directory, _) = &workspace.members[*member];
        let clippy = std::fs::read_to_string(Path::new(directory).join("clippy.toml")).unwrap();
        for banned in BANNED {
            assert!(clippy.contains(banned), "{member}/clippy.toml must ban {banned}");
        }
    }
}
