package shop

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

// Redeeming is what somebody says who redeems a code.
type Redeeming struct {
	Code     string
	Wallet   string // as he writes it; empty where the code does not ask for it
	Token    string // of the link that it is for; at most one of Token and Endpoint
	Endpoint id.Endpoint
	From     string // the network address of whoever redeems it
	// Once is an idempotency key, hashed with its scope: it redeems once, for ever, and gets the same token again. Nil for none.
	Once []byte
}

// Bypass stands for one use of a code, for a short time: who has it is let through instead of whoever has the code.
type Bypass struct {
	Token     string
	ExpiresAt time.Time
	Code      Code
}

// OnceBypass is the token that a redemption with an idempotency key hands out: it can be told again and is kept nowhere.
func OnceBypass(once []byte) string {
	sum := sha256.Sum256(append([]byte("xsynesis:bypass:once:"), once...))
	return bypass + id.Token([16]byte(sum[:16]))
}

// redeemedBefore finds what the same idempotency key redeemed. Errors: [ErrCode] where that was nothing.
func (s *Service) redeemedBefore(ctx context.Context, once []byte) (Bypass, error) {
	if once == nil {
		return Bypass{}, ErrCode
	}
	b := Bypass{Token: OnceBypass(once)}
	row, err := queries.New().CodeOfToken(ctx, s.pool, tokenHash(strings.TrimPrefix(b.Token, bypass)))
	if errors.Is(err, pgx.ErrNoRows) {
		return Bypass{}, ErrCode
	}
	if err != nil {
		return Bypass{}, fmt.Errorf("redeemed before: %w", err)
	}
	b.ExpiresAt, b.Code = *row.CodeUse.TokenUntil, codeOf(row.Code, row.CodeBatch)
	return b, nil
}

// RedeemCode takes one use of a code and hands out a bypass token for it. What is not spent in time goes back to the code.
// Errors: [ErrCode], [ErrCodeUsed], [ErrCodeEarly], [ErrCodeOver], [ErrCodeElsewhere], [ErrCodeWallet], [ErrCodeHeld],
// [ErrNotFound] for a link or an endpoint that is not there, [*FieldError].
func (s *Service) RedeemCode(ctx context.Context, r Redeeming) (Bypass, error) {
	if b, err := s.redeemedBefore(ctx, r.Once); !errors.Is(err, ErrCode) {
		return b, err
	}
	t := Taking{Endpoint: r.Endpoint, From: r.From}
	if r.Wallet != "" {
		var err error
		if t.Wallet, err = WalletAddress("buyer_address", r.Wallet); err != nil {
			return Bypass{}, err
		}
	}
	h, link, err := s.redeemed(ctx, r)
	if err != nil {
		return Bypass{}, err
	}
	if h.Code.named() && t.Wallet == "" {
		return Bypass{}, errNoWallet("buyer_address")
	}
	token, now := bypass+id.NewToken(), s.now()
	if r.Once != nil {
		token = OnceBypass(r.Once)
	}
	t.link, t.token, t.Until = link, tokenHash(strings.TrimPrefix(token, bypass)), now.Add(BypassTime).Truncate(time.Microsecond) // as a row keeps it
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		_, err := TakeCodeTx(ctx, tx, now, h, t)
		return err
	})
	if err != nil {
		return Bypass{}, fmt.Errorf("redeem %s: %w", h.Code.ID, err)
	}
	return Bypass{Token: token, ExpiresAt: t.Until, Code: h.Code}, nil
}

func errNoWallet(field string) error {
	return &FieldError{field, "This code asks which wallet uses it. Redeem it with the wallet's address, and use the token."}
}

// redeemed finds the code and what it is redeemed for.
func (s *Service) redeemed(ctx context.Context, r Redeeming) (HandedIn, id.Link, error) {
	switch {
	case r.Token != "" && r.Endpoint != "":
		return HandedIn{}, "", &FieldError{"link_token", "Give link_token or endpoint_id."}
	case r.Token != "":
		offer, err := s.Offer(ctx, r.Token)
		if err != nil {
			return HandedIn{}, "", err
		}
		h, err := s.HandIn(ctx, offer.Merchant, offer.Link.Livemode, r.Code)
		switch {
		case err != nil:
		case h.use != 0:
			err = ErrCode
		case !h.covers(offer):
			err = ErrCodeElsewhere
		}
		return h, offer.Link.ID, err
	case r.Endpoint != "":
		e, err := queries.New().CodeEndpoint(ctx, s.pool, r.Endpoint)
		if err != nil {
			return HandedIn{}, "", fmt.Errorf("endpoint %s: %w", r.Endpoint, notFound(err))
		}
		h, err := s.HandIn(ctx, e.MerchantID, e.Livemode, r.Code)
		if err == nil && h.use != 0 {
			err = ErrCode
		}
		if err == nil {
			_, err = h.OffCall(r.Endpoint, e.Price)
		}
		return h, "", err
	}
	all, err := s.codesNamed(ctx, "", false, r.Code)
	if err != nil {
		return HandedIn{}, "", err
	}
	if len(all) > 1 {
		return HandedIn{}, "", &FieldError{"link_token", "Several shops have this code. Say what it is for: link_token or endpoint_id."}
	}
	return HandedIn{Code: all[0]}, "", all[0].Open(s.now())
}

// CodeHold is a use of a code that is held while a call is made with it.
type CodeHold struct {
	Code Code
	use  int64
}

// HoldCode takes a use of what was handed in for one call of an endpoint, which is over by until. [Service.SpendCode] says
// that it was answered, [Service.ReturnCode] that it was not; of one that nobody says either, the use goes back after until.
// wallet is whose call it says it is; it may be empty where the code asks for none.
// Errors: those of [TakeCodeTx], [ErrCodeElsewhere], [*FieldError].
func (s *Service) HoldCode(ctx context.Context, h HandedIn, endpoint id.Endpoint, wallet string, until time.Time) (CodeHold, error) {
	if _, err := h.OffCall(endpoint, 0); err != nil {
		return CodeHold{}, err
	}
	if wallet == "" {
		wallet = h.wallet
	}
	if h.Code.named() && wallet == "" {
		return CodeHold{}, errNoWallet("buyer_address")
	}
	hold := CodeHold{Code: h.Code}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		hold.use, err = TakeCodeTx(ctx, tx, s.now(), h, Taking{Endpoint: endpoint, Wallet: wallet, Until: until})
		return err
	})
	if err != nil {
		return CodeHold{}, fmt.Errorf("call %s with %s: %w", endpoint, h.Code.ID, err)
	}
	return hold, nil
}

// SpendCode notes that a call was answered: its use is gone. Errors: [ErrCodeUsed] where it was spent, or went back.
func (s *Service) SpendCode(ctx context.Context, hold CodeHold) error {
	spent, err := queries.New().CodeUseSpent(ctx, s.pool, hold.use)
	if err == nil && spent == 0 {
		err = ErrCodeUsed
	}
	if err != nil {
		return fmt.Errorf("spend a use of %s: %w", hold.Code.ID, err)
	}
	return nil
}

// ReturnCode gives back the use of a call that was not answered.
func (s *Service) ReturnCode(ctx context.Context, hold CodeHold) error {
	if err := queries.New().CodeUseGiveBack(ctx, s.pool, queries.CodeUseGiveBackParams{ID: hold.use, Now: s.now()}); err != nil {
		return fmt.Errorf("give back a use of %s: %w", hold.Code.ID, err)
	}
	return nil
}
