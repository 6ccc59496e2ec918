package handlers

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
)

func refundCalls() []apiCall {
	return []apiCall{
		{
			method: http.MethodPost, path: "/api/refunds/create", scope: access.RefundsWrite,
			summary: "Give a buyer his money back, to the wallet that paid: all that is left of a sale, a purchase or an unexplained payment, a part, or some pieces. " +
				"What the shop's own wallet has to send waits with a prepared transfer. An idempotency key has one effect, for ever.",
			request: refundRequest{}, status: 201, answer: refundJSON{}, refusals: []int{400, 401, 403, 404, 409, 422, 503}, run: api.createRefund,
		},
		{
			method: http.MethodPost, path: "/api/refunds/sent", scope: access.RefundsWrite,
			summary: "Name the transaction in which the shop's own wallet gave a refund. The chain decides whether it did.",
			request: refundSentRequest{}, required: []string{"id", "transaction"}, status: 200, answer: refundJSON{},
			refusals: []int{400, 401, 403, 404, 409, 422}, run: api.reportRefund,
		},
		{
			method: http.MethodPost, path: "/api/refunds/cancel", scope: access.RefundsWrite,
			summary: "Call a refund off that the shop's own wallet has not sent. One that is on the chain all the same is completed.",
			request: rowRequest{}, required: []string{"id"}, status: 200, answer: refundJSON{}, refusals: []int{400, 401, 403, 404, 409, 422, 503}, run: api.cancelRefund,
		},
		{
			method: http.MethodGet, path: "/api/refunds/list", scope: access.RefundsRead, summary: "List refunds, newest first.",
			query: listParams(), status: 200, answer: listJSON[refundJSON]{}, refusals: []int{400, 401, 403}, run: api.listRefunds,
		},
	}
}

type refundRequest struct {
	SaleID      string              `json:"sale_id"`
	Attempt     string              `json:"payment_attempt_id"`
	ExceptionID string              `json:"exception_id"`
	Amount      string              `json:"amount"`
	AmountCents *int64              `json:"amount_cents"`
	Lines       []refundPieceInJSON `json:"lines"`
	Reason      string              `json:"reason"`
	Restock     bool                `json:"restock"`
	Revoke      bool                `json:"revoke"`
	FreeCode    bool                `json:"free_code"`
}

// refundPieceInJSON is so many pieces of one sale.
type refundPieceInJSON struct {
	SaleID string `json:"sale_id"`
	Qty    int    `json:"qty"`
}

type refundSentRequest struct {
	rowRequest
	Transaction string `json:"transaction"`
}

// refundJSON is money that goes back to a buyer.
type refundJSON struct {
	ID                id.Refund           `json:"id"`
	PaymentAttemptID  *id.Attempt         `json:"payment_attempt_id"`
	ExceptionID       *id.Exception       `json:"exception_id"`
	Status            string              `json:"status"`
	Amount            string              `json:"amount"`
	AmountCents       int64               `json:"amount_cents"`
	FeeReturned       string              `json:"fee_returned"`
	Currency          string              `json:"currency"`
	Network           string              `json:"network"`
	DestinationWallet string              `json:"destination_wallet"`
	Collected         bool                `json:"collected"`
	Transfer          *refundTransferJSON `json:"transfer"`
	Lines             []refundLineJSON    `json:"lines"`
	Reason            string              `json:"reason"`
	Restock           bool                `json:"restock"`
	Revoke            bool                `json:"revoke"`
	FreeCode          bool                `json:"free_code"`
	Transaction       string              `json:"transaction"`
	LastError         string              `json:"last_error"`
	Livemode          bool                `json:"livemode"`
	CreatedAt         time.Time           `json:"created_at"`
	SentAt            *time.Time          `json:"sent_at"`
	EndedAt           *time.Time          `json:"ended_at"`
}

type refundLineJSON struct {
	SaleID id.Sale `json:"sale_id"`
	Title  string  `json:"title"`
	Qty    int     `json:"qty"`
	Amount string  `json:"amount"`
}

// refundTransferJSON is a transaction that the shop's own wallet may send as it stands.
type refundTransferJSON struct {
	ChainID uint64 `json:"chain_id"`
	From    string `json:"from"`
	To      string `json:"to"`
	Data    string `json:"data"`
}

