//! What a node reads from its home before it starts: `node.toml` and the key files.

mod error;
mod key_file;
mod node_toml;
mod secret_file;

pub use error::ConfigError;
pub(crate) use key_file::create_private_folder;
pub use key_file::{KEY_FILE_VERSION, KeyFile, KeyKind};
pub use node_toml::{ApiTls, CLOCK_OFFSET_MAX, Limits, NodeConfig, Peer};
pub(crate) use secret_file::read_secret;
