//go:build race

package main

// slower is what a promise's second is in a program under the detector of races,
// which takes some ten times as long for everything. The build without it holds to
// the second.
const slower = 3
