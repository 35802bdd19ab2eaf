//! Who is let through.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header, uri::Authority},
    middleware::Next,
    response::Response,
};

use super::{App, Call, body, devices, routes::Route, seats::Seat};
use crate::{
    access::{Access, Identity, Right},
    error::{ApiError, Code},
    limits,
};

/// Stands before every route: whoever has none of its rights goes no further. Handlers find the
/// [`Identity`] in the request's extensions.
pub(super) async fn guard(
    State((app, route)): State<(Arc<App>, &'static Route)>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if route.rights.is_empty() {
        return Ok(next.run(request).await);
    }
    let call = request.extensions().get::<Call>().cloned();
    let Some(call) = call else {
        return Err(ApiError::internal());
    };
    match authorize(&app, request.headers(), route.rights, &call.seat) {
        Ok(identity) => {
            request.extensions_mut().insert(identity);
            Ok(next.run(request).await)
        }
        Err(error) => {
            // Before anything is kept of what a stranger sends.
            let (parts, body) = request.into_parts();
            let bytes_max = limits::STRANGER_BYTES_DISCARDED_MAX;
            body::discard(&app, &parts.headers, body, bytes_max).await;
            Err(error)
        }
    }
}

/// Lets a request through that needs one of `rights`; its connection is then no stranger any more.
pub(crate) fn authorize(
    app: &App,
    headers: &HeaderMap,
    rights: &[Right],
    seat: &Seat,
) -> Result<Identity, ApiError> {
    let identity = identify(app, headers)
        .and_then(|identity| identity.need(rights).map(|()| identity))
        .inspect_err(|_| app.metrics.auth_failures.up())?;
    if seat.admit(identity.token) {
        return Ok(identity);
    }
    tracing::warn!(token = &*identity.name, "a token has all its connections");
    Err(ApiError::new(
        Code::RateLimited,
        "the token has as many connections open as it may have",
    )
    .hint("use connections again instead of opening new ones")
    .retry_after(limits::RETRY_AFTER)
    .closing())
}

/// By a token, or as a paired screen.
fn identify(app: &App, headers: &HeaderMap) -> Result<Identity, ApiError> {
    let bearer = bearer(headers);
    let secret = devices::secret(headers).filter(|_| bearer.is_none());
    let device = app
        .devices
        .as_ref()
        .zip(secret)
        .and_then(|(devices, secret)| {
            let now = (app.surroundings.now)();
            devices.find(secret, now)
        });
    match device {
        Some(device) => Ok(Identity::device(&device)),
        None => app.access.identify(bearer),
    }
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let mut pairs = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| value)
}

/// The token that a request shows.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| !token.is_empty())
}

/// Without tokens only this machine is served, and a web page that is open on it is not this
/// machine: a name that was made to point here (DNS rebinding) is refused.
pub(super) fn check_host(access: &Access, request: &Request) -> Result<(), ApiError> {
    if access.asks_for_tokens() {
        return Ok(());
    }
    // HTTP/2 has it in the target.
    let named = request.uri().authority().cloned();
    let authority = match (named, request.headers().get(header::HOST)) {
        (Some(authority), _) => Some(authority),
        (None, None) => return Ok(()),
        (None, Some(host)) => host.to_str().ok().and_then(|h| h.parse::<Authority>().ok()),
    };
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
