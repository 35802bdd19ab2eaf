//! Every limit of the server, in one place. What a [`crate::Settings`] holds has its default here.

use std::time::Duration;

/// Bytes of a request body, as sent and after inflating.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How many times larger than the sent body the inflated one may be.
pub const INFLATE_RATIO_MAX: usize = 100;

/// Log2 of the window a zstd body may ask for: as much as a whole body.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Events of one request.
pub const EVENTS_MAX: u64 = 50_000;

/// Bytes of one event; a longer one is rejected by itself.
pub const LINE_BYTES_MAX: usize = events::LINE_BYTES_MAX;

/// Bytes of an event that is too long which are still handed on, for the quarantine.
pub const TOO_LONG_BYTES_KEPT: usize = ingest::limits::TOO_LONG_BYTES_KEPT;

/// How deep objects and lists of one event may lie in each other.
pub const NESTING_MAX: usize = 16;

/// Bytes of JSON that the rows of one Arrow body may become.
pub const ARROW_JSON_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Columns of an Arrow body, nested ones included.
pub const ARROW_COLUMNS_MAX: usize = 1_024;

/// How deep Arrow columns may lie in each other.
pub const ARROW_NESTING_MAX: usize = 8;

/// Bytes of an Arrow column's name.
pub const ARROW_NAME_BYTES_MAX: usize = 128;

/// Rejected events that an answer lists; all are in the quarantine.
pub const ERRORS_LISTED_MAX: usize = 100;

/// Bytes of a body that is too large which are read and thrown away, so that a client which sends
/// first and reads later still gets its answer.
pub const DISCARDED_BYTES_MAX: usize = 128 * 1024 * 1024;

/// The same for a sender without a valid token.
pub const STRANGER_BYTES_DISCARDED_MAX: usize = 64 * 1024;

/// Bytes of all bodies in flight: read, inflated, or waiting for their answer.
pub const BYTES_IN_FLIGHT_MAX: usize = 256 * 1024 * 1024;

/// Bytes of a request's head; also how much is read from a connection at a time.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Time for a request's head, from its first byte or from connecting.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for a request's body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection may rest between requests.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// How long requests in flight may go on after a stop.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a connection without work may take to say that it is done, and how long it is
/// listened to after the last answer.
pub const LAST_WORDS: Duration = Duration::from_secs(1);

/// How much of what it still sends is read away then.
pub const UNHEARD_BYTES_MAX: usize = 1024 * 1024;

/// Connections in all.
pub const CONNECTIONS_MAX: usize = 8_000;

/// Connections of one address that have not yet sent a request with a valid token.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 64;

/// Connections of one token.
pub const CONNECTIONS_PER_TOKEN_MAX: usize = 1_024;

/// Threads that move bytes.
pub const NETWORK_THREADS: usize = 2;

/// How long an accept loop without free file descriptors waits for a connection to end.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Bytes of an `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;

/// How long an answer is remembered for its `Idempotency-Key`.
pub const IDEMPOTENCY_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes of all remembered answers; the oldest are forgotten first.
pub const IDEMPOTENCY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What `Retry-After` says where nobody knows better.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What it says while the server starts, which takes seconds where the log is long.
pub const STARTING_RETRY_AFTER: Duration = Duration::from_secs(2);

/// Age of an unanswered delivery from which on the server is not ready for ingest.
pub const COMMIT_AGE_MAX: Duration = Duration::from_secs(5);

/// Free space below which the server is not ready for ingest, in bytes.
pub const DISK_FREE_BYTES_MIN: u64 = 256 * 1024 * 1024;

/// Bytes of a token file.
pub const TOKEN_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes of a token's name, and of the name of a source it is good for.
pub const TOKEN_NAME_BYTES_MAX: usize = 64;

/// How often files that may change (tokens, certificate) are looked at, at most.
pub const RELOAD_EVERY: Duration = Duration::from_secs(1);

/// Streams of one HTTP/2 connection.
pub const STREAMS_MAX: u32 = 128;

/// Streams of one HTTP/2 connection that its client may have reset before they are worked off.
pub const STREAM_RESETS_MAX: usize = 20;

