mod values;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::message::RoomState;
use protocol::token::Role;
use room::hall::{Note, Operation};
use room::{Action, Actor, Arrival, Plan};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::contract::servers::Server;
use crate::contract::store::{Entered, Ground, Halls, Refused, id, session, town};

async fn fresh(limits: Limits) -> Ground {
    let server = Server::redis();
    let store = store(server.address(), limits);
    let server = Mutex::new(server);
    Ground::new(store, limits, move |ms| server.lock().unwrap().advance(ms as i64))
}

crate::store_contract!(fresh);

fn store(at: SocketAddr, limits: Limits) -> Arc<RedisStore> {
    RedisStore::new(format!("redis://{at}").parse().unwrap(), "dais", limits).unwrap()
}

async fn enter(halls: &Halls, name: &str, role: Role) -> Result<Entered, Refused> {
    let arrival = Arrival { identity: id(name), name: name.into(), role, hidden: false, party: None };
    halls.enter(&town(), &arrival, &session(1)).await
}

/// Asks until there is an answer: a server that did not answer is left alone for a moment.
async fn once_it_answers<T, E: Into<Refused>>(ask: impl AsyncFn() -> Result<T, E>) -> T {
    loop {
        match ask().await.map_err(E::into) {
            Err(Refused::Store(StoreError::Unavailable(_))) => tokio::task::yield_now().await,
            answer => return answer.unwrap(),
        }
    }
}

/// Has the server do something that no store would.
async fn order(store: &RedisStore, words: &str) {
    let mut words = words.split(' ');
    let mut order = redis::cmd(words.next().unwrap());
    for word in words {
        order.arg(word);
    }
    store.connection.ask(&order).await.unwrap();
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_and_no_password_is_repeated() {
    for wrong in ["http://sesame@host", "redis://user:sesame@host:99999", "nonsense sesame", ""] {
        assert_eq!(wrong.parse::<RedisUrl>().unwrap_err(), NotRedis, "{wrong}");
    }
    let right: RedisUrl = "rediss://anna:sesame@10.0.0.1:6380/3".parse().unwrap();
    assert_eq!((right.host(), &*format!("{right:?}")), ("10.0.0.1", "RedisUrl(10.0.0.1)"));
}

#[tokio::test]
async fn what_is_kept_outlives_the_server_and_is_found_again_by_itself() {
    let mut server = Server::redis();
    let halls = Halls::new(store(server.address(), Limits::default()), 10);
    let hanna = enter(&halls, "hanna", Role::Host).await.unwrap();
    server.kill();
    assert!(matches!(
        enter(&halls, "lea", Role::Listener).await,
        Err(Refused::Store(StoreError::Unavailable(_)))
    ));
    server.restart();
    let room = once_it_answers(async || halls.room(&town()).await).await.unwrap();
    assert_eq!(room, hanna.acted.room);
    halls.resume(&town(), &hanna.ticket, &session(2)).await.unwrap();
    enter(&halls, "lea", Role::Listener).await.expect("the scripts are there again too");
}

#[tokio::test]
async fn a_store_that_may_have_lost_something_has_another_life() {
    let mut server = Server::redis();
    let store = store(server.address(), Limits::default());
    let owner = session(1).owner();
    let renew = async || store.renew(&owner).await;
    let first = renew().await.unwrap();
    let second = renew().await.unwrap();
    assert_eq!((first.good, second.good, &first.life), (false, true, &second.life));
    order(&store, "FLUSHALL").await;
    let emptied = renew().await.unwrap();
    assert!(!emptied.good && emptied.life != second.life, "{emptied:?}");
    server.kill();
    server.restart();
    let restarted = once_it_answers(renew).await;
    assert_ne!(restarted.life, emptied.life);
    assert_eq!(renew().await.unwrap().life, restarted.life);
}

#[tokio::test]
async fn a_server_that_is_silent_is_not_waited_for() {
    let server = Server::redis();
    let halls = Halls::new(store(server.address(), Limits::default()), 10);
    enter(&halls, "hanna", Role::Host).await.unwrap();
    server.stop();
    assert!(matches!(
        enter(&halls, "lea", Role::Listener).await,
        Err(Refused::Store(StoreError::Unavailable(_)))
    ));
    server.go_on();
    once_it_answers(async || enter(&halls, "leo", Role::Listener).await).await;
}

/// Between a store and its server: swallows an answer when told to, and cuts the connection instead.
async fn swallowing(server: SocketAddr, swallow: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (swallow, server) = (Arc::clone(&swallow), TcpStream::connect(server).await.unwrap());
            tokio::spawn(async move {
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let up = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
                let mut answer = [0; 65_536];
                while let Ok(length @ 1..) = from_server.read(&mut answer).await {
                    if swallow.swap(false, Ordering::Relaxed)
                        || to_client.write_all(&answer[..length]).await.is_err()
                    {
                        break;
                    }
                }
                up.abort();
            });
        }
    });
    at
}

