package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/a-h/templ"
	"golang.org/x/sync/errgroup"
)

const (
	pageRounds      = 5
	pageRound       = 2 * time.Second
	pageConnections = 32
	weightBound     = 60_000

	bareArgument = "bare" // with a file: serve it
)

// linkPage is how many link pages a second the shop answers, against a server that does nothing but write a templ
// component of the same bytes; and what the page weighs with all that it loads.
func linkPage(ctx context.Context, s *openedShop) ([]result, error) {
	if err := s.work(ctx); err != nil {
		return nil, err
	}
	body, _, err := fetch(ctx, s.linkURL(), false)
	if err != nil {
		return nil, err
	}
	bare, stop, err := startBare(ctx, s, body)
	if err != nil {
		return nil, err
	}
	defer stop()
	var ratios []float64
	var shop, plain float64
	for range pageRounds {
		if plain, err = rate(ctx, bare); err != nil {
			return nil, err
		}
		if shop, err = rate(ctx, s.linkURL()); err != nil {
			return nil, err
		}
		ratios = append(ratios, shop/plain)
	}
	slices.Sort(ratios)
	weight, files, err := weigh(ctx, s)
	if err != nil {
		return nil, err
	}
	return []result{
		atLeast("link pages/s", fmt.Sprintf("%.0f/s", shop), fmt.Sprintf("bare templ page %.0f/s", plain), ratios[len(ratios)/2], 0.5),
		atMost(fmt.Sprintf("link page, %d files, compressed", files), fmt.Sprintf("%d bytes", weight), fmt.Sprintf("%d bytes", weightBound), float64(weight)/weightBound, 1),
	}, nil
}

// startBare serves the page's bytes from a process of its own, as the shop is one.
func startBare(ctx context.Context, s *openedShop, body []byte) (url string, stop func(), err error) {
	file := filepath.Join(s.dir, "page.html")
	if err := os.WriteFile(file, body, 0o600); err != nil {
		return "", nil, err
	}
	return startSelf(ctx, bareArgument, file)
}

// startSelf starts this program to do nothing but one of the things that it measures against.
func startSelf(ctx context.Context, what, of string) (url string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	port := freePort()
	stop, err = startCommand(ctx, port, append(os.Environ(), fmt.Sprintf("PORT=%d", port)), self, what, of)
	return fmt.Sprintf("http://localhost:%d/", port), stop, err
}

// startCommand starts a program and waits until it listens at its port.
func startCommand(ctx context.Context, port int, env []string, name string, args ...string) (stop func(), err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = env
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	if err := await(ctx, func() bool { return listens(ctx, port) }); err != nil {
		stop()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return stop, nil
}

func serveBare(file string) {
	body, err := os.ReadFile(file) //nolint:gosec // written by the process that started this one
	if err != nil {
		panic(err) // our own file
	}
	panic(http.ListenAndServe(":"+os.Getenv("PORT"), templ.Handler(templ.Raw(string(body))))) //nolint:gosec // for a minute, on this machine
}

// rate is how many requests a second a URL answers.
func rate(ctx context.Context, url string) (float64, error) {
	return rateOf(ctx, func(ctx context.Context, client *http.Client) error { return get(ctx, client, url) })
}

// rateOf is how many times a second something is asked and answered, over as many connections as a browser's crowd has.
func rateOf(ctx context.Context, ask func(context.Context, *http.Client) error) (float64, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: pageConnections, DisableCompression: true}}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, pageRound)
	defer cancel()
	var answered atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range pageConnections {
		g.Go(func() error {
			for {
				err := ask(ctx, client)
				if ctx.Err() != nil {
					return nil
				}
				if err != nil {
					return err
				}
				answered.Add(1)
			}
		})
	}
	err := g.Wait()
	return float64(answered.Load()) / time.Since(began).Seconds(), err
}

var errStatus = errors.New("bench: not 200")

func get(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/html")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("%w: %s", errStatus, response.Status))
	}
	return errors.Join(err, response.Body.Close())
}

// loaded is what a browser fetches for a page: style sheets, scripts, pictures.
var loaded = regexp.MustCompile(`<(?:link|script|img)[^>]*(?:href|src)="(/[^"]+)"`)

// weigh sums what a first visit moves over the wire.
func weigh(ctx context.Context, s *openedShop) (weight, files int, err error) {
	page, weight, err := fetch(ctx, s.linkURL(), true)
	if err != nil {
		return 0, 0, err
	}
	seen := map[string]bool{}
	for _, m := range loaded.FindAllSubmatch(page, -1) {
		if address := string(m[1]); !seen[address] {
			seen[address] = true
			_, more, err := fetch(ctx, s.site+address, true)
			if err != nil {
				return 0, 0, err
			}
			weight += more
		}
	}
	return weight, 1 + len(seen), nil
}

// fetch returns a page and the number of bytes that its body had on the way.
func fetch(ctx context.Context, url string, compressed bool) (body []byte, wire int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Accept", "text/html,*/*;q=0.8")
	if compressed {
		request.Header.Set("Accept-Encoding", "gzip")
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if response.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("%w: %s: %s", errStatus, url, response.Status)
	}
	counted := &counter{from: response.Body}
	var from io.Reader = counted
	if response.Header.Get("Content-Encoding") == "gzip" {
		if from, err = gzip.NewReader(counted); err != nil {
			return nil, 0, err
		}
	}
	body, err = io.ReadAll(from)
	return body, counted.n, err
}

// zipped is how many bytes of text move over the wire.
func zipped(text string) (int, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		return 0, err
	}
	err := w.Close()
	return b.Len(), err
}

type counter struct {
	from io.Reader
	n    int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += n
	return n, err
}
