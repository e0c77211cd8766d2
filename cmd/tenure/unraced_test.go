//go:build !race

package main

// slower is what a promise's second is: a second.
const slower = 1
