package shop

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// CodeForm is what a seller writes about codes that are made together.
type CodeForm struct {
	Name   string   // what the seller calls them; buyers do not see it
	Count  int      // 0 is one, or as many as Own has
	Prefix string   // that all of them begin with
	Own    []string // the seller's own words; nil has them made up
	Terms           // 0 uses is one
	// Once is an idempotency key, hashed with its scope: it makes these codes once, for ever. Nil for none.
	Once []byte
}

const (
	// MaxCodes is how many codes are made at once.
	MaxCodes = 1000
	// MaxUses is how often a code may be used at most.
	MaxUses = 1_000_000

	maxPrefix  = 20
	leastCode  = 4 // characters of an own word
	maxPercent = 99
)

// GenerateCodes makes codes: all of them, or none. Errors: [*FieldError], [ErrNotFound] for an item, a link or an endpoint
// that the shop does not have.
func (s *Service) GenerateCodes(ctx context.Context, merchant id.Merchant, livemode bool, f CodeForm, by audit.By) (Batch, error) {
	now := s.now()
	if err := f.check(now); err != nil {
		return Batch{}, err
	}
	if err := s.checkBound(ctx, merchant, livemode, f.Terms); err != nil {
		return Batch{}, err
	}
	fresh := id.New[id.CodeBatch](now)
	var batch id.CodeBatch
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if batch, err = queries.New().CodeBatchInsert(ctx, tx, f.insertion(fresh, merchant, livemode, now)); err != nil || batch != fresh {
			return err // its key has made them before
		}
		if err := f.insertTx(ctx, tx, batch, merchant, livemode, now); err != nil {
			return err
		}
		return s.recordCodesTx(ctx, tx, merchant, by, "codes.generated", "code batch", string(batch), nil, f.seen(livemode))
	})
	if err != nil {
		return Batch{}, fmt.Errorf("make codes for %s: %w", merchant, err)
	}
	return s.CodeBatch(ctx, merchant, livemode, batch)
}

func (f *CodeForm) check(now time.Time) error {
	f.Name, f.Prefix = strings.TrimSpace(f.Name), strings.ToUpper(strings.Trim(f.Prefix, " -"))
	if f.Own != nil {
		if err := f.checkOwn(); err != nil {
			return err
		}
		f.Count = len(f.Own)
	}
	if f.Count == 0 {
		f.Count = 1
	}
	if f.Uses == 0 {
		f.Uses = 1
	}
	switch {
	case !OneLine(f.Name, maxTitle):
		return &FieldError{"name", fmt.Sprintf("Use at most %d printable characters on one line.", maxTitle)}
	case f.Count < 1 || f.Count > MaxCodes:
		return &FieldError{"count", fmt.Sprintf("Give a whole number from 1 to %d.", MaxCodes)}
	case len(f.Prefix) > maxPrefix || f.Prefix != "" && fold(f.Prefix) == "":
		return &FieldError{"prefix", fmt.Sprintf("Use at most %d letters A to Z, figures and dashes.", maxPrefix)}
	case f.Uses < 1 || f.Uses > MaxUses:
		return &FieldError{"uses", fmt.Sprintf("Give a whole number from 1 to %d.", MaxUses)}
	case f.PerWallet < 0 || f.PerWallet > f.Uses:
		return &FieldError{"per_wallet", "Give a whole number up to the uses of a code, or nothing for no limit."}
	}
	return firstOf(errors.Join(f.checkOff(), f.checkTime(now), f.checkAddress(), f.checkSubject()))
}

