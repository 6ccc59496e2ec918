package evm_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"math/big"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/evm"
	"xsynesis/money"
	"xsynesis/postgres/pgtest"
	"xsynesis/x402"
)

func TestSettle(t *testing.T) {
	t.Parallel()
	s := setup(t)

	for range 3 {
		a, signature := s.payment(t, 2*money.One)
		var noted common.Hash
		proof, err := s.relayer.Settle(within(t, 20*time.Second), transfer(newRef(), a, signature),
			keeper(func(_ context.Context, _ pgx.Tx, hash common.Hash) error { noted = hash; return nil }))
		require.NoError(t, err)
		s.proves(t, proof, a)
		require.Equal(t, noted, proof.Transaction)
		balance, err := s.chain.Balance(t.Context(), a.To)
		require.NoError(t, err)
		require.Equal(t, 2*money.One, balance)
	}
	require.Equal(t, 3, s.stored(t))
}

func TestAHundredAtOnceAreEachMinedOnce(t *testing.T) {
	t.Parallel()
	s := setupWith(t, evm.RelayerOptions{Batch: 1})
	var mu sync.Mutex
	hashes, blocks := map[common.Hash]bool{}, map[uint64]int{}
	begin := time.Now()
	g, ctx := errgroup.WithContext(within(t, 60*time.Second))
	for range 100 {
		a, signature := s.payment(t, money.One)
		g.Go(func() error {
			proof, err := s.relayer.Settle(ctx, transfer(newRef(), a, signature), unnoticed)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			hashes[proof.Transaction] = true
			blocks[proof.Block]++
			return nil
		})
	}
	require.NoError(t, g.Wait())
	t.Logf("100 in %s, blocks %v", time.Since(begin), blocks)
	require.Len(t, hashes, 100)

	require.Eventually(t, func() bool {
		var rows, low, high int
		err := s.pool.QueryRow(t.Context(), `SELECT count(*), min(nonce), max(nonce) FROM relays WHERE state = 'mined'`).Scan(&rows, &low, &high)
		return err == nil && rows == 100 && low == 0 && high == 99
	}, 10*time.Second, 50*time.Millisecond)
}

func TestTheSameSettlementAgain(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a, signature := s.payment(t, money.One)
	ref := newRef()

	g, ctx := errgroup.WithContext(within(t, 20*time.Second))
	proofs := make([]evm.Proof, 4)
	for i := range proofs {
		g.Go(func() (err error) {
			proofs[i], err = s.relayer.Settle(ctx, transfer(ref, a, signature), unnoticed)
			return err
		})
	}
	require.NoError(t, g.Wait())
	again, err := s.relayer.Settle(t.Context(), transfer(ref, a, signature), unnoticed)
	require.NoError(t, err)
	for _, p := range proofs {
		require.Equal(t, again, p)
	}
	require.Equal(t, 1, s.stored(t))
	s.proves(t, again, a)
}

func TestAnotherProcessFindsWhatWasMinedByItsReceipt(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a, signature := s.payment(t, money.One)
	ref := newRef()
	proof, err := s.relayer.Settle(within(t, 20*time.Second), transfer(ref, a, signature), unnoticed)
	require.NoError(t, err)
	var searches atomic.Int64
	watched := newNode(t, &node{swallow: func(method string) json.RawMessage {
		if method == "eth_getLogs" {
			searches.Add(1)
		}
		return nil
	}})
	r, stop := s.start(dial(t, watched.URL), evm.RelayerOptions{})
	defer stop()
	again, err := r.Settle(within(t, 20*time.Second), transfer(ref, a, signature), unnoticed)
	require.NoError(t, err)
	require.Equal(t, proof, again)
	require.Zero(t, searches.Load(), "searches of the logs")
}

