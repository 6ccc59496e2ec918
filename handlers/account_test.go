package handlers_test

import (
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
)

// ages lets the last proof of everybody be this old.
func (w *apiWorld) ages(age string) {
	w.t.Helper()
	_, err := w.pool.Exec(w.t.Context(), `UPDATE sessions SET stepped_up_at = stepped_up_at - $1::interval, created_at = created_at - $1::interval`, age)
	require.NoError(w.t, err)
}

func TestTheFirstRunIsOpenedByItsTokenAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withGate(t, closed))
	token := w.gate.FirstRunToken()
	for _, path := range []string{"/first-run", "/first-run?token=", "/first-run?token=x"} {
		require.Equal(t, 404, w.get(path, page).status, path)
	}
	require.Equal(t, 403, w.get("/join", page).status)
	require.NotContains(t, string(w.get("/login", page).body), "/join")
	shown := w.get("/first-run?token="+token, page)
	require.Equal(t, 200, shown.status)
	require.Contains(t, string(shown.body), "Name of your shop")
	require.Equal(t, "no-store", shown.header.Get("Cache-Control"))

	empty := w.sends("/join", url.Values{"invite": {token}, "name": {"Ada"}, "shop": {" "}})
	require.Equal(t, 422, empty.status)
	require.Contains(t, string(empty.body), "Give a name of 1 to 80 characters.")
	require.Contains(t, string(empty.body), `value="Ada"`)

	in := w.sends("/join", url.Values{"invite": {token}, "name": {"Ada"}, "shop": {"Kaffe Nord"}})
	require.Equal(t, 200, in.status)
	codes := regexp.MustCompile(`<code>([0-9a-z-]{29})</code>`).FindAllStringSubmatch(string(in.body), -1)
	require.Len(t, codes, 10)
	require.Contains(t, string(in.body), `href="/dashboard"`)
	browser := header("Cookie", "__Host-sid="+in.cookie())
	require.Contains(t, string(w.get("/dashboard", page, browser).body), "Kaffe Nord")

	require.Equal(t, 404, w.get("/first-run?token="+token, page).status, "it is over")
	require.Equal(t, 403, w.sends("/join", url.Values{"invite": {token}, "name": {"Eve"}, "shop": {"Hers"}}).status)
	back := w.sends("/login/codes", url.Values{"code": {codes[3][1]}})
	require.Equal(t, http.StatusSeeOther, back.status)
	require.Equal(t, "/dashboard", back.header.Get("Location"))
	require.Equal(t, 422, w.sends("/login/codes", url.Values{"code": {codes[3][1]}}).status, "once")
}

func TestWhatNeedsAStepUpAsksForIt(t *testing.T) {
	t.Parallel()
	w, key := newWorld(t), newKey(t)
	browser, in := w.enters(key)
	w.employs(w.cafe, in, access.Owner)
	address := crypto.PubkeyToAddress(key.PublicKey).Hex()
	removal := "/account/wallets/" + address + "/removal"
	require.Equal(t, 200, w.get(removal, page, browser).status, "she signed a moment ago")
	w.ages("6 minutes")

	a := w.get(removal, page, browser)
	require.Equal(t, http.StatusSeeOther, a.status)
	confirm := a.header.Get("Location")
	require.Equal(t, "/account/confirm?return="+url.QueryEscape(removal), confirm)
	for name, more := range map[string]struct {
		referer, to string
	}{
		"from our page":      {site + "/account?x=1", "/account?x=1"},
		"from another site":  {"https://evil.example/account", "/account"},
		"from nowhere":       {"", "/account"},
		"from a hidden host": {"https://shop.example@evil.example/x", "/account"},
	} {
		a := w.sends("/account/recovery-codes", nil, browser, header("Referer", more.referer))
		require.Equal(t, http.StatusSeeOther, a.status, name)
		require.Equal(t, "/account/confirm?return="+url.QueryEscape(more.to), a.header.Get("Location"), name)
	}
	a = w.get(removal, page, browser, header("HX-Request", "true"))
	require.Equal(t, 403, a.status)
	require.Contains(t, a.header.Get("HX-Redirect"), "/account/confirm")
	a = w.post("/account/passkeys/challenges", "{}", browser, header("Accept", "application/json"))
	require.Equal(t, 403, a.status)
	code, _ := a.code()
	require.Equal(t, "step_up_required", code)

	shown := w.get(confirm, page, browser)
	require.Equal(t, 200, shown.status)
	require.Contains(t, string(shown.body), `data-done="`+removal+`"`)
	wrong := w.post("/account/confirm/wallets", w.signed("/account/confirm/wallets/challenges", newKey(t), browser), browser)
	require.Equal(t, 401, wrong.status)
	done := w.post("/account/confirm/wallets", w.signed("/account/confirm/wallets/challenges", key, browser), browser)
	require.Equal(t, 200, done.status, string(done.body))
	require.NotEqual(t, "-", done.cookie(), "the session has another secret")
	require.Equal(t, http.StatusSeeOther, w.get("/account", page, browser).status, "and the one before counts no more")
	fresh := header("Cookie", "__Host-sid="+done.cookie())
	require.Equal(t, 200, w.get(removal, page, fresh).status)
	require.Equal(t, removal, w.get(confirm, page, fresh).header.Get("Location"), "there is nothing left to confirm")
	require.Equal(t, "/account", w.get("/account/confirm?return=//evil.example", page, fresh).header.Get("Location"))
}

