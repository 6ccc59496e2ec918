package handlers_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/egress"
	"xsynesis/handlers"
)

// inside are addresses of a seller's server that lead where only this machine or its network can reach.
var inside = []string{
	"https://127.0.0.1/", "https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.1.1/", "https://169.254.169.254/latest/meta-data/", "https://100.64.0.1/",
	"https://0.0.0.0/", "https://[::1]/", "https://[::]/", "https://[fd00:ec2::254]/", "https://[fe80::1]/", "https://[::ffff:127.0.0.1]/", "https://[64:ff9b::7f00:1]/",
	"https://168.63.129.16/", "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/", "https://127.1/", "https://localhost/", "https://app.localhost/",
	"https://metadata.google.internal/", "https://printer.local/", "http://api.example/", "https://api.example:5432/", "https://user@api.example/",
	"https://api.example\\@127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1:6379/_FLUSHALL", site + "/api/links/list",
	"https://loopback.example/", "https://private.example/", "https://metadata.example/", "https://six.example/", "https://mapped.example/", "https://both.example/",
	"https://rebind.example/",
}

// resolved are the names among them, and what they stand for; the first answer of one that has two was another.
var resolved = map[string][]string{
	"api.example.": {"93.184.215.14"}, "loopback.example.": {"127.0.0.1"}, "private.example.": {"10.1.2.3"}, "metadata.example.": {"169.254.169.254"},
	"six.example.": {"::1"}, "mapped.example.": {"::ffff:127.0.0.1"}, "both.example.": {"93.184.215.14", "127.0.0.1"}, "rebind.example.": {"192.168.0.1"},
}

var errTrapped = errors.New("nothing is connected to")

// trapped resolves names, and notes what would be connected to.
type trapped struct {
	mu   sync.Mutex
	seen []string
}

func (*trapped) LookupNetIP(_ context.Context, _, host string) (all []netip.Addr, err error) {
	for _, text := range resolved[strings.TrimSuffix(host, ".")+"."] {
		all = append(all, netip.MustParseAddr(text))
	}
	return all, nil
}

func (r *trapped) dial(_ context.Context, _, address string) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, address)
	return nil, errTrapped
}

// TestNoCallLeadsInside has endpoints whose URL came into the database past every check, or whose name stands for something
// else by now.
func TestNoCallLeadsInside(t *testing.T) {
	t.Parallel()
	trap := &trapped{}
	w := newWorld(t, func(o *handlers.Options) {
		o.Egress = egress.New(egress.Options{Own: site, Resolver: trap, Dial: trap.dial})
	})
	endpoint := w.endpointAt("https://api.example/")
	word := w.generate(map[string]any{"free": true, "uses": 100})[0]
	for _, url := range inside {
		_, err := w.pool.Exec(t.Context(), `UPDATE endpoints SET url = $2 WHERE id = $1`, endpoint, url)
		require.NoError(t, err)
		refused := w.call(endpoint, word)
		requireCode(t, 502, "upstream_failed", refused)
		require.NotContains(t, string(refused.body), "127.0.0.1", "nothing is told of what is inside")
	}
	require.Empty(t, trap.seen)
	_, err := w.pool.Exec(t.Context(), `UPDATE endpoints SET url = 'https://api.example/' WHERE id = $1`, endpoint)
	require.NoError(t, err)
	requireCode(t, 502, "upstream_failed", w.call(endpoint, word))
	require.Equal(t, []string{"93.184.215.14:443"}, trap.seen, "the trap works")
	t.Logf("%d hostile URLs, 0 attempts to connect", len(inside))
}
