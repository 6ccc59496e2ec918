package checkout_test

import (
	"crypto/ecdsa"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
)

// newSpender is a wallet that has gas, and so much money.
func newSpender(t *testing.T, amount money.USDC) *ecdsa.PrivateKey {
	t.Helper()
	key := newGas(t)
	require.NoError(t, world.dev().Mint(t.Context(), addressOf(key), amount))
	return key
}

// sends lets a wallet send money by itself, and waits until it is mined.
func sends(t *testing.T, key *ecdsa.PrivateKey, to common.Address, amount money.USDC) common.Hash {
	t.Helper()
	return mines(t, key, &devchain.USDC, evm.SendData(to, amount))
}

// mines sends any transaction of a wallet's, and waits until it is mined. Without a recipient it makes a contract.
func mines(t *testing.T, key *ecdsa.PrivateKey, to *common.Address, data []byte) common.Hash {
	t.Helper()
	client := world.dev().Client()
	tx, err := devchain.Send(t.Context(), client, key, to, nil, data)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		receipt, err := client.TransactionReceipt(t.Context(), tx.Hash())
		return err == nil && receipt.Status == types.ReceiptStatusSuccessful
	}, 20*time.Second, 20*time.Millisecond, "it is not mined")
	return tx.Hash()
}

// watch is one look of the process that watches, and one before it where none was made.
func (s *testShop) watch(t *testing.T) {
	t.Helper()
	require.NoError(t, s.checkout.Watch(t.Context()))
	require.NoError(t, s.checkout.Watch(t.Context()))
}

func (s *testShop) open(t *testing.T) (checkout.Attempt, checkout.Manual) {
	t.Helper()
	a := s.begin(t)
	m, err := s.checkout.OpenManual(t.Context(), a.ID)
	require.NoError(t, err)
	return a, m
}

// listed is what waits for the shop's decision, by its kind.
func (s *testShop) listed(t *testing.T, kind string) int {
	t.Helper()
	return s.count(t, `SELECT count(*) FROM exceptions WHERE kind = $1 AND resolved_at IS NULL`, kind)
}

