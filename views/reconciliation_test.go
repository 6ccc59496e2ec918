package views

import (
	"testing"

	"github.com/a-h/templ"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
)

func TestPagesOfReconciliation(t *testing.T) {
	t.Parallel()
	decided := reconciliationExample(t)
	decided.Decided, decided.Waiting = true, nil
	decided.Rows[0].Resolution, decided.Rows[1].Resolution = "attached", "ignored"
	over := exceptionExample(t)
	over.Resolution, over.Decided, over.By, over.Because = "ignored", at(21, 15, 2, 0), "Ada Byron", "A tip, she said."
	over.MayAttach, over.MayIgnore, over.MayRefund, over.Meant = false, false, false, nil
	refused := exceptionExample(t)
	refused.Purchase = Field{Value: "pa_x", Problem: "There is no such purchase."}
	late := exceptionExample(t)
	late.Kind, late.Title, late.Attempt, late.MayAttach, late.MayIgnore, late.MayAccept, late.Meant = "late_sold_out", "The last muffin", "pa_1", false, false, true, nil
	for name, page := range map[string]templ.Component{
		"reconciliation":         Reconciliation(reconciliationExample(t)),
		"reconciliation_new":     Reconciliation(ReconciliationView{DashboardView: shell("Reconciliation", SectionReconciliation), MayDecide: true}),
		"reconciliation_decided": Reconciliation(decided),
		"exception":              Exception(exceptionExample(t)),
		"exception_refused":      Exception(refused),
		"exception_late":         Exception(late),
		"exception_over":         Exception(over),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, name, page)
			doc := parse(t, page)
			require.Zero(t, doc.Find("[style], style").Length(), "inline styles are refused by the security policy")
			require.Zero(t, doc.Find("script:not([src])").Length(), "inline scripts are refused by the security policy")
			require.Zero(t, doc.Find(`path[d=""]`).Length(), "a drawing is missing")
			require.Equal(t, 1, doc.Find("h1").Length(), "one heading tells what the page is")
			require.LessOrEqual(t, doc.Find(".btn.primary").Length(), 1, "one thing is the first to do")
			require.NotContains(t, markup(t, page), "0001-01-01", "a moment that never was")
		})
	}
}

func TestWhoMayNotDecideSeesNoForms(t *testing.T) {
	t.Parallel()
	v := reconciliationExample(t)
	v.MayDecide = false
	require.Zero(t, parse(t, Reconciliation(v)).Find("#main form, main form").Length())
	one := exceptionExample(t)
	one.MayAttach, one.MayIgnore, one.MayRefund = false, false, false
	one.Barred = []access.Permission{access.ExplainMoney}
	require.Zero(t, parse(t, Exception(one)).Find("main form").Length())
}

func reconciliationExample(t *testing.T) ReconciliationView {
	t.Helper()
	return ReconciliationView{
		DashboardView: shell("Reconciliation", SectionReconciliation), MayDecide: true,
		Compared: []ComparedRow{
			{Network: "Base Sepolia", Matched: 1204, Amount: usdc(t, "8412.50"), From: 31_202_118, To: 31_204_118, Time: at(21, 14, 32, 9), Ago: "12 min"},
			{Network: "Base Goerli", Failed: true},
		},
		Waiting: []WaitingRow{{Kind: "missing", Count: 1, Amount: usdc(t, "12"), Age: "12 min"}, {Kind: "unmatched", Count: 2, Amount: usdc(t, "7.25"), Age: "2 days"}},
		Rows: []ExceptionRow{
			{Exception: "exc_2", Kind: "unmatched", Time: at(21, 14, 32, 9), Age: "2 days", Payer: "0x12c4A0b3f8D7e6C5b4A39281706f5E4d3C2b9aB0", Amount: usdc(t, "3.40")},
			{Exception: "exc_1", Kind: "late_sold_out", Time: at(20, 9, 2, 9), Age: "3 days", Title: "The last muffin", Attempt: "pa_1", Payer: "0x12c4A0b3f8D7e6C5b4A39281706f5E4d3C2b9aB0", Amount: usdc(t, "3.40")},
		},
	}
}

func exceptionExample(t *testing.T) ExceptionView {
	t.Helper()
	return ExceptionView{
		DashboardView: shell("Payment to decide on", SectionReconciliation), ExceptionRow: reconciliationExample(t).Rows[0],
		Network: "Base Sepolia", PayTo: "0x7A3f000000000000000000000000000000091Bc0", Transaction: "0x0f1e2d3c4b5a69780f1e2d3c4b5a69780f1e2d3c4b5a69780f1e2d3c4b5a6978",
		TransactionURL: "https://sepolia.basescan.org/tx/0x0f1e", MayAttach: true, MayIgnore: true, MayRefund: true,
		Meant: []MeantRow{{Attempt: "pa_1ChHQgZvF7Y4JLiQa34ooR", Title: "Flat white", Amount: usdc(t, "3.40"), State: "expired", Time: at(21, 14, 20, 0)}},
	}
}
