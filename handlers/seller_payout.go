package handlers

import (
	"crypto/sha256"
	"errors"
	"net/http"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/views"
)

func (h *Handlers) payoutRoutes(e *echo.Echo) {
	e.GET(views.PayoutsPath, h.may(access.SeeMoney, h.payouts))
	e.POST(views.PayoutsPath, h.may(access.PayOut, h.stepUp(h.createPayout)))
	e.GET(views.PayoutNewPath, h.may(access.PayOut, h.stepUp(h.newPayout)))
	e.GET(views.PayoutsPath+"/:payout", h.may(access.SeeMoney, h.showPayout))
	e.POST(views.PayoutLimitPath, h.may(access.PayOut, h.stepUp(h.setPayoutLimit)))
	e.POST(views.PayoutEntryPath, h.may(access.PayOut, h.stepUp(h.enterStray)))
	e.POST(views.PayoutAddressesPath, h.may(access.PayOut, h.stepUp(h.addDestination)))
	// To take an address away is always safe: nobody is asked to prove anything first.
	e.POST(views.PayoutAddressRemovePath, h.may(access.PayOut, h.removeDestination))
}

func (h *Handlers) payouts(c echo.Context, s seller) error {
	return h.payoutsPage(c, s, http.StatusOK, nil)
}

func (h *Handlers) payoutsPage(c echo.Context, s seller, status int, change func(*views.PayoutsView)) error {
	ctx := c.Request().Context()
	page := ledger.Page{Before: c.QueryParam("before"), After: c.QueryParam("after"), Limit: pageSize}
	rows, err := h.Custody.Payouts(ctx, s.Merchant, s.livemode, page)
	if err != nil {
		return err
	}
	rows, more := trim(rows, page.After != "")
	v := views.PayoutsView{DashboardView: h.frame(c, s, "Payouts", views.SectionBalance, true), MayPayOut: s.May(access.PayOut)}
	for _, p := range rows {
		v.Rows = append(v.Rows, payoutRow(p))
	}
	if len(rows) > 0 {
		v.Pages = pager(c, more, string(rows[0].ID), string(rows[len(rows)-1].ID), len(rows))
	}
	if err := h.fillPayouts(c, s, &v); err != nil {
		return err
	}
	if change != nil {
		change(&v)
	}
	if status != http.StatusOK {
		return h.Page(c, status, views.Payouts(v))
	}
	return h.livePage(c, views.Payouts(v))
}

// fillPayouts adds where money may go, and what the books lack.
func (h *Handlers) fillPayouts(c echo.Context, s seller, v *views.PayoutsView) error {
	ctx := c.Request().Context()
	modes, err := h.Custody.Modes(ctx, s.Merchant, s.livemode)
	if err != nil {
		return err
	}
	for _, m := range modes {
		v.Kept = v.Kept || m.Deposit != common.Address{}
		v.Networks = append(v.Networks, views.Option{Value: m.Network.ID, Word: m.Network.Name})
	}
	if v.Destinations, err = h.destinations(c, s); err != nil {
		return err
	}
	strays, err := h.Custody.Strays(ctx, s.Merchant)
	if err != nil {
		return err
	}
	for _, x := range strays {
		v.Strays = append(v.Strays, views.StrayRow{Network: x.Network, Nonce: x.Nonce, Transaction: x.Transaction, To: x.To.Hex(), Amount: x.Amount})
	}
	limit, err := h.Custody.Limit(ctx, s.Merchant)
	v.Limit.Value = limit.String()
	return err
}

func (h *Handlers) destinations(c echo.Context, s seller) ([]views.DestinationRow, error) {
	all, err := h.Custody.Destinations(c.Request().Context(), s.Merchant, s.livemode)
	if err != nil {
		return nil, err
	}
	var out []views.DestinationRow
	for _, d := range all {
		r := views.DestinationRow{Network: d.Network.ID, NetworkName: d.Network.Name, Address: d.Address.Hex(), Own: d.Own}
		if d.From.After(h.Now()) {
			r.From = d.From.UTC()
		}
		out = append(out, r)
	}
	return out, nil
}

func payoutRow(p ledger.Payout) views.PayoutRow {
	return views.PayoutRow{Payout: p.ID, Time: p.CreatedAt.UTC(), Destination: p.Destination.Hex(), Status: string(p.Status), Amount: p.Amount}
}

func (h *Handlers) showPayout(c echo.Context, s seller) error {
	payout, err := payoutID(c)
	if err != nil {
		return err
	}
	p, err := h.Custody.Payout(c.Request().Context(), s.Merchant, s.livemode, payout)
	if err != nil {
		return err
	}
	return h.livePage(c, views.Payout(views.PayoutView{
		DashboardView: h.frame(c, s, "Payout", views.SectionBalance, true), PayoutRow: payoutRow(p), Network: p.Network.Name,
		Transaction: p.Transaction, TransactionURL: transactionURL(p.Network.Explorer, p.Transaction, false), Block: p.Block,
		Who: p.Actor, From: p.Address, LastError: p.LastError, Arrived: timeOr(utc(p.CompletedAt)),
	}))
}

func (h *Handlers) newPayout(c echo.Context, s seller) error {
	return h.payoutForm(c, s, http.StatusOK, nil)
}

