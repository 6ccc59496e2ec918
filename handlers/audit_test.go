package handlers_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheRecordReadsAsPeopleWrite(t *testing.T) {
	t.Parallel()
	w := newShopWorld(t)
	ada, _ := w.signIn("kiosk")
	w.makeKey(ada, "Web shop", "links:read", "sales:read")
	page := w.get("/dashboard/audit?action=api_key.created", ada)
	require.Equal(t, http.StatusOK, page.status)
	for _, says := range []string{"<b>API key created</b>", "<ins>links:read, sales:read</ins>", "<dt>Real money</dt>", "<ins>no</ins>"} {
		require.Contains(t, string(page.body), says)
	}
	require.Regexp(t, `<dt>Expires at</dt>\s*<dd>\s*<ins>\d+ \w+ \d{4}, \d\d:\d\d:\d\d UTC</ins>`, string(page.body))
}
