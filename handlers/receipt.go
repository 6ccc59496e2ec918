package handlers

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/views"
)

func (h *Handlers) receiptRoutes(e *echo.Echo) {
	e.GET("/pay/:attempt/receipt", h.ownReceipt)
	e.GET(views.VerifyPath, h.verifyForm)
	e.POST(views.VerifyPath, h.verify)
}

// ownReceipt hands its buyer what proves his payment. What he bought is not in it: it is made to be shown around.
func (h *Handlers) ownReceipt(c echo.Context) error {
	attempt, err := id.Parse[id.Attempt](c.Param("attempt"))
	if err != nil {
		return checkout.ErrNotFound
	}
	p, err := h.Checkout.Purchase(c.Request().Context(), attempt)
	if err != nil {
		return err
	}
	r, ok := checkout.ReceiptOf(p)
	if !ok || !p.IsBuyer(c.QueryParam("k")) {
		return checkout.ErrNotFound
	}
	header := c.Response().Header()
	header.Set("Cache-Control", "private, no-store")
	header.Set("Content-Disposition", `attachment; filename="receipt-`+number(p)+`.json"`)
	return c.JSONPretty(http.StatusOK, r, "  ")
}

func (h *Handlers) verifyForm(c echo.Context) error {
	return h.Page(c, http.StatusOK, views.Verify(views.VerifyView{Test: h.Development}))
}

// maxReceipt is far more than the largest receipt has.
const maxReceipt = 64 << 10

// verify proves a receipt that somebody sends, whoever's it is; nothing of it is kept.
func (h *Handlers) verify(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	v := views.VerifyView{Receipt: views.Field{Value: strings.TrimSpace(c.FormValue("receipt"))}, Test: h.Development}
	text, err := receiptText(c)
	if err != nil {
		return err
	}
	r, err := checkout.ReadReceipt(text)
	if err != nil {
		v.Receipt.Problem = "This is no receipt. Take the whole text of the file."
		return h.Page(c, http.StatusUnprocessableEntity, views.Verify(v))
	}
	proven, err := h.Checkout.VerifyReceipt(c.Request().Context(), r)
	status := http.StatusOK
	var untrue *checkout.ReceiptError
	switch {
	case err == nil:
		v.Result = receiptProof(proven)
	case errors.As(err, &untrue):
		v.Result = &views.Proof{Verdict: views.ProofBroken, Checks: untrueChecks(untrue)}
	case errors.Is(err, evm.ErrNetwork):
		v.Receipt.Problem, status = "Its network is not known here.", http.StatusUnprocessableEntity
	case errors.Is(err, evm.ErrUnavailable):
		status = http.StatusServiceUnavailable
		askForPatience(c, status)
		v.Result = &views.Proof{Verdict: views.ProofAway, Checks: []views.ProofCheck{
			{Text: looksWhole, State: "settled"}, {Text: fitsTogether, State: "settled"}, {Text: isOnChain, State: "open", Note: "Not looked at."},
		}}
	default:
		return err
	}
	return h.Page(c, status, views.Verify(v))
}

// receiptText is the file that was sent, or else the text.
func receiptText(c echo.Context) ([]byte, error) {
	sent, err := c.FormFile("file")
	if err != nil || sent.Size == 0 { // a form without a file sends an empty one
		return []byte(c.FormValue("receipt")), nil
	}
	f, err := sent.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxReceipt))
}

// What is looked at in a receipt, as people read it.
const (
	looksWhole   = "It can be read"
	fitsTogether = "Its parts belong together"
	isOnChain    = "The payment is on the chain"
	namesGoods   = "It names what was bought"
)

func receiptProof(p checkout.Proven) *views.Proof {
	out := &views.Proof{
		Verdict: views.ProofPaid, Amount: p.Value, From: p.Payer.Hex(), To: p.Payee.Hex(), Paid: p.Time.UTC(), Network: p.Network.Name,
		URL: transactionURL(p.Network.Explorer, p.Transaction.Hex(), false),
		Checks: []views.ProofCheck{
			{Text: looksWhole, State: "settled"}, {Text: fitsTogether, State: "settled"},
			{Text: isOnChain + ", in block " + strconv.FormatUint(p.Block, 10), State: "settled"},
		},
	}
	if !p.CartBound {
		out.Checks = append(out.Checks, views.ProofCheck{Text: namesGoods, State: "open", Note: "No: the payer’s program chose a number of its own."})
		return out
	}
	out.Verdict, out.Checks = views.ProofWhole, append(out.Checks, views.ProofCheck{Text: namesGoods, State: "settled"})
	for _, l := range p.Lines {
		out.Lines = append(out.Lines, views.CartLine{Title: l.Title, Quantity: l.Qty, Amount: l.UnitAmount * amountOf(l.Qty)})
	}
	return out
}

// untrueChecks are what was looked at, up to what is wrong; the rest was not.
func untrueChecks(wrong *checkout.ReceiptError) []views.ProofCheck {
	checks := []views.ProofCheck{{Text: looksWhole}, {Text: fitsTogether}, {Text: isOnChain}}
	at := slices.Index([]checkout.ReceiptPart{checkout.ReceiptForm, checkout.ReceiptCart, checkout.ReceiptPayment}, wrong.Part)
	for i := range checks {
		switch {
		case i < at:
			checks[i].State = "settled"
		case i == at:
			checks[i].State, checks[i].Note = "failed", strings.ToUpper(wrong.Why[:1])+wrong.Why[1:]+"."
		default:
			checks[i].State, checks[i].Note = "open", "Not looked at."
		}
	}
	return checks
}
