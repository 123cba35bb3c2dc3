//! What a failed request means.

use kube::core::Status;

use super::Verb;
use crate::cache::Key;
use crate::problem::Problem;
use crate::status::Reason;

/// A request to the API server that failed.
#[derive(Debug, thiserror::Error)]
#[error("can't {} {kind} {key}", verb.as_str())]
pub struct ApiError {
    /// What was to be done.
    pub verb: Verb,
    /// The kind of the object.
    pub kind: &'static str,
    /// The kind as roles have it.
    pub plural: &'static str,
    /// The object.
    pub key: Key,
    /// What went wrong.
    #[source]
    pub source: Box<kube::Error>,
}

/// What a failed request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It may work the next time: time-outs, too many requests, a conflict, a server that is not well.
    Passing,
    /// It won't, until somebody does something.
    Lasting(Problem),
}

impl ApiError {
    /// Whether somebody has to do something about it.
    pub fn trouble(&self) -> Trouble {
        match &*self.source {
            kube::Error::Api(status) => self.of_status(status),
            _ => Trouble::Passing,
        }
    }

    /// Whether the API server said so itself, and not the lack of an answer.
    pub fn was_answered(&self) -> bool {
        matches!(*self.source, kube::Error::Api(_))
    }

    /// Whether the API server found the object wrong in itself.
    pub fn is_invalid(&self) -> bool {
        matches!(&*self.source, kube::Error::Api(status) if status.is_invalid())
    }

    /// A short word for metrics.
    pub fn category(&self) -> &'static str {
        match &*self.source {
            kube::Error::Api(status) => match status.code {
                403 => "forbidden",
                404 => "not_found",
                409 => "conflict",
                400 | 422 => "invalid",
                429 => "too_many_requests",
                500.. => "server_error",
                _ => "other_status",
            },
            kube::Error::SerdeError(_) => "unreadable_answer",
            _ => "transport",
        }
    }

    fn of_status(&self, status: &Status) -> Trouble {
        let lasting = |reason, cure: String| {
            let Self { kind, key, .. } = self;
            let message = format!("{kind} {key}: {cure} ({})", status.message);
            Trouble::Lasting(Problem::new(reason, message))
        };
        let text = &status.message;
        if text.contains("because it is being terminated") {
            let cure = "its namespace is being deleted, so nothing can be made in it".to_owned();
            return lasting(Reason::NamespaceTerminating, cure);
        }
        if text.contains("exceeded quota") {
            let cure = "a quota is used up; raise it or free some of it".to_owned();
            return lasting(Reason::QuotaExceeded, cure);
        }
        if status.is_forbidden() && text.contains("cannot ") && text.contains("User ") {
            return lasting(Reason::Forbidden, self.grant());
        }
        let is_refused = status.is_forbidden() || status.is_invalid() || status.code == 400;
        if is_refused {
            let cure = "the API server does not accept it; change what it names".to_owned();
            return lasting(Reason::Refused, cure);
        }
        Trouble::Passing
    }

    fn grant(&self) -> String {
        let Self {
            verb, plural, key, ..
        } = self;
        let verb = verb.as_str();
        let namespace = &key.namespace;
        format!(
            "the operator may not {verb} {plural} in namespace {namespace}; grant its service \
             account the verb {verb} on {plural} there, as its chart does"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u16, reason: &str, message: &str) -> ApiError {
        ApiError {
            verb: Verb::Patch,
            kind: "Service",
            plural: "services",
            key: Key::new("ns", "mesh"),
            source: Box::new(kube::Error::Api(
                Status::failure(message, reason).with_code(code).boxed(),
            )),
        }
    }

    fn lasting(error: &ApiError) -> Problem {
        match error.trouble() {
            Trouble::Lasting(problem) => problem,
            Trouble::Passing => panic!("{error} passes"),
        }
    }

    #[test]
    fn a_missing_right_names_the_verb_and_the_resource_to_grant() {
        let message = "services \"mesh\" is forbidden: User \"op\" cannot patch resource \"services\" in API \
                       group \"\" in the namespace \"ns\"";
        let problem = lasting(&error(403, "Forbidden", message));
        assert_eq!(problem.reason, Reason::Forbidden);
        assert!(
            problem.message.contains("the verb patch on services"),
            "{problem}"
        );
    }

    #[test]
    fn refusals_of_one_code_are_told_apart() {
        let quota = "services \"mesh\" is forbidden: exceeded quota: few, requested: services=1, used: services=1";
        let namespace = "services \"mesh\" is forbidden: unable to create new content in namespace ns because it is \
                         being terminated";
        let policy = "services \"mesh\" is forbidden: no load balancers here";
        for (message, reason) in [
            (quota, Reason::QuotaExceeded),
            (namespace, Reason::NamespaceTerminating),
            (policy, Reason::Refused),
        ] {
            let problem = lasting(&error(403, "Forbidden", message));
            assert_eq!(problem.reason, reason);
            assert!(problem.message.contains("Service ns/mesh"), "{problem}");
        }
    }

    #[test]
    fn what_may_work_next_time_is_no_problem() {
        for (code, reason) in [
            (409, "Conflict"),
            (429, "TooManyRequests"),
            (500, "InternalError"),
            (503, "ServiceUnavailable"),
            (504, "Timeout"),
        ] {
            assert_eq!(
                error(code, reason, "later").trouble(),
                Trouble::Passing,
                "{code}"
            );
        }
    }
}
