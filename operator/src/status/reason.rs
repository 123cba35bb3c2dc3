//! Why a condition is as it is: every reason there is.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// Why a condition is as it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])+ $name,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The reason as it stands in a condition.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

reasons! {
    /// The pod runs what is asked for, and is ready.
    Available,
    /// Nothing runs, as asked, and the data stay.
    Stopped,
    /// The operator leaves everything as it is, as asked.
    Paused,

    /// The pod is not made yet, or its containers are starting.
    Starting,
    /// The pod has no machine to run on.
    Unschedulable,
    /// A pod of an older template runs or ends.
    RollingOut,
    /// The pod ends, as asked.
    Stopping,
    /// The pod runs and is not ready.
    NotReady,
    /// A request to the API server failed for the moment.
    ApiFailure,
    /// Something that is in the way is being deleted.
    BeingDeleted,

    /// A container ends again and again.
    CrashLoop,
    /// An image can't be had.
    ImagePull,
    /// A container can't be made.
    ContainerConfig,
    /// The resource can't be read.
    Unreadable,
    /// A rule does not hold.
    Invalid,
    /// A Secret is missing, or a key of it.
    SecretMissing,
    /// An object that is not ours has the name of one of ours.
    NameConflict,
    /// A quota is used up.
    QuotaExceeded,
    /// The operator may not do what it must.
    Forbidden,
    /// The API server, or a policy in it, does not accept an object.
    Refused,
    /// The namespace is being deleted.
    NamespaceTerminating,
    /// The cluster has no Gateway API.
    GatewayApiMissing,

    /// The claim is bound.
    ClaimBound,
    /// The claim waits for a volume.
    ClaimPending,
    /// The claim is being deleted.
    ClaimTerminating,
    /// The claim that held the database is gone.
    ClaimLost,
    /// The claim that the resource names is not there.
    ClaimMissing,
    /// The claim is not what is asked for, and can't become it.
    ClaimMismatch,
    /// The claim's volume is gone.
    VolumeLost,

    /// The volume is as large as it is asked to be.
    AsRequested,
    /// The volume is growing.
    Growing,
    /// The volume does not grow.
    ResizeFailed,

    /// The volume has room, as far as is known.
    HasRoom,
    /// The volume is full, and nothing is acknowledged.
    DiskFull,

    /// The budget, and what the last stop used of it, are well.
    WithinBudget,
    /// The budget is longer than many machines grant.
    LongBudget,
    /// The last stop used almost all of its time, or more.
    TightBudget,

    /// Nothing waits for consent.
    NothingPending,
    /// Changes wait for `spec.rollout.hold` to end.
    Held,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_in_camel_case() {
        for reason in Reason::ALL {
            let text = reason.as_str();
            assert!(text.starts_with(|c: char| c.is_ascii_uppercase()), "{text}");
            assert!(text.chars().all(|c| c.is_ascii_alphanumeric()), "{text}");
        }
    }
}
