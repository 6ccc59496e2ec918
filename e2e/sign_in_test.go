package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
)

// authAnswer is an answer that begins a session, as the script prints it.
type authAnswer struct {
	Status int    `json:"status"`
	Cookie string `json:"cookie"`
	Body   struct {
		Nonce  string
		Person struct{ ID, Name string }
		Shops  []struct {
			SellerID string `json:"seller_id"`
			Role     string
		}
		Error struct{ Code string }
	} `json:"body"`
}

// signInBy signs in with an unmodified npm package.
func (w *world) signInBy(t testing.TB, maker, key string) (drawn, first, replayed authAnswer) {
	t.Helper()
	var told struct{ Drawn, First, Replayed authAnswer }
	runNPM(t, &told, "siwe", "sign_in.mjs", []string{"KEY=" + key}, w.BaseURL, maker)
	return told.Drawn, told.First, told.Replayed
}

// ownerCookie signs the demo's owner in with his wallet, and returns the session's cookie.
func (w *world) ownerCookie(t testing.TB) string {
	t.Helper()
	_, in, _ := w.signInBy(t, "viem", w.OwnerKey)
	require.Equal(t, http.StatusOK, in.Status, in.Body.Error.Code)
	cookie, _, _ := strings.Cut(in.Cookie, ";")
	return cookie
}

func freshKey(t testing.TB) string {
	t.Helper()
	return hexutil.Encode(crypto.FromECDSA(newKey(t)))
}

func TestMessagesOfUnmodifiedPackagesSignIn(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for _, maker := range []string{"siwe", "viem"} {
		t.Run(maker, func(t *testing.T) {
			t.Parallel()
			drawn, first, replayed := w.signInBy(t, maker, freshKey(t))
			require.Equal(t, http.StatusOK, drawn.Status)
			require.Regexp(t, `^[0-9A-Za-z]{20,}$`, drawn.Body.Nonce)
			require.Equal(t, http.StatusOK, first.Status)
			require.NotEmpty(t, first.Body.Person.ID)
			require.Empty(t, first.Body.Shops)
			cookie, _, _ := strings.Cut(first.Cookie, ";")
			require.Equal(t, http.StatusOK, w.get(t, "/account", "Accept", "text/html", "Cookie", cookie).Status)
			require.Equal(t, http.StatusUnauthorized, replayed.Status)
			require.Equal(t, "challenge_used", replayed.Body.Error.Code)
			require.Empty(t, replayed.Cookie)
		})
	}
}

func TestScriptsSignInAsTheDemosOwner(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	_, first, _ := w.signInBy(t, "viem", w.OwnerKey)
	require.Equal(t, http.StatusOK, first.Status)
	require.Equal(t, "Mette Lund", first.Body.Person.Name)
	require.Len(t, first.Body.Shops, 1)
	require.Equal(t, w.SellerID, first.Body.Shops[0].SellerID)
	require.Equal(t, "owner", first.Body.Shops[0].Role)
}

// authenticated gives a visitor's browser a device that keeps passkeys and verifies its owner.
func (v *visitor) authenticated() {
	v.t.Helper()
	cdp, err := v.context.NewCDPSession(v.Page)
	require.NoError(v.t, err)
	_, err = cdp.Send("WebAuthn.enable", map[string]any{})
	require.NoError(v.t, err)
	_, err = cdp.Send("WebAuthn.addVirtualAuthenticator", map[string]any{"options": map[string]any{
		"protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
		"isUserVerified": true, "automaticPresenceSimulation": true,
	}})
	require.NoError(v.t, err)
}

func TestAWalletSignsInAndAddsItselfToTheAccount(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	key, err := crypto.GenerateKey()
	require.NoError(t, err)
	pocket := newWallet(key, w.ChainID)
	v := visit(t, w, desktop, pocket.in)
	v.open("/login?return=/account")
	pocket.onSign(func() *walletError { return rejection })
	v.press(v.button("Sign in with " + walletName))
	v.says("You did not approve it in the wallet.")
	pocket.onSign(nil)
	v.press(v.button("Sign in with " + walletName))
	v.sees(v.heading("Your account"))
	v.says(pocket.address())
	v.sees(v.Locator(".pill").GetByText("This browser"))
	v.fill("Name", "Ada Holm")
	v.press(v.button("Save name"))
	require.Equal(t, "Ada Holm", v.value("Name"))
	v.press(v.button("Make new codes"))
	v.sees(v.heading("Recovery codes"))
	codes, err := v.Locator(".codes code").AllTextContents()
	require.NoError(t, err)
	require.Len(t, codes, 10)
	v.press(v.link("I have kept them"))
	v.says("10 codes left")

	other := visit(t, w, without(phone))
	other.open("/login?return=/account")
	other.sees(other.Locator("noscript p"))
	other.press(other.Locator("summary").GetByText("Use a recovery code"))
	other.fill("Recovery code", strings.ToUpper(codes[0]))
	other.press(other.button("Sign in with this code"))
	other.sees(other.heading("Your account"))
	v.reload()
	v.press(v.button("Sign out everywhere else"))
	other.open("/account")
	other.sees(other.heading("Sign in"))
}

func TestSomebodyNewJoinsWithoutScripts(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	v := visit(t, w, without(phone))
	v.open("/login?return=/account")
	v.press(v.link("Create your account"))
	v.fill("Your name", "Kai Berg")
	v.press(v.button("Get recovery codes instead"))
	v.sees(v.heading("Recovery codes"))
	v.press(v.link("Go on"))
	require.Equal(t, "Kai Berg", v.value("Name"))
}
