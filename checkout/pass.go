package checkout

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/shop"
)

// ErrPass is returned by [Service.UsePass] for what opens nothing: no pass, one of another endpoint, one that is over.
var ErrPass = errors.New("checkout: no valid pass")

// Pass lets who has paid for an endpoint call it without paying again.
type Pass struct {
	ID        id.Pass
	Merchant  id.Merchant
	Livemode  bool
	Endpoint  id.Endpoint
	Payer     string
	Token     string     // what opens it; only in its payer's own answers
	Payments  int        // how often it was paid for
	PaidAt    *time.Time // last
	EndsAt    *time.Time // nil: never
	RevokedAt *time.Time
	CreatedAt time.Time
	// CallsLeft is how many calls it is still for; nil for any number.
	CallsLeft *int
}

// Alive tells whether it opens anything.
func (p Pass) Alive(now time.Time) bool {
	return p.PaidAt != nil && p.RevokedAt == nil && (p.EndsAt == nil || now.Before(*p.EndsAt)) && (p.CallsLeft == nil || *p.CallsLeft > 0)
}

// period is an interval as the database adds it to a time; empty for ever.
func period(i shop.Interval) string {
	if i == "" {
		return ""
	}
	return "1 " + string(i)
}

// openPassTx finds or makes the pass that a payment is for. It opens nothing before something is paid.
func (s *Service) openPassTx(ctx context.Context, tx pgx.Tx, c claiming) (id.Pass, error) {
	fresh, tokenHash, err := s.freshPass(ctx)
	if err != nil {
		return "", err
	}
	pass, err := queries.New().PassOpen(ctx, tx, queries.PassOpenParams{
		ID: fresh, MerchantID: c.attempt.Merchant, Livemode: c.attempt.Livemode, EndpointID: c.call.of.ID, Payer: lower(c.payment.Authorization.From),
		TokenHash: tokenHash, CreatedAt: s.now(),
	})
	if err != nil {
		return "", fmt.Errorf("open a pass: %w", err)
	}
	return pass, nil
}

// freshPass names a pass, with the hash of what will open it.
func (s *Service) freshPass(ctx context.Context) (pass id.Pass, tokenHash []byte, err error) {
	key, err := s.buyers.current(ctx)
	if err != nil {
		return "", nil, err
	}
	pass = id.New[id.Pass](s.now())
	sum := sha256.Sum256([]byte(passToken(key, pass)))
	return pass, sum[:], nil
}

// extendPassesTx adds what purchases have paid for to their passes.
func extendPassesTx(ctx context.Context, tx pgx.Tx, now time.Time, all []paid) error {
	p := queries.PassesExtendParams{Now: now}
	for _, each := range all {
		if each.called() {
			p.Attempts = append(p.Attempts, string(each.attempt.ID))
		}
	}
	if len(p.Attempts) == 0 {
		return nil
	}
	slices.Sort(p.Attempts)
	if err := queries.New().PassesExtend(ctx, tx, p); err != nil {
		return fmt.Errorf("passes: %w", err)
	}
	return nil
}

// passToken is the secret that is a pass: its id, signed.
func passToken(key []byte, pass id.Pass) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("xsynesis:pass:v1" + string(pass)))
	return string(pass) + "." + id.Token([16]byte(mac.Sum(nil)[:16]))
}

// passOf returns the pass that a paid call bought, with its token, or nil for a call that bought none.
func (s *Service) passOf(ctx context.Context, attempt id.Attempt) (*Pass, error) {
	call, err := queries.New().CallByAttempt(ctx, s.pool, attempt)
	if err != nil || call.PassID == nil {
		return nil, err
	}
	return s.passWithToken(ctx, *call.PassID)
}

// passWithToken is a pass with its token, which is for its payer alone.
func (s *Service) passWithToken(ctx context.Context, pass id.Pass) (*Pass, error) {
	row, err := queries.New().PassByID(ctx, s.pool, pass)
	if err != nil {
		return nil, fmt.Errorf("pass %s: %w", pass, err)
	}
	p := passOfRow(row)
	p.Token, err = s.buyers.find(ctx, func(key []byte) string { return passToken(key, p.ID) }, func(token string) bool { return isPassToken(row, token) })
	if err != nil {
		return nil, fmt.Errorf("token of %s: %w", p.ID, err)
	}
	return &p, nil
}

