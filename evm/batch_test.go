package evm_test

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/money"
	"xsynesis/x402"
)

// patient waits so long for others that a busy machine brings them all.
var patient = evm.RelayerOptions{Window: 2 * time.Second}

// settled is what one of many transfers came to.
type settled struct {
	a     x402.Authorization
	proof evm.Proof
	err   error
}

// settleAll settles transfers at the same moment.
func (s *scene) settleAll(ctx context.Context, r *evm.Relayer, all []evm.Transfer, k evm.Keeper) []settled {
	out := make([]settled, len(all))
	var g sync.WaitGroup
	for i, each := range all {
		g.Go(func() {
			out[i].a = each.Authorization
			out[i].proof, out[i].err = r.Settle(ctx, each, k)
		})
	}
	g.Wait()
	return out
}

// many makes payments of one unit of money to a payee, or each to another where there is none.
func (s *scene) many(t *testing.T, count int, payee common.Address) []evm.Transfer {
	t.Helper()
	all := make([]evm.Transfer, count)
	for i := range all {
		to := payee
		if to == (common.Address{}) {
			to = address(newKey())
		}
		all[i] = s.paying(t, s.buyer, to)
	}
	return all
}

// paying is a payment of one unit of money.
func (s *scene) paying(t *testing.T, payer *ecdsa.PrivateKey, payee common.Address) evm.Transfer {
	t.Helper()
	a := x402.Authorization{From: address(payer), To: payee, Value: big.NewInt(int64(money.One)),
		ValidAfter: new(big.Int), ValidBefore: big.NewInt(time.Now().Add(10 * time.Minute).Unix()), Nonce: random()}
	signature, err := x402.Sign(a, s.token, payer)
	require.NoError(t, err)
	return transfer(newRef(), a, signature)
}

// proved requires each of these to be paid once, and counts the payments of each transaction.
func (s *scene) proved(t *testing.T, all []settled) map[common.Hash]int {
	t.Helper()
	places, transactions := map[common.Hash]map[uint]bool{}, map[common.Hash]int{}
	for _, each := range all {
		require.NoError(t, each.err)
		s.proves(t, each.proof, each.a)
		h := each.proof.Transaction
		if places[h] == nil {
			places[h] = map[uint]bool{}
		}
		require.False(t, places[h][each.proof.LogIndex], "two payments with one log")
		places[h][each.proof.LogIndex] = true
		transactions[h]++
	}
	return transactions
}

func receiptOf(t *testing.T, hash common.Hash) *types.Receipt {
	t.Helper()
	receipt, err := world.chain.Client().TransactionReceipt(t.Context(), hash)
	require.NoError(t, err)
	return receipt
}

func TestFiftyWaitingPaymentsNeedThreeTransactions(t *testing.T) {
	t.Parallel()
	single := func() float64 {
		s := setup(t)
		proof, err := s.relayer.Settle(within(t, 20*time.Second), s.many(t, 1, address(s.key))[0], unnoticed)
		require.NoError(t, err)
		// The first one fills the payee's balance; a shop has one already.
		proof, err = s.relayer.Settle(within(t, 20*time.Second), s.many(t, 1, proof.Payee)[0], unnoticed)
		require.NoError(t, err)
		return float64(receiptOf(t, proof.Transaction).GasUsed)
	}()
	for name, tt := range map[string]struct {
		payees int
		bound  float64
	}{"to one payee": {1, 0.70}, "to fifty payees": {50, 0.75}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			payees := make([]common.Address, tt.payees)
			var paid []evm.Transfer
			for i := range payees {
				payees[i] = address(newKey())
				paid = append(paid, s.many(t, 1, payees[i])...)
			}
			s.proved(t, s.settleAll(within(t, 30*time.Second), s.relayer, paid, unnoticed)) // their balances are filled
			var all []evm.Transfer
			for i := range 50 {
				all = append(all, s.paying(t, world.crowd[i], payees[i%tt.payees]))
				all[i].New = true // as the first look at a payment is
			}
			done := s.settleAll(within(t, 30*time.Second), s.relayer, all, unnoticed)
			transactions := s.proved(t, done)
			require.LessOrEqual(t, len(transactions), 3)
			var gas, cost, told int64
			for hash := range transactions {
				receipt := receiptOf(t, hash)
				gas += int64(receipt.GasUsed)
				cost += int64(receipt.GasUsed) * receipt.EffectiveGasPrice.Int64()
			}
			for _, each := range done {
				told += each.proof.Gas
			}
			require.Equal(t, cost, told, "the payments' shares are what was paid")
			ratio := float64(gas) / 50 / single
			t.Logf("50 payments in %d transactions %v: %d gas each, alone %.0f, ratio %.3f", len(transactions), transactions, gas/50, single, ratio)
			require.LessOrEqual(t, ratio, tt.bound)
		})
	}
}

