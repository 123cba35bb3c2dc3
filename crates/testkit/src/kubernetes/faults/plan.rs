//! What is to become of requests.

use std::time::Duration;

use super::request::RequestInfo;

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is passed on and answered.
    Pass,
    /// It is not passed on; the answer has this HTTP status, with the object that the API server gives with it.
    Status {
        /// The HTTP status, 400 or more.
        code: u16,
        /// The seconds of `Retry-After`, if there is one.
        retry_after: Option<u32>,
    },
    /// It is not passed on; the connection is closed.
    DropBefore,
    /// The API server does it; the connection is closed without an answer.
    DropAfter,
    /// It is passed on after this time.
    Delay(Duration),
    /// It is not passed on and never answered, until the program gives up.
    Hang,
    /// The API server does it; it is never answered, until the program gives up.
    HangAfter,
    /// Of the answer's events this many come, then the connection is closed. For watches.
    CutWatchAfter(usize),
    /// Of the answer's events this many come, then one that says the resource version is too old. For watches.
    ExpireWatchAfter(usize),
    /// Of the answer's events this many come, then it is over, as when its time is up. For watches.
    EndWatchAfter(usize),
}

impl Fate {
    /// An answer with this status and no `Retry-After`.
    pub fn status(code: u16) -> Self {
        Self::Status {
            code,
            retry_after: None,
        }
    }
}

/// A moment of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It has come and was not passed on.
    Arrived,
    /// The API server has answered, and the program knows nothing of it yet.
    Executed,
}

/// Decides on the fate of each request. A function is a plan.
pub trait Plan: Send + Sync + 'static {
    /// What becomes of a request.
    fn fate(&self, request: &RequestInfo) -> Fate;

    /// Is told how a request goes on, for instance to kill the program just then. The request waits for it.
    fn observe(&self, request: &RequestInfo, moment: Moment) {
        let _ = (request, moment);
    }
}

impl<F: Fn(&RequestInfo) -> Fate + Send + Sync + 'static> Plan for F {
    fn fate(&self, request: &RequestInfo) -> Fate {
        self(request)
    }
}
