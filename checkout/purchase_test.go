package checkout_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/x402"
)

func TestAPaymentIsOneSale(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.begin(t)
	require.Equal(t, checkout.Open, a.Status)
	require.Equal(t, price, a.Amount)

	p, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)

	require.Equal(t, checkout.Settled, p.Status)
	require.Equal(t, price, p.AmountReceived)
	require.NotNil(t, p.SettledAt)
	require.Equal(t, addressOf(s.buyer), p.Claim.Payer)
	require.Equal(t, a.Nonce, p.Claim.Nonce)
	require.Equal(t, "confirmed", p.Settlement.Status)
	require.Equal(t, "own", p.Settlement.Facilitator)
	s.soldOnce(t, p)
	require.Equal(t, pocket-price, balanceOf(t, addressOf(s.buyer)))

	sales, err := s.checkout.SalesOf(t.Context(), a.ID)
	require.NoError(t, err)
	sale := sales[0]
	require.Equal(t, "Flat white", sale.ItemTitle)
	require.Equal(t, string(s.link.ID), sale.ItemID)
	require.Equal(t, "USDC", sale.Currency)
	require.Equal(t, "till-1", sale.Reference)
	require.Equal(t, p.Settlement.Transaction, sale.Transaction)
	require.False(t, sale.Late)

	totals, err := s.shop.Totals(t.Context(), s.link.ID)
	require.NoError(t, err)
	require.EqualValues(t, 1, totals.Payments)
	require.Equal(t, price, totals.Received)
	today := s.clock.now().Truncate(24 * time.Hour)
	days, err := s.checkout.Days(t.Context(), s.merchant, false, "", checkout.Span{Since: today.AddDate(0, 0, -1), Until: today.AddDate(0, 0, 1)})
	require.NoError(t, err)
	require.Len(t, days, 1)
	require.EqualValues(t, 1, days[0].Payments)
	require.Equal(t, price, days[0].Amount)
}

func TestTheWalletSignsTheCart(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.begin(t)
	hash, err := checkout.Cart{
		Seller: s.merchant, Lines: a.Lines, Network: sepolia, Asset: s.network.Token.Address, PayTo: s.payee, Amount: price,
	}.Hash()
	require.NoError(t, err)
	require.Equal(t, a.CartHash, hash)
	require.Equal(t, a.Nonce, checkout.Nonce(a.Salt, hash))

	// The page fills in the payer and hands this to the wallet, which is another program's work.
	text, err := json.Marshal(s.checkout.TypedData(a))
	require.NoError(t, err)
	var typed apitypes.TypedData
	require.NoError(t, json.Unmarshal(text, &typed))
	typed.Message["from"] = addressOf(s.buyer).Hex()
	digest, _, err := apitypes.TypedDataAndHash(typed)
	require.NoError(t, err)
	require.Equal(t, s.sign(t, a, s.buyer).Authorization.Digest(s.network.Token), common.BytesToHash(digest))
}

func TestOnlyTheBuyersTokenOpensAPurchase(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a, b := s.begin(t), s.begin(t)
	require.True(t, a.IsBuyer(s.checkout.BuyerToken(t.Context(), a)))
	require.False(t, a.IsBuyer(s.checkout.BuyerToken(t.Context(), b)))
	require.False(t, a.IsBuyer(""))
	require.Zero(t, s.count(t, `SELECT count(*) FROM attempts a WHERE a::text LIKE '%' || $1 || '%'`, s.checkout.BuyerToken(t.Context(), a)), "it is stored")
}

