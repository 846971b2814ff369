//! Streams between nodes: frames, the hello that opens one, and what the frames carry.
#![no_main]

use std::sync::{LazyLock, Mutex, PoisonError};

use libfuzzer_sys::fuzz_target;
use quorate_crypto::{SecretKey, Signed, Verifier, sha256};
use quorate_fuzz::canonical;
use quorate_node::network::frame::{Decoder, FRAME_VERSION, FrameError, Kind};
use quorate_node::network::hello::{self, Expected, Hello, Role};
use quorate_protocol::id::{Epoch, NodeIndex};
use quorate_protocol::replica::PeerMessage;

static VERIFIER: LazyLock<Mutex<Verifier>> = LazyLock::new(|| Mutex::new(Verifier::new([9; 32], 4)));

/// What the seeds of the target are made with.
static EXPECTED: LazyLock<Expected> = LazyLock::new(|| Expected {
    chain_id: sha256(b"a chain"),
    index: NodeIndex(1),
    consensus_key: key(10).public_key(),
    from: key(11).public_key(),
    to: key(1).public_key(),
});

static SIGNED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let Expected { chain_id, index, from, to, .. } = EXPECTED.clone();
    hello::sign(Hello { chain_id, epoch: Epoch(0), role: Role::Validator, index, from, to }, &key(10))
});

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

/// The frames of a stream that arrives in pieces of this size, and how it ends.
fn frames(bytes: &[u8], piece: usize) -> (Vec<(Kind, Vec<u8>)>, Option<FrameError>) {
    let (mut decoder, mut frames, mut rest) = (Decoder::new(), Vec::new(), bytes);
    while !rest.is_empty() {
        let space = decoder.space();
        let count = piece.min(space.len()).min(rest.len());
        space[..count].copy_from_slice(&rest[..count]);
        decoder.filled(count);
        rest = &rest[count..];
        loop {
            match decoder.next_frame() {
                Ok(Some((kind, payload))) => frames.push((kind, payload.to_vec())),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fuzz_target!(|bytes: &[u8]| {
    let (whole, end) = frames(bytes, usize::MAX);
    let mut written = Vec::new();
    for (kind, payload) in &whole {
        written.extend_from_slice(&(payload.len() as u32 + 2).to_le_bytes());
        written.extend_from_slice(&[FRAME_VERSION, kind.byte()]);
        written.extend_from_slice(payload);
        match kind {
            Kind::Hello => greeted(payload),
            Kind::Ping => assert!(payload.is_empty()),
            Kind::Message(_) => drop(canonical::<PeerMessage>(payload)),
        }
    }
    assert!(bytes.starts_with(&written), "another frame than was sent");
    assert_eq!(frames(bytes, 7), (whole, end), "pieces make a difference");
    greeted(bytes);
});

fn greeted(bytes: &[u8]) {
    canonical::<Signed<Hello>>(bytes);
    let mut verifier = VERIFIER.lock().unwrap_or_else(PoisonError::into_inner);
    let is_right = hello::check(bytes, &EXPECTED, &mut verifier).is_ok();
    assert!(!is_right || bytes == *SIGNED, "a forged hello passes");
}
