package e2e

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/playwright-community/playwright-go"
	"github.com/stretchr/testify/require"

	"xsynesis/postgres/pgtest"
)

// look is a page of the café's people or tills: it needs a cookie of its own, or some steps to get there.
type look struct {
	name    string
	path    string
	status  int
	cookies []string       // "sid=…"
	steps   func(*visitor) // after the page was opened
	at      *world         // where not the gallery's
}

// people are those of a gallery: whoever works there, and a tablet.
type people struct {
	*gallery
	owner, stale, accountant, newcomer string // cookies
	device, till                       string
	invite, colleague                  string // paths
	empty                              *world
	firstRun                           string
}

// comesIn signs the café's owner in.
func (g *gallery) comesIn(t testing.TB) string {
	t.Helper()
	person := g.get(t, "/login", "Accept", "text/html").found(t, `name="person" value="(usr_\w+)"`)
	return g.sends(t, "/login", url.Values{"person": {person}}).cookie(t, "sid")
}

// employ fills the café's staff page, and gives the pages of the gallery what they need.
func (g *gallery) employ(t *testing.T) *people {
	t.Helper()
	p := &people{gallery: g, owner: g.comesIn(t)}
	// To look at all pages takes longer than a proof holds.
	g.exec(`UPDATE sessions SET stepped_up_at = now() + interval '1 hour' WHERE id = (SELECT max(id) FROM sessions)`)
	post := func(path string, fields url.Values) answer { return g.sends(t, path, fields, p.owner) }
	invite := func(name, role string) string {
		return post("/dashboard/staff/invites", url.Values{"name": {name}, "role": {role}}).found(t, `(/invite/[\w-]{43})`)
	}
	p.invite = invite("Mia Berg", "manager")
	p.accountant = p.joins(t, invite("Jonas Holm", "accountant"), "Jonas Holm")
	p.newcomer = g.sends(t, "/join", url.Values{"name": {"Noor Haddad"}}).cookie(t, "sid")
	for name, pin := range map[string]string{"Kim Larsen": "4921", "Sofie Dahl": "7730"} {
		require.Equal(t, http.StatusSeeOther, post("/dashboard/staff/cashiers", url.Values{"name": {name}, "pin": {pin}}).Status)
	}
	p.device = g.pairTablet(t, p.owner)
	for _, name := range []string{"Web shop", "Books"} {
		made := post("/dashboard/settings/keys", url.Values{"name": {name}, "scope": {"links:read", "links:write", "sales:read"}, "expires": {"90"}})
		require.Equal(t, http.StatusCreated, made.Status, made.Body)
	}
	staff := g.get(t, "/dashboard/staff", "Accept", "text/html", "Cookie", p.owner)
	p.colleague = staff.found(t, `href="(/dashboard/staff/people/usr_\w+)">Kim Larsen`)
	kim := p.colleague[strings.LastIndex(p.colleague, "/")+1:]
	p.till = g.sends(t, "/pos/unlock", url.Values{"person": {kim}, "pin": {"4921"}}, p.device).cookie(t, "till")
	p.stale = g.comesIn(t)
	g.exec(`UPDATE sessions SET stepped_up_at = NULL WHERE id = (SELECT max(id) FROM sessions)`)
	p.empty, p.firstRun = g.nobody(t)
	return p
}

// joins makes somebody new out of an invitation, and returns the cookie that he works with.
func (g *gallery) joins(t testing.TB, invitation, name string) string {
	t.Helper()
	token := invitation[strings.LastIndex(invitation, "/")+1:]
	own := g.sends(t, "/join", url.Values{"name": {name}, "invite": {token}}).cookie(t, "sid")
	return g.sends(t, invitation, nil, own).cookie(t, "sid")
}

var firstRunAddress = regexp.MustCompile(`/first-run\?token=[\w-]+`)

// nobody is a gateway beside the gallery that knows nobody yet, and where its first person begins.
func (g *gallery) nobody(t *testing.T) (*world, string) {
	t.Helper()
	// It is never ready, since no worker is there to carry a payment out: its pages come nevertheless.
	w := g.serves(t, pgtest.URL(t), "/healthz")
	begin := firstRunAddress.FindString(w.process.log())
	require.NotEmpty(t, begin, w.process.log())
	return w, begin
}

