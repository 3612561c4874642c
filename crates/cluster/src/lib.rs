//! Store and Bus: in memory, or Redis and NATS.
