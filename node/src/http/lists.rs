//! Lists that go on for pages.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use quorate_protocol::api::Code;
use quorate_protocol::api::http::{BlockSummary, BlocksQuery, BlocksResponse, Order};
use quorate_protocol::document::Block;
use quorate_protocol::id::Height;
use quorate_protocol::store::{Store, StoreError};

use super::context::Api;
use super::cursor::{self, List};
use super::problem::Refusal;
use super::status::head;

/// Blocks of a page when the client does not say.
const BLOCKS_DEFAULT: usize = 20;
/// Blocks of a page at most: each is read whole.
const BLOCKS_MAX: usize = 100;

/// `GET /v1/blocks?cursor=&limit=&order=newest|oldest`
pub async fn blocks(
    State(api): State<Arc<Api>>,
    query: Result<Query<BlocksQuery>, QueryRejection>,
) -> Result<Json<BlocksResponse>, Refusal> {
    let Query(query) = query?;
    let limit = query.limit.unwrap_or(BLOCKS_DEFAULT);
    if !(1..=BLOCKS_MAX).contains(&limit) {
        return Err(Refusal::new(Code::BadRequest, format!("limit: {limit} is not within 1 and {BLOCKS_MAX}")));
    }
    let order = query.order.unwrap_or_default();
    let list = match order {
        Order::Newest => List::BlocksNewest,
        Order::Oldest => List::BlocksOldest,
    };
    let head = head(&api)?.height;
    let start = match (&query.cursor, order) {
        (Some(text), _) => cursor::read(list, text).ok_or_else(no_cursor)?,
        (None, Order::Newest) => head.0,
        (None, Order::Oldest) => 0,
    };
    let heights = page(start, head.0, limit, order);
    let next = match order {
        Order::Newest => heights.last().and_then(|last| last.checked_sub(1)),
        Order::Oldest => heights.last().map(|last| last + 1).filter(|next| *next <= head.0),
    };
    let items = read(&api, heights).await?;
    Ok(Json(BlocksResponse { items, next: next.map(|place| cursor::write(list, place)) }))
}

fn no_cursor() -> Refusal {
    Refusal::new(Code::BadRequest, "cursor: this is no cursor of this list in this order").hint(
        "hand back `next` of the page before as it was, with the same order; without a cursor the list begins anew",
    )
}

/// The heights of a page.
fn page(start: u64, head: u64, limit: usize, order: Order) -> Vec<u64> {
    match order {
        Order::Newest => (0..=start.min(head)).rev().take(limit).collect(),
        Order::Oldest => (start..=head).take(limit).collect(),
    }
}

/// Reads blocks one after the other, off the threads that carry the network.
async fn read(api: &Api, heights: Vec<u64>) -> Result<Vec<BlockSummary>, Refusal> {
    let reader = Arc::clone(&api.page_readers).acquire_owned().await;
    let store = Arc::clone(&api.store);
    let summaries = move || {
        // It reads to its end even where the client has gone, and counts until then.
        let _reader = reader;
        heights.into_iter().map(|height| summary(store.as_ref(), Height(height))).collect()
    };
    let read: Result<Vec<BlockSummary>, StoreError> = tokio::task::spawn_blocking(summaries)
        .await
        .map_err(|error| Refusal::new(Code::Internal, format!("reading blocks: {error}")))?;
    Ok(read?)
}

fn summary(store: &dyn Store, height: Height) -> Result<BlockSummary, StoreError> {
    let missing = || StoreError::corrupt("blocks", format!("block {height} is below the head, and it is not there"));
    let Block { header, positions, .. } = store.block(height)?.ok_or_else(missing)?;
    let executed = positions.iter().filter(|position| position.outcome.is_executed()).count();
    Ok(BlockSummary {
        height,
        hash: header.hash(),
        time: header.time,
        state_root: header.state_root,
        positions: u32::try_from(positions.len()).unwrap_or(u32::MAX),
        transactions: u32::try_from(executed).unwrap_or(u32::MAX),
        certified: store.certificate(height)?.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_both_orders_end_where_the_chain_does() {
        assert_eq!(page(5, 5, 2, Order::Newest), [5, 4]);
        assert_eq!(page(1, 5, 9, Order::Newest), [1, 0]);
        assert_eq!(page(9, 5, 2, Order::Newest), [5, 4], "a cursor of a node that is ahead");
        assert_eq!(page(0, 5, 2, Order::Oldest), [0, 1]);
        assert_eq!(page(5, 5, 2, Order::Oldest), [5]);
        assert!(page(6, 5, 2, Order::Oldest).is_empty());
    }
}