// UsePass tells whose call of an endpoint is paid for already. Errors: [ErrPass].
func (s *Service) UsePass(ctx context.Context, endpoint id.Endpoint, token string) (Pass, error) {
	name, _, _ := strings.Cut(token, ".")
	pass, err := id.Parse[id.Pass](name)
	if err != nil {
		return Pass{}, ErrPass
	}
	row, err := queries.New().PassByID(ctx, s.pool, pass)
	if errors.Is(err, pgx.ErrNoRows) {
		return Pass{}, ErrPass
	}
	if err != nil {
		return Pass{}, fmt.Errorf("pass %s: %w", pass, err)
	}
	p := passOfRow(row)
	if !isPassToken(row, token) || p.Endpoint != endpoint || !p.Alive(s.now()) {
		return Pass{}, ErrPass
	}
	return p, nil
}

// Passes lists the passes of a shop, or of one of its endpoints, newest first, with one more than Limit where there are more.
func (s *Service) Passes(ctx context.Context, merchant id.Merchant, livemode bool, endpoint id.Endpoint, p shop.Page) ([]Pass, error) {
	rows, err := s.passRows(ctx, merchant, livemode, endpoint, p)
	if err != nil {
		return nil, fmt.Errorf("passes of %s: %w", merchant, err)
	}
	out := make([]Pass, len(rows))
	for i, row := range rows {
		out[i] = passOfRow(row)
	}
	return out, nil
}

// passRows reads downwards, or upwards from the row that is named by After.
func (s *Service) passRows(ctx context.Context, merchant id.Merchant, livemode bool, endpoint id.Endpoint, p shop.Page) ([]queries.Pass, error) {
	if p.After == "" {
		return queries.New().PassList(ctx, s.pool, queries.PassListParams{
			MerchantID: merchant, Livemode: livemode, EndpointID: string(endpoint), Before: cmp.Or(p.Before, "~"), Most: int32(p.Limit + 1),
		})
	}
	rows, err := queries.New().PassListAfter(ctx, s.pool, queries.PassListAfterParams{
		MerchantID: merchant, Livemode: livemode, EndpointID: string(endpoint), After: p.After, Most: int32(p.Limit + 1),
	})
	slices.Reverse(rows)
	return rows, err
}

// Pass returns a pass of a shop's own that was paid for, or [ErrNotFound].
func (s *Service) Pass(ctx context.Context, merchant id.Merchant, livemode bool, pass id.Pass) (Pass, error) {
	row, err := queries.New().PassByID(ctx, s.pool, pass)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && (row.MerchantID != merchant || row.Livemode != livemode || row.PaidAt == nil) {
		err = ErrNotFound
	}
	if err != nil {
		return Pass{}, fmt.Errorf("pass %s: %w", pass, err)
	}
	return passOfRow(row), nil
}

// RevokePass ends a pass now; who pays again gets another. Errors: [ErrNotFound].
func (s *Service) RevokePass(ctx context.Context, merchant id.Merchant, livemode bool, pass id.Pass, by audit.By) (Pass, error) {
	var row queries.Pass
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if row, err = queries.New().PassRevoke(ctx, tx, queries.PassRevokeParams{ID: pass, MerchantID: merchant, Livemode: livemode, Now: s.now()}); err != nil {
			return err
		}
		return audit.RecordTx(ctx, tx, s.now(), audit.Row{
			By: by, Merchant: merchant, Action: "pass.revoked", ResourceType: "pass", ResourceID: string(pass), After: map[string]any{"livemode": livemode},
		})
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return Pass{}, fmt.Errorf("revoke %s: %w", pass, err)
	}
	return passOfRow(row), nil
}

func isPassToken(row queries.Pass, token string) bool {
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], row.TokenHash) == 1
}

func passOfRow(r queries.Pass) Pass {
	p := Pass{
		ID: r.ID, Merchant: r.MerchantID, Livemode: r.Livemode, Endpoint: r.EndpointID, Payer: r.Payer, Payments: int(r.Payments),
		PaidAt: r.PaidAt, EndsAt: r.EndsAt, RevokedAt: r.RevokedAt, CreatedAt: r.CreatedAt,
	}
	if r.CallsLeft != nil {
		n := int(*r.CallsLeft)
		p.CallsLeft = &n
	}
	return p
}
