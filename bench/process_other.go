//go:build !linux

package main

import (
	"os"
	"syscall"
)

// childAttr has nothing to ask for outside Linux, where bench does not run.
func childAttr() *syscall.SysProcAttr { return nil }

// peakOf is told on Linux alone.
func peakOf(*os.ProcessState) int64 { return 0 }
