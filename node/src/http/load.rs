//! How much may be in work at once: requests, and the bytes of bodies that are still coming.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{Extensions, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use quorate_protocol::api::Code;

use super::access::OPEN_PATHS;
use super::bodies::Bodies;
use super::places::{Busy, Place};
use super::problem::Refusal;
use crate::client::Shares;
use crate::config::Limits;

/// What is left of the bounds.
#[derive(Debug)]
pub struct Load {
    requests: Mutex<Shares>,
    /// Bodies that are still coming.
    pub(super) bodies: Bodies,
    /// How long a request's head may take, and how long its body.
    pub(super) request_timeout: Duration,
    /// Connections.
    pub(super) connections_max: usize,
}

/// A request in work.
#[derive(Debug)]
pub(super) struct InWork {
    load: Arc<Load>,
    place: Arc<Place>,
    _busy: Busy,
}

impl Load {
    /// Bounds as configured.
    pub fn new(limits: &Limits) -> Load {
        Load {
            requests: Mutex::new(Shares::new(limits.requests_max)),
            bodies: Bodies::default(),
            request_timeout: Duration::from_millis(limits.request_timeout_ms),
            connections_max: limits.connections_max,
        }
    }

    /// Takes the request that came on this connection into work.
    ///
    /// # Errors
    /// Too much is in work, or too much of this client's.
    pub(super) fn begin(self: &Arc<Load>, place: &Arc<Place>) -> Result<InWork, Refusal> {
        let taken = self.requests().take(place.client(), 1);
        taken.map_err(|why| Refusal::no_room(why, "requests are in work"))?;
        Ok(InWork { load: Arc::clone(self), place: Arc::clone(place), _busy: place.begin() })
    }

    fn requests(&self) -> MutexGuard<'_, Shares> {
        self.requests.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        self.load.requests().give_back(self.place.client(), 1);
    }
}

/// Refuses a request when too much is in work, or too much of this client's. Those who watch over the process are always answered: a
/// node that has much to do is not to be taken for dead. A submission counts once its body is there ([`super::body`]).
pub async fn bound(State(load): State<Arc<Load>>, request: Request, next: Next) -> Response {
    if request.method() == Method::POST || OPEN_PATHS.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match place(request.extensions()).and_then(|place| load.begin(place)) {
        Ok(_in_work) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// The place of the connection on which a request came; the server puts it there.
pub(super) fn place(extensions: &Extensions) -> Result<&Arc<Place>, Refusal> {
    let place = extensions.get::<Arc<Place>>();
    place.ok_or_else(|| Refusal::new(Code::Internal, "the request came on no connection"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::places::Places;
    use crate::http::places::tests::place;

    #[test]
    fn one_address_has_half_of_the_requests_at_most_and_what_has_ended_makes_room() {
        let load = Arc::new(Load::new(&Limits { requests_max: 10, ..Limits::default() }));
        let places = Places::new(100);
        let all: Vec<InWork> = (0..5).map(|_| load.begin(&place(&places, 1)).unwrap()).collect();
        let code = |address| load.begin(&place(&places, address)).err().map(|refusal| refusal.code());
        assert_eq!(code(1), Some(Code::ClientQuota));
        let others: Vec<InWork> = (2..=6).map_while(|address| load.begin(&place(&places, address)).ok()).collect();
        assert_eq!((others.len(), code(7)), (5, Some(Code::Overloaded)));
        drop((all, others));
        assert_eq!(code(1), None);
        assert_eq!(load.requests().taken(), 0);
    }
}
