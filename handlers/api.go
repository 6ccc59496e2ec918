package handlers

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/id"
)

// api answers the calls under /api: for programs, by key or access token. Only the calls of a browser read its cookie.
type api struct{ *Handlers }

// apiCall is one call: its route and its description come from the same row.
type apiCall struct {
	method, path string
	scope        access.Scope      // what the seller's key must allow; empty for public calls and those of a browser
	permission   access.Permission // what a person needs besides, whose access token takes a key's place; empty for nothing
	summary      string
	query        []apiParam
	request      any      // a value of the body's type; nil for none
	required     []string // fields of the request that must be there
	status       int
	answer       any               // a value of the answer's type; nil where content says it all
	content      []string          // other media types of the answer
	headers      map[string]string // of the answer, with what they say
	refusals     []int
	upload       bool // takes a form with a file: the same again is the same upload
	payment      bool // the payment itself makes it safe to repeat
	browser      bool // begins or ends a browser's session: it reads the cookie, and no key
	off          func(*Handlers) bool
	run          func(a api, c echo.Context, who access.Caller) error
}

// public tells whether anybody may make the call, without a key.
func (call apiCall) public() bool { return call.scope == "" }

// apiParam is one parameter of a call's query.
type apiParam struct{ name, doc string }

var echoPath = strings.NewReplacer("{", ":", "}", "")

func (h *Handlers) apiRoutes(e *echo.Echo) {
	a := api{h}
	preflight := map[string]bool{}
	for _, call := range apiCalls() {
		path := echoPath.Replace(call.path)
		if call.browser {
			e.Add(call.method, path, a.browser(call))
			continue
		}
		if !call.public() {
			e.Add(call.method, path, a.guard(call))
			continue
		}
		e.Add(call.method, path, a.guard(call), cors)
		if !preflight[path] {
			preflight[path] = true
			e.OPTIONS(path, nothing, cors)
		}
	}
	e.GET("/openapi.json", a.openAPI, cors)
}

// guard finds out who calls, and lets a POST with an idempotency key happen once.
func (a api) guard(call apiCall) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "no-store")
		if call.off != nil && call.off(a.Handlers) {
			return echo.ErrNotFound
		}
		who, err := a.caller(c)
		switch {
		case err != nil:
			return err
		case call.public():
		case who.Merchant == "":
			return access.ErrDenied
		case !who.May(call.scope), call.permission != "" && who.Role != "" && !who.Role.May(call.permission):
			return errScope
		}
		if call.method != http.MethodPost || call.payment || call.upload {
			return call.run(a, c, who)
		}
		return a.once(c, call, who)
	}
}

// caller is who the request's key or access token stands for: nobody where it carries none.
func (a api) caller(c echo.Context) (access.Caller, error) {
	header := c.Request().Header.Get(echo.HeaderAuthorization)
	c.Response().Header().Add("Vary", echo.HeaderAuthorization)
	if header == "" {
		return access.Caller{}, nil
	}
	scheme, key, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return access.Caller{}, access.ErrDenied
	}
	key = strings.TrimSpace(key)
	who, err := a.bearer(c, key)
	if err == nil {
		a.learnKey(key, who)
	}
	return who, err
}

// owns tells whether a row is the caller's: of his shop, and of his key's mode.
func owns(who access.Caller, merchant id.Merchant, livemode bool) bool {
	return who.Merchant != "" && who.Merchant == merchant && who.Livemode == livemode
}

// noSimulation tells whether the call for simulated payments is not there.
func noSimulation(h *Handlers) bool { return !h.DevSettle }

// apiCalls is every call under /api.
func apiCalls() []apiCall {
	return slices.Concat(linkCalls(), itemCalls(), endpointCalls(), purchaseCalls(), moneyCalls(), payoutCalls(), refundCalls(), codeCalls(), webhookCalls(), eventCalls(), facilitatorCalls(), authCalls())
}

func linkCalls() []apiCall {
	return []apiCall{
		{
			method: http.MethodPost, path: "/api/payment_links/create", scope: access.LinksWrite, summary: "Put something on sale.",
			request: linkRequest{}, status: 201, answer: linkJSON{}, refusals: []int{400, 401, 403, 409, 422}, run: api.createLink,
		},
		{
			method: http.MethodPost, path: "/api/payment_links/update", scope: access.LinksWrite,
			summary: "Change what future buyers see. Fields that are not named stay; null takes an optional one away.",
			request: linkUpdate{}, required: []string{"id"}, status: 200, answer: linkJSON{}, refusals: []int{400, 401, 403, 404, 422}, run: api.updateLink,
		},
		{
			method: http.MethodPost, path: "/api/payment_links/expire", scope: access.LinksWrite,
			summary: "End a link now. Purchases under way may still be paid.",
			request: rowRequest{}, required: []string{"id"}, status: 200, answer: linkJSON{}, refusals: []int{400, 401, 403, 404, 422}, run: api.expireLink,
		},
		{
			method: http.MethodPost, path: "/api/payment_links/delete", scope: access.LinksWrite,
			summary: "End a link and take it out of every list, for ever. What was bought with it stays.",
			request: rowRequest{}, required: []string{"id"}, status: 200, answer: deletedJSON{}, refusals: []int{400, 401, 403, 404, 422}, run: api.deleteLink,
		},
		{
			method: http.MethodGet, path: "/api/payment_links/list", scope: access.LinksRead, summary: "List payment links, newest first.",
			query: listParams(), status: 200, answer: listJSON[linkJSON]{}, refusals: []int{400, 401, 403}, run: api.listLinks,
		},
		{
			method: http.MethodGet, path: "/api/link/{token}", summary: "What a payment link offers.",
			status: 200, answer: offerJSON{}, refusals: []int{401, 404, 409, 410}, run: api.offer,
		},
		{
			method: http.MethodGet, path: "/api/qr", summary: "A payment link's address as a QR code.",
			query: []apiParam{
				{"token", "The link's token."}, {"size", "Width and height in pixels, 100 to 1000; 300 if not given."},
				{"format", "png (the default), svg or json."},
			},
			status: 200, answer: qrJSON{}, content: []string{"image/png", "image/svg+xml"}, refusals: []int{400, 401, 404, 409}, run: api.qr,
		},
	}
}

