package views

import (
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
)

const (
	keptAt  = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
	paidAt  = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
	paidIn  = "0x0f1e2d3c4b5a69780f1e2d3c4b5a69780f1e2d3c4b5a69780f1e2d3c4b5a6978"
	network = "eip155:84532"
)

func TestPagesOfMoneyThatIsKept(t *testing.T) {
	t.Parallel()
	for name, page := range balanceExamples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, name, page)
		})
	}
}

func balanceExamples(t *testing.T) map[string]templ.Component {
	t.Helper()
	kept := BalanceRow{
		ID: network, Name: "Base Sepolia", Collects: true, Kept: true, Available: usdc(t, "1842.35"), Pending: usdc(t, "12.50"), InPayout: usdc(t, "200"),
		InRefund: usdc(t, "3"), Fees: usdc(t, "41.02"), Deposited: usdc(t, "2086.37"), Address: keptAt, Explorer: "https://sepolia.basescan.org/address/" + keptAt,
		OnChain: usdc(t, "2086.37"), Block: 48211,
	}
	drifting, silent := kept, kept
	drifting.Drift = -1
	silent.Block, silent.Explorer = 0, ""
	direct := BalanceRow{ID: "eip155:8453", Name: "Base", Received: usdc(t, "300"), Address: paidAt, OnChain: usdc(t, "120"), Block: 7}
	payout := PayoutRow{Payout: "pay_1CbVxLwM7Qe2RtYu8PzKsd", Time: at(21, 9, 0, 0), Destination: paidAt, Status: "completed", Amount: usdc(t, "200")}
	failed := payout
	failed.Payout, failed.Status = "pay_1CbVxLwM7Qe2RtYu8PzKse", "failed"
	destinations := []DestinationRow{{network, "Base Sepolia", paidAt, at(21, 9, 0, 0), false}, {Network: network, NetworkName: "Base Sepolia", Address: keptAt, Own: true}}
	payouts := PayoutsView{
		DashboardView: shell("Payouts", SectionBalance), Rows: []PayoutRow{payout, failed}, Destinations: destinations,
		Networks: []Option{{network, "Base Sepolia"}}, Limit: Field{Value: "1000"}, MayPayOut: true, Kept: true, Pages: Pages{Older: "?before=pay_1"},
	}
	halted := payouts
	halted.Strays = []StrayRow{{network, "0x01", paidIn, paidAt, usdc(t, "4")}}
	halted.Networks = append(halted.Networks, Option{"eip155:8453", "Base"})
	halted.Address = Field{"0x12", "An address is 0x and 40 figures and letters from a to f. Copy it from your wallet."}
	watched := payouts
	watched.MayPayOut, watched.Rows, watched.Kept = false, nil, false
	form := PayoutFormView{
		DashboardView: shell("Pay out", SectionBalance), Network: network, NetworkName: "Base Sepolia", Available: usdc(t, "1842.35"), Destinations: destinations[1:], Once: "once",
	}
	refused := form
	refused.Amount, refused.Problem = Field{"2000", "Give less."}, "That is more than is available. Nothing was taken."
	one := PayoutView{
		DashboardView: shell("Payout", SectionBalance), PayoutRow: payout, Network: "Base Sepolia", Transaction: paidIn, TransactionURL: "https://sepolia.basescan.org/tx/" + paidIn,
		Block: 48211, Who: "Ada Holm", From: "192.0.2.7", Arrived: at(21, 9, 0, 4),
	}
	back := one
	back.PayoutRow, back.Transaction, back.LastError, back.Block = failed, "", "USDC does not pay this address.", 0
	back.Arrived = time.Time{}
	return map[string]templ.Component{
		"balance":         Balance(BalanceView{DashboardView: shell("Balance", SectionBalance), Rows: []BalanceRow{kept, direct}, MayPayOut: true}),
		"balance_drift":   Balance(BalanceView{DashboardView: shell("Balance", SectionBalance), Rows: []BalanceRow{drifting, silent}}),
		"balance_none":    Balance(BalanceView{DashboardView: shell("Balance", SectionBalance)}),
		"custody":         Custody(CustodyView{DashboardView: shell("Who keeps the money", SectionBalance), MayChange: true, Rows: []CustodyRow{{network, "Base Sepolia", true, paidAt, keptAt}, {ID: "eip155:8453", Name: "Base", Own: paidAt}}}),
		"custody_refused": Custody(CustodyView{DashboardView: shell("Who keeps the money", SectionBalance), Problem: "No address is ready to keep your money at. Try again in a minute."}),
		"ledger": Ledger(LedgerView{DashboardView: shell("Available", SectionBalance), Account: "available", Network: "Base Sepolia", Pages: Pages{Older: "?before=pst_1"}, Rows: []LedgerRow{
			{Time: at(21, 9, 0, 0), What: "Payout begun", Source: "pay_1CbVxLwM7Qe2RtYu8PzKsd", Transaction: paidIn, TransactionURL: "https://sepolia.basescan.org/tx/" + paidIn, Amount: -usdc(t, "200")},
			{Time: at(21, 8, 0, 0), What: "Network fee", Source: "stl_1CbVxLwM7Qe2RtYu8PzKsd", Text: "0.0000011 ETH"},
		}}),
		"ledger_none":    Ledger(LedgerView{DashboardView: shell("Available", SectionBalance), Network: "Base Sepolia"}),
		"payouts":        Payouts(payouts),
		"payouts_halted": Payouts(halted),
		"payouts_none":   Payouts(watched),
		"payout_form":    PayoutForm(form),
		"payout_refused": PayoutForm(refused),
		"payout":         Payout(one),
		"payout_failed":  Payout(back),
	}
}

func TestNumbersOfTheBalanceLeadToTheirEntries(t *testing.T) {
	t.Parallel()
	row := BalanceRow{ID: network, Kept: true, Collects: true}
	page := render(t, Balance(BalanceView{DashboardView: shell("Balance", SectionBalance), Rows: []BalanceRow{row}}))
	for _, account := range []string{"available", "payouts", "refunds", "exceptions", "fees", "deposit"} {
		require.Contains(t, page, "account="+account, account)
		require.NotEmpty(t, AccountWord(account))
	}
	require.Empty(t, AccountWord("sales"))
	viewer := shell("Payout", SectionBalance)
	viewer.Barred = []access.Permission{access.SeeAudit}
	require.NotContains(t, render(t, Payout(PayoutView{DashboardView: viewer, From: "192.0.2.7"})), "192.0.2.7")
}