func TestOneAloneGoesAtOnceAndDirectly(t *testing.T) {
	t.Parallel()
	s := setupWith(t, evm.RelayerOptions{Window: time.Hour})
	proof, err := s.relayer.Settle(within(t, 20*time.Second), s.many(t, 1, common.Address{})[0], unnoticed)
	require.NoError(t, err)
	sent, _, err := world.chain.Client().TransactionByHash(t.Context(), proof.Transaction)
	require.NoError(t, err)
	require.Equal(t, s.token.Address, *sent.To())
	require.Equal(t, int64(receiptOf(t, proof.Transaction).GasUsed)*receiptOf(t, proof.Transaction).EffectiveGasPrice.Int64(), proof.Gas)
}

func TestWhoWaitedAloneGoesDirectly(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for hash := range s.proved(t, s.settleAll(within(t, 20*time.Second), s.relayer, s.many(t, 2, common.Address{}), unnoticed)) {
		sent, _, err := world.chain.Client().TransactionByHash(t.Context(), hash)
		require.NoError(t, err)
		require.Equal(t, s.token.Address, *sent.To())
	}
}

func TestOneInvalidAmongFiftyFailsAlone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	poor := newKey()
	spoilt := map[string]x402.Kind{}
	all := s.many(t, 50, common.Address{})
	for i := range all {
		all[i].New = true
	}
	spoil := func(i int, kind x402.Kind, change func(*x402.Authorization), key *ecdsa.PrivateKey) {
		a := all[i].Authorization
		change(&a)
		signature, err := x402.Sign(a, s.token, key)
		require.NoError(t, err)
		all[i].Authorization, all[i].Signature = a, signature
		spoilt[all[i].Source] = kind
	}
	spoil(7, x402.Funds, func(a *x402.Authorization) { a.From = address(poor) }, poor)
	spoil(20, x402.Signature, func(*x402.Authorization) {}, poor)
	spoil(30, x402.Expired, func(a *x402.Authorization) { a.ValidBefore = big.NewInt(1) }, s.buyer)
	done := s.settleAll(within(t, 30*time.Second), s.relayer, all, unnoticed)
	var paid []settled
	for i, each := range done {
		kind, bad := spoilt[all[i].Source]
		if !bad {
			paid = append(paid, each)
			continue
		}
		var invalid *x402.Invalid
		require.ErrorAs(t, each.err, &invalid)
		require.Equal(t, kind, invalid.Kind)
	}
	require.LessOrEqual(t, len(s.proved(t, paid)), 3)
	for hash := range s.proved(t, paid) {
		require.Equal(t, types.ReceiptStatusSuccessful, receiptOf(t, hash).Status)
	}
}

// ride settles transfers that surely share a transaction: one that goes first opens a window, which ends when they are all
// there.
func ride(t *testing.T, count int) (s *scene, all []evm.Transfer, settle func(evm.Keeper) []settled) {
	t.Helper()
	s = setupWith(t, evm.RelayerOptions{Window: time.Hour, Batch: count})
	all = s.many(t, count, common.Address{})
	return s, all, func(k evm.Keeper) []settled {
		_, err := s.relayer.Settle(within(t, 20*time.Second), s.many(t, 1, common.Address{})[0], unnoticed)
		require.NoError(t, err)
		return s.settleAll(within(t, 40*time.Second), s.relayer, all, k)
	}
}

