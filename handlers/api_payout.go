package handlers

import (
	"net/http"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/shop"
)

func payoutCalls() []apiCall {
	return []apiCall{
		{
			method: http.MethodPost, path: "/api/payouts/create", scope: access.PayoutsWrite, permission: access.PayOut,
			summary: "Pay out what is kept for the shop: to an address that is known for 24 hours, and up to the shop's daily limit for programs.",
			request: payoutRequest{}, required: []string{"destination_wallet"}, status: 201, answer: payoutJSON{},
			refusals: []int{400, 401, 403, 409, 422, 503}, run: api.createPayout,
		},
		{
			method: http.MethodGet, path: "/api/payouts/list", scope: access.PayoutsRead, permission: access.SeeMoney, summary: "List payouts, newest first.",
			query: listParams(), status: 200, answer: listJSON[payoutJSON]{}, refusals: []int{400, 401, 403}, run: api.listPayouts,
		},
	}
}

type payoutRequest struct {
	Amount            string `json:"amount"`
	AmountCents       *int64 `json:"amount_cents"`
	DestinationWallet string `json:"destination_wallet"`
	Network           string `json:"network"`
}

// payoutJSON is money on its way from what is kept for a shop.
type payoutJSON struct {
	PayoutID          id.Payout  `json:"payout_id"`
	Status            string     `json:"status"`
	Amount            string     `json:"amount"`
	AmountCents       int64      `json:"amount_cents"`
	Currency          string     `json:"currency"`
	Network           string     `json:"network"`
	DestinationWallet string     `json:"destination_wallet"`
	Transaction       string     `json:"transaction"`
	TransactionURL    string     `json:"transaction_url"`
	LastError         string     `json:"last_error"`
	RequestedBy       string     `json:"requested_by"`
	Livemode          bool       `json:"livemode"`
	CreatedAt         time.Time  `json:"created_at"`
	CompletedAt       *time.Time `json:"completed_at"`
}

func (a api) payoutJSON(p ledger.Payout) payoutJSON {
	return payoutJSON{
		PayoutID: p.ID, Status: string(p.Status), Amount: p.Amount.Units(), AmountCents: p.Amount.Cents(), Currency: usdc, Network: p.Network.ID,
		DestinationWallet: p.Destination.Hex(), Transaction: p.Transaction, TransactionURL: transactionURL(p.Network.Explorer, p.Transaction, false),
		LastError: p.LastError, RequestedBy: p.Actor, Livemode: p.Livemode, CreatedAt: p.CreatedAt.UTC(), CompletedAt: utc(p.CompletedAt),
	}
}

func (a api) createPayout(c echo.Context, who access.Caller) error {
	var request payoutRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	amount, err := request.read()
	if err != nil {
		return err
	}
	p, err := a.Custody.CreatePayout(c.Request().Context(), who.Merchant, who.Livemode, ledger.PayoutForm{
		Network: request.Network, Amount: amount, Destination: request.DestinationWallet, Program: true, Once: who.Once, By: program(c, who),
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, a.payoutJSON(p))
}

// read takes one of two ways to say an amount, or both where they agree.
func (r payoutRequest) read() (money.USDC, error) {
	problem := &shop.FieldError{Field: "amount", Message: "Give amount in base units such as 12500000, or amount_cents."}
	var amount money.USDC
	if r.AmountCents != nil {
		cents, err := money.FromCents(*r.AmountCents)
		if err != nil {
			return 0, &shop.FieldError{Field: "amount_cents", Message: "Give a whole number above zero."}
		}
		amount = cents
	}
	if r.Amount != "" {
		units, err := money.ParseUnits(r.Amount)
		if err != nil || r.AmountCents != nil && units != amount {
			return 0, problem
		}
		amount = units
	}
	if amount <= 0 {
		return 0, problem
	}
	return amount, nil
}

func (a api) listPayouts(c echo.Context, who access.Caller) error {
	page, err := listPage[id.Payout](c)
	if err != nil {
		return err
	}
	all, err := a.Custody.Payouts(c.Request().Context(), who.Merchant, who.Livemode, ledger.Page{Before: page.Before, Limit: page.Limit})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, list(all, page.Limit, func(p ledger.Payout) string { return string(p.ID) }, a.payoutJSON))
}

// balanceJSON is how a shop's money stands on one network.
type balanceJSON struct {
	Network        string       `json:"network"`
	Asset          string       `json:"asset"`
	Currency       string       `json:"currency"`
	Collects       bool         `json:"collects"`
	Available      string       `json:"available"`
	AvailableCents int64        `json:"available_cents"`
	Pending        string       `json:"pending"`
	InPayout       string       `json:"in_payout"`
	InRefund       string       `json:"in_refund"`
	Unexplained    string       `json:"unexplained"`
	Fees           string       `json:"fees"`
	Received       string       `json:"received"`
	DepositAddress *string      `json:"deposit_address"`
	OnChain        *onChainJSON `json:"on_chain"`
	Drift          string       `json:"drift"`
}

// onChainJSON is what the address that buyers pay now held at the end of a block.
type onChainJSON struct {
	Address string    `json:"address"`
	Amount  string    `json:"amount"`
	Block   uint64    `json:"block"`
	Time    time.Time `json:"time"`
}

func (a api) balance(c echo.Context, who access.Caller) error {
	all, err := a.Custody.Holdings(c.Request().Context(), who.Merchant, who.Livemode)
	if err != nil {
		return err
	}
	out := listJSON[balanceJSON]{Data: []balanceJSON{}}
	for _, h := range all {
		j := balanceJSON{
			Network: h.Network.ID, Asset: h.Network.Token.Address.Hex(), Currency: usdc, Collects: h.Collects, Available: h.Available.Units(),
			AvailableCents: h.Available.Cents(), Pending: h.Pending.Units(), InPayout: h.InPayout.Units(), InRefund: h.InRefund.Units(),
			Unexplained: h.Open.Units(), Fees: h.Fees.Units(), Received: h.Received.Units(), Drift: h.Drift.Units(),
		}
		if (h.Deposit != common.Address{}) {
			deposit := h.Deposit.Hex()
			j.DepositAddress = &deposit
		}
		if o := h.OnChain; o != nil {
			j.OnChain = &onChainJSON{Address: o.Address.Hex(), Amount: o.Amount.Units(), Block: o.Block, Time: o.Time.UTC()}
		}
		out.Data = append(out.Data, j)
	}
	return c.JSON(http.StatusOK, out)
}
