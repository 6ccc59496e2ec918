package shop

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/net/http/httpguts"

	"xsynesis/egress"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// EndpointForm is what a seller writes about an endpoint. What is left empty gets its ordinary value.
type EndpointForm struct {
	URL          string
	Title        string
	Description  string
	MimeType     string
	Input        string // an example, as JSON
	Output       string
	Price        money.USDC
	Pricing      PricingType
	Interval     Interval
	Settles      Settles
	SecretHeader string
	Secret       string        // empty, where there is one already: that one
	Timeout      time.Duration // whole seconds
	MaxAnswer    int64         // bytes
	Identified   bool
	Disabled     bool
	Network      string // CAIP-2; empty is the shop's only network
	// Once is an idempotency key, hashed with its scope: it makes one endpoint, for ever. Nil for none.
	Once []byte
}

// What a call may take.
const (
	usualTimeout = 20 * time.Second
	maxTimeout   = 120 * time.Second
	// MaxHeld is the largest answer that is held until it is paid.
	MaxHeld = 4 << 20
	// maxStreamed is the largest answer that is handed on as it comes.
	maxStreamed = 1 << 30
	maxExample  = 4096
	maxSecret   = 4096
)

func (s *Endpoints) check(f *EndpointForm, kept bool) error {
	var err error
	if f.URL, err = s.egress.Normalize(strings.TrimSpace(f.URL)); err != nil {
		var refused *egress.Refused
		if errors.As(err, &refused) {
			return &FieldError{"url", refused.Reason}
		}
		return err
	}
	f.fill()
	switch {
	case !OneLine(f.Title, maxTitle):
		return &FieldError{"title", fmt.Sprintf("Use at most %d printable characters on one line.", maxTitle)}
	case !Lines(f.Description, maxDescription):
		return &FieldError{"description", fmt.Sprintf("Use at most %d printable characters.", maxDescription)}
	case f.Price <= 0:
		return &FieldError{"price", "The price must be more than zero."}
	case f.Price > maxPrice:
		return &FieldError{"price", fmt.Sprintf("The price can be at most %s USDC.", maxPrice.Grouped())}
	}
	if _, _, err := mime.ParseMediaType(f.MimeType); f.MimeType != "" && (err != nil || len(f.MimeType) > maxTitle) {
		return &FieldError{"mime_type", "Give a media type such as application/json."}
	}
	for name, text := range map[string]string{"example_input": f.Input, "example_output": f.Output} {
		if text != "" && (!json.Valid([]byte(text)) || len(text) > maxExample || strings.Contains(text, `\u0000`)) {
			return &FieldError{name, fmt.Sprintf("Give JSON of at most %d bytes.", maxExample)}
		}
	}
	return errors.Join(f.checkTerms(), f.checkSecret(kept))
}

// fill gives what was left empty its ordinary value.
func (f *EndpointForm) fill() {
	f.Title, f.Description, f.MimeType = strings.TrimSpace(f.Title), strings.TrimSpace(f.Description), strings.TrimSpace(f.MimeType)
	if f.Title == "" {
		first, _, _ := strings.Cut(f.Description, "\n")
		f.Title = cut(strings.TrimSpace(first), maxTitle)
	}
	if f.Title == "" {
		f.Title = "API"
	}
	if f.Pricing == "" {
		f.Pricing = PerRequest
	}
	if f.Settles == "" {
		f.Settles = SettlesAfter
	}
	if f.Timeout == 0 {
		f.Timeout = usualTimeout
	}
	if f.MaxAnswer == 0 {
		f.MaxAnswer = MaxHeld
	}
}

func (f *EndpointForm) checkTerms() error {
	switch {
	case !slices.Contains([]PricingType{PerRequest, OneTime, Subscription}, f.Pricing):
		return &FieldError{"pricing_type", "Choose per_request, one_time or subscription."}
	case f.Pricing == Subscription && !slices.Contains([]Interval{Hour, Day, Week, Month, Year}, f.Interval):
		return &FieldError{"billing_interval", "Choose hour, day, week, month or year."}
	case f.Pricing != Subscription && f.Interval != "":
		return &FieldError{"billing_interval", "Only a subscription has one."}
	case f.Settles != SettlesAfter && f.Settles != SettlesFirst:
		return &FieldError{"settle", "Choose after or first."}
	case f.Timeout < time.Second || f.Timeout > maxTimeout || f.Timeout%time.Second != 0:
		return &FieldError{"timeout_seconds", fmt.Sprintf("Give a whole number from 1 to %d.", maxTimeout/time.Second)}
	case f.MaxAnswer < 1, f.Settles == SettlesAfter && f.MaxAnswer > MaxHeld:
		return &FieldError{"max_answer_bytes", fmt.Sprintf("Give at most %d, or settle first.", MaxHeld)}
	case f.MaxAnswer > maxStreamed:
		return &FieldError{"max_answer_bytes", fmt.Sprintf("Give at most %d.", maxStreamed)}
	}
	return nil
}

// notSecrets are headers that the gateway decides on.
var notSecrets = []string{"Content-Length", "Content-Type", "Expect", "Host", "Payment-Signature", "X-Payment"}

func (f *EndpointForm) checkSecret(kept bool) error {
	f.SecretHeader = strings.TrimSpace(f.SecretHeader)
	if f.SecretHeader == "" {
		if f.Secret != "" {
			return &FieldError{"secret_header", "Say in which header the secret is sent."}
		}
		return nil
	}
	f.SecretHeader = http.CanonicalHeaderKey(f.SecretHeader)
	switch {
	case len(f.SecretHeader) > maxTitle || !httpguts.ValidHeaderFieldName(f.SecretHeader) || egress.OfConnection(f.SecretHeader) ||
		strings.HasPrefix(f.SecretHeader, "Proxy-") || slices.Contains(notSecrets, f.SecretHeader):
		return &FieldError{"secret_header", "Give the name of a header of your own, such as X-Api-Key."}
	case f.Secret == "" && !kept:
		return &FieldError{"secret", "Give the secret that your server expects."}
	case len(f.Secret) > maxSecret || strings.ContainsFunc(f.Secret, func(r rune) bool { return r < ' ' || r > '~' }):
		return &FieldError{"secret", fmt.Sprintf("Use at most %d printable ASCII characters.", maxSecret)}
	}
	return nil
}

// sameURL says which of a shop's unique keys a row would have broken.
func sameURL(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "23505" {
		return &FieldError{"url", "The shop has an endpoint for this URL already."}
	}
	return err
}

func (f *EndpointForm) insertion(s *Endpoints, e id.Endpoint, merchant id.Merchant, livemode bool, now time.Time) queries.EndpointInsertParams {
	p := queries.EndpointInsertParams{
		ID: e, MerchantID: merchant, Livemode: livemode, Network: f.Network, Url: f.URL, Title: f.Title, Description: f.Description, MimeType: f.MimeType,
		ExampleInput: f.Input, ExampleOutput: f.Output, Price: f.Price, PricingType: string(f.Pricing), BillingInterval: string(f.Interval), Settle: string(f.Settles),
		SecretHeader: f.SecretHeader, TimeoutSeconds: int32(f.Timeout / time.Second), MaxAnswer: f.MaxAnswer, Identified: f.Identified, Once: f.Once, CreatedAt: now,
	}
	if f.SecretHeader != "" {
		p.Secret = s.vault.Seal(endpointSealedAs(e), []byte(f.Secret))
	}
	return p
}
