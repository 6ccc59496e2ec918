package handlers_test

import (
	"net/url"
	"strings"

	"xsynesis/access"
	"xsynesis/id"
)

// filled is a form that names no row.
func filled(pairs ...string) func(*accessWorld, rows) content {
	return func(*accessWorld, rows) content { return fields(pairs...) }
}

// posted is a JSON object that names no row.
func posted(o object) func(*accessWorld, rows) content {
	return func(*accessWorld, rows) content { return content{json: o} }
}

// naming is a JSON object of one member, which names a row.
func naming(name, kind string, rest ...any) func(*accessWorld, rows) content {
	return func(_ *accessWorld, ids rows) content {
		o := object{name: ids(kind)}
		for i := 0; i < len(rest); i += 2 {
			o[rest[i].(string)] = rest[i+1]
		}
		return content{json: o}
	}
}

// namingItems is a JSON object that names one of the things that a shop sells.
func namingItems() func(*accessWorld, rows) content {
	return func(_ *accessWorld, ids rows) content {
		return content{json: object{"items": []object{{"item_id": ids("item")}}}}
	}
}

// itemNaming is the form of an item that names another row.
func itemNaming(field, kind string) func(*accessWorld, rows) content {
	return func(_ *accessWorld, ids rows) content {
		means := "physical"
		if kind == "file" {
			means = "file"
		}
		return fields("title", "Tea", "kind", means, "pricing", "fixed", "price", "2.50", field, ids(kind))
	}
}

// renaming is a JSON object about an item that names another row.
func renaming(name, kind string) func(*accessWorld, rows) content {
	return func(_ *accessWorld, ids rows) content {
		return content{json: object{"id": ids("item"), name: ids(kind)}}
	}
}

// toSign is what scripts of our pages send to have something signed.
var toSign = object{"address": payTo, "chain_id": 84532}

// unsigned is what they send back, without having it signed.
var unsigned = object{"message": "I am somebody else.", "signature": "0x00"}

const pin = "8529"

