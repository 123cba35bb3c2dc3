//go:build tools

// Package tools lists the programs that scripts/kubernetes.sh builds, so that go.sum pins what they need. The
// scheduler, the kubelet and kube-proxy are for tests with a whole node; nothing builds them unless it is asked to.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-proxy"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubectl"
	_ "k8s.io/kubernetes/cmd/kubelet"
)
