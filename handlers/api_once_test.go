package handlers_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAKeyHasOneEffectThoughItsAnswerWasLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.link(w.cafeKey, "1.00")
	for path, call := range map[string]func() reply{
		"/api/payment_links/create": func() reply {
			return w.post("/api/payment_links/create", `{"title":"Once","price":"1.00"}`, as(w.cafeKey), keyed("a-key-of-more-than-22-characters"))
		},
		"/api/create_payment_session": func() reply {
			return w.post("/api/create_payment_session", map[string]any{"link_token": link["token"]}, keyed("a-key-of-more-than-22-characters"))
		},
	} {
		first := call()
		require.Equal(t, http.StatusCreated, first.status, string(first.body))
		_, err := w.pool.Exec(t.Context(), `DELETE FROM idempotency_keys`) // the process died before it stored the answer
		require.NoError(t, err)
		again := call()
		require.Empty(t, again.header.Get("Idempotent-Replayed"), path)
		require.JSONEq(t, string(first.body), string(again.body), path)
	}
}
