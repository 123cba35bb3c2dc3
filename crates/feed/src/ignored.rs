//! Why a message is not stored: the bounded set of reasons that metrics count.

/// A reason for storing nothing of a message.
///
/// The set is closed and its labels are stable, so that each can be a metric label. The last group
/// is not produced by [`parse`](crate::parse): it is for the filters that follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Ignored {
    /// The payload is above [`MAX_PAYLOAD_BYTES`](crate::MAX_PAYLOAD_BYTES).
    #[error("the payload is too large")]
    TooLarge,
    /// The payload has no bytes: how MQTT clears a retained message.
    #[error("the payload is empty")]
    Empty,
    /// The payload is not UTF-8.
    #[error("the payload is not UTF-8")]
    InvalidUtf8,
    /// The payload is not JSON, or nested too deep.
    #[error("the payload is not JSON")]
    NotJson,
    /// The payload is JSON, but no object.
    #[error("the payload is not a JSON object")]
    NotAnObject,
    /// A reception without a frame.
    #[error("there is no frame in it")]
    NoRaw,
    /// The frame is not hexadecimal.
    #[error("the frame is not hexadecimal")]
    BadRawHex,
    /// No topic that a known feeder uses, and no frame in the payload.
    #[error("the topic is unknown")]
    UnknownTopic,
    /// Console lines of a feeder.
    #[error("debug output of a feeder")]
    Debug,
    /// Remote command line of a feeder.
    #[error("serial commands of a feeder")]
    Serial,
    /// A broker's own topic, with claims of sign-in tokens: personal data, never read.
    #[error("internal topic of the broker")]
    Internal,
    /// Connection events of a companion bridge.
    #[error("connection events of a bridge")]
    Events,
    /// Side reports of a repeater (advert, noise floor, CRC errors) that `status` repeats.
    #[error("side report of a repeater")]
    RepeaterReport,
    /// The raw topic, with [`ParseOptions::raw_topic`](crate::ParseOptions::raw_topic) off.
    #[error("raw topic, which repeats the packets topic")]
    DuplicateRawTopic,
    /// Neither topic nor payload name the observer.
    #[error("the observer has no id")]
    EmptyObserver,
    /// The observer's id is above
    /// [`MAX_OBSERVER_ID_CHARS`](crate::MAX_OBSERVER_ID_CHARS).
    #[error("the observer's id is too long")]
    ObserverIdTooLong,
    /// The observer's id has control characters, or a client's key is not hexadecimal.
    #[error("the observer's id is malformed")]
    BadObserverId,
    /// A companion message without text.
    #[error("there is no text in it")]
    NoText,
    /// Client receptions are not asked for.
    #[error("client receptions are switched off")]
    ClientRxDisabled,
    /// A client's noise or region report, for which there is no table.
    #[error("side report of a client")]
    ClientReport,
    /// A client reception without a usable position.
    #[error("the client gives no position")]
    ClientNoPosition,
    /// A client's record of its own transmission.
    #[error("the client did not receive this")]
    ClientNotRx,
    /// Filter: the region is not in the source's list.
    #[error("the region is filtered out")]
    IataFiltered,
    /// Filter: the region is not in the list for all observers.
    #[error("the region is not allowed")]
    IataNotAllowed,
    /// Filter: the observer is on the blacklist.
    #[error("the observer is blocked")]
    ObserverBlocked,
}

impl Ignored {
    /// Every reason, to register metrics with.
    pub const ALL: [Self; 25] = [
        Self::TooLarge,
        Self::Empty,
        Self::InvalidUtf8,
        Self::NotJson,
        Self::NotAnObject,
        Self::NoRaw,
        Self::BadRawHex,
        Self::UnknownTopic,
        Self::Debug,
        Self::Serial,
        Self::Internal,
        Self::Events,
        Self::RepeaterReport,
        Self::DuplicateRawTopic,
        Self::EmptyObserver,
        Self::ObserverIdTooLong,
        Self::BadObserverId,
        Self::NoText,
        Self::ClientRxDisabled,
        Self::ClientReport,
        Self::ClientNoPosition,
        Self::ClientNotRx,
        Self::IataFiltered,
        Self::IataNotAllowed,
        Self::ObserverBlocked,
    ];

    /// The stable label of the reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Empty => "empty",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::NoRaw => "no_raw",
            Self::BadRawHex => "bad_raw_hex",
            Self::UnknownTopic => "unknown_topic",
            Self::Debug => "debug",
            Self::Serial => "serial",
            Self::Internal => "internal",
            Self::Events => "events",
            Self::RepeaterReport => "repeater_report",
            Self::DuplicateRawTopic => "duplicate_raw_topic",
            Self::EmptyObserver => "empty_observer",
            Self::ObserverIdTooLong => "observer_id_too_long",
            Self::BadObserverId => "bad_observer_id",
            Self::NoText => "no_text",
            Self::ClientRxDisabled => "client_rx_disabled",
            Self::ClientReport => "client_report",
            Self::ClientNoPosition => "client_no_position",
            Self::ClientNotRx => "client_not_rx",
            Self::IataFiltered => "iata_filtered",
            Self::IataNotAllowed => "iata_not_allowed",
            Self::ObserverBlocked => "observer_blocked",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Ignored;

    #[test]
    fn labels_are_distinct_and_fit_a_metric() {
        let labels: BTreeSet<_> = Ignored::ALL.iter().map(Ignored::reason).collect();
        assert_eq!(labels.len(), Ignored::ALL.len());
        assert!(labels.iter().all(|label| {
            !label.is_empty()
                && label
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || "_8".contains(c))
        }));
    }
}
