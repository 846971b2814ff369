//! `quorate batch`.

use std::path::PathBuf;

use clap::Args;

use super::signing::Signing;

/// Send the transactions of a file, each once however often it is run.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Each line of FILE is JSON: one operation, or a transaction of several with a sender and a memo of its own:

  {\"type\":\"transfer\",\"to\":\"bob\",\"asset\":\"USD\",\"amount\":\"12.50\"}
  {\"from\":\"alice\",\"memo\":\"rent\",\"operations\":[{\"type\":\"transfer\",\"to\":\"bob\",\"asset\":\"USD\",\"amount\":\"1\"}]}

Types: transfer {to, asset, amount}, asset_create {asset, scale}, asset_mint {asset, to, amount}, asset_burn {asset,
amount}, member_register {member, roles}, member_set_roles {member, roles}, member_freeze {member, frozen}.
Nothing is sent unless every line is understood. What was sent is noted in the journal before it is sent, so running the
same file again, after a crash or with lines added, sends nothing twice; equal lines of one file count as different.

Examples:
  quorate --testnet DIR batch payments.jsonl --from alice --output jsonl
  quorate --testnet DIR batch --atomic operations.jsonl --from alice
  quorate --testnet DIR batch - --journal may.journal --from alice < payments.jsonl")]
pub struct Batch {
    /// The file with one JSON object a line; `-` is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// All lines are operations of one transaction: all of them apply, or none
    #[arg(long)]
    pub atomic: bool,
    /// Where it is noted what was sent [default: FILE.journal; stdin has none]
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// How many transactions are on their way at once
    #[arg(long, default_value = "32", value_parser = clap::value_parser!(u16).range(1..=256), value_name = "COUNT")]
    pub concurrency: u16,
    /// Who signs, and how.
    #[command(flatten)]
    pub signing: Signing,
}
