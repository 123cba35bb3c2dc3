//! What the operator was started with, as far as it shapes objects.

/// What the operator was started with, as far as it shapes objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Registry and path before the images' names where a resource names none, such as `registry.example.org/meshcore`.
    pub image_registry: String,
    /// The tag where a resource names none: the operator's own version.
    pub image_tag: String,
}
