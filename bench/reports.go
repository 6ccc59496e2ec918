package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	fewSales  = 10_000
	manySales = 1_000_000

	reportRounds   = 5
	reportRequests = 40 // of each shop in a round
	reportWarmUp   = 8
)

// pastShop is a shop that has been open for a year, as seeding tells it.
type pastShop struct {
	Key     string `json:"api_key"`
	Session string `json:"session"`
	Payer   string `json:"payer"`
	Hash    string `json:"transaction"`
}

// reports is how long a shop with a million sales waits for its pages, against one with ten thousand; and what it takes to
// write them all into one table.
func reports(ctx context.Context, s *openedShop) ([]result, error) {
	if err := s.work(ctx); err != nil {
		return nil, err
	}
	few, err := s.past(ctx, fewSales)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	many, err := s.past(ctx, manySales)
	if err != nil {
		return nil, err
	}
	seeded := time.Since(began)
	if err := s.analyze(ctx); err != nil {
		return nil, err
	}
	var results []result
	for _, page := range reportPages {
		r, err := comparePages(ctx, s, few, many, page.name, page.path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", page.name, err)
		}
		results = append(results, r)
	}
	tables, err := compareTables(ctx, s, few, many)
	if err != nil {
		return nil, err
	}
	results = append(results, tables...)
	results[0].what += fmt.Sprintf(" (seeded in %.0f s)", seeded.Seconds())
	return results, nil
}

// past seeds a shop with sales of the last year.
func (s *openedShop) past(ctx context.Context, sales int) (pastShop, error) {
	var told pastShop
	cmd, log := s.command(ctx, "xsynesis-dev", "seed", "--past", strconv.Itoa(sales)), &bytes.Buffer{}
	cmd.Stderr = log
	out, err := cmd.Output()
	if err != nil {
		return told, fmt.Errorf("seed %d sales: %w\n%s", sales, err, log)
	}
	return told, json.Unmarshal(out, &told)
}

// reportPages are what a shop looks at most, as its browser asks for it.
var reportPages = []struct {
	name string
	path func(pastShop) string
}{
	{"overview", func(pastShop) string { return "/dashboard" }},
	{"overview, a year", func(pastShop) string { return "/dashboard?period=all" }},
	{"sales list", func(pastShop) string { return "/dashboard/sales?period=all" }},
	{"sales list of a channel", func(pastShop) string { return "/dashboard/sales?period=all&channel=till" }},
	{"search by address", func(p pastShop) string { return searchPath(p.Payer) }},
	{"search by hash", func(p pastShop) string { return searchPath(p.Hash) }},
	{"search by its beginning", func(p pastShop) string { return searchPath(p.Hash[:10]) }},
	{"search by reference", func(pastShop) string { return searchPath("order-5000") }},
	{"search by amount", func(pastShop) string { return searchPath("2.50") }},
	{"search by name", func(pastShop) string { return searchPath("coffee beans") }},
	{"search for nothing", func(pastShop) string { return searchPath("nothing like it") }},
	{"balance", func(pastShop) string { return "/dashboard/balance" }},
}

func searchPath(text string) string { return "/dashboard/sales?period=all&q=" + url.QueryEscape(text) }

// compared is how long the slowest twentieth of a round's requests took, at the least.
type compared struct{ few, many time.Duration }

func (c compared) ratio() float64 { return c.many.Seconds() / c.few.Seconds() }

