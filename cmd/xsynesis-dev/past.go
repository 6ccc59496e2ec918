package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"

	"xsynesis/access"
	"xsynesis/cmd/wire"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/x402"
)

// pastNetwork has no node here: the books of past sales are held against themselves, and against no chain.
const pastNetwork = "eip155:8453"

// What the past is made of.
const (
	pastDays     = 365
	pastItems    = 60
	pastLinks    = 5
	pastPayers   = 5000
	pastPerCopy  = 50_000
	pastOfOrders = 5 // every so many-th sale has a reference
)

// pastShop is a shop that has been open for a year, as its programs and its owner's browser reach it.
type pastShop struct {
	Merchant id.Merchant `json:"seller_id"`
	Key      string      `json:"api_key"`
	Session  string      `json:"session"` // a browser's cookie
	Payer    string      `json:"payer"`   // of the newest sale
	Hash     string      `json:"transaction"`
}

// writePast writes this many sales of the last year into a shop of its own, straight into the books, and tells how the shop
// is reached. Nobody paid them: they are for looking at lists and figures.
func writePast(ctx context.Context, p *wire.Parts, sales int, out io.Writer) error {
	slug := "past-sales-" + strconv.Itoa(sales)
	merchant, err := p.Access.Found(ctx, access.Founding{Slug: slug, Name: "Past sales, " + strconv.Itoa(sales), Owner: "Per Past"})
	if err != nil {
		return err
	}
	w := pastWriter{
		merchant: merchant, sales: sales,
		random: rand.New(rand.NewPCG(1, uint64(sales))), //nolint:gosec // the same past every time
		end:    time.Now().UTC().Truncate(time.Microsecond),
	}
	w.payee = w.hex(20) // no two shops are paid at one address
	proven := w.end
	if err := p.Shop.SetPayee(ctx, merchant, pastNetwork, common.HexToAddress(w.payee), &proven); err != nil {
		return err
	}
	for i := range pastLinks {
		l, err := p.Shop.CreateLink(ctx, merchant, true, shop.LinkForm{Title: "Link " + strconv.Itoa(i+1), Price: money.One}, byDemo)
		if err != nil {
			return err
		}
		w.links = append(w.links, l.ID)
	}
	if err := w.write(ctx, p); err != nil {
		return fmt.Errorf("write %d sales: %w", sales, err)
	}
	told := pastShop{Merchant: merchant, Payer: w.last.payer, Hash: w.last.hash}
	if told.Key, err = p.Access.CreateKey(ctx, merchant, true, "Past sales", access.Scopes); err != nil {
		return err
	}
	members, err := p.Access.Members(ctx)
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.Merchant != merchant {
			continue
		}
		if told.Session, err = p.Access.Begin(ctx, access.Entrance{Person: m.Person, Merchant: merchant, Livemode: true, Method: access.ByDemo}); err != nil {
			return err
		}
	}
	return json.NewEncoder(out).Encode(told) //nolint:gosec // a shop that is worth nothing
}

// pastWriter makes up sales, oldest first, so that every index grows at its end.
type pastWriter struct {
	merchant id.Merchant
	payee    string
	links    []id.Link
	sales    int
	random   *rand.Rand
	end      time.Time

	items  []id.Item
	payers []string
	last   pastSale
}

// pastSale is one of them, with all that a sale leaves behind.
type pastSale struct {
	attempt        id.Attempt
	settlement     id.Settlement
	sale           id.Sale
	posting        id.Posting
	at             time.Time
	link           *id.Link
	item           string
	title, channel string
	amount         money.USDC
	payer, hash    string
	nonce, ref     string
	block          int64
}

func (w *pastWriter) hex(bytes int) string {
	b := make([]byte, bytes)
	for i := range b {
		b[i] = byte(w.random.Uint32())
	}
	return "0x" + hex.EncodeToString(b)
}

var pastThings = []string{"Coffee beans", "Tea", "Cup", "Gift box", "Reading night", "Poster", "Print", "Lamp", "Notebook", "Map"}

