package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"
	"github.com/stretchr/testify/require"
)

// hire gives somebody a PIN.
func (v *visitor) hire(name, pin string) {
	v.t.Helper()
	v.open("/dashboard/staff/cashiers/new")
	v.fill("Name", name)
	v.fill("PIN", pin)
	v.press(v.button("Add cashier"))
	v.sees(v.heading("Staff"))
}

// pairs makes a tablet of a new browser, which nobody has unlocked.
func (v *visitor) pairs(name string, before ...func(*visitor)) *visitor {
	v.t.Helper()
	v.open("/dashboard/staff/tills/new")
	v.fill("Name of the till", name)
	v.press(v.button("Show pairing code"))
	code, err := v.Locator("#pairing-code").InnerText()
	require.NoError(v.t, err)
	till := visit(v.t, v.w, tablet, before...)
	till.open("/pos")
	till.fill("Pairing code", code)
	till.press(till.button("Pair this tablet"))
	till.sees(till.heading("Who is at the till?"))
	return till
}

// unlocks signs a cashier in by PIN, key by key.
func (v *visitor) unlocks(name, pin string) {
	v.t.Helper()
	v.press(v.link(name + " Cashier"))
	for _, digit := range pin {
		v.press(v.Locator(fmt.Sprintf(`[data-key="%c"]`, digit)))
	}
	v.press(v.button("Unlock"))
	v.sees(v.heading("New sale"))
}

func (v *visitor) tile(item string) playwright.Locator {
	return v.Locator(fmt.Sprintf(`[data-tile="%s"]`, item))
}

// reads is what a phone's camera reads on the screen.
func (v *visitor) reads(code playwright.Locator) string {
	v.t.Helper()
	var picture []byte
	require.Eventually(v.t, func() bool { // a live page may be replacing it
		taken, err := code.Screenshot()
		picture = taken
		return err == nil
	}, 10*time.Second, 100*time.Millisecond, "it stays in no place")
	dir := scriptFolder(v.t, "receiver", "testdata/readqr.mjs")
	require.NoError(v.t, os.WriteFile(filepath.Join(dir, "code.png"), picture, 0o600))
	node := exec.CommandContext(v.t.Context(), "node", "readqr.mjs", "code.png")
	node.Dir, node.Env = dir, cleanEnv()
	out, err := node.CombinedOutput()
	require.NoError(v.t, err, string(out))
	return strings.TrimSpace(string(out))
}

// newItem puts something on the shelf.
func (w *world) newItem(t *testing.T, title, price string, stock int) (item string) {
	t.Helper()
	var made struct {
		ID string `json:"id"`
	}
	body := object{"title": title, "kind": "physical", "price": price}
	if stock > 0 {
		body["stock"] = stock
	}
	w.call(t, "/api/items/create", body, &made)
	require.NotEmpty(t, made.ID)
	return made.ID
}

func TestASaleAtTheTill(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	coffee, bun := w.newItem(t, "Flat coffee", "0.42", 0), w.newItem(t, "Cardamom knot", "0.34", 5)
	owner := signedIn(t, w, desktop)
	owner.hire("Kim", "4921")
	till := owner.pairs("Counter", axe)
	till.unlocks("Kim", "4921")
	till.clean("an empty register")
	till.press(till.tile(coffee))
	till.press(till.tile(coffee))
	till.press(till.tile(bun))
	till.sees(till.button("Charge 1.18"))
	till.clean("a register")
	till.press(till.button("Charge 1.18"))
	till.sees(till.heading("Waiting for the customer"))
	till.clean("a charge")
	address := till.reads(till.Locator(".charge-code .qr"))
	require.True(t, strings.HasPrefix(address, w.BaseURL+"/pay/pa_"), address)
	require.NotContains(t, address, "?", "it carries no buyer's token")

	pocket := newWallet(w.buyer(t), w.ChainID)
	guest := visit(t, w, phone, pocket.in, axe)
	guest.open(address)
	till.sees(till.heading("Customer opened it"))
	guest.clean("a till's purchase")
	guest.press(guest.button("10 %"))
	guest.sees(guest.button("Pay 1.29"))
	till.sees(till.Locator(".charge-facts").GetByText("1.29"))
	guest.press(guest.button("Pay 1.29"))
	guest.sees(guest.heading("Paid"))
	till.sees(till.heading("Paid"))
	till.clean("a paid sale")
	sales := w.sales(t, "payment_attempt_id", guest.attempt())
	require.Len(t, sales, 3, "two items and a tip")

	till.press(till.button("Next customer"))
	till.sees(till.heading("New sale"))
	till.open("/pos/sales")
	till.sees(till.Locator(".sale-name").GetByText("Flat coffee and 1 more"))
	till.clean("recent sales")
	till.width(390, 844)
	for _, path := range []string{"/pos", "/pos/sales"} {
		till.open(path)
		till.clean(path + " at 390")
	}
}

func TestTwoTillsInBrowsersChargeTheLastMuffin(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	owner := signedIn(t, w, desktop)
	owner.hire("Kim", "4921")
	owner.hire("Mia", "7305")
	mayRefuse := func(v *visitor) { v.provokes(409) }
	first, second := owner.pairs("Counter", mayRefuse), owner.pairs("Bar", mayRefuse)
	first.unlocks("Kim", "4921")
	second.unlocks("Mia", "7305")
	for round := range 3 {
		muffin := w.newItem(t, fmt.Sprintf("Muffin %d", round), "2.80", 1)
		tills := []*visitor{first, second}
		for _, till := range tills {
			till.sees(till.tile(muffin)) // by itself: items change live
			till.press(till.tile(muffin))
			till.sees(till.button("Charge 2.80"))
		}
		var ready, done sync.WaitGroup
		ready.Add(len(tills))
		for _, till := range tills {
			done.Go(func() {
				ready.Done()
				ready.Wait()
				_ = till.button("Charge 2.80").Click()
			})
		}
		done.Wait()
		answered := first.Locator(".charge-code .qr, .till-problem").First()
		first.sees(answered)
		second.sees(second.Locator(".charge-code .qr, .till-problem").First())
		won, err := first.Locator(".charge-code .qr").Count()
		require.NoError(t, err)
		winner, loser := first, second
		if won == 0 {
			winner, loser = second, first
		}
		winner.sees(winner.Locator(".charge-code .qr"))
		loser.says(fmt.Sprintf("Muffin %d: Sold out. Nothing was charged.", round))
		winner.press(winner.button("Cancel sale"))
		for _, till := range tills {
			till.press(till.Locator(`summary[aria-label="More for this sale"]`))
			till.press(till.button("Empty this sale"))
			till.sees(till.heading("New sale"))
		}
		w.call(t, "/api/items/archive", object{"id": muffin}, &object{})
	}
}
