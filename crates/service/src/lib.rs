//! Process plumbing: configuration, logs, metrics, health, supervised tasks, drain.
//!
//! It knows no room, no node and no packet. Programs are composed of it so that every part is
//! configured, observed and stopped in the same way.

pub mod admin;
pub mod config;
pub mod http;
pub mod log;
pub mod metrics;
pub mod runtime;
pub mod shutdown;
pub mod tasks;

pub use admin::Readiness;
pub use metrics::{Metrics, Registry};
pub use shutdown::Shutdown;
pub use tasks::Tasks;
