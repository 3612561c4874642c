//! The contract on a real server, and what only a bus over a network can meet.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::contract::servers::Server as RealServer;
use crate::{Heard, Message};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A bus with its driver, and perhaps its server.
struct Driven {
    bus: Arc<NatsBus>,
    driving: JoinHandle<std::convert::Infallible>,
    _server: Option<RealServer>,
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

#[async_trait]
impl Bus for Driven {
    async fn publish(&self, subject: &str, payload: Bytes) -> Result<(), BusError> {
        self.bus.publish(subject, payload).await
    }

    async fn subscribe(&self, subject: &str) -> Result<Subscription, BusError> {
        self.bus.subscribe(subject).await
    }

    async fn respond(&self, reply: &Reply, payload: Bytes) -> Result<(), BusError> {
        self.bus.respond(reply, payload).await
    }

    async fn request(&self, subject: &str, payload: Bytes, timeout: Duration) -> Result<Bytes, BusError> {
        self.bus.request(subject, payload, timeout).await
    }

    fn is_up(&self) -> bool {
        self.bus.is_up()
    }

    fn stats(&self) -> BusStats {
        self.bus.stats()
    }
}

async fn fresh() -> Arc<Driven> {
    let server = RealServer::nats();
    let driven = drive(config(&server), Some(server));
    driven.bus.reached().await;
    Arc::new(driven)
}

crate::bus_contract!(fresh);

fn config(server: &RealServer) -> NatsConfig {
    config_as("", server)
}

/// `who` as in `user:password@`.
fn config_as(who: &str, server: &RealServer) -> NatsConfig {
    let server = format!("nats://{who}{}", server.address()).parse().unwrap();
    NatsConfig { server, credentials: None, prefix: Prefix::default() }
}

fn drive(config: NatsConfig, server: Option<RealServer>) -> Driven {
    let (bus, driver) = NatsBus::new(config);
    Driven { bus, driving: tokio::spawn(driver.run()), _server: server }
}

async fn reached(driven: &Driven) {
    timeout(PATIENCE, driven.bus.reached()).await.expect("it is up in time");
}

/// Waits until it is down for a reason that contains this.
async fn down(driven: &Driven, because: &str) {
    let mut state = driven.bus.state.clone();
    let down = state.wait_for(|state| matches!(state, State::Down(why) if why.contains(because)));
    timeout(PATIENCE, down).await.expect("it is down in time").unwrap();
    assert!(!driven.is_up());
}

async fn next(subscription: &mut Subscription) -> Heard {
    timeout(PATIENCE, subscription.hear()).await.expect("it comes in time").unwrap()
}

fn said(subject: &str, payload: &'static str) -> Heard {
    Heard::Message(Message { subject: subject.into(), payload: payload.into(), reply: None })
}

async fn say(driven: &Driven, payload: &'static str) -> Result<(), BusError> {
    driven.publish("room.a", payload.into()).await
}

async fn ask(driven: &Driven) -> Result<Bytes, BusError> {
    timeout(PATIENCE, driven.request("room.a", Bytes::new(), PATIENCE)).await.expect("not until it is back")
}

/// A machine that is busy may lose the session once more: what is said into that is said again.
async fn hears_of_the_gap_and_then_only_what_is_new(driven: &Driven, subscription: &mut Subscription) {
    let mut was_told = false;
    loop {
        let _lost_again = say(driven, "new").await;
        match timeout(Duration::from_millis(500), subscription.hear()).await {
            Ok(Some(Heard::Gap)) => was_told = true,
            Ok(heard) => {
                assert_eq!(heard, Some(said("room.a", "new")));
                return assert!(was_told, "that something may have been missed");
            }
            Err(_) => reached(driven).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_later_is_waited_for() {
    let mut server = RealServer::nats();
    server.kill();
    let driven = drive(config(&server), None);
    let mut subscription = timeout(PATIENCE, driven.subscribe("room.a")).await.unwrap().unwrap();
    down(&driven, "refused").await;
    assert!(matches!(say(&driven, "lost").await, Err(BusError::Down(why)) if why.contains("refused")));
    assert!(matches!(ask(&driven).await, Err(BusError::Down(_))));
    server.restart();
    reached(&driven).await;
    say(&driven, "first").await.unwrap();
    assert_eq!(next(&mut subscription).await, Heard::Gap, "others may have spoken before");
    assert_eq!(next(&mut subscription).await, said("room.a", "first"));
    assert_eq!(driven.stats().published, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_subscriptions_live_and_nothing_stale_comes() {
    let mut server = RealServer::nats();
    let [speaker, listener] = [(); 2].map(|()| drive(config(&server), None));
    reached(&speaker).await;
    reached(&listener).await;
    let mut subscription = listener.subscribe("room.a").await.unwrap();
    for round in 0..3 {
        server.kill();
        // Until the loss is noticed words are taken, and lost; from then on they are refused.
        while say(&speaker, "stale").await.is_ok() {
            tokio::task::yield_now().await;
        }
        down(&listener, "").await;
        server.restart();
        reached(&speaker).await;
        reached(&listener).await;
        say(&speaker, "new").await.unwrap();
        assert_eq!(next(&mut subscription).await, Heard::Gap, "round {round}");
        assert_eq!(next(&mut subscription).await, said("room.a", "new"), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_session_never_connects_again() {
    let server = RealServer::nats();
    let driven = drive(config(&server), None);
    reached(&driven).await;
    let mut subscription = driven.subscribe("room.a").await.unwrap();
    let lost = driven.bus.session().unwrap();
    server.stop();
    down(&driven, "").await;
    server.go_on();
    reached(&driven).await;
    // Its client takes words until it has given up. They go nowhere.
    let give_up = async { while lost.client.publish("dais.room.a", "stale".into()).await.is_ok() {} };
    timeout(PATIENCE, give_up).await.expect("it gives up");
    hears_of_the_gap_and_then_only_what_is_new(&driven, &mut subscription).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_is_noticed_and_nobody_waits_for_it() {
    let server = RealServer::nats();
    let driven = drive(config(&server), None);
    reached(&driven).await;
    let mut subscription = driven.subscribe("room.a").await.unwrap();
    server.stop();
    // Whoever asks now is told when it is noticed, not when they are out of patience. (The server has the
    // request in its socket and may pass it on when it goes on: it is asked of somebody who is not there.)
    let asked = timeout(PATIENCE, driven.request("node.gone", Bytes::new(), PATIENCE)).await;
    assert!(matches!(asked.expect("not until it is back"), Err(BusError::Down(_))));
    assert!(!driven.is_up());
    let refused = timeout(PATIENCE, say(&driven, "stale")).await.unwrap();
    assert!(matches!(refused, Err(BusError::Down(_))));
    server.go_on();
    reached(&driven).await;
    hears_of_the_gap_and_then_only_what_is_new(&driven, &mut subscription).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_is_not_held_up_by_a_server_that_stops() {
    let server = RealServer::nats();
    let driven = drive(config(&server), None);
    reached(&driven).await;
    server.stop();
    let flood = async { while driven.publish("room.a", vec![0; 1 << 16].into()).await.is_ok() {} };
    timeout(PATIENCE, flood).await.expect("it ends with the session, however full everything is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_credentials_are_shown_and_tried_again() {
    let mut server = RealServer::nats_with("\nauthorization { user: anna, password: \"a/b%c\" }\n");
    let wrong = drive(config_as("anna:wrong@", &server), None);
    down(&wrong, "refuses the credentials").await;
    assert!(matches!(say(&wrong, "never").await, Err(BusError::Down(why)) if !why.contains("wrong@")));
    let right = drive(config_as("anna:a%2Fb%25c@", &server), None);
    reached(&right).await;
    server.kill();
    server.restart_with("authorization { user: anna, password: wrong }");
    reached(&wrong).await;
    down(&right, "refuses the credentials").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_an_nkey_and_a_credentials_file_open_the_door() {
    let token = RealServer::nats_with("\nauthorization { token: sesame }\n");
    reached(&drive(config_as("sesame@", &token), None)).await;

    let pair = nkeys::KeyPair::new_user();
    let users = format!("\nauthorization {{ users: [ {{ nkey: {} }} ] }}\n", pair.public_key());
    let server = RealServer::nats_with(&users);
    let seed = pair.seed().unwrap();
    let credentials = Some(format!("{seed}\n").parse().unwrap());
    reached(&drive(NatsConfig { credentials, ..config(&server) }, None)).await;
    down(&drive(config(&server), None), "refuses the credentials").await;
}

#[test]
fn a_credentials_file_is_a_jwt_with_its_seed_or_a_seed() {
    let seed = nkeys::KeyPair::new_user().seed().unwrap();
    let file = format!(
        "-----BEGIN NATS USER JWT-----\neyJ0.eyJq.c2ln\n------END NATS USER JWT------\n\n\
         *** IMPORTANT ***\n\n-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    );
    let auth = |text: &str| text.parse::<Credentials>().unwrap().sign(b"nonce").unwrap();
    assert_eq!((auth(&file).jwt.as_deref(), auth(&file).nkey), (Some("eyJ0.eyJq.c2ln"), None));
    assert!(auth(&seed).jwt.is_none() && auth(&seed).nkey.unwrap().starts_with('U'));
    assert_eq!(auth(&file).signature, auth(&seed).signature);
    let no_seed = "-----BEGIN NATS USER JWT-----\neyJ0.eyJq.c2ln\n";
    for bad in ["", "SUwrong", "one\ntwo", no_seed] {
        let error = bad.parse::<Credentials>().unwrap_err();
        assert!(bad.is_empty() || !format!("{error:#}").contains(bad), "{error:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systems_with_different_prefixes_do_not_hear_each_other() {
    let server = RealServer::nats();
    let ours = drive(config(&server), None);
    let theirs = drive(NatsConfig { prefix: "theirs".parse().unwrap(), ..config(&server) }, None);
    reached(&ours).await;
    reached(&theirs).await;
    let mut subscription = ours.subscribe("room.a").await.unwrap();
    say(&theirs, "theirs").await.unwrap();
    assert_eq!(
        theirs.request("room.a", Bytes::new(), PATIENCE).await,
        Err(BusError::NoResponder("room.a".into()))
    );
    say(&ours, "ours").await.unwrap();
    assert_eq!(next(&mut subscription).await, said("room.a", "ours"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_ends_ends_its_subscriptions() {
    let server = RealServer::nats();
    let driven = drive(config(&server), None);
    reached(&driven).await;
    let mut subscription = driven.subscribe("room.a").await.unwrap();
    driven.driving.abort();
    assert_eq!(timeout(PATIENCE, subscription.hear()).await.unwrap(), None);
    assert!(driven.subscribe("room.a").await.is_err());
}

#[test]
fn a_server_is_shown_without_its_password() {
    let server: Server = "nats://anna:secret@[::1]:4333".parse().unwrap();
    assert_eq!((format!("{server}"), format!("{server:?}")), ("nats://::1:4333".into(), server.to_string()));
    for bad in ["", "ws://host", "http://host", "nats://", "nats://anna:secret@", "nats://a b"] {
        let error = bad.parse::<Server>().unwrap_err();
        assert!(!error.to_string().contains("secret"), "{bad}");
    }
    assert!("a.b".parse::<Prefix>().is_err() && "".parse::<Prefix>().is_err());
}