// make makes up the n-th sale.
func (w *pastWriter) make(n int) pastSale {
	step := pastDays * 24 * time.Hour / time.Duration(w.sales)
	at := w.end.Add(-step * time.Duration(w.sales-n)).Truncate(time.Microsecond)
	s := pastSale{
		attempt: id.New[id.Attempt](at), settlement: id.New[id.Settlement](at), sale: id.New[id.Sale](at), posting: id.New[id.Posting](at), at: at,
		payer: w.payers[w.random.IntN(len(w.payers))], hash: w.hex(32), nonce: w.hex(32), block: int64(n),
	}
	i := w.random.IntN(pastItems)
	s.item, s.title = string(w.items[i]), fmt.Sprintf("%s no. %d", pastThings[i%len(pastThings)], i+1)
	s.amount = money.USDC(1+i) * money.One / 4
	s.channel = []string{"link", "till", "api", "storefront"}[w.random.IntN(4)]
	if s.channel == "link" {
		s.link = &w.links[w.random.IntN(len(w.links))]
	}
	if n%pastOfOrders == 0 {
		s.ref = "order-" + strconv.Itoa(n)
	}
	return s
}

func (w *pastWriter) write(ctx context.Context, p *wire.Parts) error {
	for range pastItems {
		w.items = append(w.items, id.New[id.Item](w.end))
	}
	for range pastPayers {
		w.payers = append(w.payers, w.hex(20))
	}
	for from := 0; from < w.sales; from += pastPerCopy {
		rows := make([]pastSale, min(pastPerCopy, w.sales-from))
		for i := range rows {
			rows[i] = w.make(from + i)
		}
		w.last = rows[len(rows)-1]
		if err := pgx.BeginFunc(ctx, p.Pool, func(tx pgx.Tx) error { return w.copy(ctx, tx, rows) }); err != nil {
			return err
		}
	}
	if err := pgx.BeginFunc(ctx, p.Pool, func(tx pgx.Tx) error { return w.sum(ctx, tx) }); err != nil {
		return err
	}
	_, err := p.Pool.Exec(ctx, `VACUUM (ANALYZE) attempts, attempt_lines, settlements, sales, sales_sums, postings, entries, sold_titles`)
	return err
}

// pastTable is where a sale leaves rows, and which.
type pastTable struct {
	name    string
	columns []string
	rows    func(s *pastSale) [][]any
}

// copy writes sales to all tables that know of one.
func (w *pastWriter) copy(ctx context.Context, tx pgx.Tx, sales []pastSale) error {
	for _, t := range w.tables() {
		var pending [][]any
		next := 0
		_, err := tx.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromFunc(func() ([]any, error) {
			if len(pending) == 0 {
				if next == len(sales) {
					return nil, nil
				}
				pending, next = t.rows(&sales[next]), next+1
			}
			row := pending[0]
			pending = pending[1:]
			return row, nil
		}))
		if err != nil {
			return fmt.Errorf("copy to %s: %w", t.name, err)
		}
	}
	return nil
}

