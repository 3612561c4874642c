//! What signaling and the media nodes say to each other over the bus.
//!
//! ```text
//!   node.<id>   request/reply   signaling → origin, edge    Request → Response
//!   nodes       publish         everybody                   Announcement, every second
//!   events      publish         origin, edge → signaling    Event
//!   origins     publish         signaling → origin, edge    Origins, when one changes and every second
//!   known       publish         origin, edge → signaling    Known, where it is told otherwise
//!   room.<id>   publish         signaling ↔ signaling       what is known of a room: signaling's own
//!   here        publish         everybody                   nothing: that it lives
//!   here.<id>.<boot>   request/reply   everybody            nothing: whether it lives
//! ```
//!
//! Subjects are tokens with dots between them, and names may hold dots: in a subject those are `%2E`.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::address::is_private;
use crate::envelope::Life;
use crate::error::ApiError;
use crate::id::{Epoch, Identity, NodeId, Owner, PeerId, Region, RoomId, Session, SpeakerNumber};
use crate::message::{Purpose, RoomState};
use crate::session::{Answer, Offer};

/// Subject of the announcements.
pub const NODES: &str = "nodes";

/// Subject of the events.
pub const EVENTS: &str = "events";

/// Subject on which it is told where rooms come from.
pub const ORIGINS: &str = "origins";

/// Subject on which media nodes say what they know of rooms otherwise than they were told.
pub const KNOWN: &str = "known";

/// Most rooms in one [`Origins`].
pub const MAX_ORIGINS: usize = 500;

/// Subject on which one node takes requests.
pub fn subject(node: &NodeId) -> String {
    format!("node.{}", token(node.as_str()))
}

/// The node whose subject for requests this is.
pub fn addressee(subject: &str) -> Option<NodeId> {
    let name = subject.strip_prefix("node.")?;
    NodeId::new(&name.replace("%2E", ".")).ok()
}

/// Subject on which every process says each second that it lives.
pub const HERE: &str = "here";

/// Subject on which one life of a process is asked whether it lives.
pub fn life_subject(life: &Life) -> String {
    format!("{HERE}.{}.{}", token(life.node.as_str()), life.boot)
}

/// Subject on which signaling nodes tell each other about one room.
pub fn room_subject(room: &RoomId) -> String {
    format!("room.{}", token(room.as_str()))
}

/// A name as one token of a subject. No name has a `%`, so no two have the same token.
fn token(name: &str) -> String {
    name.replace('.', "%2E")
}

/// What signaling asks of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// Answer: is anybody there?
    Ping,
    /// Make a peer.
    Admit(Box<Admit>),
    /// End a peer.
    Remove {
        /// Which.
        peer: PeerId,
        /// Who says so: not whoever it was taken over from. None: an older signaling node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Owner>,
    },
    /// Every second: these peers a signaling node wants here. Answered by [`Response::Compared`].
    Want {
        /// Which signaling node.
        owner: Owner,
        /// Of their ids: see `room::peers`.
        digests: Vec<u64>,
    },
    /// The peers behind one digest that differs. Answered by [`Response::Lacks`].
    Claim {
        /// The signaling node that wants them.
        owner: Owner,
        /// Which digest.
        bucket: u8,
        /// All of them.
        peers: Vec<PeerId>,
    },
    /// End the peer of a WHIP or WHEP session: whoever has its key may.
    Hang {
        /// Which.
        peer: PeerId,
        /// In the address of the session.
        key: String,
    },
    /// Another session answers for a peer from now on.
    Adopt {
        /// Which.
        peer: PeerId,
        /// Whose.
        claim: Claim,
    },
    /// These orphans are of people who are in no list of the store.
    Disown {
        /// Which.
        peers: Vec<PeerId>,
    },
    /// How the stage of a room stands; to its origin. Older versions than the known one change nothing.
    Stage(Stage),
    /// Let everybody go, or take people again.
    Drain {
        /// Let them go.
        on: bool,
    },
    /// The room is over: forget it and its peers. One made after it, of a later version, goes on.
    Close {
        /// Which.
        room: RoomId,
        /// Its last. None, of an older signaling node: whichever is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
        /// Of its last origin, for older nodes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<Epoch>,
    },
}

