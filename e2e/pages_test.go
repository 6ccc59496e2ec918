package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/playwright-community/playwright-go"
	"github.com/stretchr/testify/require"
)

// axe puts the rules of accessibility into a visitor's pages. Scripts of this kind are not subject to the page's
// security policy, which therefore stays as it is.
func axe(v *visitor) {
	path := filepath.Join(npmFolder(v.t, "axe"), "node_modules", "axe-core", "axe.min.js")
	text, err := os.ReadFile(path)
	require.NoError(v.t, err)
	require.NoError(v.t, v.context.AddInitScript(scriptOf(string(text))))
}

// What fades in is judged once it is there.
const runAxe = `async () => {
	await Promise.allSettled(document.getAnimations().filter((a) => a.effect.getComputedTiming().endTime !== Infinity).map((a) => a.finished));
	const { violations, passes } = await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"], resultTypes: ["violations"] });
	if (passes.length < 5) return ["only " + passes.length + " rules were looked at"];
	return violations.map((v) => v.id + ": " + v.nodes.map((n) => n.target.join(" ") + " (" + n.any.concat(n.all, n.none).map((c) => c.message).join("; ") + ")").join(" | "));
}`

// requireAccessible demands that no rule of WCAG 2.2 AA that a program can judge is broken. What changes while it is looked at is
// looked at once more.
func (v *visitor) requireAccessible(what string) {
	v.t.Helper()
	found, err := v.Evaluate(runAxe)
	if err == nil && len(found.([]any)) > 0 {
		found, err = v.Evaluate(runAxe)
	}
	require.NoError(v.t, err, what)
	for _, violation := range found.([]any) {
		v.t.Errorf("%s: %v", what, violation)
	}
}

// looks changes what the page is seen in: light or dark.
func (v *visitor) looks(scheme *playwright.ColorScheme) {
	v.t.Helper()
	require.NoError(v.t, v.EmulateMedia(playwright.PageEmulateMediaOptions{ColorScheme: scheme, ReducedMotion: playwright.ReducedMotionReduce}))
}

func (v *visitor) width(pixels, height int) {
	v.t.Helper()
	require.NoError(v.t, v.SetViewportSize(pixels, height))
}

// TestEveryPage is one look at each page: what a program can judge of accessibility, in light and dark, on a phone and
// on a desk; nothing that scrolls sideways on the narrowest phone; nothing in the console; no request to anybody else.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	g := openGallery(t)
	staff := g.employ(t)
	shelves, calls := staff.shelves(t), staff.calls(t)
	t.Run("group", func(t *testing.T) { // ends before the world does
		for _, p := range g.pages() {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				g.visitor(t, p, desktop, axe).isClean(p.name)
			})
		}
		for _, l := range slices.Concat(staff.looks(), shelves, calls) {
			t.Run(l.name, func(t *testing.T) {
				t.Parallel()
				l.visitor(t, g, desktop, axe).isClean(l.name)
			})
		}
		t.Run("screens of the wallet", func(t *testing.T) {
			t.Parallel()
			g.requireScreensAccessible(t)
		})
		t.Run("screenshots", func(t *testing.T) {
			t.Parallel()
			g.takeScreenshots(t)
			staff.takeScreenshots(t)
			staff.takeShopScreenshots(t, shelves)
		})
		t.Run("pictures of money", func(t *testing.T) {
			t.Parallel()
			g.takeMoneyScreenshots(t)
		})
		t.Run("pictures of paid APIs", func(t *testing.T) {
			t.Parallel()
			staff.takeCallScreenshots(t, calls)
		})
	})
	t.Run("sending failed again", func(t *testing.T) { g.sendFailedAgain(t) })
	t.Run("test and real money", func(t *testing.T) { staff.switchModes(t) })
}

// isClean looks at the page that is open from all sides.
func (v *visitor) isClean(name string) {
	v.t.Helper()
	for _, width := range []int{1440, 1024, 390, 320} {
		v.width(width, 800)
		v.requireNoSidewaysScroll()
		if width == 1024 || width == 390 {
			continue // the same page as at 1440 or 320, only narrower or wider
		}
		v.looks(playwright.ColorSchemeLight)
		v.requireAccessible(fmt.Sprintf("%s, light, %d px", name, width))
	}
	v.looks(playwright.ColorSchemeDark)
	v.requireAccessible(name + ", dark")
}

