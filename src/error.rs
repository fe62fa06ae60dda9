//! What callers are told: the one table of status codes, and the words for each situation.
//! Knows nothing of where an error came from; another system's body, address or value never gets in here.

pub mod kept;
pub mod oauth;
pub mod reply;

use axum::http::StatusCode;

/// An error as the caller will read it. The sentence may change between versions, the code may not.
#[derive(Debug, Clone)]
pub struct Error {
    code: Code,
    message: String,
    /// The member of the user that is at fault.
    pub field: Option<String>,
    /// At most 20; see [`Finding`].
    pub findings: Vec<Finding>,
    /// Whole seconds.
    pub retry_after: Option<u64>,
    /// What failed at another system, where that is the error.
    pub upstream: Option<Box<Upstream>>,
}

/// One thing wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Finding {
    /// RFC 6901, into the body; for a change into the user as he would become.
    pub pointer: String,
    /// The schema keyword that failed, or `unknown-member`.
    pub keyword: String,
    pub message: String,
}

/// A call to another system that failed, in the words of the sentence that the seed fixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// `CRUD`, `Auth`.
    pub system: &'static str,
    pub method: &'static str,
    /// With `:name` for every variable part.
    pub template: String,
    pub fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Status(u16),
    NoAnswer,
    Unreachable,
    Garbled,
}

/// Every situation that has a status of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    InvalidJson,
    InvalidValue,
    DuplicateKey,
    TooDeep,
    UnsupportedMediaType,
    TooLarge,
    HeadTooLarge,
    TargetTooLarge,
    TooSlow,
    AmbiguousHeader,
    RouteNotFound,
    MethodNotAllowed,
    InvalidParameter,
    InvalidQuery,
    QueryTooCostly,
    ValidationFailed,
    NotSettable,
    GroupUnknown,
    GroupUnusable,
    GroupNotFound,
    GroupExists,
    GroupInUse,
    InvalidSchema,
    FieldTypeConflict,
    RoleUnknown,
    RoleNotFound,
    RoleExists,
    RoleInUse,
    RoleAbove,
    ColumnProtected,
    ExpirationPast,
    InvalidPatch,
    PasswordRefused,
    PasswordWrong,
    PasswordChangeRequired,
    IdentityUnknown,
    IdentityNotFound,
    IdentityBlocked,
    NoEmail,
    MailUnavailable,
    ResetLinkDead,
    IdentityLinked,
    IdentityMismatch,
    GroupWithoutIdentities,
    AlreadyRegistered,
    UserDeleted,
    PasswordWithoutIdentity,
    TransitionNotAllowed,
    UserNotFound,
    OperationNotFound,
    OperationSettled,
    NameTaken,
    TooManyMatches,
    CountDiffers,
    PartlyChanged,
    OperationInProgress,
    LastAdmin,
    ChangedMeanwhile,
    InvalidIdempotencyKey,
    IdempotencyMismatch,
    IdempotencyRunning,
    TokenRequired,
    TokenInvalid,
    TokenExpired,
    TokenRevoked,
    PermissionRequired,
    PersonAbove,
    OwnRecord,
    LoginRefused,
    RefreshRefused,
    NotLogged,
    CrossSite,
    Throttled,
    UnsupportedGrantType,
    SessionNotFound,
    Busy,
    UpstreamFailed,
    UpstreamRefused,
    Resumable,
    OutcomePending,
    Interrupted,
    StateUnavailable,
    Draining,
    Overloaded,
    Internal,
}

