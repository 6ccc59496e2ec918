package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/yeqown/go-qrcode/v2"

	"xsynesis/cmd/config"
)

func lan(pairs ...string) (addresses []lanAddress) {
	for i := 0; i < len(pairs); i += 2 {
		addresses = append(addresses, lanAddress{pairs[i], netip.MustParseAddr(pairs[i+1])})
	}
	return addresses
}

func devConfig(t *testing.T) *config.Config {
	t.Helper()
	c, err := config.Parse(map[string]string{"DATA_DIR": t.TempDir(), "PORT": "8499"}, config.Development)
	require.NoError(t, err)
	return c
}

func TestTheAddressIsTheOneThatPhonesReach(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		addresses []lanAddress
		routed    string
		want      string
	}{
		{"the one with the way out", lan("docker0", "172.17.0.1", "eth0", "10.0.0.5", "wlan0", "192.168.1.7"), "192.168.1.7", "192.168.1.7"},
		{"a real device where the way out is public", lan("docker0", "172.17.0.1", "wlan0", "192.168.1.7"), "203.0.113.9", "192.168.1.7"},
		{"a real device where there is no way out", lan("br-12ab", "172.18.0.1", "eth0", "10.0.0.5"), "", "10.0.0.5"},
		{"a private one before a public one", lan("eth0", "203.0.113.9", "eth1", "192.168.1.7"), "203.0.113.9", "192.168.1.7"},
		{"a public one before containers", lan("docker0", "172.17.0.1", "eth0", "203.0.113.9"), "203.0.113.9", "203.0.113.9"},
		{"any at all", lan("virbr0", "192.168.122.1"), "", "192.168.122.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			routed, _ := netip.ParseAddr(tt.routed)
			got, ok := chooseLAN(tt.addresses, routed)
			require.True(t, ok)
			require.Equal(t, tt.want, got.String())
		})
	}
}

func TestAMachineWithoutANetworkIsToldSo(t *testing.T) {
	t.Parallel()
	c := devConfig(t)
	_, err := serveAddresses(c, nil, netip.MustParseAddr("203.0.113.9"), time.Now())
	require.ErrorIs(t, err, errNoLAN)
	require.False(t, c.TLS())
}

func TestItsAddressesAreThoseThatOthersReach(t *testing.T) {
	t.Parallel()
	addresses, err := lanAddresses()
	require.NoError(t, err)
	for _, a := range addresses {
		require.True(t, a.addr.Is4() && !a.addr.IsLoopback(), a.device)
	}
}

func TestTheLocalNetworkIsServedOverTLS(t *testing.T) {
	t.Parallel()
	c := devConfig(t)
	addresses := lan("eth0", "192.168.1.7", "wlan0", "10.0.0.5")
	client, err := serveAddresses(c, addresses, netip.MustParseAddr("192.168.1.7"), time.Now())
	require.NoError(t, err)
	require.Equal(t, config.Origin("https://192.168.1.7:8499"), c.PublicURL)
	info, err := os.Stat(c.TLSKey)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	require.NoError(t, err)
	for _, name := range []string{"192.168.1.7", "10.0.0.5", "127.0.0.1", "::1", "localhost"} {
		require.NoError(t, pair.Leaf.VerifyHostname(name))
	}
	require.Error(t, pair.Leaf.VerifyHostname("192.168.1.8"))

	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
	go func() { _ = server.ServeTLS(l, c.TLSCert, c.TLSKey) }()
	t.Cleanup(func() { _ = server.Close() })
	response, err := client.Get("https://" + l.Addr().String())
	require.NoError(t, err, "its own client trusts the certificate")
	require.NoError(t, response.Body.Close())

	_, err = serveAddresses(c, addresses, netip.Addr{}, time.Now())
	require.ErrorIs(t, err, errLANCert, "a certificate of the operator's own is not replaced")
}

