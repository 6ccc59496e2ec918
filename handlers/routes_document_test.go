package handlers_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
)

var update = flag.Bool("update", false, "write the tables of docs/access.md instead of comparing with them")

const accessDocument = "../docs/access.md"

// between puts a table in place of what stands between two marks of a document.
func between(t *testing.T, text, name, table string) string {
	t.Helper()
	begins, ends := fmt.Sprintf("<!-- %s begins -->\n", name), fmt.Sprintf("<!-- %s ends -->", name)
	before, rest, ok := strings.Cut(text, begins)
	require.True(t, ok, begins)
	_, after, ok := strings.Cut(rest, ends)
	require.True(t, ok, ends)
	return before + begins + table + ends + after
}

// roleTable says which role includes what.
func roleTable() string {
	var b strings.Builder
	b.WriteString("| may |")
	for _, r := range access.Roles {
		fmt.Fprintf(&b, " %s |", r)
	}
	b.WriteString("\n| --- |" + strings.Repeat(" --- |", len(access.Roles)) + "\n")
	for _, p := range access.Permissions {
		fmt.Fprintf(&b, "| %s |", p)
		for _, r := range access.Roles {
			fmt.Fprintf(&b, " %s |", map[bool]string{true: "yes", false: "·"}[r.May(p)])
		}
		b.WriteString("\n")
	}
	return b.String()
}

// routeTables are the routes under the sentences of the hand-written file, those of one path and one answer together.
func routeTables(t *testing.T) string {
	t.Helper()
	columns := append(append([]string{}, people...), "key", "proof")
	var b strings.Builder
	group := ""
	for _, line := range mergedRoutes(accessTable(t)) {
		if line.group != group {
			group = line.group
			fmt.Fprintf(&b, "\n**%s**\n\n| route | %s |\n| --- |%s\n", group, strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
		}
		fmt.Fprintf(&b, "| `%s` |", line)
		for _, c := range columns {
			fmt.Fprintf(&b, " %s |", inDocument(line.cells[c]))
		}
		b.WriteString("\n")
	}
	return b.String() + "\n"
}

// inDocument is a cell as people read it at a glance.
func inDocument(cell string) string {
	short := map[string]string{"no": "·", "-": "", "none": "404"}
	if word, ok := short[cell]; ok {
		return word
	}
	return cell
}

// mergedRoutes writes the methods of one path with the same cells in one line.
func mergedRoutes(rules []rule) (out []rule) {
	for _, r := range rules {
		if n := len(out); n > 0 && out[n-1].path == r.path && fmt.Sprint(out[n-1].cells) == fmt.Sprint(r.cells) {
			out[n-1].method += ", " + r.method
			continue
		}
		out = append(out, r)
	}
	for i, r := range out {
		if strings.Count(r.method, ",")+1 == len(every) {
			out[i].method = "any"
		}
	}
	return out
}

func TestTheDocumentOfAccessIsWhatTheTablesSay(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(accessDocument)
	require.NoError(t, err)
	want := between(t, string(text), "roles", roleTable())
	want = between(t, want, "routes", routeTables(t))
	if *update {
		require.NoError(t, os.WriteFile(accessDocument, []byte(want), 0o600))
		return
	}
	require.Equal(t, want, string(text), "go test ./handlers -run TestTheDocumentOfAccess -update")
	for _, scope := range access.Scopes {
		require.Contains(t, string(text), "| `"+string(scope)+"` |", "the table of scopes")
	}
}
