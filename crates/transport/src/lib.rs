//! UDP shards in batches and QUIC links.
