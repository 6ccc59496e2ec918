package handlers

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/shop"
)

func endpointCalls() []apiCall {
	return []apiCall{
		{
			method: http.MethodPost, path: "/api/endpoints/create", scope: access.EndpointsWrite,
			summary: "Put a price on an HTTP resource of the shop's own server. Programs pay it at `endpoint_url`, and below.",
			request: endpointRequest{}, required: []string{"url"}, status: 201, answer: endpointJSON{}, refusals: []int{400, 401, 403, 409, 422}, run: api.createEndpoint,
		},
		{
			method: http.MethodPost, path: "/api/endpoints/update", scope: access.EndpointsWrite,
			summary: "Change what future calls cost and where they go. Fields that are not named stay; null takes an optional one away. A price that a 402 has named is honoured for 300 s, unless what it pays for changed with it. On another server the secret is given anew.",
			request: endpointUpdate{}, required: []string{"id"}, status: 200, answer: endpointJSON{}, refusals: []int{400, 401, 403, 404, 422}, run: api.updateEndpoint,
		},
		{
			method: http.MethodPost, path: "/api/endpoints/disable", scope: access.EndpointsWrite,
			summary: "Switch an endpoint off, or with `disabled: false` on again. Calls under way go on; passes stay, and open nothing meanwhile.",
			request: disableRequest{}, required: []string{"id"}, status: 200, answer: endpointJSON{}, refusals: []int{400, 401, 403, 404, 422}, run: api.disableEndpoint,
		},
		{
			method: http.MethodGet, path: "/api/endpoints/list", scope: access.EndpointsRead, summary: "List paid APIs, newest first.",
			query: listParams(), status: 200, answer: listJSON[endpointJSON]{}, refusals: []int{400, 401, 403}, run: api.listEndpoints,
		},
		{
			method: http.MethodGet, path: "/api/passes/list", scope: access.EndpointsRead, summary: "List passes that were paid for, newest first.",
			query: listParams(apiParam{"endpoint_id", "Only those of this endpoint."}), status: 200, answer: listJSON[passJSON]{}, refusals: []int{400, 401, 403}, run: api.listPasses,
		},
		{
			method: http.MethodPost, path: "/api/passes/revoke", scope: access.EndpointsWrite,
			summary: "End a pass now. Who pays again gets another.",
			request: rowRequest{}, required: []string{"id"}, status: 200, answer: passJSON{}, refusals: []int{400, 401, 403, 404, 422}, run: api.revokePass,
		},
	}
}

// endpointRequest is what a seller's program says about an endpoint.
type endpointRequest struct {
	URL             field[string]          `json:"url"`
	Title           field[string]          `json:"title"`
	Description     field[string]          `json:"description"`
	MimeType        field[string]          `json:"mime_type"`
	ExampleInput    field[json.RawMessage] `json:"example_input"`
	ExampleOutput   field[json.RawMessage] `json:"example_output"`
	Price           field[*string]         `json:"price"`
	AmountCents     field[*int64]          `json:"amount_cents"`
	Currency        field[string]          `json:"currency"`
	Network         field[string]          `json:"network"`
	PricingType     field[string]          `json:"pricing_type"`
	BillingInterval field[string]          `json:"billing_interval"`
	Settle          field[string]          `json:"settle"`
	SecretHeader    field[string]          `json:"secret_header"`
	Secret          field[string]          `json:"secret"`
	TimeoutSeconds  field[*int]            `json:"timeout_seconds"`
	MaxAnswerBytes  field[*int64]          `json:"max_answer_bytes"`
	Identifier      field[bool]            `json:"payment_identifier"`
}

type endpointUpdate struct {
	rowRequest
	endpointRequest
}

type disableRequest struct {
	rowRequest
	Disabled field[bool] `json:"disabled"`
}