// checkOwn refuses words of the seller that are no codes, or the same.
func (f *CodeForm) checkOwn() error {
	own, seen := make([]string, 0, len(f.Own)), make(map[string]bool, len(f.Own))
	for _, word := range f.Own {
		word = strings.ToUpper(strings.TrimSpace(word))
		if word == "" {
			continue
		}
		plain := fold(word)
		switch {
		case len(plain) < leastCode:
			return &FieldError{"codes", fmt.Sprintf("“%s” is no code: use %d to %d letters A to Z, figures and dashes.", cut(word, maxCode), leastCode, maxCode)}
		case seen[plain]:
			return &FieldError{"codes", fmt.Sprintf("“%s” is there twice. O and 0 count as the same, and so do I, L and 1.", word)}
		}
		seen[plain] = true
		own = append(own, word)
	}
	if len(own) == 0 || len(own) > MaxCodes {
		return &FieldError{"codes", fmt.Sprintf("Give 1 to %d codes.", MaxCodes)}
	}
	f.Own = own
	return nil
}

func (f *CodeForm) checkOff() error {
	switch {
	case f.Off == OffAll && f.Percent == 0 && f.Amount == 0:
	case f.Off == OffPercent && f.Amount == 0:
		if f.Percent < 1 || f.Percent > maxPercent {
			return &FieldError{"percent_off", fmt.Sprintf("Give a whole number from 1 to %d; a code for the whole price is free.", maxPercent)}
		}
	case f.Off == OffAmount && f.Percent == 0:
		if f.Amount <= 0 || f.Amount > maxPrice {
			return &FieldError{"amount_off", fmt.Sprintf("Give an amount up to %s USDC.", maxPrice.Grouped())}
		}
	default:
		return &FieldError{"free", "Say what a code takes off: free, percent_off or amount_off."}
	}
	return nil
}

func (f *CodeForm) checkTime(now time.Time) error {
	switch {
	case f.Until != nil && !f.Until.After(now):
		return &FieldError{"valid_until", "This time is over."}
	case f.From != nil && f.Until != nil && !f.From.Before(*f.Until):
		return &FieldError{"valid_until", "This is before the code becomes valid."}
	}
	return nil
}

func (f *CodeForm) checkAddress() error {
	if f.Address == "" {
		return nil
	}
	address, err := WalletAddress("address", f.Address)
	f.Address = address
	return err
}

// checkSubject refuses codes for several things.
func (f *CodeForm) checkSubject() error {
	subjects := slices.DeleteFunc([]string{string(f.Item), string(f.Link), string(f.Endpoint)}, func(s string) bool { return s == "" })
	if len(subjects) > 1 {
		return &FieldError{"item_id", "A code is for an item, a link or an endpoint, or for all the shop sells."}
	}
	return nil
}

// WalletAddress brings the address of a wallet into the form in which it is kept. Errors: [*FieldError].
func WalletAddress(field, address string) (string, error) {
	address = strings.TrimSpace(address)
	if !common.IsHexAddress(address) || !strings.HasPrefix(strings.ToLower(address), "0x") {
		return "", &FieldError{field, "Give the address of a wallet: 0x and 40 letters and figures."}
	}
	return strings.ToLower(address), nil
}

// checkBound looks for what codes are to be good for.
func (s *Service) checkBound(ctx context.Context, merchant id.Merchant, livemode bool, t Terms) error {
	var err error
	switch {
	case t.Item != "":
		_, err = s.Item(ctx, merchant, livemode, t.Item)
	case t.Link != "":
		var l Link
		if l, err = s.Link(ctx, merchant, t.Link); err == nil && l.Livemode != livemode {
			err = fmt.Errorf("link %s: %w", t.Link, ErrNotFound)
		}
	case t.Endpoint != "":
		var e queries.Endpoint
		e, err = queries.New().EndpointByID(ctx, s.pool, queries.EndpointByIDParams{MerchantID: merchant, ID: t.Endpoint})
		if err == nil && e.Livemode != livemode {
			err = pgx.ErrNoRows
		}
		if err = notFound(err); err != nil {
			err = fmt.Errorf("endpoint %s: %w", t.Endpoint, err)
		}
	}
	return err
}

