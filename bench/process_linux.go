package main

import "syscall"

// childAttr makes the kernel end a child whose parent died without stopping it.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
