package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"xsynesis/bench/buyer"
)

const (
	inFlight = 256
	payments = 2000
	warmUp   = 512

	fewInFlight  = 8
	fewPayments  = 240
	latencyBound = 3 * time.Second
)

// throughput pays 2,000 times, 256 at a time, and holds the rate against that of a loop which sends pre-signed
// authorizations to the same chain, as many at a time, and waits for each receipt.
func throughput(ctx context.Context, s *openedShop) ([]result, error) {
	bare, err := sendBare(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("send bare: %w", err)
	}
	if err := s.work(ctx); err != nil {
		return nil, err
	}
	// A shop that has been open for a minute: the database has seen enough rows to plan for them.
	if _, _, err := payAll(ctx, s, warmUp, inFlight); err != nil {
		return nil, err
	}
	if err := s.analyze(ctx); err != nil {
		return nil, err
	}
	took, _, err := payAll(ctx, s, payments, inFlight)
	if err != nil {
		return nil, err
	}
	ours := payments / took.Seconds()
	return []result{atLeast(fmt.Sprintf("payments/s, %d in flight", inFlight), fmt.Sprintf("%.0f/s", ours), fmt.Sprintf("bare loop %.0f/s", bare), ours/bare, 0.5)}, nil
}

// latency is the time from a payment's header to its 200.
func latency(ctx context.Context, s *openedShop) ([]result, error) {
	if err := s.work(ctx); err != nil {
		return nil, err
	}
	_, times, err := payAll(ctx, s, fewPayments, fewInFlight)
	if err != nil {
		return nil, err
	}
	slices.Sort(times)
	p50, p99 := times[len(times)/2], times[len(times)*99/100]
	return []result{atMost(fmt.Sprintf("header to 200, %d in flight, p99", fewInFlight), fmt.Sprintf("%.2f s (p50 %.2f s)", p99.Seconds(), p50.Seconds()),
		fmt.Sprintf("%.0f s, blocks of 1 s", latencyBound.Seconds()), p99.Seconds()/latencyBound.Seconds(), 1)}, nil
}

// payAll signs first, then pays, and returns how long all took and how long each.
func payAll(ctx context.Context, s *openedShop, count, atOnce int) (time.Duration, []time.Duration, error) {
	b, err := s.buyer(atOnce)
	if err != nil {
		return 0, nil, err
	}
	want, err := b.Ask(ctx, s.linkURL())
	if err != nil {
		return 0, nil, err
	}
	signed := make([]buyer.Payment, count)
	for i := range signed {
		if signed[i], err = b.Sign(want, 2); err != nil {
			return 0, nil, err
		}
	}
	times := make([]time.Duration, count)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	began := time.Now()
	for i, p := range signed {
		g.Go(func() error {
			sent := time.Now()
			_, err := b.Pay(ctx, p, s.linkURL())
			times[i] = time.Since(sent)
			return err
		})
	}
	err = g.Wait()
	return time.Since(began), times, err
}
