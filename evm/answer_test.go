package evm_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"xsynesis/evm"
	"xsynesis/money"
	"xsynesis/x402"
)

// What a node says to a transaction is no news of it: it may have it or not, whatever it says.
func TestWhatANodeSaysToATransactionDecidesNothing(t *testing.T) {
	t.Parallel()
	lost := func(message) (string, bool) { panic(http.ErrAbortHandler) }
	saying := func(text string, heard bool) func(message) (string, bool) {
		return func(message) (string, bool) { return text, heard }
	}
	for name, refuse := range map[string]func(message) (string, bool){
		"it says nothing and has not got it": lost,
		"it has it already":                  saying("already known", true),
		"its nonce is mined":                 saying("nonce too low", true),
		"its nonce is another's":             saying("nonce too low", false),
		"another has its place and more fee": saying("replacement transaction underpriced", false),
		"another has its place, and it went": saying("replacement transaction underpriced", true),
		"the gas is more than there is":      saying("insufficient funds for gas * price + value", false),
		"too much is waiting":                saying("txpool is full", false),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setupWith(t, evm.RelayerOptions{Poll: time.Hour}) // its own key is relayed with through the other node alone
			var sends atomic.Int64
			moody := newNode(t, &node{refuse: func(request message) (string, bool) {
				if request.Method != "eth_sendRawTransaction" || sends.Add(1) > 2 {
					return "", true
				}
				return refuse(request)
			}})
			s.key = stranger(t)
			r := s.run(t, dial(t, moody.URL), evm.RelayerOptions{Repair: 200 * time.Millisecond, Resend: time.Second})
			a, signature := s.payment(t, money.One)
			proof, err := r.Settle(within(t, 30*time.Second), transfer(newRef(), a, signature), unnoticed)
			require.NoError(t, err)
			s.proves(t, proof, a)
			require.Equal(t, 1, s.stored(t))
		})
	}
}

// A node that is behind, or has lost its receipts for a while, is waited for: nothing is sent a second time.
func TestANodeThatIsBehindIsWaitedFor(t *testing.T) {
	t.Parallel()
	const longer = 9 * time.Second // than it is looked for twice
	for name, behind := range map[string]func(t *testing.T, n *node, over func() bool){
		"it has no receipt yet": func(_ *testing.T, n *node, over func() bool) {
			n.swallow = func(method string) json.RawMessage {
				if strings.HasSuffix(method, "Receipt") && !over() {
					return json.RawMessage(`null`)
				}
				if strings.HasSuffix(method, "Receipts") && !over() {
					return json.RawMessage(`[]`)
				}
				return nil
			}
		},
		"it is fifty blocks old": func(t *testing.T, n *node, over func() bool) {
			head, err := world.chain.Client().BlockNumber(t.Context())
			require.NoError(t, err)
			old := json.RawMessage(`"` + hexutil.EncodeUint64(max(head, 50)-50) + `"`)
			n.alter = func(request *message) {
				var params []json.RawMessage
				if over() || json.Unmarshal(request.Params, &params) != nil {
					return
				}
				for i, p := range params {
					if string(p) == `"latest"` {
						params[i] = old
					}
				}
				request.Params, _ = json.Marshal(params)
			}
			n.swallow = func(method string) json.RawMessage {
				if strings.HasSuffix(method, "Receipt") && !over() {
					return json.RawMessage(`null`)
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setupWith(t, evm.RelayerOptions{Poll: time.Hour})
			s.key = stranger(t)
			begin := time.Now()
			n := &node{}
			behind(t, n, func() bool { return time.Since(begin) > longer })
			r := s.run(t, dial(t, newNode(t, n).URL), evm.RelayerOptions{})
			a, signature := s.payment(t, money.One)
			proof, err := r.Settle(within(t, 40*time.Second), transfer(newRef(), a, signature), unnoticed)
			require.NoError(t, err)
			require.Greater(t, time.Since(begin), longer)
			s.proves(t, proof, a)
			require.Equal(t, 1, s.stored(t))
		})
	}
}

const gwei = 1_000_000_000

// market is a network whose price of gas may rise: it keeps what offers less and mines it when it is enough.
type market struct {
	*node
	price atomic.Int64 // in gwei per gas; as much again is its tip
}

func newMarket(t *testing.T) *market {
	t.Helper()
	m := &market{}
	m.price.Store(1)
	m.node = newNode(t, &node{
		lie: func(method string, result json.RawMessage) json.RawMessage {
			if method != "eth_getBlockByNumber" {
				return result
			}
			return edit(t, result, func(block map[string]any) { block["baseFeePerGas"] = hexutil.EncodeUint64(m.wei()) })
		},
		answering: func(request message) json.RawMessage {
			switch request.Method {
			case "eth_maxPriorityFeePerGas":
				return json.RawMessage(`"` + hexutil.EncodeUint64(m.wei()) + `"`)
			case "eth_sendRawTransaction":
				if tx := decodeSent(request); tx != nil && tx.GasFeeCap().Uint64() < m.wei() {
					return json.RawMessage(`"` + tx.Hash().Hex() + `"`)
				}
			}
			return nil
		},
	})
	return m
}

func (m *market) wei() uint64 { return uint64(m.price.Load()) * gwei }

func decodeSent(request message) *types.Transaction {
	var params []hexutil.Bytes
	tx := new(types.Transaction)
	if json.Unmarshal(request.Params, &params) != nil || len(params) != 1 || tx.UnmarshalBinary(params[0]) != nil {
		return nil
	}
	return tx
}

// surge makes gas twenty times as dear in the moment in which a transaction is written down.
func (m *market) surge() *listener {
	return keeper(func(context.Context, pgx.Tx, common.Hash) error { m.price.Store(20); return nil })
}

// offered are the most that the transactions of a scene pay, in wei per gas, in the order in which they were signed.
func (s *scene) offered(t *testing.T) (all []int64) {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), `SELECT raw FROM relay_versions ORDER BY nonce, version`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var raw []byte
		tx := new(types.Transaction)
		require.NoError(t, rows.Scan(&raw))
		require.NoError(t, tx.UnmarshalBinary(raw))
		all = append(all, tx.GasFeeCap().Int64())
	}
	require.NoError(t, rows.Err())
	return all
}

