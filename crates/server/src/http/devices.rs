//! Screens that are let in: `/api/v1/devices` (H44). What happens when is in `docs/live.md`.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use events::UtcMicros;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{App, Call, access::cookie, body};
use crate::{
    access::Identity,
    devices::{Device, DeviceFileError, Devices, Full, NotPaired, is_name, name_rule},
    error::{ApiError, Code},
    limits,
    live::epoch_ms,
};

const COOKIE: &str = "callgauge_device";
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// A screen asks to be let in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PairDevice")]
pub(super) struct Pair {}

/// What it is to show.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PairingBegun")]
pub(super) struct Begun {
    /// For the supervisor.
    code: String,
    /// In milliseconds since 1970.
    expires_at: i64,
    /// How often to ask `/api/v1/devices/me`.
    poll_ms: u64,
}

/// Whether a screen is let in.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "state", rename_all = "lowercase")]
#[schemars(rename = "OwnDevice")]
pub(super) enum Me {
    /// It has asked for nothing, or its time is over.
    None,
    /// It shows a code.
    Waiting { code: String, expires_at: i64 },
    /// It may look at a board.
    Paired {
        name: String,
        board: String,
        expires_at: i64,
    },
}

/// A supervisor lets a screen in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ConfirmDevice")]
pub(super) struct Confirm {
    /// What the screen shows.
    code: String,
    /// The only board that it may look at.
    board: String,
    /// What people call it.
    name: String,
    /// How long; 90 when absent, and at most.
    days: Option<u32>,
}

/// The screens that were let in.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Devices")]
pub(super) struct List {
    devices: Vec<DeviceBody>,
}

/// One of them; times in milliseconds since 1970.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Device")]
pub(super) struct DeviceBody {
    /// Its name.
    id: String,
    board: String,
    created_at: Option<i64>,
    expires_at: i64,
}

/// A screen was sent away.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeviceRevoked")]
pub(super) struct Revoked {
    revoked: String,
}

impl From<Device> for DeviceBody {
    fn from(device: Device) -> Self {
        DeviceBody {
            id: device.name,
            board: device.board,
            created_at: device.created.map(epoch_ms),
            expires_at: epoch_ms(device.expires),
        }
    }
}

impl App {
    fn devices(&self) -> Result<&Arc<Devices>, ApiError> {
        self.devices.as_ref().ok_or_else(|| {
            ApiError::new(Code::Unimplemented, "this server pairs no screens")
                .hint("start it with --device-file")
        })
    }

    fn now(&self) -> UtcMicros {
        (self.surroundings.now)()
    }
}

/// The secret of a screen, if one asks.
pub(super) fn secret(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, COOKIE)
}

