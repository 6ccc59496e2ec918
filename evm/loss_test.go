package evm_test

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/money"
	"xsynesis/postgres/pgtest"
)

func TestALostBlockIsMinedAgain(t *testing.T) {
	t.Parallel()
	s := &scene{pool: pgtest.New(t), key: newKey(), buyer: newKey()}
	dev, err := devchain.Start(t.Context(), devchain.Options{Alloc: map[common.Address]devchain.Account{
		address(s.key): {ETH: ether(1)}, address(s.buyer): {USDC: money.One},
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, dev.Stop()) })
	s.chain = dial(t, dev.URL())
	s.token = s.chain.Network().Token
	s.run(t, s.chain, evm.RelayerOptions{Beat: time.Second})
	r := s.run(t, s.chain, evm.RelayerOptions{Beat: time.Second})

	a, signature := s.payment(t, money.One)
	first, err := r.Settle(within(t, 20*time.Second), transfer(newRef(), a, signature), unnoticed)
	require.NoError(t, err)
	require.NoError(t, dev.Rewind(first.Block-1))

	var again evm.Proof
	require.Eventually(t, func() bool {
		again, err = s.chain.Resolve(t.Context(), a)
		return err == nil && again.BlockHash != first.BlockHash
	}, 30*time.Second, 100*time.Millisecond, "it is not sent again")
	require.Equal(t, first.Transaction, again.Transaction)
	require.Eventually(t, func() bool {
		var hash string
		var final bool
		err := s.pool.QueryRow(t.Context(), `SELECT coalesce(block_hash, ''), final FROM relays`).Scan(&hash, &final)
		return err == nil && hash == again.BlockHash.Hex() && final
	}, 60*time.Second, 200*time.Millisecond, "its new block is noted, and final in the end")
}

func TestABlockThatNobodySawGoHoldsNothingUp(t *testing.T) {
	t.Parallel()
	s := &scene{pool: pgtest.New(t), key: newKey(), buyer: newKey()}
	dev, err := devchain.Start(t.Context(), devchain.Options{Finality: 1_000, Alloc: map[common.Address]devchain.Account{
		address(s.key): {ETH: ether(1)}, address(s.buyer): {USDC: 2 * money.One},
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, dev.Stop()) })
	s.chain = dial(t, dev.URL())
	s.token = s.chain.Network().Token
	r := s.run(t, s.chain, evm.RelayerOptions{Poll: time.Hour, Repair: 50 * time.Millisecond, Beat: time.Second}) // it does not follow the head
	settle := func(amount money.USDC) evm.Proof {
		a, signature := s.payment(t, amount)
		proof, err := r.Settle(within(t, 40*time.Second), transfer(newRef(), a, signature), unnoticed)
		require.NoError(t, err)
		return proof
	}
	first := settle(money.One)
	has := func(p evm.Proof) money.USDC {
		balance, err := s.chain.Balance(t.Context(), p.Payee)
		require.NoError(t, err)
		return balance
	}
	require.NoError(t, dev.Rewind(first.Block-1))
	second := settle(money.One)
	require.NotEqual(t, first.BlockHash, second.BlockHash)
	require.Equal(t, money.One, has(first))
	require.Equal(t, money.One, has(second))

	time.Sleep(time.Second) // until it has nothing to look after
	require.NoError(t, dev.Rewind(second.Block-1))
	require.Eventually(t, func() bool { return has(first) == money.One && has(second) == money.One }, 20*time.Second, 100*time.Millisecond,
		"it waits for another payment")
}

func TestPaymentsOutliveTheChainsProcess(t *testing.T) {
	t.Parallel()
	s := &scene{pool: pgtest.New(t), key: newKey(), buyer: newKey()}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := listener.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // TCP.
	require.NoError(t, listener.Close())
	dir := t.TempDir()
	env := []string{"EVM_TEST_PORT=" + strconv.Itoa(port), "EVM_TEST_RELAYER=" + address(s.key).Hex(), "EVM_TEST_BUYER=" + address(s.buyer).Hex()}
	url, kill := child(t, dir, env...)
	s.chain = dial(t, url)
	s.token = s.chain.Network().Token
	r := s.run(t, s.chain, evm.RelayerOptions{})

	g, ctx := errgroup.WithContext(within(t, 90*time.Second))
	proofs := make([]evm.Proof, 20)
	for i := range proofs {
		a, signature := s.payment(t, money.One)
		g.Go(func() error {
			time.Sleep(time.Duration(i) * 100 * time.Millisecond)
			ref := newRef()
			for {
				proof, err := r.Settle(ctx, transfer(ref, a, signature), unnoticed)
				if err == nil || ctx.Err() != nil {
					proofs[i] = proof
					return err
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	for range 2 {
		time.Sleep(700 * time.Millisecond)
		kill()
		_, kill = child(t, dir, env...)
	}
	require.NoError(t, g.Wait())
	for _, p := range proofs {
		balance, err := s.chain.Balance(t.Context(), p.Payee)
		require.NoError(t, err)
		require.Equal(t, money.One, balance)
	}
	require.LessOrEqual(t, s.stored(t), len(proofs))
}
