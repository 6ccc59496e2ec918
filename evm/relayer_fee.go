package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"xsynesis/x402"
)

const (
	feesFresh  = 30 * time.Second
	minTip     = 1_000_000 // wei; what the cheapest nodes take
	typicalGas = 90_000    // of one transfer, with some air
)

// fee is what a transaction offers, in wei per gas.
type fee struct{ tip, limit int64 }

// transaction is a call with everything but its nonce and signature.
func (f fee) transaction(to common.Address, gas uint64, data []byte) types.DynamicFeeTx {
	return types.DynamicFeeTx{
		To: &to, Value: new(big.Int), Data: data, Gas: gas,
		GasTipCap: big.NewInt(f.tip), GasFeeCap: big.NewInt(f.limit),
	}
}

// raised is the fee by which a node lets a transaction replace another: more than 12.5 % more on both parts, and
// at least today's. ok is false above the limit.
func (f fee) raised(today fee, limit int64) (raised fee, ok bool) {
	raised = fee{tip: max(f.tip+f.tip*15/100+1, today.tip), limit: max(f.limit+f.limit*15/100+1, today.limit)}
	return raised, raised.limit <= limit
}

// fees remembers what the network asks, so that a settlement need not.
type fees struct {
	mu      sync.Mutex
	base    int64
	tip     int64
	at      time.Time
	balance *big.Int // of the relayer; nil until known
}

func (f *fees) note(base int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.base = base
}

// fee is today's offer. The limit leaves room for the base fee to double.
func (r *Relayer) fee(ctx context.Context) (fee, error) {
	r.fees.mu.Lock()
	fresh := r.o.Now().Sub(r.fees.at) < feesFresh
	base, tip := r.fees.base, r.fees.tip
	r.fees.mu.Unlock()
	if !fresh {
		if err := r.refreshFees(ctx); err != nil {
			return fee{}, err
		}
		r.fees.mu.Lock()
		base, tip = r.fees.base, r.fees.tip
		r.fees.mu.Unlock()
	}
	return fee{tip: tip, limit: min(2*base+tip, r.o.MaxFee)}, nil
}

func (r *Relayer) refreshFees(ctx context.Context) error {
	head, err := r.chain.Head(ctx)
	if err != nil {
		return err
	}
	var tip *hexutil.Big
	if err := r.chain.nodes.call(ctx, &tip, "eth_maxPriorityFeePerGas"); err != nil {
		return fmt.Errorf("tip: %w", err)
	}
	if tip == nil || !tip.ToInt().IsInt64() || tip.ToInt().Sign() < 0 {
		return fmt.Errorf("tip: %w: no answer", ErrUnavailable)
	}
	r.fees.mu.Lock()
	defer r.fees.mu.Unlock()
	r.fees.base, r.fees.at = min(head.BaseFee, r.o.MaxFee), r.o.Now()
	r.fees.tip = min(max(tip.ToInt().Int64(), minTip), r.o.MaxFee/2)
	return nil
}

const (
	// contractGas is the most that a transfer may burn whose payer has code: about 90,000 are the token's, the rest is what
	// we spend on a stranger's contract saying yes.
	contractGas = 150_000
	// transactionGas is the most that one transaction may allow itself (EIP-7825).
	transactionGas = 1 << 24
)

// prepare makes the calldata of a transfer, tries it, and returns the gas to allow for it. Whether the payer has code is
// asked in the same moment as the trial that nearly always does.
func (r *Relayer) prepare(ctx context.Context, a x402.Authorization, signature []byte) (data []byte, gas uint64, err error) {
	var code bool
	var asked error
	var asking sync.WaitGroup
	asking.Go(func() { code, asked = r.chain.hasCode(ctx, a.From) })
	data = transferCall(a, signature, false)
	gas, err = r.simulate(ctx, data)
	asking.Wait()
	if asked != nil {
		return nil, 0, asked
	}
	if !code {
		return data, air(gas), err
	}
	data = transferCall(a, signature, true)
	if gas, err = r.simulate(ctx, data); err != nil {
		return nil, 0, err
	}
	if gas > contractGas {
		return nil, 0, &x402.Invalid{Kind: x402.Simulation, Detail: "the payer's contract burns too much gas"}
	}
	return data, min(air(gas), contractGas), nil
}

// air leaves room for what may change until a transfer is mined: the payee's balance may be empty again, which costs more
// to fill.
func air(gas uint64) uint64 { return gas + gas/3 }

// simulate runs the exact calldata from the relayer's address and returns the gas that it burns.
func (r *Relayer) simulate(ctx context.Context, data []byte) (uint64, error) {
	gas, err := r.estimate(ctx, r.chain.network.Token.Address, data)
	var reverted *RevertError
	switch {
	case errors.As(err, &reverted):
		return 0, refusal(reverted.Reason)
	case err != nil:
		return 0, fmt.Errorf("simulate: %w", err)
	case gas > transactionGas:
		return 0, fmt.Errorf("simulate: %w: %d gas", ErrUnavailable, gas)
	default:
		return gas, nil
	}
}

// estimate is the gas that a call from the relayer's address burns, or a *[RevertError].
func (r *Relayer) estimate(ctx context.Context, to common.Address, data []byte) (uint64, error) {
	var gas hexutil.Uint64
	message := map[string]any{"from": r.address, "to": to, "data": hexutil.Bytes(data)}
	if err := r.chain.nodes.call(ctx, &gas, "eth_estimateGas", message, "latest"); err != nil {
		return 0, err
	}
	if gas < fillerGas {
		return 0, fmt.Errorf("%w: %d gas", ErrUnavailable, gas)
	}
	return uint64(gas), nil
}

// ready makes sure of the nonce's row and of the gas money, before anything is reserved.
func (r *Relayer) ready(ctx context.Context, gas uint64) error {
	if err := r.open(ctx); err != nil {
		return err
	}
	today, err := r.fee(ctx)
	if err != nil {
		return err
	}
	need := new(big.Int).Mul(new(big.Int).SetUint64(gas), big.NewInt(today.limit))
	if r.balance() != nil && r.balance().Cmp(need) >= 0 {
		return nil
	}
	balance, err := r.refreshBalance(ctx)
	if err != nil {
		return err
	}
	if balance.Cmp(need) < 0 {
		return fmt.Errorf("%w: %s holds %s wei and needs %s", ErrUnfunded, r.address, balance, need)
	}
	return nil
}

func (r *Relayer) balance() *big.Int {
	r.fees.mu.Lock()
	defer r.fees.mu.Unlock()
	return r.fees.balance
}

func (r *Relayer) refreshBalance(ctx context.Context) (*big.Int, error) {
	balance, err := r.chain.GasBalance(ctx, r.address)
	if err != nil {
		return nil, err
	}
	r.fees.mu.Lock()
	defer r.fees.mu.Unlock()
	r.fees.balance = balance
	return balance, nil
}
