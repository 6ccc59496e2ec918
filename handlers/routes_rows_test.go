package handlers_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/shop"
	"xsynesis/webhook"
)

// rows names the rows that a request is about: some that are there, or none.
type rows func(kind string) string

// own are rows of the shop, made as they are asked for; what is a person's own is this one's.
func (w *accessWorld) own(p somebody) rows {
	made := map[string]string{}
	return func(kind string) string {
		if _, ok := made[kind]; !ok {
			made[kind] = w.make(kind, p)
		}
		return made[kind]
	}
}

// unknown are ids that no row has.
func unknown() rows {
	now := time.Now()
	ids := map[string]string{
		"link": string(id.New[id.Link](now)), "link token": id.NewToken(), "webhook": string(id.New[id.Subscription](now)),
		"delivery": string(id.New[id.Delivery](now)), "replay": string(id.New[id.Replay](now)), "attempt": string(id.New[id.Attempt](now)),
		"key": string(id.New[id.Key](now)), "person": string(id.New[id.Person](now)), "cashier": string(id.New[id.Person](now)), "invite": string(id.New[id.Invite](now)),
		"till": string(id.New[id.Device](now)), "session": string(id.New[id.Session](now)), "notice": string(id.New[id.Notice](now)),
		"change": string(id.New[id.PayeeChange](now)), "shop": string(id.New[id.Merchant](now)), "event": string(id.New[id.Event](now)),
		"endpoint": string(id.New[id.Endpoint](now)), "pass": string(id.New[id.Pass](now)),
		"passkey": base64.RawURLEncoding.EncodeToString([]byte(id.NewToken())[:20]), "address": "0x00000000000000000000000000000000000000aA",
		"item": string(id.New[id.Item](now)), "list of keys": string(id.New[id.Item](now)), "picture": string(id.New[id.Upload](now)),
		"file": string(id.New[id.Upload](now)), "sale": string(id.New[id.Sale](now)), "refund": string(id.New[id.Refund](now)), "exception": string(id.New[id.Exception](now)), "line": "0", "slug": "nobody-here",
		"code": string(id.New[id.Code](now)), "code batch": string(id.New[id.CodeBatch](now)), "code word": "NO-SUCH-CODE",
		"payout": string(id.New[id.Payout](now)),
	}
	return func(kind string) string { return ids[kind] }
}

