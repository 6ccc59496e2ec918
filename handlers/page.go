package handlers

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/a-h/templ"
	"github.com/ethereum/go-ethereum/common"
	"github.com/labstack/echo/v4"

	"xsynesis/money"
	"xsynesis/views"
	"xsynesis/x402"
)

// Page renders a whole page; nothing is sent unless all of it could be rendered.
func (h *Handlers) Page(c echo.Context, status int, page templ.Component) error {
	var b bytes.Buffer
	if err := page.Render(c.Request().Context(), &b); err != nil {
		return err
	}
	return c.HTMLBlob(status, b.Bytes())
}

// pageOr renders one fragment of a page when a script asks for it, and else the whole page.
func (h *Handlers) pageOr(c echo.Context, status int, fragment string, page templ.Component) error {
	c.Response().Header().Set("Vary", vary)
	if !isScript(c.Request()) {
		return h.Page(c, status, page)
	}
	var b bytes.Buffer
	if err := templ.RenderFragments(c.Request().Context(), &b, page, fragment); err != nil {
		return err
	}
	return c.HTMLBlob(status, b.Bytes())
}

// isScript tells a page's own request for a part of itself.
func isScript(r *http.Request) bool { return r.Header.Get("HX-Request") == "true" }

// previewBots fetch a shared link to show what it leads to; they send Accept: */*.
var previewBots = []string{
	"facebookexternalhit", "twitterbot", "slackbot", "telegrambot", "whatsapp", "discordbot", "linkedinbot", "applebot",
	"googlebot", "bingbot", "pinterest", "skypeuripreview", "redditbot", "mastodon", "embedly", "iframely", "signal",
}

// wantsPage tells people from programs on URLs that serve both.
func wantsPage(r *http.Request) bool {
	if r.Header.Get("HX-Request") != "" || strings.Contains(r.Header.Get("Accept"), "text/html") {
		return true
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead || carriesPayment(r) {
		return false
	}
	agent := strings.ToLower(r.UserAgent())
	for _, bot := range previewBots {
		if strings.Contains(agent, bot) {
			return true
		}
	}
	return false
}

func carriesPayment(r *http.Request) bool {
	return r.Header.Get(x402.HeaderSignature) != "" || r.Header.Get(x402.HeaderPayment) != ""
}

// vary names what decides between the answers of a URL that serves people and programs.
const vary = "Accept, HX-Request, PAYMENT-SIGNATURE, X-PAYMENT"

func errorView(c echo.Context, r reply) views.ErrorView {
	v := views.ErrorView{Title: "This did not work", Sentence: r.message, Request: requestID(c)}
	switch {
	case r.status == http.StatusNotFound && strings.HasPrefix(c.Request().URL.Path, "/link/"):
		return views.UnknownLink(requestID(c))
	case r.status == http.StatusNotFound:
		v.Title = "We could not find that page"
	case r.code == "role_forbids":
		v.Title, v.Action, v.Path = "You may not open this", "Your account", views.AccountPath
	case r.status == http.StatusTooManyRequests:
		v.Title = "One moment, please"
	case r.status >= http.StatusInternalServerError:
		v.Title = "Please try again in a moment"
		v.Action, v.Path = "Try again", c.Request().URL.RequestURI()
	}
	return v
}

// checksum writes an address as wallets show it (EIP-55).
func checksum(address string) string { return common.HexToAddress(address).Hex() }

func amountOf(qty int) money.USDC { return money.USDC(qty) }
