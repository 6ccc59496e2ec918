package evm

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"
)

// BlockHashes names the blocks that the chain has at these heights.
func (c *Chain) BlockHashes(ctx context.Context, numbers []uint64) (map[uint64]common.Hash, error) {
	headers, err := c.headers(ctx, numbers)
	hashes := make(map[uint64]common.Hash, len(headers))
	for number, h := range headers {
		hashes[number] = h.Hash
	}
	return hashes, err
}

// BlockTimes tells when the chain's blocks at these heights were made.
func (c *Chain) BlockTimes(ctx context.Context, numbers []uint64) (map[uint64]time.Time, error) {
	headers, err := c.headers(ctx, numbers)
	times := make(map[uint64]time.Time, len(headers))
	for number, h := range headers {
		times[number] = time.Unix(int64(h.Time), 0).UTC() //nolint:gosec // Seconds since 1970.
	}
	return times, err
}

// header is what is read of a block where many are asked for.
type header struct {
	Number hexutil.Uint64 `json:"number"`
	Hash   common.Hash    `json:"hash"`
	Time   hexutil.Uint64 `json:"timestamp"`
}

func (c *Chain) headers(ctx context.Context, numbers []uint64) (map[uint64]header, error) {
	headers := make(map[uint64]header, len(numbers))
	for some := range slices.Chunk(numbers, batchLimit) {
		elements := make([]rpc.BatchElem, len(some))
		for i, number := range some {
			elements[i] = rpc.BatchElem{Method: "eth_getBlockByNumber", Args: []any{hexutil.Uint64(number), false}, Result: new(*header)}
		}
		if err := c.nodes.batch(ctx, elements); err != nil {
			return nil, fmt.Errorf("blocks from %d: %w", some[0], err)
		}
		for i, number := range some {
			answer := *elements[i].Result.(**header) //nolint:forcetypeassert // Made above.
			if answer == nil || uint64(answer.Number) != number || answer.Hash == (common.Hash{}) {
				return nil, fmt.Errorf("block %d: %w: no answer", number, ErrUnavailable)
			}
			headers[number] = *answer
		}
	}
	return headers, nil
}

// FirstSince is the height of the first block that was made at a time or after it; where there is none yet, that of the next
// block. The first block of all, in which nothing moves, is left out.
func (c *Chain) FirstSince(ctx context.Context, t time.Time) (uint64, error) {
	head, err := c.Head(ctx)
	if err != nil {
		return 0, err
	}
	low, high := uint64(1), head.Number+1
	for low < high {
		middle := low + (high-low)/2
		b, err := c.blockAt(ctx, middle)
		if err != nil {
			return 0, err
		}
		if b.Time.Before(t) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}