func TestRefusedPaymentsAreNeverStored(t *testing.T) {
	t.Parallel()
	s := setup(t)
	soon := big.NewInt(time.Now().Add(10 * time.Minute).Unix())
	authorization := func(value int64, after, before *big.Int) x402.Authorization {
		return x402.Authorization{From: address(s.buyer), To: address(newKey()), Value: big.NewInt(value),
			ValidAfter: after, ValidBefore: before, Nonce: random()}
	}
	for name, tt := range map[string]struct {
		a     x402.Authorization
		spoil func([]byte)
		kind  x402.Kind
	}{
		"more than the payer has": {a: authorization(int64(2_000_000*money.One), new(big.Int), soon), kind: x402.Funds},
		"not yet valid":           {a: authorization(1, soon, soon), kind: x402.NotYetValid},
		"expired":                 {a: authorization(1, new(big.Int), big.NewInt(1)), kind: x402.Expired},
		"signed by another": {a: authorization(1, new(big.Int), soon), kind: x402.Signature,
			spoil: func(signature []byte) { signature[10] ^= 1 }},
		"to nobody": {a: func() x402.Authorization {
			a := authorization(1, new(big.Int), soon)
			a.To = common.Address{}
			return a
		}(), kind: x402.Simulation},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, signature := s.sign(t, tt.a)
			if tt.spoil != nil {
				tt.spoil(signature)
			}
			_, err := s.relayer.Settle(within(t, 10*time.Second), transfer(newRef(), a, signature),
				keeper(func(context.Context, pgx.Tx, common.Hash) error { return errors.New("stored") }))
			var invalid *x402.Invalid
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, tt.kind, invalid.Kind)
		})
	}
	t.Run("a caller that refuses to note it", func(t *testing.T) {
		t.Parallel()
		lost := errors.New("lease lost")
		a, signature := s.payment(t, 1)
		_, err := s.relayer.Settle(within(t, 10*time.Second), transfer(newRef(), a, signature),
			keeper(func(context.Context, pgx.Tx, common.Hash) error { return lost }))
		require.ErrorIs(t, err, lost)
		require.NotErrorIs(t, err, evm.ErrUnknown)
	})
	t.Cleanup(func() {
		var n int
		require.NoError(t, s.pool.QueryRow(context.Background(), `SELECT count(*) FROM relays WHERE settlement IS NOT NULL`).Scan(&n))
		require.Zero(t, n)
	})
}

func TestSomebodyElseSentItFirst(t *testing.T) {
	t.Parallel()

	t.Run("before we began", func(t *testing.T) {
		t.Parallel()
		s := setup(t)
		a, signature := s.payment(t, money.One)
		theirs, err := send(t.Context(), stranger(t), 0, s.token.Address, evm.TransferCall(a, signature))
		require.NoError(t, err)
		proof, err := s.relayer.Settle(within(t, 10*time.Second), transfer(newRef(), a, signature), unnoticed)
		require.NoError(t, err)
		require.Equal(t, theirs, proof.Transaction)
		s.proves(t, proof, a)
		require.Zero(t, s.stored(t))
	})

	t.Run("between our signature and our broadcast", func(t *testing.T) {
		t.Parallel()
		s := setup(t)
		a, signature := s.payment(t, money.One)
		var theirs common.Hash
		other := stranger(t)
		proof, err := s.relayer.Settle(within(t, 20*time.Second), transfer(newRef(), a, signature),
			keeper(func(ctx context.Context, _ pgx.Tx, _ common.Hash) (err error) {
				theirs, err = send(ctx, other, 0, s.token.Address, evm.TransferCall(a, signature))
				return err
			}))
		require.NoError(t, err)
		require.Equal(t, theirs, proof.Transaction, "our own transaction reverted, and the payee was paid")
		s.proves(t, proof, a)
	})
}

