package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"xsynesis/bench/buyer"
)

const (
	proxyArgument = "proxy" // with a URL: hand every request on to it

	passRounds   = 400
	passWarmUp   = 50
	held         = 64      // answers at once
	heldSize     = 1 << 20 // bytes of each
	sampleEvery  = 50 * time.Millisecond
	heldBound    = 8.0 // times what is held
	passBound    = 10.0
	offerBound   = 0.8
	paidBound    = 0.2
	blockSeconds = 1
)

// programs that pay at once, and how often each does.
var programs = []struct{ atOnce, calls int }{{1, 10}, {8, 10}, {64, 20}}

// calls measures paid APIs.
func calls(ctx context.Context, s *openedShop) ([]result, error) {
	if err := s.work(ctx); err != nil {
		return nil, err
	}
	up, err := startUpstream()
	if err != nil {
		return nil, err
	}
	defer up.close()
	var all []result
	for _, measure := range []func(context.Context, *openedShop, *upstream) ([]result, error){offers, holding, byPass, paidCalls} {
		more, err := measure(ctx, s, up)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// upstream is a seller's server that does next to nothing: a small answer, and at /large one of [heldSize], once as many
// have asked for it as are to be held at the same time.
type upstream struct {
	url    string
	server *http.Server
	large  sync.WaitGroup
}

func startUpstream() (*upstream, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // for a minute, on this machine
	if err != nil {
		return nil, err
	}
	u := &upstream{url: "http://" + l.Addr().String()}
	u.large.Add(held)
	body := bytes.Repeat([]byte("x"), heldSize)
	routes := http.NewServeMux()
	routes.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"rain":false}`)
	})
	routes.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		u.large.Done()
		u.large.Wait()
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(body)
	})
	u.server = &http.Server{Handler: routes} //nolint:gosec // for a minute, on this machine
	go func() { _ = u.server.Serve(l) }()
	return u, nil
}

func (u *upstream) close() { _ = u.server.Close() }

// sellCalls puts a seller's URL on sale, and returns where it is paid.
func (s *openedShop) sellCalls(ctx context.Context, target, pricing string) (string, error) {
	body, err := json.Marshal(map[string]any{"url": target, "title": "Weather", "description": "Weather", "mime_type": "application/json", "price": "0.01", "pricing_type": pricing})
	if err != nil {
		return "", err
	}
	status, answer, err := newTills(s).call(ctx, http.MethodPost, "/api/endpoints/create", body)
	if err != nil {
		return "", err
	}
	var endpoint struct {
		URL string `json:"endpoint_url"`
	}
	if status != http.StatusCreated || json.Unmarshal(answer, &endpoint) != nil {
		return "", fmt.Errorf("%w: create endpoint: %d %s", errStatus, status, answer)
	}
	return endpoint.URL, nil
}

// offers is how many 402 answers a second the gateway gives, against a server of the reference packages.
func offers(ctx context.Context, s *openedShop, up *upstream) ([]result, error) {
	ours, err := s.sellCalls(ctx, up.url+"/offers", "per_request")
	if err != nil {
		return nil, err
	}
	theirs, stop, err := startExpress(ctx, s)
	if err != nil {
		return nil, err
	}
	defer stop()
	var ratios []float64
	var gateway, node float64
	for range pageRounds {
		if node, err = rateOf(ctx, func(ctx context.Context, c *http.Client) error { return askOffer(ctx, c, theirs) }); err != nil {
			return nil, fmt.Errorf("@x402/express: %w", err)
		}
		if gateway, err = rateOf(ctx, func(ctx context.Context, c *http.Client) error { return askOffer(ctx, c, ours) }); err != nil {
			return nil, err
		}
		ratios = append(ratios, gateway/node)
	}
	slices.Sort(ratios)
	return []result{atLeast("402 answers/s", fmt.Sprintf("%.0f/s", gateway), fmt.Sprintf("@x402/express %.0f/s", node), ratios[len(ratios)/2], offerBound)}, nil
}

func askOffer(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusPaymentRequired || response.Header.Get("PAYMENT-REQUIRED") == "" {
		err = errors.Join(err, fmt.Errorf("%w: not 402: %s", errStatus, response.Status))
	}
	return errors.Join(err, response.Body.Close())
}

var errPackages = errors.New("bench: XSYNESIS_NPM is not set; `make bench` sets it")

// startExpress starts the reference server of the tests, which asks this gateway for what it supports.
func startExpress(ctx context.Context, s *openedShop) (address string, stop func(), err error) {
	packages := os.Getenv("XSYNESIS_NPM")
	if packages == "" {
		return "", nil, errPackages
	}
	dir := filepath.Join(s.dir, "express")
	script, err := os.ReadFile(filepath.Join("e2e", "server_v2.mjs"))
	if err != nil {
		return "", nil, err
	}
	err = errors.Join(os.MkdirAll(dir, 0o700), os.Symlink(filepath.Join(packages, "express", "node_modules"), filepath.Join(dir, "node_modules")),
		os.WriteFile(filepath.Join(dir, "server.mjs"), script, 0o600)) //nolint:gosec // our own script, into our own folder
	if err != nil {
		return "", nil, err
	}
	port := freePort()
	stop, err = startCommand(ctx, port, append(os.Environ(), fmt.Sprintf("PORT=%d", port), "FACILITATOR="+s.site+"/facilitator",
		"PAY_TO=0x209693Bc6afc0C5328bA36FaF03C514EF312287C", "NODE_ENV=production"), "node", filepath.Join(dir, "server.mjs"))
	return fmt.Sprintf("http://127.0.0.1:%d/weather", port), stop, err
}

// serveProxy hands every request on, as the least that a gateway does.
func serveProxy(target string) {
	to, err := url.Parse(target)
	if err != nil {
		panic(err) // our own URL
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	panic(http.ListenAndServe(":"+os.Getenv("PORT"), proxy)) //nolint:gosec // for a minute, on this machine
}

// byPass is how long a call with a pass takes, against the same call through a plain reverse proxy. They take turns.
func byPass(ctx context.Context, s *openedShop, up *upstream) ([]result, error) {
	ours, err := s.sellCalls(ctx, up.url+"/pass", "one_time")
	if err != nil {
		return nil, err
	}
	b, err := s.buyer(1)
	if err != nil {
		return nil, err
	}
	paid, err := payCall(ctx, b, ours)
	if err != nil {
		return nil, err
	}
	plain, stop, err := startSelf(ctx, proxyArgument, up.url)
	if err != nil {
		return nil, err
	}
	defer stop()
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	var gateway, proxy []time.Duration
	for i := range passWarmUp + passRounds {
		withPass, err := timed(ctx, client, ours, paid.Header.Get("X-Access-Pass"))
		if err != nil {
			return nil, fmt.Errorf("with a pass: %w", err)
		}
		without, err := timed(ctx, client, plain+"pass", "")
		if err != nil {
			return nil, fmt.Errorf("plain proxy: %w", err)
		}
		if i >= passWarmUp {
			gateway, proxy = append(gateway, withPass), append(proxy, without)
		}
	}
	slices.Sort(gateway)
	slices.Sort(proxy)
	p50, base := gateway[passRounds/2], proxy[passRounds/2]
	return []result{atMost("call with a pass, p50", fmt.Sprintf("%.2f ms, %.2f added (p99 %.2f)", ms(p50), ms(p50-base), ms(gateway[passRounds*99/100])),
		fmt.Sprintf("ReverseProxy %.2f ms", ms(base)), float64(p50)/float64(base), passBound)}, nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func timed(ctx context.Context, client *http.Client, url, pass string) (time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	if pass != "" {
		request.Header.Set("X-Access-Pass", pass)
	}
	began := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	took := time.Since(began)
	if response.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("%w: %s", errStatus, response.Status))
	}
	return took, errors.Join(err, response.Body.Close())
}

// payCall does what a program does: it asks, signs and pays.
func payCall(ctx context.Context, b *buyer.Buyer, url string) (buyer.Answer, error) {
	want, err := b.Ask(ctx, url)
	if err != nil {
		return buyer.Answer{}, err
	}
	payment, err := b.Sign(want, 2)
	if err != nil {
		return buyer.Answer{}, err
	}
	return b.Pay(ctx, payment, url)
}

// paidCalls is how many calls programs pay in a second, each of which waits for its answer before it asks for the next: in
// the time of a block at best. One that fails ends the measurement.
func paidCalls(ctx context.Context, s *openedShop, up *upstream) ([]result, error) {
	url, err := s.sellCalls(ctx, up.url+"/paid", "per_request")
	if err != nil {
		return nil, err
	}
	var all []result
	for _, p := range programs {
		b, err := s.buyer(p.atOnce)
		if err != nil {
			return nil, err
		}
		var g errgroup.Group
		began := time.Now()
		for range p.atOnce {
			g.Go(func() error {
				for range p.calls {
					if _, err := payCall(ctx, b, url); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return nil, fmt.Errorf("%d programs: %w", p.atOnce, err)
		}
		perSecond, best := float64(p.atOnce*p.calls)/time.Since(began).Seconds(), float64(p.atOnce)/blockSeconds
		all = append(all, atLeast(fmt.Sprintf("paid calls/s, programs at once: %d", p.atOnce), fmt.Sprintf("%.1f/s, %d calls, 0 failed", perSecond, p.atOnce*p.calls),
			fmt.Sprintf("a block each, %.0f/s", best), perSecond/best, paidBound))
	}
	return all, nil
}
