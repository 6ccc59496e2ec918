package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"xsynesis/webhook"
)

// notRun is every reason for which a block of the documents may be left alone. It stands in the block's fence, where
// readers of the source see it.
var notRun = []string{
	"these run the tests, or take many minutes",
	"needs Docker",
	"changes the machine, as root",
}

// page is a document with what is fenced in it.
type document struct {
	name   string // relative to the top folder: "docs/WEBHOOKS.md"
	text   string
	blocks []block
}

// block is what stands between two fences.
type block struct {
	page     string
	line     int // of the opening fence
	language string
	how      string // what the fence says after the language
	text     string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// reason is why a block is not run, if it says so.
func (b block) reason() (string, bool) { return strings.CutPrefix(b.how, "not run:") }

// skipped tells whether a block says that it is not run.
func (b block) skipped() bool {
	_, ok := b.reason()
	return ok
}

// documents are README.md and all of docs.
func documents(t testing.TB) []document {
	t.Helper()
	paths, err := filepath.Glob("../docs/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	var out []document
	for _, path := range append([]string{"../README.md"}, paths...) {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		name := filepath.ToSlash(strings.TrimPrefix(path, "../"))
		d := document{name: name, text: string(text)}
		d.blocks, err = readBlocks(name, d.text)
		require.NoError(t, err)
		out = append(out, d)
	}
	return out
}

// readBlocks finds what is fenced. A fence that is indented, or is never closed, is a mistake.
func readBlocks(page, text string) ([]block, error) {
	var out []block
	var open *block
	for i, line := range strings.Split(text, "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```") && !fence:
			return nil, fmt.Errorf("%s:%d: a fence stands at the beginning of its line", page, i+1)
		case fence && open == nil:
			language, how, _ := strings.Cut(info, " ")
			open = &block{page: page, line: i + 1, language: language, how: strings.TrimSpace(how)}
		case fence:
			out = append(out, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		return nil, fmt.Errorf("%s:%d: the fence is never closed", page, open.line)
	}
	return out, nil
}

// runners are the ways in which a block may be run, by language; those that only show something are not run.
var runners = map[string][]string{
	"sh": {"", "serves", "until stopped"}, "go": {"", "receiver", "sells", "pays"}, "html": {"pays"}, "js": {"receiver", "pays", "facilitator"}, "python": {"receiver"},
	"json": {"", "event"},
	"text": {""}, "nginx": {""}, "caddy": {""}, "yaml": {""}, "ini": {""}, "sql": {""}, "promql": {""}, "env": {""},
}

func TestEveryBlockOfTheDocumentsIsRunOrSaysWhyNot(t *testing.T) {
	t.Parallel()
	left := map[string]int{}
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if why, ok := b.reason(); ok {
				why = strings.TrimSpace(why)
				require.Contains(t, notRun, why, "%s: this is no reason that the test knows", b)
				left[why]++
				continue
			}
			ways, known := runners[b.language]
			require.True(t, known, "%s: nobody knows how to run %q; say why it is not run", b, b.language)
			require.Contains(t, ways, b.how, "%s: %s blocks are not run this way", b, b.language)
		}
	}
	for _, why := range notRun {
		require.Positive(t, left[why], "no block needs this reason any more: %s", why)
		report(t, "documents: %d blocks are not run: %s", left[why], why)
	}
}

func TestAFenceThatIsNotClosedOrIndentedIsAMistake(t *testing.T) {
	t.Parallel()
	_, err := readBlocks("x.md", "```sh\nls\n")
	require.ErrorContains(t, err, "x.md:1: the fence is never closed")
	_, err = readBlocks("x.md", "- a\n  ```sh\n  ls\n  ```\n")
	require.ErrorContains(t, err, "x.md:2")
	blocks, err := readBlocks("x.md", "a\n\n```sh not run: needs Docker\nls\n```\n")
	require.NoError(t, err)
	require.Equal(t, []block{{page: "x.md", line: 3, language: "sh", how: "not run: needs Docker", text: "ls\n"}}, blocks)
	require.True(t, blocks[0].skipped())
}

// link finds what a document leads to.
var linkPattern = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestNoLinkOfTheDocumentsIsDead(t *testing.T) {
	t.Parallel()
	all := documents(t)
	places := map[string][]string{}
	for _, d := range all {
		places[d.name] = headings(d)
	}
	for _, d := range all {
		for _, m := range linkPattern.FindAllStringSubmatch(withoutBlocks(d), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, place, _ := strings.Cut(m[1], "#")
			target := d.name
			if path != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(d.name), path))
				_, err := os.Stat(filepath.Join("..", target))
				require.NoError(t, err, "%s leads to %s", d.name, m[1])
			}
			if place != "" {
				require.Contains(t, places[target], place, "%s leads to %s", d.name, m[1])
			}
		}
	}
}

