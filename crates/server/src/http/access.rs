//! Who may ask for what.

use std::net::IpAddr;

use axum::http::{HeaderMap, header, uri::Authority};

use super::{App, seats::Seat};
use crate::{
    error::{ApiError, Code},
    tokens::{Denied, Scope, TokenId},
};

/// Lets a request through that needs `scope`; its connection is then no stranger any more.
pub(super) fn authorize(
    app: &App,
    headers: &HeaderMap,
    scope: Scope,
    seat: &Seat,
) -> Result<Option<TokenId>, ApiError> {
    let token = match &app.tokens {
        None => None,
        Some(tokens) => {
            let now = (app.surroundings.now)();
            let checked = bearer(headers)
                .ok_or(Denied::Unknown)
                .and_then(|presented| tokens.check(presented, scope, now));
            Some(checked.map_err(|denied| {
                app.metrics.auth_failures.up();
                denied_error(denied)
            })?)
        }
    };
    if seat.admit(token) {
        return Ok(token);
    }
    if let (Some(tokens), Some(token)) = (&app.tokens, token) {
        tracing::warn!(
            token = tokens.name(token),
            "a token has all its connections"
        );
    }
    Err(ApiError::new(
        Code::RateLimited,
        "the token has as many connections open as it may have",
    )
    .hint("use connections again instead of opening new ones")
    .retry_after(crate::limits::RETRY_AFTER)
    .closing())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| !token.is_empty())
}

/// An unknown and an expired token look alike from outside only in their status: who holds an
/// expired one knows it anyway, and is helped.
fn denied_error(denied: Denied) -> ApiError {
    match denied {
        Denied::Unknown => ApiError::new(Code::Unauthenticated, "a valid token is needed")
            .hint("send the header `Authorization: Bearer TOKEN`"),
        Denied::Expired => ApiError::new(Code::Unauthenticated, "the token has expired")
            .hint("ask the operator for a new one"),
        Denied::Scope(scope) => ApiError::new(
            Code::Forbidden,
            format!("the token does not allow '{}'", scope.as_str()),
        )
        .hint("ask the operator for a token with that scope"),
    }
    .closing()
}

/// Without tokens only this machine is served, and a web page that is open on it is not this
/// machine: a name that was made to point here (DNS rebinding) is refused.
pub(super) fn check_host(app: &App, headers: &HeaderMap) -> Result<(), ApiError> {
    if app.tokens.is_some() {
        return Ok(());
    }
    let Some(host) = headers.get(header::HOST) else {
        return Ok(());
    };
    let authority = host.to_str().ok().and_then(|h| h.parse::<Authority>().ok());
    match authority {
        Some(authority) if is_local(authority.host()) => Ok(()),
        _ => Err(ApiError::new(
            Code::Forbidden,
            "without tokens only requests to localhost are answered",
        )
        .hint("use http://127.0.0.1 or http://localhost, or configure a token file")
        .closing()),
    }
}

fn is_local(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}