#[tokio::test]
async fn what_was_done_although_the_answer_was_lost_is_done_once_and_answered_the_same() {
    let server = Server::redis();
    let swallow = Arc::new(AtomicBool::new(false));
    let through = swallowing(server.address(), Arc::clone(&swallow)).await;
    let store = store(through, Limits::default());
    let halls = Halls::new(store.clone(), 10);
    enter(&halls, "hanna", Role::Host).await.unwrap();
    enter(&halls, "lea", Role::Listener).await.unwrap();

    let raise = Operation::Act { actor: Actor::Participant(id("lea")), action: Action::RaiseHand };
    let town = town();
    let loaded = store.load(&town, None, &raise.concerns()).await.unwrap();
    let commit = halls.decide(&town, &loaded, &raise).unwrap().commit.unwrap();
    swallow.store(true, Ordering::Relaxed);
    let committed = store.commit(&town, &commit).await.unwrap().expect("it was free, and is ours");
    assert!(!swallow.load(Ordering::Relaxed), "an answer was swallowed");
    let before = loaded.room.unwrap().version();
    assert_eq!(committed.before, before);
    let room = halls.room(&town).await.unwrap().unwrap();
    assert_eq!((room.version(), room.hand_count()), (committed.version, 1));
}

#[tokio::test]
async fn garbage_under_a_key_is_named_and_harms_no_other_room() {
    let server = Server::redis();
    let store = store(server.address(), Limits::default());
    let halls = Halls::new(store.clone(), 10);
    let other = RoomId::new("other").unwrap();
    for (damage, named) in [
        ("HSET dais:{town}:room head nonsense", "head"),
        ("HSET dais:{town}:room head 7:{}", "head"),
        ("HSET dais:{town}:people lea 7:[]", "people"),
        ("HSET dais:{town}:room head 7:{\"v\":2}", "`head`: it is of version 2"),
        ("HSET dais:{town}:standing lea 7:{\"v\":2}", "`standing`: it is of version 2"),
        ("HSET dais:{town}:people lea 7:{\"v\":2}", "upgrade the node"),
        ("SET dais:{town}:people nonsense", "WRONGTYPE"),
        ("SET dais:{town}:room nonsense", "WRONGTYPE"),
        ("SET dais:{town}:names nonsense", "WRONGTYPE"),
        ("SET dais:{town}:hands nonsense", "WRONGTYPE"),
        ("SET dais:{town}:due nonsense", "WRONGTYPE"),
    ] {
        order(&store, "FLUSHALL").await;
        for room in [&other, &town()] {
            halls.create(room, &Actor::Admin, &Plan::default()).await.unwrap();
        }
        order(&store, damage).await;
        let error = enter(&halls, "lea", Role::Listener).await.unwrap_err();
        assert!(
            matches!(&error, Refused::Store(StoreError::Garbage(what)) if what.contains(named)),
            "{damage}: {error}"
        );
        assert_eq!(halls.room(&other).await.unwrap().unwrap().state(), RoomState::Live);
        assert!(halls.rooms(None, 9).await.unwrap().iter().any(|listed| listed.info.room == other));
        order(&store, "ZADD dais:due 1 town").await;
        assert_eq!(store.due().await.map(|due| due.iter().map(|(_, due)| due.len()).sum::<usize>()), Ok(0));
    }
}

