//! What a newcomer sees when the net is up: where it listens, who has money, what to type next, how to stop.

use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_cli::manifest::Manifest;
use quorate_cli::output::Readable;
use quorate_cli::output::table::{Style, Table};
use quorate_crypto::hash::Digest;
use serde::Serialize;

use crate::home::{ADMIN, ASSET, FUNDED};

/// A testnet that is up. Its JSON is the manifest.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Banner {
    /// The testnet.
    pub manifest: Manifest,
    /// Its directory.
    #[serde(skip)]
    pub dir: PathBuf,
    /// How long it took to come up.
    #[serde(skip)]
    pub took: Duration,
    /// It runs in the background.
    #[serde(skip)]
    pub detached: bool,
    /// Its links run through proxies.
    #[serde(skip)]
    pub faults: bool,
    /// The nodes that follow without a vote.
    #[serde(skip)]
    pub without_vote: Vec<String>,
}

impl Readable for Banner {
    fn text(&self, style: Style) -> String {
        let nodes = self.manifest.nodes.len();
        let note = match self.without_vote.join(" ") {
            names if names.is_empty() => String::new(),
            names => {
                style.note(&format!("  Without a vote, because wiped: {names}. They count among those that fail.\n\n"))
            }
        };
        let faulty = (nodes - 1) / 3;
        let bears = match faulty {
            0 => "bears no faulty node: 4 would bear one".to_owned(),
            1 => "stays correct while any 1 of them fails or lies".to_owned(),
            count => format!("stays correct while any {count} of them fail or lie"),
        };
        let plural = if nodes == 1 { "node" } else { "nodes" };
        format!(
            "\n{}\n\n{note}{}\n{}\n{}\n",
            style.good(&format!("  The testnet is up: {nodes} {plural}, {bears}. ({:.1} s)", self.took.as_secs_f64())),
            self.node_table().render(style),
            self.account_table().render(style),
            self.next_steps(style)
        )
    }
}

impl Banner {
    fn node_table(&self) -> Table {
        let mut table = Table::new(&["node", "HTTP", "peers", "log"]);
        for node in &self.manifest.nodes {
            let log = node.home.join("node.log").display().to_string();
            table.row([node.name.clone(), node.api.clone(), node.p2p.clone(), log]);
        }
        table
    }

    fn account_table(&self) -> Table {
        let mut table = Table::new(&["account", "address", "at the genesis"]);
        for account in &self.manifest.accounts {
            let has = match account.name.as_str() {
                ADMIN => format!("admin of the chain, issuer of {ASSET}"),
                name if FUNDED.contains(&name) => format!("1,000,000.00 {ASSET}"),
                _ => String::new(),
            };
            table.row([account.name.clone(), account.address.to_string(), has]);
        }
        table
    }

    fn next_steps(&self, style: Style) -> String {
        let quorate = program("quorate");
        let testnet = program("quorate-testnet");
        let dir = quoted(&self.dir);
        let command = |text: String| format!("      {}\n", style.strong(&text));
        let (place, stop) = if self.detached {
            (
                "",
                format!(
                    "  Stop it (the chain stays, the next `up` goes on with it):\n\n{}",
                    command(format!("{testnet} down --dir {dir}"))
                ),
            )
        } else {
            (
                " in a second terminal",
                "  Stop it with Ctrl-C; the chain stays, the next `up` goes on with it.\n".to_owned(),
            )
        };
        let restart = if self.manifest.nodes.len() >= 4 {
            let more = if self.faults {
                let half: Vec<String> = self.manifest.nodes.iter().map(|node| node.name.clone()).collect();
                let (one, other) = half.split_at(half.len() / 2);
                let partition = format!("{testnet} partition \"{}|{}\" --dir {dir}", one.join(","), other.join(","));
                format!("{}{}", command(partition), command(format!("{testnet} heal --dir {dir}")))
            } else {
                String::new()
            };
            format!("\n  Break it, and watch it go on:\n\n{}{more}", command(format!("{testnet} kill v1 --dir {dir}")))
        } else {
            String::new()
        };
        format!(
            "  Send something{place}:\n\n{}{}{restart}\n{stop}",
            command(format!("{quorate} --testnet {dir} transfer --from alice --to bob --amount 10 --asset {ASSET}")),
            command(format!("{quorate} --testnet {dir} account bob")),
        )
    }
}

/// What to type for a program of ours: its name where `PATH` finds this very one, else its path.
pub fn program(name: &str) -> String {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(name));
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&in_path).map(|dir| dir.join(name)).find(|path| path.is_file());
    match (beside, found) {
        (Some(beside), Some(found)) if same_file(&beside, &found) => name.to_owned(),
        (Some(beside), _) if beside.is_file() => quoted(&beside),
        _ => name.to_owned(),
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    real(one).is_some() && real(one) == real(other)
}

/// A path as a shell takes it.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@%=:,".contains(&byte);
    if text.bytes().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// The first digits of a chain's id, enough to tell two apart by eye.
pub fn short(chain_id: &Digest) -> String {
    chain_id.to_string().chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_a_shell_only_where_needed() {
        assert_eq!(quoted(Path::new("/tmp/net-1")), "/tmp/net-1");
        assert_eq!(quoted(Path::new("/tmp/my net")), "'/tmp/my net'");
        assert_eq!(quoted(Path::new("/tmp/it's")), "'/tmp/it'\\''s'");
    }
}