// comparePages asks both shops in turn, so that whatever else happens on this machine happens to both, and reports the round
// that lies in the middle.
func comparePages(ctx context.Context, s *openedShop, few, many pastShop, name string, path func(pastShop) string) (result, error) {
	client := &http.Client{}
	defer client.CloseIdleConnections()
	if _, err := askBoth(ctx, client, s, few, many, path, reportWarmUp); err != nil {
		return result{}, err
	}
	rounds := make([]compared, reportRounds)
	for i := range rounds {
		var err error
		if rounds[i], err = askBoth(ctx, client, s, few, many, path, reportRequests); err != nil {
			return result{}, err
		}
	}
	slices.SortFunc(rounds, func(a, b compared) int { return cmp.Compare(a.ratio(), b.ratio()) })
	c := rounds[len(rounds)/2]
	return atMost(fmt.Sprintf("%s of %d sales, p95", name, manySales), fmt.Sprintf("%.1f ms", ms(c.many)),
		fmt.Sprintf("of %d %.1f ms", fewSales, ms(c.few)), c.ratio(), 2), nil
}

func askBoth(ctx context.Context, client *http.Client, s *openedShop, few, many pastShop, path func(pastShop) string, times int) (compared, error) {
	var small, large []time.Duration
	for range times {
		for _, of := range []struct {
			shop pastShop
			into *[]time.Duration
		}{{few, &small}, {many, &large}} {
			began := time.Now()
			if err := seen(ctx, client, s.site+path(of.shop), of.shop); err != nil {
				return compared{}, err
			}
			*of.into = append(*of.into, time.Since(began))
		}
	}
	return compared{p95(small), p95(large)}, nil
}

func p95(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)*95/100]
}

// seen opens a page as the shop's owner does.
func seen(ctx context.Context, client *http.Client, url string, shop pastShop) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.AddCookie(&http.Cookie{Name: "sid", Value: shop.Session}) //nolint:gosec // sent, not set
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	page := &bytes.Buffer{}
	_, err = page.ReadFrom(response.Body)
	if response.StatusCode != http.StatusOK || !strings.Contains(page.String(), `class="dashboard"`) {
		err = errors.Join(err, fmt.Errorf("%w: %s of %s", errStatus, response.Status, url))
	}
	return errors.Join(err, response.Body.Close())
}

// compareTables fetches all sales as a table: rows a second, and the memory that the web process had at most meanwhile.
func compareTables(ctx context.Context, s *openedShop, few, many pastShop) ([]result, error) {
	smallRate, smallPeak, err := s.table(ctx, few, fewSales)
	if err != nil {
		return nil, err
	}
	rate, peak, err := s.table(ctx, many, manySales)
	if err != nil {
		return nil, err
	}
	results := []result{atLeast(fmt.Sprintf("rows/s of a table of %d sales", manySales), fmt.Sprintf("%.0f/s", rate), fmt.Sprintf("of %d %.0f/s", fewSales, smallRate), rate/smallRate, 0.5)}
	if peak > 0 {
		results = append(results, atMost(fmt.Sprintf("memory for a table of %d sales, at most", manySales), fmt.Sprintf("%.0f MB", peak), fmt.Sprintf("of %d %.0f MB", fewSales, smallPeak), peak/smallPeak, 1.5))
	}
	return results, nil
}

func (s *openedShop) table(ctx context.Context, of pastShop, sales int) (rate, peak float64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.site+"/api/sales.csv", nil)
	if err != nil {
		return 0, 0, err
	}
	request.Header.Set("Authorization", "Bearer "+of.Key)
	s.forgetPeak()
	began := time.Now()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	lines := 0
	for scan := bufio.NewScanner(response.Body); scan.Scan(); {
		lines++
	}
	if lines != sales+1 || response.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("%w: %s, %d lines for %d sales", errStatus, response.Status, lines, sales)
	}
	return float64(sales) / time.Since(began).Seconds(), s.peak(), nil
}

// forgetPeak has the system note anew how much memory the web process needs; where it cannot, the peak is that of its life.
func (s *openedShop) forgetPeak() {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.web.Process.Pid), []byte("5"), 0)
}

// peak is the most memory that the web process had, in MB; 0 where the system does not tell.
func (s *openedShop) peak() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.web.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
			kb, _ := strconv.ParseFloat(fields[1], 64)
			return kb / 1024
		}
	}
	return 0
}
