//! What comes in over links between nodes and cannot be used.

use bytes::Bytes;
use protocol::link::ChildMessage;
use protocol::{Epoch, NodeId, RoomId, frame};
use transport::{Authority, LinkIdentity, Links};

use crate::bad_input::{Counter, TownHall, bad_input};
use crate::town::ROOM;
use crate::within::Within;

#[tokio::test(flavor = "multi_thread")]
async fn bad_datagrams_on_a_link() {
    let (town, within) = Within::start().await;
    let hall = TownHall::begin_in(town).await;
    let origin = NodeId::new("origin-1").expect("a name");
    let links = bound(within.another_edge());
    let link = links.dial(within.origin_link, &origin).await.expect("the origin takes it");
    let handle = link.handle();
    let running = tokio::spawn(link.run(|_| {}));
    // The first message opens the control stream; until then there is no link.
    let room = RoomId::new(ROOM).expect("a room");
    handle.send(ChildMessage::Subscribe { room, channel: 1, origin: origin.clone(), epoch: Epoch(0) });

    let future = Bytes::from(vec![frame::VERSION + 1; 40]);
    hall.goes_on_when("a relay frame of a future version", bad_input("relay_version"), async |_| {
        handle.send_datagram(future);
    })
    .await;
    let truncated = Bytes::from_static(&[frame::VERSION, 1, 0, 0, 0, 0, 7]);
    hall.goes_on_when("a truncated relay frame", bad_input("relay_malformed"), async |_| {
        handle.send_datagram(truncated);
    })
    .await;
    running.abort();

    let stranger = Authority::ephemeral().expect("an authority");
    let stranger = stranger.issue(&NodeId::new("edge-9").expect("a name"), protocol::node::NodeKind::Edge);
    let links = bound(stranger.expect("a certificate"));
    let refused = Counter("dais_link_refused_total", "reason", "connection");
    hall.goes_on_when("a link from another cluster", refused, async |_| {
        assert!(links.dial(within.origin_link, &origin).await.is_err());
    })
    .await;
}

fn bound(identity: LinkIdentity) -> Links {
    Links::bind("127.0.0.1:0".parse().expect("an address"), identity.into()).expect("a free port")
}
