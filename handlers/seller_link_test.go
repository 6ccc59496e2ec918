package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/audit"
	"xsynesis/id"
)

// kiosk is a shop with two items, and the browser of who owns it.
type kiosk struct {
	*apiWorld
	merchant          id.Merchant
	owner             with
	key               string
	fjord, cup, other string // items; other is another shop's
}

func newKiosk(t *testing.T) kiosk {
	t.Helper()
	w := newWorld(t)
	owner, merchant := w.signIn("kiosk")
	w.isPaidAt(merchant, strings.ToLower(payTo))
	k := kiosk{apiWorld: w, merchant: merchant, owner: owner, key: w.key(merchant, false, access.Scopes...), other: w.item(nil)["id"].(string)}
	w.cafeKey = k.key // which makes items and links of this shop
	k.fjord = w.item(map[string]any{"title": "Fjord beans"})["id"].(string)
	k.cup = w.item(map[string]any{"title": "Enamel cup", "price": "9"})["id"].(string)
	return k
}

// makes posts the form of a new link, and returns the link as programs see it.
func (k kiosk) makes(form url.Values) object {
	k.t.Helper()
	made := k.form("/dashboard/links", form, k.owner)
	require.Equal(k.t, http.StatusSeeOther, made.status, string(made.body))
	return k.listed(object{"id": made.header.Get("Location")[len("/dashboard/links/"):]})
}

func TestASellerMakesLinksOfEveryKind(t *testing.T) {
	t.Parallel()
	k := newKiosk(t)
	plain := k.makes(url.Values{"sells": {"amount"}, "title": {"Tea"}, "price": {"2.50"}, "ask": {"note", "email"}, "tips": {"1"}, "starts_at": {"2036-01-02T08:00"}})
	require.Equal(t, "amount", plain["sells"])
	require.Equal(t, []any{"email", "note", "tip"}, plain["asks"])
	require.Equal(t, "scheduled", plain["status"])
	require.Equal(t, "2036-01-02T08:00:00Z", plain["starts_at"])

	items := k.makes(url.Values{"sells": {"items"}, "item": {k.fjord, k.cup}, "qty": {"2", "1"}, "message": {"See you."}})
	require.Equal(t, "Fjord beans and 1 more", items["title"], "it is named by its items")
	require.Equal(t, "34.00", items["price"])
	require.Equal(t, "See you.", items["message"])

	open := k.makes(url.Values{"sells": {"open"}, "title": {"Tip jar"}, "min": {"1"}, "presets": {"3, 5;  10.50"}})
	require.Equal(t, object{"min": "1.00", "presets": []any{"3.00", "5.00", "10.50"}}, open["open_amount"])

	free := k.makes(url.Values{"sells": {"short"}, "title": {"Map"}, "target": {"https://maps.example/x"}, "price": {"7"}})
	require.Equal(t, false, free["require_payment"])
	paid := k.makes(url.Values{"sells": {"short"}, "title": {"Recording"}, "target": {"https://media.example/x"}, "require": {"1"}, "price": {"2"}})
	require.Equal(t, true, paid["require_payment"])
	require.Equal(t, "https://media.example/x", paid["leads_to"])

	list := k.get("/dashboard/links", k.owner).document().Find(".link-rows tbody").Text()
	for _, cell := range []string{"from 1.00", "Free", "34.00", "Scheduled"} {
		require.Contains(t, list, cell)
	}
	for _, l := range []object{plain, items, open, free, paid} {
		path := "/dashboard/links/" + l["id"].(string)
		require.Equal(t, 200, k.get(path, k.owner).status)
		require.Equal(t, 303, k.resubmit(path+"/edit").status, "%v", l["title"])
		after := k.listed(l)
		require.Equal(t, l, after, "a form that is sent as it came changes nothing")
	}
}

// resubmit opens a form and sends what is in it.
func (k kiosk) resubmit(path string) reply {
	k.t.Helper()
	values := url.Values{}
	k.get(path, k.owner).document().Find("form.link-form").Find("input, textarea").Each(func(_ int, field *goquery.Selection) {
		name, kind := field.AttrOr("name", ""), field.AttrOr("type", "")
		if _, checked := field.Attr("checked"); name == "" || (kind == "radio" || kind == "checkbox") && !checked {
			return
		}
		values.Add(name, field.AttrOr("value", field.Text()))
	})
	return k.form(path, values, k.owner)
}

