package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"xsynesis/access"
	"xsynesis/id"
)

const (
	chargesEach = 6
	// everySale is how often each of the tills charges: none has customers that are faster.
	everySale   = 2 * time.Second
	tilesBound  = 40_000 // bytes
	shelfItems  = 60
	tillSearch  = "/pos?q="
	chargesPath = "/pos/charges"
)

var errTill = errors.New("bench: the till answered something else")

// tablet is a paired till that a cashier has unlocked.
type tablet struct {
	site   string
	client *http.Client
}

// pair makes tablets of the demo's shop, as pairing and unlocking them would.
func pair(ctx context.Context, s *openedShop, n int) ([]tablet, error) {
	pool, err := pgxpool.New(ctx, s.cluster.URL())
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	var merchant id.Merchant
	var owner id.Person
	err = pool.QueryRow(ctx, `SELECT merchant_id, person_id FROM members WHERE role = 'owner' AND merchant_id = (SELECT merchant_id FROM links WHERE token = $1)`, s.Link).
		Scan(&merchant, &owner)
	if err != nil {
		return nil, fmt.Errorf("owner: %w", err)
	}
	site, err := url.Parse(s.site)
	if err != nil {
		return nil, err
	}
	people, out := access.New(pool, time.Now), make([]tablet, n)
	for i := range out {
		device, secret := id.New[id.Device](time.Now()), id.NewToken()
		sum := sha256.Sum256([]byte(secret))
		_, err := pool.Exec(ctx, `INSERT INTO devices (id, merchant_id, name, hash, paired_by, created_at, seen_at) VALUES ($1, $2, $3, $4, $5, now(), now())`,
			device, merchant, fmt.Sprintf("Till %d", i+1), sum[:], owner)
		if err != nil {
			return nil, fmt.Errorf("pair: %w", err)
		}
		session, err := people.Begin(ctx, access.Entrance{Person: owner, Merchant: merchant, Method: access.ByPIN, Device: device})
		if err != nil {
			return nil, fmt.Errorf("unlock: %w", err)
		}
		jar, err := cookiejar.New(nil)
		if err != nil {
			return nil, err
		}
		jar.SetCookies(site, []*http.Cookie{{Name: "device", Value: secret}, {Name: "till", Value: session}}) //nolint:gosec // sent to this machine
		out[i] = tablet{s.site, &http.Client{Jar: jar, Transport: &http.Transport{MaxIdleConnsPerHost: 2}}}
	}
	return out, nil
}

// ask returns the screen that an address or a form leads to.
func (t tablet) ask(ctx context.Context, path string, form url.Values) (string, error) {
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(ctx, method, t.site+path, body)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", "text/html")
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	response, err := t.client.Do(request)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w: %s %s: %s\n%s", errTill, method, path, response.Status, text[:min(len(text), 300)])
	}
	return string(text), errors.Join(err, response.Body.Close())
}

var (
	chargeForm = regexp.MustCompile(`name="once" value="([^"]+)"[^>]*>\s*<input type="hidden" name="total" value="([^"]+)"`)
	cancelForm = regexp.MustCompile(`action="(/pos/charges/[^"/]+/cancellation)"`)
)

// charge taps Charge until the customer's code is on the screen, and then cancels the sale.
func (t tablet) charge(ctx context.Context) (time.Duration, error) {
	register, err := t.ask(ctx, "/pos", nil)
	if err != nil {
		return 0, err
	}
	form := chargeForm.FindStringSubmatch(register)
	if form == nil {
		return 0, fmt.Errorf("%w: nothing to charge", errTill)
	}
	began := time.Now()
	screen, err := t.ask(ctx, chargesPath, url.Values{"once": {form[1]}, "total": {form[2]}})
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	cancel := cancelForm.FindStringSubmatch(screen)
	if cancel == nil || !strings.Contains(screen, "<svg") {
		return 0, fmt.Errorf("%w: no code", errTill)
	}
	_, err = t.ask(ctx, cancel[1], url.Values{})
	return took, err
}

// atTills is what cashiers wait for: a code after Charge, tiles, and what a search finds, with a catalogue in the shop.
func atTills(ctx context.Context, s *openedShop) ([]result, error) {
	tablets, err := pair(ctx, s, tills)
	if err != nil {
		return nil, err
	}
	var g errgroup.Group
	for i, t := range tablets {
		g.Go(func() error {
			_, err := t.ask(ctx, "/pos/ticket/lines", url.Values{"amount": {fmt.Sprintf("%d.50", 1+i)}})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	charged, err := chargeAll(ctx, tablets)
	if err != nil {
		return nil, err
	}
	found, err := searchAll(ctx, tablets[0])
	if err != nil {
		return nil, err
	}
	screen, err := tablets[0].ask(ctx, "/pos", nil)
	if err != nil {
		return nil, err
	}
	if n := strings.Count(screen, "data-tile="); n != shelfItems {
		return nil, fmt.Errorf("%w: %d tiles", errTill, n)
	}
	weight, err := zipped(screen)
	if err != nil {
		return nil, err
	}
	p99, p95 := charged[len(charged)*99/100], found[len(found)*95/100]
	return []result{
		atMost(fmt.Sprintf("charge to its code, %d tills, p99", tills), p99.Round(time.Millisecond).String(), chargeBound.String(), p99.Seconds()/chargeBound.Seconds(), 1),
		atMost(fmt.Sprintf("till's search in %d items, p95", catalogue), p95.Round(time.Millisecond).String(), searchBound.String(), p95.Seconds()/searchBound.Seconds(), 1),
		atMost(fmt.Sprintf("register with %d tiles, compressed", shelfItems), fmt.Sprintf("%d bytes", weight), fmt.Sprintf("%d bytes", tilesBound), float64(weight)/tilesBound, 1),
	}, nil
}

func chargeAll(ctx context.Context, tablets []tablet) ([]time.Duration, error) {
	var mu sync.Mutex
	var times []time.Duration
	var g errgroup.Group
	for i, t := range tablets {
		g.Go(func() error {
			next := time.Now().Add(everySale * time.Duration(i) / time.Duration(len(tablets)))
			for range chargesEach {
				time.Sleep(time.Until(next))
				next = next.Add(everySale)
				took, err := t.charge(ctx)
				if err != nil {
					return err
				}
				mu.Lock()
				times = append(times, took)
				mu.Unlock()
			}
			return nil
		})
	}
	err := g.Wait()
	slices.Sort(times)
	return times, err
}

func searchAll(ctx context.Context, t tablet) ([]time.Duration, error) {
	times := make([]time.Duration, searches)
	for i := range times {
		began := time.Now()
		screen, err := t.ask(ctx, tillSearch+url.QueryEscape(fmt.Sprintf("book %d", i*13%catalogue)), nil)
		if err != nil {
			return nil, err
		}
		times[i] = time.Since(began)
		if !strings.Contains(screen, "data-tile=") {
			return nil, fmt.Errorf("%w: nothing found", errTill)
		}
	}
	slices.Sort(times)
	return times, nil
}
