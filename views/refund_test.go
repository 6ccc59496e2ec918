package views

import (
	"testing"

	"github.com/a-h/templ"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/id"
)

const (
	refundPayer  = "0x77e3c02Bf3D52e6c8B7a1E0F4d39C2b71A69c8D4"
	refundWallet = "0x52908400098527886E0F7030069857D2E4169EE7"
	refundHash   = "0x0f1e2d3c4b5a69780f1e2d3c4b5a69780f1e2d3c4b5a69780f1e2d3c4b5a6978"
)

// refundExamples are the pages of money that goes back.
func refundExamples(t *testing.T) map[string]templ.Component {
	t.Helper()
	waits, done, failed := refundExample(t), refundExample(t), refundExample(t)
	waits.Waits, waits.Status = true, "requested"
	waits.Transfer = &RefundTransfer{ChainID: 84532, From: refundWallet, Token: "0x036CbD53842c5426634e7929541eC2318f3dCF7e", Data: "0xa9059cbb"}
	sent := refundExample(t)
	sent.Waits, sent.Status, sent.Transaction, sent.OnItsWay = true, "sent", refundHash, true
	refused := waits
	refused.Named = Field{Value: "0x1", Problem: "Give the transaction's hash: 0x and 64 characters."}
	done.EndedAt, done.Transaction, done.TransactionURL, done.Fee = at(21, 9, 6, 2), refundHash, "https://sepolia.basescan.org/tx/"+refundHash, usdc(t, "0.09")
	failed.Status, failed.LastError, failed.MayRefund = "failed", "Called off by Ada Holm.", false
	form := refundFormExample(t)
	again := form
	again.What, again.Amount = "part", Field{Value: "99", Problem: "That is more than what is left."}
	again.Problem = "That is more than what is left of what was paid. Nothing was given back."
	over := form
	over.Left, over.Over = 0, "All of it went back already, or is on its way."
	return map[string]templ.Component{
		"sale":                  Sale(saleExample(t)),
		"sale_viewer":           Sale(watchedSaleExample(t)),
		"refunds":               Refunds(RefundsView{DashboardView: shell("Refunds", SectionSales), Rows: []RefundRow{waits.RefundRow, done.RefundRow, failed.RefundRow}}),
		"refunds_none":          Refunds(RefundsView{DashboardView: shell("Refunds", SectionSales)}),
		"refund_form":           RefundForm(form),
		"refund_form_refused":   RefundForm(again),
		"refund_form_over":      RefundForm(over),
		"refund_form_exception": RefundForm(unexplainedFormExample(t)),
		"refund_waits":          RefundPage(waits),
		"refund_waits_refused":  RefundPage(refused),
		"refund_on_its_way":     RefundPage(sent),
		"refund_done":           RefundPage(done),
		"refund_failed":         RefundPage(failed),
	}
}

func saleExample(t *testing.T) SaleView {
	t.Helper()
	return SaleView{
		DashboardView: shell("Beans and 1 more", SectionSales), Sale: "sal_1", Attempt: "pa_1CbVxLwM7Qe2RtYu8PzKsd", State: "part_refunded", Receipt: "zKsd-12",
		Time: at(20, 18, 2, 30), Amount: usdc(t, "20.00"), Back: usdc(t, "6.00"), Fee: usdc(t, "0.30"), Channel: "Link", Reference: "Table 4",
		Payer: refundPayer, Network: "Base Sepolia", Transaction: refundHash, MayRefund: true,
		Lines: []SaleLine{
			{Title: "Beans", Qty: 2, Amount: usdc(t, "18.00"), Back: usdc(t, "6.00")}, {Title: "Guide", Qty: 1, Amount: usdc(t, "4.00"), Revoked: true},
			{Title: "Discount", Qty: 1, Amount: -usdc(t, "2.00")},
		},
		Refunds: []RefundRow{refundExample(t).RefundRow},
	}
}

func watchedSaleExample(t *testing.T) SaleView {
	t.Helper()
	v := saleExample(t)
	v.State, v.Back, v.Refunds, v.MayRefund, v.Barred = "settled", 0, nil, false, []access.Permission{access.GiveRefunds}
	return v
}

