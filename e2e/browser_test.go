package e2e

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/playwright-community/playwright-go"
	"github.com/stretchr/testify/require"
)

// patience is how long a page may take to show what it should, in milliseconds.
const patience = 15_000

// browser is the one that all tests share; each has contexts of its own in it.
var browser = sync.OnceValues(func() (playwright.Browser, error) {
	chromium := cache("XSYNESIS_CHROMIUM", "chromium")
	driver := cache("PLAYWRIGHT_DRIVER_PATH", "playwright")
	for what, path := range map[string]string{"Chromium": chromium, "The browser's driver": filepath.Join(driver, "package", "cli.js")} {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%s is missing at %s: `make test` installs it", what, path)
		}
	}
	pw, err := playwright.Run(&playwright.RunOptions{SkipInstallBrowsers: true, DriverDirectory: driver})
	if err != nil {
		return nil, fmt.Errorf("start the browser's driver: %w", err)
	}
	atEnd(pw.Stop)
	b, err := pw.Chromium.Launch(playwright.BrowserTypeLaunchOptions{
		ExecutablePath: &chromium, Headless: playwright.Bool(true), ChromiumSandbox: playwright.Bool(false),
		Args: []string{
			"--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync",
		},
	})
	if err != nil {
		return nil, fmt.Errorf("start Chromium: %w", err)
	}
	atEnd(func() error { return b.Close() })
	phones.iPhone = pw.Devices["iPhone 13"]
	return b, nil
})

var phones struct{ iPhone *playwright.DeviceDescriptor }

// device is what a visitor looks at.
type device func() playwright.BrowserNewContextOptions

func phone() playwright.BrowserNewContextOptions {
	d := phones.iPhone
	return playwright.BrowserNewContextOptions{
		Viewport: d.Viewport, Screen: d.Screen, UserAgent: &d.UserAgent, DeviceScaleFactor: &d.DeviceScaleFactor,
		IsMobile: &d.IsMobile, HasTouch: &d.HasTouch,
	}
}

func desktop() playwright.BrowserNewContextOptions {
	return playwright.BrowserNewContextOptions{Viewport: &playwright.Size{Width: 1440, Height: 900}}
}

func without(scripts device) device {
	return func() playwright.BrowserNewContextOptions {
		o := scripts()
		o.JavaScriptEnabled = playwright.Bool(false)
		return o
	}
}

// visitor is a person with a browser that has never been here. When the test ends, nothing must have gone wrong in it:
// no error in the console, no request to anybody but the shop, no page that scrolls sideways.
type visitor struct {
	playwright.Page
	t       testing.TB
	w       *world
	context playwright.BrowserContext
	mayOpen string // part of an address elsewhere that the test provokes
	cutOff  bool   // the test breaks connections

	mu       sync.Mutex
	problems []string
	statuses []int // of answers that the test provokes
}

// visit opens a browser; before runs before there is a page.
func visit(t testing.TB, w *world, d device, before ...func(*visitor)) *visitor {
	t.Helper()
	b, err := browser()
	require.NoError(t, err)
	context, err := b.NewContext(d())
	require.NoError(t, err)
	v := &visitor{t: t, w: w, context: context}
	context.OnConsole(v.hear)
	context.OnRequest(v.watch)
	context.OnWebError(func(e playwright.WebError) { v.note("a script failed: " + e.Error().Error()) })
	t.Cleanup(v.leave)
	for _, prepare := range before {
		prepare(v)
	}
	v.Page = v.newPage()
	return v
}

func (v *visitor) newPage() playwright.Page {
	v.t.Helper()
	page, err := v.context.NewPage()
	require.NoError(v.t, err)
	page.SetDefaultTimeout(patience)
	return page
}

func (v *visitor) leave() {
	if v.t.Failed() && v.Page != nil && !v.IsClosed() {
		text, _ := v.Locator("body").InnerText()
		v.t.Logf("at the end the page %s said:\n%s", v.URL(), text)
	}
	v.mu.Lock()
	problems := slices.Clone(v.problems) // closing ends streams, which pages complain about
	v.mu.Unlock()
	require.NoError(v.t, v.context.Close())
	require.Empty(v.t, problems)
}

func (v *visitor) note(problem string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.problems = append(v.problems, problem)
}

// provokes names the statuses of answers that are meant to happen: browsers write each of them to the console.
func (v *visitor) provokes(statuses ...int) *visitor {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.statuses = append(v.statuses, statuses...)
	return v
}

