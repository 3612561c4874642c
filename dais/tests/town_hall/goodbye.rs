//! How it ends.

use protocol::token::Role;

use crate::socket::Socket;
use crate::tone::Tone;
use crate::town::Town;
use crate::webrtc_peer::{listen, speak};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_says_goodbye_to_everybody() {
    let town = Town::start().await;
    let speaker = speak(&town, "anna", Tone::Low).await;
    let listener = listen(&town, 3).await;
    let (mut socket, _) = Socket::join(&town, &town.token(Role::Listener, None)).await;
    listener.hears(Tone::Low).await;

    town.terminate();
    assert_eq!(socket.next_of("removed").await["reason"], "shutdown");
    assert_eq!(socket.next().await, None);
    speaker.peer.closed().await;
    listener.closed().await;
    assert_eq!(town.ended().await, Some(0));
}
