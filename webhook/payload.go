package webhook

import (
	"encoding/json"
	"time"

	"xsynesis/id"
	"xsynesis/money"
)

// Amounts are money as every payload writes it: whole cents, rounded down, and base units in a text.
type Amounts struct {
	AmountCents int64  `json:"amount_cents"`
	Amount      string `json:"amount"`
	Currency    string `json:"currency"` // USDC, or SIM for money that was never there
}

// NewAmounts writes an amount down.
func NewAmounts(a money.USDC, currency string) Amounts {
	return Amounts{AmountCents: a.Cents(), Amount: a.Units(), Currency: currency}
}

// LinePayload is one line of a purchase: an item, the link itself, a tip, or a discount, which is below zero.
type LinePayload struct {
	SaleID     id.Sale `json:"sale_id,omitempty"` // once it is paid
	ItemID     string  `json:"item_id"`           // empty for a tip and a discount
	ItemTitle  string  `json:"item_title"`
	Qty        int32   `json:"qty"`
	UnitAmount string  `json:"unit_amount"` // base units
}

// AttemptPayload tells that somebody began a purchase (payment.attempt_created).
type AttemptPayload struct {
	PaymentAttemptID id.Attempt `json:"payment_attempt_id"`
	Amounts
	Status    string          `json:"status"` // open
	ItemID    string          `json:"item_id"`
	ItemTitle string          `json:"item_title"`
	Qty       int32           `json:"qty"`
	Lines     []LinePayload   `json:"lines"`
	LinkID    *id.Link        `json:"link_id"`
	Reference string          `json:"reference"`
	Metadata  json.RawMessage `json:"metadata"`
	Network   string          `json:"network"`
	ExpiresAt time.Time       `json:"expires_at"` // in UTC
	Simulated bool            `json:"simulated,omitempty"`
}

// PaymentPayload tells that a purchase is paid: payment.completed with the status completed, or payment.late with
// the status late where the money came after the purchase's time was over.
type PaymentPayload struct {
	PaymentAttemptID id.Attempt `json:"payment_attempt_id"`
	Amounts
	PurchaserAddress string          `json:"purchaser_address"`
	Status           string          `json:"status"`
	SaleID           id.Sale         `json:"sale_id"`
	ItemID           string          `json:"item_id"`
	ItemTitle        string          `json:"item_title"`
	Qty              int32           `json:"qty"`
	Lines            []LinePayload   `json:"lines"`
	LinkID           *id.Link        `json:"link_id"`
	Reference        string          `json:"reference"`
	Metadata         json.RawMessage `json:"metadata"`
	Transaction      string          `json:"transaction"`
	Network          string          `json:"network"`
	Simulated        bool            `json:"simulated,omitempty"`
}

// PaymentFailedPayload tells that a purchase's payment can never arrive (payment.failed).
type PaymentFailedPayload struct {
	PaymentAttemptID id.Attempt `json:"payment_attempt_id"`
	Amounts
	PurchaserAddress string          `json:"purchaser_address"`
	Status           string          `json:"status"` // failed
	Reason           string          `json:"reason"`
	ItemID           string          `json:"item_id"`
	ItemTitle        string          `json:"item_title"`
	Qty              int32           `json:"qty"`
	Lines            []LinePayload   `json:"lines"`
	LinkID           *id.Link        `json:"link_id"`
	Reference        string          `json:"reference"`
	Metadata         json.RawMessage `json:"metadata"`
	Network          string          `json:"network"`
	Simulated        bool            `json:"simulated,omitempty"`
}

// FacilitatorResponse is what whoever moved the money said of it.
type FacilitatorResponse struct {
	Facilitator string `json:"facilitator"`
	Transaction string `json:"transaction"`
	Network     string `json:"network"`
	Success     bool   `json:"success"`
}

