package checkout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// errShallow is returned for a payment that is on the chain, but not yet in a block that is deep enough for its amount.
var errShallow = errors.New("checkout: not deep enough yet")

const (
	// agreePatience is how long a second node may be behind the first one before nobody waits for it.
	agreePatience = 3 * time.Second
	// limitFresh is how long a shop's limit is relied on before it is read again.
	limitFresh = 5 * time.Second
)

// certain tells whether a payment may count that the chain shows. Where several nodes are asked, they must agree on its block;
// up to the shop's limit one sealed block is enough, and above it the block must be safe.
// Errors: [errShallow]; [evm.ErrDisagree] and every other [evm.ErrUnavailable].
func (s *Service) certain(ctx context.Context, merchant id.Merchant, network string, amount money.USDC, proof evm.Proof) error {
	chain, err := s.chain(network)
	if err != nil {
		return err
	}
	limit, err := s.limits.of(ctx, s, merchant)
	if err != nil {
		return err
	}
	err = chain.Agree(ctx, proof.Block, proof.BlockHash, agreePatience)
	if small := amount <= limit; errors.Is(err, evm.ErrAlone) && small {
		slog.WarnContext(ctx, "only one node vouches for a payment", "merchant", merchant, "tx", proof.Transaction.Hex())
		return nil
	} else if err != nil || small {
		return err
	}
	safe, err := chain.Safe(ctx)
	if err == nil && proof.Block > safe.Number {
		err = errShallow
	}
	return err
}

// uncertain tells whether [Service.certain] says of a payment that the chain shows it, but that it may not count yet.
func uncertain(err error) bool {
	return errors.Is(err, errShallow) || errors.Is(err, evm.ErrDisagree) || errors.Is(err, evm.ErrAlone)
}

// limits are the shops' limits as they were lately: every payment asks for one.
type limits struct {
	mu    sync.Mutex
	known map[id.Merchant]limit
}

type limit struct {
	amount money.USDC
	until  time.Time
}

func (l *limits) of(ctx context.Context, s *Service, merchant id.Merchant) (money.USDC, error) {
	now := s.now()
	l.mu.Lock()
	known, ok := l.known[merchant]
	l.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.amount, nil
	}
	amount, err := queries.New().MerchantConfirmLimit(ctx, s.pool, merchant)
	if err != nil {
		return 0, fmt.Errorf("limit of %s: %w", merchant, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[id.Merchant]limit{}
	}
	l.known[merchant] = limit{amount, now.Add(limitFresh)}
	return amount, nil
}
