package wire

import (
	"context"
	"log/slog"
	"time"

	"xsynesis/checkout"
)

// watchQuiet is how long a silent chain is not complained about again.
const watchQuiet = time.Minute

// watchTransfers takes in what buyers send by themselves, until ctx ends.
func (p *Parts) watchTransfers(ctx context.Context) {
	tick := time.NewTicker(checkout.WatchEvery)
	defer tick.Stop()
	var complained time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := p.Checkout.Watch(ctx)
		if at := now(); err != nil && ctx.Err() == nil && at.Sub(complained) >= watchQuiet {
			complained = at
			slog.WarnContext(ctx, "watching what comes to shops", "error", err)
		}
	}
}