func TestCancelledAuthorizations(t *testing.T) {
	t.Parallel()
	s := setup(t)
	other := stranger(t)

	a, signature := s.payment(t, money.One)
	ref := newRef()
	var early error
	_, err := s.relayer.Settle(within(t, 20*time.Second), transfer(ref, a, signature),
		keeper(func(ctx context.Context, _ pgx.Tx, _ common.Hash) error {
			_, err := send(ctx, other, 0, s.token.Address, cancellation(t, s, a))
			_, early = s.chain.Resolve(ctx, a)
			return err
		}))
	require.Error(t, err)
	require.ErrorIs(t, early, evm.ErrOpen, "its block may be taken back")
	require.Eventually(t, func() bool {
		_, err = s.chain.Resolve(t.Context(), a)
		return !errors.Is(err, evm.ErrOpen)
	}, 60*time.Second, 200*time.Millisecond)
	require.ErrorIs(t, err, evm.ErrVoid)
	_, err = s.relayer.Settle(within(t, 10*time.Second), transfer(ref, a, signature), unnoticed)
	require.ErrorIs(t, err, evm.ErrVoid, "it stays void")

	_, err = s.relayer.Settle(within(t, 10*time.Second), transfer(newRef(), a, signature), unnoticed)
	var invalid *x402.Invalid
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, x402.NonceUsed, invalid.Kind)
}

func TestANonceThatWentToAnotherTransferIsVoid(t *testing.T) {
	t.Parallel()
	s := setup(t)
	first, signature := s.payment(t, money.One)
	_, err := s.relayer.Settle(within(t, 20*time.Second), transfer(newRef(), first, signature), unnoticed)
	require.NoError(t, err)
	for _, change := range []func(*x402.Authorization){
		func(a *x402.Authorization) { a.To = address(newKey()) },
		func(a *x402.Authorization) { a.Value = big.NewInt(1) },
	} {
		second := first
		change(&second)
		require.Eventually(t, func() bool {
			_, err = s.chain.Resolve(t.Context(), second)
			return !errors.Is(err, evm.ErrOpen)
		}, 60*time.Second, 200*time.Millisecond)
		require.ErrorIs(t, err, evm.ErrVoid)
	}
	_, err = s.chain.Resolve(t.Context(), first)
	require.NoError(t, err)
}

func TestAnExpiredAuthorizationIsVoidOnceThatIsFinal(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a, _ := s.sign(t, x402.Authorization{From: address(s.buyer), To: address(newKey()), Value: big.NewInt(1),
		ValidAfter: new(big.Int), ValidBefore: big.NewInt(time.Now().Add(2 * time.Second).Unix()), Nonce: random()})
	_, err := s.chain.Resolve(t.Context(), a)
	require.ErrorIs(t, err, evm.ErrOpen)
	require.Eventually(t, func() bool {
		_, err = s.chain.Resolve(t.Context(), a)
		final, finalErr := s.chain.Finalized(t.Context())
		require.NoError(t, finalErr)
		if errors.Is(err, evm.ErrOpen) {
			return false
		}
		require.ErrorIs(t, err, evm.ErrVoid)
		require.GreaterOrEqual(t, final.Time.Unix(), a.ValidBefore.Int64())
		return true
	}, 60*time.Second, 200*time.Millisecond)
}

func TestASmartWalletPays(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a := x402.Authorization{From: world.wallet, To: address(newKey()), Value: big.NewInt(5),
		ValidAfter: new(big.Int), ValidBefore: big.NewInt(time.Now().Add(time.Minute).Unix()), Nonce: random()}
	owner := world.buyers[0]
	signature, err := x402.Sign(a, s.token, owner)
	require.NoError(t, err)
	require.NoError(t, s.chain.CheckContractSignature(t.Context(), world.wallet, a.Digest(s.token), signature))

	var invalid *x402.Invalid
	require.ErrorAs(t, s.chain.CheckContractSignature(t.Context(), world.wallet, random(), signature), &invalid)
	require.Equal(t, x402.Signature, invalid.Kind)
	require.ErrorAs(t, s.chain.CheckContractSignature(t.Context(), address(owner), a.Digest(s.token), signature), &invalid)

	proof, err := s.relayer.Settle(within(t, 20*time.Second), transfer(newRef(), a, signature), unnoticed)
	require.NoError(t, err)
	s.proves(t, proof, a)
	_, err = s.relayer.Settle(within(t, 20*time.Second), transfer(newRef(), a, append(signature, 1, 2, 3)), unnoticed)
	require.NoError(t, err, "the very same authorization is proven by the first")
}

