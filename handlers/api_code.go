package handlers

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/shop"
)

func codeCalls() []apiCall {
	return []apiCall{
		{
			method: http.MethodPost, path: "/api/activation_codes/generate", scope: access.CodesWrite,
			summary: "Make activation codes: 1 to 1,000 at once, all of them or none. They take something off a price, or all of it.",
			request: codesRequest{}, status: 201, answer: codesJSON{}, refusals: []int{400, 401, 403, 404, 422}, run: api.generateCodes,
		},
		{
			method: http.MethodGet, path: "/api/activation_codes/list", scope: access.CodesRead, summary: "List activation codes, newest first.",
			query: listParams(
				apiParam{"batch_id", "Only those that were made together."}, apiParam{"code", "Only this one, written in any way."},
			),
			status: 200, answer: listJSON[codeJSON]{}, refusals: []int{400, 401, 403}, run: api.listCodes,
		},
		{
			method: http.MethodPost, path: "/api/activation_codes/revoke", scope: access.CodesWrite,
			summary: "End a code now. What was begun with it may still be paid.",
			request: rowRequest{}, required: []string{"id"}, status: 200, answer: codeJSON{}, refusals: []int{400, 401, 403, 404, 422}, run: api.revokeCode,
		},
		{
			method: http.MethodPost, path: "/api/activation_codes/revoke_batch", scope: access.CodesWrite,
			summary: "End codes that were made together.",
			request: rowRequest{}, required: []string{"id"}, status: 200, answer: codesJSON{}, refusals: []int{400, 401, 403, 404, 422}, run: api.revokeCodes,
		},
		{
			method: http.MethodPost, path: "/api/activation_codes/redeem",
			summary: "Take one use of a code, for a bypass token that stands for it for a short time. It goes where a code goes: into X-Activation-Code, " +
				"or as `code` into a purchase. A use that is not spent in time goes back to its code.",
			request: redeemRequest{}, required: []string{"code"}, status: 200, answer: bypassJSON{}, refusals: []int{400, 401, 404, 409, 422, 429}, run: api.redeemCode,
		},
	}
}

// codesRequest is what a seller's program says about codes.
type codesRequest struct {
	Name       string     `json:"name"`
	Count      int        `json:"count"`
	Prefix     string     `json:"prefix"`
	Codes      []string   `json:"codes"`
	Uses       int        `json:"uses"`
	PerWallet  int        `json:"per_wallet"`
	Free       bool       `json:"free"`
	PercentOff *int       `json:"percent_off"`
	AmountOff  *string    `json:"amount_off"`
	ValidFrom  *time.Time `json:"valid_from"`
	ValidUntil *time.Time `json:"valid_until"`
	ItemID     string     `json:"item_id"`
	EndpointID string     `json:"endpoint_id"`
	LinkToken  string     `json:"link_token"`
	Address    string     `json:"address"`
}

type redeemRequest struct {
	Code         string `json:"code"`
	BuyerAddress string `json:"buyer_address"`
	EndpointID   string `json:"endpoint_id"`
	LinkToken    string `json:"link_token"`
}

// bypassJSON stands for one use of a code.
type bypassJSON struct {
	BypassToken string    `json:"bypass_token"`
	ExpiresAt   time.Time `json:"expires_at"`
	Free        bool      `json:"free"`
	PercentOff  *int      `json:"percent_off"`
	AmountOff   *string   `json:"amount_off"`
}

// codeJSON is a code as its seller sees it.
type codeJSON struct {
	ID         id.Code      `json:"id"`
	BatchID    id.CodeBatch `json:"batch_id"`
	Code       string       `json:"code"`
	URL        *string      `json:"url"`
	Free       bool         `json:"free"`
	PercentOff *int         `json:"percent_off"`
	AmountOff  *string      `json:"amount_off"`
	Uses       int          `json:"uses"`
	Used       int          `json:"used"`
	PerWallet  *int         `json:"per_wallet"`
	ValidFrom  *time.Time   `json:"valid_from"`
	ValidUntil *time.Time   `json:"valid_until"`
	ItemID     *id.Item     `json:"item_id"`
	EndpointID *id.Endpoint `json:"endpoint_id"`
	LinkToken  *string      `json:"link_token"`
	Address    *string      `json:"address"`
	Livemode   bool         `json:"livemode"`
	Status     string       `json:"status"`
	RevokedAt  *time.Time   `json:"revoked_at"`
	CreatedAt  time.Time    `json:"created_at"`
}

// codesJSON is codes that were made together.
type codesJSON struct {
	ID    id.CodeBatch `json:"id"`
	Name  string       `json:"name"`
	Count int          `json:"count"`
	Codes []codeJSON   `json:"codes"`
}

func (a api) codeJSON(c shop.Code) codeJSON {
	j := codeJSON{
		ID: c.ID, BatchID: c.Batch, Code: c.Code, URL: orNull(a.codeURL(c)), Free: c.Off == shop.OffAll, Uses: c.Uses, Used: c.Used, ValidFrom: utc(c.From), ValidUntil: utc(c.Until),
		ItemID: orNull(c.Item), EndpointID: orNull(c.Endpoint), LinkToken: orNull(c.LinkToken), Address: orNull(c.Address), Livemode: c.Livemode,
		Status: string(c.Status(a.Now())), RevokedAt: utc(c.RevokedAt), CreatedAt: c.CreatedAt.UTC(),
	}
	j.PercentOff, j.AmountOff = offJSON(c.Terms)
	if c.PerWallet > 0 {
		j.PerWallet = &c.PerWallet
	}
	return j
}

