//! The HTTP API: JSON over HTTP/1.1, inside TLS when asked.
//!
//! | file | paths |
//! |---|---|
//! | `submit` | `POST /v1/transactions` |
//! | `reads` | transactions, receipts, accounts, a block, genesis, evidence |
//! | `assets` | assets |
//! | `lists` | lists with cursors (`cursor`) |
//! | `events` | `GET /v1/events`, a stream |
//! | `status` | status, consensus, peers, validators, livez, readyz, version |
//! | `standing` | why the node or the chain stands still, in words |
//! | `metrics` | `GET /metrics` |
//! | `openapi` | the description of all this |
//! | `problem` | every error, as a problem document |
//! | `access`, `tls` | who may ask; certificate and key |
//! | `load` | how much may be in work at once |
//! | `body`, `bodies` | the body of a submission; all that are still coming |
//! | `router` | which path goes where |
//! | `server`, `places`, `connection` | connections: how they begin and end, which of them give way |

mod access;
mod assets;
mod bodies;
mod body;
mod connection;
mod context;
pub mod cursor;
mod events;
mod lists;
mod load;
mod metrics;
mod openapi;
mod path;
mod places;
mod problem;
mod reads;
mod router;
mod server;
mod standing;
mod status;
mod submit;
mod tls;

pub use access::Access;
pub(crate) use context::PAGE_READERS_MAX;
pub use context::{Api, Identity};
pub use load::Load;
pub use server::{Server, bind};
pub use tls::Tls;
