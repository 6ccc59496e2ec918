package handlers

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
	"xsynesis/x402"
)

func (h *Handlers) buyerRoutes(e *echo.Echo) {
	g := e.Group("", cors)
	g.Match([]string{http.MethodGet, http.MethodHead}, "/link/:token", h.link)
	g.POST("/link/:token", h.begin)
	g.OPTIONS("/link/:token", nothing)
	g.Match([]string{http.MethodGet, http.MethodHead}, "/pay/:attempt", h.purchase)
	g.POST("/pay/:attempt", h.purchase)
	g.OPTIONS("/pay/:attempt", nothing)
	g.GET("/pay/:attempt/events", h.purchaseEvents)
	e.POST("/pay/:attempt/openings", h.openPurchase)
	e.POST("/pay/:attempt/tip", h.tip)
	e.POST("/pay/:attempt/transfer", h.transfer)
	e.GET("/pay/:attempt/transfer", h.transferPage)
	g.Match([]string{http.MethodGet, http.MethodHead}, "/pay/:attempt/files/:line", h.download)
}

func nothing(c echo.Context) error { return c.NoContent(http.StatusNoContent) }

// link shows what a link offers: to people a page, to programs a 402 or, for a payment, the goods.
func (h *Handlers) link(c echo.Context) error {
	c.Response().Header().Set("Vary", vary)
	if sent, err := h.shelvedPage(c); sent {
		return err
	}
	offer, err := h.chosenOffer(c)
	if err != nil {
		return err
	}
	if err := h.opened(c, offer.Link); err != nil {
		return err
	}
	if !wantsPage(c.Request()) || carriesPayment(c.Request()) {
		if offer, err = h.codedOffer(c, offer); err != nil {
			return err
		}
	}
	if offer.Link.LeadsTo.All && !carriesPayment(c.Request()) {
		return h.shortLink(c, offer)
	}
	if carriesPayment(c.Request()) {
		return h.payLink(c, offer)
	}
	want, err := h.Checkout.Quote(c.Request().Context(), offer)
	if wantsPage(c.Request()) {
		return h.linkPage(c, offer, want, err)
	}
	if err != nil {
		return err
	}
	return h.askPayment(c, want, noPayment)
}

// linkPage is the offer as people see it, or why it is over.
func (h *Handlers) linkPage(c echo.Context, offer shop.Offer, want x402.Requirement, problem error) error {
	offer, code := h.codeOn(c, offer, c.QueryParam)
	v, err := h.offerView(offer, problem)
	if err != nil {
		return err
	}
	v.Ask = askView(offer, c.QueryParam, nil)
	v.Code = code
	page, status := views.LinkPage(v), http.StatusGone
	if v.Closed == "" && problem == nil {
		return h.offerPage(c, offer, want, page)
	}
	c.Response().Header().Set("Cache-Control", "private, no-cache")
	if v.Closed == "" {
		status = http.StatusServiceUnavailable
		askForPatience(c, status)
	}
	return h.Page(c, status, page)
}

// offerPage draws, keeps and sends the page of a link that can be paid.
func (h *Handlers) offerPage(c echo.Context, o shop.Offer, want x402.Requirement, page templ.Component) error {
	now := h.Now()
	var b bytes.Buffer
	if err := page.Render(c.Request().Context(), &b); err != nil {
		return err
	}
	offer := x402.Header("Payment required", want)
	if c.Request().URL.RawQuery == "" {
		h.shelf.put(o.Link, now, offer, b.Bytes())
	}
	return h.sendOffer(c, offer, b.Bytes())
}

