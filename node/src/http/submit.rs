//! `POST /v1/transactions`: one as JSON, many as canonical bytes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use quorate_crypto::encode::{BoundedVec, decode};
use quorate_protocol::api::Code;
use quorate_protocol::api::http::{
    BORSH_MEDIA_TYPE, SubmitQuery, SubmitRequest, SubmitResponse, TransactionResponse, TransactionStatus,
    Wait as WaitFor,
};
use quorate_protocol::document::SignedTransaction;
use quorate_protocol::id::TransactionId;
use quorate_protocol::limits::{SUBMIT_COUNT_MAX, SUBMIT_TIMEOUT_MAX_MS};
use quorate_protocol::store::StoreError;
use tokio::time::{Instant, timeout_at};

use super::body::Whole;
use super::context::Api;
use super::problem::Refusal;
use super::reads::{executed, settled};
use crate::client::{Client, NoRoom};
use crate::telemetry::Drop;
use crate::verify::Submission;
use crate::waiters::{Event, Wait};

/// Milliseconds that a request waits when it does not say.
const TIMEOUT_DEFAULT_MS: u64 = 10_000;

/// How a request wants to be answered.
#[derive(Clone, Copy)]
struct Patience {
    wait: WaitFor,
    since: Instant,
    until: Instant,
}

/// `POST /v1/transactions?wait=none|accepted|committed&timeout=ms`
pub async fn submit(
    State(api): State<Arc<Api>>,
    query: Result<Query<SubmitQuery>, QueryRejection>,
    headers: HeaderMap,
    whole: Result<Whole, Refusal>,
) -> Result<Response, Refusal> {
    let Query(query) = query?;
    let mut whole = whole?;
    // Gone when it is decoded, not when the wait is over.
    let body = std::mem::take(&mut whole.bytes);
    let patience = Patience::of(query)?;
    if let Some(reason) = api.halt.reason() {
        return Err(Refusal::new(Code::Halted, reason));
    }
    match media_type(&headers) {
        "application/json" => submit_one(&api, whole.client, patience, body).await,
        BORSH_MEDIA_TYPE => submit_many(&api, whole.client, patience, body).await,
        other => Err(Refusal::new(Code::UnsupportedMediaType, format!("content-type {other:?}"))),
    }
}

impl Patience {
    fn of(query: SubmitQuery) -> Result<Patience, Refusal> {
        let timeout = query.timeout.unwrap_or(TIMEOUT_DEFAULT_MS);
        if timeout > SUBMIT_TIMEOUT_MAX_MS {
            let detail = format!("timeout: {timeout} is above {SUBMIT_TIMEOUT_MAX_MS} milliseconds");
            return Err(Refusal::new(Code::BadRequest, detail));
        }
        let since = Instant::now();
        Ok(Patience { wait: query.wait.unwrap_or_default(), since, until: since + Duration::from_millis(timeout) })
    }
}

/// The media type without its parameters; JSON where a client does not say.
fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.map_or("application/json", |value| value.split(';').next().unwrap_or_default().trim())
}

async fn submit_one(api: &Api, client: Client, patience: Patience, body: Vec<u8>) -> Result<Response, Refusal> {
    let transaction = decode_one(&body)?;
    drop(body);
    let id = transaction.id();
    let outcomes = submit_all(api, client, patience, vec![transaction]).await;
    let outcome = outcomes.map_err(|refusal| refusal.about(id))?.remove(0);
    let status = match outcome.status {
        TransactionStatus::Rejected => return Err(refusal(&outcome)),
        TransactionStatus::Applied | TransactionStatus::Failed | TransactionStatus::Expired => StatusCode::OK,
        TransactionStatus::Accepted if patience.wait != WaitFor::Committed => StatusCode::ACCEPTED,
        TransactionStatus::Queued if patience.wait == WaitFor::None => StatusCode::ACCEPTED,
        TransactionStatus::Accepted | TransactionStatus::Queued | TransactionStatus::Unknown => {
            return Err(Refusal::new(Code::Timeout, "the wait ended before the outcome was known").about(id));
        }
    };
    Ok((status, Json(outcome)).into_response())
}

fn decode_one(body: &[u8]) -> Result<SignedTransaction, Refusal> {
    let malformed = |reason: String| Refusal::new(Code::Malformed, reason);
    let request: SubmitRequest =
        serde_json::from_slice(body).map_err(|error| malformed(format!("JSON body: {error}")))?;
    decode(&request.transaction).map_err(|error| malformed(format!("transaction: {error}")))
}

async fn submit_many(api: &Api, client: Client, patience: Patience, body: Vec<u8>) -> Result<Response, Refusal> {
    let transactions: BoundedVec<SignedTransaction, SUBMIT_COUNT_MAX> =
        decode(&body).map_err(|error| Refusal::new(Code::Malformed, format!("list of transactions: {error}")))?;
    drop(body);
    let mut outcomes = submit_all(api, client, patience, transactions.into_inner()).await?;
    // A thousand receipts would make an answer of megabytes; each is there to be asked for.
    outcomes.iter_mut().for_each(|outcome| outcome.receipt = None);
    Ok(Json(SubmitResponse { outcomes }).into_response())
}

