package evm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"xsynesis/money"
)

// watchMost is how many addresses one log search asks for.
const watchMost = 500

// Arrival is the token coming to an address, as the receipt of its transaction shows it.
type Arrival struct {
	Proof
	// Position is the log's place within its own transaction: it stays when another block takes the transaction.
	Position uint
	// Nonce is that of the authorization by which the money moved; zero where its owner sent it himself.
	Nonce common.Hash
}

// Sightings lists what came to any of these addresses in blocks from to until, both included, oldest first: whatever any
// node shows, since one may be behind the others, or keep logs to itself. A sighting proves nothing; [Chain.Arrivals] does.
func (c *Chain) Sightings(ctx context.Context, to []common.Address, from, until uint64) ([]Proof, error) {
	return c.sight(ctx, to, from, until, func(some []common.Hash) []any { return []any{topicTransfer, nil, some} })
}

// departures is what left these addresses.
func (c *Chain) departures(ctx context.Context, of []common.Address, from, until uint64) ([]Proof, error) {
	return c.sight(ctx, of, from, until, func(some []common.Hash) []any { return []any{topicTransfer, some} })
}

func (c *Chain) sight(ctx context.Context, addresses []common.Address, from, until uint64, topics func([]common.Hash) []any) ([]Proof, error) {
	var all []Proof
	for some := range slices.Chunk(addresses, watchMost) {
		padded := make([]common.Hash, len(some))
		for i, address := range some {
			padded[i] = common.BytesToHash(address.Bytes())
		}
		for first := from; first <= until; first += c.logBlocks {
			found, err := c.sightRange(ctx, topics(padded), first, min(first+c.logBlocks-1, until))
			if err != nil {
				return nil, fmt.Errorf("transfers in blocks %d to %d: %w", first, until, err)
			}
			all = append(all, found...)
		}
	}
	slices.SortFunc(all, func(a, b Proof) int {
		return cmp.Or(cmp.Compare(a.Block, b.Block), cmp.Compare(a.LogIndex, b.LogIndex))
	})
	return all, nil
}

// sightRange asks every node at once. One that does not answer is no loss while another does.
func (c *Chain) sightRange(ctx context.Context, topics []any, from, until uint64) ([]Proof, error) {
	answers, problems := make([][]logEntry, len(c.nodes.urls)), make([]error, len(c.nodes.urls))
	var asking sync.WaitGroup
	for i := range c.nodes.urls {
		asking.Go(func() { answers[i], problems[i] = c.logsOf(ctx, i, topics, from, until) })
	}
	asking.Wait()
	if !slices.Contains(problems, nil) {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(problems...))
	}
	type place struct {
		block common.Hash
		index uint
	}
	known := map[place]bool{}
	var found []Proof
	for _, logs := range answers {
		for _, l := range logs {
			p, ok := l.arrival(c.network.Token.Address)
			if at := (place{p.BlockHash, p.LogIndex}); ok && p.Block >= from && p.Block <= until && !known[at] {
				known[at] = true
				found = append(found, p)
			}
		}
	}
	return found, nil
}

// logsOf asks one node, for fewer blocks at a time where it refuses: each has its own limit of blocks and of logs.
func (c *Chain) logsOf(ctx context.Context, node int, topics []any, from, until uint64) ([]logEntry, error) {
	var logs []logEntry
	err := c.nodes.callNode(ctx, node, &logs, "eth_getLogs", map[string]any{
		"address": c.network.Token.Address, "fromBlock": hexutil.Uint64(from), "toBlock": hexutil.Uint64(until), "topics": topics,
	})
	var refused rpc.Error
	if err == nil || from == until || !errors.As(err, &refused) {
		return logs, err
	}
	middle := from + (until-from)/2
	first, err := c.logsOf(ctx, node, topics, from, middle)
	if err != nil {
		return nil, err
	}
	second, err := c.logsOf(ctx, node, topics, middle+1, until)
	return append(first, second...), err
}

// Arrivals lists what a transaction brought to any of these addresses, in its order. One that was mined in vain brought
// nothing. Errors: [ErrUnproven] while the chain does not have it, [ErrUnavailable].
func (c *Chain) Arrivals(ctx context.Context, transaction common.Hash, to []common.Address) ([]Arrival, error) {
	r, err := c.anyReceipt(ctx, transaction)
	if err != nil {
		return nil, fmt.Errorf("receipt of %s: %w", transaction, err)
	}
	b, err := c.blockAt(ctx, uint64(r.Block))
	if err != nil {
		return nil, err
	}
	if r.BlockHash != b.Hash {
		return nil, fmt.Errorf("receipt of %s: %w: it and its block disagree", transaction, ErrUnavailable)
	}
	if !r.succeeded() {
		return nil, nil
	}
	var all []Arrival
	var before logEntry // of the token's
	for _, l := range r.Logs {
		if l.Address != c.network.Token.Address || l.Hash != r.Hash || l.BlockHash != r.BlockHash {
			continue
		}
		if p, ok := l.arrival(c.network.Token.Address); ok && slices.Contains(to, p.Payee) {
			p.Time = b.Time
			all = append(all, Arrival{Proof: p, Position: uint(l.Index - r.Logs[0].Index), Nonce: before.usedBy(p.Payer)})
		}
		before = l
	}
	return all, nil
}

// usedBy is the nonce of the payer's authorization that this log says was used, or zero. The token's next log is its transfer.
func (l logEntry) usedBy(payer common.Address) common.Hash {
	if len(l.Topics) == 3 && l.Topics[0] == topicUsed && l.Topics[1] == common.BytesToHash(payer.Bytes()) {
		return l.Topics[2]
	}
	return common.Hash{}
}