func (w *accessWorld) make(kind string, p somebody) string {
	w.t.Helper()
	ctx := w.t.Context()
	switch kind {
	case "passkey":
		return p.passkey
	case "address":
		return common.HexToAddress(p.wallet).Hex()
	case "session":
		other, err := w.access.Session(ctx, w.begin(access.Entrance{Person: p.id, Method: access.ByPasskey}))
		require.NoError(w.t, err)
		return string(other.ID)
	case "shop":
		return string(w.shop)
	case "slug":
		return w.slug(w.shop)
	case "person":
		role := access.Cashier
		if w.weighty {
			role = access.Manager
		}
		return string(w.somebody(w.shop, role).id)
	case "cashier":
		person, err := w.access.AddCashier(ctx, w.boss.session, access.Browser{}, "Kim", pin)
		require.NoError(w.t, err)
		return string(person)
	case "invite", "invite token":
		asked, token, err := w.access.Invite(ctx, w.boss.session, access.Browser{}, access.Viewer, "Vic")
		require.NoError(w.t, err)
		if kind == "invite" {
			return string(asked.ID)
		}
		return token
	case "till":
		device, _ := w.device(w.shop)
		return string(device)
	case "change":
		change := id.New[id.PayeeChange](time.Now())
		w.exec(`UPDATE payee_changes SET cancelled_at = now() WHERE merchant_id = $1 AND applied_at IS NULL AND cancelled_at IS NULL`, w.shop)
		w.exec(`INSERT INTO payee_changes (id, merchant_id, network, address, created_at, effective_at) VALUES ($1, $2, $3, $4, now(), now() + '1 day')`,
			change, w.shop, sepolia, "0x15d34aaf54267db7d7c367839aaf71a00a2c6a65")
		return string(change)
	case "payout":
		payout := id.New[id.Payout](time.Now())
		w.exec(`INSERT INTO sendings (id, merchant_id, network, asset, pay_from, pay_to, amount, nonce, status, created_at, updated_at)
			VALUES ($1, $2, $3, '', '', $4, 1, $1, 'failed', now(), now())`, payout, w.shop, sepolia, payTo)
		w.exec(`INSERT INTO payouts (id, merchant_id, livemode, network, amount, destination, actor, by_key, created_at)
			VALUES ($1, $2, false, $3, 1, $4, 'Ada', false, now())`, payout, w.shop, sepolia, payTo)
		return string(payout)
	case "endpoint":
		e, err := w.endpoints.Create(ctx, w.shop, false, shop.EndpointForm{URL: "http://127.0.0.1:1/" + id.NewToken(), Price: 10_000}, actorOfTests)
		require.NoError(w.t, err)
		return string(e.ID)
	case "pass":
		pass := id.New[id.Pass](time.Now())
		w.exec(`INSERT INTO passes (id, merchant_id, livemode, endpoint_id, payer, token_hash, paid_at, payments, created_at) VALUES ($1, $2, false, $3, $4, '', now(), 1, now())`,
			pass, w.shop, w.make("endpoint", p), payTo)
		return string(pass)
	case "exception":
		exception, settlement := id.New[id.Exception](time.Now()), id.New[id.Settlement](time.Now())
		w.exec(`INSERT INTO settlements (id, merchant_id, attempt_id, livemode, facilitator, status, network, asset, payer, nonce, pay_to, amount, created_at, updated_at)
			VALUES ($1, $2, $3, false, 'own', 'failed', $4, $5, $5, $1, $5, 1, now(), now())`, settlement, w.shop, w.make("attempt", p), sepolia, payTo)
		w.exec(`INSERT INTO exceptions (id, merchant_id, livemode, kind, attempt_id, settlement_id, payer, amount, network, transaction, created_at)
			SELECT $2, merchant_id, false, 'late_sold_out', attempt_id, id, payer, amount, network, transaction, now() FROM settlements WHERE id = $1`, settlement, exception)
		return string(exception)
	case "refund":
		refund, attempt := id.New[id.Refund](time.Now()), w.make("attempt", p)
		w.exec(`INSERT INTO refunds (id, merchant_id, livemode, attempt_id, title, status, collected, booked, network, asset, pay_from, pay_to, amount, transaction, actor, created_at, updated_at, ended_at)
			VALUES ($1, $2, false, $3, 'Tea', 'completed', false, false, $4, $5, $5, $5, 1, '0x01', 'Ada', now(), now(), now())`, refund, w.shop, attempt, sepolia, payTo)
		return string(refund)
	case "item", "list of keys", "picture", "file", "sale", "line":
		return w.makeOfShelf(kind)
	default:
		return w.makeOfBusiness(kind)
	}
}

// makeOfShelf makes what there is to buy, and what was bought of it.
func (w *accessWorld) makeOfShelf(kind string) string {
	w.t.Helper()
	ctx := w.t.Context()
	switch kind {
	case "item", "list of keys":
		form := shop.ItemForm{Title: "Beans", Kind: shop.Physical, Price: 1_000_000}
		if kind == "list of keys" {
			form.Kind = shop.LicenceKey
		}
		item, err := w.shops.CreateItem(ctx, w.shop, false, form, actorOfTests)
		require.NoError(w.t, err)
		return string(item.ID)
	case "picture":
		u, err := w.shops.UploadImage(ctx, w.shop, "cup.png", bytes.NewReader(pictureOf(w.t, 2, 2)), actorOfTests)
		require.NoError(w.t, err)
		return string(u.ID)
	case "file":
		u, err := w.shops.UploadFile(ctx, w.shop, "book.txt", strings.NewReader("text"), actorOfTests)
		require.NoError(w.t, err)
		return string(u.ID)
	case "sale":
		a, err := w.checkout.Start(ctx, checkout.Begin{Items: []shop.Want{{Item: id.Item(w.makeOfShelf("item")), Qty: 1}}, Channel: "api"})
		require.NoError(w.t, err)
		_, err = w.checkout.Simulate(ctx, w.shop, a.ID, checkout.Direct)
		require.NoError(w.t, err)
		var sale string
		require.NoError(w.t, w.pool.QueryRow(ctx, `SELECT id FROM sales WHERE attempt_id = $1`, a.ID).Scan(&sale))
		return sale
	default: // the line of a purchase
		return "0"
	}
}

