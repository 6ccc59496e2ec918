package handlers_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/id"
)

// joined lets a new person into a shop by an invitation, and signs him in.
func (w *apiWorld) joined(boss access.Session, role access.Role, name string) (with, id.Person) {
	w.t.Helper()
	ctx := w.t.Context()
	_, token, err := w.access.Invite(ctx, boss, access.Browser{}, role, name)
	require.NoError(w.t, err)
	own, err := w.access.Found(ctx, access.Founding{Slug: strings.ToLower(name), Name: "Of " + name, Owner: name})
	require.NoError(w.t, err)
	person := w.ownerOf(own).Person
	_, err = w.access.Accept(ctx, access.Session{Person: person, PersonName: name}, access.Browser{}, token)
	require.NoError(w.t, err)
	secret, err := w.access.SignIn(ctx, boss.Merchant, person)
	require.NoError(w.t, err)
	return cookieOf(secret), person
}

func cookieOf(secret string) with {
	return func(r *http.Request) {
		r.Header.Set("Cookie", "__Host-sid="+secret)
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
}

// ownerOf is the session of whoever founded a shop.
func (w *apiWorld) ownerOf(merchant id.Merchant) access.Session {
	w.t.Helper()
	members, err := w.access.Members(w.t.Context())
	require.NoError(w.t, err)
	for _, m := range members {
		if m.Merchant == merchant && m.Role == access.Owner {
			secret, err := w.access.SignIn(w.t.Context(), merchant, m.Person)
			require.NoError(w.t, err)
			s, err := w.access.Session(w.t.Context(), secret)
			require.NoError(w.t, err)
			return s
		}
	}
	w.t.Fatal("nobody owns it")
	return access.Session{}
}

var parameter = regexp.MustCompile(`:\w+|\*`)

func TestEveryRouteOfTheDashboardNeedsAPermission(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, merchant := w.signIn("kiosk")
	cashier, _ := w.joined(w.ownerOf(merchant), access.Cashier, "Kim")
	seen := 0
	for _, route := range w.echo.Routes() {
		if !strings.HasPrefix(route.Path, "/dashboard") || route.Method == "echo_route_not_found" {
			continue
		}
		seen++
		target := parameter.ReplaceAllString(route.Path, "x")
		answer := w.do(route.Method, target, nil, cashier)
		require.Equal(t, http.StatusForbidden, answer.status, "%s %s", route.Method, route.Path)
		require.Contains(t, string(answer.body), "As a cashier you may not ", "%s %s", route.Method, route.Path)
		require.Contains(t, string(answer.body), "Ask Ada of kiosk (owner)", "%s %s", route.Method, route.Path)
		nobody := w.do(route.Method, target, nil, func(r *http.Request) { r.Header.Set("Accept", "text/html") })
		require.Equal(t, http.StatusSeeOther, nobody.status, "%s %s", route.Method, route.Path)
		require.Contains(t, nobody.header.Get("Location"), "/login")
	}
	require.Greater(t, seen, 30)
}

func TestAColleagueOfAnotherShopIsNotFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, merchant := w.signIn("kiosk")
	_, vic := w.joined(w.ownerOf(merchant), access.Viewer, "Vic")
	other, _ := w.signIn("bakery")
	require.Equal(t, http.StatusOK, w.do(http.MethodGet, "/dashboard/staff/people/"+string(vic), nil, ada).status)
	unknown := "usr_1ChHQgZvF7Y4JLiQa34ooR"
	for _, path := range []string{"", "/removal"} {
		foreign := w.do(http.MethodGet, "/dashboard/staff/people/"+string(vic)+path, nil, other)
		require.Equal(t, http.StatusNotFound, foreign.status)
		require.Equal(t, w.do(http.MethodGet, "/dashboard/staff/people/"+unknown+path, nil, other).status, foreign.status)
	}
	for _, path := range []string{"/role", "/pin", "/refund_limit", "/status", "/removal"} {
		require.Equal(t, http.StatusNotFound, w.form("/dashboard/staff/people/"+string(vic)+path, url.Values{"role": {"viewer"}, "status": {"suspended"}}, other).status, path)
	}
}

