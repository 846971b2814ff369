//! `testnet.json`: what a testnet tells its users - the chain, the nodes' addresses and the ready accounts.

use std::path::{Path, PathBuf};

use quorate_crypto::hash::Digest;
use quorate_crypto::key::PublicKey;
use serde::{Deserialize, Serialize};

use crate::exit::Failure;
use crate::files::{self, SMALL_FILE_BYTES_MAX};

/// The version of the file that this program reads and writes.
pub const MANIFEST_VERSION: u32 = 1;
/// The file's name in a testnet's directory.
pub const MANIFEST_NAME: &str = "testnet.json";

/// One node of a testnet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ManifestNode {
    /// `v0`, `v1`, ...: the validators in the order of the genesis.
    pub name: String,
    /// The URL of the node's HTTP interface.
    pub api: String,
    /// The node's address for its peers.
    pub p2p: String,
    /// The node's home directory.
    pub home: PathBuf,
}

/// One ready account of a testnet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ManifestAccount {
    /// `alice`, `bob`, `carol` or `admin`.
    pub name: String,
    /// The account's public key.
    pub address: PublicKey,
    /// The file with the account's secret key.
    pub key_file: PathBuf,
}

/// The contents of `testnet.json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// The hash of the genesis.
    pub chain_id: Digest,
    /// The genesis file.
    pub genesis: PathBuf,
    /// The address of the testnet's page, where there is one.
    pub page: Option<String>,
    /// The nodes, by index.
    pub nodes: Vec<ManifestNode>,
    /// The ready accounts.
    pub accounts: Vec<ManifestAccount>,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

impl Manifest {
    /// Reads `DIR/testnet.json`. Paths in it that are not absolute are taken from DIR.
    ///
    /// # Errors
    /// Exit code 10 when DIR is no testnet, or the file is damaged or of another version.
    pub fn load(dir: &Path) -> Result<Manifest, Failure> {
        let path = dir.join(MANIFEST_NAME);
        let bytes = files::read(&path, SMALL_FILE_BYTES_MAX).map_err(|error| {
            Failure::config(
                "not_a_testnet",
                format!("{} is not a testnet's directory: {MANIFEST_NAME}: {error}", dir.display()),
                format!("start one with: quorate-testnet up --dir {}", dir.display()),
            )
        })?;
        let bad = |reason: String| {
            Failure::config(
                "bad_testnet_manifest",
                format!("{} cannot be used: {reason}", path.display()),
                "use the version of quorate that made this testnet, or start a new one in an empty directory",
            )
        };
        let found: VersionOnly = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        if found.version != MANIFEST_VERSION {
            return Err(bad(format!(
                "it has version {}, this program reads version {MANIFEST_VERSION}",
                found.version
            )));
        }
        let mut manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        manifest.genesis = dir.join(&manifest.genesis);
        for node in &mut manifest.nodes {
            node.home = dir.join(&node.home);
        }
        for account in &mut manifest.accounts {
            account.key_file = dir.join(&account.key_file);
        }
        Ok(manifest)
    }

    /// Writes `DIR/testnet.json`, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), Failure> {
        let path = dir.join(MANIFEST_NAME);
        let cannot = |error: String| {
            Failure::internal(
                format!("{} cannot be written: {error}", path.display()),
                "check the directory's permissions and the free space",
            )
        };
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| cannot(error.to_string()))?;
        bytes.push(b'\n');
        files::write(&path, &bytes).map_err(|error| cannot(error.to_string()))
    }

    /// The account of this name.
    pub fn account(&self, name: &str) -> Option<&ManifestAccount> {
        self.accounts.iter().find(|account| account.name == name)
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<&ManifestNode> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The name of the account with this address, for reading.
    pub fn name_of(&self, address: &PublicKey) -> Option<&str> {
        self.accounts.iter().find(|account| account.address == *address).map(|account| account.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::exit::Exit;

    fn manifest() -> Manifest {
        Manifest {
            version: MANIFEST_VERSION,
            chain_id: Digest::ZERO,
            genesis: "genesis.json".into(),
            page: None,
            nodes: vec![ManifestNode {
                name: "v0".into(),
                api: "http://127.0.0.1:1".into(),
                p2p: "/ip4/127.0.0.1/tcp/2".into(),
                home: "v0".into(),
            }],
            accounts: Vec::new(),
        }
    }

    #[test]
    fn a_manifest_reads_back_with_paths_below_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        manifest().save(dir.path()).unwrap();
        let read = Manifest::load(dir.path()).unwrap();
        assert_eq!(read.genesis, dir.path().join("genesis.json"));
        assert_eq!(read.node("v0").unwrap().home, dir.path().join("v0"));
        assert!(read.node("v1").is_none());
    }

    #[test]
    fn no_testnet_another_version_and_damage_are_each_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::load(dir.path()).unwrap_err().code, "not_a_testnet");
        Manifest { version: 2, ..manifest() }.save(dir.path()).unwrap();
        let newer = Manifest::load(dir.path()).unwrap_err();
        assert_eq!(newer.exit, Exit::Config);
        assert!(newer.message.contains("version 2"), "{}", newer.message);
        fs::write(dir.path().join(MANIFEST_NAME), "{").unwrap();
        assert_eq!(Manifest::load(dir.path()).unwrap_err().code, "bad_testnet_manifest");
    }
}
