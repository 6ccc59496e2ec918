package evm

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"
)

var callAggregate = selector("aggregate3((address,bool,bytes)[])")

// aggregateCall is the calldata that moves many. Each of them may fail alone, or with a strict call all do.
func aggregateCall(token common.Address, riders []*rider, strict bool) []byte {
	alone := uintWord(1)
	if strict {
		alone = uintWord(0)
	}
	heads, tails := make([]byte, 0, len(riders)*word), []byte{}
	for _, each := range riders {
		heads = append(heads, uintWord(uint64(len(riders)*word+len(tails)))...)
		tails = append(tails, addressWord(token)...)
		tails = append(tails, alone...)
		tails = append(tails, uintWord(3*word)...)
		tails = append(tails, bytesTail(transferCall(each.Authorization, each.Signature, false))...)
	}
	return call(callAggregate, uintWord(word), uintWord(uint64(len(riders))), heads, tails)
}

// callResult is what one call of many came to.
type callResult struct {
	success bool
	data    []byte
}

// rehearsal runs the call of all these transfers without a transaction.
func (r *Relayer) rehearsal(ctx context.Context, riders []*rider) ([]callResult, error) {
	var answer hexutil.Bytes
	message := map[string]any{
		"from": r.address, "to": r.chain.network.Multicall, "gas": hexutil.Uint64(transactionGas),
		"data": hexutil.Bytes(aggregateCall(r.chain.network.Token.Address, riders, false)),
	}
	if err := r.chain.nodes.call(ctx, &answer, "eth_call", message, "latest"); err != nil {
		return nil, fmt.Errorf("simulate %d together: %w", len(riders), err)
	}
	results, ok := decodeResults(answer, len(riders))
	if !ok {
		return nil, fmt.Errorf("simulate %d together: %w: %d bytes are no answer", len(riders), ErrUnavailable, len(answer))
	}
	return results, nil
}

// decodeResults reads (bool success, bytes data)[].
func decodeResults(data []byte, count int) ([]callResult, bool) {
	at, ok := offset(data, 0)
	if !ok {
		return nil, false
	}
	length, ok := offset(data, at)
	if !ok || length != count {
		return nil, false
	}
	list := data[at+word:]
	results := make([]callResult, count)
	for i := range results {
		item, ok := offset(list, i*word)
		if !ok {
			return nil, false
		}
		success, ok := offset(list, item)
		if !ok || success > 1 {
			return nil, false
		}
		inner, ok := offset(list, item+word)
		if !ok {
			return nil, false
		}
		size, ok := offset(list, item+inner)
		if !ok || size > len(list)-item-inner-word {
			return nil, false
		}
		results[i] = callResult{success == 1, list[item+inner+word:][:size]}
	}
	return results, true
}

// offset reads a word as a place or a length in data; ok is false where it would lie outside.
func offset(data []byte, at int) (n int, ok bool) {
	if at < 0 || at > len(data)-word {
		return 0, false
	}
	value, ok := smallUint(data[at : at+word])
	if !ok || value > uint64(len(data)) {
		return 0, false
	}
	return int(value), true //nolint:gosec // At most the length of a slice.
}

// haveCode is [Chain.hasCode] for many.
func (c *Chain) haveCode(ctx context.Context, addresses []common.Address) (map[common.Address]bool, error) {
	code := make(map[common.Address]bool, len(addresses))
	var different []common.Address
	for _, address := range addresses {
		if _, known := code[address]; !known {
			code[address] = false
			different = append(different, address)
		}
	}
	for len(different) > 0 {
		some := different[:min(len(different), batchLimit)]
		different = different[len(some):]
		elements := make([]rpc.BatchElem, len(some))
		for i, address := range some {
			elements[i] = rpc.BatchElem{Method: "eth_getCode", Args: []any{address, "latest"}, Result: new(*hexutil.Bytes)}
		}
		if err := c.nodes.batch(ctx, elements); err != nil {
			return nil, fmt.Errorf("code of payers: %w", err)
		}
		for i, address := range some {
			answer := *elements[i].Result.(**hexutil.Bytes) //nolint:forcetypeassert // Made above.
			if answer == nil {
				return nil, fmt.Errorf("code of %s: %w: no answer", address, ErrUnavailable)
			}
			code[address] = len(*answer) > 0
		}
	}
	return code, nil
}
