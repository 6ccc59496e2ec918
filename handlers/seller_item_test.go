package handlers_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/shop"
)

// sent is what a browser sends of a form with files.
type sent struct {
	fields url.Values
	files  map[string]namedFile
}

type namedFile struct {
	name    string
	content []byte
}

// beansForm is the form of a new item, with some fields changed.
func beansForm(pairs ...string) sent {
	f := url.Values{
		"title": {"Coffee beans"}, "kind": {"physical"}, "pricing": {"fixed"}, "price": {"12.50"}, "file_id": {""}, "description": {""},
		"category": {""}, "sku": {""}, "barcode": {""}, "edition": {""}, "edition_of": {""}, "stock": {""}, "low_stock": {""}, "stock_was": {""},
	}
	for i := 0; i < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return sent{fields: f, files: map[string]namedFile{"file": {}, "image": {}}}
}

// with adds a file.
func (s sent) with(field, name string, content []byte) sent {
	s.files[field] = namedFile{name, content}
	return s
}

// writeTo writes the form as browsers do: its kind before its files, and of a file that was not chosen an empty part.
func (s sent) writeTo(t *testing.T, m *multipart.Writer) {
	t.Helper()
	for field, values := range s.fields {
		for _, v := range values {
			require.NoError(t, m.WriteField(field, v))
		}
	}
	for field, file := range s.files {
		part, err := m.CreateFormFile(field, file.name)
		require.NoError(t, err)
		_, err = part.Write(file.content)
		require.NoError(t, err)
	}
}

// files posts a form with files, as somebody who is signed in.
func (w *apiWorld) files(target string, s sent, browser with, more ...with) reply {
	w.t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	s.writeTo(w.t, m)
	require.NoError(w.t, m.Close())
	return w.do(http.MethodPost, target, &body, append([]with{browser, header("Content-Type", m.FormDataContentType())}, more...)...)
}

// made posts the form of a new item and returns the item's page.
func (w *apiWorld) made(s sent, browser with) string {
	w.t.Helper()
	answer := w.files("/dashboard/items", s, browser)
	require.Equal(w.t, http.StatusSeeOther, answer.status, string(answer.body))
	return answer.header.Get("Location")
}

// count is a number that the database knows.
func (w *apiWorld) count(sql string, args ...any) (n int) {
	w.t.Helper()
	require.NoError(w.t, w.pool.QueryRow(w.t.Context(), sql, args...).Scan(&n))
	return n
}

// problem is what a form that came back says of one of its fields.
func (r reply) problem(field string) string {
	r.t.Helper()
	require.Equal(r.t, http.StatusUnprocessableEntity, r.status, "%.500s", r.body)
	return strings.TrimSpace(r.document().Find("#" + field + "-note.problem").Text())
}

func TestAnItemIsMadeChangedAndArchivedByForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	browser, merchant := w.signIn("kiosk")
	form := beansForm("sku", "B-1", "category", "Beans", "counted", "1", "stock", "10", "low_stock", "2", "once", id.NewToken()).
		with("image", "cup.png", pictureOf(t, 30, 20))
	item := w.made(form, browser)
	require.Equal(t, item, w.made(form, browser), "a form that is sent twice makes one item")

	shown := w.get(item, browser).document()
	require.Equal(t, "Coffee beans", shown.Find("h1").Text())
	picture := shown.Find(".item-shown img").AttrOr("src", "")
	require.Equal(t, http.StatusOK, w.get(picture).status)
	list := w.get("/dashboard/items?q=b-1&category=Beans", browser).document()
	require.Equal(t, "10 left", list.Find(".cell-stock").Text())
	require.Equal(t, 1, list.Find(".item-rows tbody tr").Length())
	require.Zero(t, w.get("/dashboard/items?q=tea", browser).document().Find(".item-rows").Length())

	edit := w.get(item+"/edit", browser).document()
	kept := edit.Find("[name=image_id]").AttrOr("value", "")
	require.NotEmpty(t, kept)
	require.Equal(t, "10", edit.Find("[name=stock_was]").AttrOr("value", ""))
	changed := beansForm("title", "Beans", "pricing", "minimum", "price", "0.0025", "image_id", kept, "counted", "1", "stock", "10", "stock_was", "10")
	require.Equal(t, http.StatusSeeOther, w.files(item+"/edit", changed, browser).status)
	shown = w.get(item, browser).document()
	require.Equal(t, "Beans", shown.Find("h1").Text())
	require.Equal(t, picture, shown.Find(".item-shown img").AttrOr("src", ""), "a picture stays that is kept")
	require.Contains(t, shown.Find(".share").Text(), "0.0025")

	require.Equal(t, http.StatusSeeOther, w.form(item+"/archive", nil, browser).status)
	require.Zero(t, w.get("/dashboard/items", browser).document().Find(".item-rows").Length())
	require.Equal(t, 1, w.get("/dashboard/items?archived=1", browser).document().Find(".item-rows tbody tr").Length())
	require.Equal(t, http.StatusSeeOther, w.form(item+"/return", nil, browser).status)
	require.Equal(t, 1, w.get("/dashboard/items", browser).document().Find(".item-rows tbody tr").Length())

	rows, err := w.pool.Query(t.Context(), `SELECT action FROM audit_rows WHERE merchant_id = $1 AND resource_type IN ('item', 'upload') ORDER BY created_at`, merchant)
	require.NoError(t, err)
	actions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{"upload.created", "item.created", "item.changed", "item.archived", "item.restored"}, actions)
}

