package evm_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/money"
)

func TestWhatComesToAnAddressIsSeen(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a, signature := s.payment(t, money.One)
	signed, err := s.relayer.Settle(within(t, 20*time.Second), transfer(newRef(), a, signature), unnoticed)
	require.NoError(t, err)
	payee := []common.Address{a.To}
	plain := sendUSDC(t, a.To, 7)

	head, err := s.chain.Head(t.Context())
	require.NoError(t, err)
	seen, err := s.chain.Sightings(t.Context(), payee, signed.Block, head.Number)
	require.NoError(t, err)
	require.Len(t, seen, 2)
	require.Equal(t, signed.Transaction, seen[0].Transaction)
	require.Equal(t, plain, seen[1].Transaction)

	t.Run("with the authorization that moved it", func(t *testing.T) {
		t.Parallel()
		arrivals, err := s.chain.Arrivals(t.Context(), signed.Transaction, payee)
		require.NoError(t, err)
		require.Len(t, arrivals, 1)
		require.Equal(t, a.Nonce, arrivals[0].Nonce)
		require.EqualValues(t, 1, arrivals[0].Position, "it follows the use of the authorization")
		s.proves(t, arrivals[0].Proof, a)
	})

	t.Run("without one where its owner sent it", func(t *testing.T) {
		t.Parallel()
		arrivals, err := s.chain.Arrivals(t.Context(), plain, payee)
		require.NoError(t, err)
		require.Len(t, arrivals, 1)
		require.Zero(t, arrivals[0].Nonce)
		require.EqualValues(t, 7, arrivals[0].Value)
	})

	t.Run("and not by an address that nobody named", func(t *testing.T) {
		t.Parallel()
		arrivals, err := s.chain.Arrivals(t.Context(), plain, []common.Address{address(newKey())})
		require.NoError(t, err)
		require.Empty(t, arrivals)
	})

	t.Run("by a transaction that the chain has", func(t *testing.T) {
		t.Parallel()
		_, err := s.chain.Arrivals(t.Context(), random(), payee)
		require.ErrorIs(t, err, evm.ErrUnproven)
	})

	t.Run("and nothing is missed", func(t *testing.T) {
		t.Parallel()
		missed, err := s.chain.Missed(t.Context(), payee, signed.Block, head.Number)
		require.NoError(t, err)
		require.Empty(t, missed)
	})
}

// sendUSDC lets a wallet with gas and money send some of it, and waits until it is mined.
func sendUSDC(t *testing.T, to common.Address, amount money.USDC) common.Hash {
	t.Helper()
	key := stranger(t)
	require.NoError(t, world.chain.Mint(t.Context(), address(key), amount))
	hash, err := send(within(t, 20*time.Second), key, 0, devchain.USDC, evm.SendData(to, amount))
	require.NoError(t, err)
	return hash
}

func TestATransferThatNoLogShowsIsFoundByTheBalance(t *testing.T) {
	t.Parallel()
	s := setup(t)
	payee := address(newKey())
	before, err := s.chain.Head(t.Context())
	require.NoError(t, err)
	first, second := sendUSDC(t, payee, 7), sendUSDC(t, payee, 8)
	head, err := s.chain.Head(t.Context())
	require.NoError(t, err)

	for name, show := range map[string]func(common.Hash) bool{
		"half of the logs": func(hash common.Hash) bool { return hash == first },
		"none":             func(common.Hash) bool { return false },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			liar := newNode(t, &node{lie: func(method string, result json.RawMessage) json.RawMessage {
				if method != "eth_getLogs" {
					return result
				}
				return someLogs(t, result, show)
			}})
			missed, err := dial(t, liar.URL).Missed(t.Context(), []common.Address{address(newKey()), payee}, before.Number+1, head.Number)
			require.NoError(t, err)
			require.NotContains(t, missed, common.Hash{})
			require.Contains(t, missed, second)
			require.Equal(t, !show(first), contains(missed, first))
		})
	}

	t.Run("and by another node that shows it", func(t *testing.T) {
		t.Parallel()
		liar := newNode(t, &node{lie: func(method string, result json.RawMessage) json.RawMessage {
			if method == "eth_getLogs" {
				return json.RawMessage("[]")
			}
			return result
		}})
		seen, err := dial(t, liar.URL, world.chain.URL()).Sightings(t.Context(), []common.Address{payee}, before.Number, head.Number)
		require.NoError(t, err)
		require.Len(t, seen, 2)
	})
}

func contains(all []common.Hash, hash common.Hash) bool {
	for _, h := range all {
		if h == hash {
			return true
		}
	}
	return false
}

// someLogs leaves out logs of a result.
func someLogs(t *testing.T, result json.RawMessage, show func(common.Hash) bool) json.RawMessage {
	t.Helper()
	var logs, kept []map[string]any
	require.NoError(t, json.Unmarshal(result, &logs))
	for _, l := range logs {
		if hash, ok := l["transactionHash"].(string); ok && show(common.HexToHash(hash)) {
			kept = append(kept, l)
		}
	}
	if kept == nil {
		return json.RawMessage("[]")
	}
	return encode(t, kept)
}

func TestLogsAreAskedForInPiecesThatANodeAllows(t *testing.T) {
	t.Parallel()
	s := setup(t)
	payee := address(newKey())
	sendUSDC(t, payee, 9)
	sendUSDC(t, payee, 9) // the chain is longer than a piece
	head, err := s.chain.Head(t.Context())
	require.NoError(t, err)
	var refused atomic.Int64
	strict := newStrictNode(t, 3, &refused)
	seen, err := dial(t, strict).Sightings(t.Context(), []common.Address{payee}, head.Number-min(head.Number, 40), head.Number)
	require.NoError(t, err)
	require.Len(t, seen, 2)
	require.Positive(t, refused.Load())
}

// newStrictNode is a node that searches no more than so many blocks at a time.
func newStrictNode(t *testing.T, blocks uint64, refused *atomic.Int64) string {
	t.Helper()
	behind := newNode(t, &node{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request message
		if json.NewDecoder(r.Body).Decode(&request) != nil {
			return
		}
		var filter []struct{ FromBlock, ToBlock string }
		_ = json.Unmarshal(request.Params, &filter)
		answer := message{Version: "2.0", ID: request.ID}
		if len(filter) == 1 && common.HexToHash(filter[0].ToBlock).Big().Uint64()-common.HexToHash(filter[0].FromBlock).Big().Uint64() >= blocks {
			refused.Add(1)
			answer.Error = json.RawMessage(`{"code":-32602,"message":"block range is too wide"}`)
		} else {
			answer = behind.answer(request)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}