/// How often a silent HTTP/2 connection is asked whether it is still there, and how long it may
/// take to say so.
pub const PING_EVERY: Duration = Duration::from_secs(20);

/// How long a client may read nothing of an answer.
pub const WRITE_STALL_MAX: Duration = Duration::from_secs(30);

/// Bytes of a body that holds a query.
pub const QUERY_BODY_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of the JSON that a query or a KPI request is answered with. CSV and Arrow are streamed and
/// have no such limit.
pub const JSON_ANSWER_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Bytes of a streamed answer that are sent at a time, about.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Chunks of a streamed answer that wait for their reader.
pub const CHUNKS_WAITING: usize = 2;

/// Time for the queries of those who may ask for KPIs only.
pub const KPI_ONLY_DEADLINE: Duration = Duration::from_secs(15);

/// KPIs of one request.
pub const METRICS_MAX: usize = 20;

/// Dimensions of one KPI request.
pub const DIMENSIONS_MAX: usize = 4;

/// Values in the filters of one KPI request.
pub const FILTER_VALUES_MAX: usize = 200;

/// Bytes of a Flight message that rows are cut to.
pub const MESSAGE_BYTES_GOAL: usize = 2 * 1024 * 1024;

/// Bytes that a Flight message has at most: what clients take if they are not told otherwise.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Messages of a result that wait for their reader.
pub const MESSAGES_AHEAD: usize = 2;

/// Bytes of a message that a Flight client puts.
pub const PUT_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of any other message of a Flight client.
pub const CALL_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long a ticket can be read.
pub const TICKET_LIFE: Duration = Duration::from_secs(5 * 60);

/// Tickets of one session.
pub const TICKETS_PER_SESSION_MAX: usize = 64;

/// Tickets of one token; of everybody, where no tokens are asked for.
pub const TICKETS_PER_CALLER_MAX: usize = 256;

/// Tickets of all sessions.
pub const TICKETS_MAX: usize = 1_000;

/// How long a session, and a prepared statement in it, is kept without use.
pub const SESSION_IDLE: Duration = Duration::from_secs(30 * 60);

/// Sessions of all callers.
pub const SESSIONS_MAX: usize = 4_096;

/// Sessions of one caller.
pub const SESSIONS_PER_CALLER_MAX: usize = 512;

/// Prepared statements of one session.
pub const STATEMENTS_PER_SESSION_MAX: usize = 256;

/// How often what is over is forgotten.
pub const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Rows of values that are bound at once: so often the statement runs.
pub const PARAMETER_ROWS_MAX: usize = 1_000;

/// Bytes of values that are bound at once.
pub const PARAMETER_BYTES_MAX: usize = 1024 * 1024;

/// Streams of events that Flight takes at a time: each may hold a message of
/// [`PUT_MESSAGE_BYTES_MAX`].
pub const INGESTS_MAX: usize = 4;

/// Rows of one batch of events.
pub const INGEST_BATCH_ROWS_MAX: usize = 1_000_000;

/// Rows of a batch that are stored at a time.
pub const INGEST_DELIVERY_ROWS_MAX: usize = 10_000;

/// Bytes of the same, as JSON.
pub const INGEST_DELIVERY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Streams of live boards.
pub const LIVE_STREAMS_MAX: usize = 1_000;

/// Time between two frames, at least: what changes in between is one.
pub const LIVE_FRAME_EVERY: Duration = Duration::from_millis(125);

/// Time between two frames that are sent, at least. A little less than that between two that are made,
/// so that one which took less time to make than the one before need not wait.
pub const LIVE_SEND_EVERY: Duration = Duration::from_millis(100);

/// Time between two frames, at most, and between two ticks.
pub const LIVE_TICK_EVERY: Duration = Duration::from_secs(1);

/// After so long of silence a stream says that it is there.
pub const LIVE_HEART_BEAT: Duration = Duration::from_secs(15);

/// How long a reader of a stream may take nothing while there is something to take.
pub const LIVE_STALL_MAX: Duration = Duration::from_secs(20);

