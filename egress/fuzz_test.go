package egress_test

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/egress"
)

// FuzzCheck: whatever the URL, a name that leads to this machine and an address of it are never connected to, and what
// Check accepts is refused by the call alone.
func FuzzCheck(f *testing.F) {
	urls, _ := hostile()
	for _, u := range urls {
		f.Add(u)
	}
	f.Add("https://shop.example:443/hook?a=b")
	f.Add("https://bücher.example/")
	var connected string
	inside := egress.New(egress.Options{
		Own: ownOrigin, Resolver: fixed{"127.0.0.1"},
		Dial: func(_ context.Context, _, address string) (net.Conn, error) {
			connected = address
			return nil, errTrapped
		},
	})
	f.Fuzz(func(t *testing.T, u string) {
		connected = ""
		checked := inside.Check(u)
		_, err := inside.Post(t.Context(), egress.Call{URL: u})
		if connected != "" { // only a public address that stands in the URL itself gets this far
			require.NoError(t, checked, "%q", u)
			require.ErrorIs(t, err, errTrapped, "%q", u)
			to := netip.MustParseAddrPort(connected)
			require.True(t, to.Addr().IsGlobalUnicast() && !to.Addr().IsPrivate() && to.Port() == 443, "%q", u)
			return
		}
		var refused *egress.Refused
		require.ErrorAs(t, err, &refused, "%q", u)
	})
}
