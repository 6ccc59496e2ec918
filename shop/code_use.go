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

// HandedIn is a code that somebody hands in, or a bypass token that stands for one use of it.
type HandedIn struct {
	Code Code

	use      int64       // of a token; 0 for a code
	endpoint id.Endpoint // what the token is for; empty for all that its code is
	link     id.Link
	wallet   string // whom the token was given to
}

// bypass begins every bypass token, so that one is told from a code.
const bypass = "bypass_"

// BypassTime is how long a bypass token may be used.
const BypassTime = 15 * time.Minute

// HandIn looks for what somebody hands in to a shop, and takes nothing yet: a code or a bypass token. What is known but may
// not be used now is returned beside its error: whoever paid with it before may ask for his answer again.
// Errors: [ErrCode], [ErrCodeEarly], [ErrCodeOver], [ErrCodeUsed].
func (s *Service) HandIn(ctx context.Context, merchant id.Merchant, livemode bool, text string) (HandedIn, error) {
	text = strings.TrimSpace(text)
	if token, ok := strings.CutPrefix(text, bypass); ok {
		h, err := s.handInToken(ctx, token)
		if err == nil && (h.Code.Merchant != merchant || h.Code.Livemode != livemode) {
			return HandedIn{}, ErrCode
		}
		return h, err
	}
	all, err := s.codesNamed(ctx, merchant, livemode, text)
	if err != nil {
		return HandedIn{}, err
	}
	return HandedIn{Code: all[0]}, all[0].Open(s.now())
}

// codesNamed returns the codes of a word, at least one: of one shop, or of any where merchant is empty.
func (s *Service) codesNamed(ctx context.Context, merchant id.Merchant, livemode bool, text string) ([]Code, error) {
	plain := fold(text)
	if plain == "" {
		return nil, ErrCode
	}
	rows, err := queries.New().CodesNamed(ctx, s.pool, queries.CodesNamedParams{Plain: plain, MerchantID: string(merchant), Livemode: livemode})
	if err != nil {
		return nil, fmt.Errorf("look for a code: %w", err)
	}
	if len(rows) == 0 {
		return nil, ErrCode
	}
	all := make([]Code, len(rows))
	for i, r := range rows {
		all[i] = codeOf(r.Code, r.CodeBatch)
	}
	return all, nil
}

func (s *Service) handInToken(ctx context.Context, token string) (HandedIn, error) {
	if _, err := id.ParseToken(token); err != nil {
		return HandedIn{}, ErrCode
	}
	row, err := queries.New().CodeOfToken(ctx, s.pool, tokenHash(token))
	if errors.Is(err, pgx.ErrNoRows) {
		return HandedIn{}, ErrCode
	}
	if err != nil {
		return HandedIn{}, fmt.Errorf("look for a bypass token: %w", err)
	}
	u, now := row.CodeUse, s.now()
	h := HandedIn{Code: codeOf(row.Code, row.CodeBatch), use: u.ID, endpoint: u.EndpointID, link: u.LinkID, wallet: u.Address}
	switch {
	case u.TokenUntil == nil || !now.Before(*u.TokenUntil):
		return h, ErrCodeOver
	case u.AttemptID != nil || u.HeldUntil == nil || u.GivenBackAt != nil || u.CallUntil != nil && now.Before(*u.CallUntil):
		return h, ErrCodeUsed
	}
	return h, h.Code.timely(now)
}

func tokenHash(token string) []byte {
	sum := sha256.Sum256([]byte("xsynesis:bypass:" + token))
	return sum[:]
}

// Taking is what somebody takes a use of a code for.
type Taking struct {
	Attempt  id.Attempt  // a purchase
	Endpoint id.Endpoint // or a call
	Wallet   string      // lower-case hex; empty where it is not known yet
	From     string      // the buyer's network address; empty for calls and sellers' keys
	Until    time.Time   // of a call: nothing came of it by then

	link  id.Link // what a token is for
	token []byte  // its hash
}

// TakeCodeTx takes one use of what was handed in. It is had once, however many want it at the same moment: who comes second
// waits for the first, and finds the code as it is then.
// Errors: [ErrCodeUsed], [ErrCodeEarly], [ErrCodeOver], [ErrCodeWallet], [ErrCodeHeld].
func TakeCodeTx(ctx context.Context, tx pgx.Tx, now time.Time, h HandedIn, t Taking) (use int64, err error) {
	if h.use != 0 {
		if err := h.Code.timely(now); err != nil {
			return 0, err
		}
		return h.use, spendTokenTx(ctx, tx, now, h, t)
	}
	q := queries.New()
	_, err = q.CodeTake(ctx, tx, queries.CodeTakeParams{ID: h.Code.ID, Now: now})
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, refusedTx(ctx, tx, now, h.Code.ID)
	}
	if err != nil {
		return 0, fmt.Errorf("take %s: %w", h.Code.ID, err)
	}
	if err := errors.Join(admitTx(ctx, tx, h.Code, 0, t.Wallet), checkHeldTx(ctx, tx, h.Code.ID, t.From)); err != nil {
		return 0, err
	}
	p := queries.CodeUseInsertParams{
		CodeID: h.Code.ID, Address: t.Wallet, TakenFrom: t.From, EndpointID: t.Endpoint, LinkID: t.link, TokenHash: t.token, TakenAt: now,
	}
	switch {
	case t.Attempt != "":
		p.AttemptID = (*string)(&t.Attempt)
	case t.token != nil:
		p.TokenUntil, p.HeldUntil = &t.Until, &t.Until
	default:
		p.HeldUntil = &t.Until
	}
	if use, err = q.CodeUseInsert(ctx, tx, p); err != nil {
		return 0, fmt.Errorf("note a use of %s: %w", h.Code.ID, err)
	}
	return use, nil
}

// refusedTx says why there is no use of a code to take.
func refusedTx(ctx context.Context, tx pgx.Tx, now time.Time, code id.Code) error {
	row, err := queries.New().CodeLock(ctx, tx, code)
	if err != nil {
		return fmt.Errorf("look at %s: %w", code, err)
	}
	if err := codeOf(row.Code, row.CodeBatch).Open(now); err != nil {
		return err
	}
	return ErrCodeUsed // it was given back a moment ago
}

// spendTokenTx takes the use that a bypass token stands for.
func spendTokenTx(ctx context.Context, tx pgx.Tx, now time.Time, h HandedIn, t Taking) (err error) {
	q, taken := queries.New(), int64(0)
	if h.wallet != "" && t.Wallet != "" && h.wallet != t.Wallet {
		return ErrCodeWallet
	}
	if t.Attempt != "" {
		taken, err = q.CodeUseBuy(ctx, tx, queries.CodeUseBuyParams{ID: h.use, AttemptID: string(t.Attempt), Now: now})
	} else {
		taken, err = q.CodeUseCall(ctx, tx, queries.CodeUseCallParams{ID: h.use, Until: t.Until, Now: now})
	}
	if err != nil {
		return fmt.Errorf("spend a bypass token of %s: %w", h.Code.ID, err)
	}
	if taken == 0 {
		return ErrCodeUsed
	}
	return nil
}

// admitTx tells whether a wallet may have this use; its code's row is locked. but is the use itself where it is written
// already.
func admitTx(ctx context.Context, tx pgx.Tx, c Code, but int64, wallet string) error {
	if err := c.admits(wallet); err != nil || wallet == "" || c.PerWallet == 0 {
		return err
	}
	n, err := queries.New().CodeUsesOfWallet(ctx, tx, queries.CodeUsesOfWalletParams{CodeID: c.ID, Address: wallet, But: but})
	if err != nil {
		return fmt.Errorf("uses of %s: %w", c.ID, err)
	}
	if int(n) >= c.PerWallet {
		return ErrCodeWallet
	}
	return nil
}

// maxHeldUses is how many uses of one code a network address may hold unpaid and unspent: a code that many know cannot be
// emptied for free.
const maxHeldUses = 3

// checkHeldTx runs under the lock of the code's row.
func checkHeldTx(ctx context.Context, tx pgx.Tx, code id.Code, from string) error {
	if from == "" {
		return nil
	}
	n, err := queries.New().CodeUsesUnpaid(ctx, tx, queries.CodeUsesUnpaidParams{CodeID: code, TakenFrom: from})
	if err != nil {
		return fmt.Errorf("uses of %s: %w", code, err)
	}
	if n >= maxHeldUses {
		return ErrCodeHeld
	}
	return nil
}

// PayCodedTx lets a wallet pay a purchase that was begun with a code: only now it is known which wallet that is.
// Errors: [ErrCodeWallet].
func PayCodedTx(ctx context.Context, tx pgx.Tx, attempt id.Attempt, wallet string) error {
	q := queries.New()
	uses, err := q.CodeUsesOfAttempts(ctx, tx, []string{string(attempt)})
	if err != nil {
		return fmt.Errorf("code of %s: %w", attempt, err)
	}
	for _, u := range uses {
		row, err := q.CodeLock(ctx, tx, u.CodeID)
		if err != nil {
			return fmt.Errorf("code of %s: %w", attempt, err)
		}
		if err := admitTx(ctx, tx, codeOf(row.Code, row.CodeBatch), u.ID, wallet); err != nil {
			return err
		}
		if err := q.CodeUseOfWallet(ctx, tx, queries.CodeUseOfWalletParams{ID: u.ID, Address: wallet}); err != nil {
			return fmt.Errorf("code of %s: %w", attempt, err)
		}
	}
	return nil
}

// GiveCodeBackTx gives back the use that a purchase held which ended unpaid. One without a code is left alone.
func GiveCodeBackTx(ctx context.Context, tx pgx.Tx, now time.Time, attempt id.Attempt) error {
	if err := queries.New().CodeUseGiveBackOf(ctx, tx, queries.CodeUseGiveBackOfParams{AttemptID: string(attempt), Now: now}); err != nil {
		return fmt.Errorf("give back the code of %s: %w", attempt, err)
	}
	return nil
}

// TakeCodeBackTx takes a use again for a purchase whose money came after its end, if one is left: it stands in any case.
func TakeCodeBackTx(ctx context.Context, tx pgx.Tx, attempt id.Attempt) error {
	if err := queries.New().CodeUseTakeBack(ctx, tx, string(attempt)); err != nil {
		return fmt.Errorf("take back the code of %s: %w", attempt, err)
	}
	return nil
}

// SweepCodes gives back uses that nothing came of: tokens that were not used in time, calls whose process died.
func (s *Service) SweepCodes(ctx context.Context) error {
	if err := queries.New().CodeUsesSweep(ctx, s.pool, s.now()); err != nil {
		return fmt.Errorf("give back uses of codes: %w", err)
	}
	return nil
}
