//go:build tools

// Package tools pins the Gateway API, of whose module the tests apply the CRD files (config/crd/standard).
package tools

import _ "sigs.k8s.io/gateway-api/apis/v1"
