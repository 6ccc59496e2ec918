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
	ItemID      field[string]          `json:"item_id"`
	Items       field[[]wantJSON]      `json:"items"`
	OpenAmount  field[*openJSON]       `json:"open_amount"`
	EndpointID  field[string]          `json:"endpoint_id"`
	Price       field[*string]         `json:"price"`
	AmountCents field[*int64]          `json:"amount_cents"`
	Currency    field[string]          `json:"currency"`
	Network     field[string]          `json:"network"`
	StartsAt    field[*time.Time]      `json:"starts_at"`
	ExpiresAt   field[*time.Time]      `json:"expires_at"`
	Paused      field[bool]            `json:"paused"`
	PauseText   field[string]          `json:"pause_text"`
	Asks        field[[]string]        `json:"asks"`
	MaxPayments field[*int]            `json:"max_payments"`
	SuccessURL  field[string]          `json:"success_url"`
	Message     field[string]          `json:"message"`
	File        field[string]          `json:"file"`
	KeyItemID   field[string]          `json:"key_item_id"`
	LeadsTo     field[string]          `json:"leads_to"`
	MustPay     field[*bool]           `json:"require_payment"`
	Reference   field[string]          `json:"reference"`
	Metadata    field[json.RawMessage] `json:"metadata"`
}

// wantJSON is an item, and how many of it.
type wantJSON struct {
	ItemID string `json:"item_id"`
	Qty    *int   `json:"qty"`              // one if not given
	Amount string `json:"amount,omitempty"` // for one, where the buyer decides
}

// openJSON is an amount that the buyer decides on, as decimals.
type openJSON struct {
	Min     *string  `json:"min"`
	Presets []string `json:"presets"`
}

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
	Sells       string          `json:"sells"`
	Items       []goodJSON      `json:"items"`
	OpenAmount  *openJSON       `json:"open_amount"`
	EndpointID  *id.Endpoint    `json:"endpoint_id"`
	Price       string          `json:"price"`
	Amount      string          `json:"amount"`
	AmountCents int64           `json:"amount_cents"`
	Currency    string          `json:"currency"`
	Network     string          `json:"network"`
	Livemode    bool            `json:"livemode"`
	Status      string          `json:"status"`
	StartsAt    *time.Time      `json:"starts_at"`
	ExpiresAt   *time.Time      `json:"expires_at"`
	Paused      bool            `json:"paused"`
	PauseText   string          `json:"pause_text"`
	Asks        []string        `json:"asks"`
	MaxPayments *int            `json:"max_payments"`
	Payments    int64           `json:"payments"`
	LastPaidAt  *time.Time      `json:"last_paid_at"`
	SuccessURL  string          `json:"success_url"`
	Message     string          `json:"message"`
	File        id.Upload       `json:"file"`
	KeyItemID   id.Item         `json:"key_item_id"`
	LeadsTo     string          `json:"leads_to"`
	MustPay     bool            `json:"require_payment"`
	Clicks      int64           `json:"clicks"`
	LedOn       int64           `json:"led_on"`
	Reference   string          `json:"reference"`
	Metadata    json.RawMessage `json:"metadata"`
	CreatedAt   time.Time       `json:"created_at"`
}