func TestTheSamePaymentAgainGetsTheSameAnswer(t *testing.T) {
	t.Parallel()

	t.Run("of a purchase", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		a, other := s.begin(t), s.begin(t)
		payment := s.sign(t, a, s.buyer)
		first, err := s.checkout.Pay(t.Context(), a.ID, payment)
		require.NoError(t, err)
		again, err := s.checkout.Pay(t.Context(), a.ID, payment)
		require.NoError(t, err)
		require.Equal(t, first, again)
		_, err = s.checkout.Pay(t.Context(), other.ID, payment)
		require.ErrorIs(t, err, checkout.ErrAlreadyUsed)

		s.clock.advance(time.Hour) // the authorization is long over, the answer is not
		again, err = s.checkout.Pay(t.Context(), a.ID, payment)
		require.NoError(t, err)
		require.Equal(t, first, again)
		s.soldOnce(t, first)
		s.clock.advance(-time.Hour)
	})

	t.Run("of a link", func(t *testing.T) {
		t.Parallel()
		s := newShopWith(t, plan{limit: 1})
		o, request := s.offer(t), checkout.Request(sha256.Sum256([]byte("GET /link")))
		payment := s.answer(t, o, s.buyer)
		first, err := s.checkout.PayLink(t.Context(), o, payment, request)
		require.NoError(t, err)
		again, err := s.checkout.PayLink(t.Context(), s.offer(t), payment, request)
		require.NoError(t, err)
		require.Equal(t, first, again)
		_, err = s.checkout.PayLink(t.Context(), o, payment, checkout.Request(sha256.Sum256([]byte("POST /link"))))
		require.ErrorIs(t, err, checkout.ErrAlreadyUsed)
		s.soldOnce(t, first)
	})
}

// together runs n payments at the same instant. Meanwhile the claims may be read and not written, so that all
// of them have seen that nobody has claimed before anybody may.
func (s *testShop) together(t *testing.T, n int, pay func(ctx context.Context, i int) (checkout.Purchase, error)) ([]checkout.Purchase, []error) {
	t.Helper()
	purchases, errs := make([]checkout.Purchase, n), make([]error, n)
	conn, err := pgx.Connect(t.Context(), s.database)
	require.NoError(t, err)
	defer conn.Close(context.Background()) //nolint:errcheck // the connection is done with
	_, err = conn.Exec(t.Context(), `BEGIN; LOCK TABLE claims, settlements IN SHARE MODE`)
	require.NoError(t, err)
	var g errgroup.Group
	for i := range n {
		g.Go(func() error {
			purchases[i], errs[i] = pay(t.Context(), i)
			return nil
		})
	}
	// One comes this far alone, or as many as the pool lets: the others have read, and wait behind it.
	require.Eventually(t, func() bool {
		return s.waiting(t, conn) >= 1
	}, 10*time.Second, 10*time.Millisecond, "nobody meets anybody")
	time.Sleep(300 * time.Millisecond)
	_, err = conn.Exec(t.Context(), `COMMIT`)
	require.NoError(t, err)
	require.NoError(t, g.Wait())
	return purchases, errs
}

