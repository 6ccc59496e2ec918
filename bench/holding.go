package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// holding is the memory of the process that answers while it holds answers until they are paid, against those answers.
func holding(ctx context.Context, s *openedShop, up *upstream) ([]result, error) {
	url, err := s.sellCalls(ctx, up.url+"/large", "per_request")
	if err != nil {
		return nil, err
	}
	before, err := s.resident(ctx)
	if err != nil {
		return nil, err
	}
	b, err := s.buyer(held)
	if err != nil {
		return nil, err
	}
	var g errgroup.Group
	for range held {
		g.Go(func() error {
			_, err := payCall(ctx, b, url)
			return err
		})
	}
	over := make(chan error, 1)
	go func() { over <- g.Wait() }()
	peak := before
	for {
		select {
		case err := <-over:
			const mib = 1 << 20
			return []result{atMost(fmt.Sprintf("memory, %d answers of 1 MiB held", held), fmt.Sprintf("%d MiB more, %d at most", (peak-before)/mib, peak/mib),
				fmt.Sprintf("the answers, %d MiB", held*heldSize/mib), float64(peak-before)/(held*heldSize), heldBound)}, err
		case <-time.After(sampleEvery):
		}
		now, err := s.resident(ctx)
		if err != nil {
			return nil, err
		}
		peak = max(peak, now)
	}
}

// resident is how many bytes the web process has in memory.
func (s *openedShop) resident(ctx context.Context) (int64, error) {
	out, err := exec.CommandContext(ctx, "ps", "-o", "rss=", "-p", strconv.Itoa(s.web.Process.Pid)).Output()
	if err != nil {
		return 0, fmt.Errorf("ps: %w", err)
	}
	kib, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return kib << 10, err
}