func (a api) linkJSON(l shop.ListedLink) linkJSON {
	j := linkJSON{
		ID: l.ID, Token: l.Token, URL: a.PublicURL + views.LinkPath(l.Token), QRURL: a.qrURL(l.Token), Title: l.Title,
		Description: l.Description, Sells: string(l.Sells), Items: a.goodsJSON(l.Goods), OpenAmount: openOf(l.Link), EndpointID: endpointOf(l.Link), Price: l.Price.String(), Amount: l.Price.Units(), AmountCents: l.Price.Cents(), Currency: usdc,
		Network: l.Network.ID, Livemode: l.Livemode, Status: linkStatus(l.Link, a.Now()), StartsAt: utc(l.StartsAt), ExpiresAt: utc(l.ExpiresAt),
		Paused: l.PausedAt != nil, PauseText: l.PauseText, Asks: l.Asks.Words(), Payments: l.Payments, SuccessURL: l.SuccessURL, Message: l.After.Message, File: l.After.File, KeyItemID: l.After.KeyItem,
		LeadsTo: l.LeadsTo.URL, MustPay: !l.LeadsTo.All, Clicks: l.Clicks.All, LedOn: l.Clicks.Led, Reference: l.Reference, Metadata: l.Metadata,
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

// goodJSON is an item that a link sells, as everybody sees it.
type goodJSON struct {
	ItemID     id.Item `json:"item_id"`
	Title      string  `json:"title"`
	Kind       string  `json:"kind"`
	Pricing    string  `json:"pricing"`
	Qty        int     `json:"qty"`
	UnitAmount string  `json:"unit_amount"`
	ImageURL   string  `json:"image_url"`
	Free       *int    `json:"free"`
}

func (a api) goodsJSON(goods []shop.Good) []goodJSON {
	out := make([]goodJSON, len(goods))
	for i, g := range goods {
		out[i] = goodJSON{ItemID: g.Item, Title: g.Title, Kind: string(g.Kind), Pricing: string(g.Pricing), Qty: g.Qty, UnitAmount: g.Price.Units()}
		if g.Image != "" {
			out[i].ImageURL = a.PublicURL + ImagePath(g.Image)
		}
		if g.Limited {
			out[i].Free = &goods[i].Free
		}
	}
	return out
}

func openOf(l shop.Link) *openJSON {
	if l.Sells != shop.SellsOpen {
		return nil
	}
	least := l.Price.String()
	out := &openJSON{Min: &least, Presets: []string{}}
	for _, p := range l.Presets {
		out.Presets = append(out.Presets, p.String())
	}
	return out
}

// endpointOf is the endpoint whose pass a link sells, or nil.
func endpointOf(l shop.Link) *id.Endpoint {
	if l.Pass == nil {
		return nil
	}
	return &l.Pass.Endpoint
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
	case errors.Is(err, shop.ErrLinkPaused), errors.Is(err, shop.ErrEndpointDisabled):
		return "paused"
	case errors.Is(err, shop.ErrLinkEarly):
		return "scheduled"
	default:
		return "active"
	}
}

func (a api) createLink(c echo.Context, who access.Caller) error {
	var request linkRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	form := shop.LinkForm{Network: request.Network.Value, Once: who.Once}
	if !request.Price.Set && !request.AmountCents.Set && !request.sellsOther() && !request.leadsAll() {
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
	if err := decode(c, &request); err != nil {
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

// deletedJSON names a row that is not there any more.
type deletedJSON struct {
	ID      string `json:"id"`
	Deleted bool   `json:"deleted"`
}

func (a api) deleteLink(c echo.Context, who access.Caller) error {
	var request rowRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	was, err := a.ownLinkByID(c, who, request.ID)
	if err != nil {
		return err
	}
	if err := a.Shop.DeleteLink(c.Request().Context(), who.Merchant, was.ID, program(c, who)); err != nil {
		return err
	}
	a.shelf.forget(was.Token)
	return c.JSON(http.StatusOK, deletedJSON{string(was.ID), true})
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
	}{{r.Title, &f.Title}, {r.Description, &f.Description}, {r.SuccessURL, &f.SuccessURL}, {r.Reference, &f.Reference}, {r.Message, &f.After.Message}, {r.LeadsTo, &f.LeadsTo.URL}, {r.PauseText, &f.PauseText}} {
		if m.from.Set {
			*m.to = m.from.Value
		}
	}
	if r.Currency.Set && r.Currency.Value != usdc {
		return &shop.FieldError{Field: "currency", Message: "The currency is USDC."}
	}
	if err := r.fillAfter(f); err != nil {
		return err
	}
	if r.StartsAt.Set {
		f.StartsAt = utc(r.StartsAt.Value)
	}
	if r.ExpiresAt.Set {
		f.ExpiresAt = utc(r.ExpiresAt.Value)
	}
	if r.Paused.Set {
		f.Paused = r.Paused.Value
	}
	if r.Asks.Set {
		var err error
		if f.Asks, err = shop.AsksOf(r.Asks.Value); err != nil {
			return err
		}
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
	return r.fillOffer(f)
}

// leadsAll tells whether the request lets everybody through, paid or not.
func (r linkRequest) leadsAll() bool { return r.MustPay.Value != nil && !*r.MustPay.Value }

// fillAfter reads what is given to those who have paid, and where they are led.
func (r linkRequest) fillAfter(f *shop.LinkForm) (err error) {
	if r.MustPay.Set {
		f.LeadsTo.All = r.leadsAll()
	} else if r.LeadsTo.Set && r.LeadsTo.Value == "" {
		f.LeadsTo.All = false
	}
	if r.File.Set {
		if f.After.File, err = refersTo[id.Upload]("file", r.File.Value); err != nil {
			return err
		}
	}
	if r.KeyItemID.Set {
		f.After.KeyItem, err = refersTo[id.Item]("key_item_id", r.KeyItemID.Value)
	}
	return err
}

// sellsOther tells whether the request says that something without a price of its own is sold.
func (r linkRequest) sellsOther() bool {
	return r.ItemID.Value != "" || r.Items.Value != nil || r.OpenAmount.Value != nil || r.EndpointID.Value != ""
}

// fillOffer reads what is sold: a price, items, or what the buyer gives.
func (r linkRequest) fillOffer(f *shop.LinkForm) error {
	var err error
	priced := r.Price.Set || r.AmountCents.Set
	switch {
	case r.ItemID.Value != "" && (r.Items.Value != nil || priced):
		return &shop.FieldError{Field: "item_id", Message: "Give item_id, items or a price."}
	case r.Items.Value != nil && priced:
		return &shop.FieldError{Field: "items", Message: "Give item_id, items or a price."}
	case r.EndpointID.Value != "" && (priced || r.sellsItems() || r.OpenAmount.Value != nil):
		return &shop.FieldError{Field: "endpoint_id", Message: "Give endpoint_id, item_id, items, an open amount or a price."}
	case r.OpenAmount.Value != nil && (priced || r.sellsItems()):
		return &shop.FieldError{Field: "open_amount", Message: "Give an open amount, a price or items."}
	case r.ItemID.Value != "":
		item, malformed := refersTo[id.Item]("item_id", r.ItemID.Value)
		f.Items, err = []shop.Want{{Item: item, Qty: 1}}, malformed
	case r.Items.Value != nil:
		f.Items, err = wants(r.Items.Value)
	}
	if err != nil {
		return err
	}
	if r.sellsItems() {
		f.Price, f.Open, f.Endpoint = 0, nil, ""
	}
	if r.EndpointID.Value != "" {
		f.Price, f.Open, f.Items = 0, nil, nil
		if f.Endpoint, err = refersTo[id.Endpoint]("endpoint_id", r.EndpointID.Value); err != nil {
			return err
		}
	}
	if o := r.OpenAmount.Value; o != nil {
		if f.Open, err = o.read(); err != nil {
			return err
		}
		f.Price, f.Items, f.Endpoint = 0, nil, ""
	}
	if priced {
		f.Items, f.Open, f.Endpoint = nil, nil, ""
	}
	return r.fillPrice(f)
}

func (r linkRequest) sellsItems() bool { return r.ItemID.Value != "" || r.Items.Value != nil }

// wants reads items and how many of each; the amounts are for one, where the buyer decides.
func wants(items []wantJSON) ([]shop.Want, error) {
	out := make([]shop.Want, len(items))
	for i, w := range items {
		item, err := id.Parse[id.Item](w.ItemID)
		if err != nil {
			return nil, &shop.FieldError{Field: "items", Message: "item_id is an id that begins with itm_."}
		}
		out[i] = shop.Want{Item: item, Qty: 1}
		if w.Qty != nil {
			out[i].Qty = *w.Qty
		}
		if w.Amount == "" {
			continue
		}
		if out[i].Amount, err = money.ParseUSDC(w.Amount); err != nil {
			return nil, &shop.FieldError{Field: "items", Message: "amount is a decimal such as 12.50, with at most six decimals."}
		}
	}
	return out, nil
}

func (o openJSON) read() (*shop.OpenAmount, error) {
	wrong := &shop.FieldError{Field: "open_amount", Message: "min and presets are amounts such as 12.50, with at most six decimals."}
	out := &shop.OpenAmount{}
	if o.Min != nil {
		amount, err := money.ParseUSDC(*o.Min)
		if err != nil || amount == 0 {
			return nil, wrong
		}
		out.Min = amount
	}
	for _, text := range o.Presets {
		amount, err := money.ParseUSDC(text)
		if err != nil {
			return nil, wrong
		}
		out.Presets = append(out.Presets, amount)
	}
	return out, nil
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
	amount, err := readAmount("price", *price)
	if err != nil {
		return err
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
	Token       string       `json:"token"`
	URL         string       `json:"url"`
	QRURL       string       `json:"qr_url"`
	Shop        shopJSON     `json:"shop"`
	Title       string       `json:"title"`
	Description string       `json:"description"`
	Sells       string       `json:"sells"`
	Items       []goodJSON   `json:"items"`
	OpenAmount  *openJSON    `json:"open_amount"`
	EndpointID  *id.Endpoint `json:"endpoint_id"`
	EndpointURL string       `json:"endpoint_url,omitempty"`
	Price       string       `json:"price"`
	Amount      string       `json:"amount"`
	AmountCents int64        `json:"amount_cents"`
	Currency    string       `json:"currency"`
	Network     string       `json:"network"`
	Asset       string       `json:"asset"`
	PayTo       string       `json:"pay_to"`
	Livemode    bool         `json:"livemode"`
	Status      string       `json:"status"`
	StartsAt    *time.Time   `json:"starts_at"`
	ExpiresAt   *time.Time   `json:"expires_at"`
	PauseText   string       `json:"pause_text"`
	Asks        []string     `json:"asks"`
	LeadsToHost string       `json:"leads_to_host"`
	MustPay     bool         `json:"require_payment"`
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
	j := offerJSON{
		Token: l.Token, URL: a.PublicURL + views.LinkPath(l.Token), QRURL: a.qrURL(l.Token), Shop: shopJSON{o.Shop, o.Domain},
		Title: l.Title, Description: l.Description, Sells: string(l.Sells), Items: a.goodsJSON(l.Goods), OpenAmount: openOf(l),
		Price: l.Price.String(), Amount: o.Amount.Units(), AmountCents: o.Amount.Cents(), Currency: usdc, Network: l.Network.ID, Asset: l.Network.Token.Address.Hex(), PayTo: checksum(o.PayTo), Livemode: l.Livemode,
		Status: linkStatus(l, a.Now()), StartsAt: utc(l.StartsAt), ExpiresAt: utc(l.ExpiresAt), PauseText: l.PauseText, Asks: l.Asks.Words(), LeadsToHost: l.LeadsTo.Host(), MustPay: !l.LeadsTo.All,
		EndpointID: endpointOf(l),
	}
	if j.EndpointID != nil {
		j.EndpointURL = a.callURL(*j.EndpointID)
	}
	return c.JSON(http.StatusOK, j)
}
