//go:build tools

// Package tools lists the program that scripts/kubernetes.sh builds, so that go.sum pins what it needs.
package tools

import _ "helm.sh/helm/v4/cmd/helm"
