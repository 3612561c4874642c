use std::time::SystemTime;

use protocol::frame::{self, Frame};
use protocol::node::NodeKind;
use protocol::{Epoch, RoomId, SpeakerNumber, VoiceId};
use tokio::task::JoinHandle;

use super::*;
use crate::{Authority, Believed, Credentials, LinkIdentity, identity};

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn bind(authority: &Authority, name: &str, kind: NodeKind) -> Links {
    Links::bind("127.0.0.1:0".parse().unwrap(), authority.issue(&node(name), kind).unwrap().into()).unwrap()
}

/// One of a build that speaks these versions.
fn speaking(authority: &Authority, name: &str, kind: NodeKind, versions: &[u16]) -> Links {
    let identity = authority.issue(&node(name), kind).unwrap();
    let versions = Versions::of(versions.iter().copied());
    Links::speaking(versions, "127.0.0.1:0".parse().unwrap(), identity.into()).unwrap()
}

/// One side of a running link.
struct Side<Out, In> {
    handle: LinkHandle<Out>,
    heard: mpsc::UnboundedReceiver<Event<In>>,
    end: JoinHandle<LinkError>,
}

impl<Out, In> Side<Out, In>
where
    Out: serde::Serialize + Send + 'static,
    In: serde::de::DeserializeOwned + Send + 'static,
{
    fn run(link: Link<Out, In>) -> Self {
        let (tell, heard) = mpsc::unbounded_channel();
        let handle = link.handle();
        let end = tokio::spawn(link.run(move |event| drop(tell.send(event))));
        Self { handle, heard, end }
    }

    async fn message(&mut self) -> In {
        loop {
            if let Event::Message(message) = self.heard.recv().await.unwrap() {
                return message;
            }
        }
    }

    async fn datagram(&mut self, wanted: impl Fn(&Datagram) -> bool) -> Datagram {
        loop {
            match self.heard.recv().await.unwrap() {
                Event::Datagram(datagram) if wanted(&datagram) => return datagram,
                _ => {}
            }
        }
    }
}

async fn linked() -> (Side<ChildMessage, ParentMessage>, Side<ParentMessage, ChildMessage>, [Links; 2]) {
    let authority = Authority::ephemeral().unwrap();
    let parent = bind(&authority, "origin-1", NodeKind::Origin);
    let child = bind(&authority, "edge-1", NodeKind::Edge);
    let name = node("origin-1");
    let accepting = parent.clone();
    let down = tokio::spawn(async move { accepting.accept().await.unwrap().link().await });
    let up = Side::run(child.dial(parent.local_addr(), &name).await.unwrap());
    // The stream shows itself to the parent with the first message.
    up.handle.send(subscribe());
    (up, Side::run(down.await.unwrap().unwrap()), [parent, child])
}

fn subscribe() -> ChildMessage {
    let room = RoomId::new("all-hands").unwrap();
    ChildMessage::Subscribe { room, channel: 1, origin: node("origin-1"), epoch: Epoch(1) }
}

fn audio() -> Bytes {
    let frame = Frame {
        epoch: Epoch(1),
        number: 7,
        timestamp: 960,
        speaker: SpeakerNumber(1),
        voice: VoiceId::new(0).unwrap(),
        level: 20,
        payload: Bytes::from_static(b"opus"),
    };
    let mut datagram = Vec::new();
    frame::write(1, &[frame], &mut datagram);
    datagram.into()
}

#[tokio::test]
async fn both_sides_know_each_other_and_pass_messages_audio_and_heartbeats() {
    let (mut up, mut down, _links) = linked().await;
    assert_eq!(up.handle.remote(), &Remote { node: node("origin-1"), kind: NodeKind::Origin });
    assert_eq!(down.handle.remote(), &Remote { node: node("edge-1"), kind: NodeKind::Edge });
    assert_eq!(down.message().await, subscribe());

    let path = ParentMessage::Path { channel: 1, nodes: vec![node("origin-1")], epoch: Epoch(1) };
    down.handle.send(path.clone());
    assert_eq!(up.message().await, path);

    down.handle.send_datagram(audio());
    up.datagram(|datagram| matches!(datagram, Datagram::Frames { channel: 1, .. })).await;
    up.handle.set_loss_permille(50);
    down.datagram(|d| matches!(d, Datagram::Heartbeat(beat) if beat.loss_permille == 50)).await;
}

