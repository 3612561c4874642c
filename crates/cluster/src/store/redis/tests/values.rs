//! What is kept, as this version writes it: recorded, so that whoever changes a value sees that nodes of another
//! version share it, and whoever brings the next version shows that it reads this one.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::id::{Epoch, NodeId, SpeakerNumber};
use room::hall::HallError;
use room::lease::LEASE_MS;
use room::limits::{AWAY_MS, ENDED_MS};
use room::{Party, Refusal, Secret, Ticket};
use serde::{Deserialize, Serialize};

use super::*;

/// What there is under each key.
const RECORDED: &str = include_str!("values.v1.json");

/// When it was recorded, in ms of Unix time.
const AT: u64 = 1_800_000_000_000;

/// What is kept under a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kept {
    String(String),
    Hash(BTreeMap<String, String>),
    Set(Vec<String>),
    Zset(Vec<(String, String)>),
    Stream(Vec<(String, Vec<String>)>),
}

async fn ask<T: redis::FromRedisValue>(store: &RedisStore, words: &[&str]) -> T {
    let mut ask = redis::cmd(words[0]);
    ask.arg(&words[1..]);
    redis::from_redis_value(store.connection.ask(&ask).await.unwrap()).unwrap()
}

/// All that is kept, but for answers to commits and what is drawn at random.
async fn dump(store: &RedisStore) -> BTreeMap<String, Kept> {
    let mut dump = BTreeMap::new();
    for key in ask::<Vec<String>>(store, &["KEYS", "*"]).await {
        let kind: String = ask(store, &["TYPE", &key]).await;
        let kept = match &*kind {
            _ if key.contains(":done:") || key == "dais:life" => continue,
            "string" => Kept::String(ask(store, &["GET", &key]).await),
            "hash" => Kept::Hash(ask(store, &["HGETALL", &key]).await),
            "set" => Kept::Set(ask(store, &["SMEMBERS", &key]).await),
            "zset" => Kept::Zset(ask(store, &["ZRANGE", &key, "0", "-1", "WITHSCORES"]).await),
            "stream" => Kept::Stream(ask(store, &["XRANGE", &key, "-", "+"]).await),
            other => panic!("{key} is a {other}"),
        };
        dump.insert(key, kept);
    }
    dump
}

/// Puts it into an empty server.
async fn restore(store: &RedisStore, dump: &BTreeMap<String, Kept>) {
    for (key, kept) in dump {
        match kept {
            Kept::String(value) => ask::<()>(store, &["SET", key, value]).await,
            Kept::Hash(fields) => {
                for (field, value) in fields {
                    ask::<()>(store, &["HSET", key, field, value]).await;
                }
            }
            Kept::Set(members) => {
                for member in members {
                    ask::<()>(store, &["SADD", key, member]).await;
                }
            }
            Kept::Zset(members) => {
                for (member, score) in members {
                    ask::<()>(store, &["ZADD", key, score, member]).await;
                }
            }
            Kept::Stream(entries) => {
                for (id, fields) in entries {
                    let mut words = vec!["XADD", key, id];
                    words.extend(fields.iter().map(String::as_str));
                    ask::<()>(store, &words).await;
                }
            }
        }
    }
}

/// With one time for all times: a server's clock goes on while something is done.
fn timeless(dump: &BTreeMap<String, Kept>) -> String {
    let text = serde_json::to_string_pretty(dump).unwrap();
    let is_digit = |c: char| c.is_ascii_digit();
    let mut timeless = String::new();
    for piece in text.split_inclusive(|c| !is_digit(c)) {
        let digits = piece.trim_end_matches(|c| !is_digit(c));
        let is_time = digits.len() == AT.to_string().len();
        timeless.push_str(if is_time { "time" } else { digits });
        timeless.push_str(&piece[digits.len()..]);
    }
    timeless
}

fn secret(of: &str, number: u128) -> Secret {
    let name = of.bytes().fold(0, |all, byte| all << 8 | u128::from(byte));
    Secret(name << 64 | number)
}

fn ticket(of: &str) -> String {
    Ticket { identity: id(of), secret: secret(of, 1) }.to_string()
}

fn other() -> RoomId {
    RoomId::new("other").unwrap()
}

/// A server whose clock begins then.
fn server_at(ms: u64) -> Server {
    let mut server = Server::redis();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    server.advance(ms as i64 - now as i64);
    server
}

/// A room in which everything has happened that leaves something, and one that is over.
async fn evening(server: &mut Server, halls: &Halls) {
    let enter = async |room: &RoomId, name: &str, role, number, party: Option<u64>, hidden| {
        let party = party.map(Party);
        let arrival = Arrival { identity: id(name), name: name.to_uppercase(), role, hidden, party };
        let enter = Operation::Enter { arrival, session: session(number), secret: secret(name, 1) };
        halls.run(room, &enter).await.unwrap();
    };
    let act = async |room: &RoomId, who: &str, action| {
        halls.act(room, &Actor::Participant(id(who)), &action).await.unwrap();
    };
    enter(&other(), "olga", Role::Host, 1, None, false).await;
    act(&other(), "olga", Action::Ban { identity: id("mallory") }).await;
    act(&other(), "olga", Action::End).await;
    server.advance(ENDED_MS as i64);
    halls.expire().await.unwrap();

    let town = town();
    let plan = Plan { title: Some("All hands".into()), seats: Some(5), live: Some(true) };
    halls.create(&town, &Actor::Admin, &plan).await.unwrap();
    enter(&town, "hanna", Role::Host, 1, None, false).await;
    for (number, name) in (2..).zip(["sam", "dora"]) {
        enter(&town, name, Role::Speaker, number, None, false).await;
    }
    for (number, name) in (4..).zip(["lea", "kim", "nora", "mallory", "karl"]) {
        enter(&town, name, Role::Listener, number, Some(7), false).await;
    }
    enter(&town, "recorder", Role::Listener, 9, None, true).await;
    act(&town, "hanna", Action::Mute { identity: Some(id("sam")) }).await;
    act(&town, "hanna", Action::Demote { identity: Some(id("dora")) }).await;
    act(&town, "lea", Action::RaiseHand).await;
    act(&town, "hanna", Action::Promote { identity: id("nora") }).await;
    act(&town, "hanna", Action::Ban { identity: id("mallory") }).await;
    act(&town, "hanna", Action::Kick { identity: id("karl") }).await;
    halls.cut(&town, &id("kim"), &session(5), true).await.unwrap();
    halls.assign_origin(&town, &NodeId::new("o1").unwrap(), None).await.unwrap();
    halls.renew(&session(1).owner()).await.unwrap();
}

