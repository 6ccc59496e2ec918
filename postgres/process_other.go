//go:build !linux

package postgres

import "syscall"

// dieWithParent does nothing here: a server whose starter was killed lives on until the next start evicts it.
func dieWithParent(*syscall.SysProcAttr) {}