var failedLoad = regexp.MustCompile(`^Failed to load resource: the server responded with a status of (\d+)`)

func (v *visitor) hear(m playwright.ConsoleMessage) {
	if m.Type() != "error" && m.Type() != "warning" {
		return
	}
	if found := failedLoad.FindStringSubmatch(m.Text()); found != nil {
		status, _ := strconv.Atoi(found[1])
		v.mu.Lock()
		meant := slices.Contains(v.statuses, status)
		v.mu.Unlock()
		if meant {
			return
		}
	}
	if v.cutOff && strings.HasPrefix(m.Text(), "Failed to load resource: net::ERR_") {
		return
	}
	v.note(fmt.Sprintf("console: %s at %s, on %s", m.Text(), m.Location().URL, m.Page().URL()))
}

func (v *visitor) watch(r playwright.Request) {
	u, err := url.Parse(r.URL())
	if err == nil && (u.Scheme == "data" || u.Scheme == "blob" || u.Scheme+"://"+u.Host == v.w.BaseURL) {
		return
	}
	if v.mayOpen == "" || !strings.Contains(r.URL(), v.mayOpen) {
		v.note("a request to somebody else: " + r.URL())
	}
}

// open goes to an address and returns the status of the page.
func (v *visitor) open(address string) int {
	v.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = v.w.BaseURL + address
	}
	response, err := v.Goto(address)
	require.NoError(v.t, err)
	v.requireNoSidewaysScroll()
	return response.Status()
}

// requireNoSidewaysScroll holds for every page at every width.
func (v *visitor) requireNoSidewaysScroll() {
	v.t.Helper()
	over, err := v.Evaluate(`() => document.documentElement.scrollWidth - document.documentElement.clientWidth`)
	require.NoError(v.t, err)
	require.EqualValues(v.t, 0, over, "%s scrolls sideways", v.URL())
}

// button is the one with this word; words that begin so will do.
func (v *visitor) button(word string) playwright.Locator {
	return v.GetByRole("button", playwright.PageGetByRoleOptions{Name: regexp.MustCompile("^" + regexp.QuoteMeta(word))})
}

func (v *visitor) link(word string) playwright.Locator {
	return v.GetByRole("link", playwright.PageGetByRoleOptions{Name: word, Exact: playwright.Bool(true)})
}

func (v *visitor) heading(words string) playwright.Locator {
	return v.GetByRole("heading", playwright.PageGetByRoleOptions{Name: words, Exact: playwright.Bool(true)})
}

// press clicks, or taps.
func (v *visitor) press(l playwright.Locator) {
	v.t.Helper()
	require.NoError(v.t, l.Click())
}

// sees waits until something is shown.
func (v *visitor) sees(l playwright.Locator) {
	v.t.Helper()
	require.NoError(v.t, l.First().WaitFor())
}

func (v *visitor) says(text string) {
	v.t.Helper()
	v.sees(v.GetByText(text))
}

// reload loads the page again, as an impatient buyer does.
func (v *visitor) reload() {
	v.t.Helper()
	_, err := v.Reload()
	require.NoError(v.t, err)
}

// tab opens another tab of the same browser.
func (v *visitor) tab() *visitor {
	v.t.Helper()
	return v.with(v.newPage())
}

func (v *visitor) with(page playwright.Page) *visitor {
	return &visitor{Page: page, t: v.t, w: v.w, context: v.context}
}

// attempt is the purchase whose page is open.
func (v *visitor) attempt() string {
	v.t.Helper()
	return attemptIn(v.t, v.URL())
}

// attemptIn is the id in the address of a purchase.
func attemptIn(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	attempt, ok := strings.CutPrefix(u.Path, "/pay/")
	require.True(t, ok, address)
	return attempt
}

// signedIn is the café's owner at her dashboard.
func signedIn(t testing.TB, w *world, d device) *visitor {
	t.Helper()
	v := visit(t, w, d)
	v.open("/login")
	v.press(v.button("Sign in as Mette Lund"))
	v.sees(v.heading("Overview"))
	return v
}

func scriptOf(text string) playwright.Script { return playwright.Script{Content: &text} }

// answerInstead answers a visitor's requests in the place of whoever was asked.
func (v *visitor) answerInstead(pattern, body string) {
	v.t.Helper()
	require.NoError(v.t, v.context.Route(pattern, func(r playwright.Route) {
		_ = r.Fulfill(playwright.RouteFulfillOptions{Body: body}) // the page may be gone
	}))
}
