//! The list of metrics for people, made from the metrics themselves.

use std::fmt::Write;
use std::time::Duration;

use prometheus_client::encoding::text::encode;

use super::{ApiCall, Metrics};

/// The list as Markdown: a table row for each metric.
pub fn documentation() -> String {
    let mut text = "| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n".to_owned();
    for family in families(&exposition()) {
        let labels: Vec<_> = family
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            family.name,
            family.r#type,
            labels.join(", "),
            family.help
        )
        .expect("a String takes all text");
    }
    text
}

/// What the port shows when each metric has a value.
fn exposition() -> String {
    let (metrics, registry) = Metrics::new();
    metrics.reconcile_failed("");
    metrics.event_published("", "");
    metrics.show_resources(std::iter::empty::<[(&str, &str); 0]>());
    metrics.show_watch("", Duration::ZERO);
    let call = ApiCall { verb: "", kind: "" };
    metrics.api_write(&call);
    metrics.api_request_failed(&call, String::new());
    let mut text = String::new();
    encode(&mut text, &registry).expect("a String takes all text");
    text
}

#[derive(Default)]
struct Family<'a> {
    name: String,
    r#type: &'a str,
    help: &'a str,
    labels: Vec<&'a str>,
}

/// Reads the text form: HELP and TYPE, and the labels of the first sample after them.
fn families(text: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            families.push(Family {
                name: name.to_owned(),
                // The full stop is the exposition's.
                help: help.trim_end_matches('.'),
                ..Family::default()
            });
        } else if let (Some(rest), Some(family)) =
            (line.strip_prefix("# TYPE "), families.last_mut())
        {
            family.r#type = rest.rsplit(' ').next().unwrap_or_default();
            if family.r#type == "counter" {
                family.name.push_str("_total");
            }
        } else if let Some(family) = families
            .last_mut()
            .filter(|family| family.labels.is_empty())
        {
            family.labels = labels(line);
        }
    }
    families
}

/// The names of a sample's labels, but for the one that histograms have of their own.
fn labels(sample: &str) -> Vec<&str> {
    let Some((_, rest)) = sample.split_once('{') else {
        return Vec::new();
    };
    let inner = rest.rsplit_once('}').map_or("", |(inner, _)| inner);
    inner
        .split(',')
        .filter_map(|pair| Some(pair.split_once('=')?.0))
        .filter(|label| *label != "le")
        .collect()
}
