//! meshcore-simulator
