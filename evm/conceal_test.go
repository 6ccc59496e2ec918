package evm_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/evm"
	"xsynesis/evm/devchain"
)

// TestErrorsOfANodeDoNotShowItsKey: providers put the operator's key into the address.
func TestErrorsOfANodeDoNotShowItsKey(t *testing.T) {
	t.Parallel()
	const key = "kP2r9vQ7sXw4zB6nM1tC8yL3"
	echoes := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "too many requests for "+r.URL.String(), http.StatusTooManyRequests)
	}))
	t.Cleanup(echoes.Close)
	hangsUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(hangsUp.Close)
	for name, address := range map[string]string{
		"it repeats the address": echoes.URL + "/v2/" + key, "in the query": echoes.URL + "/?apikey=" + key, "it hangs up": hangsUp.URL + "/v2/" + key,
		"nobody is there": "http://127.0.0.1:1/v2/" + key, "as a password": "http://user:" + key + "@127.0.0.1:1/", "no address at all": "http://127.0.0.1:1/%zz" + key,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := evm.NewRegistry(map[uint64][]string{devchain.ChainID: {address}}).Network("eip155:84532")
			require.NoError(t, err)
			_, err = evm.Dial(n, evm.Options{}).Head(t.Context())
			require.ErrorIs(t, err, evm.ErrUnavailable)
			require.NotContains(t, err.Error(), key)
		})
	}
}