func TestTheCertificateStaysWhileItFits(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now()
	made := func(addresses []lanAddress, now time.Time) []byte {
		cert, err := lanCertificate(&config.Config{DataDir: dir}, addresses, now)
		require.NoError(t, err)
		for _, a := range addresses {
			require.NoError(t, cert.VerifyHostname(a.addr.String()))
		}
		require.True(t, cert.NotAfter.After(now.Add(lanRenew)))
		return cert.Raw
	}
	first := made(lan("eth0", "192.168.1.7", "wlan0", "10.0.0.5"), now)
	require.Equal(t, first, made(lan("eth0", "192.168.1.7"), now.Add(300*24*time.Hour)), "fewer addresses, later")

	moved := made(lan("eth0", "192.168.1.8"), now)
	require.NotEqual(t, first, moved, "another address")
	require.NotEqual(t, moved, made(lan("eth0", "192.168.1.8"), now.Add(340*24*time.Hour)), "near its end")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "lan", "key.pem"), []byte("half a key"), 0o600))
	require.NotEqual(t, moved, made(lan("eth0", "192.168.1.8"), now), "a key that cannot be read")
}

func TestTheCodeInTheTerminalHoldsTheAddress(t *testing.T) {
	t.Parallel()
	const address = "https://192.168.100.177:8402"
	var drawn terminalCode
	require.NoError(t, drawn.encode(address))
	lines := strings.Split(strings.TrimSuffix(drawn.String(), "\n"), "\n")

	var read [][]bool
	for _, line := range lines {
		text, ok := strings.CutPrefix(line, inkAndPaper)
		require.True(t, ok)
		text, ok = strings.CutSuffix(text, asBefore)
		require.True(t, ok)
		var upper, lower []bool
		for _, r := range text {
			upper = append(upper, r == '█' || r == '▀')
			lower = append(lower, r == '█' || r == '▄')
		}
		read = append(read, upper, lower)
	}
	var want terminalCode
	code, err := qrcode.NewWith(address, qrcode.WithErrorCorrectionLevel(qrcode.ErrorCorrectionMedium))
	require.NoError(t, err)
	require.NoError(t, code.Save(&want))
	side := len(want.modules)
	require.GreaterOrEqual(t, len(read), side+2*quietZone)
	for y := range read {
		require.Len(t, read[y], side+2*quietZone)
		for x, black := range read[y] {
			inside := x >= quietZone && y >= quietZone && x < side+quietZone && y < side+quietZone
			require.Equal(t, inside && want.modules[y-quietZone][x-quietZone], black, "%d, %d", x, y)
		}
	}
	require.Empty(t, terminalCode{}.String())
}

func TestTheAddressIsAnnouncedOnceTheSiteAnswers(t *testing.T) {
	t.Parallel()
	asked := 0
	client := &http.Client{Transport: roundTrip(func(r *http.Request) *http.Response {
		require.Equal(t, "/readyz", r.URL.Path)
		asked++
		status := http.StatusServiceUnavailable
		if asked == 3 {
			status = http.StatusOK
		}
		return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("")), Request: r}
	})}
	var out bytes.Buffer
	w := world{BaseURL: "https://192.168.1.7:8402", LinkToken: "tok"}
	require.NoError(t, herald{out: &out, client: client, token: "secret"}.announce(t.Context(), w))
	require.Equal(t, "ready https://192.168.1.7:8402\nsign in https://192.168.1.7:8402/login\npay     https://192.168.1.7:8402/link/tok\n"+
		"shop    https://192.168.1.7:8402/s/kaffe-nord\noperate https://192.168.1.7:8402/admin with the token secret\n", out.String())
	require.Equal(t, 3, asked)

	asked = 2
	out.Reset()
	require.NoError(t, herald{out: &out, client: client, draw: true}.announce(t.Context(), w))
	require.Greater(t, strings.Count(out.String(), "\n"), 15)
	require.True(t, strings.HasPrefix(out.String(), "ready https://192.168.1.7:8402\n"), "the line that programs wait for comes first")
}

type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }
