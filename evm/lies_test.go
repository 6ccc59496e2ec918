package evm_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/big"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"xsynesis/evm"
	"xsynesis/money"
)

// lies are what a node may say of receipts and logs.
var lies = map[string]func(t *testing.T, method string, result json.RawMessage) json.RawMessage{
	"receipts without logs": func(t *testing.T, _ string, result json.RawMessage) json.RawMessage {
		return edit(t, result, func(r map[string]any) {
			if r["logs"] != nil {
				r["logs"] = []any{}
			}
		})
	},
	"receipts of another transaction": func(t *testing.T, _ string, result json.RawMessage) json.RawMessage {
		return edit(t, result, func(r map[string]any) {
			if r["status"] != nil {
				r["transactionHash"] = random().Hex()
			}
		})
	},
	"receipts of another block": func(t *testing.T, _ string, result json.RawMessage) json.RawMessage {
		return edit(t, result, func(r map[string]any) {
			if r["status"] != nil {
				r["blockHash"] = random().Hex()
			}
		})
	},
	"logs of another token": func(t *testing.T, _ string, result json.RawMessage) json.RawMessage {
		return editLogs(t, result, func(l map[string]any) { l["address"] = address(newKey()).Hex() })
	},
	"another amount": func(t *testing.T, _ string, result json.RawMessage) json.RawMessage {
		return editLogs(t, result, func(l map[string]any) {
			if l["data"] != "0x" {
				l["data"] = common.BigToHash(ether(1)).Hex()
			}
		})
	},
	"another payee": func(t *testing.T, _ string, result json.RawMessage) json.RawMessage {
		return editLogs(t, result, func(l map[string]any) {
			if l["data"] != "0x" {
				l["topics"].([]any)[2] = random().Hex() //nolint:forcetypeassert // A log's.
			}
		})
	},
	"removed logs": func(t *testing.T, _ string, result json.RawMessage) json.RawMessage {
		return editLogs(t, result, func(l map[string]any) { l["removed"] = true })
	},
	"only the authorization, not the transfer": func(t *testing.T, _ string, result json.RawMessage) json.RawMessage {
		return edit(t, result, func(r map[string]any) {
			if logs, ok := r["logs"].([]any); ok && len(logs) > 1 {
				r["logs"] = logs[:1]
			}
		})
	},
	"a failure": func(t *testing.T, _ string, result json.RawMessage) json.RawMessage {
		return edit(t, result, func(r map[string]any) {
			if r["status"] != nil {
				r["status"] = "0x0"
			}
		})
	},
	"nothing": func(_ *testing.T, method string, result json.RawMessage) json.RawMessage {
		if strings.Contains(method, "Receipt") || method == "eth_getLogs" {
			return json.RawMessage("null")
		}
		return result
	},
}

func TestALyingNodeProvesNothing(t *testing.T) {
	t.Parallel()
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			liar := newNode(t, &node{lie: func(method string, result json.RawMessage) json.RawMessage {
				if strings.Contains(method, "Receipt") || method == "eth_getLogs" {
					return lie(t, method, result)
				}
				return result
			}})
			a, signature := s.payment(t, money.One)
			ref := newRef()
			r, stop := s.start(dial(t, liar.URL), evm.RelayerOptions{})
			_, err := r.Settle(within(t, 6*time.Second), transfer(ref, a, signature), unnoticed)
			stop()
			require.Error(t, err)
			require.True(t, errors.Is(err, evm.ErrUnknown) || errors.Is(err, evm.ErrVoid), err)

			proof, err := s.relayer.Settle(within(t, 20*time.Second), transfer(ref, a, signature), unnoticed)
			require.NoError(t, err, "an honest node shows that it was paid")
			s.proves(t, proof, a)
			require.Equal(t, 1, s.stored(t))
		})
	}

	t.Run("a payment that was never sent", func(t *testing.T) {
		t.Parallel()
		s := setup(t)
		liar := newNode(t, &node{swallow: func(method string) json.RawMessage {
			switch method {
			case "eth_sendRawTransaction":
				return json.RawMessage(`"` + random().Hex() + `"`)
			case "eth_call": // every authorization is used
				return json.RawMessage(`"0x` + strings.Repeat("0", 63) + `1"`)
			default:
				return nil
			}
		}})
		a, signature := s.payment(t, money.One)
		r := evm.NewRelayer(s.pool, dial(t, liar.URL), stranger(t), evm.RelayerOptions{})
		_, err := r.Settle(within(t, 6*time.Second), transfer(newRef(), a, signature), unnoticed)
		require.ErrorIs(t, err, evm.ErrUnknown)
		_, err = dial(t, liar.URL).Resolve(t.Context(), a)
		require.ErrorIs(t, err, evm.ErrUnavailable)
	})
}