func TestAnItemFormThatIsRefusedKeepsWhatWasSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	browser, _ := w.signIn("kiosk")
	w.made(beansForm("sku", "B-1"), browser)
	for what, one := range map[string]struct {
		form           sent
		field, problem string
	}{
		"a SKU that another item has": {beansForm("sku", "B-1"), "sku", "Another item has this SKU."},
		"no title":                    {beansForm("title", " "), "title", "Say what you are selling."},
		"a title that turns round":    {beansForm("title", "Beans\u202e"), "title", "Use at most 120 letters, figures and signs on one line."},
		"a title of 10,000 letters":   {beansForm("title", strings.Repeat("x", 10_000)), "title", "Use at most 120 letters, figures and signs on one line."},
		"no price":                    {beansForm("price", ""), "price", "Give an amount such as 12.50, with at most six decimals."},
		"seven decimals":              {beansForm("price", "1.0000001"), "price", "Give an amount such as 12.50, with at most six decimals."},
		"a negative price":            {beansForm("price", "-1"), "price", "Give an amount such as 12.50, with at most six decimals."},
		"half a piece":                {beansForm("counted", "1", "stock", "1.5"), "stock", "Give a whole number, such as 12."},
		"a negative stock":            {beansForm("counted", "1", "stock", "-1"), "stock", "Give a whole number, or leave it empty."},
		"a stock beyond all measure":  {beansForm("counted", "1", "stock", "1000000000"), "stock", "Give a whole number, or leave it empty."},
		"a file that is none":         {beansForm("kind", "file"), "file", "Upload the file that buyers get."},
		"an SVG with a script":        {beansForm().with("image", "x.png", []byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`)), "image", "Send a picture as JPEG, PNG or GIF, of at most 24 million pixels."},
		"a bomb":                      {beansForm().with("image", "x.png", bomb(60_000, 60_000)), "image", "Send a picture as JPEG, PNG or GIF, of at most 24 million pixels."},
		"a picture of 40 MB":          {beansForm().with("image", "x.png", make([]byte, 40<<20)), "image", "Pictures may have 10 MB, and files 200 MB."},
		"somebody's picture":          {beansForm("image_id", string(id.New[id.Upload](w.now()))), "image", "Upload it first, and give the upload's id."},
		"an edition of nothing":       {beansForm("edition_of", "itm_1"), "edition_of", "Give an id that begins with itm_."},
	} {
		answer := w.files("/dashboard/items", one.form, browser)
		require.Equal(t, one.problem, answer.problem(one.field), what)
		require.Equal(t, one.form.fields.Get("title"), answer.document().Find("#title").AttrOr("value", ""), what)
		require.Equal(t, one.form.fields.Get("price"), answer.document().Find("#price").AttrOr("value", ""), what)
	}
	require.Equal(t, 1, w.get("/dashboard/items", browser).document().Find(".item-rows tbody tr").Length(), "nothing was made")
}

// bomb is the beginning of a PNG that says how large it is.
func bomb(width, height uint32) []byte {
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte("IHDR"), width), height)
	head = append(head, 8, 6, 0, 0, 0)
	file := binary.BigEndian.AppendUint32([]byte("\x89PNG\r\n\x1a\n"), 13)
	return binary.BigEndian.AppendUint32(append(file, head...), crc32.ChecksumIEEE(head))
}

func TestAFileIsKeptWhileAnotherFieldIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	browser, _ := w.signIn("kiosk")
	refused := w.files("/dashboard/items", beansForm("kind", "file", "price", "free").
		with("file", "atlas.pdf", []byte("%PDF-1.7 an atlas")).with("image", "cup.png", pictureOf(t, 3, 3)), browser)
	require.NotEmpty(t, refused.problem("price"))
	again := refused.document()
	require.Contains(t, again.Find(".item-file").Text(), "atlas.pdf")
	file, picture := again.Find("[name=file_id]").AttrOr("value", ""), again.Find("[name=image_id]").AttrOr("value", "")
	item := w.made(beansForm("kind", "file", "file_id", file, "image_id", picture), browser)
	shown := w.get(item, browser).document()
	require.Contains(t, shown.Find(".facts").Text(), "atlas.pdf")
	require.Equal(t, 1, shown.Find(".item-shown img").Length())

	require.Equal(t, http.StatusSeeOther, w.files(item+"/edit", beansForm("kind", "physical", "file_id", file), browser).status)
	shown = w.get(item, browser).document()
	require.NotContains(t, shown.Find(".facts").Text(), "atlas.pdf", "a thing has no file")
	require.Zero(t, shown.Find(".item-shown img").Length(), "a picture that is not kept is taken away")
}

// holds begins to buy some of an item.
func (w *apiWorld) holds(item string, qty int) checkout.Attempt {
	w.t.Helper()
	a, err := w.checkout.Start(w.t.Context(), checkout.Begin{Items: []shop.Want{{Item: id.Item(path.Base(item)), Qty: qty}}, Channel: "api"})
	require.NoError(w.t, err)
	return a
}

func TestAStockIsNotSetBelowWhatIsHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	browser, merchant := w.signIn("kiosk")
	w.isPaidAt(merchant, strings.ToLower(payTo))
	item := w.made(beansForm("counted", "1", "stock", "5"), browser)
	a := w.holds(item, 3)
	require.Equal(t, "2 left, 3 held", w.get("/dashboard/items", browser).document().Find(".cell-stock").Text())

	answer := w.files(item+"/edit", beansForm("counted", "1", "stock", "2", "stock_was", "5"), browser)
	require.Equal(t, "3 are held by purchases that are being paid.", answer.problem("stock"))
	require.Equal(t, "2", answer.document().Find("#stock").AttrOr("value", ""))
	require.Equal(t, "Only 2 are free.", w.form(item+"/stock", url.Values{"more": {"−3"}}, browser).problem("more"))
	for _, more := range []string{"", "1.5", "ten", "999999999999"} {
		require.NotEmpty(t, w.form(item+"/stock", url.Values{"more": {more}}, browser).problem("more"), more)
	}
	require.Equal(t, http.StatusSeeOther, w.form(item+"/stock", url.Values{"more": {" 4 "}}, browser).status)
	require.Equal(t, "6 left, 3 held", w.get("/dashboard/items", browser).document().Find(".cell-stock").Text())

	// The form showed 9; one that was sold meanwhile stays sold.
	_, err := w.checkout.Simulate(t.Context(), merchant, a.ID, checkout.Direct)
	require.NoError(t, err)
	require.Equal(t, http.StatusSeeOther, w.files(item+"/edit", beansForm("title", "Beans", "counted", "1", "stock", "9", "stock_was", "9"), browser).status)
	require.Equal(t, "6 left", w.get("/dashboard/items", browser).document().Find(".cell-stock").Text())
	require.Equal(t, http.StatusSeeOther, w.files(item+"/edit", beansForm(), browser).status)
	require.Equal(t, "Not counted", w.get("/dashboard/items", browser).document().Find(".cell-stock").Text())
}

func TestKeysAreImportedFromTextAndFromAFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	browser, _ := w.signIn("kiosk")
	item := w.made(beansForm("kind", "key"), browser)
	imported := func(typed, file string) reply {
		return w.files(item+"/keys", sent{url.Values{"keys": {typed}}, map[string]namedFile{"keys_file": {"keys.txt", []byte(file)}}}, browser)
	}
	answer := imported("AAA-1\r\nAAA-2\n\n", "BBB-1\nAAA-1\n")
	require.Equal(t, http.StatusSeeOther, answer.status, string(answer.body))
	require.Contains(t, string(w.get(answer.header.Get("Location"), browser).body), "3 keys were added.")
	require.Contains(t, string(w.get(imported("AAA-1", "").header.Get("Location"), browser).body), "The list had all of these keys already.")
	require.Equal(t, "Give 1 to 10000 keys, one a line.", imported(" \n", "").problem("keys"))
	require.Equal(t, "Give 1 to 10000 keys, one a line.", imported("", strings.Repeat("k\n", 10_001)).problem("keys"))
	require.NotEmpty(t, imported("A\x00B", "").problem("keys"))
	require.Equal(t, http.StatusRequestEntityTooLarge, imported("", strings.Repeat("x", 9<<20)).status)
	require.NotContains(t, string(w.get(item, browser).body), "AAA-1", "a key is shown to its buyer alone")

	beans := w.made(beansForm(), browser)
	require.Equal(t, http.StatusUnprocessableEntity, w.files(beans+"/keys", sent{url.Values{"keys": {"A"}}, nil}, browser).status)
}

func TestAFileOfAStrangerIsNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, merchant := w.signIn("kiosk")
	viewer, _ := w.joined(w.ownerOf(merchant), access.Viewer, "Vic")
	for who, browser := range map[string]with{"nobody": page, "a viewer": viewer} {
		for _, target := range []string{"/dashboard/items", "/dashboard/items/itm_1/edit", "/dashboard/items/itm_1/keys", "/api/uploads/create"} {
			body := &counting{from: strings.NewReader(strings.Repeat("x", 1<<20))}
			answer := w.do(http.MethodPost, target, body, browser, header("Content-Type", "multipart/form-data; boundary=x"))
			require.NotEqual(t, http.StatusOK, answer.status, "%s, %s", who, target)
			require.Zero(t, body.read, "%s, %s", who, target)
		}
	}
}

// counting counts what is read of it.
type counting struct {
	from io.Reader
	read int
}

func (c *counting) Read(into []byte) (int, error) {
	n, err := c.from.Read(into)
	c.read += n
	return n, err
}

func TestWhoIsSentAwayWhileHisFileComesInLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, merchant := w.signIn("kiosk")
	boss := w.ownerOf(merchant)
	for _, cut := range []string{"in the file", "after it"} {
		mia, person := w.joined(boss, access.Manager, "Mia")
		var body bytes.Buffer
		m := multipart.NewWriter(&body)
		require.NoError(t, m.SetBoundary("xxxx"))
		beansForm("kind", "file").with("file", "a.txt", []byte("all of it")).writeTo(t, m)
		require.NoError(t, m.WriteField("sku", "B-1"))
		require.NoError(t, m.Close())
		at := bytes.Index(body.Bytes(), []byte("of it"))
		if cut == "after it" {
			at = bytes.Index(body.Bytes(), []byte("B-1"))
		}
		request := w.begins("/dashboard/items", "Content-Length: "+strconv.Itoa(body.Len()), func(r *http.Request) {
			mia(r)
			r.Header.Set("Content-Type", m.FormDataContentType())
		})
		_, err := request.conn.Write(body.Bytes()[:at])
		require.NoError(t, err)
		if cut == "after it" {
			require.Eventually(t, func() bool { return w.count(`SELECT count(*) FROM uploads WHERE complete`) == 1 }, 20*time.Second, 10*time.Millisecond)
		}
		require.NoError(t, w.access.Remove(t.Context(), boss, access.Browser{}, person))
		answer := request.ends(string(body.Bytes()[at:]))
		require.Equal(t, http.StatusSeeOther, answer.StatusCode)
		require.Contains(t, answer.Header.Get("Location"), "/login")
		require.Zero(t, w.count(`SELECT count(*) FROM items`))
		if cut == "in the file" {
			require.Zero(t, w.count(`SELECT count(*) FROM uploads`))
		}
	}
}
