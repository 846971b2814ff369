//! What nodes and clients say to each other: error codes, requests, responses, the envelope of the command line.

pub mod code;
pub mod envelope;
pub mod event;
pub mod evidence;
pub mod http;
pub mod problem;

pub use code::{Code, KnownOutcome};
