package shop_test

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/access"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/postgres/pgtest"
	"xsynesis/shop"
	"xsynesis/webhook"
)

const (
	base    = "eip155:8453"
	sepolia = "eip155:84532"
)

var payee = common.HexToAddress("0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65")

// counter is a shop at its counter, with a clock that a test may move.
type counter struct {
	*shop.Service
	pool     *pgxpool.Pool
	hooks    *webhook.Service
	merchant id.Merchant
	offset   *atomic.Int64
}

// open is a shop that is paid on the test network.
func open(t *testing.T) counter {
	t.Helper()
	c := empty(t)
	c.pays(t, c.merchant, sepolia, payee, true)
	return c
}

// empty is a shop that has not said where it is paid.
func empty(t *testing.T) counter {
	t.Helper()
	c := counter{pool: pgtest.New(t), offset: &atomic.Int64{}}
	jobs, err := river.NewClient(riverpgxv5.New(c.pool), &river.Config{})
	require.NoError(t, err)
	c.hooks = webhook.New(c.pool, jobs, webhook.Options{Now: c.now})
	c.Service = shop.New(c.pool, evm.NewRegistry(nil), c.hooks, c.now)
	c.merchant = c.found(t, "cafe")
	return c
}

func (c counter) now() time.Time {
	return time.Now().Add(time.Duration(c.offset.Load())).UTC().Truncate(time.Microsecond)
}

func (c counter) found(t *testing.T, slug string) id.Merchant {
	t.Helper()
	merchant, err := access.New(c.pool, c.now).Found(t.Context(), access.Founding{Slug: slug, Name: "The " + slug, Domain: slug + ".example", Owner: "Ada"})
	require.NoError(t, err)
	return merchant
}

func (c counter) pays(t *testing.T, merchant id.Merchant, network string, address common.Address, proven bool) {
	t.Helper()
	var at *time.Time
	if proven {
		moment := c.now()
		at = &moment
	}
	require.NoError(t, c.SetPayee(t.Context(), merchant, network, address, at))
}

// anew is what a seller does who writes all of a form.
func anew(f shop.LinkForm) func(*shop.LinkForm) error {
	return func(into *shop.LinkForm) error {
		*into = f
		return nil
	}
}

func (c counter) create(t *testing.T, f shop.LinkForm) shop.Link {
	t.Helper()
	link, err := c.CreateLink(t.Context(), c.merchant, false, f, ada)
	require.NoError(t, err)
	return link
}

var coffee = shop.LinkForm{Title: "Flat white", Price: 4_500_000}

func with(change func(*shop.LinkForm)) shop.LinkForm {
	f := coffee
	change(&f)
	return f
}

func TestALinkIsWhatItsFormSays(t *testing.T) {
	t.Parallel()
	c := open(t)
	ends := c.now().Add(time.Hour)
	link := c.create(t, shop.LinkForm{
		Title: "  Crème brûlée 🍮 ", Description: " two\nlines\t", Price: 1, Network: sepolia, ExpiresAt: &ends, MaxPayments: 3,
		SuccessURL: "https://cafe.example/thanks?a=b#c", Reference: " till 1 ", Metadata: json.RawMessage(`{"a": [1, "ü"]}`),
	})
	require.Equal(t, "Crème brûlée 🍮", link.Title)
	require.Equal(t, "two\nlines", link.Description)
	require.Equal(t, money.USDC(1), link.Price)
	require.Equal(t, sepolia, link.Network.ID)
	require.Equal(t, 3, link.MaxPayments)
	require.Equal(t, "till 1", link.Reference)
	require.JSONEq(t, `{"a": [1, "ü"]}`, string(link.Metadata))
	require.WithinDuration(t, ends, *link.ExpiresAt, 0)
	require.NoError(t, link.Open(c.now()))
	_, err := id.ParseToken(link.Token)
	require.NoError(t, err)

	o, err := c.Offer(t.Context(), link.Token)
	require.NoError(t, err)
	require.Equal(t, link.ID, o.Link.ID)
	require.Equal(t, "The cafe", o.Shop)
	require.Equal(t, "cafe.example", o.Domain)
	require.Equal(t, strings.ToLower(payee.Hex()), o.PayTo)

	plain := c.create(t, coffee)
	require.JSONEq(t, `{}`, string(plain.Metadata))
	require.Equal(t, sepolia, plain.Network.ID, "the shop's only network")
	require.NotEqual(t, link.Token, plain.Token)
}

