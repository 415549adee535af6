//! Failures as Kubernetes tells them: `Status` of `meta/v1`.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// Why there is no other answer; the text says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The request cannot be read.
    Invalid(String),
    /// Who asks is not known.
    Unauthorized(String),
    /// Who asks may not.
    Forbidden(String),
    /// There is no such thing.
    NotFound(String),
    /// It can only be read.
    MethodNotAllowed,
    /// It is not known now.
    Unavailable(String),
}

impl Failure {
    pub(super) const fn code(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let (reason, message) = match self {
            Self::Invalid(text) => ("BadRequest", text.as_str()),
            Self::Unauthorized(text) => ("Unauthorized", text.as_str()),
            Self::Forbidden(text) => ("Forbidden", text.as_str()),
            Self::NotFound(text) => ("NotFound", text.as_str()),
            Self::MethodNotAllowed => ("MethodNotAllowed", "metrics can only be read"),
            Self::Unavailable(text) => ("ServiceUnavailable", text.as_str()),
        };
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": self.code().as_u16(),
        })
    }
}