// payoutForm is empty for the network that is asked for, or for the first on which there is something to pay out, if any.
func (h *Handlers) payoutForm(c echo.Context, s seller, status int, change func(*views.PayoutFormView)) error {
	all, err := h.Custody.Holdings(c.Request().Context(), s.Merchant, s.livemode)
	if err != nil {
		return err
	}
	var from *ledger.Holding
	for i, one := range all {
		if asked := or(c.FormValue("network"), c.QueryParam("network")); (one.Deposit != common.Address{}) && (asked == "" || asked == one.Network.ID) {
			if from == nil || from.Available == 0 && one.Available > 0 {
				from = &all[i]
			}
		}
	}
	if from == nil {
		return ledger.ErrNothingCollected
	}
	v := views.PayoutFormView{
		DashboardView: h.frame(c, s, "Pay out", views.SectionBalance, false), Network: from.Network.ID, NetworkName: from.Network.Name,
		Available: from.Available, Once: id.NewToken(),
	}
	destinations, err := h.destinations(c, s)
	if err != nil {
		return err
	}
	for _, d := range destinations {
		if d.Network == from.Network.ID && d.From.IsZero() {
			v.Destinations = append(v.Destinations, d)
		}
	}
	if change != nil {
		change(&v)
	}
	return h.Page(c, status, views.PayoutForm(v))
}

func (h *Handlers) createPayout(c echo.Context, s seller) error {
	form := ledger.PayoutForm{Network: c.FormValue("network"), Destination: c.FormValue("destination"), By: actor(c, s)}
	if once := c.FormValue("once"); once != "" {
		sum := sha256.Sum256([]byte("payout form\x00" + string(s.Merchant) + "\x00" + once))
		form.Once = sum[:]
	}
	var p ledger.Payout
	amount, err := money.ParseUSDC(c.FormValue("amount"))
	if err != nil {
		err = &ledger.FieldError{Field: "amount", Message: amountProblem}
	} else {
		form.Amount = amount
		p, err = h.Custody.CreatePayout(c.Request().Context(), s.Merchant, s.livemode, form)
	}
	if err == nil {
		h.Hub.Changed("", s.Merchant)
		return c.Redirect(http.StatusSeeOther, views.PayoutPath(p.ID))
	}
	r, field := replyTo(err)
	if r.status >= http.StatusInternalServerError && !errors.Is(err, ledger.ErrReadOnly) || errors.Is(err, ledger.ErrNothingCollected) {
		return err
	}
	return h.payoutForm(c, s, http.StatusUnprocessableEntity, func(v *views.PayoutFormView) {
		v.Amount.Value, v.Destination.Value, v.Once = c.FormValue("amount"), form.Destination, or(c.FormValue("once"), v.Once)
		switch field {
		case "amount":
			v.Amount.Problem = r.message
		case "destination_wallet":
			v.Destination.Problem = r.message
		default:
			v.Problem = r.message
		}
	})
}

func (h *Handlers) addDestination(c echo.Context, s seller) error {
	n, err := h.Networks.Network(c.FormValue("network"))
	if err != nil || n.Test == s.livemode {
		return ledger.ErrNotFound
	}
	err = h.Custody.AddDestination(c.Request().Context(), s.Merchant, n.ID, c.FormValue("address"), actor(c, s))
	var wrong *ledger.FieldError
	if errors.As(err, &wrong) {
		return h.payoutsPage(c, s, http.StatusUnprocessableEntity, func(v *views.PayoutsView) {
			v.Address = views.Field{Value: c.FormValue("address"), Problem: wrong.Message}
		})
	}
	return h.toPayouts(c, s, err)
}

func (h *Handlers) removeDestination(c echo.Context, s seller) error {
	n, err := h.Networks.Network(c.FormValue("network"))
	if err != nil {
		return err
	}
	err = h.Custody.RemoveDestination(c.Request().Context(), s.Merchant, n.ID, common.HexToAddress(c.FormValue("address")), actor(c, s))
	return h.toPayouts(c, s, err)
}

func (h *Handlers) setPayoutLimit(c echo.Context, s seller) error {
	limit, err := money.ParseUSDC(c.FormValue("limit"))
	if err != nil {
		return h.payoutsPage(c, s, http.StatusUnprocessableEntity, func(v *views.PayoutsView) {
			v.Limit = views.Field{Value: c.FormValue("limit"), Problem: amountProblem}
		})
	}
	return h.toPayouts(c, s, h.Custody.SetLimit(c.Request().Context(), s.Merchant, limit, actor(c, s)))
}

func (h *Handlers) enterStray(c echo.Context, s seller) error {
	n, err := h.Networks.Network(c.FormValue("network"))
	if err != nil {
		return err
	}
	nonce, err := hexutil.Decode(c.FormValue("nonce"))
	if err != nil {
		return ledger.ErrNotFound
	}
	err = h.Custody.EnterStray(c.Request().Context(), s.Merchant, n.ID, hexutil.Encode(nonce), actor(c, s))
	return h.toPayouts(c, s, err)
}

// toPayouts leads back to the page of payouts once something there was changed.
func (h *Handlers) toPayouts(c echo.Context, s seller, err error) error {
	if err != nil {
		return err
	}
	h.Hub.Changed("", s.Merchant)
	return c.Redirect(http.StatusSeeOther, views.PayoutsPath)
}
