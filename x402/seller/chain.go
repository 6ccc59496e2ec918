package seller

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"xsynesis/x402"
)

// Chain tells what became of payments that a facilitator says nothing about.
type Chain interface {
	// Moved is the transaction that moved the money of an authorization; "" while none has.
	Moved(ctx context.Context, a x402.Authorization) (transaction string, err error)
}

// Node asks a node of the token's network, by its JSON-RPC address.
func Node(address string, t x402.Token) Chain {
	return &node{address: address, token: t, client: &http.Client{Timeout: nodeTimeout}}
}

const (
	nodeTimeout = 5 * time.Second
	nodeMost    = 1 << 20 // bytes of an answer
	nodeBack    = 2000    // blocks that are searched; more than an hour of the networks that we know
)

type node struct {
	address string
	token   x402.Token
	client  *http.Client
}

var (
	topicUsed     = crypto.Keccak256Hash([]byte("AuthorizationUsed(address,bytes32)"))
	topicTransfer = crypto.Keccak256Hash([]byte("Transfer(address,address,uint256)"))
)

var errNode = errors.New("seller: node gave no usable answer")

// Moved implements [Chain]. A use counts where the token logged it, with the transfer that was signed in the same
// transaction: that the nonce is used says no more than that it was used or cancelled.
func (n *node) Moved(ctx context.Context, a x402.Authorization) (string, error) {
	var head hexutil.Uint64
	if err := n.call(ctx, &head, "eth_blockNumber"); err != nil {
		return "", err
	}
	from := uint64(head) - min(uint64(head), nodeBack)
	payer := common.BytesToHash(a.From.Bytes())
	used, err := n.logs(ctx, from, topicUsed, payer, a.Nonce)
	if err != nil || len(used) == 0 {
		return "", err
	}
	moved, err := n.logs(ctx, uint64(used[0].Block), topicTransfer, payer, common.BytesToHash(a.To.Bytes()))
	if err != nil {
		return "", err
	}
	for _, l := range moved {
		if l.Transaction == used[0].Transaction && new(big.Int).SetBytes(l.Data).Cmp(a.Value) == 0 {
			return l.Transaction.Hex(), nil
		}
	}
	return "", fmt.Errorf("%w: %s was used and nothing moved", errNode, a.Nonce)
}

type logEntry struct {
	Transaction common.Hash    `json:"transactionHash"`
	Block       hexutil.Uint64 `json:"blockNumber"`
	Data        hexutil.Bytes  `json:"data"`
	Removed     bool           `json:"removed"`
}

func (n *node) logs(ctx context.Context, from uint64, topics ...common.Hash) ([]logEntry, error) {
	var found, kept []logEntry
	err := n.call(ctx, &found, "eth_getLogs", map[string]any{
		"address": n.token.Address, "fromBlock": hexutil.Uint64(from), "toBlock": "latest", "topics": topics,
	})
	for _, l := range found {
		if !l.Removed {
			kept = append(kept, l)
		}
	}
	return kept, err
}

func (n *node) call(ctx context.Context, result any, method string, args ...any) error {
	if args == nil {
		args = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": args})
	if err != nil {
		return fmt.Errorf("ask for %s: %w", method, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.address, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %s: bad address", errNode, method)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := n.client.Do(r)
	if err != nil {
		return fmt.Errorf("%w: %s", errNode, method) // the error names the address, which may hold a key
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	var said struct {
		Result json.RawMessage `json:"result"`
		Error  *struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, nodeMost)).Decode(&said); err != nil {
		return fmt.Errorf("%w: %s: status %d", errNode, method, answer.StatusCode)
	}
	if said.Error != nil || said.Result == nil {
		return fmt.Errorf("%w: %s was refused", errNode, method)
	}
	if err := json.Unmarshal(said.Result, result); err != nil {
		return fmt.Errorf("%w: %s: %w", errNode, method, err)
	}
	return nil
}
