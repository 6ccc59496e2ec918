package checkout_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/x402"
)

// newCode makes a code on these terms.
func (s *testShop) newCode(t *testing.T, terms shop.Terms) shop.Code {
	t.Helper()
	batch, err := s.shop.GenerateCodes(t.Context(), s.merchant, false, shop.CodeForm{Terms: terms}, ada)
	require.NoError(t, err)
	all, err := s.shop.Codes(t.Context(), s.merchant, false, shop.CodeFilter{Batch: batch.ID}, shop.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, all, 1)
	return all[0]
}

// beginWith begins a purchase at the shop's link with a code.
func (s *testShop) beginWith(t *testing.T, code string) (checkout.Attempt, error) {
	t.Helper()
	return s.checkout.Start(t.Context(), checkout.Begin{Token: s.link.Token, Code: code})
}

// usedOf is how many uses of a code are taken.
func (s *testShop) usedOf(t *testing.T, c shop.Code) int {
	t.Helper()
	now, err := s.shop.Code(t.Context(), s.merchant, false, c.ID)
	require.NoError(t, err)
	return now.Used
}

func TestACodeTakesItsShareOffAndTheRestIsPaid(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	code := s.newCode(t, shop.Terms{Off: shop.OffPercent, Percent: 25, Uses: 2})
	a, err := s.beginWith(t, strings.ToLower(strings.ReplaceAll(code.Code, "-", " "))) // as people write it
	require.NoError(t, err)
	require.Equal(t, price*3/4, a.Amount)
	require.Len(t, a.Lines, 2)
	require.Equal(t, shop.Line{Title: "Code, 25 % off", Qty: 1, UnitAmount: -price / 4}, a.Lines[1])
	require.Equal(t, 1, s.usedOf(t, code))

	purchase, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)
	require.Equal(t, checkout.Settled, purchase.Status)
	require.Equal(t, price*3/4, balanceOf(t, s.payee))
	sales, err := s.checkout.SalesOf(t.Context(), a.ID)
	require.NoError(t, err)
	require.Len(t, sales, 2, "the discount is a line of its own")
	require.Equal(t, 1, s.usedOf(t, code))
}

func TestACodeForTheWholePriceLeavesNothingToPay(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	code := s.newCode(t, shop.Terms{Off: shop.OffAll})
	a, err := s.beginWith(t, code.Code)
	require.NoError(t, err)
	require.Equal(t, checkout.Settled, a.Status)
	require.Equal(t, checkout.Settled, s.status(t, a.ID))
	require.Zero(t, a.Amount)
	_, err = s.beginWith(t, code.Code)
	require.ErrorIs(t, err, shop.ErrCodeUsed)
}

func TestTheUseOfAPurchaseThatEndsUnpaidComesBack(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	code := s.newCode(t, shop.Terms{Off: shop.OffAmount, Amount: money.One})
	ends := map[string]func(id.Attempt) error{
		"cancelled": func(a id.Attempt) error { return s.checkout.Cancel(t.Context(), s.merchant, a) },
		"expired": func(a id.Attempt) error {
			s.exec(t, `UPDATE attempts SET expires_at = created_at WHERE id = $1`, a)
			return s.checkout.Expire(t.Context(), a)
		},
	}
	for name, end := range ends {
		a, err := s.beginWith(t, code.Code)
		require.NoError(t, err, name)
		_, err = s.beginWith(t, code.Code)
		require.ErrorIs(t, err, shop.ErrCodeUsed, name)
		require.NoError(t, end(a.ID), name)
		require.Zero(t, s.usedOf(t, code), name)
	}
	// What takes the place of a purchase has its code, too.
	a, err := s.beginWith(t, code.Code)
	require.NoError(t, err)
	b, err := s.checkout.Start(t.Context(), checkout.Begin{Token: s.link.Token, Code: code.Code, Replaces: a.ID})
	require.ErrorIs(t, err, shop.ErrCodeUsed, "the code is looked at before anything ends: %v", b)
	require.Equal(t, checkout.Open, s.status(t, a.ID))
}

