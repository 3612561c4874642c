//! Process plumbing: configuration, logs, metrics, health, drain.
