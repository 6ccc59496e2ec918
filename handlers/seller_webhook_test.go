package handlers_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/webhook"
)

// session signs somebody of a new shop in, and returns what a browser sends with each request, and the shop.
func (w *apiWorld) signIn(slug string) (with, id.Merchant) {
	w.t.Helper()
	merchant, err := w.access.Found(w.t.Context(), access.Founding{Slug: slug, Name: "The " + slug, Owner: "Ada of " + slug})
	require.NoError(w.t, err)
	members, err := w.access.Members(w.t.Context())
	require.NoError(w.t, err)
	for _, m := range members {
		if m.Merchant == merchant {
			secret, err := w.access.SignIn(w.t.Context(), merchant, m.Person)
			require.NoError(w.t, err)
			return func(r *http.Request) {
				r.Header.Set("Cookie", "__Host-sid="+secret)
				r.Header.Set("Accept", "text/html")
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}, merchant
		}
	}
	w.t.Fatal("nobody owns it")
	return nil, ""
}

// form posts a form as a browser does.
func (w *apiWorld) form(target string, values url.Values, more ...with) reply {
	w.t.Helper()
	return w.do(http.MethodPost, target, strings.NewReader(values.Encode()), more...)
}

// shopServer is a seller's server; it answers as the test says.
type shopServer struct {
	*httptest.Server
	status atomic.Int64
	calls  atomic.Int64
}

func startShopServer(t *testing.T) *shopServer {
	t.Helper()
	s := &shopServer{}
	s.status.Store(http.StatusOK)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Mark", "<b>bold</b>")
		w.WriteHeader(int(s.status.Load()))
		_, _ = io.WriteString(w, "<script>alert(1)</script> caf\xe9")
	}))
	t.Cleanup(s.Close)
	return s
}

// deliver does what a dispatcher does: it makes every try that is due.
func (w *apiWorld) deliver() {
	w.t.Helper()
	rows, err := w.pool.Query(w.t.Context(), `SELECT id FROM deliveries WHERE status = 'pending' AND next_try_at <= $1 ORDER BY id`, w.now())
	require.NoError(w.t, err)
	var due []id.Delivery
	for rows.Next() {
		var d id.Delivery
		require.NoError(w.t, rows.Scan(&d))
		due = append(due, d)
	}
	require.NoError(w.t, rows.Err())
	for _, d := range due {
		snooze := &river.JobSnoozeError{}
		if err := w.hooks.Deliver(w.t.Context(), d, webhook.QueueWebhookSlow); !errors.As(err, &snooze) {
			require.NoError(w.t, err)
		}
	}
}

// giveUp lets every delivery under way fail for good.
func (w *apiWorld) giveUp() {
	w.t.Helper()
	for range 5 {
		w.deliver()
		w.ahead.Add(int64(20 * time.Minute))
	}
}