func TestAnOwnerSaysWhatAManagerMayGiveBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, merchant := w.signIn("kiosk")
	boss := w.ownerOf(merchant)
	mia, manager := w.joined(boss, access.Manager, "Mia")
	_, cashier := w.joined(boss, access.Cashier, "Kim")
	page := "/dashboard/staff/people/" + string(manager)
	const field = "#refund_limit"
	shown := func(by with) *goquery.Selection { return w.do(http.MethodGet, page, nil, by).document().Find(field) }
	require.Equal(t, 1, shown(ada).Length())
	require.Empty(t, shown(ada).AttrOr("value", ""))
	require.Zero(t, shown(mia).Length(), "nobody lifts himself")
	require.Zero(t, w.do(http.MethodGet, "/dashboard/staff/people/"+string(cashier), nil, ada).document().Find(field).Length(), "who gives nothing back has no limit")
	require.Zero(t, w.do(http.MethodGet, "/dashboard/staff/people/"+string(boss.Person), nil, ada).document().Find(field).Length(), "nor has an owner")

	for _, wrong := range []string{"-1", "much", "1e3", "0.0000001"} {
		refused := w.form(page+"/refund_limit", url.Values{"refund_limit": {wrong}}, ada)
		require.Equal(t, http.StatusUnprocessableEntity, refused.status, wrong)
		require.Contains(t, string(refused.body), "Give an amount such as 250.00")
	}
	require.Equal(t, http.StatusSeeOther, w.form(page+"/refund_limit", url.Values{"refund_limit": {" 250.5 "}}, ada).status)
	require.Equal(t, "250.50", shown(ada).AttrOr("value", ""))
	require.Equal(t, http.StatusOK, w.do(http.MethodGet, "/dashboard", nil, mia).status, "it signs nobody out")
	require.Equal(t, http.StatusConflict, w.form(page+"/refund_limit", url.Values{"refund_limit": {"9999"}}, mia).status, "not by himself")
	require.Equal(t, http.StatusConflict, w.form("/dashboard/staff/people/"+string(cashier)+"/refund_limit", url.Values{"refund_limit": {"1"}}, ada).status)
	log := string(w.do(http.MethodGet, "/dashboard/audit?action=member.refund_limit_set", nil, ada).body)
	require.Contains(t, log, "Member refund limit set")
	require.Contains(t, log, "<ins>250.50</ins>")
	require.Equal(t, http.StatusSeeOther, w.form(page+"/refund_limit", url.Values{"refund_limit": {""}}, ada).status)
	require.Empty(t, shown(ada).AttrOr("value", ""), "as the role again")
}

func TestAPageOfSomebodyWhoWasRemovedGoesToTheSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, merchant := w.signIn("kiosk")
	vic, person := w.joined(w.ownerOf(merchant), access.Viewer, "Vic")
	script := func(r *http.Request) { r.Header.Set("HX-Request", "true") }
	require.Equal(t, http.StatusOK, w.do(http.MethodGet, "/dashboard", nil, vic, script).status)
	require.Equal(t, http.StatusSeeOther, w.form("/dashboard/staff/people/"+string(person)+"/removal", nil, ada).status)
	gone := w.do(http.MethodGet, "/dashboard", nil, vic, script)
	require.Equal(t, http.StatusUnauthorized, gone.status)
	require.Contains(t, gone.header.Get("HX-Redirect"), "/login")
	log := w.do(http.MethodGet, "/dashboard/audit?action=member.removed", nil, ada)
	require.Equal(t, http.StatusOK, log.status)
	require.Contains(t, string(log.body), "Member removed")
	require.Contains(t, string(log.body), "<del>active</del>")
}

func TestAnInvitationsPageSaysWhatTheRoleMayDoBeforeItIsAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, _ := w.signIn("kiosk")
	made := w.form("/dashboard/staff/invites", url.Values{"name": {"Mia"}, "role": {"manager"}}, ada)
	require.Equal(t, http.StatusOK, made.status)
	path := regexp.MustCompile(`/invite/[\w-]{43}`).FindString(string(made.body))
	require.NotEmpty(t, path)
	page := w.do(http.MethodGet, path, nil, func(r *http.Request) { r.Header.Set("Accept", "text/html") })
	require.Equal(t, http.StatusOK, page.status)
	for _, says := range []string{"Join The kiosk", "Manager", "Can: Run the shop", "Cannot: Change where the shop is paid"} {
		require.Contains(t, string(page.body), says)
	}
	mia, _ := w.signIn("bakery")
	accepted := w.form(path, nil, mia)
	require.Equal(t, http.StatusSeeOther, accepted.status)
	require.Contains(t, accepted.header.Get("Set-Cookie"), "__Host-sid=", "another role, another secret")
	gone := w.do(http.MethodGet, path, nil, func(r *http.Request) { r.Header.Set("Accept", "text/html") })
	require.Equal(t, http.StatusGone, gone.status)
	refused := w.form("/dashboard/staff/invites", url.Values{"name": {"Mia"}, "role": {"king"}}, ada)
	require.Equal(t, http.StatusUnprocessableEntity, refused.status)
}
