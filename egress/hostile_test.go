package egress_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/egress"
)

const ownOrigin = "https://pay.example"

// internal are addresses that no stranger may make us call.
var internal = []string{
	"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "100.64.0.1",
	"100.100.100.200", "169.254.0.1", "169.254.169.254", "168.63.129.16", "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.1",
	"198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
	"::", "::1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2001::1", "2001:db8::1",
	"2002:7f00:1::", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
}

// tricks are URLs that are refused before any name is looked up.
var tricks = []string{
	// other ways to write an address
	"https://2130706433/", "https://0x7f000001/", "https://017700000001/", "https://0177.0.0.1/", "https://0x7f.0.0.1/", "https://127.1/",
	"https://127.0.1/", "https://127.0.0.0x1/", "https://127.0.0.1./", "https://127.0.0.01/", "https://00000177.0.0.1/", "https://256.1.1.1/",
	"https://127。0。0。1/", "https://１２７.0.0.1/", "https://①②⑦.0.0.1/", "https://127．0．0．1/", "https://127｡0｡0｡1/", "https://127%2e0%2e0%2e1/", "https://%31%32%37.0.0.1/",
	"https://127%E3%80%820.0.1/", "https://xn--127001-rr3ebb/", "https://xn--8g7ccp.0.0.1/", "https://xn--ocalhost-6h39b.example/", "https://xn--.example/", "https://xn--a.example/",
	"https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::ffff:93.184.215.14]/", "https://[0:0:0:0:0:ffff:0a00:0001]/",
	"https://[fe80::1%25eth0]/", "http://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://[::1%25lo]/", "https://[2606:2800:21f::1%25eth0]/",
	"https://[::1/", "https://::1/", "https://[127.0.0.1]/x]/", "https://[]/",
	// names that mean this machine or its network
	"https://localhost/", "https://localhost./", "https://LOCALHOST/", "https://ｌocalhost/", "https://app.localhost/", "https://printer.local/",
	"https://metadata.google.internal/", "https://metadata/", "https://router.home.arpa/",
	// somebody else's part of the URL
	"https://user@93.184.215.14/", "https://user:pass@shop.example/", "https://shop.example@127.0.0.1/", "https://@shop.example/",
	"http://user@127.0.0.1", "https://127.0.0.1\\@shop.example/", "https://shop.example#@127.0.0.1/", "https://shop.example/#", "https:\\\\127.0.0.1/",
	// other ports and protocols
	"http://127.0.0.1:5432", "https://shop.example:22/", "https://shop.example:8443/", "https://shop.example:0/", "https://shop.example:65536/",
	"https://shop.example:-1/", "http://shop.example/", "http://shop.example:443/", "file:///etc/passwd", "gopher://127.0.0.1:6379/_FLUSHALL",
	"ftp://shop.example/", "unix:///var/run/docker.sock", "javascript:alert(1)", "data:text/plain,x", "dict://127.0.0.1:11211/stat", "//shop.example/",
	"shop.example", "https:shop.example", "https:/shop.example", "https:///shop.example", "https://", "https://:443/", "",
	// what two programs read differently
	"https://shop.example/\r\nHost: 127.0.0.1", "https://shop.example/\nX: y", "https://shop.exa\tmple/", "https://shop.example /", " https://shop.example/",
	"https://shop.example/\x00", "https://shop.example/\u202egnp", "https://shop\u200b.example/", "https://shop.example/\xff", "https://shop.example/\u2028",
	"https://" + strings.Repeat("a", 64) + ".example/", "https://" + strings.Repeat("a.", 127) + "example/", "https://-shop.example/", "https://shop..example/",
	"https://.example/", "https://sh*p.example/", "https://shop.example/" + strings.Repeat("x", 8<<10),
	// this shop
	ownOrigin, ownOrigin + "/", "https://PAY.example/x/y?z", ownOrigin + ":443/", "https://pay.example./",
}

