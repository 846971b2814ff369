//! What `GET /v1/events` sends: one event for each transaction that was executed, one for each block after its
//! transactions, in the order of the chain, and only of blocks that are certified: what was told is never taken back.

use crate::api::code::Code;
use crate::api::http::TransactionStatus;
use crate::id::{Height, TransactionId};
use crate::time::UnixMillis;
use quorate_crypto::hash::Digest;
use quorate_crypto::key::PublicKey;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A place in the stream of events, the `id` of a server-sent event: `HEIGHT-INDEX`. The transactions of a block have
/// the indices from 0 on, the block itself the one after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// The block.
    pub height: Height,
    /// The position in it.
    pub index: u32,
}

/// Why a text is no [`Cursor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is HEIGHT-INDEX, as the `id` of an event shows it, for example 17-0")]
pub struct BadCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.height, self.index)
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    /// Takes only what [`Cursor`] prints: no signs, spaces or leading zeros.
    fn from_str(text: &str) -> Result<Cursor, BadCursor> {
        let (height, index) = text.split_once('-').ok_or(BadCursor)?;
        let cursor = Cursor {
            height: Height(height.parse().map_err(|_| BadCursor)?),
            index: index.parse().map_err(|_| BadCursor)?,
        };
        if cursor.to_string() == text { Ok(cursor) } else { Err(BadCursor) }
    }
}

/// One event. `type` says which; it is the `event` of the server-sent event, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A transaction was executed and is certified.
    Transaction(TransactionEvent),
    /// A block is certified; its transactions came before.
    Block(BlockEvent),
}

/// A transaction was executed and is certified: its receipt can be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionEvent {
    /// The block that executed it.
    pub height: Height,
    /// Its position there.
    pub index: u32,
    /// The transaction.
    pub id: TransactionId,
    /// `applied` or `failed`.
    pub status: TransactionStatus,
    /// Why it failed.
    pub code: Option<Code>,
    /// Who sent it.
    pub sender: PublicKey,
    /// The block's time.
    pub time: UnixMillis,
}

/// A block is certified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockEvent {
    /// Its height.
    pub height: Height,
    /// Hash of its header.
    pub hash: Digest,
    /// Its time.
    pub time: UnixMillis,
    /// Root of the state after it.
    pub state_root: Digest,
    /// How many transactions it executed.
    pub transactions: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_printed_and_in_no_other_form() {
        let cursor = Cursor { height: Height(17), index: 3 };
        assert_eq!((cursor.to_string().as_str(), "17-3".parse()), ("17-3", Ok(cursor)));
        for bad in [
            "",
            "17",
            "17-",
            "-3",
            "+17-3",
            "17-03",
            "017-3",
            "17-3 ",
            "17-4294967296",
            "18446744073709551616-0",
            "1-2-3",
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(BadCursor), "{bad:?}");
        }
        assert!(cursor < Cursor { height: Height(18), index: 0 });
    }

    #[test]
    fn an_event_names_its_type() {
        let (zero, height) = (Digest::ZERO, Height(2));
        let event = Event::Block(BlockEvent { height, hash: zero, time: 5, state_root: zero, transactions: 1 });
        let json = serde_json::to_value(&event).expect("JSON");
        assert_eq!((&json["type"], &json["height"]), (&"block".into(), &2.into()));
        assert_eq!(serde_json::from_value::<Event>(json).expect("an event"), event);
    }
}
