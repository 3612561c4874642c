//! Signaling as clients meet it: a listening server, real WebSockets and HTTP requests, and media nodes
//! that only answer on the bus.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod client;
mod door;
mod http;
mod limits;
mod media;
mod node;
mod nodes;
mod openapi;
mod parties;
mod places;
mod stage;
mod venue;
mod web;
mod whip;
