//! Error codes: stable, snake_case, in one table.
//!
//! # Precedence
//!
//! When several codes would be true, the one that stands first in the table is reported. Two notes:
//!
//! - A door (client, gossip, fetch) judges by what stands up to [`Code::PoolFull`]; what else depends on the ledger is
//!   judged by execution only, and only those codes appear in receipts ([`Stage::Execution`]).
//! - Execution judges the operations of a transaction one after the other, each against what the ones before it did.
//!   The first operation that fails gives the code, and among the reasons of that operation the table's order decides.
//!
//! # Duplicates
//!
//! That an id is known already, since it waits in the pool or has been executed, is no failure of the transaction and has
//! no code: a client's door answers known bytes with their present state; a batch position that repeats an executed id is
//! skipped and leaves its one receipt alone.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::str::FromStr;

/// Who reports a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A door: the bytes or the signature are judged, before anything is stored.
    Door,
    /// The rules: the transaction has a position in a block, and a receipt says so.
    Execution,
    /// The HTTP service.
    Service,
}

/// What a client knows about its transaction after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownOutcome {
    /// This answer did not lead to its execution. Another node may still have it until its `valid_until` has passed.
    NotApplied,
    /// It was applied.
    Applied,
    /// It may be applied or not; ask again, or send the same bytes again.
    Unknown,
}

impl fmt::Display for KnownOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KnownOutcome::NotApplied => "not_applied",
            KnownOutcome::Applied => "applied",
            KnownOutcome::Unknown => "unknown",
        })
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, $stage:ident, $status:literal, $retryable:literal,
       $outcome:ident, $hint:literal;)*) => {
        /// A stable error code. Its canonical bytes are its number, two bytes little-endian.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code, in the order of precedence.
            pub const ALL: &'static [Code] = &[$(Code::$variant),*];

            /// The name that clients see.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $name,)* }
            }

            /// The number in canonical bytes. Never reused.
            pub const fn number(self) -> u16 {
                match self { $(Code::$variant => $number,)* }
            }

            /// Who reports it.
            pub const fn stage(self) -> Stage {
                match self { $(Code::$variant => Stage::$stage,)* }
            }

            /// HTTP status of a response that reports it.
            pub const fn http_status(self) -> u16 {
                match self { $(Code::$variant => $status,)* }
            }

            /// Whether the same request can succeed later or elsewhere.
            pub const fn retryable(self) -> bool {
                match self { $(Code::$variant => $retryable,)* }
            }

            /// What the client knows about its transaction.
            pub const fn outcome(self) -> KnownOutcome {
                match self { $(Code::$variant => KnownOutcome::$outcome,)* }
            }

            /// What to do about it.
            pub const fn hint(self) -> &'static str {
                match self { $(Code::$variant => $hint,)* }
            }

            fn from_number(number: u16) -> Option<Code> {
                match number { $($number => Some(Code::$variant),)* _ => None }
            }

            fn from_name(name: &str) -> Option<Code> {
                match name { $($name => Some(Code::$variant),)* _ => None }
            }
        }
    };
}