fn refusal(outcome: &TransactionResponse) -> Refusal {
    let code = outcome.code.unwrap_or(Code::Internal);
    Refusal::new(code, format!("the transaction is refused: {code}")).about(outcome.id)
}

/// Hands transactions in and waits as asked; the outcomes are in the order of the transactions.
async fn submit_all(
    api: &Api,
    client: Client,
    patience: Patience,
    transactions: Vec<SignedTransaction>,
) -> Result<Vec<TransactionResponse>, Refusal> {
    let ids: Vec<TransactionId> = transactions.iter().map(SignedTransaction::id).collect();
    let mut outcomes = Outcomes::new(patience.wait, &ids);
    // Registered first, so that nothing can become of them unseen.
    let mut wait = register(api, client, patience.wait, &transactions)?;
    // Whoever waits hears of what was executed before from the pool, which remembers it; only an id of which it says nothing good is
    // looked up.
    let fresh = if wait.is_some() { transactions } else { known_or_fresh(api, transactions, &mut outcomes)? };
    if !fresh.is_empty() {
        let events = wait.as_ref().map(Wait::sender);
        if let Err(why) = api.verify.push_client(Submission { client, transactions: fresh, events }) {
            // There is no room for it, and perhaps no need: what was executed before is told, not refused.
            look_up(api, &mut outcomes)?;
            if outcomes.open > 0 || wait.is_none() {
                return Err(no_room(api, why, "transactions wait to be verified"));
            }
        }
    }
    if let Some(wait) = &mut wait {
        follow(api, patience, wait, &mut outcomes).await?;
    }
    Ok(outcomes.in_order(&ids))
}

/// Counts and says that a submission is not taken.
fn no_room(api: &Api, why: NoRoom, what: &str) -> Refusal {
    api.counters.count(match why {
        NoRoom::Share => Drop::ClientQuota,
        NoRoom::Full => Drop::ClientQueueFull,
    });
    Refusal::no_room(why, what)
}

fn register(
    api: &Api,
    client: Client,
    wait: WaitFor,
    transactions: &[SignedTransaction],
) -> Result<Option<Wait>, Refusal> {
    if wait == WaitFor::None {
        return Ok(None);
    }
    let waited_for = transactions.iter().map(|transaction| (transaction.id(), transaction.valid_until()));
    let registered = api.waiters.register(client, waited_for);
    registered.map(Some).map_err(|why| no_room(api, why, "transactions are waited for"))
}

/// Notes the present state of what is executed, and returns the rest.
fn known_or_fresh(
    api: &Api,
    transactions: Vec<SignedTransaction>,
    outcomes: &mut Outcomes,
) -> Result<Vec<SignedTransaction>, Refusal> {
    let mut fresh = Vec::with_capacity(transactions.len());
    let known = if transactions.len() > 1 { settled } else { executed };
    for transaction in transactions {
        match known(api, transaction.id())? {
            Some(known) => outcomes.note(known),
            None => fresh.push(transaction),
        }
    }
    Ok(fresh)
}

/// Notes events until nothing more is waited for, or the time is up.
async fn follow(api: &Api, patience: Patience, wait: &mut Wait, outcomes: &mut Outcomes) -> Result<(), Refusal> {
    let Patience { until, since, .. } = patience;
    let is_list = outcomes.known.len() > 1;
    while outcomes.open > 0 {
        let Ok(Some((id, event))) = timeout_at(until, wait.events.recv()).await else { break };
        match event {
            Event::Accepted => outcomes.note(TransactionResponse::new(id, TransactionStatus::Accepted)),
            _ if outcomes.is_settled(&id) => {}
            Event::Executed => {
                if let Some(known) = known(api, id, is_list)? {
                    outcomes.note(known);
                }
            }
            Event::Rejected(code) => {
                // What has expired by now, or is of somebody who is no member any more, may have been executed all the same.
                let known = known(api, id, is_list)?;
                outcomes.note(known.unwrap_or_else(|| TransactionResponse::rejected(id, code)));
            }
            Event::Settled { height, index, position } => {
                let in_list = || TransactionResponse::settled(position, height, index);
                let certified = if is_list { Some(in_list()) } else { executed(api, id)? };
                if let Some(certified) = certified {
                    outcomes.note(certified);
                    if outcomes.wait == WaitFor::Committed {
                        api.counters.metrics.commit.observe(since.elapsed().as_secs_f64());
                    }
                }
            }
            Event::Expired => outcomes.note(TransactionResponse {
                code: Some(Code::Expired),
                ..TransactionResponse::new(id, TransactionStatus::Expired)
            }),
            Event::Stopping => break,
        }
    }
    // Where the node is slow, the store may know by now what nobody said.
    look_up(api, outcomes)
}

