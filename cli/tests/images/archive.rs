//! An image as an OCI archive.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use meshcore_testkit::announce;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
pub(crate) const NAMES: [&str; 4] = ["operator", "ingestor", "server", "meshcore"];

/// An image, unpacked.
pub(crate) struct Image {
    pub(crate) name: &'static str,
    /// Its manifest, as the index of the archive names it.
    pub(crate) manifest: Value,
    pub(crate) config: Value,
    /// How it is called.
    pub(crate) reference: String,
    pub(crate) root: PathBuf,
    /// Each file as `tar` lists it, with mode and owner.
    pub(crate) listing: String,
    _folder: TempDir,
}

/// The images, built if they are missing or old; none where `MESHCORE_IMAGES=none` asks for that.
pub(crate) fn images() -> Option<&'static [Image]> {
    static IMAGES: OnceLock<Option<Vec<Image>>> = OnceLock::new();
    let images = IMAGES.get_or_init(|| {
        if std::env::var("MESHCORE_IMAGES").as_deref() == Ok("none") {
            announce("SKIPPED: MESHCORE_IMAGES=none, so no images are built");
            return None;
        }
        let archives = build();
        let images = NAMES.iter().zip(archives);
        Some(
            images
                .map(|(name, archive)| Image::open(name, &archive))
                .collect(),
        )
    });
    images.as_deref()
}

pub(crate) fn image(name: &str) -> Option<&'static Image> {
    images()?.iter().find(|image| image.name == name)
}

/// The paths of the archives.
pub(crate) fn build() -> Vec<PathBuf> {
    let script = Path::new(WORKSPACE).join("scripts/images.sh");
    let built = Command::new(script).args(NAMES).output().unwrap();
    assert!(
        built.status.success(),
        "scripts/images.sh: {}",
        String::from_utf8_lossy(&built.stderr)
    );
    let paths = String::from_utf8(built.stdout).unwrap();
    paths.lines().map(PathBuf::from).collect()
}

pub(crate) fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

impl Image {
    fn open(name: &'static str, archive: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Users of containers have to get through.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (layout, root) = (folder.path().join("layout"), folder.path().join("root"));
        fs::create_dir(&layout).unwrap();
        fs::create_dir(&root).unwrap();
        tar(&["-xf", &text(archive), "-C", &text(&layout)]);
        let index = json(&layout.join("index.json"));
        let described = &index["manifests"][0];
        let manifest = json(&blob(&layout, described));
        let config = json(&blob(&layout, &manifest["config"]));
        let mut listing = String::new();
        for layer in manifest["layers"].as_array().unwrap() {
            let layer = text(&blob(&layout, layer));
            listing += &tar(&["-tvzf", &layer, "--numeric-owner"]);
            tar(&["-xzpf", &layer, "--same-owner", "-C", &text(&root)]);
        }
        let reference = &described["annotations"]["org.opencontainers.image.ref.name"];
        Self {
            name,
            reference: reference.as_str().unwrap().to_owned(),
            manifest,
            config,
            root,
            listing,
            _folder: folder,
        }
    }

    /// Bytes of the layers as they are transferred.
    pub(crate) fn compressed(&self) -> u64 {
        let layers = self.manifest["layers"].as_array().unwrap();
        layers
            .iter()
            .map(|layer| layer["size"].as_u64().unwrap())
            .sum()
    }

    /// A part of what an engine reads, such as `User`.
    pub(crate) fn setting(&self, name: &str) -> &Value {
        &self.config["config"][name]
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn blob(layout: &Path, described: &Value) -> PathBuf {
    let digest = described["digest"].as_str().unwrap();
    layout.join("blobs").join(digest.replace(':', "/"))
}

fn tar(arguments: &[&str]) -> String {
    let output = Command::new("tar").args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
