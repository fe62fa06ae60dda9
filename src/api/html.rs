//! Pages for a browser: they need no script and load nothing.

use axum::{
    body::Body,
    http::{
        HeaderName,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse, Response},
};

/// Where the forms of a page may be sent.
#[derive(Debug, Clone, Copy)]
pub enum Forms {
    Nowhere,
    /// Back to us.
    Here,
}

impl Forms {
    fn source(self) -> &'static str {
        match self {
            Self::Nowhere => "'none'",
            Self::Here => "'self'",
        }
    }
}

/// A page as a 200. `style_source` is what the policy calls the one style that stands in it.
pub fn page(html: impl Into<Body>, style_source: &str, forms: Forms) -> Response {
    let forms = forms.source();
    let policy = format!(
        "default-src 'none'; style-src {style_source}; form-action {forms}; frame-ancestors 'none'; base-uri 'none'"
    );
    let headers: [(HeaderName, &str); 4] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, &policy),
    ];
    (headers.map(|(name, value)| (name, value.to_owned())), html.into()).into_response()
}
