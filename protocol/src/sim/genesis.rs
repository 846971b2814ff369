//! What the chain of a world begins with: its validators, and accounts with names.

use super::clock::WALL_ORIGIN;
use super::random::Random;
use crate::document::genesis::{GENESIS_VERSION, GenesisAsset, GenesisBalance, GenesisMember};
use crate::document::{AssetCode, Genesis, Parameters, Role, Roles, Scale, Validator, ValidatorSet};
use quorate_crypto::{PublicKey, SecretKey};

/// The members that can pay; each begins with [`FUNDS`].
pub const NAMES: [&str; 8] = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];

/// Minor units that each of [`NAMES`] begins with.
pub const FUNDS: u128 = 1_000_000;

/// Somebody with a key.
#[derive(Clone, Debug)]
pub struct Account {
    /// For traces and transcripts.
    pub name: &'static str,
    /// Signs for the account.
    pub key: SecretKey,
    /// The account's address.
    pub address: PublicKey,
}

/// Everybody of a world: [`NAMES`], the admin, a stranger who is no member, and mallory, a member who helps liars.
#[derive(Clone, Debug)]
pub struct Accounts {
    accounts: Vec<Account>,
}

impl Accounts {
    fn new(random: &mut Random) -> Self {
        let names = NAMES.into_iter().chain(["admin", "stranger", "mallory"]);
        let accounts = names.map(|name| {
            let key = SecretKey::from_seed(random.bytes32());
            Account { name, address: key.public_key(), key }
        });
        Accounts { accounts: accounts.collect() }
    }

    /// The account of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name == name)
    }

    /// The account at an address.
    #[must_use]
    pub fn at(&self, address: &PublicKey) -> Option<&Account> {
        self.accounts.iter().find(|account| account.address == *address)
    }

    /// The name at an address, for people.
    #[must_use]
    pub fn name(&self, address: &PublicKey) -> &'static str {
        self.at(address).map_or("somebody", |account| account.name)
    }

    /// Those who are funded.
    #[must_use]
    pub fn funded(&self) -> &[Account] {
        &self.accounts[..NAMES.len()]
    }

    /// The one who is no member.
    #[must_use]
    pub fn stranger(&self) -> &Account {
        &self.accounts[NAMES.len() + 1]
    }

    /// The member who helps liars; funded, and no honest client.
    #[must_use]
    pub fn friend(&self) -> &Account {
        &self.accounts[NAMES.len() + 2]
    }

    fn admin(&self) -> &Account {
        &self.accounts[NAMES.len()]
    }
}

/// The asset of a world, with two decimal places.
///
/// # Panics
///
/// Never: the text is a code.
#[must_use]
pub fn usd() -> AssetCode {
    AssetCode::new("USD").expect("three letters")
}

/// A genesis for `n` validators, their consensus keys in order, and the accounts.
pub(super) fn of_world(random: &mut Random, n: usize, parameters: Parameters) -> (Genesis, Vec<SecretKey>, Accounts) {
    let keys: Vec<SecretKey> = (0..n).map(|_| SecretKey::from_seed(random.bytes32())).collect();
    let validators = keys.iter().map(|key| {
        let network_key = SecretKey::from_seed(random.bytes32()).public_key();
        Validator { consensus_key: key.public_key(), network_key }
    });
    let validators = ValidatorSet::new(validators.collect()).expect("a world has 1 to 31 validators");
    let accounts = Accounts::new(random);
    let member = |account: &Account, roles: Roles| GenesisMember { key: account.address, roles };
    let mut members: Vec<_> =
        accounts.funded().iter().map(|account| member(account, Roles::of(&[Role::Member]))).collect();
    members.push(member(accounts.admin(), Roles::of(&[Role::Admin, Role::Issuer, Role::Member])));
    members.push(member(accounts.friend(), Roles::of(&[Role::Member])));
    let balance = |account: &Account| GenesisBalance { account: account.address, code: usd(), amount: FUNDS };
    let balances: Vec<_> = accounts.funded().iter().chain([accounts.friend()]).map(balance).collect();
    let scale = Scale::new(2).expect("two decimal places");
    let asset = GenesisAsset { code: usd(), scale, issuer: accounts.admin().address };
    let genesis = Genesis {
        version: GENESIS_VERSION,
        time: WALL_ORIGIN,
        parameters,
        validators,
        members: members.try_into().expect("ten members"),
        assets: vec![asset].try_into().expect("one asset"),
        balances: balances.try_into().expect("nine balances"),
    };
    genesis.check().expect("the parameters of a world are allowed");
    (genesis, keys, accounts)
}
