//! The names of the images.

use meshcore_resource::{Image, PullPolicy};

use super::labels;
use crate::settings::Settings;

/// `<registry>/meshcore-<program>`, by digest where there is one, else by tag.
pub(super) fn reference(image: &Image, program: &str, digest: &str, settings: &Settings) -> String {
    let (registry, tag) = (&settings.image_registry, &settings.image_tag);
    image.reference(program, digest, registry, tag)
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

#[cfg(test)]
mod tests {
    use super::super::fixtures::settings;
    use super::*;

    fn image(registry: &str, tag: &str) -> Image {
        Image {
            registry: registry.to_owned(),
            tag: tag.to_owned(),
            ..Image::default()
        }
    }

    #[test]
    fn what_the_resource_leaves_out_is_the_operators() {
        let named = |image: Image| reference(&image, "server", &image.digests.server, &settings());
        assert_eq!(named(image("", "")), "registry/mesh/meshcore-server:0.1.0");
        assert_eq!(
            named(image("other:5000/", "")),
            "other:5000/meshcore-server:0.1.0"
        );
        assert_eq!(
            named(image("", "edge")),
            "registry/mesh/meshcore-server:edge"
        );
    }

    #[test]
    fn an_operator_without_a_registry_has_names_without_one() {
        let settings = Settings {
            image_registry: String::new(),
            ..settings()
        };
        assert_eq!(
            reference(&image("", ""), "ingestor", "", &settings),
            "meshcore-ingestor:0.1.0"
        );
    }

    #[test]
    fn a_digest_wins_over_the_tag() {
        let named = reference(&image("", "edge"), "server", "sha256:ab", &settings());
        assert_eq!(named, "registry/mesh/meshcore-server@sha256:ab");
    }

    #[test]
    fn the_version_is_the_tag_where_it_says_something_and_may_be_a_label() {
        let of = |tag: &str| version(&image("", tag), &settings());
        assert_eq!(of("").as_deref(), Some("0.1.0"));
        assert_eq!(of("v1.2.3_rc-1").as_deref(), Some("v1.2.3_rc-1"));
        assert_eq!(of("edge-"), None);
        assert_eq!(of(&"a".repeat(64)), None);
        let mut by_digest = image("", "v1");
        by_digest.digests.server = "sha256:ab".to_owned();
        assert_eq!(version(&by_digest, &settings()), None);
    }
}
