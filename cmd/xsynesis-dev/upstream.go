package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"xsynesis/cmd/process"
	"xsynesis/cmd/wire"
	"xsynesis/id"
	"xsynesis/shop"
)

// upstreamFile tells where the demo's own server listens, behind its endpoint. It comes back at the same address as long as
// nobody else has that.
const upstreamFile = "upstream"

const anyPort = "127.0.0.1:0"

// startUpstream starts the server of a demo shop, which programs pay for through its endpoint, until ctx ends.
func startUpstream(ctx context.Context, dir string) error {
	path := filepath.Join(dir, upstreamFile)
	before, err := upstreamAt(dir)
	if err != nil {
		return err
	}
	var network net.ListenConfig
	listener, err := network.Listen(ctx, "tcp", cmp.Or(strings.TrimPrefix(before, "http://"), anyPort))
	if err != nil {
		listener, err = network.Listen(ctx, "tcp", anyPort)
	}
	if err != nil {
		return fmt.Errorf("the demo's own server: %w", err)
	}
	if err := process.WriteWhole(path, []byte("http://"+listener.Addr().String())); err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{Handler: http.HandlerFunc(brewing), ReadHeaderTimeout: time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("the demo's own server", "error", err)
		}
	}()
	return nil
}

// upstreamAt is where that server listens, or did; empty where it never has.
func upstreamAt(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, upstreamFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("address of the demo's own server: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// brewing answers what the demo's endpoint is paid for. It names who paid, and for which purchase, as the gateway tells it.
func brewing(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // whoever left does not read it
		"shop": "Kaffe Nord", "path": r.URL.RequestURI(), "paid_by": r.Header.Get("X-Payment-Payer"), "purchase": r.Header.Get("X-Payment-Attempt"),
		"brewing": []map[string]any{{"coffee": "Fjord", "notes": "hazelnut, dried cherry", "grams": 18}, {"coffee": "Skagen", "notes": "apricot, black tea", "grams": 16}},
	})
}

// brewingForm is the endpoint; its price stays below what unmodified clients spend without asking.
var brewingForm = shop.EndpointForm{
	Title: "What is brewing", Description: "The coffees in the grinders now, with their notes, as JSON.", MimeType: "application/json",
	Output: `{"brewing":[{"coffee":"Fjord","notes":"hazelnut, dried cherry","grams":18}]}`, Price: 5 * cent,
}

// brewingEndpoint makes the endpoint, or leads the one that is there to where its server is now; none where there is no server,
// or it may not be asked.
func brewingEndpoint(ctx context.Context, p *wire.Parts, merchant id.Merchant, dir string) (id.Endpoint, error) {
	at, err := upstreamAt(dir)
	if err != nil || at == "" {
		return "", err
	}
	if err := p.Egress.Check(at); err != nil {
		slog.WarnContext(ctx, "the demo has no endpoint", "error", err)
		return "", nil
	}
	form := brewingForm
	form.URL = at + "/brewing"
	all, err := p.Endpoints.List(ctx, merchant, false, shop.Page{Limit: 100})
	if err != nil {
		return "", err
	}
	for _, e := range all {
		if e.Title != form.Title {
			continue
		}
		if e.URL == form.URL {
			return e.ID, nil
		}
		lead := func(f *shop.EndpointForm) error { f.URL = form.URL; return nil }
		_, err := p.Endpoints.Update(ctx, merchant, false, e.ID, lead, byDemo)
		return e.ID, err
	}
	e, err := p.Endpoints.Create(ctx, merchant, false, form, byDemo)
	return e.ID, err
}