func TestEveryDocumentIsInTheIndex(t *testing.T) {
	t.Parallel()
	index, err := os.ReadFile("../docs/README.md")
	require.NoError(t, err)
	for _, d := range documents(t) {
		if name := filepath.Base(d.name); name != "README.md" {
			require.Contains(t, string(index), "]("+name+")")
		}
	}
}

// withoutBlocks is a document's own text.
func withoutBlocks(d document) string {
	lines := strings.Split(d.text, "\n")
	for _, b := range d.blocks {
		for i := range strings.Count(b.text, "\n") {
			lines[b.line+i] = ""
		}
	}
	return strings.Join(lines, "\n")
}

// headings are the places in a document that links can name, as forges make them of its headings.
func headings(d document) []string {
	var out []string
	for line := range strings.SplitSeq(withoutBlocks(d), "\n") {
		title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if !ok || !strings.HasPrefix(line, "#") {
			continue
		}
		place := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			default:
				return -1
			}
		}, title)
		if n := slices.Index(out, place); n >= 0 {
			place += "-1"
		}
		out = append(out, place)
	}
	return out
}

func TestJSONOfTheDocuments(t *testing.T) {
	t.Parallel()
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if b.language != "json" || b.skipped() {
				continue
			}
			var v any
			require.NoError(t, json.Unmarshal([]byte(b.text), &v), b.String())
			if b.how == "event" {
				requireEvent(t, b, v)
			}
		}
	}
}

// requireEvent holds an example against the schema of its type.
func requireEvent(t *testing.T, b block, body any) {
	t.Helper()
	kind := webhook.Type(body.(map[string]any)["event_type"].(string))
	require.True(t, kind.Known(), "%s: %s", b, kind)
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(string(kind.Schema())))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("event.json", schema))
	compiled, err := c.Compile("event.json")
	require.NoError(t, err)
	require.NoError(t, compiled.Validate(body), b.String())
}

func TestTheDocumentOfWebhooksSaysWhatTheCodeDoes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/WEBHOOKS.md")
	require.NoError(t, err)
	said := strings.Join(strings.Fields(string(text)), " ")
	var facts []string
	for _, kind := range webhook.Types {
		facts = append(facts, "| `"+string(kind)+"` |") // in the table of events
	}
	p := webhook.Policy()
	var waits []string
	for _, w := range p.Waits {
		waits = append(waits, fmt.Sprintf("%.0f", w.Minutes()))
	}
	last := len(waits) - 1
	require.Equal(t, 5, p.Tries)
	facts = append(facts,
		fmt.Sprintf("again in %s and %s minutes", strings.Join(waits[:last], ", "), waits[last]),
		fmt.Sprintf("lengthened by 0 to %d %%", p.Jitter),
		"The fifth failure is the last",
		fmt.Sprintf("no answer within %.0f s", p.Timeout.Seconds()),
		"longer, up to an hour",
		fmt.Sprintf("one success for %.0f hours, and with %d failures in a row", p.DisableAfter.Hours(), p.DisableTries),
		fmt.Sprintf("At most %d tries of one subscription are under way at a time, and at most %d begin in a second", p.InFlight, p.PerSecond),
		fmt.Sprintf("the first %d KiB of the answer", p.AnswerBytes>>10),
		fmt.Sprintf("Every try is kept for %.0f days", p.Kept.Hours()/24),
		fmt.Sprintf("signs beside the old one for %.0f hours", p.Overlap.Hours()),
	)
	require.Equal(t, time.Hour, p.RetryAfter)
	require.Empty(t, slices.DeleteFunc(facts, func(fact string) bool { return strings.Contains(said, fact) }), "it does not say")
}

func TestThePageAndTheDocumentShowTheSameReceivers(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/WEBHOOKS.md")
	require.NoError(t, err)
	for name, secret := range map[string]string{
		"node": "process.env.WEBHOOK_SECRET", "go": `os.Getenv("WEBHOOK_SECRET")`, "python": `os.environ["WEBHOOK_SECRET"]`,
	} {
		code, err := os.ReadFile(filepath.Join("..", "views", "verify", name+".txt"))
		require.NoError(t, err)
		_, _, same := strings.Cut(string(text), strings.Replace(string(code), "{{secret}}", secret, 1))
		require.True(t, same, name)
	}
}
