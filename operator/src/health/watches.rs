//! When each watch was last heard.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{StatusCode, Uri};
use tokio::time::Instant;

use crate::metrics::ApiCall;

/// When each watch was last heard; clones are handles to the same knowledge.
///
/// A watch is known from its first request on. Bounded: one entry for each kind, namespace and selector that is
/// watched.
#[derive(Clone, Debug, Default)]
pub struct Watches {
    known: Arc<Mutex<BTreeMap<String, Watch>>>,
}

#[derive(Clone, Debug)]
struct Watch {
    kind: &'static str,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    heard: Instant,
    refused: Option<StatusCode>,
}

/// Where one watch is heard.
#[derive(Clone, Debug)]
pub struct Heard {
    state: Arc<Mutex<State>>,
}

impl Watches {
    /// A request is sent by the client that watches; the answer takes its signs of life. A list counts as well, since
    /// it comes before a watch, and may be what does not succeed.
    pub fn request(&self, call: &ApiCall, uri: &Uri) -> Option<Heard> {
        if !matches!(call.verb, "watch" | "list") {
            return None;
        }
        let key = format!("{}?{}", uri.path(), selector(uri));
        let mut known = lock(&self.known);
        let watch = known.entry(key).or_insert_with(|| Watch {
            kind: call.kind,
            state: Arc::new(Mutex::new(State {
                heard: Instant::now(),
                refused: None,
            })),
        });
        let state = Arc::clone(&watch.state);
        Some(Heard { state })
    }

    /// Nobody watches this kind any more, since the cluster serves it no longer.
    pub fn forget(&self, kind: &str) {
        lock(&self.known).retain(|_, watch| watch.kind != kind);
    }

    /// How long ago the quietest watch of each kind was heard.
    pub fn ages(&self) -> BTreeMap<&'static str, Duration> {
        let mut ages = BTreeMap::new();
        for watch in lock(&self.known).values() {
            let age = lock(&watch.state).heard.elapsed();
            let oldest: &mut Duration = ages.entry(watch.kind).or_default();
            *oldest = age.max(*oldest);
        }
        ages
    }

    /// The kinds whose watch was silent for `limit` although nobody refused it.
    pub fn silent_for(&self, limit: Duration) -> Vec<&'static str> {
        self.kinds(|state| state.refused.is_none() && state.heard.elapsed() >= limit)
    }

    /// The kinds that the API server does not let us watch, or does not have.
    pub fn refused(&self) -> Vec<&'static str> {
        self.kinds(|state| state.refused.is_some())
    }

    fn kinds(&self, is_meant: impl Fn(&State) -> bool) -> Vec<&'static str> {
        let known = lock(&self.known);
        let meant = known.values().filter(|watch| is_meant(&lock(&watch.state)));
        let mut kinds: Vec<_> = meant.map(|watch| watch.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}

impl Heard {
    /// Something came.
    pub fn now(&self) {
        lock(&self.state).heard = Instant::now();
    }

    /// An answer began. A refusal is an answer that a restart would not change.
    pub fn answered(&self, status: StatusCode) {
        let mut state = lock(&self.state);
        state.refused = match status {
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Some(status),
            _ => None,
        };
        if status.is_success() {
            state.heard = Instant::now();
        }
    }
}

/// What tells two watches of one path apart.
fn selector(uri: &Uri) -> String {
    let pairs = uri.query().unwrap_or_default().split('&');
    let selectors: Vec<_> = pairs
        .filter(|pair| pair.starts_with("labelSelector=") || pair.starts_with("fieldSelector="))
        .collect();
    selectors.join("&")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing is left half done under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PODS: &str = "/api/v1/pods?labelSelector=a%3Db";

    fn request(watches: &Watches, uri: &str) -> Option<Heard> {
        let uri = uri.parse().unwrap();
        let call = ApiCall::of(&Method::GET, &uri, &HeaderMap::new());
        watches.request(&call, &uri)
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_ages_until_something_is_heard() {
        let watches = Watches::default();
        let heard = request(&watches, &format!("{PODS}&watch=true&resourceVersion=1")).unwrap();
        tokio::time::advance(5 * SECOND).await;
        assert_eq!(watches.ages()["Pod"], 5 * SECOND);
        assert_eq!(watches.silent_for(5 * SECOND), ["Pod"]);
        heard.now();
        assert_eq!(watches.ages()["Pod"], Duration::ZERO);
        assert!(watches.silent_for(SECOND).is_empty());
        // Another try of the same watch is the same watch, and a try is no sign of life.
        tokio::time::advance(3 * SECOND).await;
        request(&watches, &format!("{PODS}&watch=true&resourceVersion=2")).unwrap();
        assert_eq!(watches.ages()["Pod"], 3 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn the_list_before_a_watch_belongs_to_it() {
        let watches = Watches::default();
        assert!(request(&watches, "/api/v1/namespaces/a/pods/b").is_none());
        let list = request(&watches, &format!("{PODS}&limit=500")).unwrap();
        tokio::time::advance(5 * SECOND).await;
        list.answered(StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(watches.silent_for(5 * SECOND), ["Pod"]);
        list.answered(StatusCode::OK);
        assert_eq!(watches.ages()["Pod"], Duration::ZERO);
        tokio::time::advance(SECOND).await;
        request(&watches, &format!("{PODS}&watch=true")).unwrap();
        assert_eq!(watches.ages()["Pod"], SECOND, "a try is no sign of life");
    }

    #[tokio::test(start_paused = true)]
    async fn the_quietest_watch_of_a_kind_counts() {
        let watches = Watches::default();
        let one = request(&watches, "/api/v1/namespaces/a/pods?watch=true").unwrap();
        request(&watches, "/api/v1/namespaces/b/pods?watch=true").unwrap();
        tokio::time::advance(2 * SECOND).await;
        one.now();
        assert_eq!(watches.ages()["Pod"], 2 * SECOND);
        assert_eq!(watches.silent_for(2 * SECOND), ["Pod"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_is_served_no_longer_is_forgotten() {
        let watches = Watches::default();
        let path = "/apis/gateway.networking.k8s.io/v1/httproutes?watch=true";
        let heard = request(&watches, path).unwrap();
        request(&watches, &format!("{PODS}&watch=true")).unwrap();
        heard.answered(StatusCode::NOT_FOUND);
        assert_eq!(watches.refused(), ["HTTPRoute"]);
        watches.forget("HTTPRoute");
        assert!(watches.refused().is_empty());
        assert_eq!(watches.ages().into_keys().collect::<Vec<_>>(), ["Pod"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_watch_is_not_silent() {
        let watches = Watches::default();
        let heard = request(&watches, &format!("{PODS}&watch=true")).unwrap();
        heard.answered(StatusCode::FORBIDDEN);
        tokio::time::advance(60 * SECOND).await;
        assert_eq!(watches.refused(), ["Pod"]);
        assert!(watches.silent_for(SECOND).is_empty());
        heard.answered(StatusCode::OK);
        assert!(watches.refused().is_empty());
    }
}
