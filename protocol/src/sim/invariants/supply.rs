//! The units of an asset are conserved: its balances add up to its supply, and transfers leave the supply alone.

use super::promise::{Invariant, Observation, Promise, Violation};
use crate::document::{AssetCode, AssetState, Genesis, Operation, StateKey};
use crate::id::Height;
use crate::store::Store;
use quorate_crypto::{PublicKey, decode};
use std::collections::{BTreeMap, BTreeSet};

/// Assets that one account can hold in a world.
const ASSETS_MAX: usize = 1_000;

/// Adds up all balances of all accounts that were ever named, at every height once.
#[derive(Debug, Default)]
pub struct Supply {
    accounts: BTreeSet<PublicKey>,
    assets: BTreeSet<Vec<u8>>,
    codes: Vec<AssetCode>,
    checked: Height,
}

impl Supply {
    /// A checker that knows the accounts and assets of the genesis.
    #[must_use]
    pub fn new(genesis: &Genesis) -> Self {
        let mut supply = Supply::default();
        supply.accounts.extend(genesis.members.iter().map(|member| member.key));
        genesis.assets.iter().for_each(|asset| supply.know(asset.code));
        supply
    }

    fn know(&mut self, code: AssetCode) {
        if self.assets.insert(code.as_str().as_bytes().to_vec()) {
            self.codes.push(code);
        }
    }

    /// New accounts and assets come into being by operations only.
    fn learn(&mut self, operation: &Operation) {
        match operation {
            Operation::AssetCreate { code, .. } => self.know(*code),
            Operation::Transfer { to, .. } | Operation::AssetMint { to, .. } => {
                self.accounts.insert(*to);
            }
            Operation::MemberRegister { key, .. } => {
                self.accounts.insert(*key);
            }
            _ => {}
        }
    }

    fn check(&self, store: &dyn Store, height: Height) -> Result<(), Violation> {
        let mut held: BTreeMap<&str, u128> = BTreeMap::new();
        let balances: Vec<(AssetCode, u128)> = self
            .accounts
            .iter()
            .flat_map(|account| store.balances(account, ASSETS_MAX).expect("a simulated store can be read"))
            .collect();
        for (code, amount) in &balances {
            *held.entry(code.as_str()).or_default() += amount;
        }
        for code in &self.codes {
            let held = held.get(code.as_str()).copied().unwrap_or_default();
            let supply = supply_of(store, *code);
            if held != supply {
                let detail =
                    format!("at height {height} {held} minor units of {code} are held, and its supply is {supply}");
                return Err(Violation { promise: Promise::Supply, detail });
            }
        }
        Ok(())
    }
}

fn supply_of(store: &dyn Store, code: AssetCode) -> u128 {
    let value = store.state(&StateKey::Asset(code).key_hash()).expect("a simulated store can be read");
    value.map_or(0, |bytes| decode::<AssetState>(&bytes).expect("the state holds what the rules wrote").supply)
}

impl Invariant for Supply {
    fn observe(&mut self, observation: Observation<'_>) -> Result<(), Violation> {
        let Observation::Executed { block, store, .. } = observation else { return Ok(()) };
        // The other nodes' states are the same, which is another promise.
        if block.header.height <= self.checked {
            return Ok(());
        }
        self.checked = block.header.height;
        let operations = block.bodies.iter().flat_map(|body| body.transaction().operations.iter());
        operations.for_each(|operation| self.learn(operation));
        self.check(store, block.header.height)
    }
}
