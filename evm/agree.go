package evm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"
)

// ErrDisagree is returned by [Chain.Agree] where nodes show different blocks: one of them is wrong, or on its way. It is an
// [ErrUnavailable].
var ErrDisagree = fmt.Errorf("%w: its nodes disagree", ErrUnavailable)

// ErrAlone is returned by [Chain.Agree] where only one of several nodes shows the block. It is an [ErrUnavailable].
var ErrAlone = fmt.Errorf("%w: only one node shows the block", ErrUnavailable)

const (
	agreeLook = 200 * time.Millisecond // between two looks at a node that is behind
	agreeMost = 256                    // blocks that are remembered
)

// agreement remembers blocks on which the nodes of a chain agreed, so that the payments of one cost one look.
type agreement struct {
	mu    sync.Mutex
	known map[common.Hash]bool
	apart []*Chain
}

// Safe is the latest block that only a failure of the whole network could take away.
func (c *Chain) Safe(ctx context.Context) (Block, error) { return c.block(ctx, "safe") }

// Apart is the chain as each of its nodes shows it alone.
func (c *Chain) Apart() []*Chain {
	if len(c.nodes.urls) < 2 {
		return []*Chain{c}
	}
	c.agreement.mu.Lock()
	defer c.agreement.mu.Unlock()
	if c.agreement.apart == nil {
		for _, url := range c.nodes.urls {
			c.agreement.apart = append(c.agreement.apart, &Chain{network: c.network, nodes: newNodes([]string{url}, c.nodes.timeout), logBlocks: c.logBlocks})
		}
	}
	return c.agreement.apart
}

// Agree asks every node for the block at a height. Two that show this one are enough, where no other shows another; a node
// that is behind gets until patience is over. A chain of one node agrees with itself.
// Errors: [ErrDisagree], [ErrAlone].
func (c *Chain) Agree(ctx context.Context, number uint64, hash common.Hash, patience time.Duration) error {
	apart := c.Apart()
	if len(apart) < 2 || c.agreed(hash) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		same, behind, err := compareBlock(ctx, apart, number, hash)
		switch {
		case err != nil:
			return fmt.Errorf("block %d: %w", number, err)
		case same >= 2:
			c.agreement.mu.Lock()
			defer c.agreement.mu.Unlock()
			if len(c.agreement.known) >= agreeMost || c.agreement.known == nil {
				c.agreement.known = map[common.Hash]bool{}
			}
			c.agreement.known[hash] = true
			return nil
		case !behind:
			return fmt.Errorf("block %d: %w", number, ErrAlone)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("block %d: %w", number, ErrAlone)
		case <-time.After(agreeLook):
		}
	}
}

func (c *Chain) agreed(hash common.Hash) bool {
	c.agreement.mu.Lock()
	defer c.agreement.mu.Unlock()
	return c.agreement.known[hash]
}

// compareBlock counts the nodes that show a block, and tells whether some have none at that height yet.
func compareBlock(ctx context.Context, apart []*Chain, number uint64, hash common.Hash) (same int, behind bool, err error) {
	for _, node := range apart {
		shown, err := node.hashAt(ctx, number)
		switch {
		case errors.Is(err, errNoBlock):
			behind = true
		case err != nil: // it does not answer
		case shown != hash:
			return 0, false, ErrDisagree
		default:
			same++
		}
	}
	return same, behind, nil
}

var errNoBlock = errors.New("evm: no such block yet")

func (c *Chain) hashAt(ctx context.Context, number uint64) (common.Hash, error) {
	var header *blockName
	if err := c.nodes.call(ctx, &header, "eth_getBlockByNumber", hexutil.EncodeUint64(number), false); err != nil {
		return common.Hash{}, err
	}
	if header == nil || header.Hash == (common.Hash{}) {
		return common.Hash{}, errNoBlock
	}
	return header.Hash, nil
}

// Gone names those of these blocks that the chain does not have, or has not yet: which of both, whoever asks has to find out.
func (c *Chain) Gone(ctx context.Context, blocks []BlockRef) (gone []BlockRef, err error) {
	for some := range slices.Chunk(blocks, batchLimit) {
		elements := make([]rpc.BatchElem, len(some))
		for i, b := range some {
			elements[i] = rpc.BatchElem{Method: "eth_getBlockByNumber", Args: []any{hexutil.Uint64(b.Number), false}, Result: new(*blockName)}
		}
		if err := c.nodes.batch(ctx, elements); err != nil {
			return nil, fmt.Errorf("blocks from %d: %w", some[0].Number, err)
		}
		for i, b := range some {
			answer := *elements[i].Result.(**blockName) //nolint:forcetypeassert // Made above.
			if answer == nil || answer.Hash != b.Hash {
				gone = append(gone, b)
			}
		}
	}
	return gone, nil
}

type blockName struct {
	Hash common.Hash `json:"hash"`
}

// BlockRef is one block, by its height and its name.
type BlockRef struct {
	Number uint64
	Hash   common.Hash
}