#[tokio::test]
async fn a_future_version_is_counted_and_the_link_goes_on() {
    let (mut up, down, _links) = linked().await;
    down.handle.send_datagram(Bytes::from_static(&[frame::VERSION + 1, 2, 3]));
    down.handle.send_datagram(Bytes::from_static(&[frame::VERSION, 2, 3]));
    down.handle.send_datagram(audio());
    up.datagram(|datagram| matches!(datagram, Datagram::Frames { .. })).await;
    let stats = up.handle.stats();
    assert_eq!((stats.unknown_version.load(Relaxed), stats.malformed.load(Relaxed)), (1, 1));
}

#[tokio::test]
async fn a_closed_link_ends_on_both_sides() {
    let (up, down, _links) = linked().await;
    up.handle.close("done");
    assert_eq!(down.end.await.unwrap().reason(), "connection");
    assert_eq!(up.end.await.unwrap().reason(), "connection");
}

#[tokio::test]
async fn nobody_of_another_cluster_and_nobody_else_than_was_dialled() {
    let (ours, theirs) = (Authority::ephemeral().unwrap(), Authority::ephemeral().unwrap());
    let parent = bind(&ours, "origin-1", NodeKind::Origin);
    let accepting = parent.clone();
    let accepted = tokio::spawn(async move {
        let mut reasons = Vec::new();
        for _ in 0..3 {
            let link = accepting.accept().await.unwrap().link().await;
            reasons.push(link.err().map(|error| error.reason()));
        }
        reasons
    });
    let stranger = bind(&theirs, "edge-1", NodeKind::Edge);
    assert_eq!(
        stranger.dial(parent.local_addr(), &node("origin-1")).await.err().unwrap().reason(),
        "connection"
    );
    let child = bind(&ours, "edge-1", NodeKind::Edge);
    assert_eq!(child.dial(parent.local_addr(), &node("origin-2")).await.err().unwrap().reason(), "stranger");
    let peer = bind(&ours, "origin-2", NodeKind::Origin);
    let dialled = peer.dial(parent.local_addr(), &node("origin-1")).await;
    assert_eq!(accepted.await.unwrap(), [Some("connection"), Some("connection"), Some("stranger")]);
    drop(dialled);
}

#[tokio::test]
async fn nothing_is_kept_of_whoever_has_not_shown_that_they_hear_us() {
    let authority = Authority::ephemeral().unwrap();
    let parent = bind(&authority, "origin-1", NodeKind::Origin);
    let child = bind(&authority, "edge-1", NodeKind::Edge);
    let accepting = parent.clone();
    let accepted = tokio::spawn(async move { accepting.accept().await });
    let between = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = between.local_addr().unwrap();
    let dialling = tokio::spawn(async move { child.dial(addr, &node("origin-1")).await.is_ok() });
    let mut packet = [0; 2_048];
    let (length, _) = between.recv_from(&mut packet).await.unwrap();
    between.send_to(&packet[..length], parent.local_addr()).await.unwrap();
    let (answer, _) = between.recv_from(&mut packet).await.unwrap();
    // A long header of type Retry (RFC 9000 §17.2.5), and less than came.
    assert_eq!(packet[0] & 0xf0, 0xf0);
    assert!(answer < length);
    assert!(!accepted.is_finished());
    dialling.abort();
}

