package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// clean makes sure that a page is accessible, and that nothing of it scrolls sideways.
func (v *visitor) clean(where string) {
	v.t.Helper()
	v.requireAccessible(where)
	v.requireNoSidewaysScroll()
}

func TestSellerSetsUpTheShop(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	owner := signedIn(t, w, desktop)
	axe(owner)

	owner.press(owner.link("Settings").First())
	owner.sees(owner.heading("Settings"))
	owner.clean("settings")
	owner.fill("Name of the shop", "Kaffe Nord & Co")
	owner.press(owner.button("Save").First())
	owner.says("Kaffe Nord & Co")

	owner.open("/dashboard/settings/keys/new")
	owner.clean("a new key")
	owner.fill("Name", "Web shop")
	owner.press(owner.GetByLabel("Read payment links"))
	owner.press(owner.button("Create API key"))
	owner.sees(owner.heading("Keep this key"))
	owner.clean("a key's secret")
	secret, err := owner.Locator("#secret").InnerText()
	require.NoError(t, err)
	require.Regexp(t, `^sk_test_[0-9A-Za-z]{49}$`, secret)
	list := func() int { return w.get(t, "/api/payment_links/list", "Authorization", "Bearer "+secret).Status }
	require.Equal(t, http.StatusOK, list())
	owner.press(owner.link("I have copied it"))
	owner.sees(owner.heading("API keys"))
	owner.clean("keys")
	owner.press(owner.link("Revoke Web shop " + secret[len(secret)-4:]))
	owner.sees(owner.heading("Revoke this key?"))
	owner.press(owner.button("Revoke key"))
	owner.sees(owner.heading("API keys"))
	require.Equal(t, http.StatusUnauthorized, list())

	owner.open("/dashboard/settings/address")
	owner.clean("the receiving address")
	owner.sees(owner.button("Use Test wallet"))
	owner.press(owner.button("Use Test wallet"))
	owner.sees(owner.button("Cancel this change"))
	owner.clean("an address that waits")
	page, err := owner.Locator("main").InnerText()
	require.NoError(t, err)
	require.Contains(t, page, "A change waits a day")
	owner.press(owner.button("Cancel this change"))
	owner.sees(owner.heading("Receiving address"))
	left, err := owner.button("Cancel this change").Count()
	require.NoError(t, err)
	require.Zero(t, left)

	small := signedIn(t, w, phone)
	axe(small)
	for _, path := range []string{
		"/dashboard/settings", "/dashboard/settings/keys", "/dashboard/settings/keys/new", "/dashboard/settings/address",
	} {
		require.Equal(t, http.StatusOK, small.open(path))
		small.clean(path + " on a phone")
	}
}