func TestAPersonChangesWhatSheSignsInWith(t *testing.T) {
	t.Parallel()
	w, key, spare := newWorld(t), newKey(t), newKey(t)
	browser, in := w.enters(key)
	_, stranger := w.enters(newKey(t))
	renamed := w.sends("/account/name", url.Values{"name": {" Ada Holm "}}, browser)
	require.Equal(t, "/account", renamed.header.Get("Location"))
	require.Contains(t, string(w.get("/account", page, browser).body), `value="Ada Holm"`)
	require.Equal(t, 422, w.sends("/account/name", url.Values{"name": {""}}, browser).status)

	removal := func(of string) reply { return w.sends("/account/wallets/"+of+"/removal", nil, browser) }
	last := removal(crypto.PubkeyToAddress(key.PublicKey).Hex())
	require.Equal(t, 409, last.status)
	require.Contains(t, string(last.body), "last passkey or wallet")
	added := w.post("/account/wallets", w.signed("/account/wallets/challenges", spare, browser), browser)
	require.Equal(t, 200, added.status, string(added.body))
	require.Equal(t, "/account", added.json()["location"])
	require.Equal(t, 409, w.post("/account/wallets", w.signed("/account/wallets/challenges", spare, browser), browser).status, "she has it")
	_, again := w.enters(spare)
	require.Equal(t, in.json()["person"].(map[string]any)["id"], again.json()["person"].(map[string]any)["id"])
	require.Equal(t, http.StatusSeeOther, removal(crypto.PubkeyToAddress(key.PublicKey).Hex()).status)
	for _, unknown := range []string{crypto.PubkeyToAddress(newKey(t).PublicKey).Hex(), "x", "0x"} {
		require.Equal(t, 404, removal(unknown).status, unknown)
	}
	codes := w.sends("/account/recovery-codes", nil, browser)
	require.Equal(t, 200, codes.status)
	require.Equal(t, "private, no-store", codes.header.Get("Cache-Control"))
	require.Contains(t, string(w.get("/account", page, browser).body), "10 codes left")

	var foreign string
	require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT id FROM sessions WHERE person_id = $1`, stranger.json()["person"].(map[string]any)["id"]).Scan(&foreign))
	for _, unknown := range []string{foreign, "ses_1ChHQgZvF7Y4JLiQa34ooR", "x"} {
		require.Equal(t, 404, w.sends("/account/sessions/"+unknown+"/end", nil, browser).status, unknown)
	}
	require.Equal(t, http.StatusSeeOther, w.sends("/account/sessions", nil, browser).status)
	require.Equal(t, http.StatusSeeOther, w.get("/account", page, header("Cookie", "__Host-sid="+again.cookie())).status, "signed out elsewhere")
	require.Equal(t, 200, w.get("/account", page, browser).status)

	var actions []string
	rows, err := w.pool.Query(t.Context(), `SELECT action FROM audit_rows WHERE person_id = $1 AND action <> 'session.begun' ORDER BY id`, in.json()["person"].(map[string]any)["id"])
	require.NoError(t, err)
	for rows.Next() {
		var a string
		require.NoError(t, rows.Scan(&a))
		actions = append(actions, a)
	}
	require.NoError(t, rows.Err())
	require.Subset(t, actions, []string{"person.renamed", "wallet.added", "wallet.removed", "recovery_codes.made"})
}

func TestATillIsNobodysAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, in := w.enters(newKey(t))
	w.employs(w.cafe, in, access.Owner)
	browser := header("Cookie", "__Host-sid="+in.cookie())
	require.Equal(t, 200, w.get("/account", page, browser).status)
	_, err := w.pool.Exec(t.Context(), `INSERT INTO devices (id, merchant_id, name, hash, paired_by, created_at, seen_at) SELECT 'dev_1', $1, 'Counter', 'x', id, now(), now() FROM persons LIMIT 1`, w.cafe)
	require.NoError(t, err)
	_, err = w.pool.Exec(t.Context(), `UPDATE sessions SET device_id = 'dev_1', merchant_id = $1`, w.cafe)
	require.NoError(t, err)
	for _, path := range []string{"/account", "/account/confirm"} {
		require.Equal(t, http.StatusSeeOther, w.get(path, page, browser).status, path)
	}
}
