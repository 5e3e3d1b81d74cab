//go:build tools

// Package helm keeps the command that `e2e` builds in the module graph.
package helm

import _ "helm.sh/helm/v4/cmd/helm"
