package ledger_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"xsynesis/evm/devchain"
	"xsynesis/ledger"
	"xsynesis/money"
)

// forgetful is a chain of a test's own, which may lose blocks. It makes one as soon as something waits for it. All that happens
// to it has to fit below its block 32: the node under it takes that for final as soon as it is there.
type forgetful struct {
	*devchain.Chain

	still atomic.Bool // no block is made
}

func newForgetful(t *testing.T, finality uint64) *forgetful {
	t.Helper()
	dev, err := devchain.Start(context.Background(), devchain.Options{Finality: finality, OnDemand: true})
	require.NoError(t, err)
	f := &forgetful{Chain: dev}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if !f.still.Load() && dev.Waiting() {
				dev.Seal()
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		require.NoError(t, dev.Stop())
	})
	return f
}

// grow makes the chain that many blocks longer.
func (f *forgetful) grow(blocks uint64) {
	for range blocks {
		f.Seal()
	}
}

// forget takes the block with a transaction away, and all after it. It is as many blocks deep as it says, and nothing is mined
// until the chain goes on.
func (f *forgetful) forget(t *testing.T, hash string, depth uint64) *types.Transaction {
	t.Helper()
	tx, _, err := f.Client().TransactionByHash(t.Context(), common.HexToHash(hash))
	require.NoError(t, err)
	f.grow(depth - 1)
	f.still.Store(true)
	head, err := f.Client().BlockNumber(t.Context())
	require.NoError(t, err)
	receipt, err := f.Client().TransactionReceipt(t.Context(), tx.Hash())
	require.NoError(t, err)
	require.Equal(t, depth, head-receipt.BlockNumber.Uint64()+1)
	require.Less(t, head, uint64(32))
	require.NoError(t, f.Rewind(head-depth))
	return tx
}

// lost reports how many sendings are looked for.
func (x till) lost(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, x.pool.QueryRow(t.Context(), `SELECT count(*) FROM sendings WHERE lost_at IS NOT NULL`).Scan(&n))
	return n
}

// block is the block in which a payout is, as its row says.
func (x till) block(t *testing.T, p ledger.Payout) (hash string) {
	t.Helper()
	require.NoError(t, x.pool.QueryRow(t.Context(), `SELECT block_hash FROM sendings WHERE id = $1`, p.ID).Scan(&hash))
	return hash
}

// told lists the events of a payout, in their order.
func (x till) told(t *testing.T, p ledger.Payout) (types []string) {
	t.Helper()
	rows, err := x.pool.Query(t.Context(), `SELECT event_type FROM events WHERE resource_id = $1 ORDER BY sequence`, p.ID)
	require.NoError(t, err)
	types, err = pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return types
}

func TestAPayoutSurvivesItsBlock(t *testing.T) {
	t.Parallel()
	for _, depth := range []uint64{1, 3, 20} {
		for name, again := range map[string]func(x till, tx *types.Transaction) error{
			"sent again": func(till, *types.Transaction) error { return nil },
			"in the block that came then": func(x till, tx *types.Transaction) error {
				return x.dev.Client().SendTransaction(context.Background(), tx)
			},
			"that its relayer forgot": func(x till, _ *types.Transaction) error {
				_, err := x.pool.Exec(context.Background(), `WITH gone AS (DELETE FROM relay_versions) DELETE FROM relays`)
				return err
			},
		} {
			t.Run(fmt.Sprintf("%d deep, %s", depth, name), func(t *testing.T) {
				t.Parallel()
				dev := newForgetful(t, 64)
				x := keepOn(t, dev.Chain, 10*money.One, 10)
				p := x.send(t, x.ask(t, 4*money.One).ID)
				first := x.block(t, p)
				tx := dev.forget(t, p.Transaction, depth)
				require.Zero(t, x.holds(t, x.own), "it is gone")
				require.NoError(t, again(x, tx))
				require.NoError(t, x.Keep(t.Context()))
				require.Equal(t, 1, x.lost(t))
				require.Zero(t, x.holding(t).Drift, "it is on its way again, and no difference")
				shown, err := x.Payout(t.Context(), x.merchant, false, p.ID)
				require.NoError(t, err)
				require.Equal(t, ledger.PayoutArrived, shown.Status)
				require.NotEmpty(t, shown.LastError)
				dev.still.Store(false)
				require.Eventually(t, func() bool {
					_ = x.Send(t.Context(), string(p.ID)) // a snooze asks for another look
					return x.lost(t) == 0
				}, 30*time.Second, 50*time.Millisecond, "it is not found again")

				require.NotEqual(t, first, x.block(t, p))
				require.Equal(t, 4*money.One, x.holds(t, x.own), "it was paid once")
				require.Equal(t, 6*money.One, x.holds(t, x.deposit))
				h := x.holding(t)
				require.Equal(t, 6*money.One, h.Available)
				require.Zero(t, h.InPayout)
				require.Equal(t, []string{"payout.created", "payout.sent", "payout.completed"}, x.told(t, p), "it was said once")
				require.NoError(t, x.Send(t.Context(), string(p.ID)), "it is left alone again")
			})
		}
	}
}

func TestAPayoutThatIsGoneForGoodComesBack(t *testing.T) {
	t.Parallel()
	for _, depth := range []uint64{1, 3, 20} {
		t.Run(fmt.Sprintf("%d deep", depth), func(t *testing.T) {
			t.Parallel()
			const finality = 22
			dev := newForgetful(t, finality)
			x := keepOn(t, dev.Chain, 10*money.One, 10)
			p := x.send(t, x.ask(t, 4*money.One).ID)
			dev.forget(t, p.Transaction, depth)
			_, err := dev.Pass(2 * time.Hour) // so nobody takes its signature any more
			require.NoError(t, err)
			x.ahead.Store(int64(2 * time.Hour))
			require.NoError(t, x.Keep(t.Context()))
			require.Equal(t, 1, x.lost(t))
			_ = x.Send(t.Context(), string(p.ID))
			require.Equal(t, 1, x.lost(t), "it may come back until that is final")
			require.Equal(t, 6*money.One, x.holding(t).Available)

			dev.grow(finality)
			dev.still.Store(false)
			p = x.send(t, p.ID)
			require.Equal(t, ledger.PayoutReturned, p.Status)
			require.NotEmpty(t, p.LastError)
			require.Nil(t, p.CompletedAt)
			require.Zero(t, p.Block)
			require.Zero(t, x.holds(t, x.own))
			h := x.holding(t)
			require.Equal(t, 10*money.One, h.Available)
			require.Equal(t, 10*money.One, h.Deposited)
			require.Zero(t, h.InPayout)
			require.Zero(t, h.Drift)
			require.Equal(t, []string{"payout.created", "payout.sent", "payout.completed", "payout.failed"}, x.told(t, p))
			require.Equal(t, ledger.PayoutArrived, x.send(t, x.ask(t, 10*money.One).ID).Status, "all of it can be paid out")
		})
	}
}

func TestAPayoutIsFollowedUntilItsBlockIsFinal(t *testing.T) {
	t.Parallel()
	dev := newForgetful(t, 4)
	x := keepOn(t, dev.Chain, 10*money.One, 10)
	p := x.send(t, x.ask(t, 4*money.One).ID)
	final := func() (is bool) {
		require.NoError(t, x.Keep(t.Context()))
		require.NoError(t, x.pool.QueryRow(t.Context(), `SELECT final FROM sendings WHERE id = $1`, p.ID).Scan(&is))
		return is
	}
	require.False(t, final())
	dev.grow(4)
	require.True(t, final())
	require.Zero(t, x.lost(t))
}