func TestTheFormOfALinkSaysWhatToChange(t *testing.T) {
	t.Parallel()
	k := newKiosk(t)
	before := len(k.get("/api/payment_links/list", as(k.key)).json()["data"].([]any))
	for name, try := range map[string]struct {
		form url.Values
		at   string // what is marked as wrong
	}{
		"nothing offered":         {url.Values{"sells": {"time"}, "title": {"x"}}, ".choices .problem"},
		"no title":                {url.Values{"sells": {"amount"}, "price": {"1"}}, "#title[aria-invalid]"},
		"10,000 characters":       {url.Values{"sells": {"amount"}, "price": {"1"}, "title": {strings.Repeat("x", 10_000)}}, "#title[aria-invalid]"},
		"turned text":             {url.Values{"sells": {"amount"}, "price": {"1"}, "title": {"a\u202eb"}}, "#title[aria-invalid]"},
		"no price":                {url.Values{"sells": {"amount"}, "title": {"x"}}, "#price[aria-invalid]"},
		"an odd limit":            {url.Values{"title": {"x"}, "price": {"1"}, "max_payments": {"1.5"}}, "#max_payments[aria-invalid]"},
		"an odd beginning":        {url.Values{"title": {"x"}, "price": {"1"}, "starts_at": {"soon"}}, "#starts_at[aria-invalid]"},
		"it begins after its end": {url.Values{"title": {"x"}, "price": {"1"}, "starts_at": {"2036-01-02T08:00"}, "expires_at": {"2036-01-01T08:00"}}, "#starts_at[aria-invalid]"},
		"an odd question":         {url.Values{"title": {"x"}, "price": {"1"}, "ask": {"password"}}, "[role=alert]"},
		"no items":                {url.Values{"sells": {"items"}}, "#find[aria-invalid]"},
		"another shop's item":     {url.Values{"sells": {"items"}, "item": {k.other}, "qty": {"1"}}, "#find[aria-invalid]"},
		"no id":                   {url.Values{"sells": {"items"}, "item": {"<b>"}, "qty": {"1"}}, "#find[aria-invalid]"},
		"none of it":              {url.Values{"sells": {"items"}, "item": {k.cup}, "qty": {"0"}}, ".link-lines [aria-invalid]"},
		"less than none":          {url.Values{"sells": {"items"}, "item": {k.cup}, "qty": {"-1"}}, ".link-lines [aria-invalid]"},
		"one and a half":          {url.Values{"sells": {"items"}, "item": {k.cup}, "qty": {"1.5"}}, ".link-lines [aria-invalid]"},
		"a billion":               {url.Values{"sells": {"items"}, "item": {k.cup}, "qty": {"1000000000"}}, "#find[aria-invalid]"},
		"no quantity":             {url.Values{"sells": {"items"}, "item": {k.cup}}, ".link-lines [aria-invalid]"},
		"an odd least amount":     {url.Values{"sells": {"open"}, "title": {"x"}, "min": {"1,5"}}, "#min[aria-invalid]"},
		"a huge least amount":     {url.Values{"sells": {"open"}, "title": {"x"}, "min": {"10000001"}, "presets": {"1"}}, "#min[aria-invalid]"},
		"odd presets":             {url.Values{"sells": {"open"}, "title": {"x"}, "presets": {"3 x"}}, "#presets[aria-invalid]"},
		"a preset below the rest": {url.Values{"sells": {"open"}, "title": {"x"}, "min": {"4"}, "presets": {"3 5"}}, "#presets[aria-invalid]"},
		"too many presets":        {url.Values{"sells": {"open"}, "title": {"x"}, "presets": {"1 2 3 4 5 6 7"}}, "#presets[aria-invalid]"},
		"it leads nowhere":        {url.Values{"sells": {"short"}, "title": {"x"}}, "#target[aria-invalid]"},
		"a script":                {url.Values{"sells": {"short"}, "title": {"x"}, "target": {"javascript:alert(1)"}}, "#target[aria-invalid]"},
		"not encrypted":           {url.Values{"sells": {"short"}, "title": {"x"}, "target": {"http://files.example/"}}, "#target[aria-invalid]"},
		"a paid way for nothing":  {url.Values{"sells": {"short"}, "title": {"x"}, "target": {"https://files.example/"}, "require": {"1"}}, "#price[aria-invalid]"},
	} {
		got := k.form("/dashboard/links", try.form, k.owner)
		require.Equal(t, 422, got.status, name)
		doc := got.document()
		require.Equal(t, 1, doc.Find(try.at).Length(), "%s: %s", name, doc.Find("form.link-form").Text())
		for field, values := range try.form {
			if typed := doc.Find("input#" + field); typed.Length() > 0 {
				require.Equal(t, values[0], typed.AttrOr("value", ""), "%s: what was typed stays", name)
			}
		}
	}
	require.Len(t, k.get("/api/payment_links/list", as(k.key)).json()["data"], before, "nothing was made")
}

