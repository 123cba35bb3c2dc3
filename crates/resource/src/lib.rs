//! The `MeshCoreDeployment` resource.
