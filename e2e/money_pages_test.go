package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// moneyPages are those about money that is kept, leaves, or came without an explanation, each with something on it.
func (g *gallery) moneyPages() []page {
	g.t.Helper()
	sender := g.newSender(g.t, 50_000_000)
	g.transfers(g.t, sender, g.payTo(g.t), 7_250_000) // nobody knows what for
	var payout struct {
		ID string `json:"payout_id"`
	}
	g.call(g.t, "/api/payouts/create", object{"amount": "84000000", "destination_wallet": g.OwnerAddress}, &payout)
	sold := g.sales(g.t, "item_title", "Coffee beans “Fjord”, 250 g") // of the others one was taken back
	var refund struct {
		ID string `json:"id"`
	}
	g.call(g.t, "/api/refunds/create", object{"sale_id": sold[0]["id"], "amount": "4000000", "reason": "The bag was open."}, &refund)
	require.Eventually(g.t, func() bool {
		return strings.Contains(g.listed(g.t, "payouts"), `"status":"completed"`) && strings.Contains(g.listed(g.t, "refunds"), `"status":"completed"`)
	}, time.Minute, 200*time.Millisecond, "they are not where they belong")
	exception := g.exception()
	account := "?network=" + g.Network + "&account="
	var pages []page
	for name, path := range map[string]string{
		"balance": "/dashboard/balance", "who keeps the money": "/dashboard/balance/custody",
		"entries": "/dashboard/ledger" + account + "available", "network fees": "/dashboard/ledger" + account + "gas", "no entries": "/dashboard/ledger" + account + "wallet",
		"payouts": "/dashboard/payouts", "new payout": "/dashboard/payouts/new", "payout": "/dashboard/payouts/" + payout.ID,
		"sale": "/dashboard/sales/" + sold[1]["id"], "sale, a part back": "/dashboard/sales/" + sold[0]["id"],
		"refunds": "/dashboard/refunds", "new refund": "/dashboard/sales/" + sold[1]["id"] + "/refund", "refund": "/dashboard/refunds/" + refund.ID,
		"reconciliation": "/dashboard/reconciliation", "reconciliation, decided": "/dashboard/reconciliation?decided=1",
		"exception": "/dashboard/reconciliation/" + exception, "refund of an exception": "/dashboard/reconciliation/" + exception + "/refund",
		"figures of a month": "/dashboard?period=30d",
	} {
		pages = append(pages, page{name, path, http.StatusOK, true})
	}
	return pages
}

// listed is a list of the API as it is.
func (w *world) listed(t testing.TB, what string) string {
	t.Helper()
	a := w.get(t, "/api/"+what+"/list", "Authorization", "Bearer "+w.APIKey)
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	require.True(t, json.Valid([]byte(a.Body)))
	return a.Body
}

// exception is a payment that somebody has to decide on.
func (g *gallery) exception() (id string) {
	g.t.Helper()
	require.Eventually(g.t, func() bool {
		return g.pool(g.t).QueryRow(g.t.Context(), `SELECT id FROM exceptions WHERE kind = 'unmatched'`).Scan(&id) == nil
	}, time.Minute, 200*time.Millisecond, "nobody listed the transfer")
	return id
}

// takeMoneyScreenshots shows what is kept, what leaves, and what is to be decided.
func (g *gallery) takeMoneyScreenshots(t *testing.T) {
	pictures := map[string]string{
		"balance": "balance", "payouts": "payouts", "payout": "payout", "new refund": "refund", "reconciliation": "reconciliation", "overview": "overview",
		"sales": "sales",
	}
	shown := []page{{"overview", "/dashboard", http.StatusOK, true}, {"sales", "/dashboard/sales", http.StatusOK, true}}
	for _, p := range slices.Concat(g.money, shown) {
		picture, ok := pictures[p.name]
		if !ok {
			continue
		}
		for suffix, d := range map[string]device{"": desktop, "-phone": portrait} {
			g.visitor(t, p, d).shot(picture + suffix)
		}
	}
}
