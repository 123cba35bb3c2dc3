//! How the last life of a program ended: its metrics can't be scraped while it stops, so the next life shows
//! them.

use std::path::Path;
use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use meshcore_lifecycle::Report;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The report that the last life left, if it left one.
#[derive(Debug, Default)]
pub struct LastShutdown {
    report: Option<Report>,
}

/// A step of the shutdown.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ComponentLabel {
    component: String,
}

impl LastShutdown {
    /// Reads the report at `file` and takes the file away, so that an old clean stop is not mistaken for the
    /// end of a life that crashed. A report that can't be read is logged and counts as none.
    pub fn take(file: &Path) -> Self {
        let report = Report::take_previous(file).unwrap_or_else(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "The last shutdown's report is lost"
            );
            None
        });
        Self { report }
    }

    /// Registers `graceful_shutdown_duration_seconds` and `graceful_shutdown_errors_total{component}`.
    pub fn register(&self, registry: &mut Registry) {
        let seconds = Histogram::new(exponential_buckets(0.05, 2.0, 12));
        let errors = Family::<ComponentLabel, Counter>::default();
        if let Some(report) = &self.report {
            seconds.observe(Duration::from_millis(report.took_milliseconds).as_secs_f64());
            for phase in report.phases.iter().filter(|p| p.outcome.is_error()) {
                let component = phase.name.clone();
                errors.get_or_create(&ComponentLabel { component }).inc();
            }
        }
        registry.register_with_unit(
            "graceful_shutdown_duration",
            "How long the last shutdown took",
            Unit::Seconds,
            seconds,
        );
        registry.register(
            "graceful_shutdown_errors",
            "Steps of the last shutdown that failed, by step",
            errors,
        );
    }

    /// `GET /shutdown-report`: the report, or `null`.
    pub fn router(self) -> Router {
        let report = self.report;
        Router::new().route("/shutdown-report", get(|| async move { Json(report) }))
    }
}
