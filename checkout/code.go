package checkout

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"xsynesis/shop"
)

// handedIn is a code with which a purchase begins, and who hands it in.
type handedIn struct {
	shop.HandedIn

	wallet string // lower-case hex; empty where it is not known yet
}

// coded is an offer with what the code takes off with which a purchase begins; nothing is taken of the code yet.
func (s *Service) coded(ctx context.Context, o shop.Offer, b Begin) (shop.Offer, *handedIn, error) {
	if b.Code == "" {
		return o, nil, nil
	}
	h := &handedIn{}
	var err error
	if b.Wallet != "" {
		if h.wallet, err = shop.WalletAddress("buyer_address", b.Wallet); err != nil {
			return o, nil, err
		}
	}
	if h.HandedIn, err = s.shop.HandIn(ctx, o.Merchant, o.Link.Livemode, b.Code); err != nil {
		return o, nil, err
	}
	if o, err = o.Coded(h.HandedIn); err != nil {
		return o, nil, err
	}
	if h.wallet == "" {
		h.wallet = h.Wallet()
	}
	if o.Amount == 0 && h.wallet == "" && h.AsksWallet() { // no payment will tell
		return o, nil, &shop.FieldError{Field: "buyer_address", Message: "This code asks which wallet uses it. Give its address."}
	}
	return o, h, nil
}

// handed is a code that comes with a payment, which tells whose it is.
func handed(code *shop.HandedIn) *handedIn {
	if code == nil {
		return nil
	}
	return &handedIn{HandedIn: *code}
}

// takeCodeTx takes the use of a code with which a purchase begins. Who comes second waits at the code's row.
func (s *Service) takeCodeTx(ctx context.Context, tx pgx.Tx, b *beginning) error {
	if b.code == nil {
		return nil
	}
	t := shop.Taking{Attempt: b.attempt.ID, Wallet: b.code.wallet, From: b.attempt.from}
	if b.paying() {
		t.From, t.Wallet = "", lower(b.payment.Authorization.From)
	}
	_, err := shop.TakeCodeTx(ctx, tx, s.now(), b.code.HandedIn, t)
	return err
}

// discounted tells whether something was taken off: only then a code may stand behind it.
func (a Attempt) discounted() bool {
	return slices.ContainsFunc(a.Lines, func(l Line) bool { return l.ItemID == "" && l.UnitAmount < 0 })
}
