//! meshcore-cli