// looks are all pages that sign people in or are about them.
func (p *people) looks() []look {
	at := func(name, path, cookie string, steps ...func(*visitor)) look {
		l := look{name: name, path: path, status: http.StatusOK, cookies: []string{cookie}}
		for _, s := range steps {
			l.steps = s
		}
		return l
	}
	denied := at("denied", "/dashboard/staff", p.accountant)
	denied.status = http.StatusForbidden
	return []look{
		{name: "first run", path: p.firstRun, status: http.StatusOK, at: p.empty},
		{name: "sign in of a shop", path: "/login", status: http.StatusOK, at: p.empty},
		{name: "invitation", path: p.invite, status: http.StatusOK},
		{name: "till, unpaired", path: "/pos", status: http.StatusOK},
		at("staff", "/dashboard/staff", p.owner),
		at("colleague", p.colleague, p.owner),
		at("invite", "/dashboard/staff/invites/new", p.owner),
		at("add a cashier", "/dashboard/staff/cashiers/new", p.owner),
		at("pair a tablet", "/dashboard/staff/tills/new", p.owner),
		at("remove a colleague", p.colleague+"/removal", p.owner),
		at("audit", "/dashboard/audit", p.owner),
		at("audit, nothing", "/dashboard/audit?from=2001-01-01&to=2001-01-02", p.owner),
		at("settings", "/dashboard/settings", p.owner),
		at("keys", "/dashboard/settings/keys", p.owner),
		at("new key", "/dashboard/settings/keys/new", p.owner),
		at("receiving address", "/dashboard/settings/address", p.owner),
		at("step-up", "/account/confirm?return=/dashboard/settings/address", p.stale),
		at("account of somebody new", "/account", p.newcomer),
		at("overview of an accountant", "/dashboard", p.accountant),
		denied,
		at("till, locked", "/pos", p.device),
		at("till, PIN", "/pos", p.device, func(v *visitor) { v.press(v.link("Kim Larsen Cashier")); v.sees(v.heading("Kim Larsen")) }),
		{name: "till, unlocked", path: "/pos", status: http.StatusOK, cookies: []string{p.device, p.till}},
		at("invitation's link", "/dashboard/staff/invites/new", p.owner, func(v *visitor) {
			v.fill("Who is it for?", "Liv Strand")
			v.press(v.GetByText("Viewer", playwright.PageGetByTextOptions{Exact: playwright.Bool(true)}))
			v.press(v.button("Create invitation"))
			v.sees(v.heading("Invitation"))
		}),
		at("pairing code", "/dashboard/staff/tills/new", p.owner, func(v *visitor) {
			v.fill("Name of the till", "Terrace")
			v.press(v.button("Show pairing code"))
			v.sees(v.Locator("#pairing-code"))
		}),
		at("recovery codes", "/login", "", func(v *visitor) {
			v.press(v.button("Sign in as Mette Lund")) // just now, so that no other session has to be confirmed
			v.sees(v.heading("Overview"))
			v.open("/account")
			v.press(v.button("Make new codes"))
			v.sees(v.heading("Recovery codes"))
		}),
		at("key's secret", "/login", "", func(v *visitor) {
			v.press(v.button("Sign in as Mette Lund"))
			v.sees(v.heading("Overview"))
			v.open("/dashboard/settings/keys/new")
			v.fill("Name", "Shown once")
			v.press(v.GetByLabel("Read payment links"))
			v.press(v.button("Create API key"))
			v.sees(v.heading("Keep this key"))
		}),
	}
}

// visitor goes to the page in a browser of its own.
func (l look) visitor(t testing.TB, g *gallery, d device, before ...func(*visitor)) *visitor {
	t.Helper()
	w := g.world
	if l.at != nil {
		w = l.at
	}
	v := visit(t, w, d, before...).provokes(l.status)
	var cookies []playwright.OptionalCookie
	for _, c := range l.cookies {
		if name, value, ok := strings.Cut(c, "="); ok {
			cookies = append(cookies, playwright.OptionalCookie{Name: name, Value: value, URL: &w.BaseURL})
		}
	}
	if len(cookies) > 0 {
		require.NoError(t, v.context.AddCookies(cookies))
	}
	if l.at == nil { // somebody was at the till a moment ago, however long the pages before this one took
		g.exec(`UPDATE sessions SET seen_at = now() WHERE device_id IS NOT NULL`)
	}
	require.Equal(t, l.status, v.open(l.path), l.name)
	if l.steps != nil {
		l.steps(v)
	}
	return v
}

// switchModes walks from test to real money and back, with a second tab open that must follow: under the stripe nothing
// real may stand, and without it nothing that is not.
func (p *people) switchModes(t *testing.T) {
	g := p.gallery
	v := visit(t, g.world, desktop, axe)
	v.open("/login")
	v.press(v.button("Sign in as Mette Lund"))
	v.sees(v.heading("Overview"))
	v.press(v.link("Go live"))
	v.sees(v.heading("Test and real money"))
	g.exec(`UPDATE merchants SET went_live_at = now() WHERE id = $1`, g.SellerID)
	defer g.exec(`UPDATE merchants SET went_live_at = NULL WHERE id = $1`, g.SellerID)

	list, form := v.tab(), v.tab()
	list.open("/dashboard/sales")
	form.open("/dashboard/links/new")
	form.sees(form.Locator(".stripe"))
	v.open("/dashboard/links/new")
	v.press(v.button("Show real money"))
	v.sees(v.heading("Overview"))
	for _, tab := range []*visitor{v, list, form} {
		tab.sees(tab.heading("Overview"))
		require.NoError(t, tab.Locator(".stripe").WaitFor(playwright.LocatorWaitForOptions{State: playwright.WaitForSelectorStateDetached}))
	}
	v.sees(v.Locator(".nav").GetByText("Real money"))
	v.isClean("real money")
	v.width(390, 844)
	v.sees(v.Locator(".shop-bar").GetByText("Real money"))
	v.press(v.Locator(".shop-bar").GetByText("Show test"))
	v.sees(v.Locator(".stripe"))
}

// takeScreenshots shows the documentation's readers how people come in and are looked after.
func (p *people) takeScreenshots(t *testing.T) {
	pictures := map[string]string{
		"first run": "first-run", "sign in of a shop": "sign-in", "staff": "staff", "invitation": "invitation", "keys": "keys", "audit": "audit",
	}
	for _, l := range p.looks() {
		if picture, ok := pictures[l.name]; ok {
			l.visitor(t, p.gallery, desktop).shot(picture)
			l.visitor(t, p.gallery, portrait).shot(picture + "-phone")
		}
	}
	locked := look{path: "/pos", status: http.StatusOK, cookies: []string{p.device}}
	locked.visitor(t, p.gallery, tablet).shot("till-locked")
}

// tablet stands on a counter.
func tablet() playwright.BrowserNewContextOptions {
	return playwright.BrowserNewContextOptions{Viewport: &playwright.Size{Width: 1024, Height: 768}, HasTouch: playwright.Bool(true)}
}
