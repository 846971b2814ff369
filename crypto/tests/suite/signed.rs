use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::{
    Claim, Digest, Signable, Signed, Unverifiable, Verifiable, Verified, Verifier, decode, encode, sha256,
    signing_bytes,
};
use serde::{Deserialize, Serialize};

use crate::key;

#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Vote {
    pub height: u64,
}

impl Signable for Vote {
    const DOMAIN: &'static str = "quorate/test-vote";
}

/// The same bytes as a vote, under another domain.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
struct OtherVote {
    height: u64,
}

impl Signable for OtherVote {
    const DOMAIN: &'static str = "quorate/other-vote";
}

/// Several votes, in ascending order.
#[derive(Clone, Debug, PartialEq)]
struct Votes(Vec<Signed<Vote>>);

impl Verifiable for Votes {
    type Context = Digest;

    fn claims(&self, chain_id: &Digest, out: &mut Vec<Claim>) -> Result<(), Unverifiable> {
        out.extend(self.0.iter().map(|vote| vote.claim(chain_id)));
        if self.0.is_sorted_by(|a, b| a.body.height < b.body.height) {
            Ok(())
        } else {
            Err(Unverifiable("votes out of order"))
        }
    }
}

fn chain() -> Digest {
    sha256(b"chain")
}

fn verifier() -> Verifier {
    Verifier::new([3; 32], 16)
}

fn vote(height: u64) -> Signed<Vote> {
    Signed::sign(Vote { height }, &chain(), &key(height))
}

fn forged(height: u64) -> Signed<Vote> {
    let mut vote = vote(height);
    vote.body.height += 1;
    vote
}

#[test]
fn a_signature_covers_domain_chain_and_body() {
    let bytes = signing_bytes(&chain(), &Vote { height: 7 });
    let expected = [&[17][..], b"quorate/test-vote", chain().as_bytes(), &7u64.to_le_bytes()].concat();
    assert_eq!(bytes, expected);
}

#[test]
fn a_signed_value_verifies_for_its_chain_domain_body_and_signer_only() {
    let vote = vote(7);
    assert!(Verified::check(vote.clone(), &chain(), &mut verifier()).is_ok());
    assert!(Verified::check(vote.clone(), &sha256(b"other chain"), &mut verifier()).is_err());
    let other_domain = Signed { body: OtherVote { height: 7 }, signer: vote.signer, signature: vote.signature };
    assert!(Verified::check(other_domain, &chain(), &mut verifier()).is_err());
    let mut other_body = vote.clone();
    other_body.body.height = 8;
    assert_eq!(Verified::check(other_body.clone(), &chain(), &mut verifier()), Err(other_body));
    let mut other_signer = vote;
    other_signer.signer = key(8).public_key();
    assert!(Verified::check(other_signer, &chain(), &mut verifier()).is_err());
}

#[test]
fn an_own_value_is_verified_and_others_can_check_it() {
    let own = Verified::own(Vote { height: 1 }, &chain(), &key(1));
    assert_eq!(*own, vote(1));
    assert!(Verified::check(own.into_inner(), &chain(), &mut verifier()).is_ok());
}

#[test]
fn check_all_judges_each_value_by_itself() {
    let good = Votes(vec![vote(1), vote(2), vote(3)]);
    let one_forged = Votes(vec![vote(1), forged(2), vote(3)]);
    // Out of order, with signatures that would all hold; its claims must not shift anybody else's.
    let disordered = Votes(vec![vote(3), vote(1)]);
    let empty = Votes(vec![]);
    let values = vec![good.clone(), disordered.clone(), one_forged.clone(), empty.clone(), good.clone()];
    let results: Vec<_> = Verified::check_all(values, &chain(), &mut verifier())
        .into_iter()
        .map(|result| result.map(Verified::into_inner))
        .collect();
    assert_eq!(
        results,
        [Ok(good.clone()), Err(disordered.clone()), Err(one_forged.clone()), Ok(empty), Ok(good.clone())]
    );
    for (value, holds) in [(good, true), (disordered, false), (one_forged, false)] {
        assert_eq!(Verified::check(value, &chain(), &mut verifier()).is_ok(), holds);
    }
}

#[test]
fn a_signed_value_survives_bytes_and_json() {
    let vote = vote(5);
    assert_eq!(decode(&encode(&vote)), Ok(vote.clone()));
    let json = serde_json::to_string(&vote).unwrap();
    assert_eq!(serde_json::from_str::<Signed<Vote>>(&json).unwrap(), vote);
    let with_more = json.replacen('{', "{\"more\":1,", 1);
    assert!(serde_json::from_str::<Signed<Vote>>(&with_more).is_err());
}