func purchaseCalls() []apiCall {
	receipts := map[string]string{"PAYMENT-RESPONSE": "The receipt of a version 2 payment.", "X-PAYMENT-RESPONSE": "The receipt of a version 1 payment."}
	return []apiCall{
		{
			method: http.MethodPost, path: "/api/create_payment_session",
			summary: "Begin a purchase: at a payment link, or of items. All of it is held, or nothing. With a shop's key only of what is its own, " +
				"beyond the limits on unpaid purchases, and with a discount where it likes. What costs nothing is settled at once.",
			request: sessionRequest{}, status: 201, answer: sessionJSON{},
			refusals: []int{400, 401, 404, 409, 410, 422, 429, 503}, run: api.createSession,
		},
		{
			method: http.MethodGet, path: "/api/payment_attempts/{id}",
			summary: "Where a purchase stands. The receipt is for its buyer, by k, for the shop, by key, and for who has the receipt's token.",
			query:   []apiParam{{"k", "The buyer's token."}, {"receipt", "The receipt's token, which came along where the buyer was sent back: it shows no goods."}},
			status:  200, answer: attemptJSON{}, refusals: []int{401, 404}, run: api.attempt,
		},
		{
			method: http.MethodPost, path: "/api/payment_attempts/{id}/pay", payment: true,
			summary: "Pay a purchase: by a PAYMENT-SIGNATURE or X-PAYMENT header, or with what the wallet signed. " +
				"202 while the network has not answered: the same payment may be sent again, no other.",
			request: paymentRequest{}, required: []string{"signature", "authorization"}, status: 200, answer: receiptJSON{}, headers: receipts,
			refusals: []int{202, 400, 401, 402, 404, 409, 410, 503}, run: api.pay,
		},
		{
			method: http.MethodPost, path: "/api/dev/settle", scope: access.PaymentsDev, off: noSimulation,
			summary: "Pay an open purchase with simulated money. Only where the gateway is started with DEV_SETTLE_ENABLED=true.",
			request: settleRequest{}, required: []string{"payment_attempt_id"}, status: 200, answer: attemptJSON{},
			refusals: []int{400, 401, 403, 404, 409, 422}, run: api.settle,
		},
	}
}

func moneyCalls() []apiCall {
	return []apiCall{
		{
			method: http.MethodGet, path: "/api/settlements/list", scope: access.SalesRead, summary: "List how the money moved, newest first.",
			query: listParams(), status: 200, answer: listJSON[settlementJSON]{}, refusals: []int{400, 401, 403}, run: api.listSettlements,
		},
		{
			method: http.MethodGet, path: "/api/sales/list", scope: access.SalesRead, summary: "List sales, newest first.",
			query: listParams(saleParams...), status: 200, answer: listJSON[saleJSON]{}, refusals: []int{400, 401, 403}, run: api.listSales,
		},
		{
			method: http.MethodGet, path: "/api/sales.csv", scope: access.SalesRead, permission: access.ExportSales, summary: "All sales of a filter as one table, newest first.",
			query: saleParams, status: 200, content: []string{"text/csv"}, refusals: []int{400, 401, 403},
			headers: map[string]string{headerRows: "How many rows follow the column names.", headerTotal: "Their sum in base units, simulated money left out."},
			run:     api.exportSales,
		},
		{
			method: http.MethodPost, path: "/api/sales/fulfill", scope: access.SalesWrite,
			summary: "Note that a sale was sent, with a note such as a tracking number. One that was sent before stays as it is.",
			request: fulfilRequest{}, required: []string{"id"}, status: 200, answer: saleJSON{}, refusals: []int{400, 401, 403, 404, 409, 422}, run: api.fulfil,
		},
		{
			method: http.MethodGet, path: "/api/exceptions/list", scope: access.SalesRead,
			summary: "List money that somebody has to decide on, newest first: it came late, is not explained, or differs from the books.",
			query:   listParams(), status: 200, answer: listJSON[exceptionJSON]{}, refusals: []int{400, 401, 403}, run: api.listExceptions,
		},
		{
			method: http.MethodGet, path: "/api/balance", scope: access.SalesRead, permission: access.SeeMoney, summary: "How the shop's money stands, by network: what is kept for it, and what its own address was paid.",
			status: 200, answer: listJSON[balanceJSON]{}, refusals: []int{401, 403}, run: api.balance,
		},
	}
}

// ownAttempt finds the caller's own purchase; everybody else's is not there.
func (a api) ownAttempt(c echo.Context, who access.Caller, text string) (checkout.Purchase, error) {
	attempt, err := id.Parse[id.Attempt](text)
	if err != nil {
		return checkout.Purchase{}, checkout.ErrNotFound
	}
	p, err := a.Checkout.Purchase(c.Request().Context(), attempt)
	if err == nil && !owns(who, p.Merchant, p.Livemode) {
		return checkout.Purchase{}, checkout.ErrNotFound
	}
	return p, err
}
