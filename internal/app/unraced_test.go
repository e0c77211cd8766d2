//go:build !race

package app

// stride: on SQLite, without the detector of races every asker asks for every route.
const stride = 1