// waiting counts the connections to this database that wait for a lock.
func (s *testShop) waiting(t *testing.T, conn *pgx.Conn) (n int) {
	t.Helper()
	_, err := conn.Exec(t.Context(), `SELECT pg_stat_clear_snapshot()`) // else a transaction sees what it saw first
	require.NoError(t, err)
	require.NoError(t, conn.QueryRow(t.Context(),
		`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n))
	return n
}

const crowd = 50

func TestFiftyTimesTheSamePaymentAtOnceIsOneSettlement(t *testing.T) {
	t.Parallel()

	alike := func(t *testing.T, s *testShop, purchases []checkout.Purchase, errs []error) {
		t.Helper()
		require.NoError(t, errors.Join(errs...))
		for _, p := range purchases {
			require.Equal(t, purchases[0], p)
		}
		s.soldOnce(t, purchases[0])
		require.Equal(t, 1, s.count(t, `SELECT count(*) FROM settlements`))
		require.Equal(t, 1, s.count(t, `SELECT count(*) FROM claims`))
		require.Equal(t, 1, s.count(t, `SELECT count(*) FROM relays`))
		require.Equal(t, 1, s.count(t, `SELECT count(*) FROM attempts`))
	}

	t.Run("for a purchase", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		a := s.begin(t)
		payment := s.sign(t, a, s.buyer)
		// The first takes the purchase's own row, so the others never get as far as the claims.
		purchases, errs := make([]checkout.Purchase, crowd), make([]error, crowd)
		var g errgroup.Group
		for i := range crowd {
			g.Go(func() error {
				purchases[i], errs[i] = s.checkout.Pay(t.Context(), a.ID, payment)
				return nil
			})
		}
		require.NoError(t, g.Wait())
		alike(t, s, purchases, errs)
	})

	for name, limit := range map[string]int{"for a link": 0, "for a link that sells once": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShopWith(t, plan{limit: limit})
			o := s.offer(t)
			payment := s.answer(t, o, s.buyer)
			purchases, errs := s.together(t, crowd, func(ctx context.Context, _ int) (checkout.Purchase, error) {
				return s.checkout.PayLink(ctx, o, payment, checkout.Request{})
			})
			alike(t, s, purchases, errs)
		})
	}
}

func TestWithoutTheUniqueKeysTheCrowdIsFound(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{dirty: true, wait: 4 * time.Second})
	s.exec(t, `DROP INDEX claims_authorization, claims_of_attempt, settlements_authorization`)
	o := s.offer(t)
	payment := s.answer(t, o, s.buyer)
	s.together(t, crowd, func(ctx context.Context, _ int) (checkout.Purchase, error) {
		return s.checkout.PayLink(ctx, o, payment, checkout.Request{})
	})
	require.Greater(t, s.count(t, `SELECT count(*) FROM settlements`), 1, "the keys are not what keeps the crowd apart")
	require.Contains(t, rulesOf(s.findings(t)), "an authorization has one settlement")
	require.Equal(t, price, balanceOf(t, s.payee), "the chain itself takes a signature once")
}

func rulesOf(findings []checkout.Finding) (rules []string) {
	for _, f := range findings {
		rules = append(rules, f.Rule)
	}
	return rules
}

func TestTwoBuyersOfOnePurchase(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true, wait: time.Second})
	a, second := s.begin(t), newBuyer(t)
	payment := s.sign(t, a, s.buyer)
	_, err := s.checkout.Pay(t.Context(), a.ID, payment)
	require.ErrorIs(t, err, checkout.ErrPending)
	require.Equal(t, checkout.Settling, s.status(t, a.ID))

	_, err = s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, second))
	require.ErrorIs(t, err, checkout.ErrInProgress)
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM claims`))

	s.start(t, role{settles: true, works: true})
	p := s.awaitStatus(t, a.ID, checkout.Settled)
	_, err = s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, second))
	require.ErrorIs(t, err, checkout.ErrPaid)
	require.Equal(t, pocket, balanceOf(t, addressOf(second)))
	require.Equal(t, addressOf(s.buyer), p.Claim.Payer)
	s.soldOnce(t, p)
}

func TestManyBuyersOfOnePurchaseAtOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.begin(t)
	const n = 8
	payments := make([]x402.Payment, n)
	for i := range payments {
		payments[i] = s.sign(t, a, newBuyer(t))
	}
	errs := make([]error, n)
	var g errgroup.Group
	for i := range n {
		g.Go(func() error {
			_, errs[i] = s.checkout.Pay(t.Context(), a.ID, payments[i])
			return nil
		})
	}
	require.NoError(t, g.Wait())
	paid := 0
	for i, err := range errs {
		if err == nil {
			paid++
			continue
		}
		require.True(t, errors.Is(err, checkout.ErrInProgress) || errors.Is(err, checkout.ErrPaid), err)
		require.Equal(t, pocket, balanceOf(t, payments[i].Authorization.From))
	}
	require.Equal(t, 1, paid)
	s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
}