func TestATransferOfTheExactAmountPaysItsPurchase(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	a, m := s.open(t)
	require.Greater(t, m.Amount, a.Amount)
	require.LessOrEqual(t, m.Amount, a.Amount+9_999)
	same, err := s.checkout.OpenManual(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, m.Amount, same.Amount, "asked again, it is the same")

	payer := newSpender(t, 10*money.One)
	hash := sends(t, payer, a.PayTo, m.Amount)
	s.watch(t)
	p, err := s.checkout.Purchase(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, checkout.Settled, p.Status)
	require.Equal(t, price, p.Amount)
	require.Equal(t, m.Amount, p.AmountReceived, "what came stands beside the price")
	require.Equal(t, "transfer", p.Settlement.Facilitator)
	require.Equal(t, hash.Hex(), p.Settlement.Transaction)
	require.Equal(t, addressOf(payer), common.HexToAddress(p.Settlement.Payer))
	s.watch(t)
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM sales WHERE attempt_id = $1`, a.ID))
	require.Equal(t, m.Amount, s.received(t))

	t.Run("and the same once more is listed", func(t *testing.T) {
		sends(t, payer, a.PayTo, m.Amount)
		s.watch(t)
		require.Equal(t, 1, s.listed(t, "paid_twice"))
		came, err := s.checkout.ManualOf(t.Context(), a.ID)
		require.NoError(t, err)
		require.Len(t, came.Came, 1)
		require.Equal(t, m.Amount, s.received(t), "it is in no balance")
	})
}

func TestATransferThatIsNotExactIsToldOfAndPaysNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		off  money.USDC
		kind string
	}{"one unit less": {-1, "underpaid"}, "one unit more": {1, "overpaid"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShopWith(t, plan{quiet: true})
			a, m := s.open(t)
			payer := newSpender(t, 10*money.One)
			hash := sends(t, payer, a.PayTo, m.Amount+c.off)
			s.watch(t)
			require.Equal(t, checkout.Open, s.status(t, a.ID))
			require.Equal(t, 1, s.listed(t, c.kind))
			m, err := s.checkout.ManualOf(t.Context(), a.ID)
			require.NoError(t, err)
			require.Len(t, m.Came, 1)
			require.Equal(t, checkout.Came{
				Amount: m.Amount + c.off, Kind: c.kind, Transaction: hash.Hex(), Payer: m.Came[0].Payer, At: m.Came[0].At,
			}, m.Came[0])
			require.Zero(t, s.received(t))

			sends(t, payer, a.PayTo, m.Amount)
			s.watch(t)
			require.Equal(t, checkout.Settled, s.status(t, a.ID), "the exact amount is a way out")
		})
	}
}

func TestATransferThatComesLatePaysLate(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true, limit: 1})
	a, m := s.open(t)
	s.clock.advance(16 * time.Minute)
	require.NoError(t, s.checkout.Expire(t.Context(), a.ID))
	sends(t, newSpender(t, 10*money.One), a.PayTo, m.Amount)
	s.watch(t)
	require.Equal(t, checkout.SettledLate, s.status(t, a.ID))
	require.Equal(t, 1, s.count(t, `SELECT payments_taken FROM links WHERE id = $1`, s.link.ID))
}

func TestAnAmountNamesNothingAfterItsTime(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	a, m := s.open(t)
	s.exec(t, `UPDATE manual_amounts SET opened_at = opened_at - interval '3 days', kept_until = kept_until - interval '3 days'`)
	require.NoError(t, s.checkout.Sweep(t.Context()))
	sends(t, newSpender(t, 10*money.One), a.PayTo, m.Amount)
	s.watch(t)
	require.Equal(t, checkout.Open, s.status(t, a.ID))
	require.Equal(t, 1, s.listed(t, "unmatched"))
}

func TestAPastedHashProvesNothing(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	hers, m := s.open(t)
	mine, other := s.open(t)
	hash := sends(t, newSpender(t, 10*money.One), hers.PayTo, m.Amount)
	require.NoError(t, s.checkout.Tell(t.Context(), mine.ID, hash))
	require.NoError(t, s.checkout.LookForTransfer(t.Context(), mine.ID))
	require.Equal(t, checkout.Settled, s.status(t, hers.ID), "it pays whom its amount names")
	require.Equal(t, checkout.Open, s.status(t, mine.ID))
	require.NoError(t, s.checkout.Tell(t.Context(), mine.ID, randomHash()))
	require.Error(t, s.checkout.LookForTransfer(t.Context(), mine.ID), "it asks for another look while it is not mined")

	t.Run("but tells the shop what money was likely meant for", func(t *testing.T) {
		hash := sends(t, newSpender(t, 10*money.One), mine.PayTo, 30_000)
		s.watch(t)
		require.Equal(t, 1, s.listed(t, "unmatched"))
		require.NoError(t, s.checkout.Tell(t.Context(), mine.ID, hash))
		require.Zero(t, s.listed(t, "unmatched"))
		came, err := s.checkout.ManualOf(t.Context(), mine.ID)
		require.NoError(t, err)
		require.Len(t, came.Came, 1)
		require.Equal(t, "underpaid", came.Came[0].Kind)
		require.Equal(t, checkout.Open, s.status(t, mine.ID))
		require.Equal(t, other.Amount, came.Amount)
	})

	t.Run("and money that came before the purchase is not its own", func(t *testing.T) {
		hash := sends(t, newSpender(t, 10*money.One), mine.PayTo, 40_000)
		s.watch(t)
		later, _ := s.open(t)
		s.exec(t, `UPDATE manual_amounts SET opened_at = opened_at + interval '5 minutes' WHERE attempt_id = $1`, later.ID)
		require.NoError(t, s.checkout.Tell(t.Context(), later.ID, hash))
		came, err := s.checkout.ManualOf(t.Context(), later.ID)
		require.NoError(t, err)
		require.Empty(t, came.Came)
	})
}

func TestWhatNobodyAwaitsIsListedAndDustIsCounted(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	payer := newSpender(t, 10*money.One)
	sends(t, payer, s.payee, 10_000)
	sends(t, payer, s.payee, 9_999)
	sends(t, payer, s.payee, 1)
	sends(t, payer, s.payee, 0)
	s.watch(t)
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM exceptions WHERE kind = 'unmatched' AND amount = 10000 AND attempt_id IS NULL`))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM exceptions`))
	require.Equal(t, 2, s.count(t, `SELECT transfers FROM transfer_dust`))
	require.Equal(t, 10_000, s.count(t, `SELECT amount FROM transfer_dust`))
}

func TestAnotherTokenPaysNothing(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	a, m := s.open(t)
	// A contract that says what the token would: the log is the same, its address is not.
	code := []byte{0x7f}
	code = append(code, word(big.NewInt(int64(m.Amount)).Bytes())...)
	code = append(code, 0x5f, 0x52) // MSTORE at 0
	for _, topic := range [][]byte{word(a.PayTo[:]), word(addressOf(s.buyer).Bytes()), crypto.Keccak256([]byte("Transfer(address,address,uint256)"))} {
		code = append(append(code, 0x7f), topic...)
	}
	code = append(code, 0x60, 0x20, 0x5f, 0xa3, 0x00) // LOG3 of one word
	mines(t, newGas(t), nil, code)
	s.watch(t)
	require.Equal(t, checkout.Open, s.status(t, a.ID))
	require.Zero(t, s.count(t, `SELECT count(*) FROM transfers`))
}

func TestATransferFromAContractPays(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	a, m := s.open(t)
	maker := newGas(t)
	contract := crypto.CreateAddress(addressOf(maker), 0)
	require.NoError(t, world.dev().Mint(t.Context(), contract, m.Amount))
	data := evm.SendData(a.PayTo, m.Amount)
	size := byte(len(data))
	code := []byte{0x60, size, 0x60, 0, 0x5f, 0x39, 0x5f, 0x5f, 0x60, size, 0x5f, 0x5f, 0x73}
	code = append(append(code, devchain.USDC[:]...), 0x5a, 0xf1, 0x00) // CALL the token with what follows
	code[3] = byte(len(code))
	mines(t, maker, nil, append(code, data...))
	s.watch(t)
	p, err := s.checkout.Purchase(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, checkout.Settled, p.Status)
	require.Equal(t, contract, common.HexToAddress(p.Settlement.Payer))
}

func TestSomePurchasesCannotBePaidByATransfer(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	cheap := s.newLink(t, s.merchant, shop.LinkForm{Title: "Sugar", Price: 99_999})
	a, err := s.checkout.Start(t.Context(), checkout.Begin{Token: cheap.Token, From: "192.0.2.1"})
	require.NoError(t, err)
	_, err = s.checkout.OpenManual(t.Context(), a.ID)
	require.ErrorIs(t, err, checkout.ErrNoTransfer)

	b := s.begin(t)
	s.exec(t, `UPDATE payees SET proven_at = NULL`)
	may, err := s.checkout.MayTransfer(t.Context(), b)
	require.NoError(t, err)
	require.False(t, may, "nobody watches an address that is not proven")
	_, err = s.checkout.OpenManual(t.Context(), b.ID)
	require.ErrorIs(t, err, checkout.ErrNoTransfer)
	s.exec(t, `UPDATE payees SET proven_at = created_at`)

	s.clock.advance(16 * time.Minute)
	_, err = s.checkout.OpenManual(t.Context(), b.ID)
	require.ErrorIs(t, err, checkout.ErrNotOpen)
	_, err = s.checkout.OpenManual(t.Context(), id.New[id.Attempt](s.clock.now()))
	require.ErrorIs(t, err, checkout.ErrNotFound)
}

func TestNoTwoPurchasesHaveOneAmount(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	cheap := s.newLink(t, s.merchant, shop.LinkForm{Title: "Espresso", Price: manualLeast})
	const many = 120
	attempts := make([]checkout.Attempt, many)
	for i := range attempts {
		var err error
		attempts[i], err = s.checkout.Start(t.Context(), checkout.Begin{Token: cheap.Token, From: "192.0.2.1"})
		require.NoError(t, err)
	}
	amounts := make([]money.USDC, many)
	var opening sync.WaitGroup
	for i, a := range attempts {
		opening.Go(func() {
			m, err := s.checkout.OpenManual(t.Context(), a.ID)
			if err != nil {
				t.Errorf("open %d: %v", i, err)
			}
			amounts[i] = m.Amount
		})
	}
	opening.Wait()
	seen := map[money.USDC]bool{}
	for _, amount := range amounts {
		require.False(t, seen[amount])
		require.Greater(t, amount, manualLeast)
		require.LessOrEqual(t, amount, manualLeast+manualLeast/100)
		seen[amount] = true
	}
}

// manualLeast is what a purchase costs at least that is paid by a transfer.
const manualLeast = money.One / 10
