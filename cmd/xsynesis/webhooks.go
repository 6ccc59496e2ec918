package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"
)

// webhooksCmd are tools for the people who write a shop's server. They speak to a running gateway by its API.
type webhooksCmd struct {
	Listen  listenCmd  `cmd:"" help:"Follow the shop's events and forward each to an address, signed as the gateway signs."`
	Trigger triggerCmd `cmd:"" help:"Send a test event to the shop's webhooks."`
	Replay  replayCmd  `cmd:"" help:"Deliver an event again, or all that failed since a time."`
}

// gateway says whose shop is meant, and where.
type gateway struct {
	URL string `name:"url" env:"XSYNESIS_URL" default:"http://localhost:8402" help:"Where the gateway answers."`
	Key string `name:"key" env:"XSYNESIS_API_KEY" placeholder:"sk_…" help:"The shop's API key. In the environment nobody else sees it."`
}

// Validate is called before Run; what it refuses is a mistake in the command line.
func (g gateway) Validate() error {
	if g.Key == "" {
		return errors.New("--key is missing; XSYNESIS_API_KEY holds it as well")
	}
	if !isAddress(g.URL) {
		return fmt.Errorf("--url: %q is not an address such as https://pay.example.com", g.URL)
	}
	return nil
}

// isAddress tells whether something can be called at a text.
func isAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// replayCmd delivers again.
type replayCmd struct {
	Delivery     string `arg:"" optional:"" placeholder:"dlv_…" help:"The delivery to repeat."`
	FailedSince  string `placeholder:"TIME" help:"All that failed since then: a time such as 2026-01-02T15:04:05Z, or how long ago, such as 36h."`
	Subscription string `placeholder:"ws_…" help:"With --failed-since: only of this webhook."`
	DryRun       bool   `help:"With --failed-since: only count them."`
	Rate         int    `default:"10" help:"With --failed-since: at most so many a second."`
	gateway

	since time.Time
}

// Validate is called before Run; what it refuses is a mistake in the command line.
func (r *replayCmd) Validate() error {
	if (r.Delivery == "") == (r.FailedSince == "") {
		return errors.New("give a delivery, or --failed-since TIME")
	}
	if r.FailedSince != "" {
		var err error
		if r.since, err = readTime(r.FailedSince, time.Now()); err != nil {
			return err
		}
	}
	return r.gateway.Validate()
}

// readTime reads a time, or how long ago it was.
func readTime(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago).UTC(), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("--failed-since: %q is neither a time such as 2026-01-02T15:04:05Z nor a duration such as 36h", text)
	}
	return at.UTC(), nil
}

// replayLook is how often a replay under way is looked at.
const replayLook = time.Second

// Run repeats one delivery, or starts a replay and follows it to its end.
func (r *replayCmd) Run(ctx context.Context, stdout io.Writer) error {
	shop := r.client()
	if r.Delivery != "" {
		repeat, err := shop.redeliver(ctx, r.Delivery)
		if err != nil {
			return fmt.Errorf("repeat %s: %w", r.Delivery, err)
		}
		print(stdout, "%s repeats %s\n", repeat, r.Delivery)
		return nil
	}
	p, err := shop.replayFailed(ctx, replayWanted{Since: r.since, Subscription: r.Subscription, Rate: r.Rate, DryRun: r.DryRun})
	if err != nil {
		return fmt.Errorf("replay what failed since %s: %w", r.since.Format(time.RFC3339), err)
	}
	if r.DryRun || p.Count == 0 {
		print(stdout, "%d deliveries failed since %s\n", p.Count, r.since.Format(time.RFC3339))
		return nil
	}
	return r.follow(ctx, shop, p, stdout)
}

// follow prints how far a replay is whenever that changed. Whoever stops it does not stop the replay.
func (r *replayCmd) follow(ctx context.Context, shop *shopClient, p replayProgress, stdout io.Writer) error {
	for last := ""; ; {
		if line := p.String(); line != last {
			print(stdout, "%s\n", line)
			last = line
		}
		if p.ended() {
			return nil
		}
		if err := sleep(ctx, replayLook); err != nil {
			return err
		}
		var err error
		if p, err = shop.replay(ctx, p.ID); err != nil {
			return fmt.Errorf("look at %s: %w", p.ID, err)
		}
	}
}

// print writes for people; if they left, the exit code says the rest.
func print(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, format, args...) //nolint:errcheck // see above
}

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
