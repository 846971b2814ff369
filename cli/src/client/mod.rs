//! The way to the nodes: HTTP with bounds, fail-over, the outbox, what was seen.

pub mod access;
pub mod events;
pub mod heights;
pub mod http;
pub mod journal;
pub mod outbox;
pub mod settle;
pub mod submit;
pub mod survey;