// begin is the tap on Pay.
func (h *Handlers) begin(c echo.Context) error {
	c.Response().Header().Set("Vary", vary)
	if carriesPayment(c.Request()) {
		offer, err := h.chosenOffer(c)
		if err != nil {
			return err
		}
		if offer, err = h.codedOffer(c, offer); err != nil {
			return err
		}
		return h.payLink(c, offer)
	}
	if err := h.crowded(c, c.Param("token")); err != nil {
		return h.notBegun(c, err)
	}
	sent := asked(c.FormValue)
	choice, err := sent.choice()
	if err != nil {
		return h.notBegun(c, err)
	}
	if c.FormValue("apply") != "" {
		return h.applyCode(c, choice)
	}
	a, err := h.startCoded(c, checkout.Begin{
		Token: c.Param("token"), Choice: choice, From: c.RealIP(), Buyer: sent.buyer(), ByForm: true,
		Code: strings.TrimSpace(c.FormValue("code")), Wallet: c.FormValue("buyer_address"),
	})
	if err != nil {
		return h.notBegun(c, err)
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.Redirect(http.StatusSeeOther, views.PurchasePath(string(a.ID), h.Checkout.BuyerToken(c.Request().Context(), a)))
}

// chosenOffer is what a link offers, with what the request's address chooses.
func (h *Handlers) chosenOffer(c echo.Context) (shop.Offer, error) {
	choice, err := asked(c.QueryParam).choice()
	if err != nil {
		return shop.Offer{}, err
	}
	offer, err := h.Shop.Offer(c.Request().Context(), c.Param("token"))
	if err != nil {
		return shop.Offer{}, err
	}
	return offer.Choose(choice)
}

// notBegun shows the offer again, with what was sent and the sentence that refuses it.
func (h *Handlers) notBegun(c echo.Context, problem error) error {
	if !wantsPage(c.Request()) || errors.Is(problem, shop.ErrNotFound) {
		return problem
	}
	offer, err := h.Shop.Offer(c.Request().Context(), c.Param("token"))
	if err != nil {
		return err
	}
	sent := asked(c.FormValue)
	if choice, err := sent.choice(); err == nil {
		if chosen, err := offer.Choose(choice); err == nil {
			offer = chosen
		}
	}
	v, err := h.offerView(offer, problem)
	if err != nil {
		return err
	}
	status := formStatus(problem)
	if status == http.StatusInternalServerError {
		return problem
	}
	if v.Ask = askView(offer, sent, problem); v.Problem != "" {
		v.Problem = askProblem(problem)
	}
	v.Code = refusedCode(c, offer, problem)
	if v.Code.Problem != "" || v.Code.Wallet.Problem != "" {
		v.Problem = "" // it stands beside its field
		if status < http.StatusTooManyRequests {
			status = http.StatusUnprocessableEntity
		}
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	askForPatience(c, status)
	return h.Page(c, status, views.LinkPage(v))
}

// payLink takes a program's payment for a link.
func (h *Handlers) payLink(c echo.Context, offer shop.Offer) error {
	p, err := x402.FromRequest(c.Request().Header)
	if err != nil {
		return h.refuse(c, h.Checkout.Offered(offer), p.Version, err)
	}
	request, err := fingerprint(c.Request())
	if err != nil {
		return err
	}
	purchase, err := h.Checkout.PayLink(c.Request().Context(), offer, p, request)
	return h.answerPayment(c, purchase, h.Checkout.Offered(offer), p, err)
}

// purchase is one purchase: its page, or for programs its state, or the answer to its payment.
func (h *Handlers) purchase(c echo.Context) error {
	c.Response().Header().Set("Vary", vary)
	attempt, err := id.Parse[id.Attempt](c.Param("attempt"))
	if err != nil {
		return checkout.ErrNotFound
	}
	purchase, err := h.Checkout.Purchase(c.Request().Context(), attempt)
	if err != nil {
		return err
	}
	switch {
	case carriesPayment(c.Request()):
		return h.payPurchase(c, purchase)
	case c.Request().Method == http.MethodPost:
		return echo.ErrMethodNotAllowed
	case wantsPage(c.Request()):
		return h.purchasePage(c, purchase)
	}
	return h.purchaseState(c, purchase)
}

func (h *Handlers) payPurchase(c echo.Context, purchase checkout.Purchase) error {
	want := h.Checkout.Requirement(purchase.Attempt)
	p, err := x402.FromRequest(c.Request().Header)
	if err != nil {
		return h.refuse(c, want, p.Version, err)
	}
	paid, err := h.Checkout.Pay(c.Request().Context(), purchase.ID, p)
	return h.answerPayment(c, paid, want, p, err)
}

func (h *Handlers) purchasePage(c echo.Context, purchase checkout.Purchase) error {
	next, err := h.tipped(c, purchase)
	if err != nil {
		return err
	}
	if next != "" {
		return c.Redirect(http.StatusSeeOther, views.PurchasePath(string(next), ""))
	}
	return h.purchasePageOf(c, http.StatusOK, purchase, c.QueryParam("k"), refusedFields{})
}

// refusedFields are what a buyer typed that was refused, or asked for and cannot have.
type refusedFields struct {
	tip, hash views.Field
	crowded   bool // no amount is left by which a transfer could name his purchase
}

// purchasePageOf is a purchase's page, for whoever has the buyer's token k, with what was refused.
func (h *Handlers) purchasePageOf(c echo.Context, status int, purchase checkout.Purchase, k string, refused refusedFields) error {
	if !purchase.IsBuyer(k) {
		k = ""
	}
	v, err := h.purchaseView(purchase, k)
	if err != nil {
		return err
	}
	if v.Tip.Field = refused.tip; k != "" {
		if err := h.viewBuyers(c, &v, purchase, k); err != nil {
			return err
		}
	}
	if err := h.viewTransfer(c, &v, purchase, k); err != nil {
		return err
	}
	if err := h.viewRefunds(c, &v, purchase); err != nil {
		return err
	}
	v.Transfer.Hash, v.Transfer.Crowded = refused.hash, refused.crowded
	c.Response().Header().Set("Cache-Control", "private, no-cache")
	if purchase.Status == checkout.Open {
		c.Response().Header().Set(x402.HeaderRequired, x402.Header("Payment required", h.Checkout.Requirement(purchase.Attempt)))
	}
	return h.pageOr(c, max(status, pageStatus(purchase.Status)), views.PurchaseFragment, views.PurchasePage(v))
}

// pageStatus is 410 for purchases that are over unpaid; everything else is a page worth keeping.
func pageStatus(s checkout.Status) int {
	if s == checkout.Expired || s == checkout.Cancelled {
		return http.StatusGone
	}
	return http.StatusOK
}

// purchaseState is a purchase as programs read it.
func (h *Handlers) purchaseState(c echo.Context, purchase checkout.Purchase) error {
	switch purchase.Status {
	case checkout.Open:
		return h.askPayment(c, h.Checkout.Requirement(purchase.Attempt), noPayment)
	case checkout.Settling, checkout.Unknown:
		return checkout.ErrPending
	case checkout.Settled, checkout.SettledLate:
		c.Response().Header().Set("Cache-Control", "private, no-store")
		return h.sendReceipt(c, purchase, purchase.IsBuyer(c.QueryParam("k")))
	case checkout.Reversed:
		return checkout.ErrReversed
	case checkout.Failed:
		return checkout.ErrFailed
	default:
		return checkout.ErrExpired
	}
}

// noPayment is what a 402 says to a request without a payment, in the words that clients know.
const noPayment = "X-PAYMENT header is required"

// askPayment answers 402 in both versions at once: the body for version 1, the header for version 2.
func (h *Handlers) askPayment(c echo.Context, want x402.Requirement, problem string) error {
	header := c.Response().Header()
	header.Set("Cache-Control", "no-store")
	header.Set(x402.HeaderRequired, x402.Header(problem, want))
	return c.Blob(http.StatusPaymentRequired, echo.MIMEApplicationJSON, x402.Body(problem, want))
}

// answerPayment turns the outcome of a payment into its answer.
func (h *Handlers) answerPayment(c echo.Context, purchase checkout.Purchase, want x402.Requirement, p x402.Payment, err error) error {
	header := c.Response().Header()
	if purchase.ID != "" {
		header.Set("Content-Location", h.PublicURL+views.PurchasePath(string(purchase.ID), ""))
	}
	if err == nil {
		name, value := h.paymentReceipt(purchase, p).Header(p.Version)
		header.Set(name, value)
		header.Set("Cache-Control", "private, no-store")
		return h.sendReceipt(c, purchase, true)
	}
	if errors.Is(err, checkout.ErrPending) {
		header.Set("Location", h.PublicURL+views.PurchasePath(string(purchase.ID), ""))
		return err
	}
	return h.refuse(c, want, p.Version, err)
}

// refuse answers a payment that cannot be taken: 402 with the reason in the payer's version, or the error as it is.
func (h *Handlers) refuse(c echo.Context, want x402.Requirement, version int, err error) error {
	var invalid *x402.Invalid
	if !errors.As(err, &invalid) {
		return err
	}
	return h.askPayment(c, want, invalid.Reason(max(version, 1)))
}

// paymentReceipt is the receipt that goes back in the header of the payment's own version.
func (h *Handlers) paymentReceipt(purchase checkout.Purchase, p x402.Payment) x402.Receipt {
	r := x402.Receipt{Success: true, Token: purchase.Network.Token, Payer: p.Authorization.From}
	if purchase.Settlement != nil {
		r.Transaction = purchase.Settlement.Transaction
	}
	return r
}

// fingerprint is what the answer to a payment may be repeated to.
func fingerprint(r *http.Request) (checkout.Request, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return checkout.Request{}, err
	}
	sum := sha256.New()
	target := (&url.URL{Path: r.URL.Path, RawQuery: r.URL.RawQuery}).RequestURI()
	for _, part := range []string{r.Method, target, string(body)} {
		sum.Write([]byte(part + "\x00"))
	}
	return checkout.Request(sum.Sum(nil)), nil
}
