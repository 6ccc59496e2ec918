package handlers_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/audit"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/shop"
)

const base = "eip155:8453"

var actorOfTests = audit.By{Actor: "A test"}

// silentNetworks are a live and a test network whose nodes do not answer.
func silentNetworks() *evm.Registry {
	return evm.NewRegistry(map[uint64][]string{8453: {"http://127.0.0.1:1"}, 84532: {"http://127.0.0.1:1"}})
}

func silentChains() map[string]*evm.Chain {
	chains := map[string]*evm.Chain{}
	for _, n := range silentNetworks().All() {
		chains[n.ID] = evm.Dial(n, evm.Options{})
	}
	return chains
}

// newShopWorld is the site of shops that may be paid on both of them.
func newShopWorld(t *testing.T) *apiWorld {
	t.Helper()
	return newWorld(t, withGate(t, func(g *access.GateOptions) { g.Chains = silentChains() }))
}

var shownSecret = regexp.MustCompile(`sk_(?:test|live)_[0-9A-Za-z]{49}`)

// makeKey makes a key by the dashboard's form.
func (w *apiWorld) makeKey(browser with, name string, scopes ...string) string {
	w.t.Helper()
	answer := w.form("/dashboard/settings/keys", url.Values{"name": {name}, "scope": scopes, "expires": {"90"}}, browser)
	require.Equal(w.t, http.StatusCreated, answer.status, string(answer.body))
	secret := shownSecret.FindString(string(answer.body))
	require.NotEmpty(w.t, secret)
	return secret
}

// keyPage is the page of the newest key in a list.
func (w *apiWorld) keyPage(browser with) string {
	w.t.Helper()
	found := regexp.MustCompile(`/dashboard/settings/keys/key_\w+`).FindString(string(w.get("/dashboard/settings/keys", browser).body))
	require.NotEmpty(w.t, found)
	return found
}

func TestAKeyIsMadeReplacedAndRevokedByForms(t *testing.T) {
	t.Parallel()
	w := newShopWorld(t)
	ada, _ := w.signIn("ada")
	first := w.makeKey(ada, "Web shop", "links:read", "sales:read")
	require.Equal(t, 200, w.get("/api/payment_links/list", as(first)).status)
	require.Equal(t, 403, w.get("/api/webhooks/list", as(first)).status)
	list := string(w.get("/dashboard/settings/keys", ada).body)
	require.Contains(t, list, "Web shop")
	require.Contains(t, list, "sk_test_…"+first[len(first)-4:])
	require.NotContains(t, list, first)
	require.Contains(t, list, "last used")

	page := w.keyPage(ada)
	require.Equal(t, 200, w.get(page+"/successor", ada).status)
	rolled := w.form(page+"/successor", nil, ada)
	require.Equal(t, http.StatusCreated, rolled.status)
	second := shownSecret.FindString(string(rolled.body))
	require.NotEqual(t, first, second)
	require.Contains(t, string(rolled.body), "The key before works until")
	require.Equal(t, 409, w.form(page+"/successor", nil, ada).status, "two of one name are enough")
	refused := w.form("/dashboard/settings/keys", url.Values{"name": {"Web shop"}, "scope": {"links:read"}, "expires": {"never"}}, ada)
	require.Equal(t, 422, refused.status)
	require.Contains(t, string(refused.body), "Two keys of this name are in use.")

	require.Equal(t, 200, w.get(page+"/revocation", ada).status)
	require.Equal(t, 200, w.get("/api/payment_links/list", as(first)).status, "asking revokes nothing")
	require.Equal(t, 303, w.form(page+"/revocation", nil, ada).status)
	require.Equal(t, 303, w.form(page+"/revocation", nil, ada).status, "sent twice")
	revoked := 0
	for _, key := range []string{first, second} {
		if w.get("/api/payment_links/list", as(key)).status == 401 {
			revoked++
		}
	}
	require.Equal(t, 1, revoked)
}

func TestAKeysFormThatIsRefusedComesBack(t *testing.T) {
	t.Parallel()
	w := newShopWorld(t)
	ada, _ := w.signIn("ada")
	require.Equal(t, 200, w.get("/dashboard/settings/keys/new", ada).status)
	for _, values := range []url.Values{
		{"name": {""}, "scope": {"links:read"}, "expires": {"90"}}, {"name": {"x"}, "expires": {"90"}},
		{"name": {"x"}, "scope": {"everything"}, "expires": {"90"}}, {"name": {"x"}, "scope": {"links:read"}, "expires": {"-1"}},
		{"name": {"x"}, "scope": {"links:read"}, "expires": {"99999"}}, {"name": {"x"}, "scope": {"links:read"}, "expires": {"soon"}},
		{"name": {"x"}, "scope": {"links:read"}},
	} {
		answer := w.form("/dashboard/settings/keys", values, ada)
		require.Equal(t, 422, answer.status, values)
		require.NotRegexp(t, shownSecret, string(answer.body))
	}
	bob, _ := w.signIn("bob")
	w.makeKey(ada, "till", "links:read")
	page := w.keyPage(ada)
	for _, path := range []string{page + "/successor", page + "/revocation"} {
		require.Equal(t, 404, w.get(path, bob).status)
		require.Equal(t, 404, w.form(path, nil, bob).status)
	}
}