func TestEveryFieldOfALinkIsChecked(t *testing.T) {
	t.Parallel()
	c := open(t)
	link := c.create(t, coffee)
	past, present := c.now().Add(-time.Second), c.now()
	for name, tt := range map[string]struct {
		field string
		form  shop.LinkForm
	}{
		"no title":                {"title", with(func(f *shop.LinkForm) { f.Title = "" })},
		"a title of spaces":       {"title", with(func(f *shop.LinkForm) { f.Title = " \u00a0\u2003 " })},
		"a long title":            {"title", with(func(f *shop.LinkForm) { f.Title = strings.Repeat("ü", 121) })},
		"a title of two lines":    {"title", with(func(f *shop.LinkForm) { f.Title = "a\nb" })},
		"a title with NUL":        {"title", with(func(f *shop.LinkForm) { f.Title = "a\x00b" })},
		"a title backwards":       {"title", with(func(f *shop.LinkForm) { f.Title = "pay \u202e001" })},
		"a title out of letters":  {"title", with(func(f *shop.LinkForm) { f.Title = "a\xff" })},
		"a long description":      {"description", with(func(f *shop.LinkForm) { f.Description = strings.Repeat("a", 2001) })},
		"a bell in a description": {"description", with(func(f *shop.LinkForm) { f.Description = "a\ab" })},
		"no price":                {"price", with(func(f *shop.LinkForm) { f.Price = 0 })},
		"a negative price":        {"price", with(func(f *shop.LinkForm) { f.Price = -1 })},
		"an absurd price":         {"price", with(func(f *shop.LinkForm) { f.Price = 10_000_000*money.One + 1 })},
		"fewer than no payments":  {"max_payments", with(func(f *shop.LinkForm) { f.MaxPayments = -1 })},
		"absurdly many payments":  {"max_payments", with(func(f *shop.LinkForm) { f.MaxPayments = 1_000_000_001 })},
		"an end in the past":      {"expires_at", with(func(f *shop.LinkForm) { f.ExpiresAt = &past })},
		"an end now":              {"expires_at", with(func(f *shop.LinkForm) { f.ExpiresAt = &present })},
		"a long reference":        {"reference", with(func(f *shop.LinkForm) { f.Reference = strings.Repeat("a", 201) })},
		"a reference of lines":    {"reference", with(func(f *shop.LinkForm) { f.Reference = "a\r\nb" })},
		"metadata that is a list": {"metadata", with(func(f *shop.LinkForm) { f.Metadata = json.RawMessage(`[1]`) })},
		"metadata that is text":   {"metadata", with(func(f *shop.LinkForm) { f.Metadata = json.RawMessage(`"a"`) })},
		"metadata that is broken": {"metadata", with(func(f *shop.LinkForm) { f.Metadata = json.RawMessage(`{"a":`) })},
		"metadata that is large":  {"metadata", with(func(f *shop.LinkForm) { f.Metadata = json.RawMessage(`{"a":"` + strings.Repeat("b", 4096) + `"}`) })},
	} {
		t.Run(name, func(t *testing.T) {
			requireField(t, tt.field, create(t, c, tt.form))
			_, err := c.UpdateLink(t.Context(), c.merchant, link.ID, anew(tt.form), ada)
			requireField(t, tt.field, err)
		})
	}
	requireField(t, "network", create(t, c, with(func(f *shop.LinkForm) { f.Network = "eip155:1" })))
	requireField(t, "network", create(t, c, with(func(f *shop.LinkForm) { f.Network = base })), "a live network in test mode")
	var n int
	require.NoError(t, c.pool.QueryRow(t.Context(), `SELECT count(*) FROM links WHERE price = 4500000 AND title = 'Flat white'`).Scan(&n))
	require.Equal(t, 1, n)
}

