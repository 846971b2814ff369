//! How much may be in work at once: requests, and the bytes of their bodies.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use quorate_protocol::api::Code;
use quorate_protocol::limits::SUBMIT_BYTES_MAX;
use tokio::sync::Semaphore;

use super::problem::Refusal;

/// Kibibytes of bodies of all requests in work: 64 MiB.
const BODIES_KIB_MAX: usize = 64 * 1024;
/// The largest body in kibibytes.
const BODY_KIB_MAX: u64 = SUBMIT_BYTES_MAX as u64 / 1024;

/// What is left of the bounds.
#[derive(Debug)]
pub struct Load {
    requests: Semaphore,
    body_kib: Semaphore,
}

impl Load {
    /// At most `requests_max` requests at once.
    pub fn new(requests_max: usize) -> Load {
        Load { requests: Semaphore::new(requests_max), body_kib: Semaphore::new(BODIES_KIB_MAX) }
    }
}

/// Refuses a request when too much is in work.
pub async fn bound(State(load): State<Arc<Load>>, request: Request, next: Next) -> Response {
    let permits = (load.requests.try_acquire(), load.body_kib.try_acquire_many(body_kib(request.headers())));
    match permits {
        (Ok(_request), Ok(_body)) => next.run(request).await,
        _ => Refusal::new(Code::Overloaded, "too many requests are in work").into_response(),
    }
}

/// What a body may take: the length that the client names, or the most where it names none. More than that is never read.
fn body_kib(headers: &HeaderMap) -> u32 {
    let is_chunked = headers.contains_key(header::TRANSFER_ENCODING);
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let kib = if is_chunked { BODY_KIB_MAX } else { length.unwrap_or(0).div_ceil(1024).min(BODY_KIB_MAX) };
    kib as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_counts_as_named_and_unnamed_ones_as_the_largest() {
        let kib =
            |name: header::HeaderName, value: &str| body_kib(&HeaderMap::from_iter([(name, value.parse().unwrap())]));
        assert_eq!(body_kib(&HeaderMap::new()), 0);
        assert_eq!(kib(header::CONTENT_LENGTH, "1"), 1);
        assert_eq!(kib(header::CONTENT_LENGTH, "18446744073709551615"), 1024, "it is refused before it is read");
        assert_eq!(kib(header::TRANSFER_ENCODING, "chunked"), 1024);
    }
}
