package x402

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzJSON compares the strict reader with encoding/json: what it accepts is JSON and means the same there.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{
		`null`, ` true `, `-0.5e+7`, `""`, `"\u00e9\ud83d\ude00\ud800x\"\\\/\b\f\n\r\t"`, "\"\xff\xc3\"", `[]`, `{}`,
		`{"a":[1,{"b":null}],"c":{"d":"e"}}`, `{"a":1,"a":2}`, `01`, `1.`, `.1`, `1e`, `--1`, `"` + "\n" + `"`, `"\x"`, `"\u12"`, `[1,]`, `{"a"}`, `{,}`, `tru`, "\ufeff1",
		strings.Repeat("[", 33) + strings.Repeat("]", 33), `"\ud800\u0041"`, `"\ud800\ud800\udc00"`, `"\`, `"\u`, "1\x00",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		nodes, err := readJSON(text)
		if err != nil {
			return
		}
		var want any
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		require.NoError(t, decoder.Decode(&want))
		require.True(t, json.Valid([]byte(text)))
		got, end := plain(nodes, 0)
		require.Equal(t, want, got)
		require.Equal(t, len(nodes), end)
	})
}

// plain turns nodes into what encoding/json makes of the same text.
func plain(nodes []node, at int) (value any, end int) {
	n := nodes[at]
	switch n.kind {
	case '{':
		object := map[string]any{}
		for i := at + 1; i < n.end; i = nodes[i].end {
			object[nodes[i].key], _ = plain(nodes, i)
		}
		return object, n.end
	case '[':
		array := []any{}
		for i := at + 1; i < n.end; i = nodes[i].end {
			element, _ := plain(nodes, i)
			array = append(array, element)
		}
		return array, n.end
	case '"':
		return n.text, n.end
	case 't':
		return true, n.end
	case 'f':
		return false, n.end
	case 'n':
		return nil, n.end
	}
	return json.Number(n.text), n.end
}

func TestJSONThatIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, ` `, `01`, `-`, `1.`, `.1`, `1e`, `1e+`, `+1`, `--1`, `NaN`, `tru`, `True`, `nul`, `'a'`, `"a`, "\"\n\"", "\"é\n\"", `"\x"`, `"\u12"`, `"\u12g4"`, `"\`, `"é`,
		`[`, `[1`, `[1,`, `[1,]`, `[,1]`, `[1 2]`, `]`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,}`, `{a:1}`, `{1:1}`, `{"a" 1}`, `{"a":1 "b":2}`, `{"\x":1}`, `[}`, `{]`,
		`1 2`, `{} {}`, `{"a":1}x`, "\ufeff{}", `// {}`, "1\x00",
	} {
		_, err := readJSON(text)
		require.Error(t, err, text)
	}
}
