package checkout

import (
	"context"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/evm"
	"xsynesis/money"
	"xsynesis/x402"
)

// owing is what payers owe for the calls that this process makes for them. Each payment by itself may be good, where there
// is money for one of them: sellers' servers would work for all, and their answers be held, for the price of that one.
type owing struct {
	mu sync.Mutex
	of map[payerOf]money.USDC
}

type payerOf struct {
	network string
	payer   common.Address
}

// add counts a call in, and returns what its payer owes with it. The caller counts it out when its money is there, or is
// not asked for.
func (o *owing) add(a Attempt, payer common.Address) (owed money.USDC, settled func()) {
	who := payerOf{a.Network.ID, payer}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of == nil {
		o.of = map[payerOf]money.USDC{}
	}
	o.of[who] += a.Amount
	return o.of[who], func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.of[who] -= a.Amount; o.of[who] == 0 {
			delete(o.of, who)
		}
	}
}

// affords looks whether a payer has what he owes; the only call under way was tried on the chain already.
func affords(ctx context.Context, chain *evm.Chain, payer common.Address, price, owed money.USDC) error {
	if owed == price {
		return nil
	}
	balance, err := chain.Balance(ctx, payer)
	if err != nil {
		return err
	}
	if balance < owed {
		return &x402.Invalid{Kind: x402.Funds, Detail: "it is not enough for all calls under way"}
	}
	return nil
}
