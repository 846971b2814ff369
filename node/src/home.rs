//! A node's home: the folder with its configuration, the genesis, its keys and its data.
//!
//! ```text
//! HOME/node.toml            where it listens, where its peers are
//! HOME/genesis.json         the chain
//! HOME/keys/consensus.json  signs votes
//! HOME/keys/network.json    proves its identity to peers
//! HOME/data/                locked by the running node: the chain store and the vote journal
//! HOME/store-faults.json    there if the chain store was at fault: what was wrong, and when
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::key::{PublicKey, SecretKey};
use quorate_protocol::document::Genesis;
use quorate_protocol::document::genesis::GenesisError;
use quorate_protocol::id::{ChainId, NodeIndex};
use quorate_protocol::limits::GENESIS_JSON_BYTES_MAX;
use quorate_protocol::replica::JournalEntry;
use quorate_protocol::store::{Store, StoreError};
use quorate_storage::data::{DataDirectory, DataError};
use quorate_storage::files::{Directory, Files};
use quorate_storage::journal::{Journal, JournalError, Options};
use quorate_storage::rocks::{RocksStore, StoreOptions};
use thiserror::Error;

use crate::config::{ConfigError, KeyFile, KeyKind, NodeConfig, create_private_folder};
use crate::fault::RepairError;

/// Why a home cannot be made or opened.
#[derive(Debug, Error)]
pub enum HomeError {
    /// A file of the home.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The genesis file.
    #[error("{file}: {error}")]
    Genesis {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        error: GenesisError,
    },
    /// The data directory.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The vote journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The chain store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chain store is at fault, and cannot be made anew.
    #[error(transparent)]
    Repair(#[from] RepairError),
    /// The keys are not those of a validator of the genesis.
    #[error(
        "the genesis has no validator with the consensus key {consensus} and the network key {network}; put this node's \
         keys into the genesis, or use the key files that were made for it"
    )]
    NoValidator {
        /// The home's consensus key.
        consensus: PublicKey,
        /// The home's network key.
        network: PublicKey,
    },
}

/// Paths of a home; nothing is touched.
#[derive(Debug, Clone)]
pub struct Home {
    path: PathBuf,
}

/// What a new home gets.
#[derive(Debug)]
pub struct NewHome<'a> {
    /// The chain.
    pub genesis: &'a Genesis,
    /// Signs votes; it must never have signed one.
    pub consensus: &'a SecretKey,
    /// Proves the node's identity to peers.
    pub network: &'a SecretKey,
    /// Addresses and bounds.
    pub config: &'a NodeConfig,
}

impl Home {
    /// The home at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Home {
        Home { path: path.into() }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration.
    pub fn config_file(&self) -> PathBuf {
        self.path.join("node.toml")
    }

    /// The genesis.
    pub fn genesis_file(&self) -> PathBuf {
        self.path.join("genesis.json")
    }

    /// The folder of the keys.
    pub fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }

    /// The key that signs votes.
    pub fn consensus_key_file(&self) -> PathBuf {
        self.keys().join("consensus.json")
    }

    /// The key that proves the node's identity.
    pub fn network_key_file(&self) -> PathBuf {
        self.keys().join("network.json")
    }

    /// Says that the consensus key has no vote journal yet. It goes before the journal is made, so that no key can get a
    /// second journal.
    fn unborn_file(&self) -> PathBuf {
        self.keys().join("unborn")
    }

    /// Remembers that the chain store was at fault.
    pub fn faults_file(&self) -> PathBuf {
        self.path.join("store-faults.json")
    }

    /// Chain store and vote journal.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Reads the genesis.
    ///
    /// # Errors
    /// The file cannot be read or is no genesis.
    pub fn genesis(&self) -> Result<Genesis, HomeError> {
        read_genesis(&self.genesis_file())
    }
}

/// Reads a genesis file.
///
/// # Errors
/// The file cannot be read or is no genesis.
pub fn read_genesis(file: &Path) -> Result<Genesis, HomeError> {
    let mut bytes = Vec::new();
    let limit = GENESIS_JSON_BYTES_MAX as u64 + 1;
    File::open(file)
        .and_then(|opened| opened.take(limit).read_to_end(&mut bytes))
        .map_err(|error| ConfigError::new(file, "the genesis file", error, "take it from whoever runs the chain"))?;
    Genesis::from_json(&bytes).map_err(|error| HomeError::Genesis { file: file.to_path_buf(), error })
}

/// Makes a home with keys that never voted: keys, genesis, configuration, an empty vote journal and a chain store that
/// holds the genesis. The journal is born here, together with its key, and never again (PROTOCOL 6.4).
///
/// # Errors
/// There is a home already, the genesis does not know the keys, or the disk's error.
pub fn create(home: &Home, new: &NewHome<'_>) -> Result<NodeIndex, HomeError> {
    let index = index_in(new.genesis, &new.consensus.public_key(), &new.network.public_key())?;
    create_keys(home, new.consensus, new.network)?;
    found(home, new.genesis, new.config)?;
    Ok(index)
}