#[tokio::test]
async fn garbage_where_a_node_keeps_its_rooms_is_gone_with_its_next_renewal() {
    let server = Server::redis();
    let store = store(server.address(), Limits::default());
    let halls = Halls::new(store.clone(), 10);
    let owner = session(1).owner();
    store.renew(&owner).await.unwrap();
    order(&store, &format!("SET dais:at:{} nonsense", wire::owner(&owner))).await;
    assert!(enter(&halls, "hanna", Role::Host).await.is_err());
    assert!(store.renew(&owner).await.unwrap().good);
    enter(&halls, "hanna", Role::Host).await.unwrap();
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_hides_no_other_and_is_not_taken_for_gone() {
    let mut server = Server::redis();
    let store = store(server.address(), Limits::default());
    let halls = Halls::new(store.clone(), 10);
    let owner = session(1).owner();
    store.renew(&owner).await.unwrap();
    enter(&halls, "hanna", Role::Host).await.unwrap();
    enter(&halls, "lea", Role::Listener).await.unwrap();
    order(&store, "HSET dais:{town}:people lea 2:{\"v\":2}").await;
    assert_eq!(halls.people(&town(), None, 9).await.unwrap().len(), 1);
    assert_eq!(store.sessions(&town(), &owner).await, Ok(vec![(id("hanna"), session(1))]));
    server.advance(2 * LEASE_MS as i64);
    assert_eq!(halls.reap().await, Ok(1));
    server.advance(CLAIM_MS as i64);
    assert_eq!(halls.reap().await, Ok(0));

    // A node that can read it finds it still there.
    order(&store, "HDEL dais:{town}:people lea").await;
    enter(&halls, "lea", Role::Listener).await.unwrap();
    server.advance(CLAIM_MS as i64);
    assert_eq!(halls.reap().await, Ok(1));
}

#[tokio::test]
async fn a_server_that_cannot_be_written_says_so_and_what_was_there_stays() {
    let server = Server::redis();
    let store = store(server.address(), Limits::default());
    let halls = Halls::new(store.clone(), 10);
    let hanna = enter(&halls, "hanna", Role::Host).await.unwrap();
    for (before, after) in [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
    ] {
        order(&store, before).await;
        let refused = enter(&halls, "lea", Role::Listener).await;
        assert!(matches!(refused, Err(Refused::Store(StoreError::Unavailable(_)))), "{before}: {refused:?}");
        let room = once_it_answers(async || halls.room(&town()).await).await;
        assert_eq!(room, Some(hanna.acted.room.clone()));
        order(&store, after).await;
        enter(&halls, "lea", Role::Listener).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_is_a_replica_for_a_moment_is_asked_again() {
    let server = Server::redis();
    let store = store(server.address(), Limits::default());
    let halls = Halls::new(store.clone(), 10);
    enter(&halls, "hanna", Role::Host).await.unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    order(&store, &format!("REPLICAOF 127.0.0.1 {}", nobody.local_addr().unwrap().port())).await;
    let late = tokio::spawn({
        let halls = Arc::clone(&halls);
        async move { enter(&halls, "lea", Role::Listener).await }
    });
    nobody.accept().unwrap();
    order(&store, "REPLICAOF NO ONE").await;
    late.await.unwrap().unwrap();
}

#[tokio::test]
async fn how_a_server_is_set_can_be_found_out() {
    let server = Server::redis();
    let store = store(server.address(), Limits::default());
    let good = store.condition().await.unwrap();
    let eviction = Some("noeviction".to_owned());
    assert_eq!((&good.eviction, good.appends, good.is_replica), (&eviction, Some(true), false));
    let major = good.version.split('.').next().unwrap().parse::<u32>();
    assert!(major.is_ok_and(|major| major >= 7), "{good:?}");
    for words in
        ["CONFIG SET maxmemory-policy allkeys-lru", "CONFIG SET appendonly no", "REPLICAOF 127.0.0.1 1"]
    {
        order(&store, words).await;
    }
    let eviction = Some("allkeys-lru".to_owned());
    let bad = Condition { eviction, appends: Some(false), is_replica: true, ..good };
    assert_eq!(store.condition().await, Ok(bad));
}

/// The town's stream of changes.
async fn notes(store: &RedisStore) -> Vec<(String, Note)> {
    let mut ask = redis::cmd("XRANGE");
    ask.arg("dais:{town}:changes").arg("-").arg("+");
    let notes: Vec<(String, Vec<String>)> =
        redis::from_redis_value(store.connection.ask(&ask).await.unwrap()).unwrap();
    notes.into_iter().map(|(number, note)| (number, serde_json::from_str(&note[1]).unwrap())).collect()
}

#[tokio::test]
async fn every_change_leaves_a_note_that_is_numbered_as_the_room_is() {
    let server = Server::redis();
    let store = store(server.address(), Limits::default());
    let halls = Halls::new(store.clone(), 10);
    enter(&halls, "hanna", Role::Host).await.unwrap();
    enter(&halls, "lea", Role::Listener).await.unwrap();
    let hanna = Actor::Participant(id("hanna"));
    let kicked = halls.act(&town(), &hanna, &Action::Kick { identity: id("lea") }).await.unwrap();
    let notes = notes(&store).await;
    let (number, last) = notes.last().unwrap();
    assert_eq!(*number, format!("{}-0", kicked.outcome.version));
    assert_eq!((&last.by, &last.changes), (&Some(hanna), &kicked.outcome.changes));
    assert_eq!(notes.len(), 2, "a listener's coming changes nothing that others must know");
}

#[tokio::test]
async fn of_two_changes_in_one_both_leave_their_notes() {
    let server = Server::redis();
    let store = store(server.address(), Limits::default());
    let halls = Halls::new(store.clone(), 10);
    enter(&halls, "hanna", Role::Host).await.unwrap();
    enter(&halls, "lea", Role::Listener).await.unwrap();
    let act = |who: &str, action| Operation::Act { actor: Actor::Participant(id(who)), action };
    let (raise, promote) =
        (act("lea", Action::RaiseHand), act("hanna", Action::Promote { identity: id("lea") }));
    let mut loaded = store.load(&town(), None, &promote.concerns()).await.unwrap();
    let raised = halls.decide(&town(), &loaded, &raise).unwrap();
    let mut commit = raised.commit.unwrap();
    loaded.room = commit.apply(loaded.room.as_deref(), u64::MAX).map(Arc::new);
    let promoted = halls.decide(&town(), &loaded, &promote).unwrap();
    commit.fold(promoted.commit.unwrap(), 0);

    let committed = store.commit(&town(), &commit).await.unwrap().expect("what the first sets is no matter");
    let room = halls.room(&town()).await.unwrap().unwrap();
    assert_eq!((room.version(), room.hand_count(), room.stage().len()), (committed.version, 0, 2));
    let notes = notes(&store).await;
    let [.., (first, raising), (second, promoting)] = &notes[..] else { panic!("{notes:?}") };
    assert_eq!([first, second], [&format!("{}-0", committed.number), &format!("{}-1", committed.number)]);
    assert_eq!((&raising.changes, &promoting.changes), (&raised.changes, &promoted.changes));
}

/// What is kept of a room, and for how long still, in ms.
async fn kept(store: &RedisStore, room: &RoomId) -> Vec<(String, i64)> {
    let mut all = redis::cmd("KEYS");
    all.arg(store.key(room, "*"));
    let mut keys: Vec<String> = redis::from_redis_value(store.connection.ask(&all).await.unwrap()).unwrap();
    keys.retain(|key| !key.contains(":done:"));
    keys.sort();
    let mut kept = Vec::new();
    for key in keys {
        let mut ask = redis::cmd("PTTL");
        ask.arg(&key);
        kept.push((key, redis::from_redis_value(store.connection.ask(&ask).await.unwrap()).unwrap()));
    }
    kept
}

#[tokio::test]
async fn a_room_lives_as_long_as_somebody_is_in_it_and_all_of_it_together() {
    let mut server = Server::redis();
    let store = store(server.address(), Limits::default());
    let halls = Halls::new(store.clone(), 10);
    // More rooms than are looked at at once, and one whose node is gone.
    let rooms: Vec<RoomId> =
        (0..2 * LOOKED_AT).map(|number| RoomId::new(&format!("r{number}")).unwrap()).collect();
    let left = RoomId::new("left").unwrap();
    for room in rooms.iter().chain([&left]) {
        let boot = if *room == left { 2 } else { 1 };
        for (number, name) in (1..).zip(["hanna", "lea"]) {
            let role = if name == "hanna" { Role::Host } else { Role::Listener };
            let party = Some(room::Party(7));
            let arrival = Arrival { identity: id(name), name: name.into(), role, hidden: false, party };
            halls.enter(room, &arrival, &Session { boot, ..session(number) }).await.unwrap();
        }
        let lea = Actor::Participant(id("lea"));
        halls.act(room, &lea, &Action::RaiseHand).await.unwrap();
        halls.act(room, &Actor::Admin, &Action::Ban { identity: id("mallory") }).await.unwrap();
    }
    let before = kept(&store, &rooms[0]).await;
    assert_eq!(before.len(), KEPT.len() - 1, "nothing is due: {before:?}");

    for _day in 0..4 {
        server.advance(wire::KEEP_MS as i64 * 2 / 3);
        // Each room has its turn, of thousands that a day has, but for once in 2^99.
        for _second in 0..99 {
            store.renew(&session(1).owner()).await.unwrap();
        }
    }
    let names = |kept: &[(String, i64)]| kept.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    for room in &rooms {
        let now = kept(&store, room).await;
        let key = |key: String| key.replace("{r0}", &format!("{{{room}}}"));
        assert_eq!(names(&now), names(&before).into_iter().map(key).collect::<Vec<_>>());
        assert!(now.iter().all(|(_, ms)| *ms > wire::KEEP_MS as i64 / 2), "{now:?}");
    }
    assert_eq!(kept(&store, &left).await, []);
}
