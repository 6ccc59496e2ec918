package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

var imageBuild = regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0 go build .* -o /out/xsynesis \./cmd/xsynesis)$`)

// imageBinary is what the image holds: built with the Dockerfile's command from what .dockerignore lets through. No
// container is made of it, since tests must run where there is no container engine.
var imageBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "xsynesis-image")
	if err != nil {
		return "", err
	}
	atEnd(func() error { return os.RemoveAll(dir) })
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		return "", err
	}
	build := imageBuild.FindSubmatch(text)
	if build == nil {
		return "", errors.New("the Dockerfile has no line that builds the binary")
	}
	if err := copyContext(filepath.Join(dir, "src")); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "out", "xsynesis")
	command := strings.ReplaceAll(string(build[1]), "/out/xsynesis", path)
	cmd := exec.Command("sh", "-c", "VERSION=9.8.7; "+strings.Replace(command, "go build", "go build -p 2", 1))
	cmd.Dir = filepath.Join(dir, "src")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the image's binary: %w\n%s", err, out)
	}
	return path, nil
})

// copyContext copies what the Dockerfile's COPY would get. Of .dockerignore's language it knows what ours uses: nothing
// but what is named, and of that not what matches a pattern of names.
func copyContext(into string) error {
	file, err := os.Open("../.dockerignore")
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	var named, left []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		switch {
		case line == "" || line == "*" || line[0] == '#':
		case line[0] == '!':
			named = append(named, line[1:])
		case strings.HasPrefix(line, "**/"):
			left = append(left, line[3:])
		default:
			return fmt.Errorf(".dockerignore: %q is not understood here", line)
		}
	}
	for _, top := range named {
		if err := copyTree(filepath.Join("..", top), filepath.Join(into, top), left); err != nil {
			return err
		}
	}
	return nil
}

func copyTree(from, into string, left []string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		for _, pattern := range left {
			if match, _ := filepath.Match(pattern, entry.Name()); match && entry.IsDir() {
				return filepath.SkipDir
			} else if match {
				return nil
			}
		}
		to, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		to = filepath.Join(into, to)
		if entry.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, text, 0o600))
	})
}
