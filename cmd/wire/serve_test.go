package wire

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ask sends the beginning of a request and returns the connection.
func ask(t *testing.T, address, text string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	go func() { _, _ = io.WriteString(conn, text) }() // the server may stop reading in the middle
	return conn
}

func TestAHeadIsSmallAndComesAtOnce(t *testing.T) {
	t.Parallel()
	address := serveWith(t, nil)
	var fields strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&fields, "X-%d: x\r\n", i)
	}
	for name, head := range map[string]string{
		"many fields":     "GET / HTTP/1.1\r\nHost: x\r\n" + fields.String() + "\r\n",
		"one large field": "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + strings.Repeat("x", 1<<20) + "\r\n\r\n",
		"a long address":  "GET /" + strings.Repeat("x", 1<<20) + " HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		answer, err := http.ReadResponse(bufio.NewReader(ask(t, address, head)), nil)
		require.NoError(t, err, name)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, answer.StatusCode, name)
	}

	began := time.Now()
	slow := ask(t, address, "GET / HTTP/1.1\r\nHost: x\r\nX-A: ")
	_, err := io.ReadAll(slow)
	require.NoError(t, err, "it is closed")
	require.InDelta(t, headerTimeout.Seconds(), time.Since(began).Seconds(), 5)
}