impl Code {
    /// The stable word in the reply, and its status. `UPSTREAM_STATUS=precise` and `LOGIN_REFUSED_STATUS` move three of
    /// them when the reply is written.
    pub fn row(self) -> (&'static str, StatusCode) {
        use StatusCode as S;
        match self {
            Self::InvalidJson => ("invalid-json", S::BAD_REQUEST),
            Self::InvalidValue => ("invalid-value", S::BAD_REQUEST),
            Self::DuplicateKey => ("duplicate-key", S::BAD_REQUEST),
            Self::TooDeep => ("too-deep", S::BAD_REQUEST),
            Self::UnsupportedMediaType => ("unsupported-media-type", S::UNSUPPORTED_MEDIA_TYPE),
            Self::TooLarge => ("too-large", S::PAYLOAD_TOO_LARGE),
            Self::HeadTooLarge => ("head-too-large", S::REQUEST_HEADER_FIELDS_TOO_LARGE),
            Self::TargetTooLarge => ("head-too-large", S::URI_TOO_LONG),
            Self::TooSlow => ("too-slow", S::REQUEST_TIMEOUT),
            Self::AmbiguousHeader => ("ambiguous-header", S::BAD_REQUEST),
            Self::RouteNotFound => ("route-not-found", S::NOT_FOUND),
            Self::MethodNotAllowed => ("method-not-allowed", S::METHOD_NOT_ALLOWED),
            Self::InvalidParameter => ("invalid-parameter", S::BAD_REQUEST),
            Self::InvalidQuery => ("invalid-query", S::BAD_REQUEST),
            Self::QueryTooCostly => ("query-too-costly", S::BAD_REQUEST),
            Self::ValidationFailed => ("validation-failed", S::BAD_REQUEST),
            Self::NotSettable => ("not-settable", S::BAD_REQUEST),
            Self::ExpirationPast => ("expiration-past", S::BAD_REQUEST),
            Self::GroupUnknown => ("group-unknown", S::BAD_REQUEST),
            Self::GroupUnusable => ("group-unusable", S::INTERNAL_SERVER_ERROR),
            Self::GroupNotFound => ("group-not-found", S::NOT_FOUND),
            Self::GroupExists => ("group-exists", S::CONFLICT),
            Self::GroupInUse => ("group-in-use", S::CONFLICT),
            Self::InvalidSchema => ("invalid-schema", S::BAD_REQUEST),
            Self::FieldTypeConflict => ("field-type-conflict", S::CONFLICT),
            Self::RoleUnknown => ("role-unknown", S::BAD_REQUEST),
            Self::RoleNotFound => ("role-not-found", S::NOT_FOUND),
            Self::RoleExists => ("role-exists", S::CONFLICT),
            Self::RoleInUse => ("role-in-use", S::CONFLICT),
            Self::RoleAbove => ("role-above", S::FORBIDDEN),
            Self::ColumnProtected => ("column-protected", S::FORBIDDEN),
            Self::InvalidPatch => ("invalid-patch", S::BAD_REQUEST),
            Self::PasswordRefused => ("password-refused", S::BAD_REQUEST),
            Self::PasswordWrong => ("password-wrong", S::FORBIDDEN),
            Self::PasswordChangeRequired => ("password-change-required", S::FORBIDDEN),
            Self::IdentityUnknown => ("identity-unknown", S::BAD_REQUEST),
            Self::IdentityNotFound => ("identity-not-found", S::NOT_FOUND),
            Self::IdentityBlocked => ("identity-blocked", S::CONFLICT),
            Self::NoEmail => ("no-email", S::BAD_REQUEST),
            Self::MailUnavailable => ("mail-unavailable", S::INTERNAL_SERVER_ERROR),
            Self::ResetLinkDead => ("reset-link-dead", S::BAD_REQUEST),
            Self::IdentityLinked => ("identity-linked", S::CONFLICT),
            Self::IdentityMismatch => ("identity-mismatch", S::BAD_REQUEST),
            Self::GroupWithoutIdentities => ("group-without-identities", S::BAD_REQUEST),
            Self::AlreadyRegistered => ("already-registered", S::CONFLICT),
            Self::UserDeleted => ("user-deleted", S::CONFLICT),
            Self::PasswordWithoutIdentity => ("password-without-identity", S::BAD_REQUEST),
            Self::TransitionNotAllowed => ("transition-not-allowed", S::BAD_REQUEST),
            Self::UserNotFound => ("user-not-found", S::NOT_FOUND),
            Self::OperationNotFound => ("operation-not-found", S::NOT_FOUND),
            Self::OperationSettled => ("operation-settled", S::CONFLICT),
            Self::NameTaken => ("name-taken", S::CONFLICT),
            Self::TooManyMatches => ("too-many-matches", S::BAD_REQUEST),
            Self::CountDiffers => ("count-differs", S::CONFLICT),
            Self::PartlyChanged => ("partly-changed", S::INTERNAL_SERVER_ERROR),
            Self::OperationInProgress => ("operation-in-progress", S::CONFLICT),
            Self::LastAdmin => ("last-admin", S::CONFLICT),
            Self::ChangedMeanwhile => ("changed-meanwhile", S::PRECONDITION_FAILED),
            Self::InvalidIdempotencyKey => ("invalid-idempotency-key", S::BAD_REQUEST),
            Self::IdempotencyMismatch => ("idempotency-mismatch", S::UNPROCESSABLE_ENTITY),
            Self::IdempotencyRunning => ("idempotency-running", S::CONFLICT),
            Self::TokenRequired => ("token-required", S::UNAUTHORIZED),
            Self::TokenInvalid => ("token-invalid", S::UNAUTHORIZED),
            Self::TokenExpired => ("token-expired", S::UNAUTHORIZED),
            Self::TokenRevoked => ("token-revoked", S::UNAUTHORIZED),
            Self::PermissionRequired => ("permission-required", S::FORBIDDEN),
            Self::PersonAbove => ("person-above", S::FORBIDDEN),
            Self::OwnRecord => ("own-record", S::FORBIDDEN),
            Self::LoginRefused => ("login-refused", S::UNAUTHORIZED),
            Self::RefreshRefused => ("refresh-refused", S::UNAUTHORIZED),
            Self::NotLogged => ("not-logged", S::UNAUTHORIZED),
            Self::CrossSite => ("cross-site", S::FORBIDDEN),
            Self::Throttled => ("throttled", S::TOO_MANY_REQUESTS),
            Self::UnsupportedGrantType => ("unsupported-grant-type", S::BAD_REQUEST),
            Self::SessionNotFound => ("session-not-found", S::NOT_FOUND),
            Self::Busy => ("busy", S::SERVICE_UNAVAILABLE),
            Self::UpstreamFailed => ("upstream-failed", S::INTERNAL_SERVER_ERROR),
            Self::UpstreamRefused => ("upstream-refused", S::INTERNAL_SERVER_ERROR),
            Self::Resumable => ("resumable", S::INTERNAL_SERVER_ERROR),
            Self::OutcomePending => ("outcome-pending", S::INTERNAL_SERVER_ERROR),
            Self::Interrupted => ("interrupted", S::INTERNAL_SERVER_ERROR),
            Self::StateUnavailable => ("state-unavailable", S::SERVICE_UNAVAILABLE),
            Self::Draining => ("draining", S::SERVICE_UNAVAILABLE),
            Self::Overloaded => ("overloaded", S::SERVICE_UNAVAILABLE),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR),
        }
    }
}

