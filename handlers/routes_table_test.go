package handlers_test

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rule is what the table says about one route.
type rule struct {
	method, path string
	group        string            // the sentence above it
	cells        map[string]string // by column
}

func (r rule) String() string { return r.method + " " + r.path }

// safe tells whether the method asks for something, and changes nothing.
func (r rule) safe() bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, r.method)
}

// readsNoCookie tells whether the route is for programs: any site may call it, since a browser's session counts for nothing.
func (r rule) readsNoCookie() bool {
	return strings.HasPrefix(r.path, "/x/") || strings.HasPrefix(r.path, "/api/") && !strings.HasPrefix(r.path, "/api/auth/")
}

// people are the columns that stand for somebody: the roles in the shop, and everybody else.
var people = []string{"owner", "manager", "developer", "accountant", "cashier", "viewer", "other", "nobody", "newcomer", "till", "operator"}

// every is what ANY stands for in the table.
var every = []string{
	http.MethodConnect, http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPatch, http.MethodPost,
	"PROPFIND", http.MethodPut, "REPORT", http.MethodTrace,
}

// accessTable is the hand-written file of who may what.
func accessTable(t testing.TB) []rule {
	t.Helper()
	text, err := os.ReadFile("testdata/access.tsv")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	head := strings.Split(lines[0], "\t")
	require.Equal(t, append(append([]string{"method", "path"}, people...), "key", "proof"), head)
	var rules []rule
	group := ""
	for n, line := range lines[1:] {
		if words, ok := strings.CutPrefix(line, "# "); ok {
			group = words
			continue
		}
		cells := strings.Split(line, "\t")
		require.Len(t, cells, len(head), "line %d", n+2)
		methods := strings.Split(cells[0], ",")
		if cells[0] == "ANY" {
			methods = every
		}
		for _, method := range methods {
			r := rule{method: method, path: cells[1], group: group, cells: map[string]string{}}
			for i, name := range head[2:] {
				r.cells[name] = cells[i+2]
			}
			rules = append(rules, r)
		}
	}
	return rules
}
