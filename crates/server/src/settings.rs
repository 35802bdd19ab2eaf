//! What a server has to be told.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc, thread, time::Duration};

use events::UtcMicros;

use crate::{limits, tls::TlsFiles};

/// Plain settings; [`Settings::new`] has the defaults of [`limits`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where Flight SQL is answered; nowhere by default. Tokens, TLS and limits are the same.
    pub flight: Option<SocketAddr>,
    /// The file of tokens ([`crate::tokens`]). Without one, only loopback is listened on and no
    /// token is asked for. A file that changes is read again.
    pub token_file: Option<PathBuf>,
    /// The file of paired screens ([`crate::devices`]), which need not be there yet. Without one
    /// no screen can be paired. A file that changes is read again.
    pub device_file: Option<PathBuf>,
    /// Certificate and key. Without them connections are not encrypted, and only loopback is
    /// listened on unless `insecure` says otherwise.
    pub tls: Option<TlsFiles>,
    /// Tokens and data may cross a network in the clear: something else protects them, such as a
    /// proxy or the network of a container host.
    pub insecure: bool,
    /// Time for a request's head.
    pub header_timeout: Duration,
    /// Time for a request's body.
    pub body_timeout: Duration,
    /// How long a connection may rest between requests.
    pub idle_timeout: Duration,
    /// How long a client may read nothing of an answer.
    pub write_stall_max: Duration,
    /// How long requests in flight may go on after a stop.
    pub stop_timeout: Duration,
    /// Age of an unanswered delivery from which on the server is not ready for ingest.
    pub commit_age_max: Duration,
    /// Connections in all. When they are taken, the one that has waited longest without a request
    /// makes room.
    pub connections_max: usize,
    /// Connections of one address (of one /64 in IPv6) before a valid token. Not applied when no
    /// tokens are configured.
    pub connections_per_address_max: usize,
    /// Connections of one token.
    pub connections_per_token_max: usize,
    /// Bytes of all bodies in flight; at most 4 GiB.
    pub bytes_in_flight_max: usize,
    /// Streams of live boards.
    pub live_streams_max: usize,
    /// Time between two frames of a stream, at least.
    pub live_frame_every: Duration,
    /// After so long of silence a stream says that it is there.
    pub live_heart_beat: Duration,
    /// How long a reader of a stream may take nothing while there is something to take.
    pub live_stall_max: Duration,
    /// How long a stream lasts.
    pub live_age_max: Duration,
    /// Threads that move bytes.
    pub network_threads: usize,
    /// Threads that inflate and decode.
    pub decode_threads: usize,
}

impl Settings {
    /// The defaults.
    pub fn new(listen: SocketAddr) -> Self {
        Settings {
            listen,
            flight: None,
            token_file: None,
            device_file: None,
            tls: None,
            insecure: false,
            header_timeout: limits::HEADER_TIMEOUT,
            body_timeout: limits::BODY_TIMEOUT,
            idle_timeout: limits::IDLE_TIMEOUT,
            write_stall_max: limits::WRITE_STALL_MAX,
            stop_timeout: limits::STOP_TIMEOUT,
            commit_age_max: limits::COMMIT_AGE_MAX,
            connections_max: limits::CONNECTIONS_MAX,
            connections_per_address_max: limits::CONNECTIONS_PER_ADDRESS_MAX,
            connections_per_token_max: limits::CONNECTIONS_PER_TOKEN_MAX,
            bytes_in_flight_max: limits::BYTES_IN_FLIGHT_MAX,
            live_streams_max: limits::LIVE_STREAMS_MAX,
            live_frame_every: limits::LIVE_SEND_EVERY,
            live_heart_beat: limits::LIVE_HEART_BEAT,
            live_stall_max: limits::LIVE_STALL_MAX,
            live_age_max: limits::LIVE_AGE_MAX,
            network_threads: limits::NETWORK_THREADS,
            decode_threads: thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// What comes from outside of the process: the clock and random numbers.
#[derive(Clone)]
pub struct Surroundings {
    /// The time of day, for the expiry of tokens.
    pub now: Arc<dyn Fn() -> UtcMicros + Send + Sync>,
    /// Random for each start: request ids of two runs differ by it.
    pub run_id: u64,
    /// Random for each start, and secret: ids of sessions and tickets, and seals on them, are made
    /// of it.
    pub seed: [u8; 32],
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("run_id", &self.run_id)
            .finish_non_exhaustive()
    }
}