impl Code {
    /// See [`Error::lasts`].
    pub fn lasts(self) -> bool {
        use StatusCode as S;
        let status = self.row().1;
        let transient = [S::UNAUTHORIZED, S::FORBIDDEN, S::REQUEST_TIMEOUT, S::TOO_MANY_REQUESTS].contains(&status)
            || matches!(self, Self::OperationInProgress | Self::IdempotencyRunning | Self::IdempotencyMismatch);
        status.is_client_error() && !transient
    }
}

impl Error {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: None, findings: Vec::new(), retry_after: None, upstream: None }
    }

    pub fn code(&self) -> Code {
        self.code
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// A failed call gets its whole sentence here, from whoever knows what was being done: `creating user`.
    pub fn doing(mut self, doing: &str) -> Self {
        if let Some(upstream) = &self.upstream {
            self.message = upstream.sentence(Some(doing));
        }
        self
    }

    /// The status that another system refused a call with.
    pub fn upstream_status(&self) -> Option<u16> {
        match self.upstream.as_ref()?.fault {
            Fault::Status(status) => Some(status),
            Fault::NoAnswer | Fault::Unreachable | Fault::Garbled => None,
        }
    }

    /// Whether a request that began nothing would be told the same for as long as nothing else changes: what is ours or
    /// another system's to mend, what waiting mends and who may ask, is asked again each time.
    pub fn lasts(&self) -> bool {
        self.code.lasts()
    }

    /// The same failure, told as one that goes on by itself.
    pub fn resumable(mut self) -> Self {
        self.code = Code::Resumable;
        self
    }
}

impl Upstream {
    fn sentence(&self, doing: Option<&str>) -> String {
        let Self { system, method, template, fault } = self;
        let what = match fault {
            Fault::Status(status) => format!("responded with a {status} status code"),
            Fault::NoAnswer => "did not answer in time".to_owned(),
            Fault::Unreachable => "could not be reached".to_owned(),
            Fault::Garbled => "answered what cannot be read".to_owned(),
        };
        match doing {
            Some(doing) => format!("Error while {doing}: {system} {method} {template} {what}"),
            None => format!("{system} {method} {template} {what}"),
        }
    }
}

pub fn upstream(code: Code, upstream: Upstream) -> Error {
    let mut error = Error::new(code, upstream.sentence(None));
    error.upstream = Some(Box::new(upstream));
    error
}

pub fn user_not_found() -> Error {
    Error::new(Code::UserNotFound, "User not found")
}

pub fn name_taken(field: &str) -> Error {
    Error::new(Code::NameTaken, format!("The {field} is taken")).field(field)
}

pub fn changed_meanwhile() -> Error {
    Error::new(Code::ChangedMeanwhile, "It was changed by somebody else meanwhile")
}

/// Another request under the same key is being carried out.
pub fn idempotency_running() -> Error {
    Error::new(Code::IdempotencyRunning, "The request that was sent under this key is still being carried out")
        .retry_after(1)
}

/// Of an operation that recovery put back.
pub fn interrupted() -> Error {
    Error::new(Code::Interrupted, "The process that carried this out ended in the middle; everything was put back")
}

pub fn query_too_costly() -> Error {
    Error::new(Code::QueryTooCostly, "The query takes too long: add a condition on an indexed field")
}

pub fn state_unavailable() -> Error {
    Error::new(Code::StateUnavailable, "The state of this service cannot be read or written at the moment")
        .retry_after(5)
}

/// More are not told.
pub const FINDINGS: usize = 20;

/// A member's name in a pointer (RFC 6901 3). What is very long is cut, so that no message grows with what was sent.
pub fn segment(name: &str) -> String {
    name.chars().take(100).collect::<String>().replace('~', "~0").replace('/', "~1").replace('\0', "\\u0000")
}

pub fn invalid(code: Code, pointer: impl Into<String>, message: impl Into<String>) -> Error {
    let pointer = pointer.into();
    let message = message.into();
    let mut error = Error::new(code, format!("{}: {message}", if pointer.is_empty() { "/" } else { &pointer }));
    error.findings = vec![Finding { pointer, keyword: code.row().0.to_owned(), message }];
    error
}

/// A defect of ours. What it was goes to the log, not to the caller.
pub fn internal(what: impl std::fmt::Display) -> Error {
    tracing::error!(%what, "a defect of ours");
    Error::new(Code::Internal, "Internal error")
}
