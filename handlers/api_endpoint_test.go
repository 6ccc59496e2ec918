package handlers_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASecretOfASellersServerGoesToNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	endpoint := w.endpointAt("http://127.0.0.1:7001/weather", "secret_header", "X-Api-Key", "secret", "of the old server")
	update := func(fields map[string]any) reply {
		fields["id"] = endpoint
		return w.post("/api/endpoints/update", fields, as(w.cafeKey))
	}
	for _, url := range []string{"http://127.0.0.1:7002/weather", "https://127.0.0.1:7001/weather", "http://thief.example/weather"} {
		requireField(t, "secret", update(map[string]any{"url": url}), url)
	}
	require.Equal(t, 200, update(map[string]any{"url": "http://127.0.0.1:7001/rain"}).status)
	require.Equal(t, 200, update(map[string]any{"price": "0.2"}).status)
	require.Equal(t, 200, update(map[string]any{"url": "http://127.0.0.1:7002/rain", "secret": "of the new one"}).status)
}