func TestOnlyWhoConfirmedMakesKeysAndChangesAddresses(t *testing.T) {
	t.Parallel()
	w := newShopWorld(t)
	ada, merchant := w.signIn("ada")
	_, err := w.pool.Exec(t.Context(), `UPDATE sessions SET stepped_up_at = now() - interval '6 minutes' WHERE merchant_id = $1`, merchant)
	require.NoError(t, err)
	for _, answer := range []reply{
		w.get("/dashboard/settings/keys/new", ada), w.form("/dashboard/settings/keys", url.Values{"name": {"x"}, "scope": {"links:read"}}, ada),
		w.form("/dashboard/settings/address", url.Values{"address": {payTo}, "network": {sepolia}}, ada),
	} {
		require.Equal(t, http.StatusSeeOther, answer.status)
		require.True(t, strings.HasPrefix(answer.header.Get("Location"), "/account/confirm"))
	}
	require.Equal(t, 200, w.get("/dashboard/settings/address", ada).status)
	_, err = w.pool.Exec(t.Context(), `UPDATE members SET role = 'manager' WHERE merchant_id = $1`, merchant)
	require.NoError(t, err)
	require.Equal(t, 403, w.form("/dashboard/settings/address", url.Values{"address": {payTo}, "network": {sepolia}}, ada).status)
	require.Equal(t, 200, w.get("/dashboard/settings", ada).status)
}

const payTo = "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65"

func TestAnAddressIsTypedProvenChangedAndTheChangeCancelled(t *testing.T) {
	t.Parallel()
	w := newShopWorld(t)
	ada, merchant := w.signIn("ada")
	const path = "/dashboard/settings/address"
	require.Contains(t, string(w.get(path, ada).body), "No address yet.")
	for _, bad := range []url.Values{
		{"address": {"0x1"}, "network": {sepolia}}, {"address": {payTo}}, {"address": {strings.Replace(payTo, "A", "a", 1)}, "network": {sepolia}},
	} {
		require.Equal(t, 422, w.form(path, bad, ada).status, bad)
	}
	require.Equal(t, 303, w.form(path, url.Values{"address": {payTo}, "network": {sepolia, base}}, ada).status)
	page := string(w.get(path, ada).body)
	require.Contains(t, page, payTo)
	require.Contains(t, page, "Not checked yet", "a network that does not answer stands in nobody's way")
	require.Contains(t, page, "Not proven to be yours yet")

	script := func(r *http.Request) {
		r.Header.Set("Accept", "application/json")
		r.Header.Set("Content-Type", "application/json")
	}
	key := newKey(t)
	address := crypto.PubkeyToAddress(key.PublicKey).Hex()
	asked := w.post(path+"/challenges", object{"address": address, "chain_id": 84532}, ada, script).json()
	signed := object{"message": asked["message"], "signature": personalSign(t, key, asked["message"].(string)), "networks": base + "," + sepolia}
	require.Contains(t, asked["message"], "This address is mine, and is to be paid.")
	expecting := object{"expected": payTo}
	for k, v := range signed {
		expecting[k] = v
	}
	wrong := w.post(path+"/proofs", expecting, ada, script)
	require.Equal(t, 400, wrong.status)
	require.Equal(t, 401, w.post(path+"/proofs", signed, ada, script).status, "a question is answered once")
	asked = w.post(path+"/challenges", object{"address": address, "chain_id": 84532}, ada, script).json()
	signed["message"], signed["signature"] = asked["message"], personalSign(t, key, asked["message"].(string))
	proven := w.post(path+"/proofs", signed, ada, script)
	require.Equal(t, 200, proven.status, string(proven.body))
	require.Equal(t, 2, strings.Count(string(w.get(path, ada).body), "Proven to be yours on"))

	require.Equal(t, 303, w.form(path, url.Values{"address": {payTo}, "network": {sepolia}}, ada).status)
	page = string(w.get(path, ada).body)
	require.Contains(t, page, "Cancel this change")
	require.Contains(t, string(w.get("/dashboard/notices", ada).body), "changed the receiving address on Base Sepolia")
	change := regexp.MustCompile(`pch_\w+`).FindString(page)
	bob, _ := w.signIn("bob")
	require.Equal(t, 404, w.form(path+"/cancellations", url.Values{"network": {sepolia}, "change": {change}}, bob).status)
	require.Equal(t, 303, w.form(path+"/cancellations", url.Values{"network": {sepolia}, "change": {change}}, ada).status)
	require.NotContains(t, string(w.get(path, ada).body), "Cancel this change")

	p, err := w.payees.Addresses(t.Context(), merchant)
	require.NoError(t, err)
	for _, a := range p {
		require.Equal(t, common.HexToAddress(address), a.Address)
	}
	require.Equal(t, 422, w.form(path, url.Values{"address": {address}, "network": {sepolia}}, bob).status, "it is another shop's")
}

