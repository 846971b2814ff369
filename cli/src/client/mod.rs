//! The way to the nodes: HTTP with bounds, fail-over, the outbox.

pub mod http;
pub mod outbox;
pub mod settle;
pub mod survey;