func TestAnotherShopsWebhooksAreNotThere(t *testing.T) {
	t.Parallel()
	w, server := newWorld(t), startShopServer(t)
	server.status.Store(http.StatusInternalServerError)
	hook := w.register(w.cafeKey, server.URL)["id"].(string)
	delivery := w.post("/api/webhooks/test", object{"id": hook}, as(w.cafeKey)).json()["id"].(string)
	w.giveUp()
	replay := w.post("/api/webhooks/redeliver", object{"failed_since": "2020-01-01T00:00:00Z"}, as(w.cafeKey)).json()["id"].(string)

	live := w.key(w.cafe, true, access.Scopes...)
	for who, key := range map[string]string{"another shop": w.booksKey, "live mode": live} {
		for path, body := range map[string]any{
			"/api/webhooks/update": object{"id": hook, "active": false}, "/api/webhooks/unregister": object{"id": hook},
			"/api/webhooks/rotate_secret": object{"webhook_subscription_id": hook}, "/api/webhooks/end_overlap": object{"id": hook},
			"/api/webhooks/test": object{"id": hook}, "/api/webhooks/redeliver": object{"id": delivery},
			"/api/webhooks/redeliver?many": object{"failed_since": "2020-01-01T00:00:00Z", "webhook_subscription_id": hook},
		} {
			require.Equal(t, 404, w.post(path, body, as(key)).status, "%s: %s", who, path)
		}
		for _, path := range []string{"/api/webhooks/deliveries/" + delivery, "/api/webhooks/replays/" + replay} {
			require.Equal(t, 404, w.get(path, as(key)).status, "%s: %s", who, path)
		}
		for _, path := range []string{
			"/api/webhooks/list", "/api/webhooks/deliveries", "/api/webhooks/deliveries?webhook_subscription_id=" + hook,
			"/api/webhooks/deliveries?replay_id=" + replay, "/api/events/list",
		} {
			require.Empty(t, w.get(path, as(key)).json()["data"], "%s: %s", who, path)
		}
	}

	stranger, _ := w.signIn("stranger")
	at := "/dashboard/webhooks/" + hook
	for _, path := range []string{
		at, at + "/edit", at + "/rotation", at + "/rotation/end", at + "/removal",
		"/dashboard/webhooks/deliveries/" + delivery, "/dashboard/webhooks/replays/" + replay,
	} {
		require.Equal(t, 404, w.get(path, stranger).status, path)
	}
	for _, path := range []string{
		at + "/edit", at + "/status", at + "/rotation", at + "/rotation/end", at + "/tests", "/dashboard/webhooks/deliveries/" + delivery + "/replays",
	} {
		require.Equal(t, 404, w.form(path, nil, stranger).status, path)
	}
	w.form(at+"/removal", nil, stranger)
	require.NotContains(t, string(w.get("/dashboard/webhooks/deliveries?webhook="+hook, stranger).body), delivery)
	require.Len(t, w.get("/api/webhooks/list", as(w.cafeKey)).json()["data"], 1, "all of it is still there")
}

func TestTheDashboardTellsWhatWasNotDelivered(t *testing.T) {
	t.Parallel()
	w, server := newWorld(t), startShopServer(t)
	seller, merchant := w.signIn("shop")
	w.cafe, w.cafeKey = merchant, w.key(merchant, false, access.Scopes...)
	server.status.Store(http.StatusServiceUnavailable)
	made := w.form("/dashboard/webhooks", url.Values{"url": {server.URL}, "choice": {"all"}, "once": {id.NewToken()}}, seller)
	require.Equal(t, 201, made.status, string(made.body))
	hook := regexp.MustCompile(`ws_[1-9A-Za-z]{22}`).FindString(string(made.body))
	require.Contains(t, string(made.body), "whsec_")
	for range 2 {
		sent := w.form("/dashboard/webhooks/"+hook+"/tests", nil, seller)
		require.Equal(t, 303, sent.status)
		require.Contains(t, string(w.get(sent.header.Get("Location"), seller).body), "On its way"[3:])
	}
	w.giveUp()
	page := string(w.get("/dashboard/webhooks", seller).body)
	require.Contains(t, page, "2 events were not delivered")
	require.Regexp(t, `(?s)nav-count.*2\s*<span class="unseen">not delivered`, string(w.get("/dashboard", seller).body))

	list := string(w.get("/dashboard/webhooks/deliveries?status=failed", seller).body)
	failed := regexp.MustCompile(`dlv_[1-9A-Za-z]{22}`).FindString(list)
	page = string(w.get("/dashboard/webhooks/deliveries/"+failed+"?try=2", seller).body)
	require.Contains(t, page, "Your server answered 503 Service Unavailable.")
	require.Contains(t, page, "&lt;script&gt;alert(1)&lt;/script&gt; caf�")
	require.Contains(t, page, "&lt;b&gt;bold&lt;/b&gt;")
	require.NotContains(t, page, "<script>alert")
	require.Regexp(t, `(?s)Tries <span>5 of 5`, page)

	server.status.Store(http.StatusNoContent)
	counted := string(w.get("/dashboard/webhooks/replays/new?count=1&since=2020-01-01T00:00&rate=10", seller).body)
	require.Contains(t, counted, "2 events to send again")
	began := w.form("/dashboard/webhooks/replays", url.Values{"since": {"2020-01-01T00:00"}, "rate": {"10"}}, seller)
	require.Equal(t, 303, began.status, string(began.body))
	require.Contains(t, string(w.get(began.header.Get("Location"), seller).body), "of 2 sent again")
	nothing := w.get("/dashboard/webhooks/replays/new?count=1&since=tomorrow&rate=lots", seller)
	require.Equal(t, 422, nothing.status)
	require.Contains(t, string(nothing.body), "Give a day and a time.")
}