func TestAHundredBeginWithTheLastUseOfACodeAndOneHasIt(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	code := s.newCode(t, shop.Terms{Off: shop.OffPercent, Percent: 50, Uses: 3})
	for range 2 {
		_, err := s.beginWith(t, code.Code)
		require.NoError(t, err)
	}
	require.Equal(t, 1, s.race(t, func(ctx context.Context) error {
		_, err := s.checkout.Start(ctx, checkout.Begin{Token: s.link.Token, Code: code.Code})
		return err
	}))
	require.Equal(t, 3, s.usedOf(t, code))
}

func TestAHundredRedeemTheLastUseOfACodeAndOneHasIt(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	code := s.newCode(t, shop.Terms{Off: shop.OffAll})
	require.Equal(t, 1, s.race(t, func(ctx context.Context) error {
		_, err := s.shop.RedeemCode(ctx, shop.Redeeming{Code: code.Code})
		return err
	}))
	require.Equal(t, 1, s.usedOf(t, code))
}

// race does something a hundred times at once, and counts how often it was had. All others hear that the code is used.
func (s *testShop) race(t *testing.T, do func(context.Context) error) (had int) {
	t.Helper()
	// Nobody takes anything before most of them stand in line.
	conn, err := pgx.Connect(t.Context(), s.database)
	require.NoError(t, err)
	defer conn.Close(context.Background()) //nolint:errcheck // the connection is done with
	_, err = conn.Exec(t.Context(), `BEGIN; LOCK TABLE codes IN SHARE MODE`)
	require.NoError(t, err)
	var g errgroup.Group
	errs := make([]error, 100)
	for i := range errs {
		g.Go(func() error {
			errs[i] = do(t.Context())
			return nil
		})
	}
	require.Eventually(t, func() bool { return s.waiting(t, conn) >= 10 }, 10*time.Second, 10*time.Millisecond)
	_, err = conn.Exec(t.Context(), `COMMIT`)
	require.NoError(t, err)
	require.NoError(t, g.Wait())
	for _, err := range errs {
		if err == nil {
			had++
			continue
		}
		require.ErrorIs(t, err, shop.ErrCodeUsed)
	}
	return had
}