func TestTwoBuyersOfTheLastOne(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{limit: 1})
	o := s.offer(t)
	payers := []*ecdsa.PrivateKey{s.buyer, newBuyer(t), newBuyer(t), newBuyer(t)}
	payments := make([]x402.Payment, len(payers))
	for i, payer := range payers {
		payments[i] = s.answer(t, o, payer)
	}
	purchases, errs := make([]checkout.Purchase, len(payers)), make([]error, len(payers))
	var g errgroup.Group
	for i := range payers {
		g.Go(func() error {
			purchases[i], errs[i] = s.checkout.PayLink(t.Context(), o, payments[i], checkout.Request{})
			return nil
		})
	}
	require.NoError(t, g.Wait())
	var winner checkout.Purchase
	for i, err := range errs {
		if err == nil {
			require.Empty(t, winner.ID, "it is sold twice")
			winner = purchases[i]
			continue
		}
		require.ErrorIs(t, err, shop.ErrSoldOut)
		require.Equal(t, pocket, balanceOf(t, addressOf(payers[i])), "charged for nothing")
	}
	s.soldOnce(t, winner)
	_, err := s.checkout.Quote(t.Context(), s.offer(t))
	require.ErrorIs(t, err, shop.ErrSoldOut)
	_, err = s.checkout.Start(t.Context(), checkout.Begin{Token: s.link.Token, From: "192.0.2.1"})
	require.ErrorIs(t, err, shop.ErrSoldOut)
}

func TestASmartWalletPays(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.begin(t)
	want := s.checkout.Requirement(a)
	authorization := x402.Authorization{
		From: walletAddress, To: a.PayTo, Value: big.NewInt(int64(a.Amount)), ValidAfter: new(big.Int),
		ValidBefore: big.NewInt(a.ExpiresAt.Unix()), Nonce: a.Nonce,
	}
	_, err := s.checkout.Pay(t.Context(), a.ID, signed(t, 1, want, authorization, newKey()))
	requireInvalid(t, x402.Signature, err)
	require.Zero(t, s.count(t, `SELECT count(*) FROM claims`))

	p, err := s.checkout.Pay(t.Context(), a.ID, signed(t, 1, want, authorization, walletOwner))
	require.NoError(t, err)
	require.Equal(t, walletAddress, p.Claim.Payer)
	s.soldOnce(t, p)
}

func TestAClosedTabDoesNotStopAPayment(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	a := s.begin(t)
	payment := s.sign(t, a, s.buyer)
	ctx, close := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() {
		_, err := s.checkout.Pay(ctx, a.ID, payment)
		answered <- err
	}()
	s.awaitStatus(t, a.ID, checkout.Settling)
	close()
	require.ErrorIs(t, <-answered, context.Canceled)

	s.start(t, role{settles: true, works: true})
	s.soldOnce(t, s.awaitStatus(t, a.ID, checkout.Settled))
}

func TestAnotherProcessHearsOfAChange(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.begin(t)
	other := s.start(t, role{})
	changed, cancel := other.hub.Subscribe(string(s.merchant))
	defer cancel()
	require.Eventually(t, func() bool {
		return s.count(t, `SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND query LIKE 'LISTEN%'`, other.name) == 1
	}, 10*time.Second, 10*time.Millisecond, "it does not listen")
	time.Sleep(100 * time.Millisecond) // what it missed before is told
	for len(changed) > 0 {
		<-changed
	}
	_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)
	select {
	case <-changed:
	case <-time.After(5 * time.Second):
		t.Fatal("it heard nothing")
	}
}

