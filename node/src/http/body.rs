//! The body of a submission, read within bounds. Only then is the request in work.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use quorate_protocol::api::Code;
use quorate_protocol::limits::SUBMIT_BYTES_MAX;

use super::bodies::Broken;
use super::context::Api;
use super::load::{InWork, Load, place};
use super::problem::Refusal;
use crate::client::Client;
use crate::telemetry::Drop;

/// A request that is there as a whole.
pub(super) struct Whole {
    /// Whose it is.
    pub(super) client: Client,
    /// Its body.
    pub(super) bytes: Vec<u8>,
    _in_work: InWork,
}

impl FromRequest<Arc<Api>> for Whole {
    type Rejection = Refusal;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Whole, Refusal> {
        let place = Arc::clone(place(request.extensions())?);
        let read = api.load.bodies.read(request.into_body(), api.load.request_timeout).await;
        let bytes = read.map_err(|broken| {
            if matches!(broken, Broken::Displaced) {
                api.counters.count(Drop::Displaced);
            }
            refusal(&api.load, broken)
        })?;
        Ok(Whole { client: place.client(), bytes, _in_work: api.load.begin(&place)? })
    }
}

fn refusal(load: &Load, broken: Broken) -> Refusal {
    match broken {
        Broken::Displaced => {
            Refusal::new(Code::Overloaded, "too many bodies are coming, and this one has been for the longest")
        }
        Broken::Late => {
            let millis = load.request_timeout.as_millis();
            Refusal::new(Code::BadRequest, format!("the body was not there after {millis} milliseconds"))
        }
        Broken::TooLarge => Refusal::new(Code::TooLarge, format!("the body is above {SUBMIT_BYTES_MAX} bytes")),
        Broken::Ended(error) => Refusal::new(Code::BadRequest, format!("the body: {error}")),
    }
}