func offJSON(t shop.Terms) (percent *int, amount *string) {
	switch t.Off {
	case shop.OffPercent:
		return &t.Percent, nil
	case shop.OffAmount:
		text := t.Amount.String()
		return nil, &text
	default:
		return nil, nil
	}
}

func (a api) generateCodes(c echo.Context, who access.Caller) error {
	var request codesRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	form, err := a.codeForm(c, who, request)
	if err != nil {
		return err
	}
	form.Once = who.Once
	batch, err := a.Shop.GenerateCodes(c.Request().Context(), who.Merchant, who.Livemode, form, program(c, who))
	if err != nil {
		return err
	}
	return a.sendCodes(c, http.StatusCreated, batch)
}

// sendCodes answers with codes that were made together.
func (a api) sendCodes(c echo.Context, status int, batch shop.Batch) error {
	all, err := a.Shop.Codes(c.Request().Context(), batch.Merchant, batch.Livemode, shop.CodeFilter{Batch: batch.ID}, shop.Page{Limit: shop.MaxCodes})
	if err != nil {
		return err
	}
	j := codesJSON{ID: batch.ID, Name: batch.Name, Count: batch.Codes, Codes: make([]codeJSON, len(all))}
	for i, code := range all {
		j.Codes[i] = a.codeJSON(code)
	}
	return c.JSON(status, j)
}

// codeForm makes a form of the request.
func (a api) codeForm(c echo.Context, who access.Caller, r codesRequest) (shop.CodeForm, error) {
	f := shop.CodeForm{Name: r.Name, Count: r.Count, Prefix: r.Prefix, Own: r.Codes, Terms: shop.Terms{
		Uses: r.Uses, PerWallet: r.PerWallet, From: r.ValidFrom, Until: r.ValidUntil, Address: r.Address,
	}}
	if r.Codes != nil && (r.Count != 0 || r.Prefix != "") {
		return f, &shop.FieldError{Field: "codes", Message: "Give codes, or a count and a prefix of codes to make up."}
	}
	var err error
	if f.Item, err = refersTo[id.Item]("item_id", r.ItemID); err != nil {
		return f, err
	}
	if f.Endpoint, err = refersTo[id.Endpoint]("endpoint_id", r.EndpointID); err != nil {
		return f, err
	}
	if r.LinkToken != "" {
		offer, err := a.Shop.Offer(c.Request().Context(), r.LinkToken)
		if err == nil && !owns(who, offer.Merchant, offer.Link.Livemode) {
			err = shop.ErrNotFound
		}
		if err != nil {
			return f, err
		}
		f.Link = offer.Link.ID
	}
	return f, r.fillOff(&f.Terms)
}

// fillOff reads what is taken off: one of three.
func (r codesRequest) fillOff(t *shop.Terms) error {
	said := 0
	if r.Free {
		t.Off, said = shop.OffAll, said+1
	}
	if r.PercentOff != nil {
		t.Off, t.Percent, said = shop.OffPercent, *r.PercentOff, said+1
	}
	if r.AmountOff != nil {
		amount, err := readAmount("amount_off", *r.AmountOff)
		if err != nil {
			return err
		}
		t.Off, t.Amount, said = shop.OffAmount, amount, said+1
	}
	if said != 1 {
		return &shop.FieldError{Field: "free", Message: "Say what a code takes off: free, percent_off or amount_off."}
	}
	return nil
}

func (a api) listCodes(c echo.Context, who access.Caller) error {
	page, err := listPage[id.Code](c)
	if err != nil {
		return err
	}
	f := shop.CodeFilter{Code: c.QueryParam("code")}
	if f.Batch, err = refersTo[id.CodeBatch]("batch_id", c.QueryParam("batch_id")); err != nil {
		return err
	}
	all, err := a.Shop.Codes(c.Request().Context(), who.Merchant, who.Livemode, f, page)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, list(all, page.Limit, func(c shop.Code) string { return string(c.ID) }, a.codeJSON))
}

func (a api) revokeCode(c echo.Context, who access.Caller) error {
	var request rowRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	code, err := rowID[id.Code](request.ID)
	if err != nil {
		return err
	}
	revoked, err := a.Shop.RevokeCode(c.Request().Context(), who.Merchant, who.Livemode, code, program(c, who))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, a.codeJSON(revoked))
}

func (a api) revokeCodes(c echo.Context, who access.Caller) error {
	var request rowRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	batch, err := rowID[id.CodeBatch](request.ID)
	if err != nil {
		return err
	}
	revoked, err := a.Shop.RevokeCodes(c.Request().Context(), who.Merchant, who.Livemode, batch, program(c, who))
	if err != nil {
		return err
	}
	return a.sendCodes(c, http.StatusOK, revoked)
}

// redeemCode is for anybody who has a code.
func (a api) redeemCode(c echo.Context, who access.Caller) error {
	var request redeemRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	if request.Code == "" {
		return &shop.FieldError{Field: "code", Message: "Give the code."}
	}
	endpoint, err := refersTo[id.Endpoint]("endpoint_id", request.EndpointID)
	if err != nil {
		return err
	}
	var b shop.Bypass
	err = a.tryCode(c, request.Code, func() (err error) {
		b, err = a.Shop.RedeemCode(c.Request().Context(), shop.Redeeming{
			Code: request.Code, Wallet: request.BuyerAddress, Token: request.LinkToken, Endpoint: endpoint, From: c.RealIP(), Once: who.Once,
		})
		return err
	})
	if err != nil {
		return err
	}
	j := bypassJSON{BypassToken: b.Token, ExpiresAt: b.ExpiresAt.UTC(), Free: b.Code.Off == shop.OffAll}
	j.PercentOff, j.AmountOff = offJSON(b.Code.Terms)
	return c.JSON(http.StatusOK, j)
}