// endpointJSON is an endpoint as its seller sees it.
type endpointJSON struct {
	ID              id.Endpoint     `json:"id"`
	URL             string          `json:"url"`
	EndpointURL     string          `json:"endpoint_url"`
	Title           string          `json:"title"`
	Description     string          `json:"description"`
	MimeType        string          `json:"mime_type"`
	ExampleInput    json.RawMessage `json:"example_input"`
	ExampleOutput   json.RawMessage `json:"example_output"`
	Price           string          `json:"price"`
	Amount          string          `json:"amount"`
	AmountCents     int64           `json:"amount_cents"`
	Currency        string          `json:"currency"`
	Network         string          `json:"network"`
	PricingType     string          `json:"pricing_type"`
	BillingInterval *string         `json:"billing_interval"`
	Settle          string          `json:"settle"`
	SecretHeader    *string         `json:"secret_header"`
	TimeoutSeconds  int             `json:"timeout_seconds"`
	MaxAnswerBytes  int64           `json:"max_answer_bytes"`
	Identifier      bool            `json:"payment_identifier"`
	Livemode        bool            `json:"livemode"`
	DisabledAt      *time.Time      `json:"disabled_at"`
	CreatedAt       time.Time       `json:"created_at"`
	UpdatedAt       time.Time       `json:"updated_at"`
}

// passJSON is a pass as the seller sees it: never what opens it.
type passJSON struct {
	ID         id.Pass     `json:"id"`
	EndpointID id.Endpoint `json:"endpoint_id"`
	Payer      string      `json:"payer"`
	Payments   int         `json:"payments"`
	Active     bool        `json:"active"`
	PaidAt     *time.Time  `json:"paid_at"`
	ExpiresAt  *time.Time  `json:"expires_at"`
	RevokedAt  *time.Time  `json:"revoked_at"`
	CallsLeft  *int        `json:"calls_left"`
	Livemode   bool        `json:"livemode"`
	CreatedAt  time.Time   `json:"created_at"`
}

func (a api) endpointJSON(e shop.Endpoint) endpointJSON {
	return endpointJSON{
		ID: e.ID, URL: e.URL, EndpointURL: a.callURL(e.ID), Title: e.Title, Description: e.Description, MimeType: e.MimeType,
		ExampleInput: exampleJSON(e.Input), ExampleOutput: exampleJSON(e.Output), Price: e.Price.String(), Amount: e.Price.Units(), AmountCents: e.Price.Cents(),
		Currency: usdc, Network: e.Network.ID, PricingType: string(e.Pricing), BillingInterval: orNull(string(e.Interval)), Settle: string(e.Settles),
		SecretHeader: orNull(e.SecretHeader), TimeoutSeconds: int(e.Timeout / time.Second), MaxAnswerBytes: e.MaxAnswer, Identifier: e.Identified,
		Livemode: e.Livemode, DisabledAt: utc(e.DisabledAt), CreatedAt: e.CreatedAt.UTC(), UpdatedAt: e.UpdatedAt.UTC(),
	}
}

func (a api) passJSON(p checkout.Pass) passJSON {
	return passJSON{
		ID: p.ID, EndpointID: p.Endpoint, Payer: p.Payer, Payments: p.Payments, Active: p.Alive(a.Now()), PaidAt: utc(p.PaidAt), ExpiresAt: utc(p.EndsAt),
		RevokedAt: utc(p.RevokedAt), CallsLeft: p.CallsLeft, Livemode: p.Livemode, CreatedAt: p.CreatedAt.UTC(),
	}
}

// exampleJSON is an example as it is kept, or null.
func exampleJSON(text string) json.RawMessage {
	if text == "" {
		return json.RawMessage("null")
	}
	return json.RawMessage(text)
}

func (a api) createEndpoint(c echo.Context, who access.Caller) error {
	var request endpointRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	form := shop.EndpointForm{Once: who.Once, Network: request.Network.Value}
	if err := request.fill(&form); err != nil {
		return err
	}
	e, err := a.Endpoints.Create(c.Request().Context(), who.Merchant, who.Livemode, form, program(c, who))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, a.endpointJSON(e))
}

func (a api) updateEndpoint(c echo.Context, who access.Caller) error {
	var request endpointUpdate
	if err := decode(c, &request); err != nil {
		return err
	}
	if request.Network.Set {
		return &shop.FieldError{Field: "network", Message: "An endpoint stays on its network. Make another."}
	}
	return a.changeEndpoint(c, who, request.ID, request.fill)
}

func (a api) disableEndpoint(c echo.Context, who access.Caller) error {
	var request disableRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	return a.changeEndpoint(c, who, request.ID, func(f *shop.EndpointForm) error {
		f.Disabled = !request.Disabled.Set || request.Disabled.Value
		return nil
	})
}

