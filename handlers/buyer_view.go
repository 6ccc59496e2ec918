package handlers

import (
	"cmp"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

// offerView is a link's page. problem is why it cannot be paid now, or nil.
func (h *Handlers) offerView(o shop.Offer, problem error) (views.OfferView, error) {
	address := h.PublicURL + views.LinkPath(o.Link.Token)
	qr, err := views.NewQR(address)
	if err != nil {
		return views.OfferView{}, err
	}
	v := views.OfferView{
		Token: o.Link.Token, URL: address, QR: qr, Test: !o.Link.Livemode, TestWallet: h.TestWallet,
		Payee: views.Payee{Name: o.Shop, Domain: o.Domain, Address: checksum(o.PayTo)},
		Cart: views.Cart{
			Title: o.Title(), Note: o.Link.Description, Amount: o.Amount, Lines: cartLines(o.Lines, o.Title()), Image: h.imageOf(o.Goods),
		},
		Leads: o.Link.LeadsTo.Host(), Closing: closingOf(o.Link, problem),
	}
	if problem != nil && v.Closed == "" {
		r, _ := replyTo(problem)
		v.Problem = r.message
	}
	return v, nil
}

// closingOf says why a link is closed; the zero Closing is an open one, and one that something else is wrong with.
func closingOf(l shop.Link, problem error) views.Closing {
	switch {
	case errors.Is(problem, shop.ErrLinkExpired):
		return views.Closing{Closed: views.ClosedExpired}
	case errors.Is(problem, shop.ErrLinkPaused), errors.Is(problem, shop.ErrEndpointDisabled):
		return views.Closing{Closed: views.ClosedPaused, ClosedText: l.PauseText}
	case errors.Is(problem, shop.ErrLinkEarly) && l.StartsAt != nil:
		return views.Closing{Closed: views.ClosedEarly, OpensAt: *l.StartsAt}
	case errors.Is(problem, shop.ErrSoldOut):
		return views.Closing{Closed: views.ClosedSoldOut}
	}
	return views.Closing{}
}

// purchaseView is the page of one purchase; k is the reader's buyer token, or empty.
func (h *Handlers) purchaseView(p checkout.Purchase, k string) (views.PurchaseView, error) {
	address := h.PublicURL + views.PurchasePath(string(p.ID), "")
	payURL := h.PublicURL + views.PurchasePath(string(p.ID), k)
	qr, err := views.NewQR(address)
	if err != nil {
		return views.PurchaseView{}, err
	}
	v := views.PurchaseView{
		Attempt: string(p.ID), Status: string(p.Status), URL: address, PayURL: payURL, QR: qr, Number: number(p),
		Network: p.Network.Name, AgainToken: p.LinkToken, Payee: views.Payee{Name: p.Shop, Domain: p.Domain, Address: p.PayTo.Hex()},
		Cart: views.Cart{Title: p.Title, Amount: p.Amount, Lines: cartLines(p.Lines, p.Title)}, Now: h.Now(), ExpiresAt: p.ExpiresAt,
		Test: !p.Livemode, Simulated: p.Simulated, TestWallet: h.TestWallet, BackURL: p.SuccessURL, Receipt: number(p),
	}
	if p.Status == checkout.Open {
		v.TypedData = h.Checkout.TypedData(p.Attempt)
		v.AtTill, v.Tip = p.Channel == "till", tipView(p)
	}
	h.viewPayment(&v, p)
	return v, nil
}

// viewBuyers adds what is for the buyer alone, once he has paid: his goods, his proof, and the way on.
func (h *Handlers) viewBuyers(c echo.Context, v *views.PurchaseView, p checkout.Purchase, k string) error {
	if !p.Status.Paid() {
		return nil
	}
	goods, err := h.Checkout.Goods(c.Request().Context(), p)
	if err != nil {
		return err
	}
	v.Thanks, v.BackURL = p.LinkMessage, h.backURL(c, p)
	for _, g := range goods {
		handed := views.DeliveredGoods{Title: g.Title, Keys: g.Keys}
		if g.File != nil {
			handed.File = &views.DeliveredFile{Name: g.File.Name, Bytes: g.File.Size, URL: FilePath(p.ID, g.Line, k), Times: g.Times}
		}
		v.Handover.Goods = append(v.Handover.Goods, handed)
	}
	if err := h.viewPass(c, v, p); err != nil {
		return err
	}
	if err := h.viewShipment(c, v, p); err != nil {
		return err
	}
	if path := onwardPath(p, k); path != "" {
		v.Handover.Onward, v.Handover.OnwardHost = path, shop.LeadsTo{URL: p.LeadsTo}.Host()
	}
	if _, ok := checkout.ReceiptOf(p); ok {
		v.Handover.ReceiptURL = views.ReceiptPath(string(p.ID), k)
	}
	return nil
}

// viewPass adds the pass of a purchase of an endpoint.
func (h *Handlers) viewPass(c echo.Context, v *views.PurchaseView, p checkout.Purchase) error {
	pass, err := h.Checkout.PassBought(c.Request().Context(), p)
	if err != nil || pass == nil {
		return err
	}
	v.Handover.Pass = &views.BoughtPass{
		URL: h.callURL(pass.Endpoint), Token: pass.Token, Once: pass.CallsLeft != nil, Over: !pass.Alive(h.Now()), EndsAt: timeOr(pass.EndsAt),
	}
	return nil
}

// backURL is where a paid page sends its buyer, with what the shop's site needs to see that he has paid.
func (h *Handlers) backURL(c echo.Context, p checkout.Purchase) string {
	u, err := url.Parse(p.SuccessURL)
	if err != nil || p.SuccessURL == "" {
		return p.SuccessURL
	}
	q := u.Query()
	q.Set("payment_attempt", string(p.ID))
	q.Set("receipt", h.Checkout.ReceiptToken(c.Request().Context(), p.Attempt))
	u.RawQuery = q.Encode()
	return u.String()
}

// viewPayment adds what is known of the payment.
func (h *Handlers) viewPayment(v *views.PurchaseView, p checkout.Purchase) {
	if p.Claim != nil {
		v.Payer, v.Approval, v.ApprovedAt = p.Claim.Payer.Hex(), p.Claim.Nonce.Hex(), p.Claim.At
		v.CertainBy = p.Claim.ValidBefore.Add(certainAfter)
	} else if p.Status.Paid() && p.Settlement != nil && !p.Simulated { // by a transfer of his own
		v.Payer, v.Received = checksum(p.Settlement.Payer), p.AmountReceived
	}
	if p.SettledAt != nil {
		v.SettledAt = *p.SettledAt
	}
	if s := p.Settlement; s != nil {
		v.CheckedAt = s.UpdatedAt
		if s.Transaction != "" {
			v.SentAt, v.Transaction = s.UpdatedAt, s.Transaction
			v.TransactionURL = transactionURL(p.Network.Explorer, s.Transaction, s.Simulated)
		}
	}
}

// certainAfter is how long after validBefore the chain's finalized head is surely past it.
const certainAfter = 30 * time.Minute

func transactionURL(explorer, transaction string, simulated bool) string {
	if explorer == "" || transaction == "" || simulated {
		return ""
	}
	return explorer + "/tx/" + transaction
}

// number is what a buyer can read aloud: the end of the purchase's id.
func number(p checkout.Purchase) string { return receiptNumber(p.ID) }

func receiptNumber(attempt id.Attempt) string {
	text := string(attempt)
	tail := text[len(text)-6:]
	return strings.Join([]string{tail[:4], tail[4:]}, "-")
}

// imageOf is the picture of what is sold first, or empty.
func (h *Handlers) imageOf(goods []shop.Good) string {
	if len(goods) == 0 || goods[0].Image == "" {
		return ""
	}
	return h.PublicURL + ImagePath(goods[0].Image)
}

func cartLines(of []checkout.Line, title string) []views.CartLine {
	lines := make([]views.CartLine, len(of))
	for i, l := range of {
		lines[i] = views.CartLine{Title: cmp.Or(l.Title, title), Quantity: l.Qty, Amount: l.UnitAmount * amountOf(l.Qty)}
	}
	return lines
}