/// How long bytes of a stream may wait for the other side to confirm them.
pub const LIVE_UNCONFIRMED_MAX: Duration = Duration::from_secs(20);

/// How often readers are looked after, at least.
pub const LIVE_LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a reader that was told to go may stay.
pub const LIVE_LEAVE_MAX: Duration = Duration::from_secs(2);

/// How long a stream lasts.
pub const LIVE_AGE_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// How far back a reader can go on from where it was.
pub const LIVE_RESUME_MAX: Duration = Duration::from_secs(60);

/// When a reader whose stream has ended comes back.
pub const LIVE_RETRY: Duration = Duration::from_secs(2);

/// Bytes of a stream that its connection takes at a time.
pub const LIVE_PIECE_BYTES: usize = 16 * 1024;

/// What the system is asked to keep of a stream that its reader has not confirmed; Linux keeps
/// twice as much. With it at most 64 KiB wait for one reader: these, and two pieces.
pub const LIVE_SEND_BUFFER_BYTES: usize = 16 * 1024;

/// Alerts that are over and remembered for readers who are behind.
pub const ALERTS_OVER_KEPT_MAX: usize = 1_024;

/// Files in a folder of boards.
pub const BOARDS_MAX: usize = 64;

/// Bytes of a board's id.
pub const BOARD_ID_BYTES_MAX: usize = 40;

/// Characters of a title on a board.
pub const BOARD_TITLE_CHARS_MAX: usize = 80;

/// Figures of one scope of a board; also its tiles.
pub const BOARD_FIGURES_MAX: usize = 200;

/// Bytes of a body about devices.
pub const DEVICE_BODY_BYTES_MAX: usize = 4 * 1024;

/// Screens that wait to be paired.
pub const PAIRINGS_MAX: usize = 8_192;

/// Those of one address, which may be that of a proxy or of a whole house.
pub const PAIRINGS_OF_ADDRESS_MAX: usize = 64;

/// How long the code of a screen is good.
pub const PAIRING_LIFE: Duration = Duration::from_secs(10 * 60);

/// Wrong codes of one who confirms, until the life of a code is over.
pub const PAIRING_TRIES_MAX: u32 = 5;

/// Letters of a code.
pub const PAIRING_CODE_LETTERS: usize = 6;

/// Days that a screen may look at its board.
pub const DEVICE_DAYS_MAX: u32 = 90;

/// How often a screen that waits may ask whether it is paired.
pub const PAIRING_POLL: Duration = Duration::from_secs(2);
/// How often rules look at the board although it makes no frame.
pub const ALERT_TICK: Duration = Duration::from_secs(1);

/// Age of a frame from which on nobody can tell what the floor looks like.
pub const ALERT_STALE_MS: i64 = 15_000;

/// Scopes of all rules.
pub const ALERT_SCOPES_MAX: usize = 20_000;

/// How long an alert that is over is listed.
pub const ALERT_HISTORY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Alerts that are over and listed.
pub const ALERTS_ENDED_MAX: usize = 2_000;

/// Alerts that are read back after a restart, the open ones first.
pub const ALERTS_RESTORED_MAX: usize = 20_000;

/// Pause before what was open is asked for again.
pub const ALERT_HISTORY_RETRY: Duration = Duration::from_millis(500);

/// Changes of alerts that wait for the pipeline.
pub const ALERT_EVENTS_WAITING_MAX: usize = 10_000;

/// Characters of a note.
pub const ALERT_NOTE_CHARS_MAX: usize = 1_000;

/// Bytes of the body that acknowledges an alert.
pub const ALERT_BODY_BYTES_MAX: usize = 16 * 1024;

/// Time for one try of a webhook, from the connection to the answer's status.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause before a webhook is tried again; each further one is twice as long.
pub const WEBHOOK_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Tries of a webhook.
pub const WEBHOOK_TRIES: u32 = 6;

/// Alerts that wait for a webhook, each with its newest state; of more the oldest are not told.
pub const WEBHOOK_WAITING_MAX: usize = 2 * ALERT_SCOPES_MAX;