func TestGasBecomesTwentyTimesAsDear(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T, limit int64) (*scene, *market, *evm.Relayer) {
		s := setupWith(t, evm.RelayerOptions{Poll: time.Hour})
		s.key = stranger(t)
		m := newMarket(t)
		return s, m, s.run(t, dial(t, m.URL), evm.RelayerOptions{
			MaxFee: limit, Repair: 200 * time.Millisecond, BumpAfter: time.Second, Resend: 500 * time.Millisecond, Beat: time.Second,
		})
	}
	t.Run("and is paid for", func(t *testing.T) {
		t.Parallel()
		s, m, r := begin(t, 50*gwei)
		a, signature := s.payment(t, money.One)
		proof, err := r.Settle(within(t, 30*time.Second), transfer(newRef(), a, signature), m.surge())
		require.NoError(t, err)
		s.proves(t, proof, a)
		require.Equal(t, 1, s.stored(t), "it kept its nonce")
		offered := s.offered(t)
		require.Less(t, offered[0], int64(20*gwei))
		require.GreaterOrEqual(t, offered[len(offered)-1], int64(20*gwei))
		require.LessOrEqual(t, slices.Max(offered), int64(50*gwei))
	})
	t.Run("and is too dear for a while", func(t *testing.T) {
		t.Parallel()
		s, m, r := begin(t, 10*gwei)
		a, signature := s.payment(t, money.One)
		ref := newRef()
		_, err := r.Settle(within(t, 5*time.Second), transfer(ref, a, signature), m.surge())
		require.ErrorIs(t, err, evm.ErrUnknown)
		require.EqualValues(t, 10*gwei, slices.Max(s.offered(t)), "it was raised to the limit, and no further")
		m.price.Store(1)
		proof, err := r.Settle(within(t, 20*time.Second), transfer(ref, a, signature), unnoticed)
		require.NoError(t, err)
		s.proves(t, proof, a)
		require.Equal(t, 1, s.stored(t))
		require.LessOrEqual(t, slices.Max(s.offered(t)), int64(10*gwei))
	})
	t.Run("and stays too dear until the payment has expired", func(t *testing.T) {
		t.Parallel()
		s, m, r := begin(t, 10*gwei)
		a, signature := s.sign(t, x402.Authorization{
			From: address(s.buyer), To: address(newKey()), Value: big.NewInt(int64(money.One)),
			ValidAfter: new(big.Int), ValidBefore: big.NewInt(time.Now().Add(6 * time.Second).Unix()), Nonce: random(),
		})
		ref := newRef()
		_, err := r.Settle(within(t, 5*time.Second), transfer(ref, a, signature), m.surge())
		require.ErrorIs(t, err, evm.ErrUnknown)
		require.Eventually(t, func() bool {
			_, err := r.Settle(within(t, 6*time.Second), transfer(ref, a, signature), unnoticed)
			return errors.Is(err, evm.ErrVoid)
		}, 60*time.Second, 500*time.Millisecond)
		balance, err := s.chain.Balance(t.Context(), a.To)
		require.NoError(t, err)
		require.Zero(t, balance)

		m.price.Store(1) // what waited before it is mined for nothing, and what comes next is not held up
		next, signature := s.payment(t, money.One)
		proof, err := r.Settle(within(t, 30*time.Second), transfer(newRef(), next, signature), unnoticed)
		require.NoError(t, err)
		s.proves(t, proof, next)
	})
}
