//! Events in words, for traces and transcripts.

use crate::document::{Block, Outcome};
use crate::id::{Height, TransactionId};
use crate::pbft::message::{Ballot, Content, Message, NewView, ViewChange};
use crate::pbft::{Note, Record};
use crate::replica::{PeerMessage, RepairMessage, SyncMessage};
use quorate_crypto::Digest;
use std::fmt::Write;

/// The first digits of a hash: enough to tell apart what one trace shows.
pub(super) fn short(digest: &Digest) -> String {
    let bytes = digest.as_bytes();
    format!("{:02x}{:02x}{:02x}", bytes[0], bytes[1], bytes[2])
}

pub(super) fn short_id(id: &TransactionId) -> String {
    let bytes = id.as_bytes();
    format!("{:02x}{:02x}{:02x}", bytes[0], bytes[1], bytes[2])
}

fn ballot(ballot: &Ballot) -> String {
    format!("view {} sequence {} digest {}", ballot.view, ballot.sequence, digest_word(&ballot.digest))
}

fn content(content: &Content) -> String {
    match content {
        Content::Null => "null".to_owned(),
        Content::Batch(batch) => counted(batch.ids.len(), "transaction"),
    }
}

/// "1 block", "2 blocks".
pub(super) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// One message.
pub(super) fn message(message: &PeerMessage) -> String {
    match message {
        PeerMessage::Pbft(message) => pbft(message),
        PeerMessage::Sync(message) => sync(message),
    }
}

fn pbft(message: &Message) -> String {
    match message {
        Message::PrePrepare(proposal) => {
            format!("PRE-PREPARE {} ({})", ballot(&proposal.ballot()), content(&proposal.content))
        }
        Message::Prepare(vote) => format!("PREPARE {}", ballot(&vote.body.0)),
        Message::Commit(vote) => format!("COMMIT {}", ballot(&vote.body.0)),
        Message::Checkpoint(signed) => {
            format!("CHECKPOINT height {} block {}", signed.body.height, short(&signed.body.header_hash))
        }
        Message::CommitCertificate(certificate) => match certificate.ballot() {
            Some(of) => format!("COMMIT-CERTIFICATE {}", ballot(&of)),
            None => "COMMIT-CERTIFICATE without commits".to_owned(),
        },
        Message::CertifiedCheckpoint(certified) => {
            let checkpoint = &certified.checkpoint;
            format!("certificate of height {} block {}", checkpoint.height, short(&checkpoint.header_hash))
        }
        Message::Status(signed) => {
            let status = &signed.body;
            let waits = if status.active { "" } else { " (not active)" };
            format!("STATUS view {}{waits} low {} executed {}", status.view, status.low, status.executed)
        }
        Message::ViewChange(signed) => format!("VIEW-CHANGE {}", view_change(&signed.body)),
        Message::NewView(signed) => format!("NEW-VIEW {}", new_view(&signed.body)),
    }
}

fn view_change(body: &ViewChange) -> String {
    let low = body.low(Height::ZERO);
    let prepared: Vec<String> = body.prepared.iter().map(|p| ballot(&p.pre_prepare.body.0)).collect();
    format!("to view {} from height {low}, prepared [{}]", body.view, prepared.join(", "))
}

fn new_view(body: &NewView) -> String {
    let proposed = body.pre_prepares.iter().map(|pre_prepare| pre_prepare.body.0);
    let proposed: Vec<String> =
        proposed.map(|ballot| format!("{} {}", ballot.sequence, digest_word(&ballot.digest))).collect();
    let first = body.view_changes.len();
    format!("view {} from {first} VIEW-CHANGEs, proposes again [{}]", body.view, proposed.join(", "))
}

/// A digest that votes carry, short.
fn digest_word(digest: &Digest) -> String {
    if *digest == Content::Null.digest() { "null".to_owned() } else { short(digest) }
}

