package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/playwright-community/playwright-go"
	"github.com/stretchr/testify/require"
)

// prover checks receipts in a folder of its own: with our program, and with the script of the documents, which knows
// nothing of us.
type prover struct {
	w    *world
	dir  string
	file string
}

func newProver(t *testing.T, w *world) prover {
	t.Helper()
	p := prover{w: w, dir: scratch(t)}
	p.file = filepath.Join(p.dir, "receipt.json")
	script, err := os.ReadFile("../docs/verify-receipt.mjs")
	require.NoError(t, err)
	require.LessOrEqual(t, strings.Count(string(script), "\n"), 40)
	require.NoError(t, os.Symlink(filepath.Join(npmFolder(t, "v2"), "node_modules"), filepath.Join(p.dir, "node_modules")))
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, "verify-receipt.mjs"), script, 0o600))
	return p
}

// prove asks both, which must agree.
func (p prover) prove(t testing.TB, receipt string) (said string, ok bool) {
	t.Helper()
	require.NoError(t, os.WriteFile(p.file, []byte(receipt), 0o600))
	ours, err := p.w.run("xsynesis", "receipt", "verify", p.file)
	node := exec.CommandContext(t.Context(), "node", "verify-receipt.mjs", "receipt.json")
	node.Dir, node.Env = p.dir, append(cleanEnv(), "RPC_URL="+p.w.RPCURL)
	theirs, nodeErr := node.CombinedOutput()
	require.Equal(t, err == nil, nodeErr == nil, "the two disagree:\n%s\n%s", ours, theirs)
	return ours + string(theirs), err == nil
}

// changedDigit raises the first digit of a member's value by one.
func changedDigit(t testing.TB, receipt, member string) string {
	t.Helper()
	at := regexp.MustCompile(`"` + member + `":\s*"?(0x)?[^",0-9]*[0-9]`).FindStringIndex(receipt)
	require.NotNil(t, at, "%s in %s", member, receipt)
	digit := receipt[at[1]-1]
	return receipt[:at[1]-1] + string('0'+(digit-'0'+1)%10) + receipt[at[1]:]
}

func TestReceiptsAreProvenFromTheChainAlone(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	p := newProver(t, w)
	l := w.newLink(t, "Beans “Fjord”, 250 g", "0.05")
	pocket := newWallet(w.buyer(t), w.ChainID)
	v := visit(t, w, phone, pocket.in)
	v.buys(l)
	v.sees(v.heading("Paid"))
	address, err := v.link("Download the proof of payment").GetAttribute("href")
	require.NoError(t, err)
	person := w.get(t, address)
	require.Equal(t, http.StatusOK, person.Status)
	require.Contains(t, person.Header.Get("Content-Disposition"), "attachment")
	require.Equal(t, http.StatusNotFound, w.get(t, strings.SplitN(address, "?", 2)[0]).Status, "it is the buyer's")
	program := w.runClient(t, 2, l.URL)
	require.Equal(t, http.StatusOK, program.Status, program.Body)

	said, ok := p.prove(t, person.Body)
	require.True(t, ok, said)
	require.Contains(t, said, "The cart is bound")
	require.Contains(t, said, "1 x Beans “Fjord”, 250 g")
	require.Contains(t, strings.ToLower(said), strings.ToLower(pocket.address()))
	said, ok = p.prove(t, program.Body)
	require.True(t, ok, said)
	require.Contains(t, said, "The cart is not bound")
	require.Contains(t, strings.ToLower(said), strings.ToLower(w.payTo(t)))

	for _, member := range []string{"payer", "pay_to", "amount", "nonce", "transaction", "cart_hash", "unit_amount"} {
		for name, receipt := range map[string]string{"person": person.Body, "program": program.Body} {
			said, ok := p.prove(t, changedDigit(t, receipt, member))
			require.False(t, ok, "%s, %s: %s", name, member, said)
		}
	}
	said, ok = p.prove(t, changedDigit(t, person.Body, "cart_salt"))
	require.False(t, ok, said)

	v.open("/verify")
	v.fill("Or its text", person.Body)
	v.press(v.button("Check the receipt"))
	v.sees(v.heading("This receipt is true"))
	v.says("1 × Beans “Fjord”, 250 g")
	v.says(pocket.address()[:6] + "…")
	require.NoError(t, v.Locator("#file").SetInputFiles([]playwright.InputFile{{Name: "receipt.json", MimeType: "application/json", Buffer: []byte(program.Body)}}))
	v.press(v.button("Check the receipt"))
	v.sees(v.heading("This payment is true"))
	v.says("the payment itself does not name it")
	v.fill("Or its text", changedDigit(t, person.Body, "amount"))
	v.press(v.button("Check the receipt"))
	v.sees(v.heading("This receipt is not true"))
	v.says("The cart is about another payment.")
	v.requireNoSidewaysScroll()
	v.provokes(http.StatusUnprocessableEntity)
	v.fill("Or its text", "hello")
	v.press(v.button("Check the receipt"))
	v.says("This is no receipt.")
}

// TestAPaidShortLinkLeadsItsBuyerOn pays with a wallet for the way to another site.
func TestAPaidShortLinkLeadsItsBuyerOn(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	const there = "https://guide.example/secret-chapter"
	var l link
	w.call(t, "/api/payment_links/create", map[string]any{"title": "City guide", "price": "0.05", "leads_to": there}, &l)
	pocket := newWallet(w.buyer(t), w.ChainID)
	v := visit(t, w, phone, pocket.in)
	v.open(l.URL)
	v.says("guide.example")
	page, err := v.Content()
	require.NoError(t, err)
	require.NotContains(t, page, "secret-chapter")
	v.buys(l)
	v.sees(v.heading("Paid"))
	address, err := v.link("Open guide.example").GetAttribute("href")
	require.NoError(t, err)
	onward := w.get(t, address)
	require.Equal(t, http.StatusSeeOther, onward.Status)
	require.Equal(t, there, onward.Header.Get("Location"))

	program := w.runClient(t, 2, l.URL)
	require.Equal(t, http.StatusOK, program.Status, program.Body)
	var paid struct {
		LeadsTo string `json:"leads_to"`
	}
	require.NoError(t, json.Unmarshal([]byte(program.Body), &paid))
	require.Equal(t, there, paid.LeadsTo)
	require.Contains(t, address, "/pay/"+v.attempt()+"/onward?k=")
}
