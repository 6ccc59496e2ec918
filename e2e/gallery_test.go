package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"
	"github.com/stretchr/testify/require"

	"xsynesis/id"
)

// gallery is a world in which a purchase of every state is on show.
//
// Some states last a moment, or take a chain that does not answer, and the development chain always does. Their rows
// are written into the database by hand: what such a world shows is looked at, and its books are not audited.
type gallery struct {
	*world
	t         testing.TB
	link      link
	purchases map[string]string // by state: the path of the page, with the buyer's token
	webhooks  []page
	money     []page
	session   func() []playwright.OptionalCookie
}

// states are all that a purchase can be in.
var states = []string{"open", "settling", "unknown", "settled", "settled_late", "expired", "cancelled", "failed", "reversed"}

func openGallery(t testing.TB) *gallery {
	t.Helper()
	g := &gallery{world: startUnauditedWorld(t), t: t, purchases: map[string]string{}}
	g.call(t, "/api/payment_links/create", object{
		"title": "Coffee beans “Fjord”, 1 kg", "description": "Roasted on Tuesday. Ready to take at the counter.", "price": "34.00",
	}, &g.link)
	out, err := g.run("xsynesis-dev", "seed", "--sales", "24")
	require.NoError(t, err, out)
	g.buyMany(map[string]int{"Coffee beans “Fjord”, 1 kg": 4, "Coffee beans “Fjord”, 250 g": 9, "Tasting evening, one seat": 3})
	g.spreadOverDays()
	for _, state := range states {
		g.purchases[state] = g.purchase(state)
	}
	g.webhooks = g.webhookPages()
	g.money = g.moneyPages()
	g.session = sync.OnceValue(g.signIn)
	return g
}

// signIn signs the café's owner in, once for all pages.
func (g *gallery) signIn() (kept []playwright.OptionalCookie) {
	cookies, err := signedIn(g.t, g.world, desktop).context.Cookies()
	require.NoError(g.t, err)
	// To look at all pages takes longer than a proof holds.
	g.exec(`UPDATE sessions SET stepped_up_at = now() + interval '1 hour' WHERE id = (SELECT max(id) FROM sessions)`)
	for _, c := range cookies {
		kept = append(kept, c.ToOptionalCookie())
	}
	return kept
}

// buyMany pays at links, as often as is said by title.
func (g *gallery) buyMany(times map[string]int) {
	g.t.Helper()
	var list struct{ Data []link }
	a := g.get(g.t, "/api/payment_links/list", "Authorization", "Bearer "+g.APIKey)
	require.NoError(g.t, json.Unmarshal([]byte(a.Body), &list), a.Body)
	var payments [][3]string
	for _, l := range list.Data {
		r := g.get(g.t, l.URL).required(g.t)
		for range times[l.Title] {
			name, value := g.payment(g.t, g.buyer(g.t), 2, r)
			payments = append(payments, [3]string{l.URL, name, value})
		}
	}
	for _, a := range g.together(g.t, payments...) {
		require.Equal(g.t, http.StatusOK, a.Status, a.Body)
	}
}

// exec runs SQL; each statement has the parameters of its own.
func (g *gallery) exec(sql string, args ...any) {
	g.t.Helper()
	_, err := g.pool(g.t).Exec(g.t.Context(), sql, args...)
	require.NoError(g.t, err)
}

// spreadOverDays makes two weeks of business out of one minute's.
func (g *gallery) spreadOverDays() {
	g.exec(`UPDATE sales SET created_at = created_at - make_interval(days => abs(hashtext(id)) % 13, mins => abs(hashtext(attempt_id)) % 400)`)
	g.exec(`DELETE FROM sales_sums`)
	g.exec(`INSERT INTO sales_sums (merchant_id, livemode, zone, by, span, start, key, slot, payments, qty, amount, fee)
		SELECT merchant_id, livemode, zone, by, span, start, key, 0, count(DISTINCT attempt_id), sum(qty), sum(amount), sum(fee)
		FROM counted_sales WHERE NOT next GROUP BY 1, 2, 3, 4, 5, 6, 7`)
}

// purchase makes one of the state.
func (g *gallery) purchase(state string) string {
	g.t.Helper()
	began := g.do(g.t, http.MethodPost, g.link.URL, "", "Accept", "text/html", "Content-Type", formType)
	require.Equal(g.t, http.StatusSeeOther, began.Status, began.Body)
	path := began.Header.Get("Location")
	attempt := attemptIn(g.t, path)
	switch state {
	case "open": // to look at all pages takes longer than a price is held
		g.exec(`UPDATE attempts SET expires_at = now() + interval '1 hour' WHERE id = $1`, attempt)
	case "settled", "reversed":
		name, value := g.payment(g.t, g.buyer(g.t), 2, g.get(g.t, path).required(g.t))
		g.get(g.t, path, name, value).receipt(g.t)
		if state == "reversed" {
			g.move(attempt, "reversed")
		}
	case "settling":
		g.claim(attempt, "signed")
		g.move(attempt, "settling")
	case "unknown":
		g.claim(attempt, "broadcast")
		g.move(attempt, "settling", "unknown")
	case "failed":
		g.claim(attempt, "failed")
		g.move(attempt, "settling", "failed")
	case "settled_late":
		g.endHold(attempt)
		g.move(attempt, "expired")
		g.claim(attempt, "confirmed")
		g.exec(`UPDATE attempts SET amount_received = amount, settled_at = now() WHERE id = $1`, attempt)
		g.move(attempt, "settled_late")
	default:
		g.endHold(attempt)
		g.move(attempt, state)
	}
	return path
}

