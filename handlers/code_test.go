package handlers_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"mime/multipart"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestABuyerTypesACodeBeforeHePays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.link(w.cafeKey, "2.00")["token"].(string)
	word := w.generate(map[string]any{"percent_off": 25, "link_token": token})[0]

	require.Contains(t, string(w.get("/link/"+token, page).body), "Have a code?")
	scanned := w.get("/link/"+token+"?code="+url.QueryEscape(word), page)
	require.Equal(t, 200, scanned.status)
	require.Contains(t, string(scanned.body), "Pay 1.50")
	require.Contains(t, string(scanned.body), "Code, 25 % off")
	require.Contains(t, string(scanned.body), word)
	listed := w.get("/api/activation_codes/list", as(w.cafeKey)).json()["data"].([]any)
	require.Zero(t, listed[0].(map[string]any)["used"], "looking takes nothing")

	applied := w.sends("/link/"+token, url.Values{"code": {word}, "apply": {"1"}})
	require.Equal(t, 200, applied.status)
	require.Contains(t, string(applied.body), "Pay 1.50")
	require.NotContains(t, string(w.get("/link/"+token, page).body), word, "the next visitor sees nothing of it")

	begun := w.sends("/link/"+token, url.Values{"code": {word}})
	require.Equal(t, 303, begun.status)
	require.Contains(t, string(w.get(begun.header.Get("Location"), page).body), "1.50")

	for _, form := range []url.Values{{"code": {word}}, {"code": {word}, "apply": {"1"}}} {
		refused := w.sends("/link/"+token, form)
		require.Equal(t, 422, refused.status)
		require.Regexp(t, `(?s)<p class="problem" id="code-note">.*used as often as it may be`, string(refused.body))
		require.Contains(t, string(refused.body), "Pay 2.00")
	}
	wrong := w.get("/link/"+token+"?code=%3Cscript%3E", page)
	require.Equal(t, 200, wrong.status)
	require.Contains(t, string(wrong.body), "&lt;script&gt;")
	require.Contains(t, string(wrong.body), "This code is not known")
}

func TestAFreeCodeAsksForTheWalletWhereItIsLimitedByWallet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.link(w.cafeKey, "2.00")["token"].(string)
	word := w.generate(map[string]any{"free": true, "per_wallet": 1, "uses": 5})[0]
	applied := w.sends("/link/"+token, url.Values{"code": {word}, "apply": {"1"}})
	require.Contains(t, string(applied.body), `name="buyer_address"`)
	require.Contains(t, string(applied.body), "Get it")
	refused := w.sends("/link/"+token, url.Values{"code": {word}, "buyer_address": {"me"}})
	require.Equal(t, 422, refused.status)
	require.Regexp(t, `(?s)id="buyer_address-note">.*Give the address of a wallet`, string(refused.body))
	require.Equal(t, 303, w.sends("/link/"+token, url.Values{"code": {word}, "buyer_address": {cafe}}).status)
	require.Equal(t, 422, w.sends("/link/"+token, url.Values{"code": {word}, "buyer_address": {cafe}}).status)
}

func TestGuessingOnAPageHasToWaitToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.link(w.cafeKey, "2.00")["token"].(string)
	for range 10 {
		w.get("/link/"+token+"?code=GUESS-GUESS", page)
	}
	require.Equal(t, 429, w.sends("/link/"+token, url.Values{"code": {"GUESS-GUESS"}}).status)
	require.Equal(t, 303, w.sends("/link/"+token, url.Values{}).status, "who has no code may pay")
}