func TestWhoHasCodeIsAskedHimself(t *testing.T) {
	t.Parallel()
	s := setup(t)
	owner := world.buyers[0]
	from := func(payer common.Address, key *ecdsa.PrivateKey) (x402.Authorization, []byte) {
		a := x402.Authorization{From: payer, To: address(newKey()), Value: big.NewInt(5),
			ValidAfter: new(big.Int), ValidBefore: big.NewInt(time.Now().Add(time.Minute).Unix()), Nonce: random()}
		signature, err := x402.Sign(a, s.token, key)
		require.NoError(t, err)
		return a, signature
	}
	for name, payer := range map[string]struct {
		address common.Address
		key     *ecdsa.PrivateKey
		call    string
	}{
		"a key":                        {address(s.buyer), s.buyer, "0xe3ee160e"},
		"a contract":                   {world.wallet, owner, "0xcf092995"},
		"an account that borrows code": {address(world.borrower), owner, "0xcf092995"},
	} {
		a, signature := from(payer.address, payer.key)
		proof, err := s.relayer.Settle(within(t, 20*time.Second), transfer(newRef(), a, signature), unnoticed)
		require.NoError(t, err, name)
		s.proves(t, proof, a)
		sent, _, err := world.chain.Client().TransactionByHash(t.Context(), proof.Transaction)
		require.NoError(t, err)
		require.Equal(t, payer.call, hexutil.Encode(sent.Data()[:4]), name)
	}
	// Its key's own signature is good for anybody who only looks at keys, and nothing to the token.
	a, signature := from(address(world.borrower), world.borrower)
	want := x402.Requirement{Token: s.token, Amount: 5, PayTo: a.To}
	require.NoError(t, want.Payment(2, a, signature).CheckSignature(s.token))
	_, err := s.relayer.Settle(within(t, 20*time.Second), transfer(newRef(), a, signature), unnoticed)
	var invalid *x402.Invalid
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, x402.Signature, invalid.Kind)
}

func TestAWalletThatIsNotOnTheChainIsRefusedWithAReason(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a, signature := s.payment(t, 5)
	signature = append(signature, bytes.Repeat([]byte{0x64, 0x92}, 16)...)
	err := s.chain.CheckContractSignature(t.Context(), a.From, a.Digest(s.token), signature)
	var invalid *x402.Invalid
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, x402.Undeployed, invalid.Kind)
	require.Contains(t, invalid.Detail, "ERC-6492")
	require.Equal(t, "invalid_exact_evm_payload_undeployed_smart_wallet", invalid.Reason(1))
	require.Equal(t, "eip6492_factory_not_allowed", invalid.Reason(2))
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	s := &scene{pool: pgtest.New(t), chain: dial(t, world.chain.URL()), key: newKey(), buyer: world.buyers[1]}
	s.token = s.chain.Network().Token
	funded := func() bool {
		ok, err := evm.Funded(t.Context(), s.pool, "eip155:8453", time.Now())
		require.NoError(t, err)
		require.False(t, ok, "another network")
		ok, err = evm.Funded(t.Context(), s.pool, s.chain.Network().ID, time.Now())
		require.NoError(t, err)
		return ok
	}
	r := s.run(t, s.chain, evm.RelayerOptions{Beat: 200 * time.Millisecond})
	seen := func() (at *time.Time) {
		_ = s.pool.QueryRow(t.Context(), `SELECT seen_at FROM relayers WHERE address = lower($1)`, r.Address().Hex()).Scan(&at)
		return at
	}
	require.Eventually(t, func() bool { return seen() != nil }, 10*time.Second, 50*time.Millisecond)
	require.False(t, funded())
	a, signature := s.payment(t, 1)
	_, err := r.Settle(within(t, 10*time.Second), transfer(newRef(), a, signature), unnoticed)
	require.ErrorIs(t, err, evm.ErrUnfunded)
	require.ErrorIs(t, err, evm.ErrUnavailable)

	require.NoError(t, world.chain.FundGas(t.Context(), r.Address(), ether(1)))
	require.Eventually(t, funded, 10*time.Second, 50*time.Millisecond)
	ok, err := evm.Funded(t.Context(), s.pool, s.chain.Network().ID, time.Now().Add(2*time.Minute+time.Second))
	require.NoError(t, err)
	require.False(t, ok, "an old look says nothing")
	_, err = r.Settle(within(t, 20*time.Second), transfer(newRef(), a, signature), unnoticed)
	require.NoError(t, err)
}

