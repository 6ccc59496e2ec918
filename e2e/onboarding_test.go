package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/playwright-community/playwright-go"
	"github.com/stretchr/testify/require"
)

// What a new seller does at most before a test payment has reached him.
const (
	mostClicks = 9
	mostFields = 5
)

// startEmptyWorld starts a world without shops, and returns the address that sets up the first one.
func startEmptyWorld(t testing.TB) (w *world, setUp string) {
	t.Helper()
	w, err := newWorld()
	require.NoError(t, err)
	w.closedAtEnd(t)
	w.auditedAtEnd(t)
	process, err := startChild(w.Env, w.Dir, "xsynesis-dev", "run", "--empty")
	require.NoError(t, err)
	w.process = process
	_, err = w.process.await("ready ", readyTimeout)
	require.NoError(t, err)
	setUp, err = w.process.await("set up ", readyTimeout)
	require.NoError(t, err)
	require.NoError(t, w.readDevFile())
	return w, strings.TrimSpace(setUp)
}

// newSeller is a visitor whose clicks and typed fields are counted.
type newSeller struct {
	*visitor
	clicks, fields int
}

func (s *newSeller) press(l playwright.Locator) {
	s.t.Helper()
	s.clicks++
	s.visitor.press(l)
}

func (s *newSeller) fill(label, value string) {
	s.t.Helper()
	s.fields++
	s.visitor.fill(label, value)
}

// at waits for a step, and makes sure of its page.
func (s *newSeller) at(heading string) {
	s.t.Helper()
	s.sees(s.heading(heading))
	s.requireNoSidewaysScroll()
}

func (s *newSeller) requireQuick() {
	s.t.Helper()
	s.t.Logf("%d clicks, %d fields", s.clicks, s.fields)
	require.LessOrEqual(s.t, s.clicks, mostClicks)
	require.LessOrEqual(s.t, s.fields, mostFields)
}

// cleanEverywhere looks at a page on a desk in light and on a phone in the dark.
func (v *visitor) cleanEverywhere(where string) {
	v.t.Helper()
	v.clean(where)
	v.width(390, 844)
	v.looks(playwright.ColorSchemeDark)
	v.clean(where + " on a phone")
	v.looks(playwright.ColorSchemeLight)
	v.width(1440, 900)
}

// pictures shows a page to the documentation's readers, on a desk and on a phone.
func (v *visitor) pictures(name string) {
	v.t.Helper()
	v.shot(name)
	v.width(390, 760)
	v.shot(name + "-phone")
	v.width(1440, 900)
}

const (
	askAddress = "Where should the money go?"
	askProof   = "Is it yours?"
	askOffer   = "What do you want to sell?"
	askTry     = "Try it"
	firstPaid  = "Your first payment is there"
)

// settledTestSale makes sure that the chain moved the money, and not a page alone.
func (w *world) settledTestSale(t testing.TB, payee string) {
	t.Helper()
	var to, transaction string
	require.NoError(t, w.pool(t).QueryRow(t.Context(),
		`SELECT s.pay_to, s.transaction FROM settlements s JOIN sales ON sales.settlement_id = s.id WHERE NOT s.simulated`).Scan(&to, &transaction))
	require.True(t, strings.EqualFold(payee, to), to)
	require.Regexp(t, `^0x[0-9a-f]{64}$`, transaction)
}

func TestANewSellerIsPaidBeforeLong(t *testing.T) {
	t.Parallel()
	w, setUp := startEmptyWorld(t)
	key, err := crypto.GenerateKey()
	require.NoError(t, err)
	pocket := newWallet(key, w.ChainID)
	s := &newSeller{visitor: visit(t, w, desktop, pocket.in, noTestWallet).provokes(http.StatusNotFound)}
	axe(s.visitor)
	// away leaves the step, and comes back to it by the dashboard.
	away := func(heading string) {
		t.Helper()
		s.at(heading)
		s.cleanEverywhere(heading)
		s.open("/")
		s.sees(s.heading("Overview"))
		s.press(s.link("Go on with the set-up"))
		s.at(heading)
	}

	s.open(setUp)
	s.authenticated()
	s.fill("Name of your shop", "Kaffe Syd")
	s.fill("Your name", "Ada Holm")
	s.press(s.button("Create a passkey"))

	away(askAddress)
	s.fill("Your wallet address", pocket.address())
	s.says("The address is complete and typed correctly")
	s.says("It is a wallet, not a token")
	s.pictures("onboarding-address")
	s.press(s.button("Use this address"))

	away(askProof)
	s.press(s.button("Prove it with " + walletName))

	away(askOffer)
	s.press(s.button("Create link"))

	away(askTry)
	s.pictures("onboarding-try")
	beside := s.tab()
	beside.open("/onboarding/try")
	beside.sees(beside.heading(askTry))
	s.press(s.button("Pay 4.50 test"))
	s.at(firstPaid)
	s.cleanEverywhere(firstPaid)
	s.requireQuick()
	beside.sees(beside.heading(firstPaid)) // nobody reloaded it
	w.settledTestSale(t, pocket.address())

	s.visitor.press(s.link("Open the dashboard"))
	s.sees(s.heading("Ready for real money"))
	s.cleanEverywhere("the overview of a new shop")
	s.pictures("onboarding-checklist")
	s.says("4.50 USDC, 0x")
	s.open(setUp)
	s.sees(s.heading("We could not find that page"))
}

func TestANewSellerIsPaidWithoutScripts(t *testing.T) {
	t.Parallel()
	w, setUp := startEmptyWorld(t)
	key, err := crypto.GenerateKey()
	require.NoError(t, err)
	pocket := newWallet(key, w.ChainID)
	s := &newSeller{visitor: visit(t, w, without(phone)).provokes(http.StatusUnprocessableEntity)}
	// away leaves the step, and comes back to it by its address.
	away := func(heading string) {
		t.Helper()
		s.at(heading)
		s.open("/dashboard")
		s.open("/onboarding")
		s.at(heading)
	}

	s.open(setUp)
	s.fill("Name of your shop", "Kaffe Vest")
	s.fill("Your name", "Kai Berg")
	s.press(s.button("Get recovery codes instead"))
	s.press(s.link("Go on"))

	away(askAddress)
	s.fill("Your wallet address", pocket.address()[:41])
	s.press(s.button("Use this address"))
	s.says("An address is 0x and 40 figures")
	s.visitor.fill("Your wallet address", pocket.address())
	s.press(s.button("Use this address"))
	away(askProof)

	// The wallet's own step is the one that needs scripts.
	signer := &newSeller{visitor: s.withScripts(pocket)}
	signer.open("/onboarding/proof")
	signer.press(signer.button("Prove it with " + walletName))
	signer.at(askOffer)
	s.clicks += signer.clicks

	s.open("/onboarding")
	away(askOffer)
	s.press(s.button("Create link"))
	away(askTry)
	s.press(s.button("Pay 4.50 test"))
	s.at(firstPaid)
	s.requireQuick()
	w.settledTestSale(t, pocket.address())
}

// withScripts is the same person in a browser that runs scripts and has a wallet.
func (v *visitor) withScripts(pocket *wallet) *visitor {
	v.t.Helper()
	cookies, err := v.context.Cookies()
	require.NoError(v.t, err)
	other := visit(v.t, v.w, phone, pocket.in, noTestWallet)
	for _, c := range cookies {
		require.NoError(v.t, other.context.AddCookies([]playwright.OptionalCookie{c.ToOptionalCookie()}))
	}
	return other
}
