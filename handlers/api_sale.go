package handlers

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/shop"
)

// saleJSON is one paid line, with title and price as they were.
type saleJSON struct {
	ID               id.Sale        `json:"id"`
	ItemID           string         `json:"item_id"`
	ItemTitle        string         `json:"item_title"`
	ReservationID    string         `json:"reservation_id"`
	PaymentAttemptID id.Attempt     `json:"payment_attempt_id"`
	SettlementID     *id.Settlement `json:"settlement_id"`
	LinkID           *id.Link       `json:"link_id"`
	Qty              int32          `json:"qty"`
	Amount           string         `json:"amount"`
	AmountCents      int64          `json:"amount_cents"`
	Net              string         `json:"net"`
	Fee              string         `json:"fee"`
	Refunded         string         `json:"refunded"`
	Currency         string         `json:"currency"`
	PurchaserAddress string         `json:"purchaser_address"`
	Network          string         `json:"network"`
	Transaction      string         `json:"transaction"`
	Channel          string         `json:"channel"`
	Reference        string         `json:"reference"`
	Late             bool           `json:"late"`
	Simulated        bool           `json:"simulated"`
	Reversed         bool           `json:"reversed"`
	Kind             string         `json:"kind"`
	Fulfilment       string         `json:"fulfilment"`
	FulfilledAt      *time.Time     `json:"fulfilled_at"`
	FulfilmentNote   string         `json:"fulfilment_note"`
	Livemode         bool           `json:"livemode"`
	CreatedAt        time.Time      `json:"created_at"`
}

func saleOf(s checkout.Sale) saleJSON {
	j := saleJSON{
		ID: s.ID, ItemID: s.ItemID, ItemTitle: s.ItemTitle, ReservationID: s.ReservationID, PaymentAttemptID: s.AttemptID,
		SettlementID: s.SettlementID, LinkID: s.LinkID, Qty: s.Qty, Amount: s.Amount.Units(), AmountCents: s.Amount.Cents(),
		Net: (s.Amount - s.Fee).Units(), Fee: s.Fee.Units(), Refunded: s.Refunded.Units(), Reversed: s.Reversed,
		Currency: s.Currency, PurchaserAddress: checksum(s.PurchaserAddress), Network: s.Network, Transaction: s.Transaction,
		Channel: s.Channel, Reference: s.Reference, Late: s.Late, Simulated: s.Simulated, Kind: s.Kind, Fulfilment: s.Fulfilment,
		FulfilledAt: utc(s.FulfilledAt), FulfilmentNote: s.FulfilmentNote, Livemode: s.Livemode, CreatedAt: s.CreatedAt.UTC(),
	}
	if s.PurchaserAddress == "" { // nobody pays for what costs nothing
		j.PurchaserAddress = ""
	}
	return j
}

var saleParams = []apiParam{
	{"start_date", "From the beginning of this day in UTC, whatever the shop's time zone, or from this moment on."},
	{"end_date", "To the end of this day in UTC, or up to but without this moment."},
	{"item_id", "Only sales of this item or link."}, {"channel", "Only sales of link, till, api or storefront."},
	{"network", "Only sales on this network, by its CAIP-2 id."},
}

// saleFilter reads the filters of the sales calls.
func (a api) saleFilter(c echo.Context) (f checkout.Filter, err error) {
	if f.Since, err = moment(c, "start_date", 0); err != nil {
		return f, err
	}
	if f.Until, err = moment(c, "end_date", 1); err != nil {
		return f, err
	}
	f.Channel, f.Network, f.ItemID = c.QueryParam("channel"), c.QueryParam("network"), c.QueryParam("item_id")
	switch f.Channel {
	case "", "link", "till", "api", "storefront":
	default:
		return f, &shop.FieldError{Field: "channel", Message: "Say link, till, api or storefront."}
	}
	if f.Network != "" {
		if _, err := a.Networks.Network(f.Network); err != nil {
			return f, &shop.FieldError{Field: "network", Message: "This network is not known here."}
		}
	}
	if !shop.OneLine(f.ItemID, maxID) {
		return f, &shop.FieldError{Field: "item_id", Message: "Give the id of an item or link."}
	}
	return f, nil
}

// moment reads a day or a moment; a day at the end of a range counts as a whole.
func moment(c echo.Context, name string, days int) (time.Time, error) {
	text := c.QueryParam(name)
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t.AddDate(0, 0, days), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, &shop.FieldError{Field: name, Message: "Give a day such as 2026-01-02, or a time such as 2026-01-02T15:04:05Z."}
	}
	return t.UTC(), nil
}

func (a api) listSales(c echo.Context, who access.Caller) error {
	f, err := a.saleFilter(c)
	if err != nil {
		return err
	}
	limit, err := listLimit(c)
	if err != nil {
		return err
	}
	text := c.QueryParam("cursor")
	before := saleCursor(text)
	if text != "" && before == nil {
		return errCursor
	}
	sales, err := a.Checkout.Sales(c.Request().Context(), who.Merchant, who.Livemode, f, before, nil, limit)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, list(sales, limit, cursorOf, saleOf))
}

