package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// WriteWhole leaves either the old file or the whole new one, readable by its owner alone.
func WriteWhole(path string, text []byte) error {
	fresh, err := writeBeside(path, text)
	if err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

// WriteFirst is [WriteWhole] for a file that is not there yet; of several processes that write it at once one wins, and
// the others get [io/fs.ErrExist].
func WriteFirst(path string, text []byte) error {
	fresh, err := writeBeside(path, text)
	if err != nil {
		return err
	}
	return errors.Join(os.Link(fresh, path), os.Remove(fresh))
}

// writeBeside writes what a file is to hold into another one in its folder.
func writeBeside(path string, text []byte) (fresh string, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // the database's user has to pass
		return "", fmt.Errorf("make %s: %w", filepath.Dir(path), err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new")
	if err != nil {
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(file.Name()))
	}
	return file.Name(), nil
}
