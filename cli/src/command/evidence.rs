//! `quorate evidence`: which validators signed two things that exclude each other, and the proof of it.

use std::sync::Arc;

use quorate_crypto::signature::Verifier;
use quorate_protocol::api::evidence::{EvidenceResponse, EvidenceView};
use quorate_protocol::document::Genesis;
use quorate_protocol::proof::{
    EVIDENCE_JSON_BYTES_MAX, EvidenceError, VerifiedEvidence, read_evidence, verify_evidence_view,
};
use serde::Serialize;

use super::context::Context;
use crate::arguments::Global;
use crate::arguments::evidence::VerifyEvidence;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::manifest::Manifest;
use crate::output::table::{Facts, Style};
use crate::output::{Printer, Readable};

const GET_AGAIN: &str = "get it again with `quorate evidence --output json`, and keep the file as it was printed";

/// What a node holds. Its JSON is the node's answer, which `evidence verify` takes.
#[derive(Serialize)]
#[serde(transparent)]
struct Listed {
    response: EvidenceResponse,
    #[serde(skip)]
    node: String,
    /// Whether there was a genesis to check the pieces against.
    #[serde(skip)]
    checked: bool,
}

#[derive(Serialize)]
struct Shown {
    verified: bool,
    chain_id: String,
    evidence: Vec<Conviction>,
}

/// What one piece proves.
#[derive(Serialize)]
struct Conviction {
    validator: String,
    key: String,
    kind: &'static str,
    place: quorate_protocol::pbft::evidence::Place,
}

/// Lists the evidence that a node holds. With a genesis at hand every piece is verified before it is shown.
///
/// # Errors
/// When no node answers, or exit code 7 when a node shows something that proves nothing.
pub fn list(context: &Context) -> Result<Exit, Failure> {
    let genesis: Option<Arc<Genesis>> = match context.genesis() {
        Ok(genesis) => Some(genesis),
        Err(failure) if failure.exit == Exit::Usage => None,
        Err(failure) => return Err(failure),
    };
    let (response, node) = context.ask(|node| node.evidence())?;
    for view in genesis.iter().flat_map(|genesis| response.evidence.iter().map(move |view| (genesis, view))) {
        let (genesis, view) = view;
        verify_evidence_view(view, genesis).map_err(|error| {
            let message = format!("{} shows evidence against {} that proves nothing: {error}", node.name(), view.key);
            Failure::unverified(message, "believe nothing of it; ask another node with --node")
        })?;
    }
    context.printer.print(&Listed { response, node: node.name().to_owned(), checked: genesis.is_some() })?;
    Ok(Exit::Success)
}

/// Verifies an evidence file, offline.
///
/// # Errors
/// Exit code 7 when a piece proves nothing, 10 when the genesis is damaged or another chain's, 3 when there is no such file.
pub fn verify(arguments: &VerifyEvidence, global: &Global, printer: Printer) -> Result<Exit, Failure> {
    let genesis_path = match (&global.genesis, &global.testnet) {
        (Some(path), _) => path.clone(),
        (None, Some(dir)) => Manifest::load(dir)?.genesis,
        (None, None) => {
            let message = "evidence is verified against the chain's genesis file";
            return Err(Failure::usage(message, "give it with --genesis FILE"));
        }
    };
    let genesis = crate::genesis::load(&genesis_path)?;
    let path = arguments.file.display();
    let bytes = files::read(&arguments.file, EVIDENCE_JSON_BYTES_MAX as u64).map_err(|error| {
        let hint = "give the file that `quorate evidence --output json` printed";
        Failure::new(Exit::NotFound, "evidence_unreadable", format!("{path} cannot be read: {error}"), hint)
    })?;
    let refused = |reason: String| Failure::unverified(format!("{path} proves nothing: {reason}"), GET_AGAIN);
    let views = read_evidence(&bytes).map_err(|error| refused(error.to_string()))?;
    if views.is_empty() {
        return Err(refused("it holds no evidence".to_owned()));
    }
    let mut evidence = Vec::new();
    for view in &views {
        match verify_evidence_view(view, &genesis) {
            Ok(verified) => evidence.push(Conviction::of(&verified)),
            Err(EvidenceError::WrongChain { expected, found }) if is_whole_elsewhere(view) => {
                let message = format!(
                    "{} does not belong to this evidence: it is of chain {found}, the genesis makes chain {expected}",
                    genesis_path.display()
                );
                let hint = "the genesis file was changed, or is another chain's: take it from whoever runs the chain";
                return Err(Failure::config("wrong_genesis", message, hint));
            }
            Err(error) => return Err(refused(format!("the piece against {}: {error}", view.key))),
        }
    }
    printer.print(&Shown { verified: true, chain_id: genesis.chain_id().to_string(), evidence })?;
    Ok(Exit::Success)
}

/// Whether the signatures hold for the chain that the piece names: then it is the genesis that does not belong to it.
fn is_whole_elsewhere(view: &EvidenceView) -> bool {
    let Ok(evidence) = view.evidence() else { return false };
    let claims = evidence.claims(&view.checkable.chain_id);
    let mut verifier = Verifier::new([0; 32], claims.len());
    evidence.is_conflict() && claims.iter().all(|claim| verifier.verify(claim))
}

impl Conviction {
    fn of(verified: &VerifiedEvidence) -> Conviction {
        Conviction {
            validator: verified.validator.to_string(),
            key: verified.key.to_string(),
            kind: verified.kind.as_str(),
            place: verified.place,
        }
    }
}

/// One piece for people.
fn facts(validator: &str, key: &str, kind: &str, place: &quorate_protocol::pbft::evidence::Place) -> Facts {
    let mut at = vec![format!("epoch {}", place.epoch)];
    at.extend(place.view.map(|view| format!("view {view}")));
    at.extend(place.sequence.map(|sequence| format!("sequence {sequence}")));
    at.extend(place.height.map(|height| format!("height {height}")));
    let mut facts = Facts::default();
    facts.add("validator", validator).add("key", key);
    facts.add("signed two", kind.replace('_', "-")).add("at", at.join(", "));
    facts
}

impl Readable for Listed {
    fn text(&self, style: Style) -> String {
        let mut text = String::new();
        for view in &self.response.evidence {
            let name = view.validator.map_or("none of this set".to_owned(), |index| index.to_string());
            let mut facts = facts(&style.bad(&name), &view.key.to_string(), view.kind.as_str(), &view.place);
            for (label, message) in ["first digest", "second digest"].into_iter().zip(&view.messages) {
                facts.add(label, message.digest.to_string());
            }
            text.push_str(&facts.render(style));
            text.push('\n');
        }
        let count = self.response.evidence.len();
        let checked = match (count, self.checked) {
            (0, _) => String::new(),
            (_, true) => ", verified against the genesis".to_owned(),
            (_, false) => ", not verified: give --genesis FILE".to_owned(),
        };
        let pieces = if count == 1 { "piece" } else { "pieces" };
        text.push_str(&format!("  {count} {pieces} of evidence at {}{checked}\n", self.node));
        if self.response.left_out > 0 {
            text.push_str(&format!("  {} more are too large for one answer\n", self.response.left_out));
        }
        text
    }
}

impl Readable for Shown {
    fn text(&self, style: Style) -> String {
        let mut text = format!("{} on chain {}\n", style.good("verified"), self.chain_id);
        for found in &self.evidence {
            text.push_str(&facts(&style.bad(&found.validator), &found.key, found.kind, &found.place).render(style));
        }
        text
    }
}