func TestABypassTokenIsOneUseForAShortTime(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	code := s.newCode(t, shop.Terms{Off: shop.OffPercent, Percent: 50})
	b, err := s.shop.RedeemCode(t.Context(), shop.Redeeming{Code: code.Code, Token: s.link.Token})
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(b.Token, "bypass_"))
	require.Zero(t, s.count(t, `SELECT count(*) FROM code_uses WHERE encode(token_hash, 'escape') LIKE '%' || $1 || '%'`, b.Token[7:]))
	_, err = s.shop.RedeemCode(t.Context(), shop.Redeeming{Code: b.Token})
	require.ErrorIs(t, err, shop.ErrCode, "a token is no code")

	other := s.newLink(t, s.merchant, shop.LinkForm{Title: "Tea", Price: price})
	_, err = s.checkout.Start(t.Context(), checkout.Begin{Token: other.Token, Code: b.Token})
	require.ErrorIs(t, err, shop.ErrCodeElsewhere)
	require.Equal(t, 1, s.beginAll(t, b.Token), "many begin with one token")

	// Its purchase ends unpaid: the token is worth a use again, for what is left of its time.
	var attempt id.Attempt
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT attempt_id FROM code_uses`).Scan(&attempt))
	require.NoError(t, s.checkout.Cancel(t.Context(), s.merchant, attempt))
	require.Equal(t, 1, s.usedOf(t, code))
	a, err := s.beginWith(t, b.Token)
	require.NoError(t, err)
	require.NoError(t, s.checkout.Cancel(t.Context(), s.merchant, a.ID))

	s.clock.advance(shop.BypassTime)
	_, err = s.beginWith(t, b.Token)
	require.ErrorIs(t, err, shop.ErrCodeOver)
	require.NoError(t, s.checkout.Sweep(t.Context()))
	require.Zero(t, s.usedOf(t, code), "what nobody spent is the code's again")
}

// beginAll begins twenty purchases with one token, and counts those that begin.
func (s *testShop) beginAll(t *testing.T, token string) (had int) {
	t.Helper()
	errs := make([]error, 20)
	var g errgroup.Group
	for i := range errs {
		g.Go(func() error {
			_, errs[i] = s.checkout.Start(t.Context(), checkout.Begin{Token: s.link.Token, Code: token})
			return nil
		})
	}
	require.NoError(t, g.Wait())
	for _, err := range errs {
		if err == nil {
			had++
			continue
		}
		require.ErrorIs(t, err, shop.ErrCodeUsed)
	}
	return had
}

func TestACodeOfOneWalletIsPaidByThatWallet(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	mine := strings.ToLower(addressOf(s.buyer).Hex())
	code := s.newCode(t, shop.Terms{Off: shop.OffPercent, Percent: 10, Uses: 5, Address: mine})
	a, err := s.beginWith(t, code.Code)
	require.NoError(t, err)
	_, err = s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, newBuyer(t)))
	require.ErrorIs(t, err, shop.ErrCodeWallet)
	require.Equal(t, checkout.Open, s.status(t, a.ID), "nothing was taken, and the right wallet may pay")
	_, err = s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)

	once := s.newCode(t, shop.Terms{Off: shop.OffPercent, Percent: 10, Uses: 5, PerWallet: 1})
	for i := range 2 {
		a, err := s.beginWith(t, once.Code)
		require.NoError(t, err)
		_, err = s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
		if i == 0 {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, shop.ErrCodeWallet)
		}
	}

	free := s.newCode(t, shop.Terms{Off: shop.OffAll, Uses: 5, PerWallet: 1})
	_, err = s.beginWith(t, free.Code)
	var wrong *shop.FieldError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, "buyer_address", wrong.Field)
	begin := checkout.Begin{Token: s.link.Token, Code: free.Code, Wallet: addressOf(s.buyer).Hex()}
	_, err = s.checkout.Start(t.Context(), begin)
	require.NoError(t, err)
	_, err = s.checkout.Start(t.Context(), begin)
	require.ErrorIs(t, err, shop.ErrCodeWallet)
}

func TestLateMoneyTakesTheUseAgainIfThereIsOne(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for name, taken := range map[string]bool{"it is free": false, "somebody else has it by now": true} {
		code := s.newCode(t, shop.Terms{Off: shop.OffPercent, Percent: 50})
		a, err := s.beginWith(t, code.Code)
		require.NoError(t, err)
		payer := newKey()
		payment := s.sign(t, a, payer)
		_, err = s.checkout.Pay(t.Context(), a.ID, payment)
		requireInvalid(t, x402.Funds, err)
		require.NoError(t, world.dev().Mint(t.Context(), addressOf(payer), pocket))
		var claim id.Claim
		require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT id FROM claims WHERE attempt_id = $1`, a.ID).Scan(&claim))
		require.NoError(t, s.checkout.Cancel(t.Context(), s.merchant, a.ID))
		require.Zero(t, s.usedOf(t, code))
		if taken {
			_, err := s.beginWith(t, code.Code)
			require.NoError(t, err)
		}
		sendByStranger(t, transferCall(payment))
		require.NoError(t, s.checkout.Look(t.Context(), claim))
		require.Equal(t, checkout.SettledLate, s.status(t, a.ID), "%s: the sale stands", name)
		require.Equal(t, 1, s.usedOf(t, code), name)
	}
}

func TestTheAuditFindsACodeThatCountsWrong(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true, dirty: true})
	code := s.newCode(t, shop.Terms{Off: shop.OffPercent, Percent: 50, Uses: 9})
	_, err := s.beginWith(t, code.Code)
	require.NoError(t, err)
	require.Empty(t, s.findings(t))
	s.exec(t, `UPDATE codes SET used = used + 1`)
	require.Contains(t, rulesOf(s.findings(t)), "a code counts its uses, and who did not pay has none")
}