func create(t *testing.T, c counter, f shop.LinkForm) error {
	t.Helper()
	_, err := c.CreateLink(t.Context(), c.merchant, false, f, ada)
	return err
}

func requireField(t *testing.T, field string, err error, why ...any) {
	t.Helper()
	var wrong *shop.FieldError
	require.ErrorAs(t, err, &wrong, why...)
	require.Equal(t, field, wrong.Field)
	require.NotEmpty(t, wrong.Message)
}

func TestReturnAddresses(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"", "https://cafe.example", "http://localhost:3000/a?b=c#d", "https://café.example/ü", "https://[::1]/"} {
		require.NoError(t, shop.CheckReturnURL("success_url", good), good)
	}
	for _, bad := range []string{
		"//evil.example", `/\evil.example`, "https:evil", "https://good@evil.example", "https://user:pw@good.example", "javascript:alert(1)",
		"data:text/html,x", "ftp://cafe.example", "cafe.example", "/thanks", "https://", "https://cafe.example/\r\nSet-Cookie: a=b", " https://cafe.example",
		"https://cafe.example/a b", `https://cafe.example\@evil.example`, "https://cafe.example/\x7f", "https://cafe.example/\xff",
		"https://cafe.example/" + strings.Repeat("a", 2048), "HTTPS//cafe.example", "https://%zz/",
	} {
		requireField(t, "success_url", shop.CheckReturnURL("success_url", bad), bad)
	}
}

func TestALinkNeedsAnAddressToBePaidAt(t *testing.T) {
	t.Parallel()
	c := empty(t)
	_, err := c.CreateLink(t.Context(), c.merchant, false, coffee, ada)
	require.ErrorIs(t, err, shop.ErrNoPayee)
	_, err = c.CreateLink(t.Context(), c.merchant, false, with(func(f *shop.LinkForm) { f.Network = sepolia }), ada)
	require.ErrorIs(t, err, shop.ErrNoPayee)

	c.pays(t, c.merchant, base, payee, false)
	_, err = c.CreateLink(t.Context(), c.merchant, false, coffee, ada)
	require.ErrorIs(t, err, shop.ErrNoPayee, "a live address takes no test money")
	_, err = c.CreateLink(t.Context(), c.merchant, true, coffee, ada)
	require.ErrorIs(t, err, shop.ErrUnproven)

	// On the test network nobody needs to prove anything.
	c.pays(t, c.merchant, sepolia, payee, false)
	link, err := c.CreateLink(t.Context(), c.merchant, false, coffee, ada)
	require.NoError(t, err)
	_, err = c.Offer(t.Context(), link.Token)
	require.NoError(t, err)
}

func TestALiveLinkPaysAProvenAddressOnly(t *testing.T) {
	t.Parallel()
	c := empty(t)
	c.pays(t, c.merchant, base, payee, true)
	link, err := c.CreateLink(t.Context(), c.merchant, true, coffee, ada)
	require.NoError(t, err)
	require.Equal(t, base, link.Network.ID)
	require.True(t, link.Livemode)
	_, err = c.Offer(t.Context(), link.Token)
	require.NoError(t, err)
	_, err = c.pool.Exec(t.Context(), `UPDATE payees SET proven_at = NULL`)
	require.NoError(t, err)
	_, err = c.Offer(t.Context(), link.Token)
	require.ErrorIs(t, err, shop.ErrUnproven)
	_, err = c.pool.Exec(t.Context(), `DELETE FROM payees`)
	require.NoError(t, err)
	_, err = c.Offer(t.Context(), link.Token)
	require.ErrorIs(t, err, shop.ErrNoPayee)
}

