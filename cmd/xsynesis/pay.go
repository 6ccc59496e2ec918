package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"xsynesis/money"
	"xsynesis/x402"
	"xsynesis/x402/buyer"
)

// payCmd fetches an address and pays what it asks for, within limits. It needs nothing but a key: no shop, no database and
// no chain.
type payCmd struct {
	URL string `arg:"" help:"What to fetch, such as https://pay.example.com/link/…"`

	KeyFile string `type:"path" placeholder:"FILE" help:"File with the paying key; XSYNESIS_BUYER_KEY holds it as well. A key in the command line could be read by everybody."`

	Max     string `default:"0.10" placeholder:"USDC" help:"The most for this request."`
	PerDay  string `default:"1" placeholder:"USDC" help:"The most in 24 hours, everything in the book together."`
	PerHost string `placeholder:"USDC" help:"The most in 24 hours at this host; as --per-day."`
	Book    string `type:"path" placeholder:"FILE" help:"Where payments are written down; they count against the limits. Default: payments.jsonl in the user's own settings."`

	Method string        `short:"X" placeholder:"GET" help:"The request's method; POST where there is --data."`
	Header []string      `short:"H" sep:"none" placeholder:"NAME: VALUE" help:"A header of the request; may be given more than once."`
	Data   string        `short:"d" help:"The request's body; @FILE reads it from a file, @- from the standard input."`
	Output string        `short:"o" type:"path" placeholder:"FILE" help:"Write the answer to a file."`
	Wait   time.Duration `default:"60s" help:"How long to ask again while the network has not confirmed."`
	Offer  bool          `help:"Show what is asked for, and pay nothing."`

	limits buyer.Limits
}

// keyVariable holds the paying key.
const keyVariable = "XSYNESIS_BUYER_KEY"

// Validate is called before Run; what it refuses is a mistake in the command line.
func (p *payCmd) Validate() error {
	if !isAddress(p.URL) {
		return fmt.Errorf("%q is not an address such as https://pay.example.com/link/…", p.URL)
	}
	for _, limit := range []struct {
		name, text string
		into       *money.USDC
	}{{"--max", p.Max, &p.limits.Request}, {"--per-day", p.PerDay, &p.limits.Day}, {"--per-host", p.PerHost, &p.limits.Host}} {
		if limit.text == "" {
			continue
		}
		amount, err := money.ParseUSDC(limit.text)
		if err != nil || amount <= 0 {
			return fmt.Errorf("%s: %q is not an amount of USDC such as 0.10", limit.name, limit.text)
		}
		*limit.into = amount
	}
	for _, header := range p.Header {
		if name, _, ok := strings.Cut(header, ":"); !ok || strings.TrimSpace(name) == "" {
			return fmt.Errorf("--header: %q is not like \"Name: value\"", header)
		}
	}
	return nil
}

// Run writes the answer to stdout, and what was paid to stderr. It fails where the answer is 400 or above.
func (p *payCmd) Run(ctx context.Context, stdout io.Writer) error {
	if p.Offer {
		return p.show(ctx, stdout)
	}
	t, err := p.transport()
	if err != nil {
		return err
	}
	before := t.Paid()
	answer, err := p.fetch(ctx, t.Client())
	report(before, t.Paid())
	if err != nil {
		return explain(err)
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	if err := p.write(answer.Body, stdout); err != nil {
		return err
	}
	if answer.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s answered %s", answer.Request.URL.Host, answer.Status)
	}
	return nil
}

// transport is what pays.
func (p *payCmd) transport() (*buyer.Transport, error) {
	text := os.Getenv(keyVariable)
	if p.KeyFile != "" {
		read, err := os.ReadFile(p.KeyFile)
		if err != nil {
			return nil, err
		}
		text = string(read)
	}
	if text == "" {
		return nil, fmt.Errorf("no key to pay with: set %s or give --key-file", keyVariable)
	}
	wallet, err := buyer.Key(text)
	if err != nil {
		return nil, err
	}
	path, err := p.book()
	if err != nil {
		return nil, err
	}
	book, err := buyer.OpenBook(path)
	if err != nil {
		return nil, err
	}
	return buyer.New(buyer.Options{Wallet: wallet, Limits: p.limits, Book: book, Wait: p.Wait})
}

// book is where payments are written down.
func (p *payCmd) book() (string, error) {
	if p.Book != "" {
		return p.Book, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("%w: give --book", err)
	}
	dir = filepath.Join(dir, "xsynesis")
	return filepath.Join(dir, "payments.jsonl"), os.MkdirAll(dir, 0o700)
}

func (p *payCmd) fetch(ctx context.Context, client *http.Client) (*http.Response, error) {
	body, err := p.body()
	if err != nil {
		return nil, err
	}
	method := p.Method
	if method == "" {
		method = http.MethodGet
		if p.Data != "" {
			method = http.MethodPost
		}
	}
	r, err := http.NewRequestWithContext(ctx, strings.ToUpper(method), p.URL, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for _, header := range p.Header {
		name, value, _ := strings.Cut(header, ":")
		r.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return client.Do(r)
}

func (p *payCmd) body() (string, error) {
	path, file := strings.CutPrefix(p.Data, "@")
	if !file {
		return p.Data, nil
	}
	if path == "-" {
		text, err := io.ReadAll(os.Stdin)
		return string(text), err
	}
	text, err := os.ReadFile(path)
	return string(text), err
}

func (p *payCmd) write(answer io.Reader, stdout io.Writer) error {
	if p.Output == "" {
		_, err := io.Copy(stdout, answer)
		return err
	}
	f, err := os.Create(p.Output)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, answer)
	return errors.Join(err, f.Close())
}

// show says what is asked for.
func (p *payCmd) show(ctx context.Context, stdout io.Writer) error {
	answer, err := p.fetch(ctx, http.DefaultClient)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(io.LimitReader(answer.Body, mostReceipt))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusPaymentRequired {
		print(stdout, "%s: nothing is asked for\n", answer.Status)
		return nil
	}
	offer, err := x402.ReadOffer(answer.Header, body, x402.Base, x402.BaseSepolia)
	if err != nil {
		return err
	}
	for _, c := range offer.Choices {
		print(stdout, "%s USDC on %s to %s, within %s\n", c.Amount, c.Token.Network, c.PayTo, c.MaxTimeout)
	}
	if len(offer.Choices) == 0 {
		return buyer.ErrNoChoice
	}
	return nil
}

// report says what was signed or became known, on stderr: stdout is the answer's.
func report(before, after []buyer.Entry) {
	for i, e := range after {
		if i < len(before) && before[i] == e {
			continue
		}
		line := fmt.Sprintf("%s: %s USDC to %s on %s", e.State, e.Amount, e.PayTo, e.Network)
		if e.Transaction != "" {
			line += ", transaction " + e.Transaction
		}
		if e.Reason != "" {
			line += ": " + e.Reason
		}
		print(os.Stderr, "%s\n", line)
	}
}

// explain says what to do where it is not plain.
func explain(err error) error {
	if errors.Is(err, buyer.ErrUnknown) {
		return fmt.Errorf("%w\nRun the same command again: it sends the same payment, never another one", err)
	}
	return err
}