// anyReceipt asks node after node until one has it: the first may be behind.
func (c *Chain) anyReceipt(ctx context.Context, transaction common.Hash) (receipt, error) {
	var r *receipt
	none := fmt.Errorf("%w: there is no transaction %s", ErrUnproven, transaction)
	err := c.nodes.each(ctx, func(i int) error {
		if err := c.nodes.callNode(ctx, i, &r, "eth_getTransactionReceipt", transaction); err != nil {
			return err
		}
		if r == nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, none)
		}
		return nil
	})
	switch {
	case errors.Is(err, ErrUnproven):
		return receipt{}, none
	case err != nil:
		return receipt{}, err
	case r.Hash != transaction:
		return receipt{}, fmt.Errorf("%w: it is that of another", ErrUnavailable)
	}
	return *r, nil
}

// Missed holds what any node shows of these blocks against the balances at their ends, and returns the transactions that
// brought something to one of the addresses and are in no log. It needs nodes that remember the state of those blocks.
func (c *Chain) Missed(ctx context.Context, to []common.Address, from, until uint64) ([]common.Hash, error) {
	in, err := c.Sightings(ctx, to, from, until)
	if err != nil {
		return nil, err
	}
	out, err := c.departures(ctx, to, from, until)
	if err != nil {
		return nil, err
	}
	m := missing{c, in, out}
	var lost []common.Hash
	for some := range slices.Chunk(to, batchLimit/2) {
		before, after, err := c.balances(ctx, some, from, until)
		if err != nil {
			return nil, err
		}
		for i, owner := range some {
			found, err := m.find(ctx, owner, span{from, until, before[i], after[i]})
			if err != nil {
				return nil, err
			}
			lost = append(lost, found...)
		}
	}
	slices.SortFunc(lost, common.Hash.Cmp)
	return slices.Compact(lost), nil
}

// missing looks for transfers that no log shows.
type missing struct {
	chain   *Chain
	in, out []Proof
}

// span is some blocks, and what an address held before and after them.
type span struct {
	from, until   uint64
	before, after money.USDC
}

func (m missing) find(ctx context.Context, owner common.Address, s span) ([]common.Hash, error) {
	if s.before+m.change(owner, s) == s.after {
		return nil, nil
	}
	if s.from == s.until {
		return m.chain.bringing(ctx, owner, s.from)
	}
	middle := s.from + (s.until-s.from)/2
	_, between, err := m.chain.balances(ctx, []common.Address{owner}, middle, middle)
	if err != nil {
		return nil, err
	}
	first, err := m.find(ctx, owner, span{s.from, middle, s.before, between[0]})
	if err != nil {
		return nil, err
	}
	second, err := m.find(ctx, owner, span{middle + 1, s.until, between[0], s.after})
	return append(first, second...), err
}

// change is what the logs say became of a balance.
func (m missing) change(owner common.Address, s span) (sum money.USDC) {
	for _, p := range m.in {
		if p.Payee == owner && p.Block >= s.from && p.Block <= s.until {
			sum += p.Value
		}
	}
	for _, p := range m.out {
		if p.Payer == owner && p.Block >= s.from && p.Block <= s.until {
			sum -= p.Value
		}
	}
	return sum
}

// bringing is the transactions of one block that brought something to an address, by the block's receipts.
func (c *Chain) bringing(ctx context.Context, owner common.Address, number uint64) ([]common.Hash, error) {
	var receipts []receipt
	if err := c.nodes.call(ctx, &receipts, "eth_getBlockReceipts", hexutil.Uint64(number)); err != nil {
		return nil, fmt.Errorf("receipts of block %d: %w", number, err)
	}
	var all []common.Hash
	for _, r := range receipts {
		if r.succeeded() && slices.ContainsFunc(r.Logs, func(l logEntry) bool {
			p, ok := l.arrival(c.network.Token.Address)
			return ok && p.Payee == owner
		}) {
			all = append(all, r.Hash)
		}
	}
	return all, nil
}

// balances is what addresses held before the first block and after the last one.
func (c *Chain) balances(ctx context.Context, owners []common.Address, from, until uint64) (before, after []money.USDC, err error) {
	elements := make([]rpc.BatchElem, 0, 2*len(owners))
	for _, owner := range owners {
		message := map[string]any{"to": c.network.Token.Address, "data": hexutil.Bytes(call(callBalance, addressWord(owner)))}
		for _, at := range []uint64{from - min(from, 1), until} {
			elements = append(elements, rpc.BatchElem{Method: "eth_call", Args: []any{message, hexutil.Uint64(at)}, Result: new(hexutil.Bytes)})
		}
	}
	if err := c.nodes.batch(ctx, elements); err != nil {
		return nil, nil, fmt.Errorf("balances at blocks %d and %d: %w", from, until, err)
	}
	held := make([]money.USDC, len(elements))
	for i, e := range elements {
		answer := *e.Result.(*hexutil.Bytes) //nolint:forcetypeassert // Made above.
		n := new(big.Int).SetBytes(answer)
		if len(answer) < word || !n.IsInt64() {
			return nil, nil, fmt.Errorf("balances at blocks %d and %d: %w: no answer", from, until, ErrUnavailable)
		}
		held[i] = money.USDC(n.Int64())
	}
	for i := range owners {
		before, after = append(before, held[2*i]), append(after, held[2*i+1])
	}
	return before, after, nil
}
