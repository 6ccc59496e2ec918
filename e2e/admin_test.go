package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"
	"github.com/stretchr/testify/require"
)

// operatorToken is what a development shop keeps in its folder and prints when it starts.
func (w *world) operatorToken(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.Dir, "operator.token"))
	require.NoError(t, err)
	return strings.TrimSpace(string(text))
}

// operating is whoever runs the gateway, at its page.
func operating(t testing.TB, w *world, d device, before ...func(*visitor)) *visitor {
	t.Helper()
	v := visit(t, w, d, before...)
	v.open("/admin")
	require.NoError(t, v.GetByLabel("Operator token").Fill(w.operatorToken(t)))
	v.press(v.button("Sign in"))
	v.sees(v.heading("Gas money"))
	return v
}

// operatorCookie signs in as a program would.
func (w *world) operatorCookie(t testing.TB) string {
	t.Helper()
	a := w.do(t, http.MethodPost, "/admin/sessions", "token="+w.operatorToken(t), "Content-Type", formType)
	require.Equal(t, http.StatusSeeOther, a.Status, a.Body)
	cookie, _, _ := strings.Cut(a.Header.Get("Set-Cookie"), ";")
	return cookie
}

func TestTheOperatorLooksAfterTheShop(t *testing.T) {
	t.Parallel()
	w := startUnauditedWorld(t) // gas money is taken away by hand
	v := operating(t, w, desktop, axe)
	v.says("All is well.")
	for _, width := range []int{1440, 1024, 390, 320} {
		v.width(width, 800)
		v.requireNoSidewaysScroll()
		v.looks(playwright.ColorSchemeLight)
		v.requireAccessible(fmt.Sprintf("operator, light, %d px", width))
	}
	v.looks(playwright.ColorSchemeDark)
	v.requireAccessible("operator, dark")

	// The worker looks again every few seconds; until then the page believes the row.
	require.Eventually(t, func() bool {
		_, err := w.pool(t).Exec(t.Context(), `UPDATE relayers SET settlements_left = 120, gas_balance = 960000000000000`)
		require.NoError(t, err)
		v.open("/admin")
		shown, err := v.heading("Send gas money on Base Sepolia").IsVisible()
		require.NoError(t, err)
		return shown
	}, time.Minute, time.Second)
	v.sees(v.GetByRole("img", playwright.PageGetByRoleOptions{Name: regexp.MustCompile("^QR code of ethereum:0x.*@84532$")}))
	v.requireAccessible("operator, gas money wanted, dark")
	v.width(320, 800)
	v.requireNoSidewaysScroll()
	v.looks(playwright.ColorSchemeLight)
	v.requireAccessible("operator, gas money wanted, light")

	v.press(v.button("Sign out"))
	v.sees(v.GetByLabel("Operator token"))
	v.requireAccessible("operator, sign in")
	require.NoError(t, v.GetByLabel("Operator token").Fill("guess"))
	v.provokes(422)
	v.press(v.button("Sign in"))
	v.says("That is not the operator's token.")
	v.requireAccessible("operator, sign in refused")
}

func TestTheOperatorsPageStaysTrueByItself(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	v := operating(t, w, phone)
	before, err := v.Locator("#live time").TextContent()
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		now, err := v.Locator("#live time").TextContent()
		require.NoError(t, err)
		return now != before
	}, 40*time.Second, time.Second)
}

// TestTheQueuesPagesWorkUnderOurPolicy opens them in a browser, in which nothing must be blocked.
func TestTheQueuesPagesWorkUnderOurPolicy(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	l := w.newLink(t, "Oat flat white", "0.05")
	name, value := w.payment(t, w.buyer(t), 2, w.get(t, l.URL).required(t))
	paid := w.get(t, l.URL, name, value).receipt(t)
	require.NotEmpty(t, paid)
	v := operating(t, w, desktop)
	v.press(v.link("Jobs"))
	v.says("Job State")
	v.open("/admin/jobs/queues")
	v.says("settle")
	v.open("/admin/jobs/jobs?state=completed")
	v.sees(v.GetByText("settle").Nth(0))
	args, err := v.Locator("body").InnerText()
	require.NoError(t, err)
	require.NotContains(t, args, "stl_", "arguments are hidden")
	v.press(v.Locator(`a[href*="/admin/jobs/jobs/"]`).First())
	v.says("Attempt")
}

// TestAJobThatIsRetriedHasNoSecondEffect presses the button that the queue's page has on every job, for each that a sale
// has left behind.
func TestAJobThatIsRetriedHasNoSecondEffect(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	server := listen(t, 0)
	w.tellAt(t, server, "payment.completed")
	w.payOnce(t)
	server.awaits(t, "payment.completed", 1)
	pool := w.pool(t)
	var before, after string
	const books = `SELECT concat_ws(' ', (SELECT count(*) FROM sales), (SELECT count(*) FROM postings), (SELECT sum(amount) FROM balances WHERE amount > 0),
		(SELECT count(*) FROM settlements), (SELECT count(*) FROM relays), (SELECT count(*) FROM events))`
	require.NoError(t, pool.QueryRow(t.Context(), books).Scan(&before))

	var jobs []string
	require.Eventually(t, func() bool { // the queue notes what is done a moment after it was done
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT coalesce(array_agg(id::text), '{}') FROM river_job
			WHERE kind IN ('settle', 'resume', 'expire', 'deliver') AND state IN ('completed', 'scheduled')`).Scan(&jobs))
		return len(jobs) > 1
	}, time.Minute, 50*time.Millisecond)
	body, err := json.Marshal(object{"ids": jobs})
	require.NoError(t, err)
	retry := func(headers ...string) answer {
		return w.do(t, http.MethodPost, "/admin/jobs/api/jobs/retry", string(body), append([]string{"Content-Type", "application/json"}, headers...)...)
	}
	require.Equal(t, http.StatusUnauthorized, retry().Status)
	cookie := w.operatorCookie(t)
	require.Equal(t, http.StatusForbidden, retry("Cookie", cookie, "Sec-Fetch-Site", "cross-site").Status)
	done := retry("Cookie", cookie, "Sec-Fetch-Site", "same-origin")
	require.Equal(t, http.StatusOK, done.Status, done.Body)

	require.Eventually(t, func() bool {
		var again int
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE id = ANY($1::bigint[]) AND attempt > 1 AND finalized_at IS NOT NULL`, jobs).Scan(&again))
		return again == len(jobs)
	}, time.Minute, 100*time.Millisecond, "not every job was done again")
	require.Equal(t, []int{1}, server.times("payment.completed"), "what was delivered is not sent again")
	require.NoError(t, pool.QueryRow(t.Context(), books).Scan(&after))
	require.Equal(t, before, after)
}