// carried is what requests carry, by their route.
var carried = map[string]func(*accessWorld, rows) content{
	"POST /login/codes":              filled("code", "0000-0000-0000-0000"),
	"POST /login/passkeys":           posted(object{"answer": object{}}),
	"POST /verify":                   filled("receipt", "{}"),
	"POST /join":                     filled("name", "Eve", "shop", "Hers"),
	"POST /join/passkeys/challenges": posted(object{"name": "Eve"}),
	"POST /join/passkeys":            posted(object{"answer": object{}}),

	"POST /account/name":                       filled("name", "Sam"),
	"POST /account/passkeys":                   posted(object{"name": "Key", "answer": object{}}),
	"POST /account/passkeys/:passkey":          filled("name", "Laptop"),
	"POST /account/wallets/challenges":         posted(toSign),
	"POST /account/wallets":                    posted(unsigned),
	"POST /account/confirm/passkeys":           posted(object{"answer": object{}}),
	"POST /account/confirm/wallets/challenges": posted(toSign),
	"POST /account/confirm/wallets":            posted(unsigned),
	"POST /account/confirm/codes":              filled("code", "0000-0000-0000-0000"),
	"POST /account/shop":                       func(_ *accessWorld, ids rows) content { return fields("shop", ids("shop")) },

	"POST /pay/:attempt/tip":      filled("tip", "1.00"),
	"POST /pay/:attempt/transfer": filled("hash", ""),

	"POST /s/:slug/cart/lines":         func(_ *accessWorld, ids rows) content { return fields("item", ids("item"), "qty", "2") },
	"POST /s/:slug/cart/lines/:number": filled("qty", "2"),
	"POST /s/:slug/checkout":           filled("once", "crt_0_0", "total", "1"),

	"POST /pos/ticket/lines":         func(_ *accessWorld, ids rows) content { return fields("item", ids("item")) },
	"POST /pos/ticket/lines/:number": filled("qty", "2"),
	"POST /pos/ticket/discount":      filled("percent", "10"),
	"POST /pos/ticket/reference":     filled("reference", "Table 4"),
	"POST /pos/charges":              filled("once", "tkt_0", "total", "1"),

	"POST /dashboard/staff/tills/:till/locking": filled("locks", "each"),

	"POST /onboarding/shop":  filled("name", "Another"),
	"POST /onboarding/money": filled("address", payTo, "network", sepolia),
	"POST /onboarding/sell":  filled("title", "Tea", "price", "2.50"),

	"POST /dashboard/mode":                          filled("livemode", "false"),
	"POST /dashboard/notices/reads":                 func(_ *accessWorld, ids rows) content { return fields("newest", ids("notice")) },
	"POST /dashboard/links":                         filled("title", "Tea", "price", "2.50"),
	"POST /dashboard/links/:link/edit":              filled("title", "Tea", "price", "2.50"),
	"POST /dashboard/attempts/:attempt/simulations": filled("mode", "direct"),

	"POST /dashboard/codes": filled("off", "free"),
	"POST /dashboard/endpoints": func(*accessWorld, rows) content {
		return fields("url", "http://127.0.0.1:1/"+id.NewToken(), "price", "0.01", "pricing_type", "per_request", "settle", "after")
	},
	"POST /dashboard/endpoints/:endpoint/edit": func(*accessWorld, rows) content {
		return fields("url", "http://127.0.0.1:1/"+id.NewToken(), "price", "0.01", "pricing_type", "per_request", "settle", "after")
	},
	"POST /dashboard/endpoints/:endpoint/status":           filled("status", "active"),
	"POST /dashboard/endpoints/:endpoint/trial":            filled("method", "GET"),
	"POST /dashboard/items":                                filled("title", "Tea", "kind", "physical", "pricing", "fixed", "price", "2.50"),
	"POST /dashboard/items/:item/edit":                     filled("title", "Tea", "kind", "physical", "pricing", "fixed", "price", "2.50"),
	"POST /dashboard/items/:item/stock":                    filled("more", "3"),
	"POST /dashboard/items/:item/keys":                     filled("keys", "AAA-1"),
	"POST /dashboard/orders/:sale/fulfilment":              filled("note", "Parcel 7"),
	"POST /dashboard/reconciliation/:exception/attachment": func(_ *accessWorld, ids rows) content { return fields("attempt", ids("attempt")) },
	"POST /dashboard/reconciliation/:exception/dismissal":  filled("reason", "A present"),
	"POST /dashboard/settings/confirm_limit":               filled("confirm_limit", "500", "was", "1000"),
	"POST /dashboard/refunds/:refund/transaction":          filled("transaction", "0x"+strings.Repeat("00", 32)),

	"GET /dashboard/ledger":                     func(*accessWorld, rows) content { return query("account", "available", "network", sepolia) },
	"POST /dashboard/balance/custody":           filled("network", sepolia, "collects", "false"),
	"POST /dashboard/payouts":                   filled("network", sepolia, "amount", "1", "destination", payTo),
	"POST /dashboard/payouts/limit":             filled("limit", "1000"),
	"POST /dashboard/payouts/entries":           filled("network", sepolia, "nonce", "0x00"),
	"POST /dashboard/payouts/addresses":         filled("network", sepolia, "address", "0x15d34aaf54267db7d7c367839aaf71a00a2c6a65"),
	"POST /dashboard/payouts/addresses/removal": filled("network", sepolia, "address", "0x00000000000000000000000000000000000000aA"),
	"POST /dashboard/webhooks":                  filled("url", "http://127.0.0.1:1/hook", "choice", "all"),
	"POST /dashboard/webhooks/:webhook/edit":    filled("url", "http://127.0.0.1:1/hook", "choice", "all"),
	"POST /dashboard/webhooks/:webhook/status":  filled("status", "paused"),

	"POST /dashboard/settings/name":   filled("was", "cafe", "name", "cafe"),
	"POST /dashboard/settings/domain": filled("was", "", "domain", "cafe.example"),
	"POST /dashboard/settings/slug":   filled("was", "cafe", "slug", "cafe"),
	"POST /dashboard/settings/zone":   filled("was", "UTC", "zone", "UTC"),
	"POST /dashboard/settings/keys": func(*accessWorld, rows) content {
		return fields("name", id.NewToken(), "scope", "links:read", "expires", "90")
	},
	"POST /dashboard/settings/address":            filled("address", payTo, "network", sepolia),
	"POST /dashboard/settings/address/challenges": posted(toSign),
	"POST /dashboard/settings/address/proofs":     posted(unsigned),
	"POST /dashboard/settings/address/cancellations": func(_ *accessWorld, ids rows) content {
		return fields("network", sepolia, "change", ids("change"))
	},

	"POST /dashboard/staff/people/:person/role":         func(w *accessWorld, _ rows) content { return fields("role", w.giving()) },
	"POST /dashboard/staff/people/:person/pin":          filled("pin", pin),
	"POST /dashboard/staff/people/:person/refund_limit": filled("refund_limit", "250"),
	"POST /dashboard/staff/people/:person/status":       filled("status", "suspended"),
	"POST /dashboard/staff/cashiers":                    filled("name", "Kim", "pin", pin),
	"POST /dashboard/staff/invites":                     func(w *accessWorld, _ rows) content { return fields("name", "Vic", "role", w.giving()) },
	"POST /dashboard/staff/tills":                       filled("name", "Counter"),

	"POST /pos/pairings": filled("code", "000000"),
	"POST /pos/unlock":   func(_ *accessWorld, ids rows) content { return fields("person", ids("cashier"), "pin", pin) },

	"POST /api/payment_links/create":   posted(object{"title": "Tea", "price": "2.50"}),
	"POST /api/payment_links/update":   naming("id", "link", "title", "Tea"),
	"POST /api/payment_links/expire":   naming("id", "link"),
	"POST /api/payment_links/delete":   naming("id", "link"),
	"GET /api/qr":                      func(_ *accessWorld, ids rows) content { return query("token", ids("link token")) },
	"POST /api/create_payment_session": naming("link_token", "link token"),
	"POST /api/payment_attempts/:id/pay": posted(object{"signature": "0x" + strings.Repeat("00", 65), "authorization": object{
		"from": payTo, "to": payTo, "value": "1", "validAfter": "0", "validBefore": "1", "nonce": "0x" + strings.Repeat("00", 32),
	}}),
	"POST /api/dev/settle":        naming("payment_attempt_id", "attempt"),
	"POST /api/items/create":      posted(object{"title": "Tea", "kind": "physical", "price": "2.50"}),
	"POST /api/items/update":      naming("id", "item", "title", "Tea"),
	"POST /api/items/archive":     naming("id", "item"),
	"POST /api/items/import_keys": naming("id", "list of keys", "keys", []string{"AAA-1"}),
	"POST /api/endpoints/create": func(*accessWorld, rows) content {
		return content{json: object{"url": "http://127.0.0.1:1/" + id.NewToken(), "price": "0.01"}}
	},
	"POST /api/endpoints/update":              naming("id", "endpoint", "title", "Tea"),
	"POST /api/endpoints/disable":             naming("id", "endpoint"),
	"POST /api/passes/revoke":                 naming("id", "pass"),
	"POST /api/uploads/create":                func(w *accessWorld, _ rows) content { return content{file: pictureOf(w.t, 3, 3)} },
	"POST /api/payouts/create":                posted(object{"amount_cents": 100, "destination_wallet": payTo}),
	"POST /api/sales/fulfill":                 naming("id", "sale", "note", "Parcel 7"),
	"POST /api/refunds/create":                naming("sale_id", "sale"),
	"POST /api/refunds/sent":                  naming("id", "refund", "transaction", "0x"+strings.Repeat("00", 32)),
	"POST /api/refunds/cancel":                naming("id", "refund"),
	"POST /api/activation_codes/generate":     posted(object{"free": true}),
	"POST /api/activation_codes/revoke":       naming("id", "code"),
	"POST /api/activation_codes/revoke_batch": naming("id", "code batch"),
	"POST /api/activation_codes/redeem":       naming("code", "code word"),
	"POST /api/webhooks/register":             posted(object{"url": "http://127.0.0.1:1/hook"}),
	"POST /api/webhooks/update":               naming("id", "webhook", "description", "Orders"),
	"POST /api/webhooks/unregister":           naming("id", "webhook"),
	"POST /api/webhooks/rotate_secret":        naming("id", "webhook"),
	"POST /api/webhooks/end_overlap":          naming("id", "webhook"),
	"POST /api/webhooks/test":                 naming("id", "webhook"),
	"POST /api/webhooks/redeliver":            naming("id", "delivery"),

	"POST /api/auth/siwe/nonce":  posted(toSign),
	"POST /api/auth/siwe/verify": posted(unsigned),
	"POST /api/auth/privy":       posted(object{"token": "a.b.c"}),
	"POST /admin/sessions":       filled("token", "not the operator's"),
}