codes! {
    // What a door judges, in this order.
    /// The bytes are no canonical transaction.
    Malformed = 1, "malformed", Door, 400, false, NotApplied,
        "send the canonical bytes of a signed transaction, as `quorate` makes them";
    /// The transaction, or the submission, is larger than the chain allows.
    TooLarge = 2, "too_large", Door, 413, false, NotApplied,
        "split it; GET /v1/genesis shows transaction_bytes_max";
    /// Signed for another chain.
    WrongChain = 3, "wrong_chain", Door, 422, false, NotApplied,
        "sign it for the chain_id that GET /v1/status shows";
    /// The list of operations is empty.
    NoOperations = 4, "no_operations", Execution, 422, false, NotApplied,
        "put at least one operation into the transaction";
    /// The signature is not the sender's over these bytes.
    BadSignature = 5, "bad_signature", Door, 422, false, NotApplied,
        "sign the transaction with the sender's key; one changed byte spoils a signature";
    /// The sender is no member of the chain.
    UnknownSender = 9, "unknown_sender", Door, 422, false, NotApplied,
        "have an admin register the sender's key";
    /// `valid_until` has passed.
    Expired = 6, "expired", Door, 422, false, NotApplied,
        "sign it again with a later valid_until; check this machine's clock";
    /// `valid_until` lies further ahead than the chain allows.
    ValidUntilTooFar = 7, "valid_until_too_far", Door, 422, false, NotApplied,
        "choose a valid_until within validity_window_ms less clock_skew_max_ms of now; check this machine's clock";
    // 8 was given to what every door answers with its state.
    /// The sender has as many transactions waiting as one sender may.
    SenderQuota = 10, "sender_quota", Door, 429, true, NotApplied,
        "wait until some of this sender's transactions are executed, then send the same bytes again";
    /// The pool is full.
    PoolFull = 11, "pool_full", Door, 503, true, NotApplied,
        "wait, then send the same bytes again, here or to another node";

    // What execution judges, in this order.
    /// The sender is frozen.
    SenderFrozen = 100, "sender_frozen", Execution, 422, false, NotApplied,
        "have an admin unfreeze the sender";
    /// The sender lacks the role that the operation needs.
    NotPermitted = 101, "not_permitted", Execution, 422, false, NotApplied,
        "assets need the role issuer, members the role admin; have an admin set it";
    /// An amount of zero.
    AmountZero = 102, "amount_zero", Execution, 422, false, NotApplied,
        "give an amount of at least one minor unit";
    /// There is no such asset.
    UnknownAsset = 103, "unknown_asset", Execution, 422, false, NotApplied,
        "check the asset's code; an issuer creates assets";
    /// There is such an asset already.
    AssetExists = 104, "asset_exists", Execution, 422, false, NotApplied,
        "choose another code";
    /// Another member issues this asset.
    NotTheIssuer = 105, "not_the_issuer", Execution, 422, false, NotApplied,
        "only the member who created the asset mints and burns it";
    /// The receiver is no member of the chain.
    ReceiverNotAMember = 106, "receiver_not_a_member", Execution, 422, false, NotApplied,
        "have an admin register the receiver's key, or check the address";
    /// The sender has less than the amount.
    InsufficientBalance = 107, "insufficient_balance", Execution, 422, false, NotApplied,
        "send less, or wait for incoming transfers";
    /// The supply would exceed what 128 bits count.
    Overflow = 108, "overflow", Execution, 422, false, NotApplied,
        "mint less";
    /// The key cannot be registered: no canonical point of large order.
    BadKey = 109, "bad_key", Execution, 422, false, NotApplied,
        "register a key made by `quorate keys new`";
    /// The key is a member already.
    MemberExists = 110, "member_exists", Execution, 422, false, NotApplied,
        "nothing to do, or set the member's roles";
    /// There is no such member.
    UnknownMember = 111, "unknown_member", Execution, 422, false, NotApplied,
        "check the address; register the key first";
    /// An admin names itself; that could leave the chain without an admin.
    OwnMembership = 112, "own_membership", Execution, 422, false, NotApplied,
        "have another admin do it";

    // What the service says.
    /// The request lacks the node's bearer token, or has another.
    Unauthorized = 209, "unauthorized", Service, 401, false, NotApplied,
        "send `Authorization: Bearer TOKEN` with the token of this node's api_token_file";
    /// The request itself is wrong: a parameter, a path, a header.
    BadRequest = 200, "bad_request", Service, 400, false, NotApplied,
        "see the detail; GET /v1/openapi.json describes the API, docs/api has the same for people";
    /// No such thing here, or not yet.
    NotFound = 201, "not_found", Service, 404, true, Unknown,
        "check the id; a node that is behind may not have it yet";
    /// The path does not take this method.
    MethodNotAllowed = 202, "method_not_allowed", Service, 405, false, NotApplied,
        "GET /v1/openapi.json has the methods of each path";
    /// The body has a type that the path does not take.
    UnsupportedMediaType = 203, "unsupported_media_type", Service, 415, false, NotApplied,
        "send application/json, or application/x-borsh for many";
    /// The client has as much waiting as one client may.
    ClientQuota = 210, "client_quota", Service, 429, true, NotApplied,
        "wait until some of what you sent is answered, then send the same bytes again; fewer at once are taken sooner";
    /// The node has more requests waiting than it can take.
    Overloaded = 204, "overloaded", Service, 503, true, NotApplied,
        "wait, then send the same bytes again, here or to another node";
    /// The node is starting, catching up, or has lost its quorum.
    NotReady = 205, "not_ready", Service, 503, true, NotApplied,
        "ask another node, or wait; GET /v1/consensus says why";
    /// The node has stopped itself.
    Halted = 206, "halted", Service, 503, true, Unknown,
        "ask another node; GET /v1/status says why this one stopped";
    /// The wait ended before the outcome was known.
    Timeout = 207, "timeout", Service, 504, true, Unknown,
        "ask for the transaction by its id, or send the same bytes again: they apply at most once";
    /// A fault of the node.
    Internal = 208, "internal", Service, 500, true, Unknown,
        "ask another node, and report this one's log";
}

