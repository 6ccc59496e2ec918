package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"golang.org/x/sync/errgroup"

	"xsynesis/checkout"
	"xsynesis/cmd/wire"
	"xsynesis/x402"
)

// atATime is how many of the seeded purchases are paid together.
const atATime = 32

// paySales buys at the demo link this often, for real: workers must be running.
func paySales(ctx context.Context, p *wire.Parts, w world, k keys, sales int) error {
	if sales == 0 {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.Hub.Run(ctx) })
	paying, ctx := errgroup.WithContext(ctx)
	paying.SetLimit(atATime)
	for i := range sales {
		paying.Go(func() error {
			if err := payOnce(ctx, p, w, k); err != nil {
				return fmt.Errorf("sale %d: %w", i+1, err)
			}
			return nil
		})
	}
	return paying.Wait()
}

func payOnce(ctx context.Context, p *wire.Parts, w world, k keys) error {
	offer, err := p.Shop.Offer(ctx, w.LinkToken)
	if err != nil {
		return err
	}
	want := p.Checkout.Offered(offer)
	var nonce common.Hash
	_, _ = rand.Read(nonce[:])
	a := x402.Authorization{
		From: address(k.Buyer), To: want.PayTo, Value: big.NewInt(int64(want.Amount)), ValidAfter: new(big.Int),
		ValidBefore: big.NewInt(time.Now().Add(want.MaxTimeout).Unix()), Nonce: nonce,
	}
	signature, err := x402.Sign(a, want.Token, k.Buyer)
	if err != nil {
		return err
	}
	_, err = p.Checkout.PayLink(ctx, offer, want.Payment(2, a, signature), checkout.Request(nonce))
	return err
}
