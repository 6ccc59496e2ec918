package handlers

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/x402"
)

// sessionRequest is what a program says to begin a purchase for a buyer.
type sessionRequest struct {
	EndpointID  string          `json:"endpoint_id"`
	EndpointURL string          `json:"endpoint_url"`
	LinkToken   string          `json:"link_token"`
	Items       []wantJSON      `json:"items"`
	Qty         int             `json:"qty"`
	Amount      string          `json:"amount"`
	Tip         string          `json:"tip"`
	Discount    string          `json:"discount"`
	Title       string          `json:"discount_title"`
	Code        string          `json:"code"`
	Wallet      string          `json:"buyer_address"`
	Email       string          `json:"email"`
	Name        string          `json:"name"`
	Note        string          `json:"note"`
	Shipping    *addressJSON    `json:"shipping_address"`
	SuccessURL  string          `json:"success_url"`
	CancelURL   string          `json:"cancel_url"`
	Reference   string          `json:"reference"`
	Metadata    json.RawMessage `json:"metadata"`
}

// addressJSON is where goods are sent.
type addressJSON struct {
	Name       string `json:"name"`
	Line1      string `json:"line1"`
	Line2      string `json:"line2"`
	PostalCode string `json:"postal_code"`
	City       string `json:"city"`
	State      string `json:"state"`
	Country    string `json:"country"`
}

// sessionJSON is a purchase that may be paid now, with everything that a wallet needs.
type sessionJSON struct {
	PaymentAttempt  id.Attempt           `json:"payment_attempt"`
	Status          checkout.Status      `json:"status"`
	PayURL          string               `json:"pay_url"`
	CartHash        string               `json:"cart_hash"`
	Reservations    []id.Reservation     `json:"reservations"`
	Amount          string               `json:"amount"`
	AmountCents     int64                `json:"amount_cents"`
	Currency        string               `json:"currency"`
	Network         string               `json:"network"`
	Livemode        bool                 `json:"livemode"`
	X402Version     int                  `json:"x402Version"`
	Accepts         []x402.RequirementV1 `json:"accepts"`
	PaymentRequired x402.RequiredV2      `json:"payment_required"`
	TypedData       x402.TypedData       `json:"typed_data"`
	ExpiresAt       time.Time            `json:"expires_at"`
}

func (a api) createSession(c echo.Context, who access.Caller) error {
	var request sessionRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	begin, err := request.begin()
	if err != nil {
		return err
	}
	begin.Once = who.Once
	if begin.Endpoint, err = a.endpointMeant(c, who, request); err != nil {
		return err
	}
	if who.Merchant == "" {
		begin.From = c.RealIP()
		if begin.Choice.Discount > 0 {
			return errNotForPublic
		}
		if err := a.crowded(c, request.LinkToken+string(begin.Endpoint)); err != nil {
			return err
		}
	} else if len(begin.Items) > 0 {
		begin.Merchant, begin.Livemode = who.Merchant, who.Livemode
	} else if err := a.checkOwn(c, who, begin); err != nil {
		return err
	}
	attempt, err := a.startCoded(c, begin)
	if err != nil {
		return err
	}
	held, err := a.reservations(c, attempt)
	if err != nil {
		return err
	}
	want := a.Checkout.Requirement(attempt)
	return c.JSON(http.StatusCreated, sessionJSON{
		PaymentAttempt: attempt.ID, Status: attempt.Status, PayURL: a.payURL(c.Request().Context(), attempt), CartHash: attempt.CartHash.Hex(),
		Reservations: held, Amount: attempt.Amount.Units(), AmountCents: attempt.Amount.Cents(), Currency: usdc,
		Network: attempt.Network.ID, Livemode: attempt.Livemode, X402Version: 1, Accepts: acceptsV1(want), PaymentRequired: want.V2(),
		TypedData: a.Checkout.TypedData(attempt), ExpiresAt: attempt.ExpiresAt.UTC(),
	})
}

// reservations are the stock that a purchase holds.
func (a api) reservations(c echo.Context, attempt checkout.Attempt) ([]id.Reservation, error) {
	held := []id.Reservation{}
	if !attempt.HoldsStock {
		return held, nil
	}
	rows, err := a.Checkout.Reservations(c.Request().Context(), attempt.ID)
	for _, r := range rows {
		held = append(held, r.ID)
	}
	return held, err
}

