package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// lockFile takes the lock that says who runs a cluster. The kernel frees it when its holder dies, however it dies.
func lockFile(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the cluster's lock: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, ErrRunning
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

// isFree reports whether nobody runs the cluster of this lock.
func isFree(path string) (bool, error) {
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case errors.Is(err, fs.ErrPermission):
		return false, fmt.Errorf("%w: %s cannot be read; run as the user who started it", ErrOwner, path)
	}
	// A shared lock: two joiners that look at the same time must not take each other for the starter.
	f, err := lockFile(path, syscall.LOCK_SH)
	if errors.Is(err, ErrRunning) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}