func (f *CodeForm) insertion(fresh id.CodeBatch, merchant id.Merchant, livemode bool, now time.Time) queries.CodeBatchInsertParams {
	return queries.CodeBatchInsertParams{
		ID: fresh, MerchantID: merchant, Livemode: livemode, Name: f.Name, Off: string(f.Off), Percent: int32(f.Percent), Amount: f.Amount, Uses: int32(f.Uses),
		PerWallet: int32(f.PerWallet), ValidFrom: f.From, ValidUntil: f.Until, ItemID: optional(f.Item), LinkID: optional(f.Link), EndpointID: f.Endpoint,
		Address: f.Address, Codes: int32(f.Count), Once: f.Once, CreatedAt: now,
	}
}

// insertTx writes the codes. A made-up word that the shop has already, which nobody will live to see, ends it.
func (f *CodeForm) insertTx(ctx context.Context, tx pgx.Tx, batch id.CodeBatch, merchant id.Merchant, livemode bool, now time.Time) error {
	p := queries.CodesInsertParams{BatchID: batch, MerchantID: merchant, Livemode: livemode, Uses: int32(f.Uses), CreatedAt: now}
	for i := range f.Count {
		word := madeUp(f.Prefix)
		if f.Own != nil {
			word = f.Own[i]
		}
		p.Ids = append(p.Ids, string(id.New[id.Code](now)))
		p.Codes = append(p.Codes, word)
		p.Plains = append(p.Plains, fold(word))
	}
	written, err := queries.New().CodesInsert(ctx, tx, p)
	if err != nil {
		return err
	}
	if len(written) == f.Count {
		return nil
	}
	for i, plain := range p.Plains {
		if !slices.Contains(written, plain) {
			return &FieldError{"codes", fmt.Sprintf("The shop has the code “%s” already.", p.Codes[i])}
		}
	}
	return nil
}

// letters are those of made-up codes: none that looks like another.
const letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// madeUp is a word of 60 random bits, in groups that people can read out: "SPRING-7K2M-9QXT-4HNB".
func madeUp(prefix string) string {
	const groups, size = 3, 4
	var random [groups * size]byte
	_, _ = rand.Read(random[:])
	var b strings.Builder
	b.WriteString(prefix)
	for i, r := range random {
		if i%size == 0 && b.Len() > 0 {
			b.WriteByte('-')
		}
		b.WriteByte(letters[int(r)%len(letters)]) // 256 is a multiple of 32
	}
	return b.String()
}

// codesSeen is what the log of what was done says of codes: how many and what for, never which.
type codesSeen struct {
	Name      string      `json:"name,omitempty"`
	Livemode  bool        `json:"livemode"`
	Count     int         `json:"count"`
	Off       Off         `json:"off"`
	Percent   int         `json:"percent_off,omitempty"`
	Amount    string      `json:"amount_off,omitempty"` // USDC
	Uses      int         `json:"uses"`
	PerWallet int         `json:"per_wallet,omitempty"`
	From      *time.Time  `json:"valid_from,omitempty"`
	Until     *time.Time  `json:"valid_until,omitempty"`
	Item      id.Item     `json:"item,omitempty"`
	Link      id.Link     `json:"link,omitempty"`
	Endpoint  id.Endpoint `json:"endpoint,omitempty"`
	Address   string      `json:"address,omitempty"`
}

func (f *CodeForm) seen(livemode bool) codesSeen {
	return codesSeen{
		Name: f.Name, Livemode: livemode, Count: f.Count, Off: f.Off, Percent: f.Percent, Amount: amountSeen(f.Amount), Uses: f.Uses, PerWallet: f.PerWallet,
		From: f.From, Until: f.Until, Item: f.Item, Link: f.Link, Endpoint: f.Endpoint, Address: f.Address,
	}
}

func amountSeen(amount money.USDC) string {
	if amount == 0 {
		return ""
	}
	return amount.String()
}

func (s *Service) recordCodesTx(ctx context.Context, tx pgx.Tx, merchant id.Merchant, by audit.By, action, kind, resource string, before, after any) error {
	return audit.RecordTx(ctx, tx, s.now(), audit.Row{
		By: by, Merchant: merchant, Action: action, ResourceType: kind, ResourceID: resource, Before: before, After: after,
	})
}