func TestABadLineLosesNothing(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(w http.ResponseWriter, count int64, body []byte) bool{
		"every second answer is lost": func(_ http.ResponseWriter, count int64, _ []byte) bool {
			if count%2 == 0 {
				panic(http.ErrAbortHandler)
			}
			return false
		},
		"one answer of three is an error": func(w http.ResponseWriter, _ int64, _ []byte) bool { // not always to the same question
			bad := mathrand.N(3) == 0
			if bad {
				w.WriteHeader(http.StatusTooManyRequests)
			}
			return bad
		},
		"every answer comes twice": func(w http.ResponseWriter, _ int64, body []byte) bool {
			_, _ = w.Write(append(append(body, '\n'), body...))
			return true
		},
		"one answer of three is cut": func(w http.ResponseWriter, _ int64, body []byte) bool {
			bad := mathrand.N(3) == 0
			if bad {
				_, _ = w.Write(body[:len(body)/2])
			}
			return bad
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			bad := newNode(t, &node{spoil: spoil})
			r := s.run(t, dial(t, bad.URL), evm.RelayerOptions{})
			a, signature := s.payment(t, money.One)
			ref := newRef()
			var proof evm.Proof
			require.Eventually(t, func() (done bool) {
				var err error
				proof, err = r.Settle(within(t, 10*time.Second), transfer(ref, a, signature), unnoticed)
				return err == nil
			}, 2*time.Minute, 100*time.Millisecond)
			s.proves(t, proof, a)
			require.LessOrEqual(t, s.stored(t), 1)
		})
	}
}

func TestNoNode(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a, signature := s.payment(t, money.One)
	dead := "http://127.0.0.1:1"
	broken := newNode(t, &node{spoil: func(w http.ResponseWriter, _ int64, _ []byte) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	}})
	garbage := newNode(t, &node{spoil: func(w http.ResponseWriter, _ int64, _ []byte) bool {
		_, _ = w.Write([]byte("<html>hello</html>"))
		return true
	}})
	empty := newNode(t, &node{swallow: func(string) json.RawMessage { return json.RawMessage("null") }})
	for name, urls := range map[string][]string{
		"none": nil, "dead": {dead}, "broken": {broken.URL}, "garbage": {garbage.URL}, "empty": {empty.URL}, "all of them": {dead, broken.URL, garbage.URL},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chain := dial(t, urls...)
			_, err := chain.Head(t.Context())
			require.ErrorIs(t, err, evm.ErrUnavailable)
			_, err = chain.Balance(t.Context(), a.From)
			require.ErrorIs(t, err, evm.ErrUnavailable)
			_, err = chain.GasBalance(t.Context(), a.From)
			require.ErrorIs(t, err, evm.ErrUnavailable)
			_, err = chain.Resolve(t.Context(), a)
			require.ErrorIs(t, err, evm.ErrUnavailable)
			_, err = chain.IsDevelopment(t.Context())
			require.ErrorIs(t, err, evm.ErrUnavailable)
			_, err = chain.BlockHashes(t.Context(), []uint64{1, 2})
			require.ErrorIs(t, err, evm.ErrUnavailable)
			if name != "empty" {
				require.ErrorIs(t, chain.CheckContractSignature(t.Context(), a.From, random(), signature), evm.ErrUnavailable)
			}
			r := evm.NewRelayer(s.pool, chain, s.key, evm.RelayerOptions{})
			_, err = r.Settle(within(t, 5*time.Second), transfer(newRef(), a, signature),
				keeper(func(context.Context, pgx.Tx, common.Hash) error { return errors.New("stored") }))
			require.ErrorIs(t, err, evm.ErrUnavailable)
			require.NotErrorIs(t, err, evm.ErrUnknown)
		})
	}

	t.Run("the second of two", func(t *testing.T) {
		t.Parallel()
		_, err := dial(t, dead, world.chain.URL()).Head(t.Context())
		require.NoError(t, err)
		hashes, err := dial(t, dead, world.chain.URL()).BlockHashes(t.Context(), []uint64{0})
		require.NoError(t, err)
		require.Len(t, hashes, 1)
	})
}

func TestWhatWasStoredIsSentLater(t *testing.T) {
	t.Parallel()
	s := setup(t)
	deaf := newNode(t, &node{swallow: func(method string) json.RawMessage {
		if method == "eth_sendRawTransaction" {
			return json.RawMessage(`"` + random().Hex() + `"`)
		}
		return nil
	}})
	a, signature := s.payment(t, money.One)
	s2 := *s
	s2.key = stranger(t) // no relayer of this key is running
	r := evm.NewRelayer(s.pool, dial(t, deaf.URL), s2.key, evm.RelayerOptions{})
	ctx, stored := abandoned(t)
	_, err := r.Settle(ctx, transfer(newRef(), a, signature), stored)
	require.ErrorIs(t, err, evm.ErrUnknown)
	_, err = s.chain.Resolve(t.Context(), a)
	require.ErrorIs(t, err, evm.ErrOpen)

	s2.run(t, s.chain, evm.RelayerOptions{})
	require.Eventually(t, func() bool {
		proof, err := s.chain.Resolve(t.Context(), a)
		return err == nil && proof.Value == money.One
	}, 20*time.Second, 100*time.Millisecond, "a relayer that starts sends what was stored")
}

func TestAUseIsLookedForBackToWhenItMayHaveBeen(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a, signature := s.payment(t, money.One)
	_, err := s.relayer.Settle(within(t, 20*time.Second), transfer(newRef(), a, signature), unnoticed)
	require.NoError(t, err)
	later, other := s.payment(t, money.One)
	_, err = s.relayer.Settle(within(t, 20*time.Second), transfer(newRef(), later, other), unnoticed)
	require.NoError(t, err)
	narrow := evm.Dial(s.chain.Network(), evm.Options{LogBlocks: 1})
	a.ValidBefore = big.NewInt(time.Now().Add(48 * time.Hour).Unix()) // as whoever forgot when it was signed would write it now
	_, err = narrow.Resolve(t.Context(), a)
	require.ErrorIs(t, err, evm.ErrUnavailable)
	proof, err := narrow.ResolveSince(t.Context(), a, time.Now().Add(-time.Hour))
	require.NoError(t, err)
	s.proves(t, proof, a)
}