func TestTheListOfItemsIsBuiltWithoutScripts(t *testing.T) {
	t.Parallel()
	k := newKiosk(t)
	sent := url.Values{"sells": {"amount"}, "title": {"Weekend box"}, "price": {"1"}, "find": {"fjord"}, "do": {"find"}}
	found := k.form("/dashboard/links", sent, k.owner)
	require.Equal(t, 200, found.status)
	doc := found.document()
	require.Equal(t, k.fjord, doc.Find(".found button[name=add]").AttrOr("value", ""))
	require.Equal(t, "Weekend box", doc.Find("#title").AttrOr("value", ""))
	require.Equal(t, "items", doc.Find("[name=sells][checked]").AttrOr("value", ""))
	none := k.form("/dashboard/links", url.Values{"find": {"zebra"}, "do": {"find"}}, k.owner).document()
	require.Contains(t, none.Find("#find-note").Text(), "No item is called that.")

	added := k.form("/dashboard/links", url.Values{"item": {k.fjord}, "qty": {"3"}, "add": {k.cup}}, k.owner).document()
	require.Equal(t, 2, added.Find(".link-lines li").Length())
	require.Equal(t, "3", added.Find(".link-lines [name=qty]").AttrOr("value", ""))
	require.Contains(t, added.Find(".link-lines").Text(), "9.00")
	again := k.form("/dashboard/links", url.Values{"item": {k.fjord, k.cup}, "qty": {"3", "1"}, "add": {k.cup}}, k.owner).document()
	require.Equal(t, 2, again.Find(".link-lines li").Length(), "once is enough")
	dropped := k.form("/dashboard/links", url.Values{"item": {k.fjord, k.cup}, "qty": {"3", "1"}, "drop": {k.fjord}}, k.owner).document()
	require.Equal(t, k.cup, dropped.Find(".link-lines [name=item]").AttrOr("value", ""))
	strange := k.form("/dashboard/links", url.Values{"add": {k.other}}, k.owner).document()
	require.NotContains(t, strange.Find(".link-lines").Text(), "Coffee beans", "another shop's item tells nothing")
	require.Empty(t, k.get("/api/payment_links/list", as(k.key)).json()["data"], "nothing was saved")
}

func TestTheFormOfALinkKeepsWhatItDoesNotShow(t *testing.T) {
	t.Parallel()
	k := newKiosk(t)
	file := k.upload("guide.pdf", "file", []byte("%PDF-1.7"), as(k.key)).json()
	made := k.post("/api/payment_links/create", object{
		"title": "Guide", "price": "5", "file": file["id"], "metadata": object{"a": "b"}, "paused": true, "pause_text": "Back on Monday.",
	}, as(k.key))
	require.Equal(t, 201, made.status, string(made.body))
	link := made.json()
	path := "/dashboard/links/" + link["id"].(string) + "/edit"
	require.Equal(t, 303, k.form(path, url.Values{"sells": {"amount"}, "title": {"Guide"}, "price": {"6"}}, k.owner).status)
	is := k.listed(link)
	require.Equal(t, "6.00", is["price"])
	for _, kept := range []string{"file", "metadata", "paused", "pause_text"} {
		require.Equal(t, link[kept], is[kept], kept)
	}

	leading := k.leading(nil)
	path = "/dashboard/links/" + leading["id"].(string) + "/edit"
	require.Equal(t, 303, k.form(path, url.Values{"sells": {"amount"}, "title": {"Guide"}, "price": {"6"}}, k.owner).status)
	require.Empty(t, k.listed(leading)["leads_to"], "it is about an amount now")
}