/// What the store knows of a transaction; lists go without receipts.
fn known(api: &Api, id: TransactionId, is_list: bool) -> Result<Option<TransactionResponse>, StoreError> {
    if is_list { settled(api, id) } else { executed(api, id) }
}

/// Notes what the store knows of everything that is still waited for.
fn look_up(api: &Api, outcomes: &mut Outcomes) -> Result<(), Refusal> {
    let is_list = outcomes.known.len() > 1;
    for id in outcomes.open_ids() {
        if let Some(known) = known(api, id, is_list)? {
            outcomes.note(known);
        }
    }
    Ok(())
}

/// What is known so far of the transactions of one request.
struct Outcomes {
    wait: WaitFor,
    known: HashMap<TransactionId, TransactionResponse>,
    /// Transactions of which the request still waits to hear more.
    open: usize,
}

impl Outcomes {
    fn new(wait: WaitFor, ids: &[TransactionId]) -> Outcomes {
        let queued = |id: &TransactionId| (*id, TransactionResponse::new(*id, TransactionStatus::Queued));
        let known: HashMap<_, _> = ids.iter().map(queued).collect();
        let open = known.len();
        Outcomes { wait, known, open }
    }

    /// Notes what has become of a transaction. What is final stays, but for a refusal: another copy of the same
    /// transaction may have been signed well.
    fn note(&mut self, response: TransactionResponse) {
        let Some(before) = self.known.get_mut(&response.id) else { return };
        let was_final = is_final(self.wait, before.status);
        if was_final && before.status != TransactionStatus::Rejected {
            return;
        }
        let is_final = is_final(self.wait, response.status);
        *before = response;
        if is_final && !was_final {
            self.open -= 1;
        }
    }

    /// Whether its place in the chain is known: nothing that anybody says changes what is told of it but the chain itself.
    fn is_settled(&self, id: &TransactionId) -> bool {
        self.known.get(id).is_some_and(|known| {
            matches!(known.status, TransactionStatus::Applied | TransactionStatus::Failed | TransactionStatus::Expired)
        })
    }

    fn open_ids(&self) -> Vec<TransactionId> {
        let open = self.known.values().filter(|known| !is_final(self.wait, known.status));
        open.map(|known| known.id).collect()
    }

    fn in_order(mut self, ids: &[TransactionId]) -> Vec<TransactionResponse> {
        // Each is cloned only where a list names one twice.
        let mut taken: HashMap<TransactionId, usize> = HashMap::new();
        let mut outcomes: Vec<TransactionResponse> = Vec::with_capacity(ids.len());
        for id in ids {
            let outcome = match self.known.remove(id) {
                Some(outcome) => outcome,
                None => outcomes[taken[id]].clone(),
            };
            taken.insert(*id, outcomes.len());
            outcomes.push(outcome);
        }
        outcomes
    }
}

/// Whether a request that waits for `wait` need not wait any longer for this transaction.
fn is_final(wait: WaitFor, status: TransactionStatus) -> bool {
    match status {
        TransactionStatus::Queued | TransactionStatus::Unknown => false,
        TransactionStatus::Accepted => wait != WaitFor::Committed,
        TransactionStatus::Applied
        | TransactionStatus::Failed
        | TransactionStatus::Expired
        | TransactionStatus::Rejected => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_crypto::hash::Digest;

    fn id(byte: u8) -> TransactionId {
        TransactionId(Digest::from_bytes([byte; 32]))
    }

    fn response(byte: u8, status: TransactionStatus) -> TransactionResponse {
        TransactionResponse::new(id(byte), status)
    }

    #[test]
    fn request_stays_open_until_each_distinct_id_is_final() {
        let mut outcomes = Outcomes::new(WaitFor::Committed, &[id(1), id(2), id(1)]);
        assert_eq!(outcomes.open, 2);
        outcomes.note(response(1, TransactionStatus::Accepted));
        assert_eq!(outcomes.open, 2, "accepted is not committed");
        outcomes.note(response(1, TransactionStatus::Applied));
        outcomes.note(response(1, TransactionStatus::Accepted));
        outcomes.note(response(2, TransactionStatus::Expired));
        outcomes.note(response(3, TransactionStatus::Applied));
        assert_eq!(outcomes.open, 0);
        let order: Vec<_> = outcomes.in_order(&[id(1), id(2), id(1)]).iter().map(|outcome| outcome.status).collect();
        assert_eq!(order, [TransactionStatus::Applied, TransactionStatus::Expired, TransactionStatus::Applied]);
    }

    #[test]
    fn forged_copy_does_not_hide_the_good_one() {
        let mut outcomes = Outcomes::new(WaitFor::Accepted, &[id(1)]);
        outcomes.note(TransactionResponse::rejected(id(1), Code::BadSignature));
        outcomes.note(response(1, TransactionStatus::Accepted));
        assert_eq!((outcomes.open, outcomes.in_order(&[id(1)])[0].status), (0, TransactionStatus::Accepted));
    }
}
