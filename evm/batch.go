package evm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"xsynesis/fault"
)

// togetherTimeout bounds what is done for several before they are sent.
const togetherTimeout = 20 * time.Second

// gathering brings together transfers that come at about the same time. Who comes when none has gone for a while goes at
// once and alone; those who come soon after wait for each other.
type gathering struct {
	most   int
	window time.Duration
	leave  func([]*rider)

	mu      sync.Mutex
	waiting []*rider
	open    bool // one has gone less than a window ago
}

// rider is a transfer that waits for others.
type rider struct {
	charge
	ctx  context.Context //nolint:containedctx // each may leave before anything is done for him
	told chan outcome
}

// outcome is what became of a rider: a stored transaction with its waiter, an error, or nothing of both: he goes alone.
type outcome struct {
	current *relay
	waiter  *waiter
	err     error
}

func (r *rider) tell(o outcome) { r.told <- o }

// join returns what became of a transfer. When ctx ends before anything was done for it, nothing will be; after that, join
// waits for what comes of it.
func (g *gathering) join(ctx context.Context, c charge) outcome {
	g.mu.Lock()
	if !g.open {
		g.open = true
		time.AfterFunc(g.window, g.close)
		g.mu.Unlock()
		return outcome{}
	}
	me := &rider{charge: c, ctx: ctx, told: make(chan outcome, 1)}
	g.waiting = append(g.waiting, me)
	var full []*rider
	if len(g.waiting) == g.most {
		full, g.waiting = g.waiting, nil
	}
	g.mu.Unlock()
	if full != nil {
		go g.leave(full)
	}
	return <-me.told
}

// close ends a window: those who waited go, and another begins; or nobody did, and whoever comes next goes at once.
func (g *gathering) close() {
	g.mu.Lock()
	riders := g.waiting
	g.waiting, g.open = nil, len(riders) > 0
	if g.open {
		time.AfterFunc(g.window, g.close)
	}
	g.mu.Unlock()
	if len(riders) > 0 {
		g.leave(riders)
	}
}

// company is where a transfer waits for others, or nil where it goes alone. What a contract has to say to a signature may
// burn everybody's gas: only signatures of keys are let in.
func (r *Relayer) company(t Transfer, most int) *gathering {
	if len(t.Signature) != crypto.SignatureLength {
		return nil
	}
	for _, g := range r.gathering {
		if g.most <= most {
			return g
		}
	}
	return nil
}

// together stores one transaction for those who are still there.
func (r *Relayer) together(riders []*rider) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(riders[0].ctx), togetherTimeout)
	defer cancel()
	sources := map[string]bool{}
	var here, again []*rider
	for _, each := range riders {
		switch err := each.ctx.Err(); {
		case err != nil:
			each.tell(outcome{err: fmt.Errorf("%w: wait for others: %w", ErrUnavailable, err)})
		case sources[each.Source]:
			again = append(again, each)
		default:
			sources[each.Source] = true
			here = append(here, each)
		}
	}
	r.share(ctx, here)
	for _, each := range again { // alone he finds what was stored for him just now
		each.tell(outcome{})
	}
}

// share stores one transaction for all whom it can move. Where that fails, for whatever reason of one of them, each half
// gets one, down to those who go alone and have errors of their own.
func (r *Relayer) share(ctx context.Context, riders []*rider) {
	riders, call, err := r.rehearse(ctx, riders)
	var current *relay
	if err == nil && len(riders) > 1 {
		current, err = r.storeShared(ctx, riders, call)
	}
	switch {
	case len(riders) == 0:
	case len(riders) == 1:
		riders[0].tell(outcome{})
	case err == nil:
		for _, each := range riders {
			each.tell(outcome{current: current, waiter: r.flight.enter(current)})
		}
	case ctx.Err() != nil || errors.Is(err, ErrUnknown) || errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrUnfunded):
		for _, each := range riders {
			each.tell(outcome{err: err})
		}
	default:
		r.log.InfoContext(ctx, "transfers cannot go together", "transfers", len(riders), "error", err)
		half := len(riders) / 2
		r.share(ctx, riders[:half])
		r.share(ctx, riders[half:])
	}
}