func (g *gallery) endHold(attempt string) {
	g.exec(`UPDATE attempts SET expires_at = now() - interval '3 minutes' WHERE id = $1`, attempt)
}

func (g *gallery) move(attempt string, through ...string) {
	for _, state := range through {
		g.exec(`UPDATE attempts SET status = $2, updated_at = now() WHERE id = $1`, attempt, state)
	}
}

// claim writes an approval and its way to the chain, which no worker looks at for a day.
func (g *gallery) claim(attempt, settlement string) {
	now := time.Now()
	claim, stl := id.New[id.Claim](now), id.New[id.Settlement](now)
	g.exec(`INSERT INTO claims (id, attempt_id, network, asset, payer, nonce, pay_to, value, valid_after, valid_before, signature, version, request, created_at)
		SELECT $2, id, network, asset, lower($3), nonce, pay_to, amount, 0, extract(epoch FROM expires_at)::bigint, '\x00', 2, '\x00', now() - interval '40 seconds'
		FROM attempts WHERE id = $1`, attempt, claim, g.BuyerAddress)
	g.exec(`INSERT INTO settlements (id, merchant_id, attempt_id, claim_id, livemode, facilitator, status, network, asset, payer, nonce, pay_to, amount,
			transaction, lease_until, created_at, updated_at)
		SELECT $2, merchant_id, id, $3, livemode, 'own', $5, network, asset, lower($4), nonce, pay_to, amount,
			'0x' || encode(sha256(id::bytea), 'hex'), now() + interval '1 day', now() - interval '40 seconds', now() - interval '38 seconds'
		FROM attempts WHERE id = $1`, attempt, stl, claim, g.BuyerAddress, settlement)
}

// page is one that everybody may look at, or the seller.
type page struct {
	name, path string
	status     int
	seller     bool
}

// pages are all that this program has.
func (g *gallery) pages() []page {
	pages := []page{
		{"link", g.link.URL, 200, false},
		{"link unknown", "/link/AAAAAAAAAAAAAAAAAAAAAA", 404, false},
		{"link expired", g.expiredLink().URL, 410, false},
		{"link sold out", g.soldOutLink().URL, 410, false},
		{"nothing", "/nothing", 404, false},
		{"sign in", "/login", 200, false},
		{"join", "/join", 200, false},
		{"account", "/account", 200, true},
		{"API reference", "/docs", 200, false},
		{"overview", "/dashboard", 200, true},
		{"sales", "/dashboard/sales", 200, true},
		{"sales, none", "/dashboard/sales?q=nothing-like-it", 200, true},
		{"settlements", "/dashboard/settlements", 200, true},
		{"links", "/dashboard/links", 200, true},
		{"link of the seller", "/dashboard/links/" + g.link.ID, 200, true},
		{"new link", "/dashboard/links/new", 200, true},
		{"edit link", "/dashboard/links/" + g.link.ID + "/edit", 200, true},
		{"expire link", "/dashboard/links/" + g.link.ID + "/expire", 200, true},
	}
	over := map[string]int{"expired": 410, "cancelled": 410}
	for _, state := range states {
		pages = append(pages, page{"purchase " + state, g.purchases[state], max(200, over[state]), false})
	}
	return slices.Concat(pages, g.webhooks, g.money)
}

func (g *gallery) expiredLink() link {
	l := g.newLink(g.t, "Christmas stollen", "18.00")
	g.expire(g.t, l)
	return l
}

func (g *gallery) soldOutLink() link {
	var l link
	g.call(g.t, "/api/payment_links/create", object{"title": "The last cup", "price": "0.05", "max_payments": 1}, &l)
	name, value := g.payment(g.t, g.buyer(g.t), 2, g.get(g.t, l.URL).required(g.t))
	g.get(g.t, l.URL, name, value).receipt(g.t)
	return l
}

// visitor opens the page in a browser that may see it.
func (g *gallery) visitor(t testing.TB, p page, d device, before ...func(*visitor)) *visitor {
	t.Helper()
	v := visit(t, g.world, d, before...).provokes(p.status)
	if p.seller {
		require.NoError(t, v.context.AddCookies(g.session()))
	}
	require.Equal(t, p.status, v.open(p.path), fmt.Sprint(p))
	return v
}