func (w *pastWriter) tables() []pastTable {
	asset, salt := assetOf(), make([]byte, 32)
	return []pastTable{
		{"attempts", []string{
			"id", "merchant_id", "link_id", "channel", "livemode", "status", "network", "asset", "pay_to", "amount", "amount_received", "title", "cart_salt", "cart_hash",
			"nonce", "reference", "expires_at", "created_at", "updated_at", "settled_at",
		}, func(s *pastSale) [][]any {
			return [][]any{{
				s.attempt, w.merchant, s.link, s.channel, true, "settled", pastNetwork, asset, w.payee, int64(s.amount), int64(s.amount), s.title, salt, salt,
				s.nonce, s.ref, s.at, s.at, s.at, s.at,
			}}
		}},
		{"attempt_lines", []string{"attempt_id", "line", "item_id", "title", "qty", "unit_amount"}, func(s *pastSale) [][]any {
			return [][]any{{s.attempt, int16(0), s.item, s.title, int32(1), int64(s.amount)}}
		}},
		{"settlements", []string{
			"id", "merchant_id", "attempt_id", "livemode", "facilitator", "status", "network", "asset", "payer", "nonce", "pay_to", "amount", "transaction",
			"block_number", "block_hash", "block_time", "log_index", "created_at", "updated_at", "confirmed_at",
		}, func(s *pastSale) [][]any {
			return [][]any{{
				s.settlement, w.merchant, s.attempt, true, "own", "final", pastNetwork, asset, s.payer, s.nonce, w.payee, int64(s.amount), s.hash,
				s.block, s.hash, s.at, int32(0), s.at, s.at, s.at,
			}}
		}},
		{"sales", []string{
			"id", "merchant_id", "livemode", "attempt_id", "line", "settlement_id", "link_id", "item_id", "item_title", "qty", "amount", "paid", "currency",
			"purchaser_address", "network", "transaction", "channel", "reference", "late", "simulated", "created_at",
		}, func(s *pastSale) [][]any {
			return [][]any{{
				s.sale, w.merchant, true, s.attempt, int16(0), s.settlement, s.link, s.item, s.title, int32(1), int64(s.amount), int64(s.amount), "USDC",
				s.payer, pastNetwork, s.hash, s.channel, s.ref, false, false, s.at,
			}}
		}},
		{"postings", []string{"id", "merchant_id", "kind", "source", "created_at"}, func(s *pastSale) [][]any {
			return [][]any{{s.posting, w.merchant, string(ledger.Sale), s.settlement, s.at}}
		}},
		{"entries", []string{"posting_id", "line", "merchant_id", "account", "network", "asset", "amount", "slot", "created_at"}, func(s *pastSale) [][]any {
			return [][]any{
				{s.posting, int16(0), w.merchant, string(ledger.Wallet), pastNetwork, asset, int64(s.amount), int16(0), s.at},
				{s.posting, int16(1), w.merchant, string(ledger.Sales), pastNetwork, asset, -int64(s.amount), int16(0), s.at},
			}
		}},
	}
}

func assetOf() string {
	for _, n := range evm.NewRegistry(nil).Known() {
		if n.ID == pastNetwork {
			return hexOf(n.Token)
		}
	}
	panic("no " + pastNetwork) // it is one of ours
}

func hexOf(t x402.Token) string { return "0x" + hex.EncodeToString(t.Address.Bytes()) }

// sum makes the shop's cached figures anew, from all that it sold.
func (w *pastWriter) sum(ctx context.Context, tx pgx.Tx) error {
	for _, statement := range []string{
		`DELETE FROM sales_sums WHERE merchant_id = $1`,
		`INSERT INTO sales_sums (merchant_id, livemode, zone, by, span, start, key, slot, payments, qty, amount, fee)
			SELECT merchant_id, livemode, zone, by, span, start, key, 0, count(DISTINCT attempt_id), sum(qty), sum(amount), sum(fee)
			FROM counted_sales WHERE merchant_id = $1 AND NOT next GROUP BY 1, 2, 3, 4, 5, 6, 7`,
		`INSERT INTO sold_titles SELECT DISTINCT merchant_id, livemode, item_id, item_title FROM sales WHERE merchant_id = $1 ON CONFLICT DO NOTHING`,
		`DELETE FROM link_totals WHERE link_id IN (SELECT id FROM links WHERE merchant_id = $1)`,
		`INSERT INTO link_totals (link_id, slot, payments, amount, last_paid_at)
			SELECT link_id, 0, count(DISTINCT attempt_id), sum(amount), max(created_at) FROM sales WHERE merchant_id = $1 AND link_id IS NOT NULL GROUP BY 1`,
		`DELETE FROM balances WHERE merchant_id = $1`,
		`INSERT INTO balances (merchant_id, account, network, asset, slot, amount)
			SELECT merchant_id, account, network, asset, slot, sum(amount) FROM entries WHERE merchant_id = $1 GROUP BY 1, 2, 3, 4, 5`,
	} {
		if _, err := tx.Exec(ctx, statement, w.merchant); err != nil {
			return err
		}
	}
	return nil
}
