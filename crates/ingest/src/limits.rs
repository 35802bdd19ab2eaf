//! Every limit of an import, in one place.

/// Events of one batch, which is one commit.
pub const BATCH_EVENTS: usize = 131_072;

/// Bytes of lines of one batch; a batch of long lines ends early.
pub const BATCH_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Rejected lines of one batch; a batch of bad lines ends early.
pub const BATCH_REJECTS_MAX: usize = 16_384;

/// Batches that wait between the decoding and the storing thread.
pub const BATCHES_WAITING_MAX: usize = 1;

/// Bytes of a line that is too long which are still kept in the quarantine.
pub const TOO_LONG_BYTES_KEPT: usize = events::LINE_BYTES_MAX + 1;

/// Bytes of a JSON record of another system, as a conversation with all that took part in it.
pub const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes read from an input at a time.
pub const READ_BYTES: usize = 1024 * 1024;

/// Rejected lines that a report shows in full; all are in the quarantine.
pub const FIRST_ERRORS_MAX: usize = 10;

/// Rejected lines that the answer to a delivery shows in full.
pub const RECEIPT_ERRORS_MAX: usize = 100;
