package handlers

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/views"
)

// linkRequest is what a seller's program says about a link.
type linkRequest struct {
	Title       field[string]          `json:"title"`
	Description field[string]          `json:"description"`
	Price       field[*string]         `json:"price"`
	AmountCents field[*int64]          `json:"amount_cents"`
	Currency    field[string]          `json:"currency"`
	Network     field[string]          `json:"network"`
	ExpiresAt   field[*time.Time]      `json:"expires_at"`
	MaxPayments field[*int]            `json:"max_payments"`
	SuccessURL  field[string]          `json:"success_url"`
	Reference   field[string]          `json:"reference"`
	Metadata    field[json.RawMessage] `json:"metadata"`
}

// linkLater is what a link cannot be made of yet.
var linkLater = []string{"item_id", "items", "endpoint_id", "open_amount"}

type linkUpdate struct {
	rowRequest
	linkRequest
}

// rowRequest names one row.
type rowRequest struct {
	ID string `json:"id"`
}

// linkJSON is a payment link as its seller sees it.
type linkJSON struct {
	ID          id.Link         `json:"id"`
	Token       string          `json:"token"`
	URL         string          `json:"url"`
	QRURL       string          `json:"qr_url"`
	Title       string          `json:"title"`
	Description string          `json:"description"`
	Price       string          `json:"price"`
	Amount      string          `json:"amount"`
	AmountCents int64           `json:"amount_cents"`
	Currency    string          `json:"currency"`
	Network     string          `json:"network"`
	Livemode    bool            `json:"livemode"`
	Status      string          `json:"status"`
	ExpiresAt   *time.Time      `json:"expires_at"`
	MaxPayments *int            `json:"max_payments"`
	Payments    int64           `json:"payments"`
	LastPaidAt  *time.Time      `json:"last_paid_at"`
	SuccessURL  string          `json:"success_url"`
	Reference   string          `json:"reference"`
	Metadata    json.RawMessage `json:"metadata"`
	CreatedAt   time.Time       `json:"created_at"`
}

func (a api) linkJSON(l shop.ListedLink) linkJSON {
	j := linkJSON{
		ID: l.ID, Token: l.Token, URL: a.PublicURL + views.LinkPath(l.Token), QRURL: a.qrURL(l.Token), Title: l.Title,
		Description: l.Description, Price: l.Price.String(), Amount: l.Price.Units(), AmountCents: l.Price.Cents(), Currency: usdc,
		Network: l.Network.ID, Livemode: l.Livemode, Status: linkStatus(l.Link, a.Now()), ExpiresAt: utc(l.ExpiresAt),
		Payments: l.Payments, SuccessURL: l.SuccessURL, Reference: l.Reference, Metadata: l.Metadata,
		CreatedAt: l.CreatedAt.UTC(),
	}
	if l.MaxPayments > 0 {
		j.MaxPayments = &l.MaxPayments
	}
	if !l.LastPaidAt.IsZero() {
		j.LastPaidAt = utc(&l.LastPaidAt)
	}
	return j
}

func (a api) qrURL(token string) string {
	return a.PublicURL + "/api/qr?token=" + url.QueryEscape(token)
}

func linkStatus(l shop.Link, now time.Time) string {
	switch err := l.Open(now); {
	case errors.Is(err, shop.ErrLinkExpired):
		return "expired"
	case errors.Is(err, shop.ErrSoldOut):
		return "sold_out"
	default:
		return "active"
	}
}

func (a api) createLink(c echo.Context, who access.Caller) error {
	var request linkRequest
	if err := decode(c, &request, linkLater...); err != nil {
		return err
	}
	form := shop.LinkForm{Network: request.Network.Value, Once: who.Once}
	if !request.Price.Set && !request.AmountCents.Set {
		return &shop.FieldError{Field: "price", Message: "Give a price such as 12.50."}
	}
	if err := request.fill(&form); err != nil {
		return err
	}
	link, err := a.Shop.CreateLink(c.Request().Context(), who.Merchant, who.Livemode, form, program(c, who))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, a.linkJSON(shop.ListedLink{Link: link}))
}

func (a api) updateLink(c echo.Context, who access.Caller) error {
	var request linkUpdate
	if err := decode(c, &request, linkLater...); err != nil {
		return err
	}
	was, err := a.ownLinkByID(c, who, request.ID)
	if err != nil {
		return err
	}
	if request.Network.Set && request.Network.Value != was.Network.ID {
		return &shop.FieldError{Field: "network", Message: "A link stays on its network."}
	}
	link, err := a.Shop.UpdateLink(c.Request().Context(), who.Merchant, was.ID, request.fill, program(c, who))
	return a.answerLink(c, link, err)
}

func (a api) expireLink(c echo.Context, who access.Caller) error {
	var request rowRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	was, err := a.ownLinkByID(c, who, request.ID)
	if err != nil {
		return err
	}
	link, err := a.Shop.ExpireLink(c.Request().Context(), who.Merchant, was.ID, program(c, who))
	return a.answerLink(c, link, err)
}