// endpointMeant is the endpoint that a request names by its id, by the address that programs call, or by that of the seller's
// own server; empty where it names none.
func (a api) endpointMeant(c echo.Context, who access.Caller, r sessionRequest) (id.Endpoint, error) {
	if r.EndpointID != "" {
		return refersTo[id.Endpoint]("endpoint_id", r.EndpointID)
	}
	if r.EndpointURL == "" {
		return "", nil
	}
	if name, ours := strings.CutPrefix(r.EndpointURL, a.callURL("")); ours {
		endpoint, err := id.Parse[id.Endpoint](name)
		if err != nil {
			return "", shop.ErrNotFound
		}
		return endpoint, nil
	}
	plain, err := a.Egress.Normalize(r.EndpointURL)
	if err != nil {
		return "", shop.ErrNotFound
	}
	return a.Endpoints.ByURL(c.Request().Context(), who.Merchant, who.Livemode, plain)
}

// checkOwn hides the links and endpoints of other shops, and of the other mode, from a shop's key.
func (a api) checkOwn(c echo.Context, who access.Caller, b checkout.Begin) error {
	offer, err := a.Checkout.OfferOf(c.Request().Context(), b)
	if err == nil && !owns(who, offer.Merchant, offer.Link.Livemode) {
		return shop.ErrNotFound
	}
	return err
}

// begin makes a purchase's beginning of the request.
func (r sessionRequest) begin() (checkout.Begin, error) {
	switch {
	case r.LinkToken == "" && len(r.Items) == 0 && r.EndpointID == "" && r.EndpointURL == "":
		return checkout.Begin{}, &shop.FieldError{Field: "link_token", Message: "Say what is bought: the token of a payment link, items, or an endpoint."}
	case (r.EndpointID != "" || r.EndpointURL != "") && (r.LinkToken != "" || r.Items != nil), r.EndpointID != "" && r.EndpointURL != "":
		field := "endpoint_id"
		if r.EndpointID == "" {
			field = "endpoint_url"
		}
		return checkout.Begin{}, &shop.FieldError{Field: field, Message: "Give link_token, items, endpoint_id or endpoint_url."}
	case r.LinkToken != "" && r.Items != nil:
		return checkout.Begin{}, &shop.FieldError{Field: "items", Message: "Give link_token or items."}
	}
	metadata, err := object("metadata", r.Metadata)
	if err != nil {
		return checkout.Begin{}, err
	}
	items, err := wants(r.Items)
	if err != nil {
		return checkout.Begin{}, err
	}
	choice, err := r.choice()
	if err != nil {
		return checkout.Begin{}, err
	}
	return checkout.Begin{
		Token: r.LinkToken, Items: items, Choice: choice, Code: r.Code, Wallet: r.Wallet, Buyer: r.buyer(), Channel: "api", SuccessURL: r.SuccessURL, CancelURL: r.CancelURL, Reference: r.Reference, Metadata: metadata,
	}, nil
}

// choice reads how many, how much, and what the seller takes off.
func (r sessionRequest) choice() (shop.Choice, error) {
	choice := shop.Choice{Qty: r.Qty, DiscountTitle: r.Title}
	for _, m := range []struct {
		name, text string
		into       *money.USDC
	}{{"amount", r.Amount, &choice.Amount}, {"tip", r.Tip, &choice.Tip}, {"discount", r.Discount, &choice.Discount}} {
		if m.text == "" {
			continue
		}
		amount, err := readAmount(m.name, m.text)
		if err != nil {
			return choice, err
		}
		*m.into = amount
	}
	return choice, nil
}

func (r sessionRequest) buyer() checkout.Buyer {
	b := checkout.Buyer{Email: r.Email, Name: r.Name, Note: r.Note}
	if r.Shipping != nil {
		address := checkout.Address(*r.Shipping)
		b.Shipping = &address
	}
	return b
}

// acceptsV1 is empty on networks that version 1 has no name for: one unknown name makes its clients refuse all.
func acceptsV1(want x402.Requirement) []x402.RequirementV1 {
	if want.Token.NetworkV1 == "" {
		return []x402.RequirementV1{}
	}
	return []x402.RequirementV1{want.V1()}
}