/// A peer to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Admit {
    /// In this room.
    pub room: RoomId,
    /// For this person.
    pub identity: Identity,
    /// Of the room, as it was when they were permitted; it grows with each change, from one room of this name
    /// to the next. 0: an older signaling node, which does not say.
    #[serde(default)]
    pub version: u64,
    /// Speakers: their number. Listeners: none.
    pub speaker: Option<SpeakerNumber>,
    /// Where the room's audio comes from. None: a listener waits for it to have an origin.
    #[serde(flatten)]
    pub root: Option<Root>,
    /// What the client told.
    pub offer: Offer,
    /// Who answers for it; none: a signaling node that is older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
}

/// Who answers for a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Of the person whose it is.
    pub session: Session,
    /// A WHIP or WHEP session, which another signaling node can go on with: the key in its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whip: Option<String>,
}

/// A peer of which no signaling node says that it wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// Which.
    pub peer: PeerId,
    /// What for.
    pub purpose: Purpose,
    /// In this room.
    pub room: RoomId,
    /// Of this person.
    pub identity: Identity,
    /// Who answered for it.
    pub claim: Claim,
}

/// Where a room's audio comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Its origin.
    pub origin: NodeId,
    /// Of that; a higher one is newer.
    pub epoch: Epoch,
}

/// What a node answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Response {
    /// The peer is made; `peer` names it from now on.
    Admitted {
        /// Its id on this node.
        peer: PeerId,
        /// For the client.
        answer: Answer,
    },
    /// How what a signaling node wants differs from what is here.
    Compared {
        /// Which digests differ: [`Request::Claim`] is to say what is behind them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        differ: Vec<u8>,
        /// Some of the peers that nobody wants: whoever knows the person may want them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        orphans: Vec<Orphan>,
        /// Whoever hears this is to look whether the people of the orphans are in the store's list.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        judge: bool,
    },
    /// Of the peers that were claimed these are not here any more.
    Lacks {
        /// Which.
        peers: Vec<PeerId>,
    },
    /// Done.
    Done,
    /// Not done, and why.
    Refused(ApiError),
}

/// Who is on stage and may be heard, as its origin must know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// The room.
    pub room: RoomId,
    /// The epoch that the addressed origin was given.
    pub epoch: Epoch,
    /// Of the stage: that of the room when it was changed last.
    pub version: u64,
    /// Backstage, nothing but silence goes down the tree.
    pub state: RoomState,
    /// Everybody on stage.
    pub speakers: Vec<StageSpeaker>,
}

/// One of those on stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageSpeaker {
    /// Who.
    pub identity: Identity,
    /// CSRC of what they say.
    pub number: SpeakerNumber,
    /// They are not heard.
    pub muted: bool,
}

/// What a node tells about itself: every second, and at once when it changes whom it admits or hears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    /// Its name.
    pub node: NodeId,
    /// What it is.
    pub kind: NodeKind,
    /// Where it is.
    pub region: Region,
    /// Of its program; empty: an older node.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Differs after each start, and only grows: ms of Unix time by its own clock.
    pub boot: u64,
    /// What its own clock shows as it says this: ms of Unix time. None: an older node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_ms: Option<u64>,
    /// Where its links are taken; a signaling node has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<SocketAddr>,
    /// Where else they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_links: Vec<SocketAddr>,
    /// Where clients reach it: its first shard, or its HTTP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<SocketAddr>,
    /// Peers it has; of a signaling node, connections.
    pub peers: u32,
    /// How many it can have.
    pub capacity: u32,
    /// How many more it takes now; none, of an older node: as many as it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headroom: Option<u32>,
    /// Peers that have gone since its start.
    #[serde(default)]
    pub gone: u64,
    /// How busy it is.
    #[serde(default)]
    pub load: NodeLoad,
    /// Takes newcomers: not while it drains.
    pub admits: bool,
    /// While it drains: over how many ms its people are to be moved from now on. None, of an older node: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_ms: Option<u64>,
    /// Origins to which it has a link that is up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hears: Vec<NodeId>,
}

/// How busy a node is, over the last seconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLoad {
    /// CPU of its process, in thousandths of all cores of its machine.
    pub cpu_permille: u16,
    /// Datagrams that it sends to clients each second.
    pub packets_s: u64,
    /// Bits that these are on an Ethernet each second, headers of all layers included.
    pub egress_bits_s: u64,
}

