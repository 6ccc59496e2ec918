package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/cmd/config"
	"xsynesis/postgres/pgtest"
)

func TestDoctor(t *testing.T) {
	t.Parallel()

	t.Run("chains that answer for another chain or not at all are mistakes, and no URL is shown", func(t *testing.T) {
		t.Parallel()
		base := chain(t, 8453)
		c := parse(t, map[string]string{"RPC_URL_8453": base + "," + base + "/secret-1", "RPC_URL_1": base, "RPC_URL_5": "http://127.0.0.1:1/secret-2"})
		var out bytes.Buffer
		d := &diagnosis{out: &out}
		d.chains(t.Context(), c)
		require.True(t, d.bad)
		require.Equal(t, "RPC_URL_1, number 1: answers for chain 8453\nRPC_URL_5, number 1: does not answer eth_chainId\n", out.String())
	})

	t.Run("a database that was not migrated is a mistake", func(t *testing.T) {
		t.Parallel()
		pool := pgtest.New(t)
		var out bytes.Buffer
		d := &diagnosis{out: &out}
		d.database(t.Context(), parse(t, map[string]string{"DATABASE_URL": pool.Config().ConnString()}))
		require.False(t, d.bad, out.String())

		_, err := pool.Exec(t.Context(), `DELETE FROM goose_db_version WHERE version_id > 0`)
		require.NoError(t, err)
		d.database(t.Context(), parse(t, map[string]string{"DATABASE_URL": pool.Config().ConnString()}))
		require.True(t, d.bad)
		require.Contains(t, out.String(), "xsynesis migrate")
	})

	t.Run("what is allowed and easily overlooked is told", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		d := &diagnosis{out: &out}
		d.operator(parse(t, map[string]string{"WEBHOOK_DISPATCHER_ENABLED": "false"}))
		require.False(t, d.bad)
		require.Contains(t, out.String(), "OPERATOR_TOKEN: is not set")
		require.Contains(t, out.String(), "WEBHOOK_DISPATCHER_ENABLED: is false")

		out.Reset()
		d.operator(parse(t, map[string]string{"OPERATOR_TOKEN": "kP2r9vQ7sXw4zB6nM1tC8yL3hD5gJ0aF"}))
		require.Empty(t, out.String())
	})

	t.Run("without a database nothing is started", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "data")
		var out bytes.Buffer
		d := &diagnosis{out: &out}
		d.database(t.Context(), parse(t, map[string]string{"DATA_DIR": dir}))
		require.False(t, d.bad, out.String())
		_, err := os.Stat(dir)
		require.ErrorIs(t, err, os.ErrNotExist)
	})
}

func parse(t *testing.T, vars map[string]string) *config.Config {
	t.Helper()
	c, err := config.Parse(vars, config.Production)
	require.NoError(t, err)
	return c
}

// chain answers every call with its id.
func chain(t *testing.T, id uint64) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":"0x`+strconv.FormatUint(id, 16)+`"}`)
	}))
	t.Cleanup(s.Close)
	return s.URL
}