func TestAFeeThatIsTooLowIsRaised(t *testing.T) {
	t.Parallel()
	s := setup(t)
	poor := evm.NewRelayer(s.pool, s.chain, s.key, evm.RelayerOptions{MaxFee: 10})
	a, signature := s.payment(t, money.One)
	ref := newRef()
	var low common.Hash
	ctx, stored := abandoned(t)
	_, err := poor.Settle(ctx, transfer(ref, a, signature),
		keeper(func(ctx context.Context, tx pgx.Tx, hash common.Hash) error {
			low = hash
			return stored.hear(ctx, tx, hash)
		}))
	require.ErrorIs(t, err, evm.ErrUnknown)

	able := s.run(t, s.chain, evm.RelayerOptions{BumpAfter: time.Second, Resend: time.Second})
	proof, err := able.Settle(within(t, 30*time.Second), transfer(ref, a, signature), unnoticed)
	require.NoError(t, err)
	require.NotEqual(t, low, proof.Transaction)
	s.proves(t, proof, a)
	require.Equal(t, 1, s.stored(t), "it kept its nonce")
}

func TestAGapIsFilled(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a, signature := s.payment(t, money.One)
	_, err := s.relayer.Settle(within(t, 20*time.Second), transfer(newRef(), a, signature), unnoticed)
	require.NoError(t, err)
	_, err = s.pool.Exec(t.Context(), `UPDATE relayers SET next_nonce = next_nonce + 3`)
	require.NoError(t, err)
	a, signature = s.payment(t, money.One)
	proof, err := s.relayer.Settle(within(t, 30*time.Second), transfer(newRef(), a, signature), unnoticed)
	require.NoError(t, err)
	s.proves(t, proof, a)
	require.Equal(t, 5, s.stored(t))
}

func TestANonceLostToAStrangerIsReplaced(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a, signature := s.payment(t, money.One)
	ref := newRef()
	ctx, stored := abandoned(t)
	_, err := s.relayer.Settle(ctx, transfer(ref, a, signature),
		keeper(func(ctx context.Context, tx pgx.Tx, hash common.Hash) error {
			_, err := send(ctx, s.key, 0, address(s.key), nil) // the key is used elsewhere
			return errors.Join(err, stored.hear(ctx, tx, hash))
		}))
	require.ErrorIs(t, err, evm.ErrUnknown)
	var proof evm.Proof
	require.Eventually(t, func() bool {
		proof, err = s.relayer.Settle(within(t, 5*time.Second), transfer(ref, a, signature), unnoticed)
		return err == nil
	}, 60*time.Second, time.Second)
	s.proves(t, proof, a)
	require.Equal(t, 2, s.stored(t))
}

func cancellation(t *testing.T, s *scene, a x402.Authorization) []byte {
	t.Helper()
	return evm.CancelCall(t, s.token, a, s.buyer)
}
