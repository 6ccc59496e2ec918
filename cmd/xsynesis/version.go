package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// version is set by the linker in a release.
var version = "development"

type versionCmd struct{}

// Run prints which build this is.
func (*versionCmd) Run(stdout io.Writer) error {
	revision := "unknown revision"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	_, err := fmt.Fprintf(stdout, "xsynesis %s (%s, %s)\n", version, revision, runtime.Version())
	return err
}
