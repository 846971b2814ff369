//! The state as a block sees it: read once, changed in memory, and what a failed transaction did taken back.

use super::context::StateView;
use crate::document::operation::AssetCode;
use crate::document::state::{AssetState, Change, MemberState, StateKey};
use crate::store::StoreError;
use borsh::BorshDeserialize;
use quorate_crypto::encode::{decode, encode};
use quorate_crypto::fast::FastMap;
use quorate_crypto::hash::Digest;
use quorate_crypto::key::PublicKey;

/// A value of the state, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Member(MemberState),
    Asset(AssetState),
    Balance(u128),
}

impl Value {
    fn decode(key: &StateKey, bytes: &[u8]) -> Result<Value, StoreError> {
        match key {
            StateKey::Member(_) => decode_state(bytes).map(Value::Member),
            StateKey::Asset(_) => decode_state(bytes).map(Value::Asset),
            StateKey::Balance { .. } => decode_state(bytes).map(Value::Balance),
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Value::Member(member) => encode(member),
            Value::Asset(asset) => encode(asset),
            Value::Balance(units) => encode(units),
        }
    }
}

fn decode_state<T: BorshDeserialize>(bytes: &[u8]) -> Result<T, StoreError> {
    decode(bytes).map_err(|error| StoreError::corrupt("state", error.to_string()))
}

/// A key that the block has touched.
struct Slot {
    key: StateKey,
    key_hash: Digest,
    /// Before the block.
    before: Option<Value>,
    /// Now.
    now: Option<Value>,
}

/// The state before a block with what the block has done to it so far.
pub struct Overlay<'a, V> {
    view: &'a mut V,
    slots: Vec<Slot>,
    index: FastMap<StateKey, usize>,
    /// What the transaction at hand has overwritten, oldest first.
    undo: Vec<(usize, Option<Value>)>,
}

impl<'a, V: StateView> Overlay<'a, V> {
    /// Nothing done yet.
    pub fn new(view: &'a mut V) -> Overlay<'a, V> {
        Overlay { view, slots: Vec::new(), index: FastMap::default(), undo: Vec::new() }
    }

    /// The state before the block.
    pub fn view(&mut self) -> &mut V {
        self.view
    }

    /// A transaction begins: what the last one did stays.
    pub fn begin(&mut self) {
        self.undo.clear();
    }

    /// Takes back everything since [`Overlay::begin`].
    pub fn roll_back(&mut self) {
        for (slot, before) in self.undo.drain(..).rev() {
            self.slots[slot].now = before;
        }
    }

    /// A member, if the key is one.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    pub fn member(&mut self, key: &PublicKey) -> Result<Option<MemberState>, StoreError> {
        match self.get(StateKey::Member(*key))? {
            Some(Value::Member(member)) => Ok(Some(member)),
            _ => Ok(None),
        }
    }

    /// Registers or changes a member.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    pub fn set_member(&mut self, key: &PublicKey, member: MemberState) -> Result<(), StoreError> {
        self.set(StateKey::Member(*key), Some(Value::Member(member)))
    }

    /// An asset, if there is one of this code.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    pub fn asset(&mut self, code: AssetCode) -> Result<Option<AssetState>, StoreError> {
        match self.get(StateKey::Asset(code))? {
            Some(Value::Asset(asset)) => Ok(Some(asset)),
            _ => Ok(None),
        }
    }

    /// Creates or changes an asset.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    pub fn set_asset(&mut self, code: AssetCode, asset: AssetState) -> Result<(), StoreError> {
        self.set(StateKey::Asset(code), Some(Value::Asset(asset)))
    }

    /// What an account holds of an asset, in minor units.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    pub fn balance(&mut self, account: &PublicKey, code: AssetCode) -> Result<u128, StoreError> {
        match self.get(StateKey::Balance { account: *account, code })? {
            Some(Value::Balance(units)) => Ok(units),
            _ => Ok(0),
        }
    }

    /// Sets what an account holds of an asset, in minor units. Zero is absence.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    pub fn set_balance(&mut self, account: &PublicKey, code: AssetCode, units: u128) -> Result<(), StoreError> {
        let value = (units != 0).then_some(Value::Balance(units));
        self.set(StateKey::Balance { account: *account, code }, value)
    }

    /// What differs from the state before the block, in the order of the key hashes.
    pub fn into_changes(self) -> Vec<Change> {
        let changed = self.slots.into_iter().filter(|slot| slot.now != slot.before);
        let mut changes: Vec<Change> = changed
            .map(|slot| Change {
                key: slot.key,
                key_hash: slot.key_hash,
                created: slot.before.is_none(),
                value: slot.now.map(|value| value.encode()),
            })
            .collect();
        changes.sort_unstable_by_key(|change| change.key_hash);
        changes
    }

    fn get(&mut self, key: StateKey) -> Result<Option<Value>, StoreError> {
        let slot = self.slot(key)?;
        Ok(self.slots[slot].now)
    }

    fn set(&mut self, key: StateKey, value: Option<Value>) -> Result<(), StoreError> {
        let slot = self.slot(key)?;
        let before = std::mem::replace(&mut self.slots[slot].now, value);
        self.undo.push((slot, before));
        Ok(())
    }

    /// The place of a key, which is read when the block touches it for the first time.
    fn slot(&mut self, key: StateKey) -> Result<usize, StoreError> {
        if let Some(slot) = self.index.get(&key) {
            return Ok(*slot);
        }
        let key_hash = key.key_hash();
        let bytes = self.view.read(&key_hash)?;
        let before = bytes.map(|bytes| Value::decode(&key, bytes)).transpose()?;
        let slot = self.slots.len();
        self.slots.push(Slot { key, key_hash, before, now: before });
        self.index.insert(key, slot);
        Ok(slot)
    }
}