func TestASellerMakesACodeSheet(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	_, owner := w.as("owner")
	link := w.own(w.boss)("link")
	made := w.ask(rule{method: "POST", path: "/dashboard/codes"}, w.own(w.boss), fields(
		"name", "Flyer", "off", "percent", "percent", "25", "count", "1000", "prefix", "spring", "uses", "2", "per_wallet", "1", "for", link,
		"valid_until", "2099-01-02T03:04", "once", "7yGm2QwErTzUiPaSdFgHjK",
	), owner, page)
	require.Equal(t, 303, made.status, "%s", made.body)
	at := made.header.Get("Location")
	shown := w.ask(rule{method: "GET", path: at}, nil, content{}, owner, page)
	require.Equal(t, 200, shown.status)
	for _, text := range []string{"Flyer", "25 % off", "1,000", "0 of 2,000", "SPRING-", "1 time", "2 Jan 2099", "Flat white"} {
		require.Contains(t, string(shown.body), text)
	}
	table := w.ask(rule{method: "GET", path: at + "/codes.csv"}, nil, content{}, owner)
	require.Equal(t, "1000", table.header.Get("X-Row-Count"))
	rows, err := csv.NewReader(bytes.NewReader(table.body)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 1001)
	require.Equal(t, []string{"code", "url", "status", "uses", "used", "takes_off"}, rows[0][:6])
	require.Equal(t, []string{"active", "2", "0", "25 % off"}, rows[1][2:6])
	require.Contains(t, rows[1][1], "/link/")
	require.Contains(t, rows[1][1], "?code="+rows[1][0])

	sheet := w.ask(rule{method: "GET", path: at + "/sheet"}, nil, content{}, owner, page)
	require.Equal(t, 200, sheet.status)
	require.Equal(t, 1000, bytes.Count(sheet.body, []byte(`class="code-card"`)))
	require.Equal(t, 1000, bytes.Count(sheet.body, []byte(`aria-label="QR code of https://shop.example/link/`)))

	var one string
	require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT id FROM codes LIMIT 1`).Scan(&one))
	require.Equal(t, 303, w.ask(rule{method: "POST", path: at + "/revocation"}, nil, fields("code", one), owner, page).status)
	require.Equal(t, 1, w.revoked())
	require.Equal(t, 303, w.ask(rule{method: "POST", path: at + "/revocation"}, nil, content{}, owner, page).status)
	require.Equal(t, 1000, w.revoked())
	require.Contains(t, string(w.ask(rule{method: "GET", path: "/dashboard/codes"}, nil, content{}, owner, page).body), "Revoked")
}

func (w *accessWorld) revoked() (n int) {
	require.NoError(w.t, w.pool.QueryRow(w.t.Context(), `SELECT count(*) FROM codes WHERE revoked_at IS NOT NULL`).Scan(&n))
	return n
}

func TestASellersOwnCodesComeFromAFile(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	_, owner := w.as("owner")
	send := func(file string, fields ...string) reply {
		var form bytes.Buffer
		m := multipart.NewWriter(&form)
		for i := 0; i < len(fields); i += 2 {
			require.NoError(t, m.WriteField(fields[i], fields[i+1]))
		}
		part, err := m.CreateFormFile("own_file", "codes.csv")
		require.NoError(t, err)
		_, err = io.WriteString(part, file)
		require.NoError(t, err)
		require.NoError(t, m.Close())
		return w.do("POST", "/dashboard/codes", &form, header("Content-Type", m.FormDataContentType()), page, owner)
	}
	var thousand strings.Builder
	thousand.WriteString("\ufeffCode,Guest\r\n")
	for i := range 1000 {
		fmt.Fprintf(&thousand, "GUEST-%04d,\"Number %d, please\"\r\n", i, i)
	}
	require.Equal(t, 303, send(thousand.String(), "off", "free").status)
	var n int
	require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT count(*) FROM codes WHERE code LIKE 'GUEST-%'`).Scan(&n))
	require.Equal(t, 1000, n)
	for _, bad := range []string{"<b>\n", "GUEST-0001\n", "AB\n", strings.Repeat("A", 70), thousand.String() + "ONE-MORE\n"} {
		refused := send(bad, "off", "free", "name", "Mine")
		require.Equal(t, 422, refused.status, "%.20q", bad)
		require.Contains(t, string(refused.body), `id="own-note"`)
		require.Contains(t, string(refused.body), `value="Mine"`)
	}
}

func TestARefusedFormOfCodesComesBackAsItWasSent(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	_, owner := w.as("owner")
	for field, form := range map[string]content{
		"percent":     fields("off", "percent", "percent", "100"),
		"amount":      fields("off", "amount", "amount", "much"),
		"count":       fields("off", "free", "count", "0"),
		"uses":        fields("off", "free", "uses", "x"),
		"per_wallet":  fields("off", "free", "per_wallet", "9"),
		"prefix":      fields("off", "free", "prefix", "<"),
		"own":         fields("off", "free", "own", "AB"),
		"valid_from":  fields("off", "free", "valid_from", "now"),
		"valid_until": fields("off", "free", "valid_until", "2001-01-01T00:00"),
		"address":     fields("off", "free", "address", "0x1"),
		"name":        fields("off", "free", "name", "\x01"),
	} {
		refused := w.ask(rule{method: "POST", path: "/dashboard/codes"}, nil, form, owner, page)
		require.Equal(t, 422, refused.status, field)
		require.Contains(t, string(refused.body), `id="`+field+`-note">`, field)
		require.Contains(t, string(refused.body), `class="problem" id="`+field+`-note"`, field)
	}
	gone := w.ask(rule{method: "POST", path: "/dashboard/codes"}, nil, fields("off", "free", "for", unknown()("item")), owner, page)
	require.Equal(t, 404, gone.status)
}
