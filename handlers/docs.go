package handlers

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"xsynesis/views"
)

// docsRoutes serves the description of the API to people. Programs read the same at /openapi.json.
func (h *Handlers) docsRoutes(e *echo.Echo) {
	page := sync.OnceValues(func() (views.ReferenceView, error) { return reference(h.PublicURL, apiCalls()) })
	e.GET("/docs", func(c echo.Context) error {
		v, err := page()
		if err != nil {
			return err
		}
		c.Response().Header().Set("Cache-Control", "public, max-age=300")
		return h.Page(c, http.StatusOK, views.Reference(v))
	})
}

// reference is the document of [describe], in the order of the calls and in words.
func reference(server string, calls []apiCall) (views.ReferenceView, error) {
	d, err := decodeDescription(describe(server, calls))
	if err != nil {
		return views.ReferenceView{}, err
	}
	v := views.ReferenceView{Server: server, About: conventions}
	for _, call := range calls {
		v.Sections = d.addCall(v.Sections, call)
	}
	v.Events = d.events()
	v.Objects = d.objects()
	for _, r := range replies {
		row := views.ReferenceError{Status: r.status, Code: r.code, Message: r.message}
		if !slices.ContainsFunc(v.Errors, func(e views.ReferenceError) bool { return e.Code == row.Code }) {
			v.Errors = append(v.Errors, row)
		}
	}
	slices.SortStableFunc(v.Errors, func(a, b views.ReferenceError) int { return a.Status - b.Status })
	return v, nil
}

// conventions is what holds for every call. Text between backticks is code.
var conventions = []views.ReferenceText{
	{Title: "Addresses and keys", Lines: []string{
		"Every call stands under `/api`, takes and gives JSON in UTF-8, and is described for programs at `/openapi.json`.",
		"A shop's server sends `Authorization: Bearer` and its API key. Keys that begin with `sk_test_` see and make test rows, keys " +
			"that begin with `sk_live_` live ones. A key may do what its scopes say. Only the calls under `/api/auth` read a browser's cookie.",
	}},
	{Title: "Money and time", Lines: []string{
		"`amount` is a string of base units: USDC has 6 decimals, so `\"12500000\"` is 12.50 USDC. `amount_cents` is the same, rounded " +
			"down to whole cents; totals use `amount`. `price` is a decimal such as `\"12.50\"`.",
		"Times are RFC 3339 in UTC. Networks are named as CAIP-2 does: `eip155:8453` is Base, `eip155:84532` is Base Sepolia.",
	}},
	{Title: "Asking twice", Lines: []string{
		"Every POST takes an `Idempotency-Key` of 1 to 255 visible ASCII characters; without a shop's key it has at least 22. The same key " +
			"with the same body gets the first answer again, with `Idempotent-Replayed: true`. With another body the answer is 422 " +
			"`idempotency_mismatch`; while the first request runs it is 409 with `Retry-After`.",
		"Answers 202, 402, 409, 429 and 5xx are not kept. Calls that take a payment need no key: the payment itself can be used once.",
	}},
	{Title: "Asking often", Lines: []string{
		fmt.Sprintf("A key may ask %d times a second, and %d times at once; an address without a key %d and %d times. Beyond that the answer is 429 "+
			"`too_many_requests`, with `Retry-After` in seconds. A payment that its payer signed is never refused for that.",
			keyPace.second, keyPace.burst, addressPace.second, addressPace.burst),
	}},
	{Title: "Lists", Lines: []string{
		"Lists are pages of `data`, newest first unless the call says otherwise, with `next_cursor` where there is more. `limit` is 1 to 100. " +
			"Send `next_cursor` back as `cursor` for the next page.",
	}},
}

// sections names the parts of the reference, by the first word of a call's path after /api.
var sections = map[string]string{
	"payment_links": "Payment links", "link": "Payment links", "qr": "Payment links",
	"items": "Items", "uploads": "Items", "endpoints": "Paid APIs", "passes": "Paid APIs", "activation_codes": "Activation codes",
	"create_payment_session": "Purchases", "payment_attempts": "Purchases", "dev": "Purchases",
	"settlements": "Money", "sales": "Money", "sales.csv": "Money", "balance": "Money", "exceptions": "Money", "payouts": "Money", "refunds": "Money", "facilitator": "Money",
	"auth":     "Signing in",
	"webhooks": "Webhooks", "events": "Webhooks", "notices": "Webhooks",
}

// section is the part of the reference that a call stands in.
func section(path string) string {
	word, _, _ := strings.Cut(strings.TrimPrefix(path, "/api/"), "/")
	if name, ok := sections[word]; ok {
		return name
	}
	return word
}
