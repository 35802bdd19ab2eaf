//! Sessions of a conversation with their segments, sorted by time.

use events::{Channel, Direction, Reject, Text, UtcMicros};

use crate::records::Fields;

/// What a participant is to the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Customer,
    /// Waits in a queue.
    Queue,
    Agent,
    SelfService,
    Voicemail,
    /// Surveys, stations, dialers.
    Other,
}

const PURPOSES: [(&str, Purpose); 10] = [
    ("customer", Purpose::Customer),
    ("external", Purpose::Customer),
    ("acd", Purpose::Queue),
    ("agent", Purpose::Agent),
    ("user", Purpose::Agent),
    ("ivr", Purpose::SelfService),
    ("botflow", Purpose::SelfService),
    ("workflow", Purpose::SelfService),
    ("voicemail", Purpose::Voicemail),
    ("fax", Purpose::Other),
];

pub(super) const DIRECTIONS: [(&str, Direction); 2] = [
    ("inbound", Direction::Inbound),
    ("outbound", Direction::Outbound),
];

/// Media in which somebody talks or writes; the others go beside a conversation.
const MEDIA: [(&str, Channel); 6] = [
    ("voice", Channel::Voice),
    ("callback", Channel::Voice),
    ("chat", Channel::Chat),
    ("email", Channel::Email),
    ("message", Channel::Message),
    ("video", Channel::Video),
];

#[derive(Debug)]
pub(super) struct Session<'a> {
    pub id: &'a str,
    pub purpose: Purpose,
    pub user_id: Option<&'a str>,
    pub contact_id: Option<&'a str>,
    pub channel: Channel,
    pub is_callback: bool,
    pub is_bot: bool,
    /// Listens in on somebody else.
    pub monitors: bool,
    pub direction: Option<Direction>,
    pub from: Option<&'a str>,
    pub to: Option<&'a str>,
    pub due_at: Option<UtcMicros>,
    /// Names of the metrics that were emitted.
    pub metrics: Vec<&'a str>,
    pub segments: Vec<Segment<'a>>,
}

#[derive(Debug)]
pub(super) struct Segment<'a> {
    pub kind: &'a str,
    pub start: UtcMicros,
    pub end: Option<UtcMicros>,
    pub queue_id: Option<&'a str>,
    pub how_ended: Option<&'a str>,
    pub wrap_up: Option<&'a str>,
    pub skills: Vec<Text>,
}

/// The sessions of a conversation, by their beginning. Sessions without segments, and those that only
/// share a screen, are left out.
pub(super) fn read<'a>(conversation: &Fields<'a>) -> Result<Vec<Session<'a>>, Reject> {
    let mut sessions = Vec::new();
    for participant in conversation.list("participants")? {
        let purpose = participant.text("purpose")?.unwrap_or_default();
        for session in participant.list("sessions")? {
            sessions.extend(Session::read(&participant, purpose, &session)?);
        }
    }
    sessions.sort_by_key(|session| session.began());
    Ok(sessions)
}

impl<'a> Session<'a> {
    fn read(
        participant: &Fields<'a>,
        purpose: &str,
        session: &Fields<'a>,
    ) -> Result<Option<Self>, Reject> {
        let media = session.text("mediaType")?.unwrap_or_default();
        let channel = MEDIA.iter().find(|(name, _)| *name == media);
        let mut segments = Vec::new();
        for segment in session.list("segments")? {
            segments.push(Segment::read(&segment)?);
        }
        let Some((_, channel)) = channel.filter(|_| !segments.is_empty()) else {
            return Ok(None);
        };
        segments.sort_by_key(|segment| segment.start);
        let known = PURPOSES.iter().find(|(name, _)| *name == purpose);
        let mut metrics = Vec::new();
        for metric in session.list("metrics")? {
            metrics.extend(metric.text("name")?);
        }
        let message = session.text("messageType")?;
        Ok(Some(Session {
            id: session.need_text("sessionId")?,
            purpose: known.map_or(Purpose::Other, |(_, purpose)| *purpose),
            user_id: participant.text("userId")?,
            contact_id: participant.text("externalContactId")?,
            channel: match (channel, message) {
                (Channel::Message, Some("sms")) => Channel::Sms,
                (Channel::Message, Some("facebook" | "twitter" | "instagram")) => Channel::Social,
                (channel, _) => *channel,
            },
            is_callback: media == "callback",
            is_bot: purpose == "botflow",
            monitors: session.has("monitoredParticipantId"),
            direction: session.word("direction", &DIRECTIONS)?,
            from: session.text("ani")?.or(session.text("addressFrom")?),
            to: session.text("dnis")?.or(session.text("addressTo")?),
            due_at: session.time("callbackScheduledTime")?,
            metrics,
            segments,
        }))
    }

    pub fn has_metric(&self, name: &str) -> bool {
        self.metrics.contains(&name)
    }

    pub fn began(&self) -> Option<UtcMicros> {
        self.segments.first().map(|segment| segment.start)
    }

    /// When its last segment ended, after-call work included; `None` while one is open.
    pub fn ended(&self) -> Option<UtcMicros> {
        let ends: Option<Vec<_>> = self.segments.iter().map(|s| s.end).collect();
        ends?.into_iter().max()
    }

    pub fn of_kind(&self, kinds: &'static [&'static str]) -> impl Iterator<Item = &Segment<'a>> {
        self.segments.iter().filter(|s| kinds.contains(&s.kind))
    }

    /// Is a moment within it?
    pub fn contains(&self, at: UtcMicros) -> bool {
        self.began().is_some_and(|began| began <= at) && self.ended().is_none_or(|end| at <= end)
    }

    /// When the two sides were connected first.
    pub fn connected(&self) -> Option<UtcMicros> {
        self.of_kind(CONNECTED).map(|segment| segment.start).next()
    }

    /// When they were no longer; `None` while they are.
    pub fn hung_up(&self) -> Option<UtcMicros> {
        let ends: Option<Vec<_>> = self.of_kind(CONNECTED).map(|s| s.end).collect();
        ends?.into_iter().max()
    }

    /// How the last connected segment ended.
    pub fn how_ended(&self) -> Option<&'a str> {
        self.of_kind(CONNECTED).last().and_then(|s| s.how_ended)
    }

    /// The first queue that a segment names.
    pub fn queue_id(&self) -> Option<&'a str> {
        self.segments.iter().find_map(|segment| segment.queue_id)
    }
}

/// Segments in which two sides are connected.
const CONNECTED: &[&str] = &[
    "interact",
    "hold",
    "parked",
    "monitoring",
    "coaching",
    "barging",
];

impl<'a> Segment<'a> {
    fn read(segment: &Fields<'a>) -> Result<Self, Reject> {
        let skills = segment.texts("requestedRoutingSkillIds")?;
        Ok(Segment {
            kind: segment.need_text("segmentType")?,
            start: segment.need_time("segmentStart")?,
            end: segment.time("segmentEnd")?,
            queue_id: segment.text("queueId")?,
            how_ended: segment.text("disconnectType")?,
            wrap_up: segment.text("wrapUpCode")?,
            skills: skills.into_iter().map(Text::new).collect(),
        })
    }
}