/// Makes the first half of a home: keys, for a genesis that has yet to be written.
///
/// # Errors
/// There are keys already, or the disk's error.
pub fn create_keys(home: &Home, consensus: &SecretKey, network: &SecretKey) -> Result<(), HomeError> {
    create_folder(home.path())?;
    create_private_folder(&home.keys())?;
    write_new(&home.unborn_file(), b"the consensus key beside this file has never voted\n")?;
    let consensus_note = "signs this validator's votes; never copy it to a second node";
    KeyFile::new(KeyKind::Consensus, consensus, consensus_note).write_new(&home.consensus_key_file())?;
    let network_note = "identifies this node to its peers";
    KeyFile::new(KeyKind::Network, network, network_note).write_new(&home.network_key_file())?;
    sync_folder(&home.keys())
}

/// Makes the second half of a home whose keys never voted: genesis, configuration, journal and chain store.
///
/// # Errors
/// The keys are not in the genesis, or they have had a journal before.
pub fn found(home: &Home, genesis: &Genesis, config: &NodeConfig) -> Result<NodeIndex, HomeError> {
    let keys = Keys::load(home)?;
    let index = index_in(genesis, &keys.consensus.public_key(), &keys.network.public_key())?;
    let unborn = home.unborn_file();
    if !unborn.exists() {
        let reason = "the consensus key beside it has had its vote journal";
        let remedy = "a key never gets a second one: run the node as it is, or make a new home with new keys";
        return Err(ConfigError::new(&unborn, "missing", reason, remedy).into());
    }
    write_new(&home.genesis_file(), genesis.to_json().as_bytes())?;
    write_new(&home.config_file(), config.to_toml().as_bytes())?;
    // Gone for good before there is a journal: a crash in between costs a new key, never a second journal.
    fs::remove_file(&unborn)
        .map_err(|error| ConfigError::new(&unborn, "the file", error, "check the folder's rights"))?;
    sync_folder(&home.keys())?;
    let data = DataDirectory::create(home.data())?;
    let chain_id = genesis.chain_id();
    let folder = journal_folder(&data)?;
    Journal::<JournalEntry>::create(folder, journal_identity(&chain_id, &keys.consensus), &[], Options::default())?;
    let store = RocksStore::open(&data.chain(), StoreOptions::default())?;
    store.initialize(genesis)?;
    Ok(index)
}

/// The keys of a home.
pub(crate) struct Keys {
    /// Signs votes.
    pub consensus: SecretKey,
    /// Proves the node's identity.
    pub network: SecretKey,
}

impl Keys {
    pub(crate) fn load(home: &Home) -> Result<Keys, ConfigError> {
        Ok(Keys {
            consensus: KeyFile::load(&home.consensus_key_file(), KeyKind::Consensus)?,
            network: KeyFile::load(&home.network_key_file(), KeyKind::Network)?,
        })
    }
}

/// The place of a pair of keys among the validators.
pub(crate) fn index_in(genesis: &Genesis, consensus: &PublicKey, network: &PublicKey) -> Result<NodeIndex, HomeError> {
    let index = genesis.validators.index_of(consensus);
    let matches = |index: &NodeIndex| genesis.validators.members()[index.as_usize()].network_key == *network;
    index.filter(matches).ok_or(HomeError::NoValidator { consensus: *consensus, network: *network })
}

/// What a journal is tied to: the votes of one key on one chain.
pub(crate) fn journal_identity(chain_id: &ChainId, consensus: &SecretKey) -> Digest {
    digest("quorate/journal-identity", &(chain_id, consensus.public_key()))
}

/// The journal's folder, made where it is missing: an empty one holds no journal.
pub(crate) fn journal_folder(data: &DataDirectory) -> Result<Arc<dyn Files>, ConfigError> {
    let path = data.journal();
    let folder = Directory::new(&path);
    folder.make().map_err(|error| ConfigError::new(&path, "the folder", error, "check the folder's rights"))?;
    Ok(Arc::new(folder))
}

fn create_folder(path: &Path) -> Result<(), ConfigError> {
    fs::create_dir_all(path).map_err(|error| ConfigError::new(path, "the home", error, "choose another --home"))
}

/// Writes a file that must not be there yet, durably.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), ConfigError> {
    let written = OpenOptions::new().write(true).create_new(true).open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| ConfigError::new(path, "the file", error, "choose a --home that holds no node yet"))
}

fn sync_folder(path: &Path) -> Result<(), HomeError> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|error| ConfigError::new(path, "the folder", error, "check the disk").into())
}
