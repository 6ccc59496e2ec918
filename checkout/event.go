package checkout

import (
	"slices"

	"xsynesis/queries"
	"xsynesis/webhook"
)

// created tells that a purchase began, open, even where its payment came with it.
func created(a Attempt) webhook.Event {
	p := webhook.AttemptPayload{
		PaymentAttemptID: a.ID, Amounts: webhook.NewAmounts(a.Amount, "USDC"), Status: string(Open),
		Reference: a.Reference, Metadata: a.Metadata, Network: a.Network.ID, ExpiresAt: a.ExpiresAt,
	}
	if a.Link != "" {
		p.LinkID = &a.Link
	}
	if len(a.Lines) > 0 {
		p.ItemID, p.ItemTitle, p.Qty = a.Lines[0].ItemID, a.Lines[0].Title, int32(a.Lines[0].Qty)
	}
	for _, l := range a.Lines {
		p.Lines = append(p.Lines, webhook.LinePayload{ItemID: l.ItemID, ItemTitle: l.Title, Qty: int32(l.Qty), UnitAmount: l.UnitAmount.Units()})
	}
	return webhook.Event{
		Merchant: a.Merchant, Livemode: a.Livemode, Type: webhook.PaymentAttemptCreated,
		ResourceType: webhook.ResourceAttempt, ResourceID: string(a.ID), Payload: p,
	}
}

// ofAttempt tells something of a purchase.
func ofAttempt(a queries.Attempt, t webhook.Type, payload any) webhook.Event {
	return webhook.Event{
		Merchant: a.MerchantID, Livemode: a.Livemode, Type: t, ResourceType: webhook.ResourceAttempt, ResourceID: string(a.ID), Payload: payload,
	}
}

// events tells that a purchase is paid, and by what. Money that came late is told of twice: it is a sale, and
// somebody may have to decide what to do.
func (p paid) events() []webhook.Event {
	a, row := p.attempt, p.settlement
	payload := webhook.PaymentPayload{
		PaymentAttemptID: a.ID, Amounts: webhook.NewAmounts(a.Amount, currency(row)), PurchaserAddress: row.Payer, Status: "completed",
		LinkID: a.LinkID, Reference: a.Reference, Metadata: a.Metadata, Transaction: row.Transaction, Network: a.Network, Simulated: row.Simulated,
	}
	if len(p.lines) > 0 {
		l := p.lines[0]
		payload.SaleID, payload.ItemID, payload.ItemTitle, payload.Qty = p.sales[0], l.ItemID, l.Title, l.Qty
	}
	payload.Lines = linePayloads(p.lines)
	for i := range p.sales {
		payload.Lines[i].SaleID = p.sales[i]
	}
	var events []webhook.Event
	if row.ID != "" { // what costs nothing has none
		events = append(events, ofSettlement(row, webhook.SettlementConfirmed))
	}
	events = append(events, ofAttempt(a, webhook.PaymentCompleted, payload))
	for _, r := range p.reserved {
		events = append(events, ofReservation(r, webhook.ReservationClaimed))
	}
	events = append(slices.Clone(p.told), events...)
	if Status(a.Status) == SettledLate {
		payload.Status = "late"
		events = append(events, ofAttempt(a, webhook.PaymentLate, payload))
	}
	return events
}

// failed tells that a purchase ended with its payment.
func failed(a queries.Attempt, lines []queries.AttemptLine, row queries.Settlement, why string) webhook.Event {
	payload := webhook.PaymentFailedPayload{
		PaymentAttemptID: a.ID, Amounts: webhook.NewAmounts(a.Amount, currency(row)), PurchaserAddress: row.Payer, Status: string(Failed), Reason: why,
		LinkID: a.LinkID, Reference: a.Reference, Metadata: a.Metadata, Network: a.Network, Simulated: row.Simulated,
	}
	if len(lines) > 0 {
		payload.ItemID, payload.ItemTitle, payload.Qty = lines[0].ItemID, lines[0].Title, lines[0].Qty
	}
	payload.Lines = linePayloads(lines)
	return ofAttempt(a, webhook.PaymentFailed, payload)
}

func linePayloads(lines []queries.AttemptLine) []webhook.LinePayload {
	out := make([]webhook.LinePayload, len(lines))
	for i, l := range lines {
		out[i] = webhook.LinePayload{ItemID: l.ItemID, ItemTitle: l.Title, Qty: l.Qty, UnitAmount: l.UnitAmount.Units()}
	}
	return out
}

// ofSettlement tells where a settlement stands now: its state is the last word of the event's name.
func ofSettlement(row queries.Settlement, t webhook.Type) webhook.Event {
	success := t != webhook.SettlementFailed && t != webhook.SettlementReversed
	return webhook.Event{
		Merchant: row.MerchantID, Livemode: row.Livemode, Type: t, ResourceType: webhook.ResourceSettlement, ResourceID: string(row.ID),
		Payload: webhook.SettlementPayload{
			SettlementID: row.ID, PaymentAttemptID: row.AttemptID, Amounts: webhook.NewAmounts(row.Amount, currency(row)), Status: row.Status,
			Error: row.LastError, Transaction: row.Transaction, Network: row.Network, Simulated: row.Simulated,
			FacilitatorResponse: webhook.FacilitatorResponse{
				Facilitator: row.Facilitator, Transaction: row.Transaction, Network: row.Network, Success: success,
			},
		},
	}
}
