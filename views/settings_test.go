package views

import (
	"testing"

	"github.com/a-h/templ"
	"github.com/stretchr/testify/require"
)

func settingsShell(heading string) DashboardView { return shell(heading, SectionSettings) }

func keysExample() KeysView {
	return KeysView{
		DashboardView: settingsShell("API keys"), MayChange: true,
		Keys: []KeyRow{
			{
				Key: "key_1ChHQgZvF7Y4JLiQa34ooR", Name: "Web shop", Hint: "9fQz", Scopes: []string{"links:read", "links:write"}, Creator: "Mette Lund",
				Created: at(18, 9, 0, 0).UTC(), Used: at(21, 14, 32, 0).UTC(), Expires: at(30, 9, 0, 0).UTC(), State: "active",
			},
			{Key: "key_1ChHQgZvF7Y4JLiQa34ooS", Name: "Demo", Scopes: []string{"sales:read"}, Created: at(17, 9, 0, 0).UTC(), State: "active"},
			{Key: "key_1ChHQgZvF7Y4JLiQa34ooT", Name: "<b>Old</b>", Hint: "aaaa", Scopes: []string{"sales:read"}, Created: at(1, 9, 0, 0).UTC(), State: "revoked"},
		},
	}
}

func addressExample() AddressView {
	const address, next = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
	return AddressView{
		DashboardView: settingsShell("Receiving address"), DoorView: DoorView{Test: true, TestWallet: true}, MayChange: true,
		AddressChoice: AddressChoice{
			Networks: []NetworkOption{{ID: "eip155:8453", Name: "Base", Chosen: true}, {ID: "eip155:84532", Name: "Base Sepolia", Test: true}},
		},
		Rows: []AddressRow{
			{ID: "eip155:8453", Name: "Base", Address: address, Kind: "contract"},
			{
				ID: "eip155:84532", Name: "Base Sepolia", Test: true, Address: address, Kind: "wallet", Proven: at(18, 9, 12, 0).UTC(),
				Change: "pch_1ChHQgZvF7Y4JLiQa34ooR", Next: next, From: at(22, 9, 12, 0).UTC(),
			},
		},
	}
}

func TestPagesWhereAShopIsSetUp(t *testing.T) {
	t.Parallel()
	settings := SettingsView{
		DashboardView: settingsShell("Settings"), MayChange: true, MayGoLive: true, Ready: true, WasName: "Kaffe Nord", WasSlug: "kaffe-nord",
		Name: Field{Value: "Kaffe Nord"}, Slug: Field{Value: "kaffe-nord"},
	}
	changed := settings
	changed.Name = Field{Value: "Kaffe Süd", Problem: "Somebody changed this since the page was opened. Look at it, and send it again."}
	changed.Ready = false
	watching := settings
	watching.MayChange, watching.Test = false, false
	first := addressExample()
	first.Rows = []AddressRow{{ID: "eip155:84532", Name: "Base Sepolia", Test: true}}
	first.Networks, first.NoLive = first.Networks[1:], true
	first.Address = Field{Value: "0x1", Problem: "An address is 0x and 40 figures and letters from a to f. Copy it from your wallet."}
	watched := addressExample()
	watched.MayChange = false
	live := keysExample()
	live.Test, live.MayChange = false, false
	scopes := []ScopeOption{{"links:read", "Read payment links", true}, {"links:write", "Make and change payment links", false}}
	pages := map[string]templ.Component{
		"settings":         Settings(settings),
		"settings_changed": Settings(changed),
		"settings_viewer":  Settings(watching),
		"keys":             Keys(keysExample()),
		"keys_live":        Keys(live),
		"keys_none":        Keys(KeysView{DashboardView: settingsShell("API keys"), MayChange: true}),
		"key_new":          KeyForm(KeyFormView{DashboardView: settingsShell("New API key"), Scopes: scopes, Expires: "90"}),
		"key_new_refused": KeyForm(KeyFormView{
			DashboardView: settingsShell("New API key"), Scopes: scopes, Expires: "never", Name: Field{Problem: "Give the key a name that says which program uses it."},
			NoScope: "Choose at least one thing that the key may do.", Problem: "Two keys of this name are in use.",
		}),
		"key_secret":     KeySecret(KeySecretView{DashboardView: settingsShell("Keep this key"), Name: "Web shop", Secret: "sk_test_abc", Until: at(22, 9, 12, 0).UTC()}),
		"address":        Address(addressExample()),
		"address_first":  Address(first),
		"address_viewer": Address(watched),
	}
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, name, page)
			html := render(t, page)
			require.NotContains(t, html, " style=")
			require.NotContains(t, html, "<b>Old")
		})
	}
	require.NotContains(t, render(t, Keys(keysExample())), "01 Jan 0001")
}
