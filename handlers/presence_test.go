package handlers_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

var shownIn = regexp.MustCompile(`hx-headers="([^"]+)"`)

// asks is the request that an open page makes by itself.
func asks(shown string) with {
	return func(r *http.Request) {
		r.Header.Set("HX-Request", "true")
		r.Header.Set("Shown", shown)
	}
}

func TestAnOpenPageLeavesWhatItsSessionShowsNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, merchant := w.signIn("kiosk")
	test, live := string(merchant)+" test", string(merchant)+" live"
	for _, path := range []string{"/dashboard/links/new", "/dashboard/sales"} {
		found := shownIn.FindStringSubmatch(string(w.get(path, ada).body))
		require.NotNil(t, found, path)
		require.JSONEq(t, `{"Shown": "`+test+`"}`, html.UnescapeString(found[1]))
	}
	stays := w.get("/dashboard/presence", ada, asks(test))
	require.Equal(t, http.StatusNoContent, stays.status)
	require.Empty(t, stays.header.Get("HX-Redirect"))
	require.Equal(t, http.StatusOK, w.get("/dashboard/sales", ada, asks(test)).status)

	_, err := w.pool.Exec(t.Context(), `UPDATE merchants SET went_live_at = now() WHERE id = $1`, merchant)
	require.NoError(t, err)
	require.Equal(t, http.StatusSeeOther, w.form("/dashboard/mode", url.Values{"livemode": {"true"}}, ada).status)
	for _, path := range []string{"/dashboard/presence", "/dashboard/sales"} {
		leaves := w.get(path, ada, asks(test))
		require.Equal(t, "/dashboard", leaves.header.Get("HX-Redirect"), path)
		require.Empty(t, leaves.body, "nothing real stands under the stripe")
		require.Empty(t, w.get(path, ada, asks(live)).header.Get("HX-Redirect"), path)
	}
}

func TestEveryPageNamesItsModeAndLeadsToTheOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, merchant := w.signIn("kiosk")
	pages := []string{"/dashboard", "/dashboard/sales", "/dashboard/links/new", "/dashboard/settings/keys", "/dashboard/staff", "/dashboard/audit", "/account"}
	each := func(says func(page string)) {
		for _, path := range pages {
			got := w.get(path, ada)
			require.Equal(t, http.StatusOK, got.status, path)
			says(string(got.body))
		}
	}
	each(func(page string) {
		require.Contains(t, page, `class="stripe"`)
		require.Contains(t, page, "Nothing here moves real money.")
		require.Contains(t, page, ">Go live</a>")
	})
	_, err := w.pool.Exec(t.Context(), `UPDATE merchants SET went_live_at = now() WHERE id = $1`, merchant)
	require.NoError(t, err)
	each(func(page string) { require.Contains(t, page, ">Show real money</button>") })
	require.Equal(t, http.StatusSeeOther, w.form("/dashboard/mode", url.Values{"livemode": {"true"}}, ada).status)
	each(func(page string) {
		require.NotContains(t, page, `class="stripe"`)
		require.Contains(t, page, "<span>Real money</span>")
		require.Contains(t, page, ">Show test</button>")
	})
}
