//! `quorate keys new|list|show|import|export`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Make, keep and show your own keys.
#[derive(Clone, Debug, Subcommand)]
pub enum Keys {
    /// Make a key and keep it encrypted under a passphrase
    #[command(
        after_help = "The passphrase is asked for twice on the terminal, or read with --passphrase-file.\n\nExamples:\n  \
                            quorate keys new my-key\n  quorate keys new my-key --passphrase-file pass.txt"
    )]
    New(Named),
    /// List your keys
    #[command(after_help = "Examples:\n  quorate keys list")]
    List,
    /// Show a key's address and file; needs no passphrase
    #[command(after_help = "Examples:\n  quorate keys show my-key")]
    Show(Named),
    /// Keep a key that exists elsewhere under a name of your own
    #[command(after_help = "Examples:\n  quorate keys import my-key --hex-file seed.txt\n  \
                            quorate keys import my-key --hex-file - < seed.txt\n  \
                            quorate keys import my-key --key-file DIR/keys/alice.json")]
    Import(Import),
    /// Copy a key to a file, encrypted as it is, or in clear
    #[command(after_help = "Examples:\n  quorate keys export my-key --file backup.key\n  \
                            quorate keys export my-key --file my-key.json --plain")]
    Export(Export),
}

/// Which key.
#[derive(Clone, Debug, Args)]
pub struct Named {
    /// The key's name: 1 to 32 characters out of a-z, 0-9, - and _
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// A key from elsewhere.
#[derive(Clone, Debug, Args)]
pub struct Import {
    /// The name that it is to have
    #[arg(value_name = "NAME")]
    pub name: String,
    /// A file with the 32 bytes of the seed as 64 hex digits; `-` is stdin
    #[arg(long, value_name = "FILE", required_unless_present = "key_file", conflicts_with = "key_file")]
    pub hex_file: Option<PathBuf>,
    /// A key file: a ready one of a testnet, or one that `keys export` wrote
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// A copy of a key.
#[derive(Clone, Debug, Args)]
pub struct Export {
    /// The key's name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The new file; one that exists is left as it is
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
    /// Write the secret in clear, for a machine that starts without anybody at a terminal
    #[arg(long)]
    pub plain: bool,
}
