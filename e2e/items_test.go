package e2e

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/playwright-community/playwright-go"
	"github.com/stretchr/testify/require"
)

// picked chooses a file in a form.
func (v *visitor) picked(field, name, media string, content []byte) {
	v.t.Helper()
	require.NoError(v.t, v.Locator("#"+field).SetInputFiles([]playwright.InputFile{{Name: name, MimeType: media, Buffer: content}}))
}

// photograph is a picture with something to see on it.
func photograph(t *testing.T) []byte {
	t.Helper()
	drawn := image.NewRGBA(image.Rect(0, 0, 800, 600))
	for y := range 600 {
		for x := range 800 {
			drawn.Set(x, y, color.RGBA{uint8(120 + x/10), uint8(90 + y/10), uint8(60 + (x*y)%90), 255})
		}
	}
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, drawn))
	return b.Bytes()
}

// aPDF is a file as long as buyers' files are, and no two pieces of it are alike.
func aPDF() []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	for n := range 60_000 {
		fmt.Fprintf(&b, "%d of the atlas\n", n)
	}
	return b.Bytes()
}

func TestSellerMakesAnItemWithAPictureAndAFile(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	seller := visit(t, w, desktop, axe)
	seller.signsIn()
	seller.provokes(http.StatusUnprocessableEntity)
	seller.press(seller.link("Items").First())
	seller.sees(seller.heading("Items"))
	seller.cleanEverywhere("items")
	seller.press(seller.link("New item"))
	seller.sees(seller.heading("New item"))
	seller.cleanEverywhere("a new item")

	seller.fill(labelTitle, "Atlas of salt paths")
	seller.fill(labelPrice, "6")
	seller.press(seller.GetByText("Licence key").First())
	seller.press(seller.GetByText("Downloaded from the paid page."))
	seller.picked("file", "atlas.pdf", "application/pdf", aPDF())
	seller.picked("image", "cover.svg", "image/svg+xml", []byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`))
	seller.press(seller.button("Create item"))
	seller.says("Send a picture as JPEG, PNG or GIF, of at most 24 million pixels.")
	seller.says("Now: atlas.pdf")
	require.Equal(t, "Atlas of salt paths", seller.value(labelTitle))
	seller.cleanEverywhere("a refused item")
	seller.picked("image", "cover.png", "image/png", make([]byte, 40<<20))
	seller.press(seller.button("Create item"))
	seller.says("Pictures may have 10 MB, and files 200 MB.")

	seller.picked("image", "cover.png", "image/png", photograph(t))
	seller.sees(seller.Locator("[data-shows-picture]"))
	seller.press(seller.Locator("summary").GetByText("Category, SKU"))
	seller.fill("Category, optional", "Books")
	seller.fill("SKU, optional", "ATLAS-1")
	seller.press(seller.button("Create item"))
	seller.sees(seller.heading("Atlas of salt paths"))
	seller.sees(seller.Locator(".item-shown img"))
	seller.says("atlas.pdf")
	seller.cleanEverywhere("an item")
	item := seller.URL()

	seller.open("/dashboard/items/new")
	seller.fill(labelTitle, "Another atlas")
	seller.fill(labelPrice, "7.5")
	seller.press(seller.Locator("summary").GetByText("Category, SKU"))
	seller.fill("SKU, optional", "ATLAS-1")
	seller.press(seller.button("Create item"))
	seller.says("Another item has this SKU.")
	require.Equal(t, "Another atlas", seller.value(labelTitle))

	seller.open(item + "/edit")
	seller.fill(labelTitle, "Atlas of all salt paths")
	seller.press(seller.button("Save item"))
	seller.sees(seller.heading("Atlas of all salt paths"))
	seller.sees(seller.Locator(".item-shown img"))
	seller.open("/dashboard/items?q=atlas-1")
	seller.sees(seller.link("Atlas of all salt paths"))
}

// signsIn lets the café's owner in.
func (v *visitor) signsIn() {
	v.t.Helper()
	v.open("/login")
	v.press(v.button("Sign in as Mette Lund"))
	v.sees(v.heading("Overview"))
}

func TestAStockIsChangedWithoutScriptsAndNotBelowWhatIsHeld(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	item := w.newItem(t, "Vase of the potter", "38", 5)
	w.call(t, "/api/create_payment_session", object{"items": []object{{"item_id": item, "qty": 3}}}, &struct{}{})
	seller := signedIn(t, w, without(desktop)).provokes(http.StatusUnprocessableEntity)
	seller.open("/dashboard/items/" + item)
	seller.fill("Put in", "-3")
	seller.press(seller.button("Change stock"))
	seller.says("Only 2 are free.")
	seller.open("/dashboard/items/" + item + "/edit")
	seller.fill("In the shop", "2")
	seller.press(seller.button("Save item"))
	seller.says("3 are held by purchases that are being paid.")
	require.Equal(t, "2", seller.value("In the shop"))
	seller.fill("In the shop", "3")
	seller.press(seller.button("Save item"))
	seller.sees(seller.heading("Vase of the potter"))
	counts, err := seller.Locator(".counts dd").AllInnerTexts()
	require.NoError(t, err)
	require.Equal(t, []string{"0", "3", "0"}, counts)
	seller.press(seller.button("Archive"))
	seller.press(seller.button("Put back on the shelf"))
	seller.sees(seller.button("Archive"))
}

var london = object{"name": "Ada Byron", "line1": "12 St James’s Square", "postal_code": "SW1Y 4JH", "city": "London", "country": "GB"}

// session begins a purchase by the API, and returns where it is paid.
func (w *world) session(t *testing.T, body object) (attempt, payURL string) {
	t.Helper()
	var made struct {
		Attempt string `json:"payment_attempt"`
		PayURL  string `json:"pay_url"`
	}
	w.call(t, "/api/create_payment_session", body, &made)
	return made.Attempt, made.PayURL
}

func TestAnOrderIsPackedAndSentAndItsBuyerReadsSo(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	beans, cup := w.newItem(t, "Beans of the hill", "0.12", 9), w.newItem(t, "Cup of the potter", "0.18", 0)
	attempt, payURL := w.session(t, object{
		"items": []object{{"item_id": beans, "qty": 2}, {"item_id": cup, "qty": 1}}, "shipping_address": london, "note": "Ring twice, please.",
	})
	seller := visit(t, w, desktop, axe)
	seller.signsIn()
	seller.open("/dashboard/orders")
	seller.says("Nothing is to be sent.")
	name, value := w.payment(t, w.buyer(t), 2, w.get(t, "/pay/"+attempt).required(t))
	require.Equal(t, http.StatusOK, w.get(t, "/pay/"+attempt, name, value).Status)
	seller.sees(seller.link("2 × Beans of the hill")) // by itself
	seller.cleanEverywhere("orders")

	seller.press(seller.link("2 × Beans of the hill"))
	seller.sees(seller.heading("Beans of the hill"))
	seller.says("SW1Y 4JH London")
	seller.says("Cup of the potter")
	seller.cleanEverywhere("an order")
	seller.open("/dashboard/orders/packing")
	require.NoError(t, seller.EmulateMedia(playwright.PageEmulateMediaOptions{Media: playwright.MediaPrint}))
	seller.says("Ring twice, please.")
	require.NoError(t, seller.EmulateMedia(playwright.PageEmulateMediaOptions{Media: playwright.MediaScreen}))
	seller.cleanEverywhere("packing slips")

	seller.open("/dashboard/orders")
	seller.press(seller.link("2 × Beans of the hill"))
	seller.fill("Note to the buyer, optional", "Royal Mail, QM 1234 5678 9GB")
	_, err := seller.ExpectResponse("**/dashboard/orders/sal_*", func() error { // which a change in the shop provokes
		w.newItem(t, "Filter papers", "0.02", 0)
		return nil
	})
	require.NoError(t, err)
	seller.press(seller.button("Mark as sent"))
	seller.says("by Mette Lund")
	seller.cleanEverywhere("an order that was sent")
	buyer := visit(t, w, phone, axe)
	buyer.open(payURL)
	buyer.sees(buyer.heading("Will be sent")) // the cup waits
	buyer.says("Royal Mail, QM 1234 5678 9GB")
	seller.press(seller.link("Cup of the potter"))
	seller.press(seller.button("Mark as sent"))
	seller.says("by Mette Lund")
	buyer.reload()
	buyer.sees(buyer.heading("Sent"))
	buyer.says("SW1Y 4JH London")
	buyer.clean("a receipt of what was sent")
	seller.press(seller.button("It was not sent"))
	seller.sees(seller.button("Mark as sent"))
}

// TestGoodsReachTheirBuyerAndNobodyElse sells a file and a licence key, from the seller's form to the buyer's other phone.
func TestGoodsReachTheirBuyerAndNobodyElse(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	seller := signedIn(t, w, desktop)
	book := seller.makesItem("The lighthouse, a book", "0.06", "Downloaded from the paid page.", func() {
		seller.picked("file", "lighthouse.pdf", "application/pdf", aPDF())
	})
	game := seller.makesItem("The lighthouse, a game", "0.05", "Shown on the paid page, each to one buyer.", nil)
	seller.fill("Keys, one a line", "LIGHT-0001\nLIGHT-0002")
	seller.press(seller.button("Import keys"))
	seller.says("2 keys were added.")

	attempt, payURL := w.session(t, object{"items": []object{{"item_id": book, "qty": 1}, {"item_id": game, "qty": 1}}})
	pocket := newWallet(w.buyer(t), w.ChainID)
	buyer := visit(t, w, phone, pocket.in, axe)
	buyer.open(payURL)
	none, err := buyer.GetByText("LIGHT-0001").Count()
	require.NoError(t, err)
	require.Zero(t, none, "nothing before it is paid")
	buyer.press(buyer.button("Pay "))
	buyer.sees(buyer.heading("Paid"))
	buyer.says("LIGHT-0001")
	buyer.clean("a receipt with goods")
	require.Equal(t, aPDF(), buyer.downloads("lighthouse.pdf"))
	buyer.reload()
	buyer.says("LIGHT-0001")

	address := buyer.URL()
	k, err := url.Parse(address)
	require.NoError(t, err)
	require.NotEmpty(t, k.Query().Get("k"), "the buyer's link")
	other := visit(t, w, desktop)
	other.open(address)
	other.says("LIGHT-0001")
	require.Equal(t, aPDF(), other.downloads("lighthouse.pdf"))
	other.reload()
	other.says("Downloaded 2 times")

	stranger := visit(t, w, desktop)
	for _, wrong := range []string{"", "?k=", "?k=1111111111111111111111"} {
		stranger.open("/pay/" + attempt + wrong)
		stranger.sees(stranger.heading("Paid"))
		text, err := stranger.Content()
		require.NoError(t, err)
		for _, secret := range []string{"LIGHT-", "lighthouse.pdf", "/files/", k.Query().Get("k")} {
			require.NotContains(t, text, secret, wrong)
		}
		require.Equal(t, http.StatusNotFound, w.get(t, "/pay/"+attempt+"/files/0"+wrong).Status)
	}
	seller.open("/dashboard/items/" + game)
	counts, err := seller.Locator(".counts dd").AllInnerTexts()
	require.NoError(t, err)
	require.Equal(t, []string{"1", "0", "1"}, counts)
	text, err := seller.Content()
	require.NoError(t, err)
	require.NotContains(t, text, "LIGHT-", "a key is its buyer's")
}

// makesItem fills in the form of a new item of one kind, and returns the item.
func (v *visitor) makesItem(title, price, kind string, fill func()) (item string) {
	v.t.Helper()
	v.open("/dashboard/items/new")
	v.fill(labelTitle, title)
	v.fill(labelPrice, price)
	v.press(v.GetByText(kind))
	if fill != nil {
		fill()
	}
	v.press(v.button("Create item"))
	v.sees(v.heading(title))
	at := v.URL()
	return at[strings.LastIndex(at, "/")+1:]
}

// downloads fetches a file as its buyer does.
func (v *visitor) downloads(name string) []byte {
	v.t.Helper()
	saved, err := v.ExpectDownload(func() error { return v.link("Download " + name).Click() })
	require.NoError(v.t, err)
	require.Equal(v.t, name, saved.SuggestedFilename())
	path, err := saved.Path()
	require.NoError(v.t, err)
	content, err := os.ReadFile(path)
	require.NoError(v.t, err)
	return content
}
