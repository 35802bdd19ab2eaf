//! Why a line was not accepted.

use std::fmt;

use crate::{content, macros::closed_list};

closed_list! {
    /** What is wrong with a rejected line. The text is the `reason` of its quarantine row. */
    RejectCode {
        BadJson "bad_json", BadEncoding "bad_encoding", TooLarge "too_large",
        UnknownType "unknown_type", UnknownVersion "unknown_version",
        MissingField "missing_field", BadType "bad_type", BadEnum "bad_enum",
        NegativeDuration "negative_duration", FutureTime "future_time",
        TimeOutOfRange "time_out_of_range", TooOld "too_old", TenantMismatch "tenant_mismatch",
        ForbiddenSource "forbidden_source",
        ForbiddenContent "forbidden_content", BadCorrection "bad_correction",
        IdConflict "id_conflict", BadLine "bad_line", LocalTime "local_time",
    }
}

impl RejectCode {
    /// Is the line kept in the quarantine, to be sent again once the reason is gone? What was let go
    /// is not: it would be back on the disk, and it is never taken again.
    pub const fn is_kept(self) -> bool {
        !matches!(self, Self::TooOld)
    }

    /// What the code means, for the documentation.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::BadJson => "the line is not one JSON object, or a field is in it twice",
            Self::BadEncoding => "the line is not UTF-8",
            Self::TooLarge => "the line is longer than 256 KiB",
            Self::UnknownType => "`event_type` is not in the vocabulary",
            Self::UnknownVersion => "`schema_version` is not known for the type",
            Self::MissingField => "a required field is missing, null, or an empty id",
            Self::BadType => "a field holds something else than its type",
            Self::BadEnum => "a value is not in the closed list of its field",
            Self::NegativeDuration => "a field ending in `_ms` is below zero",
            Self::FutureTime => "`occurred_at` is more than 5 minutes after the receipt",
            Self::TimeOutOfRange => {
                "`occurred_at` is before 1980, another time is not between 1900 and 2200, a forecast \
                 is not for a quarter of an hour, or a plan covers nothing"
            }
            Self::TooOld => {
                "`occurred_at` is before what is kept: see `callgauge retain`; the line is not kept either"
            }
            Self::TenantMismatch => "`tenant_id` is not the tenant that is written to",
            Self::ForbiddenSource => "`source` is not one that the token of the sender is good for",
            Self::ForbiddenContent => "a free text holds a payment card number",
            Self::BadCorrection => "a correction without target or operation, or of itself",
            Self::IdConflict => "the event id is taken by an event with other content",
            Self::BadLine => "a line or row of an imported format cannot be read",
            Self::LocalTime => "a local time does not exist, or exists twice, in its zone",
        }
    }
}

/// A refused line: what is wrong, in which field, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The kind of finding.
    pub code: RejectCode,
    /// Path of the field as `visit_id` or `lines[0].value`; empty when it is the whole line.
    pub field: String,
    /// One sentence for a human, card numbers masked.
    pub detail: String,
}

impl Reject {
    /// A finding about `field` (empty: the whole line).
    pub fn new(code: RejectCode, field: impl Into<String>, detail: impl AsRef<str>) -> Self {
        let detail = content::mask_text(detail.as_ref()).into_owned();
        Reject {
            code,
            field: field.into(),
            detail,
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "{}: {}", self.code, self.detail),
            field => write!(f, "{}: field '{field}' {}", self.code, self.detail),
        }
    }
}

impl std::error::Error for Reject {}
