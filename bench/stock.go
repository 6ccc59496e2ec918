package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

const (
	tills       = 64
	inStock     = 1000
	chargeBound = 400 * time.Millisecond

	catalogue   = 2000
	searches    = 200
	searchBound = 100 * time.Millisecond
)

var errOversold = errors.New("bench: not as many were held as there were")

// stock lets tills charge for one item until it is gone, and holds the rate against that of a loop which does nothing but
// take one of a number, by as many connections.
func stock(ctx context.Context, s *openedShop) ([]result, error) {
	bare, err := takeBare(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("take bare: %w", err)
	}
	// Before a worker has looked at its gas money, no payment is asked for.
	if err := s.work(ctx); err != nil {
		return nil, err
	}
	c := newTills(s)
	if _, _, err := c.sellOut(ctx, "Warm-up", inStock); err != nil {
		return nil, err
	}
	if err := s.analyze(ctx); err != nil {
		return nil, err
	}
	took, times, err := c.sellOut(ctx, "Muffin", inStock)
	if err != nil {
		return nil, err
	}
	ours, p99 := inStock/took.Seconds(), times[len(times)*99/100]
	found, err := c.search(ctx)
	if err != nil {
		return nil, err
	}
	p95 := found[len(found)*95/100]
	served, err := atTills(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("tills: %w", err)
	}
	return append([]result{
		atLeast(fmt.Sprintf("reservations/s, %d tills", tills), fmt.Sprintf("%.0f/s", ours), fmt.Sprintf("bare UPDATE %.0f/s", bare), ours/bare, 0.5),
		atMost("charge to its answer, p99", p99.Round(time.Millisecond).String(), chargeBound.String(), p99.Seconds()/chargeBound.Seconds(), 1),
		atMost(fmt.Sprintf("search in %d items, p95", catalogue), p95.Round(time.Millisecond).String(), searchBound.String(), p95.Seconds()/searchBound.Seconds(), 1),
	}, served...), nil
}

// takeBare is what cannot be left out: one number, made smaller by one while there is one left.
func takeBare(ctx context.Context, s *openedShop) (rate float64, err error) {
	config, err := pgxpool.ParseConfig(s.cluster.URL())
	if err != nil {
		return 0, err
	}
	config.MaxConns, config.MinConns = tills, tills
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	for range 2 { // the first time warms up
		if _, err := pool.Exec(ctx, `DROP TABLE IF EXISTS bare_stock; CREATE TABLE bare_stock (id int PRIMARY KEY, stock int NOT NULL) WITH (fillfactor = 25)`); err != nil {
			return 0, err
		}
		if _, err := pool.Exec(ctx, `INSERT INTO bare_stock VALUES (1, $1)`, inStock); err != nil {
			return 0, err
		}
		g, began := errgroup.Group{}, time.Now()
		for range tills {
			g.Go(func() error {
				return pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
					for {
						tag, err := c.Exec(ctx, `UPDATE bare_stock SET stock = stock - 1 WHERE id = 1 AND stock >= 1`)
						if err != nil || tag.RowsAffected() == 0 {
							return err
						}
					}
				})
			})
		}
		if err := g.Wait(); err != nil {
			return 0, err
		}
		rate = inStock / time.Since(began).Seconds()
	}
	_, err = pool.Exec(ctx, `DROP TABLE bare_stock`)
	return rate, err
}

// counters charge by the shop's key, as many at a time as a shop has tills: a tablet waits for its customer before it
// charges again, and so could never have a thousand codes out at once.
type counters struct {
	shop   *openedShop
	client *http.Client
}

func newTills(s *openedShop) *counters {
	return &counters{shop: s, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: tills}}}
}

// sellOut charges until nothing is left, and counts what is held then.
func (c *counters) sellOut(ctx context.Context, title string, stock int) (time.Duration, []time.Duration, error) {
	item, err := c.item(ctx, map[string]any{"title": title, "kind": "service", "price": "2.50", "stock": stock})
	if err != nil {
		return 0, nil, err
	}
	charge, err := json.Marshal(map[string]any{"items": []any{map[string]any{"item_id": item, "qty": 1}}})
	if err != nil {
		return 0, nil, err
	}
	var mu sync.Mutex
	var times []time.Duration
	var g errgroup.Group
	began := time.Now()
	for range tills {
		g.Go(func() error {
			for {
				sent := time.Now()
				status, answer, err := c.call(ctx, http.MethodPost, "/api/create_payment_session", charge)
				switch {
				case err != nil:
					return err
				case status == http.StatusConflict:
					return nil
				case status != http.StatusCreated:
					return fmt.Errorf("charge: %d %s", status, answer)
				}
				mu.Lock()
				times = append(times, time.Since(sent))
				mu.Unlock()
			}
		})
	}
	err = g.Wait()
	took := time.Since(began)
	if err != nil {
		return 0, nil, err
	}
	slices.Sort(times)
	return took, times, c.count(ctx, item, len(times), stock)
}

// count looks whether every one is held once.
func (c *counters) count(ctx context.Context, item string, charged, stock int) error {
	conn, err := pgx.Connect(ctx, c.shop.cluster.URL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // it was only read
	var held, taken int
	if err := conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM reservations WHERE item_id = $1 AND status = 'held'),
		(SELECT taken FROM item_stock WHERE item_id = $1 AND NOT livemode)`, item).Scan(&held, &taken); err != nil {
		return err
	}
	if charged != stock || held != stock || taken != stock {
		return fmt.Errorf("%w: %d charged, %d held, %d counted of %d", errOversold, charged, held, taken, stock)
	}
	return nil
}

// search fills a catalogue and looks for things in it.
func (c *counters) search(ctx context.Context) ([]time.Duration, error) {
	var g errgroup.Group
	g.SetLimit(16)
	for i := range catalogue {
		g.Go(func() error {
			_, err := c.item(ctx, map[string]any{
				"title": fmt.Sprintf("Book %d, volume %d", i*7919%catalogue, i%12), "kind": "physical", "price": "12", "sku": fmt.Sprintf("BK-%05d", i), "stock": 3,
			})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := c.shop.analyze(ctx); err != nil {
		return nil, err
	}
	times := make([]time.Duration, searches)
	for i := range times {
		began := time.Now()
		status, answer, err := c.call(ctx, http.MethodGet, "/api/items/list?limit=60&search="+url.QueryEscape(fmt.Sprintf("book %d", i*13%catalogue)), nil)
		if err != nil {
			return nil, err
		}
		if status != http.StatusOK {
			return nil, fmt.Errorf("search: %d %s", status, answer)
		}
		times[i] = time.Since(began)
	}
	slices.Sort(times)
	return times, nil
}

func (c *counters) item(ctx context.Context, fields map[string]any) (string, error) {
	body, err := json.Marshal(fields)
	if err != nil {
		return "", err
	}
	status, answer, err := c.call(ctx, http.MethodPost, "/api/items/create", body)
	if err != nil {
		return "", err
	}
	var item struct{ ID string }
	if status != http.StatusCreated || json.Unmarshal(answer, &item) != nil {
		return "", fmt.Errorf("create item: %d %s", status, answer)
	}
	return item.ID, nil
}

func (c *counters) call(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.shop.site+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.shop.Key)
	response, err := c.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, errors.Join(err, response.Body.Close())
}
