//! What a chain starts with: a JSON file that people read and write. Its canonical bytes' hash names the chain.

use crate::document::amount;
use crate::document::batch::Batch;
use crate::document::block::{Block, Header, receipts_root, transactions_root};
use crate::document::operation::{AssetCode, Role, Roles, Scale};
use crate::document::parameters::{Parameters, ParametersError};
use crate::document::state::{AssetState, Change, MemberState, StateKey};
use crate::document::validators::{ValidatorSet, ValidatorsError};
use crate::id::{ChainId, Epoch, Height};
use crate::limits::{GENESIS_ASSETS_LIMIT, GENESIS_BALANCES_LIMIT, GENESIS_JSON_BYTES_MAX, GENESIS_MEMBERS_LIMIT};
use crate::time::UnixMillis;
use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::encode::{BoundedVec, encode};
use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::key::PublicKey;
use quorate_crypto::sparse::{Bucket, Leaves, SparseTree};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Version of the file's form.
pub const GENESIS_VERSION: u16 = 1;

/// Latest time that a genesis can name: the year 10889, so that sums of times never come near an overflow.
const TIME_MAX: UnixMillis = 1 << 48;

/// The first state of a chain.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// Version of the file's form, 1.
    pub version: u16,
    /// Time of block 0, Unix milliseconds.
    pub time: UnixMillis,
    /// Timing and sizes.
    pub parameters: Parameters,
    /// The validators of epoch 0.
    pub validators: ValidatorSet,
    /// Who may use the chain, and how.
    pub members: BoundedVec<GenesisMember, GENESIS_MEMBERS_LIMIT>,
    /// The assets; the supply of each is the sum of its balances.
    pub assets: BoundedVec<GenesisAsset, GENESIS_ASSETS_LIMIT>,
    /// Who holds what.
    pub balances: BoundedVec<GenesisBalance, GENESIS_BALANCES_LIMIT>,
}

/// A member from the start.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisMember {
    /// Its public key, which is its address.
    pub key: PublicKey,
    /// What it may do.
    pub roles: Roles,
}

/// An asset from the start.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisAsset {
    /// Its code.
    pub code: AssetCode,
    /// Its decimal places.
    pub scale: Scale,
    /// Who mints and burns it, a member with the role issuer.
    pub issuer: PublicKey,
}

/// Units held from the start.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisBalance {
    /// Who holds them, a member.
    pub account: PublicKey,
    /// Of which asset.
    pub code: AssetCode,
    /// Minor units, a decimal string.
    #[serde(with = "amount::minor")]
    pub amount: u128,
}

