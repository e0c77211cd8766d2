//go:build !race

package app

import "testing"

// unraced leaves out, under the detector of races, a test that asks one thing after
// the other.
func unraced(*testing.T) {}
