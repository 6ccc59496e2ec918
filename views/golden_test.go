package views

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/a-h/templ"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// golden compares a page with testdata/<name>.html.
func golden(t *testing.T, name string, page templ.Component) {
	t.Helper()
	file := filepath.Join("testdata", name+".html")
	got := readable(render(t, page))
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "run go test ./views -update once")
	require.Equal(t, string(want), got)
}

// render writes a page, or only its named fragments.
func render(t *testing.T, page templ.Component, fragments ...any) string {
	t.Helper()
	var b strings.Builder
	var err error
	if len(fragments) > 0 {
		err = templ.RenderFragments(t.Context(), io.Writer(&b), page, fragments...)
	} else {
		err = page.Render(t.Context(), &b)
	}
	require.NoError(t, err)
	return b.String()
}

var hashed = regexp.MustCompile(`(/static/[\w./-]+?)\.[0-9a-f]{12}\.`)

// readable puts block elements on lines of their own, so that a difference is small, and takes the hash
// out of static names, so that a change of stylesheet is none.
func readable(html string) string {
	html = hashed.ReplaceAllString(html, "$1.")
	return strings.NewReplacer("><", ">\n<").Replace(html) + "\n"
}
