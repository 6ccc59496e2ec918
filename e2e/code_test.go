package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/playwright-community/playwright-go"
	"github.com/stretchr/testify/require"
)

func TestASellerHandsOutCodesAndABuyerUsesOne(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	var l link
	w.call(t, "/api/payment_links/create", object{"title": "Tasting evening", "price": "24.00"}, &l)
	seller := signedIn(t, w, desktop)
	seller.press(seller.link("Codes").First())
	seller.press(seller.link("New codes").First())
	seller.fill("What you call them, optional", "Spring flyer")
	seller.fill("Percent", "25")
	seller.fill("How many codes", "12")
	seller.fill("They begin with, optional", "SPRING")
	_, err := seller.GetByLabel("What it is good for").SelectOption(playwright.SelectOptionValues{Labels: &[]string{"Tasting evening"}})
	require.NoError(t, err)
	seller.press(seller.button("Make codes"))
	seller.sees(seller.heading("Spring flyer"))
	seller.says("25 % off")
	code, err := seller.Locator(".code-list code").First().InnerText()
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(code, "SPRING-"))
	batch := seller.URL()

	file, err := seller.ExpectDownload(func() error { return seller.link("CSV").Click() })
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "codes.csv")
	require.NoError(t, file.SaveAs(path))
	table, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 13, strings.Count(string(table), "\n"))
	seller.press(seller.link("QR sheet"))
	seller.sees(seller.heading("12 codes of “Spring flyer”"))
	printed := seller.Locator(".code-card").Filter(playwright.LocatorFilterOptions{HasText: code})
	address := seller.reads(printed.Locator("svg"))
	require.Equal(t, w.BaseURL+"/link/"+l.Token+"?code="+code, address)

	// The guest's phone opens what the card says, and pays three quarters.
	wallet := newWallet(w.buyer(t), w.ChainID)
	buyer := visit(t, w, phone, noTestWallet, wallet.in)
	buyer.open(address)
	buyer.says("Taken off")
	buyer.press(buyer.button("Pay 18.00"))
	buyer.sees(buyer.Locator("#purchase[data-status=settled]"))
	buyer.says("18.00")

	// The next one has the same card.
	other := visit(t, w, phone, noTestWallet).provokes(http.StatusUnprocessableEntity)
	other.open(l.URL)
	other.press(other.Locator("summary").GetByText("Have a code?"))
	other.fill("Activation code", strings.ToLower(code))
	other.press(other.button("Apply"))
	other.says("used as often as it may be")
	other.sees(other.button("Pay 24.00"))

	seller.open(batch)
	row := seller.Locator(".code-list tr").Filter(playwright.LocatorFilterOptions{HasText: code})
	seller.sees(row.GetByText("Used up"))
	seller.press(seller.link("Revoke all"))
	seller.sees(seller.heading("Revoke these codes?"))
	seller.press(seller.button("Revoke all"))
	seller.sees(seller.Locator(".code-list").GetByText("Revoked").First())
}

func TestAFreeCodeNeedsNoWallet(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	var l link
	w.call(t, "/api/payment_links/create", object{"title": "Guest seat", "price": "24.00"}, &l)
	var made struct{ Codes []struct{ Code string } }
	w.call(t, "/api/activation_codes/generate", object{"free": true, "link_token": l.Token}, &made)
	for _, device := range []device{phone, without(phone)} {
		v := visit(t, w, device, noTestWallet)
		v.open(l.URL)
		v.press(v.Locator("summary").GetByText("Have a code?"))
		v.fill("Activation code", made.Codes[0].Code)
		v.press(v.button("Apply"))
		v.sees(v.button("Get it"))
	}
	v := visit(t, w, phone, noTestWallet)
	v.open(l.URL + "?code=" + made.Codes[0].Code)
	v.press(v.button("Get it"))
	v.sees(v.Locator("#purchase[data-status=settled]"))
}

func TestPagesOfCodes(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	var l link
	w.call(t, "/api/payment_links/create", object{"title": "Tasting evening, one seat", "price": "24.00"}, &l)
	var made struct {
		ID    string
		Codes []struct{ Code string }
	}
	w.call(t, "/api/activation_codes/generate", object{"percent_off": 25, "link_token": l.Token, "count": 30, "prefix": "SPRING", "name": "Spring flyer"}, &made)
	w.call(t, "/api/activation_codes/generate", object{"free": true, "codes": []string{"PRESS-" + l.Token[:6]}, "uses": 40, "name": "Press"}, &struct{}{})
	for name, path := range map[string]string{
		"codes": "/dashboard/codes", "code-form": "/dashboard/codes/new", "code-batch": "/dashboard/codes/" + made.ID,
		"code-sheet": "/dashboard/codes/" + made.ID + "/sheet", "code-revocation": "/dashboard/codes/" + made.ID + "/revocation",
		"code-link": "/link/" + l.Token + "?code=" + made.Codes[0].Code,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := signedIn(t, w, desktop)
			axe(v)
			v.open(path)
			v.isClean(name)
			v.looks(playwright.ColorSchemeLight)
			v.width(1440, 900)
			v.shot(name)
			v.width(390, 760)
			v.shot(name + "-phone")
		})
	}
}

// A program pays what a code leaves of the price: the code goes along with the payment, and counts once however often the
// same payment comes.
func TestAProgramPaysWhatACodeLeaves(t *testing.T) {
	t.Parallel()
	w, s := startWorld(t), startSeller(t)
	e := w.newEndpoint(t, s.URL+"/v1", nil)
	e.EndpointURL += "/weather/oslo"
	var made struct {
		Codes []struct{ Code string }
	}
	w.call(t, "/api/activation_codes/generate", object{"percent_off": 40, "endpoint_id": e.ID, "count": 2}, &made)
	code := made.Codes[0].Code
	asked := w.get(t, e.EndpointURL, "X-Activation-Code", code)
	require.Equal(t, http.StatusPaymentRequired, asked.Status, asked.Body)
	name, value := w.answerTo(t, asked)
	for range 3 {
		paid := w.get(t, e.EndpointURL, "X-Activation-Code", code, name, value)
		require.Equal(t, http.StatusOK, paid.Status, paid.Body)
		require.NotEmpty(t, paid.Header.Get("Payment-Response"))
	}
	require.Equal(t, 1, s.asked(t, w).Asked["/v1/weather/oslo"])
	require.Equal(t, "code_used", w.get(t, e.EndpointURL, "X-Activation-Code", code).errorCode(t))

	// What was offered with the code is not enough without it, and nothing is charged.
	other := made.Codes[1].Code
	name, value = w.answerTo(t, w.get(t, e.EndpointURL, "X-Activation-Code", other))
	require.Equal(t, http.StatusPaymentRequired, w.get(t, e.EndpointURL, name, value).Status)
	again := w.get(t, e.EndpointURL, "X-Activation-Code", code, name, value)
	require.Equal(t, "code_used", again.errorCode(t), again.Body)
	require.Equal(t, http.StatusOK, w.get(t, e.EndpointURL, "X-Activation-Code", other, name, value).Status)
	require.Equal(t, 2, s.asked(t, w).Asked["/v1/weather/oslo"])
}
