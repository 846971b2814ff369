//! Catching up, seen from the whole replica, with blocks whose certificates and commits are real.

use super::*;
use crate::document::{Certificate, Checkpoint};

/// The block of a height, empty, with the certificate of v0, v2 and v3.
fn certified(height: u64) -> CertifiedBlock {
    let (header, batch) = contents(height);
    let sign = |index: u8| (NodeIndex(index), Signed::sign(header.checkpoint(), &Digest::ZERO, &key(index)).signature);
    let signatures = vec![sign(0), sign(2), sign(3)].try_into().unwrap();
    CertifiedBlock { header, batch, bodies: Default::default(), proof: Proof::Certificate(Certificate { signatures }) }
}

fn contents(height: u64) -> (Header, Batch) {
    let batch = Batch { time: WALL + height, ids: Default::default() };
    (Header { batch_digest: batch.digest(), ..header(height, WALL + height) }, batch)
}

/// The same block with the COMMITs that made it final.
fn committed(height: u64) -> CertifiedBlock {
    let (header, batch) = contents(height);
    let ballot = Ballot { epoch: Epoch(0), view: View(0), sequence: Sequence(height), digest: batch.digest() };
    let commit = |index: u8| Signed::sign(pbft::message::Commit(ballot), &Digest::ZERO, &key(index));
    let commits = vec![commit(0), commit(2), commit(3)].try_into().unwrap();
    CertifiedBlock { header, batch, bodies: Default::default(), proof: Proof::Commits(commits) }
}

fn status(bench: &mut Bench, from: u8, executed: u64) {
    let status = pbft::message::Status {
        epoch: Epoch(0),
        view: View(0),
        active: true,
        low: Height(0),
        executed: Height(executed),
        slots: Default::default(),
        uncertified: Default::default(),
        view_changes: 0,
    };
    bench.hear(from, PeerMessage::Pbft(Message::Status(Signed::sign(status, &Digest::ZERO, &key(from)))));
}

/// Who is asked, from which height, for how many blocks.
type Questions = Vec<(u8, u64, u16)>;

/// The questions for blocks since the last look, and what is executed meanwhile.
fn questions(bench: &mut Bench) -> (Questions, Vec<(u64, Option<Digest>)>) {
    let (mut asked, mut executed) = (Vec::new(), Vec::new());
    for output in std::mem::take(&mut bench.out) {
        match output {
            Output::Send { to, message } => {
                if let PeerMessage::Sync(SyncMessage::FetchBlocks { from, count }) = *message {
                    asked.push((to.0, from.0, count));
                }
            }
            Output::Execute(job) => executed.push((job.height.0, job.expected)),
            _ => {}
        }
    }
    (asked, executed)
}

fn execute(bench: &mut Bench, height: u64) {
    let (header, _) = contents(height);
    let header_hash = header.hash();
    let result = ExecutionResult { header, header_hash, positions: Vec::new(), valid_untils: Vec::new() };
    bench.input(Input::Executed(Ok(Box::new(result))));
}

fn behind(height: u64) -> Bench {
    let mut bench = Bench::new(1);
    [0, 2, 3].into_iter().for_each(|from| status(&mut bench, from, height));
    bench.pass(1_000);
    bench.pass(1_000);
    bench
}

#[test]
fn a_replica_far_behind_fetches_from_all_and_gets_there_by_the_only_honest_one() {
    const HEIGHT: u64 = 300;
    let mut bench = behind(HEIGHT);
    let mut sources = std::collections::BTreeSet::new();
    let mut done = 0;
    for _ in 0..4_000 {
        let (asked, executed) = questions(&mut bench);
        for (height, expected) in executed {
            assert_eq!(expected, Some(contents(height).0.hash()), "the executor is told what must come out");
            assert_eq!(height, done + 1);
            done = height;
            execute(&mut bench, height);
        }
        for (to, from, count) in asked {
            sources.insert(to);
            let answer: Vec<CertifiedBlock> = match to {
                // Says nothing.
                0 => continue,
                // Always the first blocks.
                2 => (1..=4).map(certified).collect(),
                _ => (from..from + u64::from(count)).map(certified).collect(),
            };
            bench.hear(to, PeerMessage::Sync(SyncMessage::Blocks(answer.try_into().unwrap())));
        }
        bench.pass(10);
        if done == HEIGHT {
            break;
        }
    }
    assert_eq!(bench.replica.engine().executed(), Height(HEIGHT));
    assert_eq!(sources, [0, 2, 3].into());
    assert!(!bench.replica.status().catching_up);
    assert!(bench.now.monotonic.as_micros() < 6_000_000, "{:?}", bench.now.monotonic);
}

/// Nobody certifies the head yet: COMMITs prove what was ordered, and not the header that the source shows. One that is
/// forged changes nothing: this replica computes its own.
#[test]
fn a_forged_header_under_true_commits_is_not_expected_of_execution() {
    let mut bench = behind(1);
    let (asked, _) = questions(&mut bench);
    let (to, ..) = asked[0];
    let mut block = committed(1);
    block.header.state_root = block.header.hash();
    bench.hear(to, PeerMessage::Sync(SyncMessage::Blocks(vec![block].try_into().unwrap())));
    let (_, executed) = questions(&mut bench);
    assert_eq!(executed, [(1, None)]);
    execute(&mut bench, 1);
    assert!(bench.replica.engine().status().halted.is_none());
}

/// A forged header has no certificate, so nobody can make this replica believe that it diverged.
#[test]
fn a_forged_header_under_a_certificate_does_not_verify() {
    let mut block = certified(1);
    block.header.state_root = block.header.hash();
    let message = PeerMessage::Sync(SyncMessage::Blocks(vec![block].try_into().unwrap()));
    let context = pbft::Config::new(Digest::ZERO, validators(), None, &Parameters::default()).verify_context();
    assert!(Verified::check(message, &context, &mut Verifier::new([0; 32], 64)).is_err());
}

#[test]
fn blocks_that_nobody_asked_for_are_dropped() {
    let mut bench = Bench::new(1);
    bench.hear(2, PeerMessage::Sync(SyncMessage::Blocks(vec![certified(1)].try_into().unwrap())));
    let (asked, executed) = questions(&mut bench);
    assert!(asked.is_empty() && executed.is_empty());
}

/// While blocks are fetched the chain goes on: the end moves, until votes reach.
#[test]
fn the_target_moves_with_the_chain() {
    let mut bench = behind(100);
    let checkpoint = |height: u64, index: u8| {
        let checkpoint = Checkpoint { epoch: Epoch(0), height: Height(height), header_hash: contents(height).0.hash() };
        PeerMessage::Pbft(Message::Checkpoint(Signed::sign(checkpoint, &Digest::ZERO, &key(index))))
    };
    bench.hear(2, checkpoint(180, 2));
    bench.pass(60);
    assert_eq!(bench.replica.sync.target(), Height(100), "one liar moves nothing");
    bench.hear(3, checkpoint(170, 3));
    bench.pass(60);
    assert_eq!(bench.replica.sync.target(), Height(170));
}