func TestAShopNeverSeesAnothersBusiness(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.begin(t)
	_, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
	require.NoError(t, err)
	under := s.begin(t)
	stranger := s.found(t, "bookshop", addressOf(newKey()))
	ctx, page := t.Context(), shop.Page{Limit: 10}

	_, err = s.checkout.Simulate(ctx, stranger, under.ID, checkout.Direct)
	require.ErrorIs(t, err, checkout.ErrNotFound)
	require.Equal(t, checkout.Open, s.status(t, under.ID))
	sales, err := s.checkout.Sales(ctx, stranger, false, checkout.Filter{}, nil, nil, 10)
	require.NoError(t, err)
	require.Empty(t, sales)
	sales, err = s.checkout.Sales(ctx, stranger, false, checkout.Filter{Search: string(a.ID)}, nil, nil, 10)
	require.NoError(t, err)
	require.Empty(t, sales)
	settlements, err := s.checkout.Settlements(ctx, stranger, false, page)
	require.NoError(t, err)
	require.Empty(t, settlements)
	attempts, err := s.checkout.AttemptsOfLink(ctx, stranger, s.link.ID, 10)
	require.NoError(t, err)
	require.Empty(t, attempts)
	days, err := s.checkout.Days(ctx, stranger, false, "", checkout.Span{Since: s.clock.now().AddDate(0, 0, -2), Until: s.clock.now().AddDate(0, 0, 2)})
	require.NoError(t, err)
	require.Empty(t, days)
	holdings, err := s.web.custody.Holdings(ctx, stranger, false)
	require.NoError(t, err)
	for _, h := range holdings { // it has an address as well
		require.Zero(t, h.Received+h.Available+h.Pending+h.Deposited)
	}
	require.NoError(t, s.checkout.Export(ctx, stranger, false, checkout.Filter{}, func(c checkout.Control) error {
		require.Zero(t, c)
		return nil
	}, func(checkout.SettledLine) error { return errors.New("a sale of another shop") }))

	// The shop itself sees all of it, in its own mode.
	sales, err = s.checkout.Sales(ctx, s.merchant, false, checkout.Filter{}, nil, nil, 10)
	require.NoError(t, err)
	require.Len(t, sales, 1)
	sales, err = s.checkout.Sales(ctx, s.merchant, true, checkout.Filter{}, nil, nil, 10)
	require.NoError(t, err)
	require.Empty(t, sales, "live mode")
	attempts, err = s.checkout.AttemptsOfLink(ctx, s.merchant, s.link.ID, 10)
	require.NoError(t, err)
	require.Len(t, attempts, 2)
}

func TestAnExportAgreesWithItself(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var g errgroup.Group
	for range 3 {
		a := s.begin(t)
		payment := s.sign(t, a, s.buyer)
		g.Go(func() error {
			_, err := s.checkout.Pay(t.Context(), a.ID, payment)
			return err
		})
	}
	require.NoError(t, g.Wait())
	simulated := s.begin(t)
	_, err := s.checkout.Simulate(t.Context(), s.merchant, simulated.ID, checkout.Direct)
	require.NoError(t, err)

	var control checkout.Control
	var sum money.USDC
	var rows []id.Sale
	require.NoError(t, s.checkout.Export(t.Context(), s.merchant, false, checkout.Filter{},
		func(c checkout.Control) error { control = c; return nil },
		func(sale checkout.SettledLine) error {
			rows = append(rows, sale.ID)
			if !sale.Simulated {
				sum += sale.Amount
			}
			return nil
		}))
	require.EqualValues(t, 4, control.Rows)
	require.Len(t, rows, 4)
	require.Equal(t, 3*price, control.Amount)
	require.Equal(t, control.Amount, sum)

	// Page by page, down and up again, it is the same list.
	var paged []id.Sale
	var last *checkout.Cursor
	for {
		page, err := s.checkout.Sales(t.Context(), s.merchant, false, checkout.Filter{}, last, nil, 1)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		paged = append(paged, page[0].ID)
		last = &checkout.Cursor{At: page[0].CreatedAt, ID: page[0].ID}
	}
	require.Equal(t, rows, paged)
	up, err := s.checkout.Sales(t.Context(), s.merchant, false, checkout.Filter{}, nil, last, 10)
	require.NoError(t, err)
	require.Len(t, up, 3)
	require.Equal(t, rows[0], up[0].ID)
}