/// Why a genesis is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// The file is no genesis.
    #[error(
        "the genesis file cannot be read: {0}; take it from whoever runs the chain, every node needs the same file"
    )]
    Form(String),
    /// A field says what cannot be.
    #[error("genesis {field}: {reason}; {remedy}")]
    Field {
        /// The field, with its position where it is in a list.
        field: String,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A parameter is out of range.
    #[error("genesis {0}")]
    Parameters(#[from] ParametersError),
    /// The validators are no set.
    #[error("genesis {0}")]
    Validators(#[from] ValidatorsError),
}

fn refuse(field: String, reason: impl Into<String>, remedy: &'static str) -> GenesisError {
    GenesisError::Field { field, reason: reason.into(), remedy }
}

impl Genesis {
    /// Reads and judges a genesis file.
    ///
    /// # Errors
    ///
    /// When the file is too large, is not JSON of this form, has an unknown field, or says what [`Genesis::check`]
    /// refuses.
    pub fn from_json(bytes: &[u8]) -> Result<Genesis, GenesisError> {
        if bytes.len() > GENESIS_JSON_BYTES_MAX {
            return Err(GenesisError::Form(format!("it has more than {GENESIS_JSON_BYTES_MAX} bytes")));
        }
        let genesis: Genesis = serde_json::from_slice(bytes).map_err(|error| GenesisError::Form(error.to_string()))?;
        genesis.check()?;
        Ok(genesis)
    }

    /// The file: indented JSON with a newline at its end.
    ///
    /// # Panics
    ///
    /// Never: every field has a JSON form.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("every field has a JSON form");
        text.push('\n');
        text
    }

    /// The name of the chain.
    pub fn chain_id(&self) -> ChainId {
        digest("quorate/genesis", self)
    }

    /// Judges everything that the types leave open.
    ///
    /// # Errors
    ///
    /// Names the first field that is wrong, why, and what to do.
    pub fn check(&self) -> Result<(), GenesisError> {
        if self.version != GENESIS_VERSION {
            let reason = format!("it is {}, and this program reads version {GENESIS_VERSION}", self.version);
            return Err(refuse("version".into(), reason, "use the release that made the file"));
        }
        if self.time == 0 || self.time > TIME_MAX {
            let reason = format!("{} is no plausible time", self.time);
            return Err(refuse("time".into(), reason, "give Unix milliseconds"));
        }
        self.parameters.check()?;
        self.validators.check_keys()?;
        let members = self.check_members()?;
        let assets = self.check_assets(&members)?;
        self.check_balances(&members, &assets)
    }

    fn check_members(&self) -> Result<BTreeMap<PublicKey, Roles>, GenesisError> {
        let mut members = BTreeMap::new();
        for (index, member) in self.members.iter().enumerate() {
            let field = || format!("members[{index}].key");
            if let Err(error) = member.key.check_registrable() {
                return Err(refuse(field(), error.to_string(), "make keys with `quorate keys new`"));
            }
            if members.insert(member.key, member.roles).is_some() {
                return Err(refuse(field(), format!("{} appears twice", member.key), "list every member once"));
            }
        }
        if !members.values().any(|roles| roles.has(Role::Admin)) {
            let remedy = "give the role admin to one member, or nobody can ever be registered";
            return Err(refuse("members".into(), "no member is an admin", remedy));
        }
        Ok(members)
    }

    fn check_assets(&self, members: &BTreeMap<PublicKey, Roles>) -> Result<BTreeSet<AssetCode>, GenesisError> {
        let mut assets = BTreeSet::new();
        for (index, asset) in self.assets.iter().enumerate() {
            if !assets.insert(asset.code) {
                let reason = format!("{} appears twice", asset.code);
                return Err(refuse(format!("assets[{index}].code"), reason, "list every asset once"));
            }
            if !members.get(&asset.issuer).is_some_and(|roles| roles.has(Role::Issuer)) {
                let reason = format!("{} is no member with the role issuer", asset.issuer);
                let remedy = "list it under members with the role issuer";
                return Err(refuse(format!("assets[{index}].issuer"), reason, remedy));
            }
        }
        Ok(assets)
    }

    fn check_balances(
        &self,
        members: &BTreeMap<PublicKey, Roles>,
        assets: &BTreeSet<AssetCode>,
    ) -> Result<(), GenesisError> {
        let mut seen = BTreeSet::new();
        let mut supplies: BTreeMap<AssetCode, u128> = BTreeMap::new();
        for (index, balance) in self.balances.iter().enumerate() {
            let field = |name: &str| format!("balances[{index}].{name}");
            if !members.contains_key(&balance.account) {
                let reason = format!("{} is no member", balance.account);
                return Err(refuse(field("account"), reason, "list it under members"));
            }
            if !assets.contains(&balance.code) {
                let reason = format!("there is no asset {}", balance.code);
                return Err(refuse(field("code"), reason, "list it under assets"));
            }
            if balance.amount == 0 {
                return Err(refuse(field("amount"), "it is zero", "leave the entry out"));
            }
            if !seen.insert((balance.account, balance.code)) {
                let reason = format!("{} has two entries for {}", balance.account, balance.code);
                return Err(refuse(field("account"), reason, "add them up"));
            }
            let supply = supplies.entry(balance.code).or_default();
            *supply = supply.checked_add(balance.amount).ok_or_else(|| {
                let reason = format!("the supply of {} exceeds 128 bits", balance.code);
                refuse(field("amount"), reason, "choose smaller amounts or a smaller scale")
            })?;
        }
        Ok(())
    }

    /// Everything that the state holds at height 0, in the order of the key hashes.
    pub fn state(&self) -> Vec<Change> {
        let mut supplies: BTreeMap<AssetCode, u128> = BTreeMap::new();
        for balance in &self.balances {
            let supply = supplies.entry(balance.code).or_default();
            // `check` has refused what would saturate.
            *supply = supply.saturating_add(balance.amount);
        }
        let members = self
            .members
            .iter()
            .map(|member| (StateKey::Member(member.key), encode(&MemberState { roles: member.roles, frozen: false })));
        let assets = self.assets.iter().map(|asset| {
            let supply = supplies.get(&asset.code).copied().unwrap_or(0);
            let state = AssetState { scale: asset.scale, issuer: asset.issuer, supply };
            (StateKey::Asset(asset.code), encode(&state))
        });
        let balances = self.balances.iter().map(|balance| {
            (StateKey::Balance { account: balance.account, code: balance.code }, encode(&balance.amount))
        });
        let change = |(key, value): (StateKey, Vec<u8>)| Change {
            key,
            key_hash: key.key_hash(),
            created: true,
            value: Some(value),
        };
        let mut changes: Vec<Change> = members.chain(assets).chain(balances).map(change).collect();
        changes.sort_unstable_by_key(|change| change.key_hash);
        changes
    }

    /// The header of block 0. It takes a while for a large genesis: the whole state is hashed.
    pub fn header(&self) -> Header {
        let validators_hash = self.validators.hash();
        Header {
            version: self.parameters.protocol_version,
            chain_id: self.chain_id(),
            epoch: Epoch(0),
            height: Height(0),
            parent: Digest::ZERO,
            batch_digest: self.batch().digest(),
            transactions_root: transactions_root(&[]),
            receipts_root: receipts_root(&[]),
            state_root: state_root(&self.state()),
            validators_hash,
            next_validators_hash: validators_hash,
            parameters_hash: self.parameters.hash(),
            time: self.time,
        }
    }

    /// Block 0: the header over an empty batch. No certificate covers it; it is what it is by the chain id.
    pub fn block(&self) -> Block {
        Block { header: self.header(), batch: self.batch(), bodies: Vec::new(), positions: Vec::new() }
    }

    fn batch(&self) -> Batch {
        Batch { time: self.time, ids: BoundedVec::new() }
    }
}

/// The root over changes that are the whole state, sorted by key hash.
fn state_root(changes: &[Change]) -> Digest {
    let mut tree = SparseTree::new();
    for group in changes.chunk_by(|a, b| Bucket::of(&a.key_hash) == Bucket::of(&b.key_hash)) {
        let leaves: Leaves = group.iter().filter_map(|change| Some((change.key_hash, change.value.clone()?))).collect();
        tree.set_bucket(Bucket::of(&group[0].key_hash), &leaves);
    }
    tree.commit()
}
