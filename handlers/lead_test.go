package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

const target = "https://Files.example:8443/a?b=c#d"

// leading makes a link that leads to [target].
func (w *apiWorld) leading(fields map[string]any) map[string]any {
	w.t.Helper()
	body := map[string]any{"title": "Guide", "price": "2.50", "leads_to": target}
	for name, value := range fields {
		body[name] = value
	}
	answer := w.post("/api/payment_links/create", body, as(w.cafeKey))
	require.Equal(w.t, 201, answer.status, string(answer.body))
	return answer.json()
}

// paid buys at a link, and returns the purchase's id and the buyer's token.
func (w *apiWorld) paid(link map[string]any) (attempt, k string) {
	w.t.Helper()
	session := w.session(link)
	attempt = session["payment_attempt"].(string)
	page, err := url.Parse(session["pay_url"].(string))
	require.NoError(w.t, err)
	settled := w.post("/api/dev/settle", map[string]any{"payment_attempt_id": attempt}, as(w.cafeKey))
	require.Equal(w.t, 200, settled.status, string(settled.body))
	return attempt, page.Query().Get("k")
}

// listed is a link as its shop's list has it.
func (w *apiWorld) listed(link map[string]any) map[string]any {
	w.t.Helper()
	for _, l := range w.get("/api/payment_links/list", as(w.cafeKey)).json()["data"].([]any) {
		if l := l.(map[string]any); l["id"] == link["id"] {
			return l
		}
	}
	return nil
}

func TestALinkLeadsOnWhoHasPaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.leading(nil)
	path := "/link/" + link["token"].(string)

	unpaid := w.get(path, page)
	require.Equal(t, 200, unpaid.status)
	require.Contains(t, string(unpaid.body), "files.example:8443", "the host is named")
	require.NotContains(t, string(unpaid.body), "b=c", "the address is not")
	require.Equal(t, "files.example:8443", w.get("/api/link/" + link["token"].(string)).json()["leads_to_host"])
	require.NotContains(t, string(w.get("/api/link/"+link["token"].(string)).body), "b=c")
	require.Equal(t, 402, w.get(path).status, "programs are asked for money")

	attempt, k := w.paid(link)
	purchase := w.get("/pay/"+attempt+"?k="+k, page)
	require.Contains(t, string(purchase.body), "Open files.example:8443")
	require.NotContains(t, string(purchase.body), "b=c")
	require.NotContains(t, string(w.get("/pay/"+attempt, page).body), "Open files")
	onward := "/pay/" + attempt + "/onward?k=" + k
	for _, program := range []with{page, header("Accept", "*/*")} {
		led := w.get(onward, program)
		require.Equal(t, http.StatusSeeOther, led.status)
		require.Equal(t, target, led.header.Get("Location"))
		require.Equal(t, "no-referrer", led.header.Get("Referrer-Policy"))
		require.Equal(t, "no-store", led.header.Get("Cache-Control"))
	}
	require.Equal(t, target, w.get("/api/payment_attempts/" + attempt + "?k=" + k).json()["receipt"].(map[string]any)["leads_to"])

	other, otherK := w.paid(w.leading(map[string]any{"title": "Another"}))
	require.Equal(t, http.StatusSeeOther, w.get("/pay/"+other+"/onward?k="+otherK, page).status)
	unpaidOne := w.session(link)
	open, err := url.Parse(unpaidOne["pay_url"].(string))
	require.NoError(t, err)
	for _, wrong := range []string{attempt + "/onward", attempt + "/onward?k=" + otherK, other + "/onward?k=" + k, "pa_1/onward?k=" + k, path[1:] + "/onward?k=" + k} {
		require.Equal(t, 404, w.get("/pay/"+wrong, page).status, wrong)
	}
	require.Equal(t, 404, w.get(open.Path+"/onward?"+open.RawQuery, page).status, "it is not paid")
	unpaidOn := w.get(path+"/onward", page)
	require.Equal(t, http.StatusSeeOther, unpaidOn.status)
	require.Equal(t, path, unpaidOn.header.Get("Location"), "who has not paid sees what it costs")
	listed := w.listed(link)
	require.EqualValues(t, 1, listed["clicks"])
	require.EqualValues(t, 2, listed["led_on"])

	w.post("/api/payment_links/expire", map[string]any{"id": link["id"]}, as(w.cafeKey))
	require.Equal(t, 410, w.get(path, page).status)
	require.Equal(t, http.StatusSeeOther, w.get(onward, page).status, "who has paid is led on for ever")
}

func TestAHundredClicksAtOnceAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.leading(nil)
	path := "/link/" + link["token"].(string)
	attempt, k := w.paid(link)
	var g errgroup.Group
	for i := range 200 {
		g.Go(func() error {
			address, want := path, 200
			if i%2 == 1 {
				address, want = "/pay/"+attempt+"/onward?k="+k, http.StatusSeeOther
			}
			if got := w.get(address, page).status; got != want {
				return fmt.Errorf("%s: %d", address, got)
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	listed := w.listed(link)
	require.EqualValues(t, 100, listed["clicks"])
	require.EqualValues(t, 100, listed["led_on"])
	w.do(http.MethodHead, path, nil, page)
	require.EqualValues(t, 100, w.listed(link)["clicks"], "who only looks whether it is there is no click")
}

func TestALinkMayLeadEverybodyOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.post("/api/payment_links/create", map[string]any{"title": "Menu", "leads_to": target, "require_payment": false}, as(w.cafeKey))
	require.Equal(t, 201, made.status, string(made.body))
	link := made.json()
	require.Equal(t, false, link["require_payment"])
	path := "/link/" + link["token"].(string)
	shown := w.get(path, page)
	require.Equal(t, 200, shown.status)
	require.Contains(t, string(shown.body), "files.example:8443", "people read where it leads before they follow it")
	require.NotContains(t, string(shown.body), "b=c")
	program := w.get(path)
	require.Equal(t, http.StatusSeeOther, program.status)
	require.Equal(t, path+"/onward", program.header.Get("Location"))
	for range 3 {
		led := w.get(path+"/onward", page)
		require.Equal(t, http.StatusSeeOther, led.status)
		require.Equal(t, target, led.header.Get("Location"))
		require.Equal(t, "no-referrer", led.header.Get("Referrer-Policy"))
	}
	require.EqualValues(t, 1, w.listed(link)["clicks"])
	require.EqualValues(t, 3, w.listed(link)["led_on"])

	change := func(status int, fields map[string]any) {
		fields["id"] = link["id"]
		got := w.post("/api/payment_links/update", fields, as(w.cafeKey))
		require.Equal(t, status, got.status, string(got.body))
	}
	change(400, map[string]any{"require_payment": true}) // for nothing
	change(200, map[string]any{"require_payment": true, "price": "1.00"})
	require.Equal(t, 200, w.get(path, page).status, "now it is to be paid")
	change(200, map[string]any{"require_payment": false, "paused": true, "pause_text": "The map is being drawn anew."})
	rests := w.get(path, page)
	require.Equal(t, 410, rests.status, "a paused one leads nobody on")
	require.Contains(t, string(rests.body), "The map is being drawn anew.")
	require.Equal(t, path, w.get(path+"/onward", page).header.Get("Location"))
	require.Equal(t, 409, w.get(path).status)
	require.Equal(t, "paused", w.listed(link)["status"])
	require.Equal(t, 409, w.post("/api/create_payment_session", map[string]any{"link_token": link["token"]}).status)
	change(200, map[string]any{"paused": false})
	require.Equal(t, target, w.get(path+"/onward", page).header.Get("Location"))
	require.Equal(t, 404, w.get("/link/"+w.link(w.cafeKey, "1")["token"].(string)+"/onward", page).status, "it leads nowhere")
}

func TestALinkLeadsToHTTPSAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, address := range []string{
		"javascript:alert(1)", "JavaScript:alert(1)", "http://files.example/", "HTTPS://files.example/", "//files.example", "data:text/html,x", "ftp://files.example/",
		"https:files.example", "https://", "https:///x", "https://:443/", "https://me:secret@files.example/", "https://files.example\\@evil.example/",
		"https://files.example/\r\nSet-Cookie: a=b", " https://files.example/", "https://fıles.example/", "https://files.example/" + strings.Repeat("a", 2100), "files.example",
	} {
		got := w.post("/api/payment_links/create", map[string]any{"title": "Guide", "price": "2.50", "leads_to": address}, as(w.cafeKey))
		require.Equal(t, 400, got.status, address)
		_, field := got.code()
		require.Equal(t, "leads_to", field, address)
	}
}

func TestADeletedLinkIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.leading(nil)
	attempt, k := w.paid(link)
	require.Equal(t, 404, w.post("/api/payment_links/delete", map[string]any{"id": link["id"]}, as(w.booksKey)).status)
	deleted := w.post("/api/payment_links/delete", map[string]any{"id": link["id"]}, as(w.cafeKey))
	require.Equal(t, 200, deleted.status, string(deleted.body))
	require.Equal(t, true, deleted.json()["deleted"])
	require.Nil(t, w.listed(link))
	for _, path := range []string{"/link/" + link["token"].(string), "/link/" + link["token"].(string) + "/onward", "/pay/" + attempt + "/onward?k=" + k, "/api/link/" + link["token"].(string)} {
		require.Equal(t, 404, w.get(path, page).status, path)
	}
	require.Equal(t, 404, w.post("/api/payment_links/delete", map[string]any{"id": link["id"]}, as(w.cafeKey)).status)
	require.Equal(t, 200, w.get("/pay/"+attempt+"?k="+k, page).status, "receipts stay")
	require.Len(t, w.get("/api/sales/list", as(w.cafeKey)).json()["data"], 1)
}

func TestALinkGivesAMessageAFileAndAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := w.upload("guide.pdf", "file", []byte("%PDF-1.7 the way"), as(w.cafeKey)).json()
	game := w.item(map[string]any{"title": "Club card", "kind": "key"})
	w.post("/api/items/import_keys", map[string]any{"id": game["id"], "keys": []string{"KEY-1"}}, as(w.cafeKey))
	made := w.post("/api/payment_links/create", map[string]any{
		"title": "Membership", "price": "5.00", "message": "Come on Friday.", "file": file["id"], "key_item_id": game["id"],
	}, as(w.cafeKey))
	require.Equal(t, 201, made.status, string(made.body))
	link := made.json()
	attempt, k := w.paid(link)
	buyer := string(w.get("/pay/"+attempt+"?k="+k, page).body)
	require.Contains(t, buyer, "Come on Friday.")
	require.Contains(t, buyer, "KEY-1")
	require.Contains(t, buyer, "/pay/"+attempt+"/files/0")
	stranger := string(w.get("/pay/"+attempt, page).body)
	require.NotContains(t, stranger, "KEY-1")
	require.NotContains(t, stranger, "Friday")
	require.NotContains(t, stranger, "/files/0")
	require.Equal(t, "%PDF-1.7 the way", string(w.get("/pay/"+attempt+"/files/0?k="+k).body))

	require.Equal(t, "sold_out", w.listed(link)["status"], "no key is left")
	require.Equal(t, 409, w.post("/api/create_payment_session", map[string]any{"link_token": link["token"]}).status)
	require.Equal(t, 410, w.get("/link/"+link["token"].(string), page).status)

	theirs := w.upload("theirs.pdf", "file", []byte("x"), as(w.booksKey)).json()
	beans := w.item(nil)
	for field, value := range map[string]any{"file": theirs["id"], "key_item_id": beans["id"]} {
		got := w.post("/api/payment_links/create", map[string]any{"title": "Tea", "price": "1", field: value}, as(w.cafeKey))
		require.Equal(t, 400, got.status, field)
		_, wrong := got.code()
		require.Equal(t, field, wrong)
	}
}

func TestALinkBegins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.post("/api/payment_links/create", map[string]any{
		"title": "Early bird", "price": "5.00", "starts_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	}, as(w.cafeKey))
	require.Equal(t, 201, made.status, string(made.body))
	link := made.json()
	require.Equal(t, "scheduled", link["status"])
	path := "/link/" + link["token"].(string)
	require.Equal(t, 410, w.get(path, page).status)
	at, err := time.Parse(time.RFC3339, link["starts_at"].(string))
	require.NoError(t, err)
	require.Contains(t, string(w.get(path, page).body), "It begins on "+at.Format("2 Jan 2006, 15:04")+"\u00a0UTC", "and says when")
	early := w.get(path)
	code, _ := early.code()
	require.Equal(t, 409, early.status)
	require.Equal(t, "link_not_open", code)
	require.Equal(t, 409, w.post("/api/create_payment_session", map[string]any{"link_token": link["token"]}).status)
	w.post("/api/payment_links/update", map[string]any{"id": link["id"], "starts_at": nil}, as(w.cafeKey))
	w.session(link)
}

func TestABuyerIsSentBackWithTheReceiptsToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	game := w.item(map[string]any{"title": "Club card", "kind": "key"})
	w.post("/api/items/import_keys", map[string]any{"id": game["id"], "keys": []string{"KEY-1"}}, as(w.cafeKey))
	made := w.post("/api/payment_links/create", map[string]any{
		"title": "Membership", "price": "5.00", "success_url": "https://cafe.example/thanks?from=till", "key_item_id": game["id"],
	}, as(w.cafeKey))
	require.Equal(t, 201, made.status, string(made.body))
	attempt, k := w.paid(made.json())
	back, err := url.Parse(w.get("/pay/"+attempt+"?k="+k, page).document().Find(`a[href^="https://cafe.example/thanks?"]`).First().AttrOr("href", ""))
	require.NoError(t, err)
	query := back.Query()
	require.Equal(t, "till", query.Get("from"))
	require.Equal(t, attempt, query.Get("payment_attempt"))
	require.NotEqual(t, k, query.Get("receipt"))

	seen := w.get("/api/payment_attempts/" + attempt + "?receipt=" + query.Get("receipt"))
	require.Equal(t, "settled", seen.json()["receipt"].(map[string]any)["status"])
	require.NotContains(t, string(seen.body), "KEY-1")
	require.NotContains(t, string(seen.body), k)
	for _, wrong := range []string{"", k, "1111111111111111111111"} {
		require.NotContains(t, w.get("/api/payment_attempts/"+attempt+"?receipt="+wrong).json(), "receipt", wrong)
	}
	require.NotContains(t, string(w.get("/pay/"+attempt, page).body), "receipt=")
}

func TestALinkWhoseItemIsArchivedSellsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	beans := w.item(nil)
	link := w.post("/api/payment_links/create", map[string]any{"item_id": beans["id"]}, as(w.cafeKey)).json()
	w.session(link)
	w.post("/api/items/archive", map[string]any{"id": beans["id"]}, as(w.cafeKey))
	require.Equal(t, "sold_out", w.listed(link)["status"])
	require.Equal(t, 409, w.post("/api/create_payment_session", map[string]any{"link_token": link["token"]}).status)
}
