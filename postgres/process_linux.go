package postgres

import "syscall"

// dieWithParent makes the kernel ask the server for a fast shutdown when its starter dies, even by SIGKILL.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGINT }
