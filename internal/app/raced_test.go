//go:build race

package app

// stride is how many routes an asker goes on by at a step, each beginning at another
// one. Under the detector of races a request takes some ten times as long: the 28,500
// cells of the matrix took nine minutes, in which sign-ins grow too old for what asks
// for a recent one, and a walk through another tenant four. Every tenth route takes
// about one, and asks all the same everything that could race. The rest of these
// tests is whole in both builds.
const stride = 10
