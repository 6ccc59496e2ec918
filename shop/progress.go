package shop

import (
	"context"
	"fmt"
	"time"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// Milestone is something that a shop did for the first time, with what proves it. The zero Milestone is still to come.
type Milestone struct {
	At     time.Time
	What   string // an address, a title, a transaction
	Amount money.USDC
	Who    string // as people read it; empty where nobody was noted
}

// Done tells whether it happened.
func (m Milestone) Done() bool { return !m.At.IsZero() }

// Progress is how far a shop is on its way from its name to real money.
type Progress struct {
	Address  Milestone // somewhere to be paid
	Proof    Milestone // that the address is the shop's own
	Link     Milestone // something on sale, for test money
	TestSale FirstSale
	LiveSale FirstSale
	Codes    Recovery  // an owner's unused recovery codes
	Owners   Recovery  // several of them
	Webhook  Milestone // a server that wants to hear of it; not every shop has one
	Delivery Milestone // a server that answered
	Cashier  Milestone // somebody with a PIN; not every shop has one
	Till     Milestone
}

// FirstSale is a first payment, and where it can be looked up.
type FirstSale struct {
	Milestone
	Network string // CAIP-2
}

// Recovery is another way in for a shop whose owner lost his.
type Recovery struct {
	Milestone
	Count int
}

// Progress tells how far a shop is. Its cost does not grow with what the shop sold.
func (s *Service) Progress(ctx context.Context, merchant id.Merchant) (Progress, error) {
	rows, err := queries.New().ProgressList(ctx, s.pool, &merchant)
	if err != nil {
		return Progress{}, fmt.Errorf("progress of %s: %w", merchant, err)
	}
	var p Progress
	for _, r := range rows {
		m := Milestone{At: r.At.UTC(), What: r.What, Who: r.Who}
		switch r.Step {
		case "address":
			p.Address = m
		case "proof":
			p.Proof = m
		case "link":
			p.Link = m
		case "test_sale":
			p.TestSale = firstSale(r)
		case "live_sale":
			p.LiveSale = firstSale(r)
		case "codes":
			p.Codes = Recovery{m, int(r.Amount)}
		case "owners":
			p.Owners = Recovery{m, int(r.Amount)}
		case "webhook":
			p.Webhook = m
		case "delivery":
			p.Delivery = m
		case "cashier":
			p.Cashier = m
		case "till":
			p.Till = m
		}
	}
	return p, nil
}

func firstSale(r queries.ProgressListRow) FirstSale {
	return FirstSale{Milestone{At: r.At.UTC(), What: r.What, Amount: money.USDC(r.Amount)}, r.Who}
}