func (a api) exportSales(c echo.Context, who access.Caller) error {
	f, err := a.saleFilter(c)
	if err != nil {
		return err
	}
	return a.writeCSV(c, who.Merchant, who.Livemode, f)
}

// settlementJSON is one payment's way to the shop.
type settlementJSON struct {
	ID               id.Settlement `json:"id"`
	PaymentAttemptID id.Attempt    `json:"payment_attempt_id"`
	Status           string        `json:"status"`
	Facilitator      string        `json:"facilitator"`
	Transaction      string        `json:"transaction"`
	ExplorerURL      string        `json:"explorer_url,omitempty"`
	Network          string        `json:"network"`
	Payer            string        `json:"payer"`
	PayTo            string        `json:"pay_to"`
	Amount           string        `json:"amount"`
	AmountCents      int64         `json:"amount_cents"`
	Currency         string        `json:"currency"`
	Simulated        bool          `json:"simulated"`
	AgeSeconds       int64         `json:"age_seconds"`
	LastError        string        `json:"last_error"`
	CreatedAt        time.Time     `json:"created_at"`
	UpdatedAt        time.Time     `json:"updated_at"`
	ConfirmedAt      *time.Time    `json:"confirmed_at"`
}

func (a api) settlementJSON(s checkout.Settlement) settlementJSON {
	return settlementJSON{
		ID: s.ID, PaymentAttemptID: s.Attempt, Status: s.Status, Facilitator: s.Facilitator, Transaction: s.Transaction,
		ExplorerURL: transactionURL(s.Network.Explorer, s.Transaction, s.Simulated), Network: s.Network.ID,
		Payer: checksum(s.Payer), PayTo: checksum(s.PayTo), Amount: s.Amount.Units(), AmountCents: s.Amount.Cents(),
		Currency: currencyOf(s.Simulated), Simulated: s.Simulated, AgeSeconds: int64(a.Now().Sub(s.CreatedAt) / time.Second),
		LastError: s.LastError, CreatedAt: s.CreatedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(), ConfirmedAt: utc(s.ConfirmedAt),
	}
}

func (a api) listSettlements(c echo.Context, who access.Caller) error {
	page, err := listPage[id.Settlement](c)
	if err != nil {
		return err
	}
	rows, err := a.Checkout.Settlements(c.Request().Context(), who.Merchant, who.Livemode, page)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, list(rows, page.Limit, func(s checkout.Settlement) string { return string(s.ID) }, a.settlementJSON))
}

type fulfilRequest struct {
	rowRequest
	Note string `json:"note"`
}

func (a api) fulfil(c echo.Context, who access.Caller) error {
	var request fulfilRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	sale, err := rowID[id.Sale](request.ID)
	if err != nil {
		return err
	}
	s, err := a.Checkout.Fulfil(c.Request().Context(), who.Merchant, who.Livemode, sale, request.Note, program(c, who))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, saleOf(s))
}

// exceptionJSON is money, or a difference, that somebody has to decide on.
type exceptionJSON struct {
	ID               id.Exception   `json:"id"`
	Kind             string         `json:"kind"`
	PaymentAttemptID *id.Attempt    `json:"payment_attempt_id"` // null: nobody knows what it came for
	Title            string         `json:"title"`
	SettlementID     *id.Settlement `json:"settlement_id"` // null: no settlement names it
	Payer            string         `json:"payer"`
	Amount           string         `json:"amount"`
	AmountCents      int64          `json:"amount_cents"`
	Network          string         `json:"network"`
	Transaction      string         `json:"transaction"`
	Livemode         bool           `json:"livemode"`
	CreatedAt        time.Time      `json:"created_at"`
}

func (a api) listExceptions(c echo.Context, who access.Caller) error {
	page, err := listPage[id.Exception](c)
	if err != nil {
		return err
	}
	rows, err := a.Checkout.UnresolvedList(c.Request().Context(), who.Merchant, who.Livemode, false, page)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, list(rows, page.Limit, func(u checkout.Unresolved) string { return string(u.ID) }, exceptionOf))
}

func exceptionOf(u checkout.Unresolved) exceptionJSON {
	e := exceptionJSON{
		ID: u.ID, Kind: u.Kind, Title: u.Title, Payer: checksum(u.Payer), Amount: u.Amount.Units(), AmountCents: u.Amount.Cents(),
		Network: u.Network.ID, Transaction: u.Transaction, Livemode: u.Livemode, CreatedAt: u.ListedAt.UTC(),
	}
	if u.Attempt != "" {
		e.PaymentAttemptID = &u.Attempt
	}
	if u.Settlement != "" {
		e.SettlementID = &u.Settlement
	}
	return e
}
