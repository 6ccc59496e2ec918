package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

const unreleased = "development"

// version is set by the linker in a release.
var version = unreleased

type versionCmd struct{}

// Run prints which build this is.
func (*versionCmd) Run(stdout io.Writer) error {
	_, err := fmt.Fprintf(stdout, "xsynesis %s (%s, %s)\n", version, cmp.Or(revision(), "unknown revision"), runtime.Version())
	return err
}

// build names this program among the processes of the shop: its version, or outside of a release the commit.
func build() string {
	if version != unreleased {
		return version
	}
	commit := revision()
	return cmp.Or(commit[:min(12, len(commit))], unreleased)
}

// revision is the commit that this program was built from; empty where the build did not know it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
