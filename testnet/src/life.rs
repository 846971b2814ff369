//! The proof that a testnet lives: one transfer of a minor unit from carol to herself, whose certified receipt every
//! node serves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use quorate_cli::client::http::Node;
use quorate_cli::client::outbox::Outbox;
use quorate_cli::client::submit::{Draft, send};
use quorate_cli::exit::{Exit, Failure};
use quorate_cli::manifest::Manifest;
use quorate_cli::output::progress::Progress;
use quorate_cli::{genesis, key_file, receipt};
use quorate_protocol::document::{AssetCode, Genesis, Operation};
use quorate_protocol::id::{Height, TransactionId};

use crate::directory::Directory;
use crate::home::ASSET;
use crate::interrupt::{INTERRUPT_CHECK, Interrupt};

/// Who sends to herself.
const SENDER: &str = "carol";
/// How long the transfer may be executed.
const VALID_FOR: Duration = Duration::from_secs(30);
/// The pause between two looks at the nodes.
const PAUSE: Duration = Duration::from_millis(20);

/// Commits the transfer and waits until every node serves its verified receipt. Returns its id.
///
/// # Errors
/// When that has not come true by `deadline`, with the reason; or when it is interrupted.
pub fn prove(
    directory: &Directory,
    manifest: &Manifest,
    deadline: Instant,
    interrupt: &Interrupt,
) -> Result<TransactionId, Failure> {
    let (sender, receiver) = channel();
    let (own_directory, own_manifest) = (directory.clone(), manifest.clone());
    // On a thread of its own, so that Ctrl-C need not wait for it.
    thread::spawn(move || drop(sender.send(commit_everywhere(&own_directory, &own_manifest, deadline))));
    loop {
        match receiver.recv_timeout(INTERRUPT_CHECK) {
            Ok(outcome) => return outcome,
            Err(RecvTimeoutError::Timeout) if interrupt.count() == 0 => {}
            Err(RecvTimeoutError::Timeout) => return Err(interrupt.failure()),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::internal("the first transfer broke off", "report this fault"));
            }
        }
    }
}

fn commit_everywhere(directory: &Directory, manifest: &Manifest, deadline: Instant) -> Result<TransactionId, Failure> {
    let genesis = Arc::new(genesis::load(&manifest.genesis)?);
    let nodes: Vec<Node> =
        manifest.nodes.iter().map(|node| Node::new(&node.name, &node.api)).collect::<Result<_, _>>()?;
    let id = commit(directory, manifest, &nodes, &genesis, deadline)?;
    wait_everywhere(id, &nodes, &genesis, deadline)?;
    Ok(id)
}

fn commit(
    directory: &Directory,
    manifest: &Manifest,
    nodes: &[Node],
    genesis: &Arc<Genesis>,
    deadline: Instant,
) -> Result<TransactionId, Failure> {
    let Some(account) = manifest.account(SENDER) else {
        return Err(Failure::config(
            "bad_testnet_manifest",
            format!("testnet.json has no account {SENDER}"),
            "restore the file, or start a new testnet in an empty directory",
        ));
    };
    let code = AssetCode::new(ASSET).map_err(|error| Failure::internal(error.to_string(), "report this fault"))?;
    let transfer = Operation::Transfer { to: account.address, code, amount: 1 };
    let draft = Draft { operations: vec![transfer], memo: "the testnet lives".to_owned(), valid_for: VALID_FOR };
    let key = key_file::read(&account.key_file)?;
    let outbox = Outbox::new(directory.path().join("outbox"));
    let kept = (&outbox, Height::ZERO);
    let outcome = send((nodes, genesis), (&key, &draft), kept, deadline, |_| (), &mut Progress::silent());
    outcome.map(|response| response.id).map_err(|failure| {
        let message = format!("the nodes run, but the chain commits nothing: {}", failure.message);
        Failure::new(Exit::Internal, "no_commit", message, "see the nodes' logs, DIR/v*/node.log")
    })
}

fn wait_everywhere(id: TransactionId, nodes: &[Node], genesis: &Genesis, deadline: Instant) -> Result<(), Failure> {
    let mut missing: BTreeSet<usize> = (0..nodes.len()).collect();
    let serves = |node: &Node| node.receipt(&id).is_ok_and(|found| receipt::check(&found, genesis, Some(id)).is_ok());
    loop {
        missing.retain(|&index| !serves(&nodes[index]));
        if missing.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let names: Vec<&str> = missing.iter().map(|&index| nodes[index].name()).collect();
            return Err(Failure::new(
                Exit::Internal,
                "no_commit",
                format!("{} did not get the first block in time", names.join(", ")),
                "see their logs, DIR/v*/node.log",
            ));
        }
        thread::sleep(PAUSE);
    }
}