// makeOfBusiness makes what buyers and programs have to do with.
func (w *accessWorld) makeOfBusiness(kind string) string {
	w.t.Helper()
	ctx := w.t.Context()
	switch kind {
	case "link", "link token":
		l, err := w.shops.CreateLink(ctx, w.shop, false, shop.LinkForm{Title: "Flat white", Price: 1_000_000}, actorOfTests)
		require.NoError(w.t, err)
		if kind == "link" {
			return string(l.ID)
		}
		return l.Token
	case "attempt":
		a, err := w.checkout.Start(ctx, checkout.Begin{Token: w.makeOfBusiness("link token")})
		require.NoError(w.t, err)
		return string(a.ID)
	case "webhook":
		w.retireHooks()
		s, _, err := w.hooks.Register(ctx, w.shop, false, webhook.SubscriptionForm{URL: "http://127.0.0.1:1/hook", Active: true}, actorOfTests)
		require.NoError(w.t, err)
		return string(s.ID)
	case "delivery":
		d, err := w.hooks.Test(ctx, w.shop, false, id.Subscription(w.makeOfBusiness("webhook")))
		require.NoError(w.t, err)
		return string(d)
	case "replay":
		r, err := w.hooks.ReplayFailed(ctx, w.shop, false, webhook.ReplayForm{Since: w.now().Add(-time.Hour)}, actorOfTests)
		require.NoError(w.t, err)
		return string(r.ID)
	case "notice":
		w.notice("Look.", "")
		rows, err := w.hooks.Notices(ctx, w.shop, false, false)
		require.NoError(w.t, err)
		return string(rows[0].ID)
	case "event":
		w.publish(w.tested("An event."))
		e, err := w.hooks.Newest(ctx, w.shop, false)
		require.NoError(w.t, err)
		return string(e.ID)
	case "code", "code batch", "code word":
		b, err := w.shops.GenerateCodes(ctx, w.shop, false, shop.CodeForm{Terms: shop.Terms{Off: shop.OffAll, Uses: 1000}}, actorOfTests)
		require.NoError(w.t, err)
		if kind == "code batch" {
			return string(b.ID)
		}
		all, err := w.shops.Codes(ctx, w.shop, false, shop.CodeFilter{Batch: b.ID}, shop.Page{Limit: 1})
		require.NoError(w.t, err)
		if kind == "code word" {
			return all[0].Code
		}
		return string(all[0].ID)
	case "key":
		key := id.New[id.Key](time.Now())
		require.NoError(w.t, queries.New().KeyInsert(ctx, w.pool, queries.KeyInsertParams{
			ID: key, MerchantID: w.shop, Name: string(key), Hash: []byte(key), Scopes: []string{"links:read"}, CreatedAt: time.Now(),
		}))
		return string(key)
	}
	w.t.Fatalf("nothing makes a %s", kind)
	return ""
}

// retireHooks keeps the shop below the number of webhooks that it may have.
func (w *accessWorld) retireHooks() {
	w.t.Helper()
	all, err := w.hooks.Subscriptions(w.t.Context(), w.shop, false, webhook.Page{})
	require.NoError(w.t, err)
	for _, s := range all[min(len(all), 20):] {
		_, err := w.hooks.Unregister(w.t.Context(), w.shop, false, s.ID, actorOfTests)
		require.NoError(w.t, err)
	}
}

func (w *accessWorld) notice(text, link string) {
	w.t.Helper()
	require.NoError(w.t, pgx.BeginFunc(w.t.Context(), w.pool, func(tx pgx.Tx) error {
		return w.hooks.NoticeTx(w.t.Context(), tx, w.now(), webhook.Notice{Merchant: w.shop, Kind: "test", Text: text, Link: link})
	}))
}

// slug is a shop's name in addresses.
func (w *accessWorld) slug(merchant id.Merchant) (slug string) {
	w.t.Helper()
	require.NoError(w.t, w.pool.QueryRow(w.t.Context(), `SELECT slug FROM merchants WHERE id = $1`, merchant).Scan(&slug))
	return slug
}