impl Announcement {
    /// Of a node that has told nothing else yet.
    pub fn new(node: NodeId, kind: NodeKind, region: Region, boot: u64) -> Self {
        Self {
            node,
            kind,
            region,
            version: String::new(),
            boot,
            clock_ms: None,
            link: None,
            more_links: Vec::new(),
            clients: Vec::new(),
            peers: 0,
            capacity: 0,
            headroom: None,
            gone: 0,
            load: NodeLoad::default(),
            admits: true,
            drain_ms: None,
            hears: Vec::new(),
        }
    }

    /// How many more peers it takes now.
    pub fn places(&self) -> u32 {
        let free = self.capacity.saturating_sub(self.peers);
        if self.admits { self.headroom.map_or(free, |headroom| headroom.min(free)) } else { 0 }
    }

    /// Where a node of this region links to it, best first: a private address leads nowhere from elsewhere,
    /// and within a region it is the cheaper one.
    pub fn links_from(&self, region: &Region) -> Vec<SocketAddr> {
        let is_near = self.region == *region;
        let mut links: Vec<_> = self.link.iter().chain(&self.more_links).copied().collect();
        links.sort_by_key(|link| is_private(link.ip()) != is_near);
        links
    }
}

/// Where some rooms come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origins {
    /// At most [`MAX_ORIGINS`].
    pub rooms: Vec<RoomOrigin>,
}

/// Where a room comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomOrigin {
    /// The room.
    pub room: RoomId,
    /// From there.
    #[serde(flatten)]
    pub root: Root,
    /// The version of its stage; none where nobody speaks of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<u64>,
}

/// What a media node knows of some rooms, where it has just been told something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The node.
    pub node: NodeId,
    /// At most [`MAX_ORIGINS`].
    pub rooms: Vec<RoomOrigin>,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// The speakers' SFU, root of trees.
    Origin,
    /// A relay and the listeners' SFU.
    Edge,
    /// WebSocket and HTTP.
    Signaling,
}

impl NodeKind {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Origin, Self::Edge, Self::Signaling];

    /// What it is called: in names, labels, certificates and subcommands.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Edge => "edge",
            Self::Signaling => "signaling",
        }
    }

    /// The one that is called so.
    pub fn called(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether it has peers.
    pub fn has_media(self) -> bool {
        self != Self::Signaling
    }
}

/// What happened to a peer without signaling having asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// On this node.
    pub node: NodeId,
    /// In this room.
    pub room: RoomId,
    /// To this peer.
    pub peer: PeerId,
    /// What.
    pub what: PeerEvent,
}

/// What can happen to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerEvent {
    /// Keys are agreed: media flows.
    Connected,
    /// It closed, or its consent expired.
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_one_token_and_no_two_are_the_same() {
        let names = [".a", "a..b", "a.b", "a", "a.", "..."];
        let subjects = names.map(|name| room_subject(&RoomId::new(name).unwrap()));
        for (index, subject) in subjects.iter().enumerate() {
            assert_eq!(subject.split('.').count(), 2, "{subject}");
            assert!(!subjects[..index].contains(subject), "{subject}");
        }
        let node = NodeId::new("edge-1.eu").unwrap();
        assert_eq!(subject(&node), "node.edge-1%2Eeu");
        assert_eq!(addressee(&subject(&node)), Some(node.clone()));
        assert_eq!(life_subject(&Life { node, boot: 7 }), "here.edge-1%2Eeu.7");
        assert_eq!([addressee("node."), addressee("nodes"), addressee("room.a")], [None, None, None]);
    }

    #[test]
    fn links_are_private_within_a_region_and_public_across() {
        let said = |region: &str| -> Announcement {
            serde_json::from_value(serde_json::json!({
                "node": "origin-1", "kind": "origin", "region": region, "boot": 1, "link": "203.0.113.1:7200",
                "more_links": ["10.0.0.1:7200", "[fd00::1]:7200"], "peers": 3, "capacity": 10, "admits": true,
            }))
            .unwrap()
        };
        let links = |region| {
            said("eu")
                .links_from(&Region::new(region).unwrap())
                .into_iter()
                .map(|link| link.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(links("eu"), ["10.0.0.1:7200", "[fd00::1]:7200", "203.0.113.1:7200"]);
        assert_eq!(links("us"), ["203.0.113.1:7200", "10.0.0.1:7200", "[fd00::1]:7200"]);
        assert_eq!(said("eu").places(), 7, "an older node says no headroom");
        assert_eq!(Announcement { admits: false, ..said("eu") }.places(), 0);
        assert_eq!(Announcement { headroom: Some(2), ..said("eu") }.places(), 2);
    }
}