// aliases are names that lead inside only once they are looked up.
var aliases = map[string][][]string{
	"cname.example":       {{"inside.corp.example", "10.1.2.3"}},
	"cname-far.example":   {{"a.example", "b.example", "c.example", "127.0.0.1"}},
	"cname-local.example": {{"localhost", "127.0.0.1"}},
	"aaaa-only.example":   {{"fd12:3456::1"}},
	"aaaa-local.example":  {{"::1"}},
	"mapped.example":      {{"::ffff:127.0.0.1"}},
	"both.example":        {{somewherePublic, "127.0.0.1"}},
	"both-six.example":    {{somewherePublic, "::1"}},
	"many.example":        {{somewherePublic, "93.184.215.15", "93.184.215.16", "93.184.215.17", "93.184.215.18", "10.0.0.1"}},
	"bücher.example":      {{"127.0.0.1"}},
}

// hostile is every URL of the above, and a name for each of the addresses.
func hostile() (urls []string, _ *names) {
	n := &names{answers: map[string][][]string{}}
	urls = append(urls, tricks...)
	for name, answers := range aliases {
		n.answers[strings.ReplaceAll(name, "bücher", "xn--bcher-kva")] = answers
		urls = append(urls, "https://"+name+"/")
	}
	for i, addr := range internal {
		literal := addr
		if strings.Contains(addr, ":") {
			literal = "[" + addr + "]"
		}
		name := fmt.Sprintf("internal-%d.example", i)
		n.answers[name] = [][]string{{addr}}
		urls = append(urls, "https://"+literal+"/", "https://"+literal+":443/hook?x=y", "https://"+name+"/")
	}
	return urls, n
}

var errTrapped = errors.New("the trap lets nothing through")

// trap stands where the connection would be made.
type trap struct {
	mu   sync.Mutex
	seen []string
}

func (tr *trap) dial(_ context.Context, _, address string) (net.Conn, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.seen = append(tr.seen, address)
	return nil, errTrapped
}

func (tr *trap) addresses() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return append([]string{}, tr.seen...)
}

func TestNoHostileURLConnects(t *testing.T) {
	t.Parallel()
	urls, n := hostile()
	require.GreaterOrEqual(t, len(urls), 45)
	var tr trap
	c := egress.New(egress.Options{Own: ownOrigin, Resolver: n.resolver(), Dial: tr.dial})
	for _, u := range urls {
		_, err := c.Post(t.Context(), egress.Call{URL: u, Body: []byte("{}")})
		var refused *egress.Refused
		require.ErrorAs(t, err, &refused, "%q", u)
		require.Equal(t, egress.ClassRefused, egress.Class(err), "%q", u)
		_, err = c.Forward(t.Context(), egress.Request{Method: http.MethodGet, URL: u})
		require.Equal(t, egress.ClassRefused, egress.Class(err), "handed on: %q", u)
	}
	require.Empty(t, tr.addresses())

	_, err := c.Post(t.Context(), egress.Call{URL: "https://shop.example/"})
	require.ErrorIs(t, err, errTrapped, "the trap works")
	require.Equal(t, []string{somewherePublic + ":443"}, tr.addresses())
	t.Logf("%d hostile URLs, 0 attempts to connect", len(urls))
}

func TestAHostileURLIsRefusedBeforeItsNameIsLookedUp(t *testing.T) {
	t.Parallel()
	var tr trap
	c := egress.New(egress.Options{Own: ownOrigin, Dial: tr.dial})
	for _, u := range tricks {
		err := c.Check(u)
		var refused *egress.Refused
		require.ErrorAs(t, err, &refused, "%q", u)
		require.Regexp(t, `^[A-Z].*\.$`, refused.Reason)
	}
}

func TestARebindingNameIsConnectedToOnlyWhereItWasJudged(t *testing.T) {
	t.Parallel()
	n := &names{answers: map[string][][]string{"rebind.example": {{somewherePublic}, {"127.0.0.1"}}}}
	var tr trap
	c := egress.New(egress.Options{Own: ownOrigin, Resolver: n.resolver(), Dial: tr.dial})
	call := egress.Call{URL: "https://rebind.example/"}
	require.NoError(t, c.Check(call.URL))

	_, err := c.Post(t.Context(), call)
	require.ErrorIs(t, err, errTrapped)
	require.Equal(t, 1, n.lookups("rebind.example"), "what is judged and what is dialled come from one lookup")
	require.Equal(t, []string{somewherePublic + ":443"}, tr.addresses())

	for range 3 {
		_, err = c.Post(t.Context(), call)
		require.Equal(t, egress.ClassRefused, egress.Class(err))
	}
	require.Equal(t, 4, n.lookups("rebind.example"))
	require.Equal(t, []string{somewherePublic + ":443"}, tr.addresses())
}