func TestNoticesAreReadOnce(t *testing.T) {
	t.Parallel()
	w, server := newWorld(t), startShopServer(t)
	seller, merchant := w.signIn("shop")
	key := w.key(merchant, false, access.Scopes...)
	server.status.Store(http.StatusGone)
	hook := w.register(key, server.URL)["id"].(string)
	require.Equal(t, 200, w.post("/api/webhooks/test", object{"id": hook}, as(key)).status)
	require.Contains(t, string(w.get("/dashboard", seller).body), `aria-label="Notices"`)
	w.deliver()
	require.Contains(t, string(w.get("/dashboard", seller).body), `aria-label="Notices, 1 unread"`)
	page := string(w.get("/dashboard/notices", seller).body)
	require.Contains(t, page, "Not read yet")
	require.Contains(t, string(w.get("/dashboard/webhooks/"+hook, seller).body), "Turned off")

	newest := regexp.MustCompile(`name="newest" value="(ntc_[^"]+)"`).FindStringSubmatch(page)
	require.NotNil(t, newest)
	require.Equal(t, 303, w.form("/dashboard/notices/reads", url.Values{"newest": {newest[1]}}, seller).status)
	require.Contains(t, string(w.get("/dashboard", seller).body), `aria-label="Notices"`)
	require.NotContains(t, string(w.get("/dashboard/notices", seller).body), "Not read yet")
	require.Equal(t, 404, w.form("/dashboard/notices/reads", nil, seller).status)

	require.Equal(t, 303, w.form("/dashboard/webhooks/"+hook+"/status", url.Values{"status": {"active"}}, seller).status)
	require.NotContains(t, string(w.get("/dashboard/webhooks/"+hook, seller).body), "Turned off")
}

func TestAFormSentTwiceMakesOneWebhook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seller, merchant := w.signIn("shop")
	other, _ := w.signIn("other")
	form := url.Values{"url": {"https://hooks.example/"}, "choice": {"payments"}, "once": {id.NewToken()}}
	secret := regexp.MustCompile(`whsec_[A-Za-z0-9+/]{32}`)
	first, again := w.form("/dashboard/webhooks", form, seller), w.form("/dashboard/webhooks", form, seller)
	require.Equal(t, secret.FindString(string(first.body)), secret.FindString(string(again.body)))
	rows := w.get("/api/webhooks/list", as(w.key(merchant, false, access.WebhooksRead))).json()["data"].([]any)
	require.Len(t, rows, 1)
	for _, event := range rows[0].(object)["events"].([]any) {
		require.Contains(t, event, "payment.")
	}
	elsewhere := w.form("/dashboard/webhooks", form, other)
	require.NotEqual(t, secret.FindString(string(first.body)), secret.FindString(string(elsewhere.body)), "another shop's form is another form")

	require.Equal(t, 422, w.form("/dashboard/webhooks", url.Values{"url": {"nonsense"}, "choice": {"all"}}, seller).status)
	require.Equal(t, 422, w.form("/dashboard/webhooks", url.Values{"url": {"https://hooks.example/"}, "choice": {"some"}}, seller).status)
}
