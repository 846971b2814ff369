//! Who sends: registered and funded accounts with a key each, and what they sign.

use std::thread;
use std::time::Duration;

use quorate_cli::client::http::Node;
use quorate_cli::clock::now_ms;
use quorate_cli::exit::Failure;
use quorate_crypto::encode::encode;
use quorate_crypto::hash::Digest;
use quorate_crypto::hash::digest;
use quorate_crypto::key::{PublicKey, SecretKey};
use quorate_protocol::api::http::{TransactionResponse, TransactionStatus};
use quorate_protocol::document::{AssetCode, Operation, Role, Roles, SignedTransaction, Transaction};
use quorate_protocol::limits::{MEMO_BYTES_LIMIT, OPERATIONS_LIMIT};

/// How long a client waits for a certified outcome.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a transaction of a load is valid: what the chain's window allows, less what clocks may differ.
const VALID_FOR_MS: u64 = 110_000;
/// What each account gets, in minor units.
const FUNDS: u128 = 1_000_000_000;
/// How far it is from the account of one transfer to that of the next: a prime, so that all take their turn.
const STRIDE: usize = 7_919;
/// Preparing transactions in one request, and such requests at a time.
const PREPARING: (usize, usize) = (64, 4);

/// What the transactions of a load look like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Who sends, with a key each.
    pub clients: usize,
    /// Who receives: at least the clients.
    pub accounts: usize,
    /// The least that a transaction with its signature takes, in bytes; the memo fills it up.
    pub bytes: usize,
}

/// Clients of a testnet, registered and funded.
pub struct Clients {
    nodes: Vec<Node>,
    chain_id: Digest,
    asset: AssetCode,
    keys: Vec<SecretKey>,
    accounts: Vec<PublicKey>,
    memo: usize,
    salt: u64,
}

impl Clients {
    /// Registers and funds the accounts, whose keys follow from the chain and their number. Those that an earlier load
    /// has registered are used again.
    ///
    /// # Errors
    /// When a node refuses, or does not answer in time.
    pub fn prepare(
        nodes: Vec<Node>,
        chain_id: Digest,
        admin: &SecretKey,
        asset: AssetCode,
        shape: Shape,
    ) -> Result<Clients, Failure> {
        let count = shape.accounts.max(shape.clients);
        let all = in_halves(count, &|index| key(&chain_id, index));
        let accounts: Vec<PublicKey> = all.iter().map(SecretKey::public_key).collect();
        let keys = all.into_iter().take(shape.clients).collect();
        let mut clients = Clients { nodes, chain_id, asset, keys, accounts, memo: 0, salt: now_ms() };
        clients.memo = shape.bytes.saturating_sub(clients.sign_transfers(0, 1)[0].len()).min(MEMO_BYTES_LIMIT);
        clients.welcome_all(admin)?;
        Ok(clients)
    }

    /// Who receives, the clients first.
    pub fn accounts(&self) -> &[PublicKey] {
        &self.accounts
    }

    /// Registers and funds the accounts that are no members yet. They are registered in their order, so the first that
    /// is missing is found by halving.
    fn welcome_all(&self, admin: &SecretKey) -> Result<(), Failure> {
        let is_member =
            |account: &PublicKey| self.nodes[0].account(&account.to_string()).is_ok_and(|account| account.member);
        let known = self.accounts.partition_point(is_member);
        let parts: Vec<&[PublicKey]> = self.accounts[known..].chunks(OPERATIONS_LIMIT / 2).collect();
        let (list, at_once) = PREPARING;
        for round in parts.chunks(list * at_once) {
            let sent: Vec<(usize, usize)> = thread::scope(|scope| {
                let senders = round.chunks(list).enumerate().map(|(sender, parts)| {
                    scope.spawn(move || {
                        let sign = |part: &&[PublicKey]| encode(&self.sign(admin, self.welcome(part), 0, 0));
                        self.send(sender, &parts.iter().map(sign).collect::<Vec<_>>())
                    })
                });
                let senders: Vec<_> = senders.collect();
                senders.into_iter().map(|sender| sender.join().unwrap_or((0, 1))).collect()
            });
            let other: usize = sent.iter().map(|(_, other)| other).sum();
            if other > 0 {
                let message = format!("{other} of {} preparing transactions were not applied", round.len());
                return Err(Failure::internal(message, "look at `quorate-testnet status`, and try again"));
            }
        }
        Ok(())
    }

    /// Registers and funds some accounts in one transaction.
    fn welcome(&self, accounts: &[PublicKey]) -> Vec<Operation> {
        let roles = Roles::of(&[Role::Member]);
        let each = |key: &PublicKey| {
            [
                Operation::MemberRegister { key: *key, roles },
                Operation::AssetMint { code: self.asset, to: *key, amount: FUNDS },
            ]
        };
        accounts.iter().flat_map(each).collect()
    }

    fn sign(&self, key: &SecretKey, operations: Vec<Operation>, number: u64, memo: usize) -> SignedTransaction {
        let transaction = Transaction {
            chain_id: self.chain_id,
            sender: key.public_key(),
            valid_until: now_ms() + VALID_FOR_MS,
            salt: self.salt.wrapping_add(number),
            operations: operations.try_into().unwrap_or_default(),
            memo: "x".repeat(memo).try_into().unwrap_or_default(),
        };
        SignedTransaction::sign(transaction, key)
    }

    /// Signs `count` transfers: each client in its turn sends one minor unit to an account, and the accounts take turns,
    /// far apart from one to the next.
    pub fn sign_transfers(&self, first: u64, count: usize) -> Vec<Vec<u8>> {
        let sign = |number: usize| {
            let to = self.accounts[(number.wrapping_mul(STRIDE) + 1) % self.accounts.len()];
            let transfer = Operation::Transfer { to, code: self.asset, amount: 1 };
            let key = &self.keys[number % self.keys.len()];
            encode(&self.sign(key, vec![transfer], first + number as u64, self.memo))
        };
        in_halves(count, &sign)
    }

    /// Sends some as one request, or a single one by itself, to the node whose turn it is. Returns how many were certified
    /// as applied, and how many not.
    pub(super) fn send(&self, turn: usize, list: &[Vec<u8>]) -> (usize, usize) {
        let node = &self.nodes[turn % self.nodes.len()];
        let is_applied = |outcome: &TransactionResponse| outcome.status == TransactionStatus::Applied;
        let applied = if let [single] = list {
            usize::from(node.submit(single, PATIENCE).as_ref().is_ok_and(is_applied))
        } else {
            let mut bytes = u32::try_from(list.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
            list.iter().for_each(|transaction| bytes.extend_from_slice(transaction));
            let answer = node.submit_many(&bytes, "committed", PATIENCE);
            answer.map_or(0, |answer| answer.outcomes.iter().filter(|outcome| is_applied(outcome)).count())
        };
        (applied, list.len() - applied)
    }
}

fn key(chain_id: &Digest, index: usize) -> SecretKey {
    SecretKey::from_seed(*digest("quorate/load-client", &(*chain_id, index as u64)).as_bytes())
}

/// Makes `count` things on two threads, in their order.
fn in_halves<T: Send>(count: usize, make: &(impl Fn(usize) -> T + Sync)) -> Vec<T> {
    let half = count / 2;
    thread::scope(|scope| {
        let upper = scope.spawn(move || (half..count).map(make).collect::<Vec<_>>());
        let mut all: Vec<T> = (0..half).map(make).collect();
        all.extend(upper.join().unwrap_or_default());
        all
    })
}
