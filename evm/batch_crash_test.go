package evm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/fault"
	"xsynesis/money"
)

// relaying is what a process of its own is told to settle.
type relaying struct {
	Database, Node string
	Key            []byte
	Armed          fault.Step
	First          evm.Transfer // goes alone, and is mined before the step is armed
	Transfers      []evm.Transfer
}

// runRelaying settles all at once, as often as it takes, and dies at the armed step.
func runRelaying(text string) error {
	var told relaying
	if err := json.Unmarshal([]byte(text), &told); err != nil {
		return err
	}
	key, err := crypto.ToECDSA(told.Key)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	pool, err := pgxpool.New(ctx, told.Database)
	if err != nil {
		return err
	}
	network, err := evm.NewRegistry(map[uint64][]string{devchain.ChainID: {told.Node}}).Network("eip155:84532")
	if err != nil {
		return err
	}
	r := evm.NewRelayer(pool, evm.Dial(network, evm.Options{}), key, evm.RelayerOptions{Window: 5 * time.Second})
	go func() { _ = r.Run(ctx) }()
	if _, err := r.Settle(ctx, told.First, unnoticed); err != nil {
		return err
	}
	fault.Arm(told.Armed)
	var g sync.WaitGroup
	for _, each := range told.Transfers {
		g.Go(func() {
			for ctx.Err() == nil {
				if _, err := r.Settle(ctx, each, unnoticed); err == nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	g.Wait()
	return ctx.Err()
}

// relayIn runs it in a process of its own and tells whether that was killed.
func relayIn(t *testing.T, told relaying) (killed bool) {
	t.Helper()
	text, err := json.Marshal(told)
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), "EVM_TEST_RELAYING="+string(text))
	out, err := command.CombinedOutput()
	if status, ok := command.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
		return true
	}
	require.NoError(t, err, string(out))
	return false
}

func TestWhoIsKilledWithManyUnderWayPaysEachOnce(t *testing.T) {
	t.Parallel()
	for _, step := range []fault.Step{fault.RelaySimulated, fault.RelayReserved, fault.RelaySigned, fault.RelayStored, fault.RelaySent, fault.RelayMined} {
		for _, kills := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/%d", step, kills), func(t *testing.T) {
				t.Parallel()
				s := setup(t)
				s.key = stranger(t) // nobody else relays with it
				all := s.many(t, 12, common.Address{})
				told := relaying{
					Database: s.pool.Config().ConnString(), Node: world.chain.URL(), Key: crypto.FromECDSA(s.key), Transfers: all,
				}
				died := 0
				for range kills {
					told.Armed, told.First = step, s.many(t, 1, common.Address{})[0]
					if relayIn(t, told) {
						died++
					}
				}
				require.Positive(t, died, "the step was never met")
				told.Armed, told.First = "", s.many(t, 1, common.Address{})[0]
				require.False(t, relayIn(t, told))
				seen := map[common.Hash]int{}
				for _, each := range all {
					proof, err := s.chain.Resolve(t.Context(), each.Authorization)
					require.NoError(t, err)
					s.proves(t, proof, each.Authorization)
					seen[proof.Transaction]++
					balance, err := s.chain.Balance(t.Context(), each.Authorization.To)
					require.NoError(t, err)
					require.Equal(t, money.One, balance)
				}
				require.Less(t, len(seen), len(all), "none went together")
				var gaps, twice int
				require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT (SELECT max(nonce) + 1 - count(*) FROM relays),
					(SELECT count(*) FROM (SELECT settlement FROM (SELECT settlement FROM relays WHERE current AND settlement IS NOT NULL
						UNION ALL SELECT settlement FROM relay_items WHERE current) x GROUP BY 1 HAVING count(*) > 1) y)`).Scan(&gaps, &twice))
				require.Zero(t, gaps)
				require.Zero(t, twice)
			})
		}
	}
}
