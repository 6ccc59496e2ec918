package e2e

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/x402"
)

// TestCrashOfAReversal kills a shop at every moment in which it takes a payment back that the chain holds no more, and starts
// it again once and twice. Whatever the moment, the payment is out of the books once, and the shop is told once.
func TestCrashOfAReversal(t *testing.T) {
	t.Parallel()
	table := &crashTable{}
	for _, step := range fault.ReversalSteps {
		table.order = append(table.order, string(step))
	}
	var running sync.WaitGroup
	for _, restarts := range []int{2, 1} {
		for _, step := range fault.ReversalSteps {
			running.Go(func() {
				row := crashRow{step: string(step), restarts: restarts, outcome: "FAILED"}
				t.Run(fmt.Sprintf("%s/%d", step, restarts), func(t *testing.T) {
					began := time.Now()
					defer func() { row.took = time.Since(began); table.add(row) }()
					w := newCrashWorldOn(t, (*crashWorld).ownChain)
					w.crashReversing(t, &row, step)
				})
			})
		}
	}
	running.Wait()
	table.print()
}

// lossDepth is how many blocks behind the head the chain is final: deeper than a shop's day here is long.
const lossDepth = 10

// ownChain starts the chain in the test, which can have it lose blocks.
func (w *crashWorld) ownChain(t testing.TB, relayer common.Address, port int) {
	t.Helper()
	var err error
	w.dev, err = devchain.Start(context.Background(), devchain.Options{Port: port, Alloc: crashAccounts(relayer, w.buyer.Address(), w.payee), Finality: lossDepth})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.dev.Stop()) })
}

// lostSale is a payment that the chain took back, and that its payer has made void.
type lostSale struct {
	settlement id.Settlement
	attempt    id.Attempt
	block      uint64
	nonce      string
}

func (w *crashWorld) crashReversing(t *testing.T, row *crashRow, step fault.Step) {
	t.Helper()
	lost := w.loses(t)
	_, how := w.crash(t, row, step, row.restarts, w.takesBack(t, lost), func() {})
	require.NoError(t, w.wrongReversal(t.Context(), lost))
	row.outcome = "1 reversal, nothing in the books, told once, audit clean" + how
}

// loses sells one thing, in a shop that ends in peace, and has the chain forget its payment.
func (w *crashWorld) loses(t *testing.T) lostSale {
	t.Helper()
	calm := w.live(t, "")
	payment, err := w.sign(within(t, hitWithin), w.link, 2)
	require.NoError(t, err)
	_, err = w.buyer.Pay(within(t, paidWithin), payment, w.link)
	require.NoError(t, err)
	calm.end()
	var lost lostSale
	const paid = `SELECT id, attempt_id, block_number, nonce FROM settlements WHERE status = 'confirmed'`
	require.NoError(t, w.parts.Pool.QueryRow(t.Context(), paid).Scan(&lost.settlement, &lost.attempt, &lost.block, &lost.nonce))
	require.NoError(t, w.dev.Rewind(lost.block-1))
	token, err := evm.NewRegistry(nil).Network(crashNetwork)
	require.NoError(t, err)
	hash, err := sendFrom(t.Context(), w.chain, w.owner, devchain.USDC, nil, cancelCall(t, token.Token, w.payer, common.HexToHash(lost.nonce)))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		r, err := w.chain.TransactionReceipt(t.Context(), hash)
		return err == nil && r.Status == types.ReceiptStatusSuccessful
	}, hitWithin, 50*time.Millisecond, "the payer's word is not mined")
	return lost
}

// cancelCall is what a payer sends who has thought better of it.
func cancelCall(t *testing.T, token x402.Token, payer *ecdsa.PrivateKey, nonce common.Hash) []byte {
	t.Helper()
	of := common.LeftPadBytes(crypto.PubkeyToAddress(payer.PublicKey).Bytes(), 32)
	separator := token.DomainSeparator()
	message := crypto.Keccak256(crypto.Keccak256([]byte("CancelAuthorization(address authorizer,bytes32 nonce)")), of, nonce[:])
	signature, err := crypto.Sign(crypto.Keccak256([]byte("\x19\x01"), separator[:], message), payer)
	require.NoError(t, err)
	data := crypto.Keccak256([]byte("cancelAuthorization(address,bytes32,uint8,bytes32,bytes32)"))[:4]
	for _, word := range [][]byte{of, nonce[:], {signature[64] + 27}, signature[:32], signature[32:64]} {
		data = append(data, common.LeftPadBytes(word, 32)...)
	}
	return data
}

// takesBack waits, through every crash, until the payment is taken back. As soon as a shop has noted that it is lost, the chain
// grows until nothing can bring it back.
func (w *crashWorld) takesBack(t *testing.T, lost lostSale) chan bought {
	t.Helper()
	ctx := within(t, hitWithin+againWithin+paidWithin)
	done := make(chan bought, 1)
	go func() {
		b := bought{}
		for b.err == nil {
			var noted, back bool
			const now = `SELECT lost_at IS NOT NULL, status = 'reversed' FROM settlements WHERE id = $1`
			if b.err = w.parts.Pool.QueryRow(ctx, now, lost.settlement).Scan(&noted, &back); back {
				break
			}
			if noted {
				_, err := sendFrom(ctx, w.chain, w.owner, w.payee, nil, nil)
				b.err = errors.Join(b.err, err)
			}
			b.err = errors.Join(b.err, w.parts.Checkout.Recheck(ctx), pause(ctx)) // which has it looked for, sooner than the shop would
		}
		time.Sleep(seenTogether)
		done <- b
	}()
	return done
}

// wrongReversal is everything that is not as after one payment that was taken back; nil if nothing is.
func (w *crashWorld) wrongReversal(ctx context.Context, lost lostSale) error {
	var all []error
	is := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			all = append(all, fmt.Errorf("%s: %v, not %v", what, got, want))
		}
	}
	transfers, _, err := w.received(ctx)
	if err != nil {
		return err
	}
	is("transfers on the chain", transfers, 0)
	var status string
	var reversals, told, notices int
	var left money.USDC
	const books = `SELECT (SELECT status FROM attempts WHERE id = $1),
		(SELECT count(*) FROM postings WHERE source = $2 AND kind = 'reversal'), (SELECT count(*) FROM events WHERE event_type = 'settlement.reversed'),
		(SELECT count(*) FROM notices WHERE kind = 'payment_reversed'), (SELECT coalesce(sum(amount), 0)::bigint FROM balances WHERE account IN ('wallet', 'sales') AND amount > 0)`
	if err := w.parts.Pool.QueryRow(ctx, books, lost.attempt, lost.settlement).Scan(&status, &reversals, &told, &notices, &left); err != nil {
		return err
	}
	is("purchase", status, "reversed")
	is("reversals", reversals, 1)
	is("what the shop was told", told, 1)
	is("notices", notices, 1)
	is("left in the books", left, money.USDC(0))
	return errors.Join(append(all, w.broken(ctx))...)
}
