package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"xsynesis/id"
	"xsynesis/webhook"
)

// listenCmd stands between a gateway that cannot reach this machine and a server on it.
type listenCmd struct {
	ForwardTo string   `name:"forward-to" required:"" placeholder:"URL" help:"Where each event is sent, such as http://localhost:3000/hooks."`
	Events    []string `placeholder:"TYPE,…" help:"Only these; else all."`
	Secret    string   `env:"XSYNESIS_WEBHOOK_SECRET" placeholder:"whsec_…" help:"What signs; else one is drawn and printed."`
	gateway
}

// Validate is called before Run; what it refuses is a mistake in the command line.
func (l *listenCmd) Validate() error {
	if !isAddress(l.ForwardTo) {
		return fmt.Errorf("--forward-to: %q is not an address such as http://localhost:3000/hooks", l.ForwardTo)
	}
	for _, name := range l.Events {
		if !webhook.Type(name).Known() {
			return fmt.Errorf("--events: there is no event %q", name)
		}
	}
	return l.gateway.Validate()
}

const (
	listenEvery    = time.Second      // how often the feed is asked
	listenPatience = 30 * time.Second // the longest pause while the gateway does not answer
)

// Run follows the feed from now on, until it is asked to stop. A gateway that is away is waited for.
func (l *listenCmd) Run(ctx context.Context, stdout io.Writer) error {
	if l.Secret == "" {
		l.Secret = webhook.NewSecret()
	}
	f := &follower{shop: l.client(), listen: l, to: newForwarder(l.ForwardTo, l.Secret), out: stdout, problems: os.Stderr, now: time.Now}
	if err := f.begin(ctx); err != nil {
		return err
	}
	print(stdout, "secret %s\nforwarding events of %s to %s\n", l.Secret, l.URL, l.ForwardTo)
	for {
		if err := f.step(ctx); err != nil {
			return err
		}
	}
}

// follower is a listener at work.
type follower struct {
	shop     *shopClient
	listen   *listenCmd
	to       *forwarder
	out      io.Writer
	problems io.Writer
	now      func() time.Time

	after  string // the last event that was forwarded
	failed int    // times in a row that the gateway did not answer
}

// begin goes to the end of the feed: what happened before is nobody's news.
func (f *follower) begin(ctx context.Context) error {
	newest, err := f.shop.events(ctx, "latest")
	if err != nil {
		return fmt.Errorf("ask %s for events: %w", f.listen.URL, err)
	}
	if len(newest) > 0 {
		f.after = newest[0].ID
	}
	return nil
}

// step forwards what is new, and waits a moment where that was all.
func (f *follower) step(ctx context.Context) error {
	events, err := f.shop.events(ctx, f.after)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return f.wait(ctx, err)
	case f.failed > 0:
		print(f.problems, "the gateway answers again\n")
		f.failed = 0
	}
	for _, e := range events {
		if len(f.listen.Events) == 0 || slices.Contains(f.listen.Events, e.Type) {
			f.forward(ctx, e)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.after = e.ID
	}
	if len(events) == feedPage {
		return nil
	}
	return sleep(ctx, listenEvery)
}

// wait gives a gateway that does not answer time to come back. What it refuses for good ends the command.
func (f *follower) wait(ctx context.Context, err error) error {
	if lasting(err) {
		return fmt.Errorf("ask %s for events: %w", f.listen.URL, err)
	}
	if f.failed == 0 {
		print(f.problems, "the gateway does not answer, waiting for it: %v\n", err)
	}
	f.failed++
	return sleep(ctx, min(listenPatience, listenEvery<<min(f.failed-1, 5)))
}

// forward sends one event as the dispatcher would, once, and prints what came of it.
func (f *follower) forward(ctx context.Context, e shopEvent) {
	began := f.now()
	status, err := f.to.post(ctx, e, began)
	outcome := strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status)))
	if err != nil {
		outcome = "failed: " + err.Error()
	}
	about := strings.TrimSpace(e.ResourceID + " " + e.Payload.Status)
	print(f.out, "%s %s %s → %s in %d ms\n", began.UTC().Format(time.RFC3339), e.Type, about, outcome, f.now().Sub(began).Milliseconds())
}

// forwarder calls a developer's own server, as the dispatcher calls a shop's. What may be called is his own affair.
type forwarder struct {
	url, secret string
	http        http.Client
}

func newForwarder(to, secret string) *forwarder {
	return &forwarder{url: to, secret: secret, http: http.Client{
		Timeout:       webhook.Policy().Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// post returns the status of the answer.
func (f *forwarder) post(ctx context.Context, e shopEvent, now time.Time) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(e.body))
	if err != nil {
		return 0, err
	}
	request.Header = webhook.Headers(webhook.Secrets{Current: f.secret}, id.Event(e.ID), webhook.Type(e.Type), e.body, now, 1)
	answer, err := f.http.Do(request)
	if err != nil {
		return 0, plain(err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20)) // so that the connection can be used again
	return answer.StatusCode, answer.Body.Close()
}

// plain takes the address out of an error that the line names already.
func plain(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