func (a api) changeEndpoint(c echo.Context, who access.Caller, row string, change func(*shop.EndpointForm) error) error {
	endpoint, err := rowID[id.Endpoint](row)
	if err != nil {
		return err
	}
	e, err := a.Endpoints.Update(c.Request().Context(), who.Merchant, who.Livemode, endpoint, change, program(c, who))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, a.endpointJSON(e))
}

func (a api) listEndpoints(c echo.Context, who access.Caller) error {
	page, err := listPage[id.Endpoint](c)
	if err != nil {
		return err
	}
	endpoints, err := a.Endpoints.List(c.Request().Context(), who.Merchant, who.Livemode, page)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, list(endpoints, page.Limit, func(e shop.Endpoint) string { return string(e.ID) }, a.endpointJSON))
}

func (a api) listPasses(c echo.Context, who access.Caller) error {
	page, err := listPage[id.Pass](c)
	if err != nil {
		return err
	}
	endpoint, err := refersTo[id.Endpoint]("endpoint_id", c.QueryParam("endpoint_id"))
	if err != nil {
		return err
	}
	passes, err := a.Checkout.Passes(c.Request().Context(), who.Merchant, who.Livemode, endpoint, page)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, list(passes, page.Limit, func(p checkout.Pass) string { return string(p.ID) }, a.passJSON))
}

func (a api) revokePass(c echo.Context, who access.Caller) error {
	var request rowRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	pass, err := rowID[id.Pass](request.ID)
	if err != nil {
		return err
	}
	p, err := a.Checkout.RevokePass(c.Request().Context(), who.Merchant, who.Livemode, pass, program(c, who))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, a.passJSON(p))
}

// fill writes the members that are there over a form.
func (r endpointRequest) fill(f *shop.EndpointForm) error {
	for _, m := range []struct {
		from field[string]
		to   *string
	}{
		{r.URL, &f.URL}, {r.Title, &f.Title}, {r.Description, &f.Description}, {r.MimeType, &f.MimeType}, {r.SecretHeader, &f.SecretHeader}, {r.Secret, &f.Secret},
	} {
		if m.from.Set {
			*m.to = m.from.Value
		}
	}
	if r.Currency.Set && r.Currency.Value != usdc {
		return &shop.FieldError{Field: "currency", Message: "The currency is USDC."}
	}
	if r.Identifier.Set {
		f.Identified = r.Identifier.Value
	}
	r.fillTerms(f)
	r.fillExamples(f)
	return r.fillPrice(f)
}

func (r endpointRequest) fillTerms(f *shop.EndpointForm) {
	if r.PricingType.Set {
		f.Pricing = shop.PricingType(r.PricingType.Value)
		if f.Pricing != shop.Subscription && !r.BillingInterval.Set {
			f.Interval = ""
		}
	}
	if r.BillingInterval.Set {
		f.Interval = shop.Interval(r.BillingInterval.Value)
	}
	if r.Settle.Set {
		f.Settles = shop.Settles(r.Settle.Value)
	}
	if r.TimeoutSeconds.Set {
		f.Timeout = 0
		if n := r.TimeoutSeconds.Value; n != nil {
			f.Timeout = wholeSeconds(*n)
		}
	}
	if r.MaxAnswerBytes.Set {
		f.MaxAnswer = 0
		if n := r.MaxAnswerBytes.Value; n != nil {
			if f.MaxAnswer = *n; *n == 0 { // which would be the usual
				f.MaxAnswer = -1
			}
		}
	}
}

// wholeSeconds is a time that is refused where it is none.
func wholeSeconds(n int) time.Duration {
	const beyond = 1_000_000
	if n <= 0 || n > beyond {
		return -1
	}
	return time.Duration(n) * time.Second
}

func (r endpointRequest) fillExamples(f *shop.EndpointForm) {
	for _, m := range []struct {
		from field[json.RawMessage]
		to   *string
	}{{r.ExampleInput, &f.Input}, {r.ExampleOutput, &f.Output}} {
		if !m.from.Set {
			continue
		}
		if *m.to = compactJSON(string(m.from.Value)); *m.to == "null" {
			*m.to = ""
		}
	}
}

func (r endpointRequest) fillPrice(f *shop.EndpointForm) error {
	price, err := amountOfRequest(r.Price, r.AmountCents)
	if err != nil {
		return err
	}
	if price != nil {
		f.Price = *price
	}
	return nil
}