// others are further ways in which requests name rows.
var others = map[string][]func(*accessWorld, rows) content{
	"POST /api/facilitator/webhook": {func(_ *accessWorld, ids rows) content {
		return content{json: object{"payment_attempt_id": ids("attempt")}}
	}},
	"GET /dashboard/webhooks/deliveries": {func(_ *accessWorld, ids rows) content { return query("webhook", ids("webhook")) }},
	"GET /dashboard/webhooks/replays/new": {func(_ *accessWorld, ids rows) content {
		return query("webhook", ids("webhook"), "count", "1")
	}},
	"GET /api/endpoints/list":          {func(_ *accessWorld, ids rows) content { return query("cursor", ids("endpoint")) }},
	"GET /api/passes/list":             {func(_ *accessWorld, ids rows) content { return query("endpoint_id", ids("endpoint")) }},
	"POST /dashboard/webhooks/replays": {func(_ *accessWorld, ids rows) content { return fields("webhook", ids("webhook")) }},
	"GET /dashboard/audit": {
		func(_ *accessWorld, ids rows) content { return query("person", ids("person")) },
		func(_ *accessWorld, ids rows) content { return query("resource", ids("link")) },
	},
	"POST /dashboard/items":            {itemNaming("edition_of", "item"), itemNaming("image_id", "picture"), itemNaming("file_id", "file")},
	"POST /dashboard/items/:item/edit": {itemNaming("edition_of", "item"), itemNaming("image_id", "picture"), itemNaming("file_id", "file")},
	"GET /dashboard/endpoints/passes":  {func(_ *accessWorld, ids rows) content { return query("endpoint", ids("endpoint")) }},
	"GET /dashboard/orders/packing":    {func(_ *accessWorld, ids rows) content { return query("id", ids("sale")) }},
	"GET /dashboard/sales":             {func(_ *accessWorld, ids rows) content { return query("q", ids("attempt")) }},
	"GET /api/webhooks/deliveries": {
		func(_ *accessWorld, ids rows) content { return query("webhook_subscription_id", ids("webhook")) },
		func(_ *accessWorld, ids rows) content { return query("resource_id", ids("webhook")) },
		func(_ *accessWorld, ids rows) content { return query("replay_id", ids("replay")) },
		func(_ *accessWorld, ids rows) content { return query("cursor", ids("delivery")) },
	},
	"GET /api/events/list": {
		func(_ *accessWorld, ids rows) content { return query("after", ids("event")) },
		func(_ *accessWorld, ids rows) content { return query("cursor", ids("event")) },
	},
	"POST /api/payment_links/create": {
		namingItems(),
		naming("file", "file", "title", "Tea", "price", "2.50"),
		naming("key_item_id", "list of keys", "title", "Tea", "price", "2.50"), naming("endpoint_id", "endpoint", "title", "Tea"),
	},
	"POST /api/payment_links/update": {
		func(_ *accessWorld, ids rows) content {
			return content{json: object{"id": ids("link"), "items": []object{{"item_id": ids("item")}}}}
		},
		func(_ *accessWorld, ids rows) content {
			return content{json: object{"id": ids("link"), "file": ids("file"), "key_item_id": ids("list of keys")}}
		},
		func(_ *accessWorld, ids rows) content {
			return content{json: object{"id": ids("link"), "endpoint_id": ids("endpoint")}}
		},
	},
	"POST /api/create_payment_session":        {namingItems(), naming("endpoint_id", "endpoint")},
	"POST /dashboard/codes/:batch/revocation": {func(_ *accessWorld, ids rows) content { return fields("code", ids("code")) }},
	"POST /dashboard/codes": {
		func(_ *accessWorld, ids rows) content { return fields("off", "free", "for", ids("item")) },
		func(_ *accessWorld, ids rows) content { return fields("off", "free", "for", ids("link")) },
	},
	"POST /api/refunds/create": {naming("payment_attempt_id", "attempt"), naming("exception_id", "exception")},
	"POST /api/activation_codes/generate": {
		naming("item_id", "item", "free", true), naming("endpoint_id", "endpoint", "free", true), naming("link_token", "link token", "free", true),
	},
	"POST /api/activation_codes/redeem": {
		naming("endpoint_id", "endpoint", "code", "NO-SUCH-CODE"), naming("link_token", "link token", "code", "NO-SUCH-CODE"),
	},
	"POST /api/items/create": {
		naming("edition_of", "item", "title", "Tea", "kind", "physical", "price", "2.50"),
		naming("image", "picture", "title", "Tea", "kind", "physical", "price", "2.50"),
		naming("file", "file", "title", "Tea", "kind", "file", "price", "2.50"),
	},
	"POST /api/items/update":           {renaming("edition_of", "item"), renaming("image", "picture"), renaming("file", "file")},
	"GET /api/sales.csv":               {func(_ *accessWorld, ids rows) content { return query("item_id", ids("item")) }},
	"POST /api/webhooks/update":        {naming("webhook_subscription_id", "webhook", "active", false)},
	"POST /api/webhooks/unregister":    {naming("webhook_subscription_id", "webhook")},
	"POST /api/webhooks/rotate_secret": {naming("webhook_subscription_id", "webhook")},
	"POST /api/webhooks/end_overlap":   {naming("webhook_subscription_id", "webhook")},
	"POST /api/webhooks/test":          {naming("webhook_subscription_id", "webhook")},
	"POST /api/webhooks/redeliver": {
		naming("delivery_id", "delivery"),
		naming("webhook_subscription_id", "webhook", "failed_since", "2026-01-01T00:00:00Z", "dry_run", true),
		naming("webhook_subscription_id", "webhook", "failed_since", "2026-01-01T00:00:00Z"),
	},
}

// form is what a request has to carry so that nothing but who asks decides about it.
func (w *accessWorld) form(r rule, ids rows) content {
	if carries, ok := carried[r.String()]; ok {
		return carries(w, ids)
	}
	return content{}
}

func fields(pairs ...string) content { return content{form: pairsOf(pairs)} }

func query(pairs ...string) content { return content{query: pairsOf(pairs)} }

func pairsOf(pairs []string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

// giving is the role of a form that gives one.
func (w *accessWorld) giving() string {
	if w.weighty {
		return string(access.Manager)
	}
	return string(access.Viewer)
}