// What an open purchase shows while the buyer deals with his wallet travels with the page.
func (g *gallery) requireScreensAccessible(t *testing.T) {
	v := g.visitor(t, page{"", g.purchases["open"], 200, false}, phone, axe)
	names, err := v.Evaluate(`() => [...document.querySelectorAll("template[id^=screen-]")].map((t) => t.id)`)
	require.NoError(t, err)
	require.NotEmpty(t, names)
	v.width(320, 640)
	for _, name := range names.([]any) {
		_, err := v.Evaluate(`(id) => document.getElementById("act").replaceChildren(document.getElementById(id).content.cloneNode(true))`, name)
		require.NoError(t, err)
		v.requireNoSidewaysScroll()
		v.looks(playwright.ColorSchemeLight)
		v.requireAccessible(fmt.Sprintf("%s, light", name))
		v.looks(playwright.ColorSchemeDark)
		v.requireAccessible(fmt.Sprintf("%s, dark", name))
	}
}

// maxLinkPage is what a buyer's phone may have to load before it can pay.
const maxLinkPage = 60_000

func TestLinkPageIsLightEnoughForAPhone(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	v := visit(t, w, phone)
	session, err := v.context.NewCDPSession(v.Page)
	require.NoError(t, err)
	var bytes, files atomic.Int64
	session.On("Network.loadingFinished", func(params map[string]any) {
		files.Add(1)
		switch n := params["encodedDataLength"].(type) {
		case float64:
			bytes.Add(int64(n))
		case int:
			bytes.Add(int64(n))
		}
	})
	_, err = session.Send("Network.enable", map[string]any{})
	require.NoError(t, err)
	_, err = v.Goto(w.PayURL, playwright.PageGotoOptions{WaitUntil: playwright.WaitUntilStateNetworkidle})
	require.NoError(t, err)
	report(t, "link page: %d bytes on the wire in %d files", bytes.Load(), files.Load())
	require.Positive(t, bytes.Load())
	require.LessOrEqual(t, bytes.Load(), int64(maxLinkPage))
}

// shot writes a picture for the documentation, where XSYNESIS_SCREENSHOTS asks for it.
func (v *visitor) shot(name string) {
	v.t.Helper()
	if os.Getenv("XSYNESIS_SCREENSHOTS") == "" {
		return
	}
	// As high as the page is: what sticks to the window's edge then stands at the page's. Of a long list its beginning does.
	height, err := v.Evaluate(`() => Math.min(document.documentElement.scrollHeight, 1600)`)
	require.NoError(v.t, err)
	v.width(v.ViewportSize().Width, height.(int))
	_, err = v.Screenshot(playwright.PageScreenshotOptions{
		Path:       playwright.String(filepath.Join("..", "docs", "images", name+".png")),
		Animations: playwright.ScreenshotAnimationsDisabled,
	})
	require.NoError(v.t, err)
}

// portrait is a phone for pictures: as wide as the one that tests use, and not so fine.
func portrait() (o playwright.BrowserNewContextOptions) {
	o = phone()
	o.Viewport, o.DeviceScaleFactor = &playwright.Size{Width: 390, Height: 760}, playwright.Float(2)
	return o
}

// takeScreenshots walks past what the documentation shows; without XSYNESIS_SCREENSHOTS it only walks.
func (g *gallery) takeScreenshots(t *testing.T) {
	pocket := newWallet(g.buyer(t), g.ChainID)
	for _, state := range []string{"open", "settling", "unknown", "expired", "settled"} {
		v := g.visitor(t, page{"", g.purchases[state], map[string]int{"expired": 410}[state], false}.orOK(), portrait, noTestWallet, pocket.in)
		v.sees(v.Locator("#purchase[data-status=" + state + "]"))
		v.shot(strings.NewReplacer("settled", "paid").Replace(state) + "-phone")
	}

	v := g.visitor(t, page{"", g.link.URL, 200, false}, portrait, noTestWallet, pocket.in)
	v.says("Opens " + walletName)
	v.shot("link-phone")
	release := pocket.hold()
	defer release()
	v.press(v.button("Pay "))
	v.sees(v.heading("Approve in your wallet"))
	v.shot("waiting-phone")

	poor := newWallet(newKey(t), g.ChainID)
	v = g.visitor(t, page{"", g.link.URL, 200, false}, portrait, noTestWallet, poor.in).provokes(402)
	v.press(v.button("Pay "))
	v.sees(v.heading("Not enough USDC"))
	v.shot("no-funds-phone")

	shown := map[string]string{"links": "/dashboard/links"}
	for _, p := range g.webhooks {
		if picture, ok := map[string]string{"webhooks": "webhooks", "deliveries": "deliveries", "delivery": "webhook-delivery"}[p.name]; ok {
			shown[picture] = p.path
		}
	}
	for name, path := range shown {
		v := g.visitor(t, page{name, path, 200, true}, desktop)
		v.shot(name)
	}
}

func (p page) orOK() page {
	p.status = max(p.status, 200)
	return p
}
