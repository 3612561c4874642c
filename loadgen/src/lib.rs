//! The load generator: simulated speakers and listeners who are real ones to the server, and what
//! they hear, measured frame by frame.
//!
//! ```text
//!              ┌──────────── conductor ────────────┐  rooms, ramp, storms, the clock of the run
//!              ▼                                   ▼
//!   guests: one task for each person          crowds: one thread and one UDP socket for each share
//!   door, WebSocket, presence, media peer     STUN, DTLS, SRTP, reports, talk ─▶ ledger ─▶ ears
//!              └──────────────▶ Figures ◀──────────┘
//!                                  ▼
//!                     report: table, JSON, HTML, --require
//! ```
//!
//! Times are nanoseconds of the realtime clock, because the kernel stamps arrivals with it. A frame is
//! known by its bytes: the [`ledger`] remembers what each speaker sent and when, so latency and loss
//! are exact, also out of packets that the edge has joined.

mod backoff;
mod clock;
mod conductor;
mod crowd;
mod door;
mod ear;
pub mod figures;
mod garbage;
mod groups;
pub mod home;
pub mod html;
mod ledger;
mod listener;
mod media_peer;
mod nodes;
pub mod options;
pub mod percentile;
mod places;
mod probe;
mod reckoning;
pub mod report;
pub mod require;
mod run;
mod session;
mod speaker;
pub mod speech;
pub mod table;
pub mod talk;
mod target;
mod usage;
mod watch;

pub use conductor::run;
pub use figures::Figures;
pub use options::Options;
pub use percentile::Histogram;
