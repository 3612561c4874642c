use ::room::tree::{self, Parent};
use protocol::{Epoch, Region};
use rand::SeedableRng;

use super::*;

const UP: LinkId = LinkId(1);
const UP_AGAIN: LinkId = LinkId(2);
const CHILD: LinkId = LinkId(10);

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn member(name: &str) -> Member {
    Member { node: node(name), region: Region::new("home").unwrap() }
}

fn room() -> RoomId {
    RoomId::new("all-hands").unwrap()
}

fn root(origin: &str, epoch: u32) -> Root {
    Root { origin: node(origin), epoch: Epoch(epoch) }
}

/// One edge among others, and a clock in ms.
struct Script {
    start: Instant,
    rooms: Rooms,
    out: Out,
}

impl Script {
    /// `me` and `others` are edges of one region; there is an origin.
    fn new(me: &str, others: &[&str]) -> Self {
        let mut rooms = Rooms::new(member(me), StdRng::seed_from_u64(1));
        rooms.topology(topology(others));
        Self { start: Instant::now(), rooms, out: Out::default() }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn listen(&mut self, ms: u64) {
        let now = self.at(ms);
        self.rooms.known(now, &room(), Some(root("origin", 1)));
        self.rooms.wanted(now, 0, &room(), &mut self.out);
    }

    fn link(&mut self, ms: u64, name: &str, link: LinkId) {
        self.rooms.parent_up(self.at(ms), &node(name), link, &mut self.out);
    }

    fn path(&mut self, ms: u64, link: LinkId, channel: u32, nodes: &[&str]) {
        let nodes = nodes.iter().map(|name| node(name)).collect();
        let message = ParentMessage::Path { channel, nodes, epoch: Epoch(1) };
        self.rooms.parent_said(self.at(ms), link, message, &mut self.out);
    }

    /// Lets time pass up to `ms`.
    fn wait(&mut self, from: u64, ms: u64) {
        for ms in (from..=ms).step_by(20) {
            self.rooms.on_timeout(self.at(ms), &mut self.out);
        }
    }

    fn take(&mut self) -> Out {
        std::mem::take(&mut self.out)
    }

    fn dialled(&mut self) -> Vec<String> {
        self.take().dial.into_iter().map(|(node, _)| node.to_string()).collect()
    }
}

fn topology(edges: &[&str]) -> Topology {
    let addr = "127.0.0.1:7200".parse().unwrap();
    let links = edges.iter().chain(&["origin"]).map(|name| (node(name), vec![addr])).collect();
    Topology { links, edges: edges.iter().map(|name| member(name)).collect() }
}

fn subscribed(link: LinkId, channel: u32) -> Output<ChildMessage> {
    Output::Message(
        link,
        ChildMessage::Subscribe { room: room(), channel, origin: node("origin"), epoch: Epoch(1) },
    )
}

fn unsubscribed(link: LinkId, channel: u32) -> Output<ChildMessage> {
    Output::Message(link, ChildMessage::Unsubscribe { channel })
}

/// Of two edges, the one that is the hub of the room, and the other.
fn hub_and_leaf() -> (&'static str, &'static str) {
    let edges = [member("edge-1"), member("edge-2")];
    match tree::parent(&room(), &edges, &edges[0]) {
        Parent::Origin => ("edge-1", "edge-2"),
        Parent::Edge(_) => ("edge-2", "edge-1"),
    }
}

#[test]
fn the_first_listener_opens_the_way_and_the_last_one_closes_it_after_a_while() {
    let mut script = Script::new("edge-1", &["edge-1"]);
    script.listen(0);
    assert_eq!(script.dialled(), ["origin"]);
    script.link(5, "origin", UP);
    assert_eq!(script.take().up, [subscribed(UP, 0)]);
    script.path(10, UP, 0, &["origin"]);

    let gone = script.at(1_000);
    script.rooms.unwanted(gone, 0, &room(), &mut script.out);
    script.wait(1_000, 1_000 + 29_980);
    assert_eq!(script.take().up, []);
    script.wait(31_000, 31_200);
    assert_eq!(script.take().up, [unsubscribed(UP, 0)]);
    assert_eq!(script.rooms.len(), 0);
}

#[test]
fn somebody_who_comes_back_in_time_finds_the_room_still_there() {
    let mut script = Script::new("edge-1", &["edge-1"]);
    script.listen(0);
    script.link(5, "origin", UP);
    script.path(10, UP, 0, &["origin"]);
    let gone = script.at(1_000);
    script.rooms.unwanted(gone, 0, &room(), &mut script.out);
    script.wait(1_000, 20_000);
    script.take();
    script.listen(20_000);
    script.wait(20_000, 80_000);
    let out = script.take();
    assert_eq!((out.up, out.changed), (vec![], vec![]));
}

#[test]
fn a_child_is_reason_enough_and_is_told_the_way() {
    let (hub, leaf) = hub_and_leaf();
    let mut script = Script::new(hub, &[hub, leaf]);
    script.rooms.child_up(CHILD);
    let subscribe =
        ChildMessage::Subscribe { room: room(), channel: 7, origin: node("origin"), epoch: Epoch(1) };
    let now = script.at(0);
    script.rooms.child_said(now, CHILD, subscribe, &mut script.out);
    assert_eq!(script.dialled(), ["origin"]);
    script.link(5, "origin", UP);
    script.take();
    script.path(10, UP, 0, &["origin"]);
    let way = vec![node("origin"), node(hub)];
    let told = ParentMessage::Path { channel: 7, nodes: way, epoch: Epoch(1) };
    assert_eq!(script.take().down, [Output::Message(CHILD, told)]);
}

#[test]
fn when_the_hub_is_lost_the_origin_is_asked_and_later_the_hub_again() {
    let (hub, leaf) = hub_and_leaf();
    let mut script = Script::new(leaf, &[hub, leaf]);
    script.listen(0);
    assert_eq!(script.dialled(), [hub]);
    script.link(5, hub, UP);
    script.path(10, UP, 0, &["origin", hub]);
    script.take();

    let lost = script.at(12_000);
    script.rooms.parent_lost(lost, UP, &mut script.out);
    assert_eq!(script.dialled(), ["origin"]);
    script.link(12_010, "origin", UP_AGAIN);
    let out = script.take();
    assert_eq!((out.up, out.changed), (vec![subscribed(UP_AGAIN, 1)], vec!["link_lost"]));
    script.path(12_020, UP_AGAIN, 1, &["origin"]);

    // The hub has rested. It takes over when it has a way to the root.
    script.wait(12_100, 12_500);
    assert_eq!(script.dialled(), [hub]);
    script.link(12_510, hub, UP);
    let out = script.take();
    assert_eq!((out.up, out.changed), (vec![subscribed(UP, 2)], vec!["tree"]));
    script.path(12_520, UP, 2, &["origin", hub]);
    assert_eq!(script.take().up, [unsubscribed(UP_AGAIN, 1)]);
}

#[test]
fn an_origin_that_cannot_be_reached_is_tried_for_ever_and_not_all_the_time() {
    let mut script = Script::new("edge-1", &["edge-1"]);
    script.listen(0);
    let mut dialled = 0;
    for ms in (0..60_000).step_by(20) {
        for _ in script.dialled() {
            dialled += 1;
            let now = script.at(ms);
            script.rooms.parent_failed(now, &node("origin"), &mut script.out);
        }
        let now = script.at(ms);
        script.rooms.on_timeout(now, &mut script.out);
    }
    assert!((8..20).contains(&dialled), "{dialled}");
}

#[test]
fn who_is_on_its_parents_path_leaves_that_parent() {
    let (hub, leaf) = hub_and_leaf();
    let mut script = Script::new(leaf, &[hub, leaf]);
    script.listen(0);
    script.link(5, hub, UP);
    script.take();
    script.path(10, UP, 0, &["origin", leaf, hub]);
    let out = script.take();
    assert_eq!(out.up, [unsubscribed(UP, 0)]);
    assert_eq!(out.dial[0].0, node("origin"));
    script.link(20, "origin", UP_AGAIN);
    assert_eq!(script.take().changed, ["loop"]);
}

#[test]
fn a_parent_that_has_lost_its_own_way_is_given_a_moment() {
    let (hub, leaf) = hub_and_leaf();
    let mut script = Script::new(leaf, &[hub, leaf]);
    script.listen(0);
    script.link(5, hub, UP);
    script.path(10, UP, 0, &["origin", hub]);
    script.take();
    script.path(1_000, UP, 0, &[]);
    script.wait(1_000, 2_900);
    assert_eq!(script.dialled(), [""; 0]);
    script.wait(2_900, 3_200);
    let out = script.take();
    assert_eq!((out.up, &out.dial[0].0), (vec![unsubscribed(UP, 0)], &node("origin")));
    script.link(3_210, "origin", UP_AGAIN);
    assert_eq!(script.take().changed, ["no_path"]);
}

#[test]
fn a_parent_that_never_answers_is_left_for_another() {
    let (hub, leaf) = hub_and_leaf();
    let mut script = Script::new(leaf, &[hub, leaf]);
    script.listen(0);
    script.link(5, hub, UP);
    script.take();
    script.wait(5, 1_900);
    assert_eq!(script.take().up, []);
    script.wait(1_900, 2_200);
    let out = script.take();
    assert_eq!((out.up, &out.dial[0].0), (vec![unsubscribed(UP, 0)], &node("origin")));
}

#[test]
fn a_refusal_is_not_answered_by_asking_again_at_once() {
    let mut script = Script::new("edge-1", &["edge-1"]);
    script.listen(0);
    script.link(5, "origin", UP);
    let refused = ParentMessage::Refused { channel: 0, why: "the room is over".into() };
    let now = script.at(10);
    script.take();
    script.rooms.parent_said(now, UP, refused, &mut script.out);
    script.wait(20, 4_980);
    assert_eq!(script.take().up, [unsubscribed(UP, 0)]);
    script.wait(5_000, 5_300);
    assert_eq!(script.take().up, [subscribed(UP, 1)]);
}

#[test]
fn a_new_hub_takes_over_without_a_hole() {
    let (hub, leaf) = hub_and_leaf();
    let mut script = Script::new(leaf, &[leaf]);
    script.listen(0);
    script.link(5, "origin", UP);
    script.path(10, UP, 0, &["origin"]);
    script.take();
    script.rooms.topology(topology(&[hub, leaf]));
    script.wait(20, 140);
    assert_eq!(script.dialled(), [hub]);
    script.link(150, hub, UP_AGAIN);
    assert_eq!(script.take().up, [subscribed(UP_AGAIN, 1)], "and the origin is not left yet");
    script.path(160, UP_AGAIN, 1, &["origin", hub]);
    assert_eq!(script.take().up, [unsubscribed(UP, 0)]);
}

#[test]
fn a_newer_origin_is_followed_and_an_older_one_is_not() {
    let mut script = Script::new("edge-1", &["edge-1"]);
    let mut links = topology(&["edge-1"]);
    links.links.insert(node("origin-2"), vec!["127.0.0.1:7300".parse().unwrap()]);
    script.rooms.topology(links);
    script.listen(0);
    script.link(5, "origin", UP);
    script.path(10, UP, 0, &["origin"]);
    script.take();
    let now = script.at(20);
    script.rooms.known(now, &room(), Some(root("origin-2", 1)));
    script.wait(20, 140);
    assert_eq!(script.dialled(), [""; 0]);
    script.rooms.known(now, &room(), Some(root("origin-2", 2)));
    script.wait(160, 300);
    assert_eq!(script.dialled(), ["origin-2"]);
    script.link(310, "origin-2", UP_AGAIN);
    assert_eq!(script.take().changed, ["origin"]);
}

#[test]
fn where_a_room_comes_from_now_is_followed_at_once_and_of_no_concern_where_nobody_hears_it() {
    let mut script = Script::new("edge-1", &["edge-1"]);
    let mut links = topology(&["edge-1"]);
    links.links.insert(node("origin-2"), vec!["127.0.0.1:7300".parse().unwrap()]);
    script.rooms.topology(links);
    let now = script.at(0);
    script.rooms.moved(now, &room(), root("origin-2", 9), &mut script.out);
    assert_eq!(script.rooms.len(), 0);
    script.listen(0);
    script.link(5, "origin", UP);
    script.take();
    script.rooms.moved(now, &room(), root("origin-2", 1), &mut script.out);
    assert_eq!(script.dialled(), [""; 0], "that is no newer one");
    script.rooms.moved(now, &room(), root("origin-2", 2), &mut script.out);
    assert_eq!(script.dialled(), ["origin-2"]);
}

#[test]
fn a_room_that_waits_is_silent_until_it_has_an_origin_which_is_then_asked_for_it() {
    let mut script = Script::new("edge-1", &["edge-1"]);
    let now = script.at(0);
    script.rooms.known(now, &room(), None);
    script.rooms.wanted(now, 1, &room(), &mut script.out);
    let out = script.take();
    assert_eq!((out.silent, out.dial.len()), (vec![(1, room(), true)], 0));
    script.rooms.known(now, &room(), None);
    script.rooms.wanted(now, 2, &room(), &mut script.out);
    assert_eq!(script.take().silent, [(2, room(), true)]);
    script.wait(20, 5_000);
    script.rooms.topology(topology(&["edge-1", "edge-2"]));
    script.wait(5_020, 10_000);
    let out = script.take();
    assert_eq!((out.silent.len(), out.dial.len()), (0, 0), "there is nobody to ask");

    let now = script.at(10_020);
    script.rooms.moved(now, &room(), root("origin", 1), &mut script.out);
    assert_eq!(script.dialled().len(), 1);
    script.wait(10_040, 10_200);
    let spoken = vec![(1, room(), false), (2, room(), false)];
    assert_eq!(script.take().silent, spoken);
    script.rooms.known(now, &room(), None);
    script.wait(10_220, 10_400);
    assert_eq!(script.take().silent, [], "a later listener's node may not have heard of it");
}

#[test]
fn a_room_that_waits_is_kept_only_while_it_has_a_listener_and_a_little_longer() {
    let mut script = Script::new("edge-1", &["edge-1"]);
    let now = script.at(0);
    script.rooms.known(now, &room(), None);
    script.rooms.wanted(now, 0, &room(), &mut script.out);
    script.wait(20, 40_000);
    assert_eq!(script.rooms.len(), 1);
    let now = script.at(40_000);
    script.rooms.unwanted(now, 0, &room(), &mut script.out);
    script.wait(40_020, 69_900);
    assert_eq!(script.rooms.len(), 1);
    script.wait(69_920, 70_200);
    assert_eq!(script.rooms.len(), 0);
}

#[test]
fn a_room_whose_origin_is_gone_is_silent_and_one_that_is_out_of_reach_is_not() {
    let mut script = Script::new("edge-1", &["edge-1"]);
    script.listen(0);
    script.link(5, "origin", UP);
    script.path(10, UP, 0, &["origin"]);
    script.take();
    let lost = script.at(1_000);
    script.rooms.parent_lost(lost, UP, &mut script.out);
    script.wait(1_020, 2_000);
    assert_eq!(script.take().silent, [], "others may hear it: whoever listens here goes there");

    let mut without = topology(&["edge-1"]);
    let origin = without.links.remove(&node("origin")).unwrap();
    script.rooms.topology(without.clone());
    script.wait(2_020, 2_200);
    assert_eq!(script.take().silent, [(0, room(), true)]);
    without.links.insert(node("origin-2"), origin);
    script.rooms.topology(without);
    let now = script.at(3_000);
    script.rooms.moved(now, &room(), root("origin-2", 2), &mut script.out);
    script.wait(3_020, 3_200);
    let out = script.take();
    assert_eq!((out.silent, &out.dial[0].0), (vec![(0, room(), false)], &node("origin-2")));
}

#[test]
fn rooms_without_a_parent_do_not_keep_the_others_from_theirs() {
    let mut script = Script::new("edge-1", &["edge-1"]);
    let now = script.at(0);
    let named = |name: &str| RoomId::new(name).unwrap();
    // As many rooms of an origin that nobody knows as fill several turns, and one more, last in order.
    for number in 0..100 {
        script.rooms.known(now, &named(&format!("a{number}")), Some(root("nowhere", 1)));
        script.rooms.wanted(now, 0, &named(&format!("a{number}")), &mut script.out);
    }
    script.rooms.known(now, &named("z"), Some(root("origin", 1)));
    script.rooms.wanted(now, 0, &named("z"), &mut script.out);
    assert_eq!(script.dialled(), ["origin"]);
    script.rooms.parent_failed(now, &node("origin"), &mut script.out);
    script.wait(20, 1_000);
    assert_eq!(script.dialled(), ["origin"]);
}

#[test]
fn a_link_that_is_renewed_takes_the_rooms_over_without_a_hole() {
    let mut script = Script::new("edge-1", &["edge-1"]);
    script.listen(0);
    script.link(5, "origin", UP);
    script.path(10, UP, 0, &["origin"]);
    script.take();
    script.rooms.renew_links(&mut script.out);
    assert_eq!(script.dialled(), ["origin"]);
    script.link(1_000, "origin", UP_AGAIN);
    let out = script.take();
    assert_eq!((out.up, out.changed), (vec![subscribed(UP_AGAIN, 1)], vec!["renewed"]));
    script.wait(1_000, 1_200);
    assert_eq!(script.take().hang_up, [], "it still carries the room");
    script.path(1_210, UP_AGAIN, 1, &["origin"]);
    assert_eq!(script.take().up, [unsubscribed(UP, 0)]);
    script.wait(1_220, 1_400);
    assert_eq!(script.take().hang_up, [UP]);
    let now = script.at(1_500);
    script.rooms.parent_lost(now, UP, &mut script.out);
    script.wait(1_500, 2_000);
    let out = script.take();
    assert_eq!((out.up, out.dial, out.changed), (vec![], vec![], vec![]), "nothing was lost with it");
}

#[test]
fn a_link_that_cannot_be_renewed_goes_on() {
    let mut script = Script::new("edge-1", &["edge-1"]);
    script.listen(0);
    script.link(5, "origin", UP);
    script.path(10, UP, 0, &["origin"]);
    script.rooms.renew_links(&mut script.out);
    script.take();
    let now = script.at(1_000);
    script.rooms.parent_failed(now, &node("origin"), &mut script.out);
    script.wait(1_000, 2_000);
    let out = script.take();
    assert_eq!((out.up, out.hang_up, out.changed), (vec![], vec![], vec![]));
}
