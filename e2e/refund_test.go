package e2e

import (
	"regexp"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

func TestAShopGivesBackWithOneSignatureOfItsOwnWallet(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	pocket := newWallet(w.neighbour(t), w.ChainID)
	pocket.rpc = w.RPCURL
	w.endow(t, common.HexToAddress(pocket.address()), 1) // for the network's fee
	var sale, attempt, payer string
	var units int64
	require.NoError(t, w.pool(t).QueryRow(t.Context(), `SELECT s.id, s.attempt_id, s.purchaser_address, s.amount FROM sales s JOIN merchants m ON m.id = s.merchant_id
		WHERE slug = 'halden-books' AND NOT simulated AND refunded = 0 AND s.amount > 1000000 ORDER BY s.created_at DESC LIMIT 1`).Scan(&sale, &attempt, &payer, &units))

	v := visit(t, w, desktop, pocket.in, axe)
	v.open("/login")
	v.press(v.button("Sign in as Ines Halden"))
	v.open("/dashboard/sales/" + sale)
	v.requireAccessible("a sale")
	v.press(v.link("Refund"))
	v.requireAccessible("what goes back")
	v.press(v.GetByText("A part"))
	v.fill("Amount", "1.00")
	v.fill("Why", "A page is missing.")
	v.press(v.button("Give back"))
	v.sees(v.heading("Send it from your wallet"))
	v.requireAccessible("what the shop's own wallet sends")
	forgot := v.tab() // it knows a transaction that the server does not
	forgot.open(v.URL())
	_, err := forgot.Evaluate("() => sessionStorage.setItem(`refund ${location.pathname}`, '0xabc')")
	require.NoError(t, err)
	forgot.reload()
	require.Equal(t, "0xabc", forgot.value("Its transaction"))
	v.press(v.GetByText(regexp.MustCompile(`^Send 1\.00\s*USDC$`)))
	v.sees(v.Locator(".pill").GetByText("Refunded"))
	forgot.sees(forgot.Locator(".pill").GetByText("Refunded"))

	var transaction string
	require.NoError(t, w.pool(t).QueryRow(t.Context(), `SELECT transaction FROM refunds WHERE attempt_id = $1`, attempt).Scan(&transaction))
	w.requireTransfer(t, transaction, pocket.address(), payer, 1_000_000)
	v.open("/dashboard/sales/" + sale)
	v.sees(v.Locator(".pill").GetByText("Part refunded"))
	buyer := visit(t, w, phone, axe)
	buyer.open("/pay/" + attempt)
	buyer.says("A page is missing.")
	buyer.requireAccessible("a receipt of which a part went back")
}
