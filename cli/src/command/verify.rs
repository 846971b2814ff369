//! `quorate verify`: offline, against a genesis file and nothing else.

use quorate_protocol::proof::read_receipt;
use serde::Serialize;

use crate::arguments::Global;
use crate::arguments::verify::Verify;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::manifest::Manifest;
use crate::output::table::Style;
use crate::output::{Printer, Readable};
use crate::receipt::{self, ReceiptShown};

/// The longest receipt file that is read, in bytes.
const RECEIPT_BYTES_MAX: u64 = 16 << 20;

#[derive(Serialize)]
struct Shown<'a> {
    /// What the receipt is about.
    verified: bool,
    chain_id: String,
    receipt: ReceiptShown<'a>,
}

/// Verifies a receipt file.
///
/// # Errors
/// Exit code 7 when it proves nothing, 10 when the genesis is damaged or another chain's, 3 when there is no such file.
pub fn run(arguments: &Verify, global: &Global, printer: Printer) -> Result<Exit, Failure> {
    let genesis_path = match (&global.genesis, &global.testnet) {
        (Some(path), _) => path.clone(),
        (None, Some(dir)) => Manifest::load(dir)?.genesis,
        (None, None) => {
            return Err(Failure::usage(
                "a receipt is verified against the chain's genesis file",
                "give it with --genesis FILE",
            ));
        }
    };
    let genesis = crate::genesis::load(&genesis_path)?;
    let path = arguments.receipt.display();
    let bytes = files::read(&arguments.receipt, RECEIPT_BYTES_MAX).map_err(|error| {
        let hint = "give the file that `quorate tx receipt ID --output json` printed";
        Failure::new(Exit::NotFound, "receipt_unreadable", format!("the receipt {path} cannot be read: {error}"), hint)
    })?;
    let refused = |reason: String| {
        Failure::unverified(
            format!("{path} proves nothing: {reason}"),
            "get it again with `quorate tx receipt ID --output json`, and keep the file as it was printed",
        )
    };
    let found = read_receipt(&bytes).map_err(|error| refused(error.to_string()))?;
    if let Err(reason) = receipt::check(&found, &genesis, None) {
        if receipt::is_of_another_chain(&found, &genesis) {
            return Err(Failure::config(
                "wrong_genesis",
                format!(
                    "{} does not belong to this receipt: the receipt is of chain {}, the genesis makes chain {}",
                    genesis_path.display(),
                    found.header.chain_id,
                    genesis.chain_id()
                ),
                "the genesis file was changed, or is another chain's: take it from whoever runs the chain",
            ));
        }
        return Err(refused(reason));
    }
    let shown = ReceiptShown { receipt: &found, validators: genesis.validators.n() };
    printer.print(&Shown { verified: true, chain_id: genesis.chain_id().to_string(), receipt: shown })?;
    Ok(Exit::Success)
}

impl Readable for Shown<'_> {
    fn text(&self, style: Style) -> String {
        format!("{} on chain {}\n{}", style.good("verified"), self.chain_id, self.receipt.text(style))
    }
}