/// What the command `quorate` had asked for when a node answered with a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To read something: nothing left that could be executed.
    Read,
    /// To execute a transaction: its bytes have left, now or earlier.
    Submission,
}

impl Code {
    /// Whether it follows from the bytes and the genesis alone, so that no correct node ever takes them, whatever the
    /// state, the time and its clock.
    pub const fn is_final(self) -> bool {
        matches!(self, Code::Malformed | Code::TooLarge | Code::WrongChain | Code::NoOperations | Code::BadSignature)
    }

    /// What the command `quorate` ends with when this code is the last word. After a submission 4 takes f + 1 validators
    /// that say so, or a receipt; what is not certain is 5.
    pub const fn exit_code(self, asked: Asked) -> u8 {
        match asked {
            Asked::Read => self.exit_code_of_read(),
            Asked::Submission => self.exit_code_of_submission(),
        }
    }

    const fn exit_code_of_read(self) -> u8 {
        match self {
            Code::BadRequest | Code::MethodNotAllowed | Code::UnsupportedMediaType => 2,
            Code::NotFound => 3,
            Code::NotReady | Code::Halted | Code::Timeout => 6,
            Code::SenderQuota | Code::PoolFull | Code::ClientQuota | Code::Overloaded => 8,
            Code::Unauthorized => 9,
            // A fault of the node, or a code that is no answer to a read: it must not pass for a transaction's outcome.
            _ => 1,
        }
    }

    const fn exit_code_of_submission(self) -> u8 {
        match self.stage() {
            Stage::Execution => 4,
            _ if self.is_final() => 4,
            _ => match self {
                Code::SenderQuota | Code::PoolFull | Code::ClientQuota | Code::Overloaded => 8,
                Code::Unauthorized => 9,
                // What depends on the state or a clock may change, and whoever has the bytes may have kept them.
                _ => 5,
            },
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no error code is called {0:?}")]
pub struct UnknownCode(String);

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(name: &str) -> Result<Code, UnknownCode> {
        Code::from_name(name).ok_or_else(|| UnknownCode(name.to_owned()))
    }
}

impl BorshSerialize for Code {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        BorshSerialize::serialize(&self.number(), writer)
    }
}

impl BorshDeserialize for Code {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Code> {
        let number = u16::deserialize_reader(reader)?;
        Code::from_number(number).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("error code {number} is not known to this version"))
        })
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
        let name = <String as Deserialize>::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_is_in_the_table_once() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let numbers: BTreeSet<_> = Code::ALL.iter().map(|code| code.number()).collect();
        assert_eq!(names.len(), Code::ALL.len(), "two codes share a name");
        assert_eq!(numbers.len(), Code::ALL.len(), "two codes share a number");
        for &code in Code::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
            assert_eq!(Code::from_number(code.number()), Some(code));
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
            assert!(!code.hint().is_empty(), "{code} has no hint");
        }
    }

    #[test]
    fn statuses_agree_with_what_the_client_knows() {
        for &code in Code::ALL {
            assert!((400..600).contains(&code.http_status()), "{code}");
            if code.stage() == Stage::Execution {
                assert_eq!(code.outcome(), KnownOutcome::NotApplied, "{code}: a failed transaction changes nothing");
                assert!(!code.retryable(), "{code}: the same bytes have their receipt for ever");
            }
            assert_ne!(code.exit_code(Asked::Read), 4, "{code}: no read says that a transaction is not applied");
            assert_ne!(code.exit_code(Asked::Submission), 6, "{code}: the bytes have left");
            if code.exit_code(Asked::Submission) == 4 {
                assert_eq!((code.outcome(), code.retryable()), (KnownOutcome::NotApplied, false), "{code}");
                assert_ne!(
                    code.stage(),
                    Stage::Service,
                    "{code}: only a judged transaction is not applied for certain"
                );
            }
            if code.http_status() == 504 {
                assert_eq!(code.outcome(), KnownOutcome::Unknown, "{code}");
            }
            if matches!(code.http_status(), 429 | 503) {
                assert!(code.retryable(), "{code}");
            }
        }
    }

    #[test]
    fn names_and_numbers_that_are_no_code_are_refused() {
        assert!("no_such_code".parse::<Code>().is_err());
        assert!(borsh::from_slice::<Code>(&999u16.to_le_bytes()).is_err());
    }
}
