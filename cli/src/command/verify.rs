//! `quorate verify`: offline, against a genesis file and nothing else.

use quorate_protocol::api::envelope::{Envelope, from_canonical_json};
use quorate_protocol::api::http::TransactionResponse;
use quorate_protocol::document::Receipt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

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
            return Err(Failure::usage("a receipt is verified against the chain's genesis file", "give it with --genesis FILE"));
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
    let found = read(&bytes).map_err(refused)?;
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

/// Reads a receipt as it was printed: in its envelope, bare as nodes serve it, or inside the result of `transfer` or `tx wait`.
/// Any other byte than what printing it again gives is refused.
fn read(bytes: &[u8]) -> Result<Receipt, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let Some(data) = value.get("data") else {
        return strictly::<Receipt>(bytes);
    };
    if data.get("receipt").is_none() {
        return unwrapped(strictly::<Envelope<Receipt>>(bytes)?);
    }
    let response = unwrapped(strictly::<Envelope<TransactionResponse>>(bytes)?)?;
    let found = response.receipt.clone().ok_or("it is the state of a transaction without a receipt")?;
    if TransactionResponse::certified(found.clone()) != response {
        return Err("what it says beside the receipt is not what the receipt says".to_owned());
    }
    Ok(found)
}

fn strictly<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    from_canonical_json(bytes).map_err(|error| error.to_string())
}

/// The data of an envelope that is exactly what a success is printed in.
fn unwrapped<T: Clone + PartialEq>(envelope: Envelope<T>) -> Result<T, String> {
    let data = envelope.data.clone().ok_or("it holds no data")?;
    if envelope != Envelope::success(data.clone()) {
        return Err("its envelope is not that of a success".to_owned());
    }
    Ok(data)
}

impl Readable for Shown<'_> {
    fn text(&self, style: Style) -> String {
        format!("{} on chain {}\n{}", style.good("verified"), self.chain_id, self.receipt.text(style))
    }
}