// What one of them did after it was tried fails that one alone, and the transaction goes on.
func TestOneThatTurnsBadOnItsWayFailsAlone(t *testing.T) {
	t.Parallel()
	s, all, settle := ride(t, 20)
	other := stranger(t)
	bad := all[11]
	done := settle(together(func(ctx context.Context, stored []evm.Stored) error {
		if len(stored) != len(all) {
			return fmt.Errorf("%d go together", len(stored))
		}
		_, err := send(ctx, other, 0, s.token.Address, evm.CancelCall(t, s.token, bad.Authorization, s.buyer))
		return err
	}))
	require.ErrorIs(t, done[11].err, evm.ErrUnknown)
	require.Len(t, s.proved(t, append(done[:11:11], done[12:]...)), 1)
	later := s.run(t, s.chain, evm.RelayerOptions{}) // which lets nobody wait for an hour
	require.Eventually(t, func() bool {
		_, err := later.Settle(within(t, 5*time.Second), bad, unnoticed)
		return errors.Is(err, evm.ErrVoid)
	}, 60*time.Second, time.Second)
}

func TestSomebodyElseSentOneOfManyFirst(t *testing.T) {
	t.Parallel()
	s, all, settle := ride(t, 10)
	before, during := all[3], all[4]
	other := stranger(t)
	early, err := send(t.Context(), other, 0, s.token.Address, evm.TransferCall(before.Authorization, before.Signature))
	require.NoError(t, err)
	var late common.Hash
	done := settle(together(func(ctx context.Context, stored []evm.Stored) (err error) {
		if len(stored) != len(all)-1 {
			return fmt.Errorf("%d go together", len(stored))
		}
		late, err = send(ctx, other, 1, s.token.Address, evm.TransferCall(during.Authorization, during.Signature))
		return err
	}))
	s.proved(t, done)
	require.Equal(t, early, done[3].proof.Transaction)
	require.Zero(t, done[3].proof.Gas, "somebody else paid for it")
	require.Equal(t, late, done[4].proof.Transaction)
	require.Zero(t, done[4].proof.Gas, "and for this")
}

func TestACallerThatRefusesStopsNobodyElse(t *testing.T) {
	t.Parallel()
	s := setup(t)
	all := s.many(t, 20, common.Address{})
	lost := errors.New("lease lost")
	done := s.settleAll(within(t, 40*time.Second), s.relayer, all, together(func(_ context.Context, stored []evm.Stored) error {
		for _, each := range stored {
			if each.Source == all[13].Source {
				return lost
			}
		}
		return nil
	}))
	require.ErrorIs(t, done[13].err, lost)
	require.NotErrorIs(t, done[13].err, evm.ErrUnknown)
	s.proved(t, append(done[:13:13], done[14:]...))
	_, err := s.chain.Resolve(t.Context(), all[13].Authorization)
	require.ErrorIs(t, err, evm.ErrOpen)
}

