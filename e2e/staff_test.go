package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"
	"github.com/stretchr/testify/require"
)

// signedOutWithin is how soon somebody's open page must notice that he was removed.
const signedOutWithin = 2 * time.Second

// beside is the same world, seen through a second web process.
func (w *world) beside(t *testing.T) *world {
	t.Helper()
	return w.serves(t, w.DatabaseURL, "/readyz")
}

// serves starts a web process where nobody new may sign up, on this database, and waits until it answers at a path.
func (w *world) serves(t *testing.T, database, path string) *world {
	t.Helper()
	other, port := *w, freePort()
	other.DatabaseURL, other.BaseURL = database, fmt.Sprintf("http://localhost:%d", port)
	other.process = w.startProcess(t, w.with("DATABASE_URL="+database, fmt.Sprintf("PORT=%d", port), "PUBLIC_URL="+other.BaseURL, "SIGNUPS=closed"), "xsynesis", "serve")
	require.Eventually(t, func() bool { return answers(t.Context(), other.BaseURL+path) }, readyTimeout, 100*time.Millisecond, other.BaseURL)
	return &other
}

// pathIn is the path of the address that an element shows.
func (v *visitor) pathIn(selector string) string {
	v.t.Helper()
	text, err := v.Locator(selector).InnerText()
	require.NoError(v.t, err)
	u, err := url.Parse(text)
	require.NoError(v.t, err)
	return u.RequestURI()
}

func TestStaffComesWorksAndGoes(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	second := w.beside(t)

	owner := signedIn(t, w, desktop)
	axe(owner)
	owner.press(owner.link("Staff").First())
	owner.sees(owner.heading("Staff"))
	owner.clean("staff")
	owner.press(owner.link("Invite"))
	owner.clean("the form of an invitation")
	owner.fill("Who is it for?", "Mia Berg")
	owner.press(owner.GetByText("Manager", playwright.PageGetByTextOptions{Exact: playwright.Bool(true)}))
	owner.press(owner.button("Create invitation"))
	owner.sees(owner.heading("Invitation"))
	owner.clean("an invitation's link")
	invitation := owner.pathIn("#invite-url")

	manager := visit(t, second, desktop, axe).provokes(http.StatusUnauthorized)
	manager.open(invitation)
	manager.says("Can: Run the shop")
	manager.says("Cannot: Change where the shop is paid")
	manager.clean("an invitation")
	manager.press(manager.link("Create your account")) // nobody else may sign up here
	manager.fill("Your name", "Mia Berg")
	manager.press(manager.button("Get recovery codes instead"))
	manager.press(manager.link("Go on"))
	manager.press(manager.button("Join as Mia Berg"))
	manager.sees(manager.heading("Overview"))

	manager.open("/dashboard/staff/cashiers/new")
	manager.clean("a new cashier")
	manager.fill("Name", "Kim")
	manager.fill("PIN", "4921")
	manager.press(manager.button("Add cashier"))
	manager.sees(manager.heading("Staff"))
	manager.open("/dashboard/staff/tills/new")
	manager.clean("a new till")
	manager.fill("Name of the till", "Counter")
	manager.press(manager.button("Show pairing code"))
	manager.clean("a pairing code")
	code, err := manager.Locator("#pairing-code").InnerText()
	require.NoError(t, err)

	tablet := visit(t, w, desktop, axe).provokes(http.StatusUnprocessableEntity)
	tablet.open("/pos")
	tablet.clean("an unpaired tablet")
	tablet.fill("Pairing code", code)
	tablet.press(tablet.button("Pair this tablet"))
	tablet.sees(tablet.heading("Who is at the till?"))
	tablet.clean("a locked till")
	tablet.press(tablet.link("Kim Cashier"))
	tablet.fill("PIN", "1111")
	tablet.press(tablet.button("Unlock"))
	tablet.says("This is not the PIN.")
	tablet.clean("a PIN pad")
	for _, digit := range "4921" {
		tablet.press(tablet.Locator(fmt.Sprintf(`[data-key="%c"]`, digit)))
	}
	tablet.press(tablet.button("Unlock"))
	tablet.sees(tablet.heading("New sale"))
	tablet.clean("an unlocked till")

	manager.open("/dashboard")
	form := manager.tab() // nothing on it is live
	form.open("/dashboard/links/new")
	form.fill(labelTitle, "Half a thought")
	owner.open("/dashboard/staff")
	owner.press(owner.link("Mia Berg"))
	owner.clean("a colleague")
	owner.press(owner.link("Remove Mia Berg"))
	began := time.Now()
	owner.press(owner.button("Remove Mia Berg"))
	manager.sees(manager.heading("Sign in"))
	form.sees(form.heading("Sign in"))
	took := time.Since(began)
	report(t, "from the press of Remove to the sign-in on both open pages: %s", took.Round(time.Millisecond))
	require.Less(t, took, signedOutWithin)
	require.Contains(t, form.URL(), second.BaseURL)

	owner.open("/dashboard/staff")
	owner.press(owner.link("Kim"))
	owner.press(owner.link("Remove Kim"))
	owner.press(owner.button("Remove Kim"))
	tablet.sees(tablet.heading("Who is at the till?"))

	owner.press(owner.link("Who did what").First())
	owner.sees(owner.Locator(".audit-rows").GetByText("Member removed").First())
	owner.clean("who did what")
	for _, size := range [][2]int{{390, 844}, {1024, 768}} {
		owner.width(size[0], size[1])
		for _, path := range []string{"/dashboard/staff", "/dashboard/audit", "/dashboard/staff/invites/new"} {
			owner.open(path)
			owner.clean(fmt.Sprintf("%s at %d", path, size[0]))
		}
	}
}
