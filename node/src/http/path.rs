//! Parts of a path.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use quorate_protocol::api::Code;

use super::problem::Refusal;

/// The one variable part of a path, decoded; one that is no text is refused as every other bad request is.
#[derive(Debug)]
pub struct Part(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Part {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Part, Refusal> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(part)) => Ok(Part(part)),
            Err(rejection) => Err(Refusal::new(Code::BadRequest, rejection.body_text())),
        }
    }
}
