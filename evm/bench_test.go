package evm_test

import (
	"context"
	"crypto/ecdsa"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/postgres/pgtest"
	"xsynesis/x402"
)

const benchPayments, benchInFlight = 1000, 256

// BenchmarkSettle is what a shop gets: stored before sent, proven after, 256 in flight.
func BenchmarkSettle(b *testing.B) {
	s := &scene{pool: pgtest.New(b), key: world.relayers[accounts-1], buyer: world.buyers[accounts-1]}
	network, err := evm.NewRegistry(map[uint64][]string{devchain.ChainID: {world.chain.URL()}}).Network("eip155:84532")
	require.NoError(b, err)
	s.chain, s.token = evm.Dial(network, evm.Options{}), network.Token
	r, stop := s.start(s.chain, evm.RelayerOptions{})
	defer stop()
	for b.Loop() {
		g, ctx := errgroup.WithContext(context.Background())
		g.SetLimit(benchInFlight)
		for range benchPayments {
			a, signature := signed(b, s.buyer, s.token)
			g.Go(func() error {
				_, err := r.Settle(ctx, transfer(newRef(), a, signature), unnoticed)
				return err
			})
		}
		require.NoError(b, g.Wait())
	}
	b.ReportMetric(float64(benchPayments*b.N)/b.Elapsed().Seconds(), "settled/s")
}

// BenchmarkBareLoop is the same chain with nothing kept: sign, send, wait for the receipt; as many in flight.
func BenchmarkBareLoop(b *testing.B) {
	client, err := ethclient.Dial(world.chain.URL())
	require.NoError(b, err)
	network, err := evm.NewRegistry(nil).Network("eip155:84532")
	require.NoError(b, err)
	key, buyer := world.relayers[accounts-2], world.buyers[accounts-2]
	nonce := uint64(0)
	for b.Loop() {
		g := new(errgroup.Group)
		g.SetLimit(benchInFlight)
		for range benchPayments {
			a, signature := signed(b, buyer, network.Token)
			tx, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(devchain.ChainID)), &types.DynamicFeeTx{
				ChainID: big.NewInt(devchain.ChainID), Nonce: nonce, To: &network.Token.Address, Data: evm.TransferCall(a, signature),
				Gas: 150_000, GasTipCap: big.NewInt(1e9), GasFeeCap: big.NewInt(1e11),
			})
			require.NoError(b, err)
			nonce++
			g.Go(func() error {
				if err := client.SendTransaction(context.Background(), tx); err != nil {
					return err
				}
				for {
					if _, err := client.TransactionReceipt(context.Background(), tx.Hash()); err == nil {
						return nil
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		require.NoError(b, g.Wait())
	}
	b.ReportMetric(float64(benchPayments*b.N)/b.Elapsed().Seconds(), "settled/s")
}

func signed(b *testing.B, buyer *ecdsa.PrivateKey, token x402.Token) (x402.Authorization, []byte) {
	b.Helper()
	a := x402.Authorization{
		From: address(buyer), To: address(world.relayers[0]), Value: big.NewInt(1),
		ValidAfter: new(big.Int), ValidBefore: big.NewInt(time.Now().Add(10 * time.Minute).Unix()), Nonce: random(),
	}
	signature, err := x402.Sign(a, token, buyer)
	require.NoError(b, err)
	return a, signature
}
