package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHealthAsksTheProcessOfThisEnvironment(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte("asked for " + r.URL.Path + "\n"))
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	require.NoError(t, err)

	for name, vars := range map[string]map[string]string{
		"on its own port":      {"HEALTH_PORT": u.Port()},
		"on the site's port":   {"PORT": u.Port()},
		"its own port counts":  {"HEALTH_PORT": u.Port(), "PORT": "1"},
		"without the site's s": {"HEALTH_PORT": u.Port(), "TLS_AUTOCERT_DOMAIN": "shop.example"},
	} {
		said, err := askHealth(t.Context(), parse(t, vars), "/healthz")
		require.NoError(t, err, name)
		require.Equal(t, "asked for /healthz", said)
	}

	status = http.StatusServiceUnavailable
	_, err = askHealth(t.Context(), parse(t, map[string]string{"PORT": u.Port()}), "/readyz")
	require.ErrorContains(t, err, "is not well: asked for /readyz")

	s.Close()
	_, err = askHealth(t.Context(), parse(t, map[string]string{"PORT": u.Port()}), "/healthz")
	require.EqualError(t, err, "no process answers on port "+u.Port())
}

func TestHealthSpeaksTLSWhereTheSiteDoes(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	said, err := askHealth(t.Context(), parse(t, map[string]string{"PORT": u.Port(), "TLS_AUTOCERT_DOMAIN": "shop.example"}), "/healthz")
	require.NoError(t, err)
	require.Equal(t, "ok", said)
}
