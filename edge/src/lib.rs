//! Relay node and listeners' SFU.