func TestNothingOfOneModeShowsInTheOther(t *testing.T) {
	t.Parallel()
	w := newShopWorld(t)
	ada, merchant := w.signIn("ada")
	live := func(on string) reply { return w.form("/dashboard/mode", url.Values{"livemode": {on}}, ada) }
	require.Equal(t, 409, live("true").status, "no proven address on a live network")
	require.NoError(t, w.payees.SetAddress(t.Context(), merchant, shop.AddressForm{
		Address: common.HexToAddress(payTo), Networks: []string{base, sepolia}, Proven: func(evm.Network) bool { return true },
	}, actorOfTests))

	made := map[string]id.Link{}
	for mode, on := range map[string]string{"test": "false", "real": "true"} {
		require.Equal(t, 303, live(on).status)
		key := w.makeKey(ada, "key of "+mode, "links:write", "links:read", "webhooks:write")
		answer := w.post("/api/payment_links/create", object{"title": "link of " + mode, "price": "1"}, as(key))
		require.Equal(t, 201, answer.status, string(answer.body))
		made[mode] = id.Link(answer.json()["id"].(string))
		hook := w.post("/api/webhooks/register", object{"url": "https://" + mode + ".example/hook", "events": []string{}, "active": true}, as(key))
		require.Equal(t, 201, hook.status, string(hook.body))
	}
	for mode, other := range map[string]string{"test": "real", "real": "test"} {
		require.Equal(t, 303, live(map[string]string{"test": "false", "real": "true"}[mode]).status)
		overview := string(w.get("/dashboard", ada).body)
		require.Equal(t, mode == "test", strings.Contains(overview, "Nothing here moves real money."))
		for path, row := range map[string]string{
			"/dashboard/links": "link of %", "/dashboard/settings/keys": "key of %", "/dashboard/webhooks": "%.example",
		} {
			page := string(w.get(path, ada).body)
			require.Contains(t, page, strings.Replace(row, "%", mode, 1), path)
			require.NotContains(t, page, strings.Replace(row, "%", other, 1), path)
		}
		require.Equal(t, 200, w.get("/dashboard/links/"+string(made[mode]), ada).status)
		require.Equal(t, 404, w.get("/dashboard/links/"+string(made[other]), ada).status)
	}
	bob, _ := w.signIn("bob")
	require.Equal(t, 409, w.form("/dashboard/mode", url.Values{"livemode": {"true"}}, bob).status, "each shop for itself")
}

func TestTwoTabsDoNotOverwriteEachOther(t *testing.T) {
	t.Parallel()
	w := newShopWorld(t)
	ada, _ := w.signIn("ada")
	const path = "/dashboard/settings/name"
	require.Equal(t, 303, w.form(path, url.Values{"was": {"The ada"}, "name": {"Kaffe Nord"}}, ada).status)
	late := w.form(path, url.Values{"was": {"The ada"}, "name": {"Kaffe Süd"}}, ada)
	require.Equal(t, 409, late.status)
	page := string(late.body)
	require.Contains(t, page, "Somebody changed this since the page was opened.")
	require.Contains(t, page, `name="was" value="Kaffe Nord"`, "sent again, it counts")
	require.Contains(t, page, `value="Kaffe Süd"`)
	require.Equal(t, 303, w.form(path, url.Values{"was": {"Kaffe Nord"}, "name": {"Kaffe Süd"}}, ada).status)
	require.Equal(t, 303, w.form("/dashboard/settings/domain", url.Values{"was": {""}, "domain": {"kaffe.example"}}, ada).status)
	require.Equal(t, 422, w.form("/dashboard/settings/slug", url.Values{"was": {"ada"}, "slug": {"Kaffe Nord"}}, ada).status)
	settings := string(w.get("/dashboard/settings", ada).body)
	require.Contains(t, settings, "Kaffe Süd")
	require.Contains(t, settings, "kaffe.example")
}
