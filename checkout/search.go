package checkout

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// planned asks the database to plan each statement for the values it is given. Statements with filters that may be empty need
// it: a plan that suits all values would read the whole history for a rare one.
type planned struct{ queries.DBTX }

// Query runs a statement that returns rows.
func (p planned) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return p.DBTX.Query(ctx, sql, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...) //nolint:rowserrcheck // whoever asked reads them
}

// QueryRow runs a statement that returns a row.
func (p planned) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return p.DBTX.QueryRow(ctx, sql, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...)
}

// search is what somebody looks for among payments, by what it looks like: one of our ids; an address or a hash, whole, by its
// beginning, or as a page shortens it; an amount, which may also be a reference; or else a reference, or words of what was sold.
type search struct {
	sale, attempt  string
	address, hash  string // lower-case hex
	prefix, suffix string
	paid           int64 // -1: not looked for
	reference      string
	words          string // for the database: each of them, or its beginning
	settlement     id.Settlement
}

const (
	mostWords   = 8
	mostMatched = 200 // things sold under names that match
)

var (
	hexForm    = regexp.MustCompile(`^0x[0-9a-f]{4,64}$`)
	shortForm  = regexp.MustCompile(`^(0x[0-9a-f]{4,})(?:…|\.\.\.)([0-9a-f]{4,})$`)
	amountForm = regexp.MustCompile(`^([0-9]{1,12}(?:\.[0-9]{1,6})?)( *usdc)?$`)
	wordsForm  = regexp.MustCompile(`[\p{L}\p{N}]+`)
)

// parseSearch understands what somebody typed.
func parseSearch(text string) search {
	text = strings.TrimSpace(text)
	low := strings.ToLower(text)
	s := search{paid: -1}
	if text == "" {
		return s
	}
	if sale, err := id.Parse[id.Sale](text); err == nil {
		s.sale = string(sale)
		return s
	}
	if attempt, err := id.Parse[id.Attempt](text); err == nil {
		s.attempt = string(attempt)
		return s
	}
	if settlement, err := id.Parse[id.Settlement](text); err == nil {
		s.settlement = settlement
		return s
	}
	if m := shortForm.FindStringSubmatch(low); m != nil {
		s.prefix, s.suffix = m[1], m[2]
		return s
	}
	if hexForm.MatchString(low) {
		switch len(low) {
		case 2 + 40:
			s.address = low
		case 2 + 64:
			s.hash = low
		default:
			s.prefix = low
		}
		return s
	}
	if m := amountForm.FindStringSubmatch(low); m != nil {
		if amount, err := money.ParseUSDC(m[1]); err == nil {
			s.paid, s.reference = int64(amount), low
			return s
		}
	}
	s.reference, s.words = low, prefixes(low)
	return s
}

// prefixes writes words as the database takes them: all of them, or words that begin so.
func prefixes(text string) string {
	words := wordsForm.FindAllString(text, mostWords)
	for i, w := range words {
		words[i] = "'" + w + "':*"
	}
	return strings.Join(words, " & ")
}

// saleList is a filter as the list of sales takes it.
func (s *Service) saleList(ctx context.Context, merchant id.Merchant, livemode bool, f Filter, limit int) (queries.SaleListParams, error) {
	found := parseSearch(f.Search)
	p := queries.SaleListParams{
		MerchantID: merchant, Livemode: livemode, Since: f.Since, Until: f.until(), BeforeTime: f.until(), BeforeID: "~",
		Channel: f.Channel, Network: f.Network, ItemID: f.ItemID, Sale: found.sale, Attempt: found.attempt, Paid: found.paid,
		Address: found.address, Hash: found.hash, Prefix: found.prefix, Suffix: found.suffix, Ref: found.reference, Most: int32(limit + 1),
	}
	q := queries.New()
	if found.settlement != "" {
		row, err := q.SettlementByID(ctx, s.pool, found.settlement)
		if err == nil && row.AttemptID != nil {
			p.Attempt = string(*row.AttemptID)
		} else {
			p.Sale = string(found.settlement) // no sale has such an id
		}
	}
	if found.words == "" {
		return p, nil
	}
	var err error
	p.Items, err = q.SoldUnder(ctx, s.pool, queries.SoldUnderParams{MerchantID: merchant, Livemode: livemode, Words: found.words, Most: int32(mostMatched)})
	if err != nil {
		return p, fmt.Errorf("sales of %s named %q: %w", merchant, found.words, err)
	}
	return p, nil
}