// SettlementPayload tells what became of money on the chain: settlement.confirmed, settlement.failed, settlement.final and
// settlement.reversed, with the status of the same name.
type SettlementPayload struct {
	SettlementID     id.Settlement `json:"settlement_id"`
	PaymentAttemptID *id.Attempt   `json:"payment_attempt_id"` // null: paid through us to another server's offer
	Amounts
	Status              string              `json:"status"`
	Error               string              `json:"error,omitempty"` // of settlement.failed and settlement.reversed
	FacilitatorResponse FacilitatorResponse `json:"facilitator_response"`
	Transaction         string              `json:"transaction"`
	Network             string              `json:"network"`
	Simulated           bool                `json:"simulated,omitempty"`
}

// RefundPayload tells of money that goes back to a buyer: refund.created, refund.completed and refund.failed, with the status
// of the same name, or requested for one that begins.
type RefundPayload struct {
	RefundID         id.Refund     `json:"refund_id"`
	PaymentAttemptID *id.Attempt   `json:"payment_attempt_id"` // null: of money that bought nothing
	ExceptionID      *id.Exception `json:"exception_id"`       // null: nobody had to decide on the payment
	Amounts
	DestinationWallet string              `json:"destination_wallet"`
	Status            string              `json:"status"`
	Reason            string              `json:"reason"`
	Lines             []RefundLinePayload `json:"lines"`
	Transaction       string              `json:"transaction"` // empty before it is sent
	Network           string              `json:"network"`
	Error             string              `json:"error,omitempty"` // of refund.failed
}

// RefundLinePayload is what of a refund is one sale's.
type RefundLinePayload struct {
	SaleID id.Sale `json:"sale_id"`
	Qty    int32   `json:"qty"`    // pieces that go back; 0 for a part of the price
	Amount string  `json:"amount"` // base units
}

// PayoutPayload tells where a payout stands: payout.created with the status queued, payout.sent, payout.completed and
// payout.failed with the status of the same name.
type PayoutPayload struct {
	PayoutID id.Payout `json:"payout_id"`
	Amounts
	DestinationWallet string `json:"destination_wallet"`
	Status            string `json:"status"`
	Network           string `json:"network"`
	Transaction       string `json:"transaction,omitempty"` // of payout.sent and payout.completed
	Reason            string `json:"reason,omitempty"`      // of payout.failed
}

// LinkPayload tells that a payment link can no longer be paid (link.expired).
type LinkPayload struct {
	LinkID id.Link `json:"link_id"`
	Token  string  `json:"token"`
	Title  string  `json:"title"`
	Amounts
	Status    string          `json:"status"` // expired
	Reference string          `json:"reference"`
	Metadata  json.RawMessage `json:"metadata"`
	Network   string          `json:"network"`
	ExpiredAt time.Time       `json:"expired_at"` // in UTC
}

// ReservationPayload tells what became of stock that a purchase held: reservation.created with the status held (or claimed,
// where money came late), reservation.claimed and reservation.released with the status of the same name.
type ReservationPayload struct {
	ReservationID    id.Reservation `json:"reservation_id"`
	PaymentAttemptID id.Attempt     `json:"payment_attempt_id"`
	ItemID           id.Item        `json:"item_id"`
	Qty              int32          `json:"qty"`
	Status           string         `json:"status"`
}

// StockPayload tells that little of an item is left (item.low_stock).
type StockPayload struct {
	ItemID    id.Item `json:"item_id"`
	ItemTitle string  `json:"item_title"`
	Free      int32   `json:"free"`
}

// NoticePayload tells of a line in the dashboard's bell (notice.created).
type NoticePayload struct {
	NoticeID id.Notice `json:"notice_id"`
	Kind     string    `json:"kind"`
	Text     string    `json:"text"`
	URL      string    `json:"url"` // of the dashboard's page, empty where there is none
}

// TestPayload is what a seller sends to try a subscription (webhook.test).
type TestPayload struct {
	SubscriptionID id.Subscription `json:"webhook_subscription_id"`
	Message        string          `json:"message"`
}
