//! Whatever bytes arrive at a decoder of this crate: it says yes or no, and yes only to the one encoding of a value.
//!
//! Documents, messages and records are samples that a world of the simulator made; HTTP bodies are written by hand.
#![cfg(feature = "sim")]

#[path = "../../../crypto/tests/decoding/mod.rs"]
mod decoding;
mod table;
mod world;

use decoding::{
    assert_no_length_is_believed, assert_whole_samples_only, changed, edits, endless, is_alone, read_by_all,
    write_seeds,
};
use proptest::prelude::*;
use table::{families, table};

#[test]
fn whole_values_are_read_and_nothing_shorter_or_longer() {
    assert_whole_samples_only(table());
}

#[test]
fn a_length_that_is_a_lie_is_refused_and_reserves_no_memory() {
    if is_alone("a_length_that_is_a_lie_is_refused_and_reserves_no_memory") {
        assert_no_length_is_believed(table());
    }
}

#[test]
fn brackets_without_end_are_refused() {
    endless().iter().for_each(|bytes| read_by_all(table(), bytes));
}

/// What stands in `fuzz/` begins with these, and finds its way from there.
#[test]
#[ignore = "writes files; run it before fuzzing"]
fn every_sample_becomes_a_seed_of_its_fuzz_target() {
    for (target, decoders) in families() {
        write_seeds(target, decoders.iter().flat_map(|decoder| &decoder.samples));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_refused_or_are_the_one_encoding_of_a_value(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        read_by_all(table(), &bytes);
        // Small numbers are lengths and variants that come true.
        read_by_all(table(), &bytes.iter().map(|byte| byte % 3).collect::<Vec<_>>());
    }

    #[test]
    fn changed_values_are_refused_or_are_the_one_encoding_of_another(
        which in any::<[prop::sample::Index; 4]>(), edits in edits(),
    ) {
        read_by_all(table(), &changed(table(), &which, &edits));
    }

    #[test]
    fn arbitrary_texts_are_refused_or_are_the_one_text_of_a_value(text in "[0-9a-fA-Z.+_ \"-]{0,70}|\\PC{0,40}") {
        read_by_all(table(), text.as_bytes());
    }
}
