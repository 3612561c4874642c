//! What the processes of one system share: the [`Store`] keeps the rooms' truth, the [`Bus`] carries
//! what they tell each other.
//!
//! ```text
//!   signaling ◀─▶ Store   load, compare and set
//!   all nodes ◀─▶ Bus     publish, subscribe, request/reply
//!   nodes     ◀── Bus     who is alive, and how busy
//! ```
//!
//! Both are traits with one contract test suite: in memory, for one process, and over real servers.

pub mod bus;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod nodes;
pub mod store;

pub use bus::{
    Bus, BusError, BusStats, Heard, MemoryBus, Message, NatsBus, NatsConfig, Sealed, Subscription,
};
pub use nodes::{Live, Nodes};
pub use store::{Limits, Listed, MemoryStore, RedisStore, RedisUrl, SharedStore, Store, StoreError};
