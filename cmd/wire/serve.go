package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"xsynesis/access"
	"xsynesis/cmd/config"
	"xsynesis/evm"
	"xsynesis/handlers"
	"xsynesis/migrations"
)

// How long a client may take, and how long a stop waits for requests under way.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	readyTimeout  = 3 * time.Second // of one question whether this process can work
)

// Extra is what only the development build adds to the site.
type Extra struct {
	// Explorer shows the transactions of the chain with this id, in place of the public one.
	Explorer string
	ChainID  uint64
	// Routes adds a sign-in without proof and a test wallet.
	Routes func(*Parts) func(*echo.Echo, *handlers.Handlers)
}

// Serve answers requests until ctx ends; in the role "all" it also works.
func Serve(ctx context.Context, c *config.Config) error {
	return ServeWith(ctx, c, Timing{}, Extra{})
}

// ServeWith is [Serve] with what the development build adds.
func ServeWith(ctx context.Context, c *config.Config, t Timing, extra Extra) error {
	works := c.Role == config.All
	p, err := Build(ctx, c, works, t)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.checkChains(ctx, c); err != nil {
		return err
	}
	if extra.Explorer != "" {
		p.Networks.Explore(extra.ChainID, extra.Explorer)
	}
	if extra.Routes == nil {
		if err := p.tellFirstRun(ctx); err != nil {
			return err
		}
	}
	site := handlers.New(handlers.Options{
		Gate:   p.Gate,
		Tills:  access.NewTills(p.Access, p.Webhooks),
		Access: p.Access, Shop: p.Shop, Payees: p.Payees, Checkout: p.Checkout, Custody: p.Custody, Hub: p.Hub, Networks: p.Networks, Webhooks: p.Webhooks, Endpoints: p.Endpoints, Egress: p.Egress,
		Health: p.Health, Operator: p.Operator, JobPages: &jobPages{ctx: ctx, jobs: p.Jobs}, Development: c.Env == config.Development,
		PublicURL: string(c.PublicURL), AnyHost: c.Env == config.Development, DevSettle: c.DevSettle, FacilitatorSecret: c.FacilitatorSecret.Reveal(),
		TrustedProxies: ipNets(c.TrustedProxies), Limited: c.RateLimits, Ready: p.ready, Now: now, TestWallet: extra.Routes != nil, Extend: extra.extend(p),
	})
	certificates, err := newCertificates(c)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf(":%d", c.Port))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.Hub.Run(ctx) })
	g.Go(func() error { return p.Health.Run(ctx, thisProcess(c)) })
	g.Go(func() error { return p.serveHealth(ctx, c, p.ready) })
	g.Go(func() error { return certificates.answerChallenges(ctx) })
	g.Go(func() error { return serveHTTP(ctx, certificates, site, listener) })
	if works {
		g.Go(func() error { return p.work(ctx, c) })
	}
	return g.Wait()
}

func (x Extra) extend(p *Parts) func(*echo.Echo, *handlers.Handlers) {
	if x.Routes == nil {
		return nil
	}
	return x.Routes(p)
}

// serveHTTP stops taking requests when ctx ends, and lets those under way finish.
func serveHTTP(ctx context.Context, certificates *certificates, site http.Handler, l net.Listener) error {
	requests, endStreams := context.WithCancel(context.WithoutCancel(ctx))
	defer endStreams()
	server := &http.Server{
		Handler: site, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return requests },
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		time.AfterFunc(config.DrainTimeout/3, endStreams) // streams would hold the door open
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), config.DrainTimeout)
		defer cancel()
		stopped <- server.Shutdown(stop)
	}()
	slog.Info("serving", "address", l.Addr().String())
	var err error
	if certificates != nil {
		server.TLSConfig = certificates.Config
		err = server.ServeTLS(l, "", "")
	} else {
		err = server.Serve(l)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	if err := <-stopped; err != nil {
		slog.Warn("requests were cut off", "error", err)
	}
	return nil
}

// checkChains refuses nodes that serve another chain, or a token that is not the one we quote; a node
// that does not answer is waited for.
func (p *Parts) checkChains(ctx context.Context, c *config.Config) error {
	for network, chain := range p.Chains {
		err := chain.Check(ctx)
		if errors.Is(err, evm.ErrUnavailable) {
			slog.Warn("chain does not answer yet", "network", network, "error", err)
			continue
		}
		if err != nil {
			return fmt.Errorf("chain %s: %w", network, err)
		}
		if c.Env != config.Production {
			continue
		}
		if toy, err := chain.IsDevelopment(ctx); err == nil && toy {
			return fmt.Errorf("RPC of %s is a development chain: its money is worth nothing", network)
		}
	}
	return nil
}

// ready tells whether the database and the chains answer.
func (p *Parts) ready(ctx context.Context) error {
	if err := p.stored(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for network, chain := range p.Chains {
		if _, err := chain.Head(ctx); err != nil {
			return fmt.Errorf("chain %s: %w", network, err)
		}
		if err := p.Checkout.Funded(ctx, network); err != nil {
			return fmt.Errorf("chain %s: %w", network, err)
		}
	}
	return nil
}

// stored tells whether the database answers and has our schema.
func (p *Parts) stored(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	// A newer schema only adds to ours: while an upgrade replaces the processes one by one, the former ones go on.
	if err := migrations.Check(ctx, p.Pool); err != nil && !errors.Is(err, migrations.ErrNewer) {
		return err
	}
	return nil
}

func ipNets(prefixes []netip.Prefix) []*net.IPNet {
	nets := make([]*net.IPNet, len(prefixes))
	for i, p := range prefixes {
		nets[i] = &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
	}
	return nets
}
