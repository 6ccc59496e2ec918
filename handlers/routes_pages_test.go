package handlers_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/webhook"
)

var (
	formTag = regexp.MustCompile(`<form[^>]*>`)
	linkTag = regexp.MustCompile(`\s(href|sse-connect|hx-get|data-ask|data-send|hx-post)="([^"]*)"`)
	posting = regexp.MustCompile(`\smethod="post"`)
	acting  = regexp.MustCompile(`\saction="([^"]*)"`)
)

// lead is where something on a page leads.
type lead struct{ method, to string }

// leadsTo lists all that a page leads to on this site.
func (r reply) leadsTo() (out []lead) {
	text := string(r.body)
	for _, tag := range formTag.FindAllString(text, -1) {
		method := http.MethodGet
		if posting.MatchString(tag) {
			method = http.MethodPost
		}
		if to := acting.FindStringSubmatch(tag); to != nil {
			out = append(out, lead{method, to[1]})
		}
	}
	for _, m := range linkTag.FindAllStringSubmatch(text, -1) {
		method := http.MethodGet
		if slices.Contains([]string{"data-ask", "data-send", "hx-post"}, m[1]) {
			method = http.MethodPost
		}
		out = append(out, lead{method, m[2]})
	}
	return out
}

// may tells whether a lead is one to show to somebody.
func (l lead) may(cell, column string) bool {
	switch cell {
	case "yes", "proves", "gone":
		return true
	case "none": // of the shop's rows; these are his own
		return column == "other" || column == "newcomer"
	default:
		return cell == "invited" && strings.Contains(l.to, "invite=")
	}
}

// route is the row of the table that a lead ends at, or false for another site and for a place on the page itself.
func (w *accessWorld) route(table []rule, l lead) (rule, bool) {
	w.t.Helper()
	u, err := url.Parse(strings.TrimPrefix(html.UnescapeString(l.to), site))
	require.NoError(w.t, err, l.to)
	if u.Host != "" || u.Scheme != "" || u.Path == "" {
		return rule{}, false
	}
	c := w.echo.NewContext(nil, nil)
	w.echo.Router().Find(l.method, u.Path, c)
	for _, r := range table {
		if r.method == l.method && r.path == c.Path() {
			return r, true
		}
	}
	w.t.Fatalf("%s %s leads nowhere", l.method, l.to)
	return rule{}, false
}

// stocked are rows of which there is something to see: payments under way, servers that fail, notices that lead somewhere.
func (w *accessWorld) stocked(p somebody) rows {
	w.t.Helper()
	ids := w.own(p)
	for _, kind := range []string{"attempt", "webhook", "delivery", "replay", "key", "person", "cashier", "invite", "till", "change", "notice", "list of keys", "sale", "pass"} {
		ids(kind)
	}
	for _, path := range []string{"/dashboard/webhooks", "/dashboard/staff", "/dashboard/settings/address", "/dashboard/links", "/dashboard/items", "/dashboard/reconciliation"} {
		w.notice("Look at "+path+".", path)
	}
	w.giveUp()
	w.exec(`UPDATE merchants SET went_live_at = now() WHERE id = $1`, w.shop)
	var token string
	require.NoError(w.t, w.pool.QueryRow(w.t.Context(), `SELECT token FROM links WHERE id = $1`, ids("link")).Scan(&token))
	_, err := w.checkout.Start(w.t.Context(), checkout.Begin{Token: token})
	require.NoError(w.t, err)
	for _, status := range []webhook.Status{webhook.Paused, webhook.Active} {
		active := status == webhook.Active
		_, err := w.hooks.Update(w.t.Context(), w.shop, false, id.Subscription(ids("webhook")), webhook.SubscriptionUpdate{Active: &active}, actorOfTests)
		require.NoError(w.t, err)
	}
	return ids
}

func TestPagesLeadOnlyWhereTheirReaderMayGo(t *testing.T) {
	t.Parallel()
	table := accessTable(t)
	for _, column := range people {
		t.Run(column, func(t *testing.T) {
			t.Parallel()
			w := newAccessWorld(t)
			p, sends := w.as(column)
			ids := w.stocked(p)
			var wrong []string
			seen := 0
			for _, r := range table {
				if r.method != http.MethodGet || r.cells[column] != "yes" || r.path == "/logout" {
					continue
				}
				shown := w.ask(r, ids, w.form(r, ids), sends, page)
				for _, l := range shown.leadsTo() {
					to, ok := w.route(table, l)
					seen++
					if ok && !l.may(to.cells[column], column) {
						wrong = append(wrong, fmt.Sprintf("%s leads %s to %s %s: %q", r, column, l.method, l.to, to.cells[column]))
					}
				}
			}
			slices.Sort(wrong)
			require.Empty(t, strings.Join(slices.Compact(wrong), "\n"))
			require.NotZero(t, seen)
		})
	}
}

func TestPagesLeadToAllOfTheDashboardThatARoleOpens(t *testing.T) {
	t.Parallel()
	table := accessTable(t)
	for _, role := range people[:len(access.Roles)] {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			w := newAccessWorld(t)
			p, sends := w.as(role)
			ids := w.stocked(p)
			found := map[string]bool{}
			for _, r := range table {
				if r.method != http.MethodGet || r.cells[role] != "yes" {
					continue
				}
				for _, l := range w.ask(r, ids, w.form(r, ids), sends, page).leadsTo() {
					if to, ok := w.route(table, l); ok {
						found[to.String()] = true
					}
				}
			}
			var lost []string
			for _, r := range table {
				if strings.HasPrefix(r.path, "/dashboard") && r.cells[role] != "no" && !found[r.String()] && !slices.Contains(reachedElse, r.String()) {
					lost = append(lost, r.String())
				}
			}
			require.Empty(t, lost)
		})
	}
}

// reachedElse are routes that no page leads to as it stands here.
var reachedElse = []string{
	"GET /dashboard/orders/late",                                                                                                  // the former address of what somebody has to decide on
	"GET /dashboard/sales/:sale/refund", "POST /dashboard/sales/:sale/refund", "POST /dashboard/reconciliation/:exception/refund", // of money that came and has not gone
	"POST /dashboard/refunds/:refund/transaction", "POST /dashboard/refunds/:refund/cancellation", // while the shop's wallet is to send it
	"POST /dashboard/staff/people/:person/refund_limit",                                                           // of a manager
	"POST /dashboard/reconciliation/:exception/attachment", "POST /dashboard/reconciliation/:exception/dismissal", // of a transfer that bought nothing
	"GET /dashboard/payouts/new", "POST /dashboard/payouts", // where money is kept
	"POST /dashboard/payouts/entries",                                                                 // where the books lack something
	"POST /dashboard/payouts/addresses/removal",                                                       // once one was added
	"POST /dashboard/items/:item/keys",                                                                // of an item that has keys
	"POST /dashboard/items/:item/return",                                                              // once it is archived
	"POST /dashboard/orders/:sale/return",                                                             // once it was sent
	"GET /dashboard/webhooks/replays/:replay",                                                         // after a form
	"POST /dashboard/links/:link/resumption",                                                          // of a paused one
	"POST /dashboard/webhooks/replays",                                                                // once the events were counted
	"GET /dashboard/webhooks/:webhook/rotation/end", "POST /dashboard/webhooks/:webhook/rotation/end", // while two secrets sign
}
