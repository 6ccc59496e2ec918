package handlers_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"xsynesis/handlers"
)

func TestTheReferenceShowsAllThatIsDescribed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	answer := w.get("/docs", header("Accept", "text/html"))
	require.Equal(t, 200, answer.status)
	page, err := goquery.NewDocumentFromReader(bytes.NewReader(answer.body))
	require.NoError(t, err)
	require.Zero(t, page.Find("script").Length())

	described := w.get("/openapi.json").json()
	calls := 0
	for path, methods := range described["paths"].(map[string]any) {
		for method, op := range methods.(map[string]any) {
			calls++
			heading := page.Find(`h3[id="` + op.(map[string]any)["operationId"].(string) + `"]`)
			require.Equal(t, strings.ToUpper(method)+" "+path, strings.Join(strings.Fields(heading.Text()), " "))
		}
	}
	require.Positive(t, calls)
	for name := range described["components"].(map[string]any)["schemas"].(map[string]any) {
		if !strings.HasSuffix(name, "Request") && !strings.HasSuffix(name, "Update") {
			require.Equal(t, 1, page.Find(`h3[id="object-`+name+`"]`).Length(), name)
		}
	}
	page.Find(`a[href^="#"]`).Each(func(_ int, a *goquery.Selection) {
		href := a.AttrOr("href", "")
		require.Equal(t, 1, page.Find(`[id="`+href[1:]+`"]`).Length(), href)
	})
}

func TestEveryMemberSaysWhatItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	described := w.get("/openapi.json").json()
	var silent []string
	for name, s := range described["components"].(map[string]any)["schemas"].(map[string]any) {
		properties, _ := s.(map[string]any)["properties"].(map[string]any)
		for member, schema := range properties {
			if schema.(map[string]any)["description"] == nil {
				silent = append(silent, name+"."+member)
			}
		}
	}
	slices.Sort(silent)
	require.Empty(t, silent, "say it in openapi_meaning.go")
}

func TestEveryCallStandsInASectionWithAName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, methods := range w.get("/openapi.json").json()["paths"].(map[string]any) {
		for _, op := range methods.(map[string]any) {
			tag := op.(map[string]any)["tags"].([]any)[0].(string)
			require.Equal(t, strings.ToUpper(tag[:1]), tag[:1], "%s: name its section in docs.go", path)
		}
	}
}

func TestTheDocumentIsWhatTheDescriptionMakes(t *testing.T) {
	t.Parallel()
	var want bytes.Buffer
	require.NoError(t, handlers.WriteReference(&want))
	got, err := os.ReadFile("../docs/API_REFERENCE.md")
	require.NoError(t, err)
	require.Equal(t, want.String(), string(got), "run make generate")
}
