//! What the tests share.

pub(crate) mod invariants;
pub(crate) mod lane;
pub(crate) mod life;
pub(crate) mod picture;
pub(crate) mod resources;
pub(crate) mod witness;

use meshcore_testkit::kubernetes::ControlPlane;
use tokio::sync::OnceCell;

/// Installs the definition of the resource, once for all tests.
pub(crate) async fn install_crd(plane: &ControlPlane) {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let install = async {
        let crd = meshcore_resource::crd_yaml();
        plane.install_crds(&crd).await.expect("the CRD is accepted");
    };
    INSTALLED.get_or_init(|| install).await;
}