#[tokio::test]
async fn values_are_written_as_they_were_recorded() {
    let mut server = server_at(AT - ENDED_MS);
    let store = store(server.address(), Limits::default());
    evening(&mut server, &Halls::new(store.clone(), 100)).await;
    let (now, recorded) = (dump(&store).await, serde_json::from_str(RECORDED).unwrap());
    assert!(
        timeless(&now) == timeless(&recorded),
        "what is kept is another version now (docs/protocol.md says what that takes):\n{}",
        serde_json::to_string_pretty(&now).unwrap()
    );
}

#[tokio::test]
async fn recorded_values_are_read_and_decided_on() {
    goes_on_with(RECORDED).await;
}

#[tokio::test]
async fn values_of_before_there_were_versions_are_read_too() {
    let before = RECORDED.replace(r#"\"v\":1,"#, "");
    assert_ne!(before, RECORDED);
    goes_on_with(&before).await;
}

/// The evening goes on with what was recorded of it.
async fn goes_on_with(recorded: &str) {
    let mut server = server_at(AT);
    let store = store(server.address(), Limits::default());
    restore(&store, &serde_json::from_str(recorded).unwrap()).await;
    let halls = Halls::new(store.clone(), 100);
    let town = town();

    let room = halls.room(&town).await.unwrap().unwrap();
    let stage: Vec<_> = room.members().into_iter().map(|it| (it.identity, it.number.0, it.muted)).collect();
    assert_eq!(stage, [(id("hanna"), 1, false), (id("sam"), 2, true)]);
    assert_eq!((room.info().title.as_str(), room.info().seats), ("All hands", 5));
    assert_eq!(room.origin(), Some((&NodeId::new("o1").unwrap(), Epoch(1))));
    assert!(room.place(&id("lea")).hand && room.hand_count() == 1);
    let people = halls.people(&town, None, 99).await.unwrap();
    let people: Vec<_> = people.iter().map(|person| person.name.as_str()).collect();
    assert_eq!(people, ["DORA", "HANNA", "KIM", "LEA", "NORA", "SAM"]);
    let owner = session(1).owner();
    assert_eq!(store.sessions(&town, &owner).await.unwrap().len(), 6, "with the recorder, without kim");
    assert_eq!(store.next_epoch(Epoch(0)).await.unwrap(), Epoch(2));

    // What was decided holds.
    assert_eq!(enter(&halls, "mallory", Role::Host).await, Err(Refusal::Banned.into()));
    let gone = halls.resume(&town, &ticket("karl"), &session(20)).await;
    assert!(matches!(gone, Err(Refused::Hall(HallError::Over(_)))), "{gone:?}");
    halls.resume(&town, &ticket("kim"), &session(21)).await.unwrap();
    let dora = halls.resume(&town, &ticket("dora"), &session(22)).await.unwrap();
    assert!(!dora.acted.room.members().iter().any(|it| it.identity == id("dora")));
    let nora = Actor::Participant(id("nora"));
    halls.act(&town, &nora, &Action::Accept).await.unwrap();
    let hanna = Actor::Participant(id("hanna"));
    let lea = halls.act(&town, &hanna, &Action::Promote { identity: id("lea") }).await.unwrap();
    assert_eq!((lea.room.members().len(), lea.room.hand_count()), (4, 0));
    let last = lea.room.members().into_iter().map(|it| it.number).max();
    assert_eq!(last, Some(SpeakerNumber(5)), "no number is given twice, nor dora's");

    // Of the room that is over it is known who may not come, and which numbers there were.
    let mallory = Operation::Enter {
        arrival: Arrival {
            identity: id("mallory"),
            name: "mallory".into(),
            role: Role::Host,
            hidden: false,
            party: None,
        },
        session: session(30),
        secret: secret("mallory", 2),
    };
    assert_eq!(halls.run(&other(), &mallory).await, Err(Refusal::Banned.into()));
    let again = halls.create(&other(), &Actor::Admin, &Plan::default()).await.unwrap();
    assert!(again.room.version() > 4, "{}", again.room.version());

    // And what runs out, does: sessions with their node, people with their time.
    assert_eq!(halls.reap().await, Ok(0), "its lease is good");
    server.advance(2 * LEASE_MS as i64);
    assert_eq!(halls.reap().await, Ok(7), "kim is back");
    server.advance(AWAY_MS as i64);
    assert!(!halls.expire().await.unwrap().is_empty());
}