func TestAnAddressBelongsToOneShop(t *testing.T) {
	t.Parallel()
	c := open(t)
	other := c.found(t, "bookshop")
	proven := c.now()
	require.Error(t, c.SetPayee(t.Context(), other, sepolia, payee, &proven))
	require.NoError(t, c.SetPayee(t.Context(), other, sepolia, payee, nil), "claimed, not proven: it is never quoted on live networks")

	// It is said once; later words change nothing.
	require.NoError(t, c.SetPayee(t.Context(), c.merchant, sepolia, common.HexToAddress("0x1"), &proven))
	o, err := c.Offer(t.Context(), c.create(t, coffee).Token)
	require.NoError(t, err)
	require.Equal(t, strings.ToLower(payee.Hex()), o.PayTo)
}

func TestMoneyIsNeverSentWhereItWouldBeLost(t *testing.T) {
	t.Parallel()
	c := empty(t)
	usdc, err := evm.NewRegistry(nil).Network(sepolia)
	require.NoError(t, err)
	requireField(t, "address", c.SetPayee(t.Context(), c.merchant, sepolia, common.Address{}, nil))
	requireField(t, "address", c.SetPayee(t.Context(), c.merchant, sepolia, usdc.Token.Address, nil))
	require.ErrorIs(t, c.SetPayee(t.Context(), c.merchant, "eip155:1", payee, nil), evm.ErrNetwork)
}

func TestAnotherShopsLinkDoesNotExist(t *testing.T) {
	t.Parallel()
	c := open(t)
	link := c.create(t, coffee)
	stranger := c.found(t, "bookshop")
	_, err := c.Link(t.Context(), stranger, link.ID)
	require.ErrorIs(t, err, shop.ErrNotFound)
	_, err = c.UpdateLink(t.Context(), stranger, link.ID, anew(with(func(f *shop.LinkForm) { f.Price = 1 })), ada)
	require.ErrorIs(t, err, shop.ErrNotFound)
	_, err = c.ExpireLink(t.Context(), stranger, link.ID, ada)
	require.ErrorIs(t, err, shop.ErrNotFound)
	links, err := c.Links(t.Context(), stranger, false, shop.Page{Limit: 10})
	require.NoError(t, err)
	require.Empty(t, links)

	same, err := c.Link(t.Context(), c.merchant, link.ID)
	require.NoError(t, err)
	require.Equal(t, link, same)
	links, err = c.Links(t.Context(), c.merchant, true, shop.Page{Limit: 10})
	require.NoError(t, err)
	require.Empty(t, links, "live mode")
	for _, token := range []string{"", "x", id.NewToken(), "' OR 1=1 --", strings.Repeat("a", 10_000)} {
		_, err = c.Offer(t.Context(), token)
		require.ErrorIs(t, err, shop.ErrNotFound)
	}
}

func TestAFormerPriceIsHonouredForAWhile(t *testing.T) {
	t.Parallel()
	c := open(t)
	link := c.create(t, coffee)
	honours := func(price money.USDC) bool {
		t.Helper()
		current, err := c.Offer(t.Context(), link.Token)
		require.NoError(t, err)
		then, ok, err := c.Honours(t.Context(), current, price)
		require.NoError(t, err)
		require.Equal(t, ok, then.Amount == price)
		return ok
	}
	for _, price := range []money.USDC{5_000_000, 6_000_000} {
		_, err := c.UpdateLink(t.Context(), c.merchant, link.ID, anew(with(func(f *shop.LinkForm) { f.Price = price })), ada)
		require.NoError(t, err)
		require.True(t, honours(price))
	}
	require.True(t, honours(coffee.Price))
	require.True(t, honours(5_000_000))
	require.False(t, honours(4_000_000), "it never cost that")
	c.offset.Add(int64(shop.OfferTime) - int64(30*time.Second))
	require.True(t, honours(coffee.Price))
	c.offset.Add(int64(30 * time.Second))
	require.False(t, honours(coffee.Price))
	require.False(t, honours(5_000_000))
	require.True(t, honours(6_000_000))
}