func TestASellerPausesALink(t *testing.T) {
	t.Parallel()
	k := newKiosk(t)
	link := k.post("/api/payment_links/create", object{"item_id": k.fjord}, as(k.key)).json()
	path, buyers := "/dashboard/links/"+link["id"].(string), "/link/"+link["token"].(string)
	require.Equal(t, 200, k.get(path+"/pause", k.owner).status)
	for _, wrong := range []string{strings.Repeat("x", 301), "a\u202eb"} {
		refused := k.form(path+"/pause", url.Values{"text": {wrong}}, k.owner)
		require.Equal(t, 422, refused.status)
		require.Equal(t, 1, refused.document().Find("#text[aria-invalid]").Length())
	}
	require.Equal(t, "active", k.listed(link)["status"])
	for range 2 {
		require.Equal(t, 303, k.form(path+"/pause", url.Values{"text": {" We roast <b>again</b> on Monday. "}}, k.owner).status)
	}
	require.Contains(t, string(k.get(path, k.owner).body), "We roast &lt;b&gt;again&lt;/b&gt; on Monday.")
	closed := k.get(buyers, page)
	require.Equal(t, 410, closed.status)
	require.Contains(t, string(closed.body), "We roast &lt;b&gt;again&lt;/b&gt; on Monday.")
	require.Equal(t, 409, k.post("/api/create_payment_session", object{"link_token": link["token"]}).status)

	k.post("/api/items/archive", object{"id": k.fjord}, as(k.key))
	require.Equal(t, 303, k.form(path+"/resumption", url.Values{}, k.owner).status, "also one whose item is off the shelf")
	require.Equal(t, false, k.listed(link)["paused"])
	require.Empty(t, k.listed(link)["pause_text"])
	require.Equal(t, 303, k.form(path+"/expire", url.Values{}, k.owner).status)
	require.Equal(t, 410, k.form(path+"/pause", url.Values{}, k.owner).status, "what is over cannot be paused")

	rows, err := audit.List(t.Context(), k.pool, k.merchant, audit.Filter{Resource: link["id"].(string)}, audit.Page{Limit: 10})
	require.NoError(t, err)
	var actions []string
	for _, r := range rows {
		actions = append(actions, r.Action)
	}
	require.Equal(t, []string{"link.ended", "link.changed", "link.changed", "link.created"}, actions, "the second pause says the same")
}

func TestALinksCodeIsPrinted(t *testing.T) {
	t.Parallel()
	k := newKiosk(t)
	open := k.makes(url.Values{"sells": {"open"}, "title": {"Tip jar <b>"}, "min": {"1"}})
	path := "/dashboard/links/" + open["id"].(string) + "/poster"
	for size, want := range map[string]string{"a4": "a4", "a6": "a6", "": "a4", "a0\"": "a4"} {
		doc := k.get(path+"?"+url.Values{"size": {size}}.Encode(), k.owner).document()
		require.True(t, doc.Find("main.poster").HasClass(want), size)
		require.Contains(t, doc.Find(".sheet").Text(), "From 1.00")
		require.Equal(t, "Tip jar <b>", doc.Find(".sheet h1").Text())
	}
	free := k.makes(url.Values{"sells": {"short"}, "title": {"Map"}, "target": {"https://maps.example/x"}})
	require.Contains(t, string(k.get("/dashboard/links/"+free["id"].(string)+"/poster", k.owner).body), "to open maps.example")
}

func TestWhatIsNoReceiptIsNotProven(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, text := range map[string]string{"nothing": "", "words": "hello <b>", "another object": "{}", "a list": "[1]", "half": `{"network":`} {
		got := w.sends("/verify", url.Values{"receipt": {text}})
		require.Equal(t, 422, got.status, name)
		doc := got.document()
		require.Equal(t, 1, doc.Find("#receipt[aria-invalid]").Length(), name)
		require.Equal(t, text, doc.Find("#receipt").Text(), name)
	}
	body, media := withFile(t, []byte(`{"network":"eip155:1","transaction":"0x1"}`))
	got := w.do(http.MethodPost, "/verify", body, page, header("Content-Type", media))
	require.Equal(t, 422, got.status)
	require.Contains(t, string(got.body), "Its network is not known here.")
}