/// Which authorities are believed, and which one has issued.
fn identity(name: &str, kind: NodeKind, believed: &[&Authority], issuer: &Authority) -> LinkIdentity {
    let (now, day) = (SystemTime::now(), Duration::from_secs(86_400));
    let believed: String = believed.iter().map(|authority| identity::pem(authority.certificate())).collect();
    let own = issuer.issue_pem(&Remote { node: node(name), kind }, now, day).unwrap();
    LinkIdentity::from_pem(Believed::from_pem(believed.as_bytes()).unwrap(), own.as_bytes(), now).unwrap()
}

#[tokio::test]
async fn links_outlive_a_new_certificate_and_end_with_the_authority_of_the_other_side() {
    let [old, new] =
        [0, 1].map(|_| Authority::generate(SystemTime::now(), Duration::from_secs(86_400)).unwrap());
    let of = |believed: &[&Authority], issuer| identity("origin-1", NodeKind::Origin, believed, issuer);
    let (renew, credentials) = Credentials::renewable(of(&[&old], &old));
    let parent = Links::bind("127.0.0.1:0".parse().unwrap(), credentials).unwrap();
    let child_of = |believed: &[&Authority], issuer| {
        let credentials = identity("edge-1", NodeKind::Edge, believed, issuer).into();
        Links::bind("127.0.0.1:0".parse().unwrap(), credentials).unwrap()
    };
    let link = async |child: &Links| {
        let accepting = parent.clone();
        let down = tokio::spawn(async move { accepting.accept().await.unwrap().link().await });
        let up = child.dial(parent.local_addr(), &node("origin-1")).await?;
        let up = Side::run(up);
        up.handle.send(subscribe());
        Ok::<_, LinkError>((up, Side::run(down.await.unwrap().unwrap())))
    };
    let goes_on = async |up: &mut Side<ChildMessage, ParentMessage>,
                         down: &Side<ParentMessage, ChildMessage>| {
        // Both sides have looked before what is sent after two heartbeats arrives.
        for _ in 0..2 {
            up.datagram(|datagram| matches!(datagram, Datagram::Heartbeat(_))).await;
        }
        down.handle.send_datagram(audio());
        up.datagram(|datagram| matches!(datagram, Datagram::Frames { .. })).await;
    };

    let first = child_of(&[&old], &old);
    let (mut up, down) = link(&first).await.unwrap();
    renew.send_replace(Arc::new(of(&[&old, &new], &old)));
    goes_on(&mut up, &down).await;
    let second = child_of(&[&old, &new], &new);
    let (mut next, next_down) = link(&second).await.unwrap();
    renew.send_replace(Arc::new(of(&[&old, &new], &new)));
    goes_on(&mut up, &down).await;
    goes_on(&mut next, &next_down).await;
    renew.send_replace(Arc::new(of(&[&new], &new)));
    assert_eq!(down.end.await.unwrap().reason(), "certificate");
    assert_eq!(up.end.await.unwrap().reason(), "connection");
    goes_on(&mut next, &next_down).await;
    assert!(first.dial(parent.local_addr(), &node("origin-1")).await.is_err());
}

#[tokio::test]
async fn a_side_that_goes_silent_without_a_word_is_lost() {
    let authority = Authority::ephemeral().unwrap();
    let parent = bind(&authority, "origin-1", NodeKind::Origin);
    let child = bind(&authority, "edge-1", NodeKind::Edge);
    let accepting = parent.clone();
    let down = tokio::spawn(async move { accepting.accept().await.unwrap().link().await });
    let up = Side::run(child.dial(parent.local_addr(), &node("origin-1")).await.unwrap());
    up.handle.send(subscribe());
    // Nobody runs the parent's side: QUIC answers, but no heart beats.
    let _silent = down.await.unwrap().unwrap();
    assert_eq!(up.end.await.unwrap().reason(), "silent");
}