func TestALinkEnds(t *testing.T) {
	t.Parallel()
	c := open(t)
	ends := c.now().Add(time.Minute)
	timed, ended := c.create(t, with(func(f *shop.LinkForm) { f.ExpiresAt = &ends })), c.create(t, coffee)
	require.NoError(t, timed.Open(ends.Add(-time.Nanosecond)))
	require.ErrorIs(t, timed.Open(ends), shop.ErrLinkExpired)

	first, err := c.ExpireLink(t.Context(), c.merchant, ended.ID, ada)
	require.NoError(t, err)
	require.ErrorIs(t, first.Open(c.now()), shop.ErrLinkExpired)
	c.offset.Add(int64(time.Hour))
	again, err := c.ExpireLink(t.Context(), c.merchant, ended.ID, ada)
	require.NoError(t, err)
	require.Equal(t, first.ExpiredAt, again.ExpiredAt)

	limited := shop.Link{MaxPayments: 2, PaymentsTaken: 1}
	require.NoError(t, limited.Open(c.now()))
	limited.PaymentsTaken = 2
	require.ErrorIs(t, limited.Open(c.now()), shop.ErrSoldOut)
}

func TestLinksAreListedPageByPage(t *testing.T) {
	t.Parallel()
	c := open(t)
	var made []id.Link
	for range 5 {
		made = append(made, c.create(t, coffee).ID)
		time.Sleep(2 * time.Millisecond) // ids sort by the millisecond
	}
	ids := func(p shop.Page) (ids []id.Link) {
		t.Helper()
		links, err := c.Links(t.Context(), c.merchant, false, p)
		require.NoError(t, err)
		for _, l := range links {
			require.Zero(t, l.LinkTotals)
			ids = append(ids, l.ID)
		}
		return ids
	}
	require.Equal(t, []id.Link{made[4], made[3], made[2]}, ids(shop.Page{Limit: 2}), "and one that says that there are more")
	require.Equal(t, []id.Link{made[2], made[1], made[0]}, ids(shop.Page{Limit: 10, Before: string(made[3])}))
	require.Equal(t, []id.Link{made[4], made[3]}, ids(shop.Page{Limit: 10, After: string(made[2])}))
	require.Equal(t, []id.Link{made[2], made[1]}, ids(shop.Page{Limit: 1, After: string(made[0])}))
	require.Empty(t, ids(shop.Page{Limit: 10, Before: string(made[0])}))
}

func TestOneKeyMakesOneLink(t *testing.T) {
	t.Parallel()
	c := open(t)
	once := with(func(f *shop.LinkForm) { f.Once = []byte("a key of this call") })
	links := make([]shop.Link, 20)
	var g errgroup.Group
	for i := range links {
		g.Go(func() (err error) {
			links[i], err = c.CreateLink(t.Context(), c.merchant, false, once, ada)
			return err
		})
	}
	require.NoError(t, g.Wait())
	for _, l := range links {
		require.Equal(t, links[0], l)
	}
	require.NotEqual(t, links[0].ID, c.create(t, coffee).ID)
}

func TestTwoWhoChangeALinkAtOnceUndoNothing(t *testing.T) {
	t.Parallel()
	c := open(t)
	link := c.create(t, coffee)
	changes := []func(*shop.LinkForm){
		func(f *shop.LinkForm) { f.Title = "Tea" },
		func(f *shop.LinkForm) { f.Description = "Hot" },
		func(f *shop.LinkForm) { f.Reference = "till-2" },
		func(f *shop.LinkForm) { f.MaxPayments = 7 },
		func(f *shop.LinkForm) { f.Metadata = json.RawMessage(`{"a":1}`) },
		func(f *shop.LinkForm) { f.SuccessURL = "https://cafe.example/thanks" },
		func(f *shop.LinkForm) { f.Price = 5_000_000 },
	}
	var g errgroup.Group
	for _, change := range changes {
		g.Go(func() error {
			_, err := c.UpdateLink(t.Context(), c.merchant, link.ID, func(f *shop.LinkForm) error { change(f); return nil }, ada)
			return err
		})
	}
	require.NoError(t, g.Wait())
	now, err := c.Link(t.Context(), c.merchant, link.ID)
	require.NoError(t, err)
	require.Equal(t, []any{"Tea", "Hot", "till-2", 7, `{"a": 1}`, "https://cafe.example/thanks", money.USDC(5_000_000)},
		[]any{now.Title, now.Description, now.Reference, now.MaxPayments, string(now.Metadata), now.SuccessURL, now.Price})
}

