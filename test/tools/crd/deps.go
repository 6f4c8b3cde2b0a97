// The types that controller-gen makes the Prometheus operator's CRDs of: named here, so that go.mod keeps them.
package crd

import (
	_ "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	_ "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
)