func TestTheSameSettlementsTogetherAgain(t *testing.T) {
	t.Parallel()
	s := setup(t)
	other := s.run(t, s.chain, evm.RelayerOptions{})
	all := s.many(t, 12, common.Address{})
	var both [2][]settled
	var g sync.WaitGroup
	for i, r := range []*evm.Relayer{s.relayer, other} {
		g.Go(func() { both[i] = s.settleAll(within(t, 40*time.Second), r, append(all, all[5]), unnoticed) })
	}
	g.Wait()
	s.proved(t, both[0][:12])
	require.Equal(t, both[0], both[1])
	again := s.settleAll(within(t, 40*time.Second), s.relayer, append(all, all[5]), unnoticed)
	require.Equal(t, both[0], again)
	payments := 0
	for _, each := range both[0][:12] {
		balance, err := s.chain.Balance(t.Context(), each.a.To)
		require.NoError(t, err)
		require.Equal(t, money.One, balance)
		payments++
	}
	var living int
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM relays WHERE settlement IS NOT NULL AND current)
		+ (SELECT count(*) FROM relay_items WHERE current)`).Scan(&living))
	require.Equal(t, payments, living)
}

func TestContractsAndBorrowersNeverShare(t *testing.T) {
	t.Parallel()
	s := setup(t)
	all := s.many(t, 10, common.Address{})
	owner := world.buyers[0]
	for _, payer := range []common.Address{world.wallet, address(world.borrower)} {
		a := x402.Authorization{From: payer, To: address(newKey()), Value: big.NewInt(5),
			ValidAfter: new(big.Int), ValidBefore: big.NewInt(time.Now().Add(time.Minute).Unix()), Nonce: random()}
		signature, err := x402.Sign(a, s.token, owner)
		require.NoError(t, err)
		all = append(all, transfer(newRef(), a, signature))
	}
	done := s.settleAll(within(t, 40*time.Second), s.relayer, all, unnoticed)
	transactions := s.proved(t, done)
	for _, each := range done[10:] {
		require.Equal(t, 1, transactions[each.proof.Transaction])
		sent, _, err := world.chain.Client().TransactionByHash(t.Context(), each.proof.Transaction)
		require.NoError(t, err)
		require.LessOrEqual(t, sent.Gas(), uint64(150_000))
	}
}

// A payer is an ordinary account while its payment is tried, and has a contract that burns all gas once it is sent.
func TestAPayerThatBurnsGasHurtsNobodyElse(t *testing.T) {
	t.Parallel()
	s := setupWith(t, patient)
	burner := newKey()
	other := stranger(t)
	require.NoError(t, world.chain.Mint(t.Context(), address(burner), 10*money.One))
	contract := deployBurner(t, other)
	all := s.many(t, 30, common.Address{})
	evil := all[4].Authorization
	evil.From = address(burner)
	signature, err := x402.Sign(evil, s.token, burner)
	require.NoError(t, err)
	all[4].Authorization, all[4].Signature = evil, signature
	var once sync.Once
	done := s.settleAll(within(t, 60*time.Second), s.relayer, all, together(func(ctx context.Context, stored []evm.Stored) (err error) {
		for _, each := range stored {
			if each.Source == all[4].Source {
				once.Do(func() { err = lend(ctx, other, 1, burner, contract) })
			}
		}
		return err
	}))
	require.ErrorIs(t, done[4].err, evm.ErrReverted)
	transactions := s.proved(t, append(done[:4:4], done[5:]...))
	var reverted int
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT count(*) FROM relays WHERE state = 'reverted'`).Scan(&reverted))
	t.Logf("29 paid in %d transactions, %d reverted", len(transactions), reverted)
	balance, err := s.chain.Balance(t.Context(), evil.To)
	require.NoError(t, err)
	require.Zero(t, balance)
	_, err = s.relayer.Settle(within(t, 10*time.Second), all[4], unnoticed)
	require.ErrorIs(t, err, evm.ErrUnknown)
}

func TestAFeeThatIsTooLowIsRaisedForAll(t *testing.T) {
	t.Parallel()
	s := setup(t)
	poor := evm.NewRelayer(s.pool, s.chain, s.key, evm.RelayerOptions{MaxFee: 10})
	all := s.many(t, 10, common.Address{})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(3*time.Second, cancel)
	for _, each := range s.settleAll(ctx, poor, all, unnoticed) {
		require.ErrorIs(t, each.err, evm.ErrUnknown)
	}
	before := s.stored(t)
	able := s.run(t, s.chain, evm.RelayerOptions{BumpAfter: time.Second, Resend: time.Second})
	s.proved(t, s.settleAll(within(t, 40*time.Second), able, all, unnoticed))
	require.Equal(t, before, s.stored(t), "they kept their nonces")
	var versions int
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT count(*) FROM relay_versions WHERE nonce IN (SELECT nonce FROM relay_items)`).Scan(&versions))
	require.Greater(t, versions, 1)
}

func TestALostBlockWithManyIsMinedAgain(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.key, s.buyer = newKey(), newKey()
	dev, err := devchain.Start(t.Context(), devchain.Options{Alloc: map[common.Address]devchain.Account{
		address(s.key): {ETH: ether(1)}, address(s.buyer): {USDC: 100 * money.One},
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, dev.Stop()) })
	s.chain = dial(t, dev.URL())
	r := s.run(t, s.chain, evm.RelayerOptions{Beat: time.Second})
	all := s.many(t, 10, common.Address{})
	done := s.settleAll(within(t, 20*time.Second), r, all, unnoticed)
	first := uint64(1 << 62)
	for _, each := range done {
		require.NoError(t, each.err)
		first = min(first, each.proof.Block)
	}
	require.NoError(t, dev.Rewind(first-1))
	for _, each := range done {
		require.Eventually(t, func() bool {
			again, err := s.chain.Resolve(t.Context(), each.a)
			return err == nil && again.Transaction == each.proof.Transaction && again.BlockHash != each.proof.BlockHash
		}, 40*time.Second, 100*time.Millisecond, "it is not sent again")
	}
}

func TestWithoutTheContractEachGoesAlone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	bare := newNode(t, &node{answering: func(request message) json.RawMessage {
		if request.Method == "eth_getCode" {
			return json.RawMessage(`"0x"`)
		}
		return nil
	}})
	r, stop := s.start(dial(t, bare.URL), evm.RelayerOptions{})
	defer stop()
	for hash, count := range s.proved(t, s.settleAll(within(t, 30*time.Second), r, s.many(t, 6, common.Address{}), unnoticed)) {
		require.Equal(t, 1, count, hash)
	}
}

func TestAnAnswerThatIsNoneMovesNothing(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"nothing":   `"0x"`,
		"a word":    `"0x` + word("20") + `"`,
		"too many":  `"0x` + word("20") + word("ffffffff") + `"`,
		"elsewhere": `"0x` + word("20") + word("9") + word("ffffffffffffffff") + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			var calls atomic.Int64
			liar := newNode(t, &node{answering: func(request message) json.RawMessage {
				if request.Method == "eth_call" && calls.Add(1) > 0 {
					return json.RawMessage(answer)
				}
				return nil
			}})
			r, stop := s.start(dial(t, liar.URL), patient)
			defer stop()
			all := s.many(t, 10, common.Address{})
			for _, bad := range all[5:7] { // so that the estimate refuses, and each is asked for; one may go at once
				bad.Signature[3] ^= 1
			}
			direct := 0
			for _, each := range s.settleAll(within(t, 20*time.Second), r, all, unnoticed) {
				if each.err == nil {
					direct++
				}
			}
			require.LessOrEqual(t, direct, 1, "the one that went at once")
			require.Equal(t, direct, s.stored(t))
		})
	}
}