func TestMetadataIsKeptAsTheDatabaseTakesIt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``: `{}`, `null`: `{}`, ` {} `: `{}`, `{"a":"<&>\u00e9\ud83c\udf6e"}`: `{"a":"<&>é🍮"}`, `{"n":12345678901234567890.10}`: `{"n":12345678901234567890.10}`,
		`{"a":"\\ud800"}`: `{"a":"\\ud800"}`, `{"a":"\\\\u0000"}`: `{"a":"\\\\u0000"}`,
	} {
		got, err := shop.CheckMetadata(json.RawMessage(text))
		require.NoError(t, err, text)
		require.Equal(t, want, string(got))
	}
	for _, bad := range []string{
		`[]`, `"a"`, `{"a":1}{}`, `{"a":1} x`, `{"a":"\u0000"}`, `{"\u0000":1}`, `{"a":["\ud800"]}`, `{"a":"\udc00\ud800"}`, `{"a":"\ud800\\udc00"}`,
		"{\"a\":\"\xff\"}", `{"a":1e99999}`, `{"a":1e-99999}`, `{"a":1e99999999999999999999}`, `{"a":"` + strings.Repeat("b", 4096) + `"}`,
	} {
		_, err := shop.CheckMetadata(json.RawMessage(bad))
		requireField(t, "metadata", err, bad)
	}
}

// told are the types of what was told of a link, in their order.
func (c counter) told(t *testing.T, link id.Link) (types []string) {
	t.Helper()
	rows, err := c.pool.Query(t.Context(), `SELECT event_type FROM events WHERE resource_id = $1 ORDER BY sequence`, link)
	require.NoError(t, err)
	types, err = pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return types
}

func TestTheEndOfALinkIsToldOfOnce(t *testing.T) {
	t.Parallel()
	c := open(t)
	end := func() { require.NoError(t, c.EndLinks(t.Context())) }
	at := func(d time.Duration) shop.LinkForm {
		ends := c.now().Add(d)
		return with(func(f *shop.LinkForm) { f.ExpiresAt = &ends })
	}
	endless, timed, ended := c.create(t, coffee), c.create(t, at(time.Minute)), c.create(t, at(time.Minute))
	for range 2 {
		_, err := c.ExpireLink(t.Context(), c.merchant, ended.ID, ada)
		require.NoError(t, err)
		end()
	}
	require.Empty(t, c.told(t, timed.ID))
	c.offset.Add(int64(time.Minute))
	var g errgroup.Group
	for range 8 {
		g.Go(func() error { return c.EndLinks(t.Context()) })
	}
	require.NoError(t, g.Wait())
	_, err := c.ExpireLink(t.Context(), c.merchant, timed.ID, ada)
	require.NoError(t, err)
	require.Empty(t, c.told(t, endless.ID))
	require.Equal(t, []string{"link.expired"}, c.told(t, timed.ID), "by time, and later by the seller")
	require.Equal(t, []string{"link.expired"}, c.told(t, ended.ID), "by the seller, and later by time")

	// A link whose time is made longer is open again, and ends again.
	again := c.create(t, at(time.Minute))
	c.offset.Add(int64(time.Minute))
	end()
	_, err = c.UpdateLink(t.Context(), c.merchant, again.ID, anew(at(time.Minute)), ada)
	require.NoError(t, err)
	end()
	require.Len(t, c.told(t, again.ID), 1)
	_, err = c.UpdateLink(t.Context(), c.merchant, again.ID, func(f *shop.LinkForm) error { f.Title = "Tea"; return nil }, ada)
	require.NoError(t, err)
	c.offset.Add(int64(time.Minute))
	end()
	require.Len(t, c.told(t, again.ID), 2)
}
