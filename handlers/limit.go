package handlers

import (
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common/lru"
	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"
)

// pace is how often somebody may ask: so many times a second for as long as he likes, and so many times at once.
type pace struct{ second, burst int }

// Each process counts for itself, in memory. docs/configuration.md has these figures too.
var (
	addressPace = pace{50, 300}  // one address that nobody is known by
	keyPace     = pace{100, 500} // one API key, or one shop by access token
	personPace  = pace{20, 200}  // one person who is signed in
	linkPace    = pace{50, 500}  // purchases that are begun at one link
	cartPace    = pace{1, 60}    // carts that are begun from one address
	lookPace    = pace{20, 100}  // secrets of one address that are looked up although the address has asked too often
)

// mostCounted bounds how many of each kind are remembered; who has not asked for longest is forgotten, and begins anew.
const mostCounted = 20_000

// buckets hold what everybody has left of a pace.
type buckets struct {
	pace
	mu   sync.Mutex
	left lru.BasicLRU[string, *rate.Limiter]
}

func newBuckets(p pace) *buckets {
	return &buckets{pace: p, left: lru.NewBasicLRU[string, *rate.Limiter](mostCounted)}
}

// take takes one request of somebody's, and tells how long he has to wait if he has none left.
func (b *buckets) take(who string, now time.Time) (wait time.Duration) {
	taken := b.of(who).ReserveN(now, 1)
	if wait = taken.DelayFrom(now); wait > 0 {
		taken.CancelAt(now)
	}
	return wait
}

func (b *buckets) of(who string) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	left, ok := b.left.Get(who)
	if !ok {
		left = rate.NewLimiter(rate.Limit(b.second), b.burst)
		b.left.Add(who, left)
	}
	return left
}

// limits are who asked how often, and who they are known to be.
type limits struct {
	addresses, keys, people, links, carts, looks *buckets
	known                                        *lru.Cache[secretHash, knownCaller]
}

func newLimits() *limits {
	return &limits{
		addresses: newBuckets(addressPace), keys: newBuckets(keyPace), people: newBuckets(personPace), links: newBuckets(linkPace),
		carts: newBuckets(cartPace), looks: newBuckets(lookPace), known: lru.NewCache[secretHash, knownCaller](mostCounted),
	}
}

// limit answers 429 to those who ask more often than they may. A paired till is never counted, and neither is a payment
// that its payer signed: whoever stands beside them, or behind the same address, cannot keep them from their sale.
func (h *Handlers) limit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if wait := h.tooSoon(c); wait > 0 {
			if h.open[c.Path()] {
				allowAnySite(c.Response().Header())
			}
			askToWait(c, wait)
			return errTooMany
		}
		return next(c)
	}
}

// tooSoon is how long whoever asks has to wait; 0 for not at all.
func (h *Handlers) tooSoon(c echo.Context) time.Duration {
	if !h.Limited || isUncounted(c) {
		return 0
	}
	now, secrets := h.Now(), h.secretsOf(c)
	who, known := h.limits.knows(secrets, now)
	if !known {
		h.noteProxy(c)
		who = knownCaller{name: addressOf(c), counts: h.limits.addresses}
	}
	wait := who.take(now)
	if wait == 0 || h.isPaying(c) {
		return 0
	}
	if known {
		return wait
	}
	if who, known = h.recognise(c, secrets, now); known { // somebody whom this process has not met yet
		return who.take(now)
	}
	return wait
}

// isUncounted names what costs nothing, and what monitoring asks for.
func isUncounted(c echo.Context) bool {
	path := c.Path()
	return c.Request().Method == http.MethodOptions || isForMonitoring(path) || path == "/static/*" || path == "/favicon.ico"
}

// crowded tells whether too many purchases are begun at a link. It is asked only where nobody pays yet.
func (h *Handlers) crowded(c echo.Context, token string) error {
	if !h.Limited || h.isTill(c) {
		return nil
	}
	if wait := h.limits.links.take(token, h.Now()); wait > 0 {
		askToWait(c, wait)
		return errCrowded
	}
	return nil
}

func askToWait(c echo.Context, wait time.Duration) {
	c.Response().Header().Set("Retry-After", strconv.Itoa(seconds(wait)))
}

// seconds is a wait in whole seconds, after which it is over.
func seconds(wait time.Duration) int { return max(1, int(math.Ceil(wait.Seconds()))) }

// addressOf is whom a visitor is counted as while nothing else is known of him: his address, or with IPv6 the network
// that one household has.
func addressOf(c echo.Context) string { return network(c.RealIP()) }

// householdBits is how much of an IPv6 address is the same for all of one household.
const householdBits = 64

func network(address string) string {
	a, err := netip.ParseAddr(strings.TrimSpace(address))
	if err != nil {
		return address
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	household, err := a.Prefix(householdBits)
	if err != nil {
		return address
	}
	return household.String()
}
