//! `quorate events`.

use clap::{Args, ValueEnum};
use quorate_protocol::api::event::Cursor;

use super::reading::Reading;

/// Print what the chain executes, one event a line.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Every event has a cursor, HEIGHT-INDEX; --after CURSOR goes on behind it, and none is left out or printed twice, also when
the node dies and another one takes over. Events are what one node says: a receipt proves a transaction.

Examples:
  quorate --testnet DIR events
  quorate --testnet DIR events --follow --account alice --output jsonl
  quorate --testnet DIR events --follow --after 17-3 --count 1")]
pub struct Events {
    /// Go on with what comes until Ctrl-C; without, end at the present head
    #[arg(long)]
    pub follow: bool,
    /// Begin after this event; `0-0` is the beginning [default: the beginning, with --follow only what is new]
    #[arg(long, value_name = "CURSOR")]
    pub after: Option<Cursor>,
    /// Only transactions that are about this account: a name of the testnet or of your keystore, or an address
    #[arg(long, value_name = "NAME|ADDRESS")]
    pub account: Option<String>,
    /// Only these kinds, with commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KINDS")]
    pub kinds: Vec<Kind>,
    /// End after this many events
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// How far the node has to be whose head is the end; with --follow there is none.
    #[command(flatten)]
    pub reading: Reading,
}

/// A kind of event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Kind {
    /// A transaction was executed.
    Transaction,
    /// A block was certified.
    Block,
}
