//! The names of the images.

use meshcore_resource::{Image, PullPolicy};

use super::labels;
use crate::settings::Settings;

/// `<registry>/meshcore-<program>`, by digest where there is one, else by tag.
pub(super) fn reference(image: &Image, program: &str, digest: &str, settings: &Settings) -> String {
    let registry = or(&image.registry, &settings.image_registry).trim_end_matches('/');
    let separator = if registry.is_empty() { "" } else { "/" };
    let name = format!("{registry}{separator}meshcore-{program}");
    if digest.is_empty() {
        format!("{name}:{}", or(&image.tag, &settings.image_tag))
    } else {
        format!("{name}@{digest}")
    }
}

/// The version of the programs for people, where it is known and may be a label: with digests the tag says nothing.
pub(super) fn version(image: &Image, settings: &Settings) -> Option<String> {
    let digests = &image.digests;
    let is_by_tag = digests.ingestor.is_empty() && digests.server.is_empty();
    let tag = or(&image.tag, &settings.image_tag);
    (is_by_tag && labels::is_value(tag)).then(|| tag.to_owned())
}

pub(super) fn pull_policy(image: &Image) -> String {
    match image.pull_policy {
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Always => "Always",
        PullPolicy::Never => "Never",
    }
    .to_owned()
}

fn or<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.is_empty() { default } else { text }
}
