//! The speakers' SFU and root of the relay tree.
