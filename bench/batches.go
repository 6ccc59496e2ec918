package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/x402"
)

const (
	batchPayments = 1000
	batchPayers   = 200
	batchPayees   = 50
)

// batchBounds are what a payment's gas may be of that of one alone, to one payee and to many, and what the rate has to be.
var batchBounds = []struct {
	size            int
	one, many, rate float64
}{{2, 0.95, 0.95, 0.8}, {10, 0.75, 0.80, 1}, {50, 0.70, 0.75, 1}, {100, 0.70, 0.75, 1}}

// batches settles as many payments with each size of transaction, by a relayer in this process: what one of them burns,
// and how many there are in a second. It uses the worker's key, so no worker may run.
func batches(ctx context.Context, s *openedShop) ([]result, error) {
	b, err := newBatcher(ctx, s)
	if err != nil {
		return nil, err
	}
	defer b.close()
	alone, err := b.measure(ctx, 1, b.payees[:1])
	if err != nil {
		return nil, err
	}
	var results []result
	for _, bound := range batchBounds {
		for _, to := range []struct {
			name   string
			payees []common.Address
			most   float64
		}{{"one payee", b.payees[:1], bound.one}, {fmt.Sprintf("%d payees", batchPayees), b.payees, bound.many}} {
			m, err := b.measure(ctx, bound.size, to.payees)
			if err != nil {
				return nil, fmt.Errorf("batches of %d: %w", bound.size, err)
			}
			results = append(results,
				atMost(fmt.Sprintf("gas of a payment, %d in a transaction, %s", bound.size, to.name), fmt.Sprintf("%.0f", m.gas), fmt.Sprintf("alone %.0f", alone.gas), m.gas/alone.gas, to.most))
			if len(to.payees) == 1 {
				results = append(results,
					atLeast(fmt.Sprintf("payments/s of a relayer, %d in a transaction", bound.size), fmt.Sprintf("%.0f/s", m.rate), fmt.Sprintf("alone %.0f/s", alone.rate), m.rate/alone.rate, bound.rate))
			}
		}
	}
	return results, nil
}

type measured struct{ gas, rate float64 }

// batcher settles without a shop around it.
type batcher struct {
	pool    *pgxpool.Pool
	client  *ethclient.Client
	network evm.Network
	key     *ecdsa.PrivateKey
	payers  []*ecdsa.PrivateKey
	payees  []common.Address
}

func newBatcher(ctx context.Context, s *openedShop) (b *batcher, err error) {
	b = &batcher{}
	if b.network, err = evm.NewRegistry(map[uint64][]string{84532: {s.RPC}}).Network("eip155:84532"); err != nil {
		return nil, err
	}
	if b.key, err = readKey(s.Relayer); err != nil {
		return nil, err
	}
	rich, err := readKey(s.Buyer)
	if err != nil {
		return nil, err
	}
	if b.client, err = ethclient.DialContext(ctx, s.RPC); err != nil {
		return nil, err
	}
	if b.pool, err = pgxpool.New(ctx, s.cluster.URL()); err != nil {
		return nil, err
	}
	var crowd []common.Address
	for range batchPayers {
		key, err := crypto.GenerateKey()
		if err != nil {
			return nil, fmt.Errorf("make a buyer: %w", err)
		}
		b.payers, crowd = append(b.payers, key), append(crowd, crypto.PubkeyToAddress(key.PublicKey))
	}
	for range batchPayees {
		var payee common.Address // a stranger: a shop would have to explain it
		_, _ = rand.Read(payee[:])
		b.payees = append(b.payees, payee)
	}
	// The buyers get their money. Who is paid for the first time costs more, and shops are not.
	if _, _, err := b.settle(ctx, batchPayers, b.sign(batchPayers, 1_000_000, []*ecdsa.PrivateKey{rich}, crowd)); err != nil {
		return nil, err
	}
	_, _, err = b.settle(ctx, batchPayees, b.sign(batchPayees, 1, b.payers, b.payees))
	return b, err
}

func (b *batcher) close() {
	b.client.Close()
	b.pool.Close()
}

// measure counts the gas of the transactions that were full.
func (b *batcher) measure(ctx context.Context, size int, payees []common.Address) (m measured, err error) {
	took, proofs, err := b.settle(ctx, size, b.sign(batchPayments, 1, b.payers, payees))
	if err != nil {
		return m, err
	}
	shared := map[common.Hash]int{}
	for _, p := range proofs {
		shared[p.Transaction]++
	}
	var gas uint64
	full := 0
	for hash, count := range shared {
		if count != size {
			continue
		}
		receipt, err := b.client.TransactionReceipt(ctx, hash)
		if err != nil {
			return m, fmt.Errorf("receipt of %s: %w", hash, err)
		}
		gas += receipt.GasUsed
		full += count
	}
	return measured{float64(gas) / float64(max(full, 1)), float64(len(proofs)) / took.Seconds()}, nil
}

func (b *batcher) sign(count int, amount int64, payers []*ecdsa.PrivateKey, payees []common.Address) []evm.Transfer {
	all := make([]evm.Transfer, count)
	for i := range all {
		payer := payers[i%len(payers)]
		a := x402.Authorization{
			From: crypto.PubkeyToAddress(payer.PublicKey), To: payees[i%len(payees)], Value: big.NewInt(amount),
			ValidAfter: new(big.Int), ValidBefore: big.NewInt(time.Now().Add(time.Hour).Unix()),
		}
		_, _ = rand.Read(a.Nonce[:])
		signature, err := x402.Sign(a, b.network.Token, payer)
		if err != nil {
			panic(err) // the key is good
		}
		all[i] = evm.Transfer{Source: string(id.New[id.Settlement](time.Now())), Authorization: a, Signature: signature, New: true}
	}
	return all
}

// settle moves all of them with a relayer of its own, as many at a time as a worker does.
func (b *batcher) settle(ctx context.Context, size int, all []evm.Transfer) (time.Duration, []evm.Proof, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := evm.NewRelayer(b.pool, evm.Dial(b.network, evm.Options{}), b.key, evm.RelayerOptions{Batch: size})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = r.Run(ctx) // until it is told to stop
	}()
	proofs := make([]evm.Proof, len(all))
	var g errgroup.Group
	g.SetLimit(inFlight)
	keeper := &forgetful{}
	began := time.Now()
	for i, t := range all {
		g.Go(func() (err error) {
			proofs[i], err = r.Settle(ctx, t, keeper)
			return err
		})
	}
	err := g.Wait()
	took := time.Since(began)
	cancel()
	<-stopped
	return took, proofs, err
}

// forgetful writes nothing down beside what the relayer does.
type forgetful struct{}

func (*forgetful) StoredTx(context.Context, pgx.Tx, []evm.Stored) error { return nil }