func TestUsualURLsAreLetThrough(t *testing.T) {
	t.Parallel()
	c := egress.New(egress.Options{Own: ownOrigin})
	for _, u := range []string{
		"https://shop.example", "https://shop.example/", "https://SHOP.example:443/hook?a=b%20c", "https://bücher.example/straße", "https://xn--bcher-kva.example/",
		"https://93.184.215.14/", "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/", "https://my_app.hosting.example/", "https://127.example/",
		"https://a-b.c-d.example/%C3%A9", "https://pay.example.org/", "https://notpay.example/", "https://faß.example/",
	} {
		require.NoError(t, c.Check(u), u)
	}
}

func TestDevelopmentLetsPrivateTargetsThroughAndNothingElse(t *testing.T) {
	t.Parallel()
	var tr trap
	n := &names{answers: map[string][][]string{
		"shop.test": {{"127.0.0.1"}}, "own.test": {{"127.0.0.1"}}, "own-six.test": {{"::1"}}, "any.test": {{"0.0.0.0"}}, "metadata.test": {{"169.254.169.254"}},
	}}
	c := egress.New(egress.Options{AllowPrivate: true, Own: "http://localhost:8402", Resolver: n.resolver(), Dial: tr.dial})
	allowed := []string{
		"http://localhost:8403/", "http://127.0.0.1:5000/", "https://[::1]:9443/", "http://10.0.0.1/", "http://192.168.1.7:8402/", "http://[fd12::1]:80/",
		"https://shop.example:8443/", "http://shop.test:3000/", "http://93.184.215.14:81/",
	}
	for _, u := range allowed {
		_, err := c.Post(t.Context(), egress.Call{URL: u})
		require.ErrorIs(t, err, errTrapped, u)
	}
	connected := len(tr.addresses())
	require.GreaterOrEqual(t, connected, len(allowed))
	for _, u := range []string{
		// this shop, however it is written
		"http://localhost:8402/", "http://LOCALHOST:8402/", "https://localhost:8402/", "http://127.0.0.1:8402/", "http://[::1]:8402/", "http://127.9.9.9:8402/",
		"http://app.localhost:8402/", "http://0.0.0.0:8402/", "http://[::]:8402/", "http://own.test:8402/", "http://own-six.test:8402/", "http://any.test:8402/", "http://127.1:8402/",
		// what development has no use for either
		"http://169.254.169.254/", "http://metadata.test/", "http://[fd00:ec2::254]/", "http://168.63.129.16/", "http://[fe80::1%25eth0]/", "http://[fe80::1]/", "http://0.0.0.0:3000/",
		"http://255.255.255.255/", "http://224.0.0.1/", "http://[ff02::1]/", "http://[64:ff9b::7f00:1]/", "http://[::ffff:127.0.0.1]:3000/", "http://2130706433:3000/",
		"http://user:pass@localhost:3000/", "ftp://localhost/", "http://localhost:3000/#x", "http://localhost:99999/", "http://local host/",
	} {
		_, err := c.Post(t.Context(), egress.Call{URL: u})
		require.Equal(t, egress.ClassRefused, egress.Class(err), u)
	}
	require.Len(t, tr.addresses(), connected)
}

func TestAnAddressOfOursIsRefusedAsAddressAndThroughLoopback(t *testing.T) {
	t.Parallel()
	n := &names{answers: map[string][][]string{"lan.test": {{"192.168.1.7"}}}}
	var tr trap
	c := egress.New(egress.Options{AllowPrivate: true, Own: "https://192.168.1.7:8402", Resolver: n.resolver(), Dial: tr.dial})
	for _, u := range []string{"https://192.168.1.7:8402/", "https://lan.test:8402/", "https://localhost:8402/", "https://127.0.0.1:8402/"} {
		_, err := c.Post(t.Context(), egress.Call{URL: u})
		require.Equal(t, egress.ClassRefused, egress.Class(err), u)
	}
	require.Empty(t, tr.addresses())
	require.NoError(t, c.Check("https://192.168.1.7:8403/"))
	require.NoError(t, c.Check("https://192.168.1.8:8402/"))
}
