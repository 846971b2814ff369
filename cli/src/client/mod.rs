//! The way to the nodes: HTTP with bounds, fail-over, the outbox.

pub mod access;
pub mod events;
pub mod http;
pub mod journal;
pub mod outbox;
pub mod settle;
pub mod submit;
pub mod survey;