func word(hex string) string { return common.HexToHash(hex).Hex()[2:] }

// together makes a keeper that hears of all that is stored at once.
func together(hear func(context.Context, []evm.Stored) error) evm.Keeper { return &hearer{hear} }

type hearer struct {
	hear func(context.Context, []evm.Stored) error
}

func (h *hearer) StoredTx(ctx context.Context, _ pgx.Tx, stored []evm.Stored) error {
	return h.hear(ctx, stored)
}

// deployBurner places a contract that burns all the gas that it gets.
func deployBurner(t *testing.T, key *ecdsa.PrivateKey) common.Address {
	t.Helper()
	// Copies four bytes of itself and returns them: a jump to itself.
	code := common.FromHex("6004600c60003960046000f3" + "5b600056")
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(devchain.ChainID)), &types.DynamicFeeTx{
		ChainID: big.NewInt(devchain.ChainID), Data: code, Gas: 200_000, Value: new(big.Int),
		GasTipCap: big.NewInt(5e9), GasFeeCap: big.NewInt(1e11),
	})
	require.NoError(t, err)
	require.NoError(t, mined(t.Context(), tx))
	return crypto.CreateAddress(address(key), 0)
}

// lend lets an account borrow a contract's code (EIP-7702).
func lend(ctx context.Context, key *ecdsa.PrivateKey, nonce uint64, account *ecdsa.PrivateKey, contract common.Address) error {
	signed, err := types.SignSetCode(account, types.SetCodeAuthorization{ChainID: *uint256.NewInt(devchain.ChainID), Address: contract})
	if err != nil {
		return err
	}
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(devchain.ChainID)), &types.SetCodeTx{
		ChainID: uint256.NewInt(devchain.ChainID), Nonce: nonce, To: address(key), Gas: 200_000,
		GasTipCap: uint256.NewInt(5e9), GasFeeCap: uint256.NewInt(1e11), AuthList: []types.SetCodeAuthorization{signed},
	})
	if err != nil {
		return err
	}
	return mined(ctx, tx)
}

func mined(ctx context.Context, tx *types.Transaction) error {
	client := world.chain.Client()
	if err := client.SendTransaction(ctx, tx); err != nil {
		return err
	}
	for {
		receipt, err := client.TransactionReceipt(ctx, tx.Hash())
		if err == nil && receipt.Status != types.ReceiptStatusSuccessful {
			return errors.New("reverted")
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}
