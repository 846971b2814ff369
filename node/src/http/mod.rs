//! The HTTP API: JSON over HTTP/1.1.
//!
//! | file | paths |
//! |---|---|
//! | `submit` | `POST /v1/transactions` |
//! | `reads` | transactions, receipts, accounts, blocks, genesis, evidence |
//! | `assets` | assets |
//! | `status` | status, consensus, validators, livez, readyz, version |
//! | `problem` | every error, as a problem document |
//! | `load` | how much may be in work at once |
//! | `router`, `server` | which path goes where; connections |

mod assets;
mod context;
mod load;
mod problem;
mod reads;
mod router;
mod server;
mod status;
mod submit;

pub use context::{Api, Identity};
pub use load::Load;
pub use server::{Server, bind};
