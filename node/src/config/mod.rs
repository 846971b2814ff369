//! What a node reads from its home before it starts: `node.toml` and the key files.

mod error;
mod key_file;
mod node_toml;

pub use error::ConfigError;
pub(crate) use key_file::create_private_folder;
pub use key_file::{KEY_FILE_VERSION, KeyFile, KeyKind};
pub use node_toml::{CLOCK_OFFSET_MAX, Limits, NodeConfig, Peer};