/// A screen asks to be let in: it gets a code to show, and a secret that nobody sees.
pub(super) async fn pair(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    request: Request,
) -> Result<Response, ApiError> {
    let before = secret(request.headers()).map(str::to_owned);
    // Another site can make a browser send a form, but not JSON: it could take a screen's cookie.
    let Pair {} = read(&app, request, "{}").await?;
    let (pairing, from) = (&app.devices()?.pairing, call.seat.address);
    let begun = pairing.begin(before.as_deref(), from, app.now());
    let (secret, shown) = begun.map_err(full)?;
    let mut response = super::answer(&Begun {
        code: shown.code,
        expires_at: epoch_ms(shown.expires),
        poll_ms: limits::PAIRING_POLL.as_millis() as u64,
    });
    let days = i64::from(limits::DEVICE_DAYS_MAX);
    let secure = if app.settings.tls.is_some() {
        "; Secure"
    } else {
        ""
    };
    let cookie = format!(
        "{COOKIE}={secret}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict{secure}",
        days * DAY_MS / 1_000
    );
    let cookie = HeaderValue::from_str(&cookie).expect("hexadecimal digits");
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// A screen asks whether it was let in.
pub(super) async fn me(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (devices, now) = (app.devices()?, app.now());
    let secret = secret(&headers);
    let paired = secret.and_then(|secret| devices.find(secret, now));
    let waiting = || secret.and_then(|secret| devices.pairing.shown(secret, now));
    let me = match paired {
        Some(device) => Me::Paired {
            expires_at: epoch_ms(device.expires),
            name: device.name,
            board: device.board,
        },
        None => waiting().map_or(Me::None, |shown| Me::Waiting {
            expires_at: epoch_ms(shown.expires),
            code: shown.code,
        }),
    };
    Ok(super::answer(&me))
}

/// Lets the screen in that shows a code.
pub(super) async fn confirm(
    State(app): State<Arc<App>>,
    Extension(identity): Extension<Identity>,
    request: Request,
) -> Result<Response, ApiError> {
    let shape = r#"{"code": "K7MP2X", "board": "now", "name": "hall-2", "days": 90}"#;
    let asked: Confirm = read(&app, request, shape).await?;
    let days = asked.days.unwrap_or(limits::DEVICE_DAYS_MAX);
    check(&app, &asked, days)?;
    let (devices, now) = (Arc::clone(app.devices()?), app.now());
    let taken = devices
        .pairing
        .take(&identity.name, &asked.code, now)
        .map_err(not_paired)?;
    let expires = now.plus_ms(i64::from(days) * DAY_MS);
    let device = taken.device(&asked.name, &asked.board, (now, expires));
    let answer = super::answer(&DeviceBody::from(device.clone()));
    blocking(&app, move || {
        let admitted = devices.admit(device, now);
        // The code is still on the screen: it is good for another name.
        admitted.inspect_err(|_| devices.pairing.put_back(taken, now))
    })
    .await?;
    tracing::info!(
        device = asked.name,
        by = &*identity.name,
        "a screen was let in"
    );
    Ok(answer)
}

fn check(app: &App, asked: &Confirm, days: u32) -> Result<(), ApiError> {
    let boards = &app.live.feed.boards;
    let wrong =
        |message: String, hint: String| Err(ApiError::new(Code::BadParameter, message).hint(hint));
    if boards.get(&asked.board).is_none() {
        return wrong(
            "`board` is not a board".to_owned(),
            boards.near(&asked.board),
        );
    }
    if !is_name(&asked.name) {
        return wrong("`name` cannot be a name".to_owned(), name_rule());
    }
    let most = limits::DEVICE_DAYS_MAX;
    if !(1..=most).contains(&days) {
        return wrong(format!("`days` is {days}"), format!("1 to {most}"));
    }
    Ok(())
}

fn full(why: Full) -> ApiError {
    let (message, for_ms) = match why {
        Full::Address { for_ms } => ("too many screens at this address wait to be paired", for_ms),
        Full::All { for_ms } => ("too many screens wait to be paired", for_ms),
    };
    ApiError::new(Code::RateLimited, message)
        .hint("ask again when some of their codes are over, ten minutes after they were shown")
        .retry_after(Duration::from_millis(for_ms.max(0) as u64))
}

fn not_paired(why: NotPaired) -> ApiError {
    match why {
        NotPaired::Unknown => ApiError::new(Code::NotFound, "no screen shows this code")
            .hint("codes are good for ten minutes; let the screen show a new one"),
        NotPaired::TooMany { for_ms } => {
            let wait = Duration::from_millis(for_ms.max(0) as u64);
            ApiError::new(Code::RateLimited, "too many codes were wrong")
                .hint("wait, and let the screen show a new one")
                .retry_after(wait)
        }
    }
}

/// Lists the screens that were let in.
pub(super) async fn list(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let (devices, now) = (Arc::clone(app.devices()?), app.now());
    let all = blocking(&app, move || devices.all(now)).await?;
    Ok(super::answer(&List {
        devices: all.into_iter().map(DeviceBody::from).collect(),
    }))
}

/// Sends a screen away: its streams end within seconds.
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let devices = Arc::clone(app.devices()?);
    let name = id.clone();
    blocking(&app, move || devices.send_away(&name)).await?;
    tracing::info!(device = id, by = &*identity.name, "a screen was sent away");
    Ok(super::answer(&Revoked { revoked: id }))
}

async fn read<T: DeserializeOwned>(
    app: &App,
    request: Request,
    shape: &str,
) -> Result<T, ApiError> {
    let (parts, body) = request.into_parts();
    let received = body::read(app, &parts.headers, body, limits::DEVICE_BODY_BYTES_MAX).await?;
    body::json(&parts.headers, &received, "what this route takes", shape)
}

/// Reads or changes the file where waiting for the disk delays nobody.
async fn blocking<T: Send + 'static>(
    app: &App,
    work: impl FnOnce() -> Result<T, DeviceFileError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = app.decoders.spawn_blocking(work).await;
    done.map_err(|_| ApiError::internal())?
        .map_err(|error| match error {
            DeviceFileError::Taken(_) => {
                ApiError::new(Code::Conflict, "there is a screen of that name")
                    .hint("choose another name, or revoke the other screen first")
            }
            DeviceFileError::Unknown(_) => ApiError::new(Code::NotFound, "there is no such screen")
                .hint("GET /api/v1/devices lists them"),
            // They name files: they belong into the log.
            error => {
                tracing::error!(%error, "the file of devices cannot be used");
                ApiError::internal()
            }
        })
}