// sharedCall is the calldata that moves several, and the gas to allow for it.
type sharedCall struct {
	data []byte
	gas  uint64
}

func (r *Relayer) storeShared(ctx context.Context, riders []*rider, call sharedCall) (*relay, error) {
	fault.At(fault.RelaySimulated)
	if err := r.ready(ctx, call.gas); err != nil {
		return nil, err
	}
	fee, err := r.fee(ctx)
	if err != nil {
		return nil, err
	}
	s := storing{unsigned: fee.transaction(r.chain.network.Multicall, call.gas, call.data)}
	for _, each := range riders {
		s.charges = append(s.charges, each.charge)
	}
	return r.store(ctx, s)
}

// errTogether says that transfers cannot share a transaction.
var errTogether = errors.New("evm: too much for one transaction")

// rehearse simulates a transaction for all, and returns those whom it can move and how. Who cannot come is told: payers that
// have code go alone, with a limit of their own, and who would be refused is.
func (r *Relayer) rehearse(ctx context.Context, riders []*rider) ([]*rider, sharedCall, error) {
	if len(riders) < 2 {
		return riders, sharedCall{}, nil
	}
	var coded map[common.Address]bool
	var asked error
	var asking sync.WaitGroup
	asking.Go(func() { coded, asked = r.coded(ctx, riders) })
	gas, err := r.estimate(ctx, r.chain.network.Multicall, aggregateCall(r.chain.network.Token.Address, riders, true))
	asking.Wait()
	if asked != nil {
		return riders, sharedCall{}, asked
	}
	everybody := len(riders)
	riders = dismiss(riders, func(each *rider) *outcome {
		if coded[each.Authorization.From] {
			return &outcome{}
		}
		return nil
	})
	var reverted *RevertError
	refused := errors.As(err, &reverted)
	if refused && len(riders) > 1 {
		if riders, err = r.judge(ctx, riders); err != nil {
			return riders, sharedCall{}, err
		}
	}
	if len(riders) < 2 {
		return riders, sharedCall{}, nil
	}
	if refused || len(riders) < everybody {
		gas, err = r.estimate(ctx, r.chain.network.Multicall, aggregateCall(r.chain.network.Token.Address, riders, true))
	}
	if gas += gas * 3 / 100; err == nil && gas > transactionGas {
		err = errTogether
	}
	if err != nil {
		return riders, sharedCall{}, fmt.Errorf("simulate %d together: %w", len(riders), err)
	}
	return riders, sharedCall{aggregateCall(r.chain.network.Token.Address, riders, false), gas}, nil
}

// dismiss tells those for whom there is something to tell, and returns the others.
func dismiss(riders []*rider, why func(*rider) *outcome) []*rider {
	return slices.DeleteFunc(slices.Clone(riders), func(each *rider) bool {
		o := why(each)
		if o != nil {
			each.tell(*o)
		}
		return o != nil
	})
}

// coded tells which payers have code. Where the chain has no contract that moves many, it is as if all had: a call to
// nobody succeeds, and moves nothing.
func (r *Relayer) coded(ctx context.Context, riders []*rider) (map[common.Address]bool, error) {
	if !r.multicall.Load() {
		there, err := r.chain.hasCode(ctx, r.chain.network.Multicall)
		if err != nil {
			return nil, err
		}
		r.multicall.Store(there)
	}
	payers := make([]common.Address, len(riders))
	for i, each := range riders {
		payers[i] = each.Authorization.From
	}
	if r.multicall.Load() {
		return r.chain.haveCode(ctx, payers)
	}
	all := map[common.Address]bool{}
	for _, payer := range payers {
		all[payer] = true
	}
	return all, nil
}

// judge runs the exact call in which each may fail, and refuses those that do.
func (r *Relayer) judge(ctx context.Context, riders []*rider) ([]*rider, error) {
	results, err := r.rehearsal(ctx, riders)
	if err != nil {
		return riders, err
	}
	i := -1
	return dismiss(riders, func(*rider) *outcome {
		if i++; results[i].success {
			return nil
		}
		reason, ok := decodeErrorString(results[i].data)
		if !ok {
			reason = "execution reverted"
		}
		return &outcome{err: refusal(reason)}
	}), nil
}