#[tokio::test]
async fn processes_of_one_cluster_key_link_and_others_do_not() {
    let [ours, also_ours, theirs] =
        [&b"our key"[..], b"our key", b"their key"].map(|key| Authority::of_cluster(key).unwrap());
    let parent = bind(&ours, "origin-1", NodeKind::Origin);
    let accepting = parent.clone();
    let down = tokio::spawn(async move {
        loop {
            if let Ok(link) = accepting.accept().await.unwrap().link().await {
                break link;
            }
        }
    });
    let name = node("origin-1");
    let stranger = bind(&theirs, "edge-1", NodeKind::Edge);
    assert!(stranger.dial(parent.local_addr(), &name).await.is_err());
    let child = bind(&also_ours, "edge-2", NodeKind::Edge);
    let up = Side::run(child.dial(parent.local_addr(), &name).await.unwrap());
    up.handle.send(subscribe());
    let mut down = Side::run(down.await.unwrap());
    assert_eq!(down.message().await, subscribe());
}

#[tokio::test]
async fn while_the_cluster_key_changes_old_and_new_processes_link() {
    let of = |key: &[u8]| Authority::of_cluster(key).unwrap();
    let (old, new) = (&b"old"[..], &b"new"[..]);
    let [before, next] = [(old, new), (new, old)].map(|(own, other)| of(own).and_believes(other).unwrap());
    for (parent, child) in [(&of(old), &before), (&of(new), &next), (&before, &next)] {
        let parent = bind(parent, "origin-1", NodeKind::Origin);
        let accepting = parent.clone();
        let down = tokio::spawn(async move { accepting.accept().await.unwrap().link().await });
        let child = bind(child, "edge-1", NodeKind::Edge);
        let up = Side::run(child.dial(parent.local_addr(), &node("origin-1")).await.unwrap());
        up.handle.send(subscribe());
        let mut down = Side::run(down.await.unwrap().unwrap());
        assert_eq!(down.message().await, subscribe());
    }
}

#[tokio::test]
async fn the_highest_version_is_spoken_that_both_know() {
    let authority = Authority::ephemeral().unwrap();
    for (theirs, ours, agreed) in
        [([1, 2, 3], [2, 3, 4], 3), ([2, 3, 4], [1, 2, 3], 3), ([1, 5, 9], [0, 1, 7], 1)]
    {
        let parent = speaking(&authority, "origin-1", NodeKind::Origin, &theirs);
        let child = speaking(&authority, "edge-1", NodeKind::Edge, &ours);
        let accepting = parent.clone();
        let down = tokio::spawn(async move { accepting.accept().await.unwrap().link().await });
        let up = Side::run(child.dial(parent.local_addr(), &node("origin-1")).await.unwrap());
        up.handle.send(subscribe());
        let down = down.await.unwrap().unwrap();
        assert_eq!((up.handle.version(), down.handle().version()), (agreed, agreed));
    }
}

#[tokio::test]
async fn without_a_common_version_both_learn_what_the_other_speaks_and_others_link() {
    let authority = Authority::ephemeral().unwrap();
    let parent = speaking(&authority, "origin-1", NodeKind::Origin, &[1]);
    let newer = speaking(&authority, "edge-1", NodeKind::Edge, &[2, 3]);
    let child = bind(&authority, "edge-2", NodeKind::Edge);
    let (accepting, name) = (parent.clone(), node("origin-1"));
    let accepted = tokio::spawn(async move {
        let refused = accepting.accept().await.unwrap().link().await;
        (refused, accepting.accept().await.unwrap().link().await)
    });
    let refused = newer.dial(parent.local_addr(), &name).await;
    let up = Side::run(child.dial(parent.local_addr(), &name).await.unwrap());
    up.handle.send(subscribe());
    let (down, taken) = accepted.await.unwrap();
    let mut taken = Side::run(taken.unwrap());
    let said = |error: LinkError| (error.reason(), error.to_string());
    let begins = "no common version of the protocol: we speak";
    assert_eq!(said(refused.err().unwrap()), ("version", format!("{begins} 3, 2, origin-1 speaks 1")));
    assert_eq!(said(down.err().unwrap()), ("version", format!("{begins} 1, edge-1 speaks 3, 2")));
    assert_eq!(taken.message().await, subscribe());
}