func (a api) refundJSON(r checkout.Refund) refundJSON {
	j := refundJSON{
		ID: r.ID, Status: string(r.Status), Amount: r.Amount.Units(), AmountCents: r.Amount.Cents(), FeeReturned: r.Fee.Units(), Currency: usdc,
		Network: r.Network, DestinationWallet: checksum(r.To), Collected: r.Collected, Lines: []refundLineJSON{}, Reason: r.Reason,
		Restock: r.Effects.Restock, Revoke: r.Effects.Revoke, FreeCode: r.Effects.FreeCode, Transaction: r.Transaction, LastError: r.LastError,
		Livemode: r.Livemode, CreatedAt: r.CreatedAt.UTC(), SentAt: utc(r.SentAt), EndedAt: utc(r.EndedAt),
	}
	if r.Attempt != "" {
		j.PaymentAttemptID = &r.Attempt
	}
	if r.Exception != "" {
		j.ExceptionID = &r.Exception
	}
	for _, l := range r.Lines {
		j.Lines = append(j.Lines, refundLineJSON{l.Sale, l.Title, l.Qty, l.Amount.Units()})
	}
	if p, ok := a.Checkout.Prepared(r); ok {
		j.Transfer = &refundTransferJSON{p.ChainID, p.From.Hex(), p.Token.Hex(), p.Data}
	}
	return j
}

// form reads what goes back, and of what.
func (r refundRequest) form() (f checkout.RefundForm, err error) {
	f.Reason, f.Effects = r.Reason, checkout.RefundEffects{Restock: r.Restock, Revoke: r.Revoke, FreeCode: r.FreeCode}
	named := 0
	if r.SaleID != "" {
		f.Sale, err = id.Parse[id.Sale](r.SaleID)
		named++
	}
	if r.Attempt != "" && err == nil {
		f.Attempt, err = id.Parse[id.Attempt](r.Attempt)
		named++
	}
	if r.ExceptionID != "" && err == nil {
		f.Exception, err = id.Parse[id.Exception](r.ExceptionID)
		named++
	}
	if err == nil && named != 1 {
		err = &shop.FieldError{Field: "sale_id", Message: "Name a sale, a purchase or an exception: one of them."}
	}
	for _, l := range r.Lines {
		sale, err := id.Parse[id.Sale](l.SaleID)
		if err != nil {
			return f, &shop.FieldError{Field: "lines", Message: "Name each line by the id of its sale."}
		}
		f.Lines = append(f.Lines, checkout.RefundPiece{Sale: sale, Qty: l.Qty})
	}
	if err == nil {
		f.Amount, err = r.amount()
	}
	return f, err
}

// amount reads a part in base units or in cents; nil is all that is left.
func (r refundRequest) amount() (*money.USDC, error) {
	var amount *money.USDC
	if r.Amount != "" {
		units, err := money.ParseUnits(r.Amount)
		if err != nil {
			return nil, &shop.FieldError{Field: "amount", Message: "Give an amount in base units, such as 1500000 for 1.50 USDC."}
		}
		amount = &units
	}
	if r.AmountCents != nil {
		cents, err := money.FromCents(*r.AmountCents)
		if err != nil {
			return nil, &shop.FieldError{Field: "amount_cents", Message: "Give a whole number above zero."}
		}
		if amount != nil && *amount != cents {
			return nil, &shop.FieldError{Field: "amount", Message: "amount and amount_cents are not the same amount."}
		}
		amount = &cents
	}
	return amount, nil
}

func (a api) createRefund(c echo.Context, who access.Caller) error {
	var request refundRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	f, err := request.form()
	if err != nil {
		return err
	}
	f.Once = who.Once
	r, err := a.Checkout.Refund(c.Request().Context(), who.Merchant, who.Livemode, f, checkout.Giver{By: program(c, who), Role: who.Role})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, a.refundJSON(r))
}

func (a api) reportRefund(c echo.Context, who access.Caller) error {
	var request refundSentRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	refund, err := rowID[id.Refund](request.ID)
	if err != nil {
		return err
	}
	r, err := a.Checkout.ReportRefund(c.Request().Context(), who.Merchant, who.Livemode, refund, request.Transaction, program(c, who))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, a.refundJSON(r))
}

func (a api) cancelRefund(c echo.Context, who access.Caller) error {
	var request rowRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	refund, err := rowID[id.Refund](request.ID)
	if err != nil {
		return err
	}
	r, err := a.Checkout.CancelRefund(c.Request().Context(), who.Merchant, who.Livemode, refund, program(c, who))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, a.refundJSON(r))
}

func (a api) listRefunds(c echo.Context, who access.Caller) error {
	page, err := listPage[id.Refund](c)
	if err != nil {
		return err
	}
	rows, err := a.Checkout.Refunds(c.Request().Context(), who.Merchant, who.Livemode, page)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, list(rows, page.Limit, func(r checkout.Refund) string { return string(r.ID) }, a.refundJSON))
}
