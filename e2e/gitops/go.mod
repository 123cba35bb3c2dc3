// Pins the modules whose resource definitions the tests of the GitOps examples apply. Nothing is built from them.
module meshcore.dev/e2e/gitops

go 1.26.0

require (
	github.com/argoproj/argo-cd/v3 v3.4.5
	github.com/fluxcd/helm-controller v1.6.1
	github.com/fluxcd/kustomize-controller v1.7.3
	github.com/fluxcd/source-controller v1.9.1
)
