//! Every limit of the control plane, each with its reason.

/// Seats of a room unless it is made with another number: a panel, not a crowd.
pub const DEFAULT_SEATS: u16 = 8;

pub use protocol::MAX_SEATS;

/// Longest title, in characters.
pub const MAX_TITLE: usize = 120;

/// Hands that can be up at once. A host reads them one by one; a thousand is hours of speakers.
pub const MAX_HANDS: usize = 1_000;

/// When somebody for whose hand there was no room may try again.
pub const HANDS_FULL_RETRY_MS: u64 = 30_000;

/// People about whom a room remembers what was decided. What says no more than a token would is
/// forgotten first; a ban never is.
pub const MAX_STANDING: usize = 5_000;

/// How long an invitation holds its seat: long enough to find the microphone, short enough that the
/// host waits for the answer.
pub const INVITATION_MS: u64 = 30_000;

/// How long a seat, a hand and a resume ticket outlive a cut.
pub const AWAY_MS: u64 = 60_000;

/// The same for somebody who never asked for media and is not on stage: long enough to load a page again, and
/// so short that whoever only comes and goes, again and again, fills no room.
pub const BRIEF_MS: u64 = 5_000;

/// How long an empty room lives.
pub const EMPTY_MS: u64 = 10 * 60_000;

/// How long it is remembered that a room has ended, so that latecomers are told.
pub const ENDED_MS: u64 = 10 * 60_000;

/// How long it is remembered of a room that is over who was banned from it, and which numbers were given.
pub const TOMBSTONE_MS: u64 = 24 * 60 * 60_000;

/// Guests of one party may be so many times as many as there are free places: alone they fill nine tenths of a
/// room, so that an office finds room for all, and others always find some.
pub const PARTY_PER_FREE: usize = 9;

/// Places of a room beyond its limit for people who come by a token of their own; and as many again for those
/// of them who may come on stage. Guests cannot take them.
pub const MORE_PLACES: usize = 100;

/// How far above the newest version that is known a room is put back which the store had lost: whoever knows a
/// newer one, of which nobody was told, is below it all the same.
pub const RESTORED_ABOVE: u64 = 1_000_000;

/// How far above its own epoch a room gets the next one where the store has lost what it gave meanwhile.
pub const EPOCHS_ABOVE: u32 = 1_000;

/// When somebody who found the room full may try again.
pub const ROOM_FULL_RETRY_MS: u64 = 30_000;

/// Participants of a room unless configured otherwise.
pub const DEFAULT_PARTICIPANTS: usize = 100_000;

/// Rooms of a store unless configured otherwise.
pub const DEFAULT_ROOMS: usize = 10_000;

/// Of the time over which a node lets its people go, what the last of them have for it, in ms: a handshake, and what
/// replaced peers go on for.
pub const LAST_TO_GO_MS: u64 = 5_000;
