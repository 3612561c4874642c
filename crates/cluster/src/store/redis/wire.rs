//! What is kept, as it is written; and what is asked of the scripts, as they read it.
//!
//! What is there may be of another version of this program, or of somebody else: it is read with care.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::id::Identity;
use protocol::message::Person;
use redis::Value;
use room::hall::{Commit, Committed, Compare, Conflict, Current, Due, Entry, Known, Loaded, STALE_MS};
use room::limits::TOMBSTONE_MS;
use room::{Head, Numbered, Owner, Party, Present, Room, Session, Tombstone};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// The version of values that is written, and the only one that is read. They say it as `v`; those of before there
/// were versions say none, and are of the first. What the next one takes is in `docs/protocol.md`.
const VERSION: u32 = 1;

/// Notes in a room's stream of changes that are kept, about.
const NOTES: usize = 1_000;

/// How long the answer to a commit is kept for whoever did not get it, in ms.
const DONE_MS: u64 = 60_000;

/// How long what is kept of a room outlives the last change of it and the last of those who are in it, in ms: a room
/// is over sooner by its own deadlines, so this is for what nobody looks after any more.
pub(super) const KEEP_MS: u64 = 48 * 60 * 60_000;

/// A room in a list: its id, head, how many are here, how many hands are up.
pub(super) type Row = (String, String, usize, usize);

/// People in a list.
pub(super) type Page = Vec<(String, Option<String>)>;

/// What was set.
#[derive(Deserialize)]
struct Taken {
    number: u64,
    before: u64,
    version: u64,
    present: usize,
}

/// What the script answers to a commit; none where there are as many rooms as there may be.
pub(super) fn committed(
    answer: &Value,
    commit: &Commit,
) -> Result<Option<Result<Committed, Conflict>>, String> {
    let wrong = |error: redis::ParsingError| error.to_string();
    let Value::Array(parts) = answer else {
        let text: String = redis::from_redis_value_ref(answer).map_err(wrong)?;
        let taken: Taken = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        return Ok(Some(Ok(taken.into())));
    };
    let why: String = redis::from_redis_value_ref(parts.first().unwrap_or(&Value::Nil)).map_err(wrong)?;
    let conflict = match why.as_str() {
        "full" => Conflict::Full,
        "party_full" => Conflict::PartyFull,
        "rooms" => return Ok(None),
        "alive" => {
            let (_, which): (String, usize) = redis::from_redis_value_ref(answer).map_err(wrong)?;
            let owner = which.checked_sub(1).and_then(|which| commit.compare.lapsed.iter().nth(which));
            Conflict::Alive(owner.ok_or("no such lease")?.clone())
        }
        _ => Conflict::Changed(Box::new(current(answer, &commit.compare)?)),
    };
    Ok(Some(Err(conflict)))
}

fn current(answer: &Value, compare: &Compare) -> Result<Current, String> {
    type Entries = Vec<Option<String>>;
    type Changed = (String, u64, u64, u64, Option<String>, Entries, Entries, Entries);
    let changed: Changed = redis::from_redis_value_ref(answer).map_err(|error| error.to_string())?;
    let (_, now, version, door, written, standing, hands, people) = changed;
    Ok(Current {
        now,
        version,
        door,
        head: written.map(|written| head(&written)).transpose()?,
        standing: known(&compare.standing, standing, "standing")?,
        hands: known(&compare.hands, hands, "hands")?,
        people: known(&compare.people, people, "people")?,
    })
}

fn known<T: DeserializeOwned>(
    who: &BTreeMap<Identity, u64>,
    entries: Vec<Option<String>>,
    what: &str,
) -> Result<Known<T>, String> {
    let entry = |entry: Option<String>| entry.map(|entry| numbered(&entry, what)).transpose();
    who.keys().zip(entries).map(|(identity, it)| Ok((identity.clone(), entry(it)?))).collect()
}

impl From<Taken> for Committed {
    fn from(Taken { number, before, version, present }: Taken) -> Self {
        Self { number, before, version, present }
    }
}

/// A commit as the script reads it. What is absent is `false` or a number below 0: Lua has no word for it in
/// JSON.
pub(super) fn commit(commit: &Commit, rooms: usize) -> String {
    let Commit { compare, delta, .. } = commit;
    json!({
        "now": commit.now,
        "stale_ms": STALE_MS,
        "door": compare.door,
        "head": or_negative(compare.head),
        "compare_standing": pairs(&compare.standing),
        "compare_hands": pairs(&compare.hands),
        "compare_people": pairs(&compare.people),
        "empty": compare.empty,
        "places": or_negative(compare.places.map(|places| places as u64)),
        "parties": compare.parties.iter().map(|(of, most)| json!([party(*of), most])).collect::<Vec<_>>(),
        "rooms": rooms,
        "news": commit.is_news(),
        "opens": delta.door,
        "set_head": or_false(delta.head.as_ref().map(written)),
        "head_due": or_false(commit.head_due().flatten()),
        "standing": entries(&delta.standing),
        "hands": entries(&delta.hands),
        "people": commit.people.iter().map(person_set).collect::<Vec<_>>(),
        "clear": commit.clear,
        "above": commit.above.unwrap_or_default(),
        "empty_ms": or_negative(commit.may_be_empty_ms()),
        "notes": commit.notes.iter().map(written).collect::<Vec<_>>(),
        "most_notes": NOTES,
        "lapsed": compare.lapsed.iter().map(owner).collect::<Vec<_>>(),
        "forget": or_false(commit.forget.as_ref().map(written)),
        "tombstone_ms": TOMBSTONE_MS,
        "keep_ms": KEEP_MS,
        "done_ms": DONE_MS,
    })
    .to_string()
}

