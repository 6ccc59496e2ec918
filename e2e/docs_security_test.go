package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// namedTest finds a test as documents name it: the folder of its package, and the test.
var namedTest = regexp.MustCompile("`([a-z0-9/]+)\\.(Test\\w+)`")

// cells are those of a row of a table; nil for a line that is none, or the one below a table's head.
func cells(line string) []string {
	inside, ok := strings.CutPrefix(strings.TrimSpace(line), "| ")
	if !ok || strings.HasPrefix(inside, "---") {
		return nil
	}
	out := strings.Split(strings.TrimSuffix(inside, "|"), "|")
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}

// chapter is what stands below a heading of the second level.
func chapter(t *testing.T, text, heading string) []string {
	t.Helper()
	_, rest, found := strings.Cut(text, "\n## "+heading+"\n")
	require.True(t, found, heading)
	inside, _, _ := strings.Cut(rest, "\n## ")
	return strings.Split(inside, "\n")
}

func securityDocument(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/security.md")
	require.NoError(t, err)
	return string(text)
}

// testsOf are the tests of a package, and what its test files say.
func testsOf(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files, folder)
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(text)
	}
	return all.String()
}

func TestEveryPromiseIsHeldByATestThatExists(t *testing.T) {
	t.Parallel()
	text := securityDocument(t)
	packages := map[string]string{}
	var missing []string
	for _, m := range namedTest.FindAllStringSubmatch(text, -1) {
		if _, read := packages[m[1]]; !read {
			packages[m[1]] = testsOf(t, m[1])
		}
		if !strings.Contains(packages[m[1]], "\nfunc "+m[2]+"(t *testing.T)") {
			missing = append(missing, m[0])
		}
	}
	require.Empty(t, missing)

	promises := 0
	for _, line := range chapter(t, text, "Promises, and the tests that hold them") {
		row := cells(line)
		if row == nil || row[0] == "promise" {
			continue
		}
		promises++
		require.Len(t, row, 2, line)
		require.Regexp(t, namedTest, row[1], "nothing holds: %s", row[0])
	}
	require.Greater(t, promises, 50)
}

// requirements are those of levels 1 and 2 of the Application Security Verification Standard 5.0.0: of its chapters on
// authentication, sessions, authorization and self-contained tokens all, of the one on web frontends what concerns cookies,
// headers, other origins and redirects.
const requirements = `
3.2.1 3.2.2 3.3.1 3.3.2 3.3.3 3.3.4 3.4.1 3.4.2 3.4.3 3.4.4 3.4.5 3.4.6 3.5.1 3.5.2 3.5.3 3.5.4 3.5.5 3.7.1 3.7.2
6.1.1 6.1.2 6.1.3 6.2.1 6.2.2 6.2.3 6.2.4 6.2.5 6.2.6 6.2.7 6.2.8 6.2.9 6.2.10 6.2.11 6.2.12 6.3.1 6.3.2 6.3.3 6.3.4
6.4.1 6.4.2 6.4.3 6.4.4 6.5.1 6.5.2 6.5.3 6.5.4 6.5.5 6.6.1 6.6.2 6.6.3 6.8.1 6.8.2 6.8.3 6.8.4
7.1.1 7.1.2 7.1.3 7.2.1 7.2.2 7.2.3 7.2.4 7.3.1 7.3.2 7.4.1 7.4.2 7.4.3 7.4.4 7.4.5 7.5.1 7.5.2 7.6.1 7.6.2
8.1.1 8.1.2 8.2.1 8.2.2 8.2.3 8.3.1 8.4.1
9.1.1 9.1.2 9.1.3 9.2.1 9.2.2 9.2.3 9.2.4`

func TestTheStandardIsAnsweredLineByLine(t *testing.T) {
	t.Parallel()
	var answered []string
	for _, line := range chapter(t, securityDocument(t), "OWASP ASVS 5.0, level 2") {
		row := cells(line)
		if row == nil || row[0] == "" || row[0] == "asked for" {
			continue
		}
		require.Len(t, row, 4, line)
		require.Contains(t, []string{"met", "partly", "gap, on purpose", "gap", "not applicable"}, row[2], line)
		require.NotEmpty(t, row[3], line)
		answered = append(answered, row[0])
	}
	require.Equal(t, strings.Fields(requirements), answered)
}
