//go:build !linux

package main

import "syscall"

// childAttr has nothing to ask for outside Linux, where bench does not run.
func childAttr() *syscall.SysProcAttr { return nil }
