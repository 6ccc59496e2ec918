package webhook

import "xsynesis/id"

// Type names what happened. Another one is a line here and a schema beside it.
type Type string

// What merchants' servers may be told.
const (
	PaymentAttemptCreated Type = "payment.attempt_created"
	PaymentCompleted      Type = "payment.completed"
	PaymentFailed         Type = "payment.failed"
	PaymentLate           Type = "payment.late"
	SettlementConfirmed   Type = "settlement.confirmed"
	SettlementFailed      Type = "settlement.failed"
	SettlementFinal       Type = "settlement.final"
	SettlementReversed    Type = "settlement.reversed"
	RefundCreated         Type = "refund.created"
	RefundCompleted       Type = "refund.completed"
	RefundFailed          Type = "refund.failed"
	ReservationCreated    Type = "reservation.created"
	ReservationClaimed    Type = "reservation.claimed"
	ReservationReleased   Type = "reservation.released"
	ItemLowStock          Type = "item.low_stock"
	LinkExpired           Type = "link.expired"
	PayoutCreated         Type = "payout.created"
	PayoutSent            Type = "payout.sent"
	PayoutCompleted       Type = "payout.completed"
	PayoutFailed          Type = "payout.failed"
	NoticeCreated         Type = "notice.created"
	WebhookTest           Type = "webhook.test"
)

// The kinds of resource that events tell of.
const (
	ResourceAttempt      = "payment_attempt"
	ResourceSettlement   = "settlement"
	ResourceLink         = "payment_link"
	ResourceRefund       = "refund"
	ResourceReservation  = "reservation"
	ResourceItem         = "item"
	ResourcePayout       = "payout"
	ResourceNotice       = "notice"
	ResourceSubscription = "webhook_subscription"
)

// Event is something that happened to one resource of one merchant.
type Event struct {
	Merchant     id.Merchant
	Livemode     bool
	Type         Type
	ResourceType string
	ResourceID   string
	// Payload is one of the structs of this package, or what marshals to the type's schema.
	Payload any
}
