//! What the operator did, by its own count and by the API server's.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use meshcore_testkit::kubernetes::{AuditMark, Requests};
use prometheus_client::encoding::text::encode;

use super::{LIMIT, Stage};

impl Stage {
    /// A place in the audit log.
    pub(crate) async fn mark(&self) -> AuditMark {
        self.plane.audit().mark().await.unwrap()
    }
    /// What the operator asked for since then.
    pub(crate) async fn since(&self, mark: AuditMark) -> Requests {
        let requests = self.plane.audit().since(mark).await.unwrap();
        requests.by_user(self.access.user())
    }
    /// Waits until the operator has nothing to do: for a while it asks for nothing.
    pub(crate) async fn quiet(&self) {
        self.quiet_for(Duration::from_millis(500)).await;
    }

    /// Waits until the operator has asked for nothing for so long.
    pub(crate) async fn quiet_for(&self, while_: Duration) {
        let waiting = async {
            loop {
                let mark = self.mark().await;
                tokio::time::sleep(while_).await;
                if self.reconciles() > 0 && self.since(mark).await.is_empty() {
                    return;
                }
            }
        };
        tokio::time::timeout(LIMIT, waiting)
            .await
            .expect("the operator comes to rest");
    }

    /// Waits until for so long the operator looked at nothing and asked for nothing but to go on watching. The last
    /// news of the controllers may come late, so a while in which it did something is followed by another one; who
    /// looks again and again never has one.
    pub(crate) async fn idle_for(&self, while_: Duration) {
        let mut last = None;
        let waiting = async {
            loop {
                let (mark, before) = (self.mark().await, self.reconciles());
                tokio::time::sleep(while_).await;
                let looks = self.reconciles() - before;
                let requests = self.since(mark).await.only(|entry| entry.verb != "watch");
                if looks == 0 && requests.is_empty() {
                    return;
                }
                last = Some(format!("{looks} reconciles, {requests}"));
            }
        };
        let idle = tokio::time::timeout(LIMIT, waiting).await;
        assert!(idle.is_ok(), "something changes, or is looked at: {last:?}");
    }

    /// How many reconciles the operator has ended.
    pub(crate) fn reconciles(&self) -> u64 {
        let operator = self.operator.as_ref().expect("it runs");
        let mut text = String::new();
        encode(&mut text, &operator.registry).unwrap();
        let mut lines = text.lines();
        let count =
            lines.find_map(|line| line.strip_prefix("meshcore_operator_reconcile_seconds_count "));
        count.expect("reconciles are counted").parse().unwrap()
    }
    /// Waits until the operator has ended so many reconciles.
    pub(crate) async fn until_reconciles(&self, count: u64) {
        let waiting = async {
            while self.reconciles() < count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, waiting)
            .await
            .expect("it reconciles");
    }
}
