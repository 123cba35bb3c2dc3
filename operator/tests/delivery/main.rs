//! The ways by which users get the operator: Helm, kustomize, GitOps. Everything that is shipped is applied to a real
//! API server, and where it starts an operator, the operator runs with just the rights that were shipped with it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod docs;
mod files;
mod gitops;
mod health;
mod helm;
mod kustomize;
mod operator;
mod samples;