fn person_set((identity, entry): (&Identity, &Entry)) -> Json {
    let present = entry.present.as_ref();
    let is_shown = present.is_some_and(|person| !person.hidden);
    let away_until = present.and_then(|person| person.away_until);
    let (was_at, is_at) = (entry.was_at.as_ref().map(owner), entry.is_at().as_ref().map(owner));
    let (was_of, is_of) = (entry.was_of.map(party), entry.is_of().map(party));
    let present = or_false(present.map(written));
    let [was_at, is_at, was_of, is_of] = [was_at, is_at, was_of, is_of].map(or_false);
    json!([identity, present, is_shown, or_false(away_until), was_at, is_at, was_of, is_of])
}

/// A signaling node, as it is written in keys.
pub(super) fn owner(owner: &Owner) -> String {
    format!("{}/{}", owner.node, owner.boot)
}

/// A party of guests, as it is written in keys.
fn party(Party(mark): Party) -> String {
    format!("{mark:016x}")
}

fn pairs(numbers: &BTreeMap<Identity, u64>) -> Vec<(&Identity, u64)> {
    numbers.iter().map(|(identity, number)| (identity, *number)).collect()
}

fn entries<T: Serialize>(entries: &BTreeMap<Identity, Option<T>>) -> Vec<(&Identity, Json)> {
    entries.iter().map(|(identity, entry)| (identity, or_false(entry.as_ref().map(written)))).collect()
}

fn or_false(value: Option<impl Into<Json>>) -> Json {
    value.map_or(Json::Bool(false), Into::into)
}

fn or_negative(value: Option<u64>) -> Json {
    value.map_or(json!(-1), Json::from)
}

/// A value as it is kept.
#[derive(Serialize)]
struct Written<'a, T> {
    v: u32,
    #[serde(flatten)]
    value: &'a T,
}

/// What every value says, whatever else it does.
#[derive(Deserialize)]
struct Said {
    #[serde(default = "first")]
    v: u32,
}

fn first() -> u32 {
    1
}

fn written(value: &impl Serialize) -> String {
    let value = Written { v: VERSION, value };
    serde_json::to_string(&value).expect("what is kept has only text for keys")
}

/// What `load` answers; `known` is the room of the version that it was asked with.
pub(super) fn loaded(
    answer: &Value,
    known: Option<&Arc<Room>>,
    concerns: &[&Identity],
) -> Result<Loaded, String> {
    type Pairs = Vec<String>;
    type Loading = (
        u64,
        Option<u64>,
        Option<u64>,
        Option<String>,
        Pairs,
        Pairs,
        Option<String>,
        usize,
        Vec<Option<String>>,
    );
    let loading: Loading = redis::from_redis_value_ref(answer).map_err(|error| error.to_string())?;
    let (now, version, door, new, standing, hands, over, present, people) = loading;
    let room = match (version, new) {
        (None, _) => None,
        (Some(_), None) => known.cloned(),
        (Some(version), Some(text)) => {
            let door = door.ok_or("`door` is missing")?;
            let mut room = Room::new(version, door, head(&text)?);
            for pair in standing.chunks_exact(2) {
                room.with_standing(identity(&pair[0])?, numbered(&pair[1], "standing")?);
            }
            for pair in hands.chunks_exact(2) {
                room.with_hand(identity(&pair[0])?, numbered(&pair[1], "hands")?);
            }
            Some(Arc::new(room))
        }
    };
    let tombstone = over.map(|over| numbered::<Tombstone>(&over, "over")).transpose()?;
    let tombstone = tombstone.map(|Numbered { number, value }| Tombstone { number, ..value });
    let mut here = BTreeMap::new();
    for (&identity, entry) in concerns.iter().zip(people) {
        if let Some(entry) = entry {
            here.insert(identity.clone(), numbered::<Present>(&entry, "people")?);
        }
    }
    Ok(Loaded { now, room, tombstone, people: here, present })
}

/// A head as it is kept.
pub(super) fn head(text: &str) -> Result<Numbered<Head>, String> {
    numbered(text, "head")
}

/// Somebody as they are kept, to be shown.
pub(super) fn person(who: &str, entry: &str) -> Result<Person, String> {
    let present: Numbered<Present> = numbered(entry, "people")?;
    Ok(Person { identity: identity(who)?, name: present.value.name })
}

/// Somebody's session, as they are kept, if they are connected.
pub(super) fn connected(who: &str, entry: &str) -> Result<(Identity, Option<Session>), String> {
    let present: Numbered<Present> = numbered(entry, "people")?;
    let session = present.value.away_until.is_none().then_some(present.value.session);
    Ok((identity(who)?, session))
}

/// What is due, by the name that the script gives it.
pub(super) fn due(text: &str) -> Option<Due> {
    match text {
        "h" => Some(Due::Head),
        "e" => Some(Due::Empty),
        _ => Some(Due::Person(Identity::new(text.strip_prefix('p')?).ok()?)),
    }
}

fn identity(text: &str) -> Result<Identity, String> {
    Identity::new(text).map_err(|error| format!("an identity {error}"))
}

fn numbered<T: DeserializeOwned>(text: &str, what: &str) -> Result<Numbered<T>, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("`{what}`: {why}");
    let (number, value) = text.split_once(':').ok_or_else(|| wrong(&"there is no number in front"))?;
    let number = number.parse().map_err(|_| wrong(&"there is no number in front"))?;
    let Said { v } = serde_json::from_str(value).map_err(|error| wrong(&error))?;
    if v != VERSION {
        let says =
            format!("it is of version {v}, and this node knows version {VERSION} only: upgrade the node");
        return Err(wrong(&says));
    }
    Ok(Numbered { number, value: serde_json::from_str(value).map_err(|error| wrong(&error))? })
}