func (a api) ownLinkByID(c echo.Context, who access.Caller, text string) (shop.Link, error) {
	if text == "" {
		return shop.Link{}, &shop.FieldError{Field: "id", Message: "Say which one."}
	}
	link, err := id.Parse[id.Link](text)
	if err != nil {
		return shop.Link{}, err
	}
	l, err := a.Shop.Link(c.Request().Context(), who.Merchant, link)
	if err == nil && !owns(who, l.Merchant, l.Livemode) {
		return shop.Link{}, shop.ErrNotFound
	}
	return l, err
}

func (a api) answerLink(c echo.Context, link shop.Link, err error) error {
	if err != nil {
		return err
	}
	a.shelf.forget(link.Token)
	totals, err := a.Shop.Totals(c.Request().Context(), link.ID)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, a.linkJSON(shop.ListedLink{Link: link, LinkTotals: totals}))
}

// fill writes the members that are there over a form.
func (r linkRequest) fill(f *shop.LinkForm) error {
	for _, m := range []struct {
		from field[string]
		to   *string
	}{{r.Title, &f.Title}, {r.Description, &f.Description}, {r.SuccessURL, &f.SuccessURL}, {r.Reference, &f.Reference}} {
		if m.from.Set {
			*m.to = m.from.Value
		}
	}
	if r.Currency.Set && r.Currency.Value != usdc {
		return &shop.FieldError{Field: "currency", Message: "The currency is USDC."}
	}
	if r.ExpiresAt.Set {
		f.ExpiresAt = utc(r.ExpiresAt.Value)
	}
	if r.MaxPayments.Set {
		f.MaxPayments = 0
		if n := r.MaxPayments.Value; n != nil {
			if *n <= 0 {
				return &shop.FieldError{Field: "max_payments", Message: "Give a whole number above zero, or null for no limit."}
			}
			f.MaxPayments = *n
		}
	}
	if r.Metadata.Set {
		var err error
		if f.Metadata, err = object("metadata", r.Metadata.Value); err != nil {
			return err
		}
	}
	return r.fillPrice(f)
}

func (r linkRequest) fillPrice(f *shop.LinkForm) error {
	price, cents := r.Price.Value, r.AmountCents.Value
	switch {
	case r.Price.Set && price == nil:
		return &shop.FieldError{Field: "price", Message: "Give a price such as 12.50."}
	case r.AmountCents.Set && cents == nil:
		return &shop.FieldError{Field: "amount_cents", Message: "Give a whole number."}
	}
	if cents != nil {
		amount, err := money.FromCents(*cents)
		if err != nil || amount == 0 {
			return &shop.FieldError{Field: "amount_cents", Message: "The price must be more than zero, and not beyond all measure."}
		}
		f.Price = amount
	}
	if price == nil {
		return nil
	}
	amount, err := money.ParseUSDC(*price)
	if err != nil {
		return &shop.FieldError{Field: "price", Message: "Give an amount such as 12.50, with at most six decimals."}
	}
	if cents != nil && amount != f.Price {
		return &shop.FieldError{Field: "price", Message: "price and amount_cents are not the same amount."}
	}
	f.Price = amount
	return nil
}

func (a api) listLinks(c echo.Context, who access.Caller) error {
	page, err := listPage[id.Link](c)
	if err != nil {
		return err
	}
	links, err := a.Shop.Links(c.Request().Context(), who.Merchant, who.Livemode, page)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, list(links, page.Limit, func(l shop.ListedLink) string { return string(l.ID) }, a.linkJSON))
}

// offerJSON is a payment link as everybody sees it.
type offerJSON struct {
	Token       string     `json:"token"`
	URL         string     `json:"url"`
	QRURL       string     `json:"qr_url"`
	Shop        shopJSON   `json:"shop"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Price       string     `json:"price"`
	Amount      string     `json:"amount"`
	AmountCents int64      `json:"amount_cents"`
	Currency    string     `json:"currency"`
	Network     string     `json:"network"`
	Asset       string     `json:"asset"`
	PayTo       string     `json:"pay_to"`
	Livemode    bool       `json:"livemode"`
	Status      string     `json:"status"`
	ExpiresAt   *time.Time `json:"expires_at"`
}

type shopJSON struct {
	Name   string `json:"name"`
	Domain string `json:"domain"`
}

func (a api) offer(c echo.Context, _ access.Caller) error {
	o, err := a.Shop.Offer(c.Request().Context(), c.Param("token"))
	if err != nil {
		return err
	}
	l := o.Link
	if err := l.Open(a.Now()); errors.Is(err, shop.ErrLinkExpired) {
		return err
	}
	return c.JSON(http.StatusOK, offerJSON{
		Token: l.Token, URL: a.PublicURL + views.LinkPath(l.Token), QRURL: a.qrURL(l.Token), Shop: shopJSON{o.Shop, o.Domain},
		Title: l.Title, Description: l.Description, Price: l.Price.String(), Amount: l.Price.Units(), AmountCents: l.Price.Cents(),
		Currency: usdc, Network: l.Network.ID, Asset: l.Network.Token.Address.Hex(), PayTo: checksum(o.PayTo), Livemode: l.Livemode,
		Status: linkStatus(l, a.Now()), ExpiresAt: utc(l.ExpiresAt),
	})
}
