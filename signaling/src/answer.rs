//! Answers of the HTTP side: JSON, and errors as `{code, message, retry_after_ms?}` with their status.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::{ApiError, Code};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// How long a body may take to arrive: an SDP offer on the slowest phone.
const BODY_TIME: Duration = Duration::from_secs(10);

/// An error on its way out. It travels with its answer as an extension, to be counted once, where all
/// answers pass.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) ApiError);

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(status, &self.0);
        if let Some(wait_ms) = self.0.retry_after_ms {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1000)));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self.0);
        response
    }
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Nothing at this path.
pub(crate) async fn not_found() -> Refused {
    Refused(ApiError::new(Code::NotFound, "there is nothing at this path"))
}

/// Something at this path, but not with this method.
pub(crate) async fn wrong_method() -> Response {
    let error = ApiError::new(Code::BadRequest, "this path does not take that method");
    json(StatusCode::METHOD_NOT_ALLOWED, &error)
}

/// The whole body, if it comes in time and is not longer than `most` bytes.
pub(crate) async fn body(body: Body, most: usize) -> Result<Bytes, Refused> {
    let whole = timeout(BODY_TIME, axum::body::to_bytes(body, most)).await.map_err(|_| {
        let says = format!("the body must come within {BODY_TIME:?}");
        Refused(ApiError::new(Code::BadRequest, says))
    })?;
    whole.map_err(|_| {
        let says = format!("the body may have {most} bytes (limit: body_bytes)");
        Refused(ApiError::new(Code::TooLarge, says))
    })
}

/// Reads a JSON body; the error names the field.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    let reader = &mut serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let at = error.path().to_string();
        let says = if at == "." { error.inner().to_string() } else { format!("`{at}`: {}", error.inner()) };
        Refused(ApiError::new(Code::BadRequest, says))
    })
}