func refundExample(t *testing.T) RefundView {
	t.Helper()
	return RefundView{
		DashboardView: shell("Refund of Beans and 1 more", SectionSales),
		RefundRow: RefundRow{
			Refund: "rfd_1CbVxLwM7Qe2RtYu8PzKsd", Time: at(21, 9, 5, 0), Title: "Beans and 1 more", To: refundPayer, Status: "completed", Amount: usdc(t, "6.00"),
		},
		Attempt: "pa_1CbVxLwM7Qe2RtYu8PzKsd", Sale: "sal_1", Network: "Base Sepolia", Reason: "Stale.", By: "Ada Holm", MayRefund: true,
		Effects: []string{"The pieces go back on the shelf."}, Lines: []SaleLine{{Title: "Beans", Qty: 1, Amount: usdc(t, "6.00")}},
	}
}

func refundFormExample(t *testing.T) RefundFormView {
	t.Helper()
	return RefundFormView{
		DashboardView: shell("Refund", SectionSales), Sale: "sal_1", Once: "7yGm2QwErTzUiPaSdFgHjK", Title: "Beans and 1 more", Payer: refundPayer,
		Left: usdc(t, "14.00"), What: "whole", Amount: Field{Value: "14.00"}, Stock: true, Goods: true, Code: true, Restock: true,
		Lines: []RefundFormLine{{Sale: "sal_1", Title: "Beans", Left: usdc(t, "10.36"), Most: 1, Qty: "1"}, {Sale: "sal_2", Title: "Guide", Left: usdc(t, "3.64"), Most: 1, Qty: "1"}},
	}
}

func unexplainedFormExample(t *testing.T) RefundFormView {
	t.Helper()
	return RefundFormView{
		DashboardView: shell("Refund", SectionSales), Exception: id.Exception("exc_1"), Once: "7yGm2QwErTzUiPaSdFgHjK", Title: "Money that bought nothing",
		Payer: refundPayer, Left: usdc(t, "1.50"), Collected: true, What: "whole",
	}
}

func TestThePagesOfRefunds(t *testing.T) {
	t.Parallel()
	for name, page := range refundExamples(t) {
		golden(t, name, page)
	}
}

func TestARefundThatIsOverSendsNothing(t *testing.T) {
	t.Parallel()
	v := refundExample(t)
	require.Zero(t, parse(t, RefundPage(v)).Find("#refund-sending").Length())
	v.Transfer = &RefundTransfer{ChainID: 1, From: refundWallet}
	require.Equal(t, 1, parse(t, RefundPage(v)).Find("#refund-sending").Length())
	v.MayRefund = false
	require.Zero(t, parse(t, RefundPage(v)).Find("#refund-sending").Length(), "somebody who may only look")
}

func TestAWalletThatSentIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	v := refundExample(t)
	v.OnItsWay, v.Status = true, "sent"
	page := parse(t, RefundPage(v))
	require.Zero(t, page.Find("[data-send-refund]").Length())
	require.Equal(t, 1, page.Find("[name=transaction]").Length(), "it may have sent it in another transaction")
}

func TestWhereNothingIsLeftNothingIsAsked(t *testing.T) {
	t.Parallel()
	v := refundFormExample(t)
	require.Equal(t, 1, parse(t, RefundForm(v)).Find("form.refund-form").Length())
	v.Left, v.Over = 0, "All of it went back already, or is on its way."
	page := parse(t, RefundForm(v))
	require.Zero(t, page.Find("form.refund-form").Length())
	require.Contains(t, page.Find("main").Text(), v.Over)
	require.NotContains(t, page.Find("main").Text(), "0.00")
}

func TestABuyerSeesWhatWentBack(t *testing.T) {
	t.Parallel()
	text := parse(t, refundsOfPurchase([]PurchaseRefund{{Amount: usdc(t, "6.00"), State: "refunded", Reason: "Stale.", Transaction: refundHash}})).Text()
	for _, said := range []string{"Refunded", "−6.00", "Stale.", refundHash} {
		require.Contains(t, text, said)
	}
}
