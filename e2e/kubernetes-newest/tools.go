//go:build tools

// Package tools lists the programs that scripts/kubernetes.sh builds, so that go.sum pins what they need.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
)