fn sync(message: &SyncMessage) -> String {
    match message {
        SyncMessage::Claims(bodies) => counted(bodies.len(), "claim"),
        SyncMessage::FetchBodies(ids) => format!("asks for {}", counted(ids.len(), "body").replace("bodys", "bodies")),
        SyncMessage::Bodies(bodies) => counted(bodies.len(), "body").replace("bodys", "bodies"),
        SyncMessage::FetchBlocks { from, count } => format!("asks for {count} blocks from height {from}"),
        SyncMessage::Blocks(blocks) => counted(blocks.len(), "block"),
        SyncMessage::FetchCertificate { height } => format!("asks for the certificate of height {height}"),
        SyncMessage::FetchBatches(places) => format!("asks for {} batches", places.len()),
        SyncMessage::Batch { sequence, content: of } => format!("the batch of sequence {sequence} ({})", content(of)),
        SyncMessage::Repair(RepairMessage::Pending(told)) => format!("tells of {} that wait", told.len()),
        SyncMessage::Repair(RepairMessage::FetchPending(ids)) => format!("asks for {} that wait", ids.len()),
        SyncMessage::Repair(RepairMessage::PendingBodies(bodies)) => format!("{} that wait", bodies.len()),
        SyncMessage::FetchViewChanges(names) => format!("asks for {} VIEW-CHANGEs", names.len()),
    }
}

/// One record of the vote journal.
pub(super) fn record(record: &Record) -> String {
    match record {
        Record::ViewChange(signed) => format!("its VIEW-CHANGE to view {}", signed.body.view),
        Record::NewView { new_view, .. } => format!("the NEW-VIEW of view {}", new_view.body.view),
        Record::Accepted { pre_prepare, prepare, .. } => {
            let vote = if prepare.is_some() { "the proposal and its own PREPARE" } else { "its own proposal" };
            format!("{vote} for sequence {}", pre_prepare.body.0.sequence)
        }
        Record::Prepared { commit, .. } => format!("the prepared certificate of sequence {}", commit.body.0.sequence),
        Record::Floor(height) => format!("the floor {height}"),
        Record::Proven(certified) => format!("the proof of watermark {}", certified.checkpoint.height),
    }
}

/// One executed block.
pub(super) fn block(block: &Block) -> String {
    let (mut applied, mut failed, mut skipped) = (0, 0, 0);
    for position in &block.positions {
        match position.outcome {
            Outcome::Applied => applied += 1,
            Outcome::Failed(_) => failed += 1,
            Outcome::Skipped(_) => skipped += 1,
        }
    }
    let mut text =
        format!("block {} of height {}: {applied} applied", short(&block.header.hash()), block.header.height);
    for (count, word) in [(failed, "failed"), (skipped, "skipped")] {
        if count > 0 {
            write!(text, ", {count} {word}").expect("writing to memory does not fail");
        }
    }
    text
}

/// One remark of a replica.
pub(super) fn note(note: &Note) -> String {
    match note {
        Note::Refused { sequence, reason } => format!("does not vote for sequence {sequence}: {reason}"),
        Note::Evidence(evidence) => format!("holds evidence against {}", evidence.accused()),
        Note::PrimaryPrepared(_) => "ignores a PREPARE of the primary".to_owned(),
        Note::NotSigned { what, refusal } => format!("does not sign a {what}: {refusal}"),
        Note::LowWatermark(height) => format!("moves its low watermark to {height}"),
        Note::LeftView { to, reason } => format!("leaves for view {to}: {reason}"),
        Note::OpenedView { view, proposed_again } => {
            format!(
                "enters view {view}, which proposes {} again",
                counted(*proposed_again, "batch").replace("batchs", "batches")
            )
        }
        Note::RefusedNewView { view, reason } => format!("refuses the NEW-VIEW of view {view}: {reason}"),
        Note::StateDiverged { height } => format!("sees that no header of height {height} can be certified any more"),
    }
}
