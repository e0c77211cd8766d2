//go:build race

package app

import "testing"

// unraced leaves out a test that asks one thing after the other: the detector of
// races would only make it slow.
func unraced(t *testing.T) {
	t.Helper()
	t.Skip("one request after the other: nothing races here; it runs without the detector")
}
