package views

import (
	"testing"

	"github.com/a-h/templ"
	"github.com/stretchr/testify/require"
)

func TestAdminPages(t *testing.T) {
	t.Parallel()
	pages := map[string]templ.Component{
		"sign_in":         OperatorSignIn(OperatorSignInView{Test: true}),
		"sign_in_refused": OperatorSignIn(OperatorSignInView{Problem: "That is not the operator's token."}),
		"sign_in_seller":  OperatorSignIn(OperatorSignInView{Seller: true}),
		"sign_in_shut":    OperatorSignIn(OperatorSignInView{Shut: true}),
		"well":            Admin(adminExample()),
		"trouble":         Admin(troubleExample(t)),
	}
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, "admin_"+name, page)
			html := render(t, page)
			require.NotContains(t, html, " style=")
			require.NotContains(t, html, "<script>")
		})
	}
}

func TestAdminFragmentIsThePageWithoutItsFrame(t *testing.T) {
	t.Parallel()
	fragment := render(t, Admin(adminExample()), LiveFragment)
	require.Contains(t, fragment, `<div id="live"`)
	require.NotContains(t, fragment, "<html")
	require.NotContains(t, fragment, "Sign out")
}

func adminExample() AdminView {
	open, settling, unknown := int64(14), int64(2), int64(0)
	return AdminView{
		Test: true, At: at(21, 14, 32, 9),
		Findings: []Finding{
			{Subject: "payments", Sentence: "Payments reach their end as they should."},
			{Subject: "gas", Sentence: "There is gas money on every network."},
			{Subject: "chains", Sentence: "Every chain answers, and its newest block is young."},
			{Subject: "queues", Sentence: "No job waits longer than it should."},
			{Subject: "webhooks", Sentence: "Messages to merchants' servers leave on time."},
			{Subject: "processes", Sentence: "Every queue has a process that works it."},
		},
		Payments: []StateCount{
			{"open", 20, &open}, {"settling", 2, &settling}, {"unknown", 0, &unknown}, {"settled", 1204, nil}, {"expired", 31, nil},
		},
		Settled: SettledFacts{Count: 10_412, Half: "2 s", Most: "3 s"},
		Relayers: []RelayerRow{{
			Network: "Base Sepolia", Address: "0x90F79bf6EB2c4f870365E785982E1f101E93b906", Gas: "0.412000 ETH", Settlements: 51_000, Seen: "3 s ago",
		}},
		Chains: []ChainRow{{Name: "Base Sepolia", Answers: true, Head: 31_204_118, Age: "1 s", Took: "12 ms"}},
		Queues: []QueueRow{{Name: "chain"}, {Name: "settle", Waiting: 1, Running: 2}, {Name: "webhook", Waiting: 3, Running: 16, Retrying: 40, Age: "250 ms"}},
		Deliveries: DeliveryFacts{Pending: 59, Oldest: "28 min", Tries: []TryCount{
			{"failed", "timeout", 12}, {"started", "", 2}, {"succeeded", "", 2410},
		}},
		Processes: []ProcessRow{
			{Role: "web", Host: "shop-1", Version: "8f2c11aa09d1", Alive: true, Since: "3 days", Seen: "4 s"},
			{Role: "webhook-dispatcher", Host: "shop-1", Version: "8f2c11aa09d1", Queues: "webhook, webhook_slow", Alive: true, Since: "3 days", Seen: "2 s"},
			{Role: "worker", Host: "shop-1", Version: "8f2c11aa09d1", Queues: "chain, maint, settle", Alive: true, Since: "3 days", Seen: "7 s"},
		},
	}
}

func troubleExample(t *testing.T) AdminView {
	t.Helper()
	v := adminExample()
	v.Findings[0] = Finding{"payments", 2, "The oldest payment has been on its way for 6 min.", "Look at the chain and the gas money below, and whether a worker runs."}
	v.Findings[1] = Finding{"gas", 1, "The gas money on Base Sepolia is enough for 120 payments.", "Send gas money to the address below before fewer than 20 are left: then payments are refused."}
	v.Settled = SettledFacts{}
	qr, err := NewQR("ethereum:0x90F79bf6EB2c4f870365E785982E1f101E93b906@84532")
	require.NoError(t, err)
	v.Relayers[0].Gas, v.Relayers[0].Settlements, v.Relayers[0].Low, v.Relayers[0].QR = "0.000960 ETH", 120, true, qr
	v.Chains[0] = ChainRow{Name: "Base Sepolia"}
	v.Deliveries.Overdue = "4 min"
	v.Findings = append(v.Findings, Finding{"facilitators", 1, "cdp does not answer.", "Payments go to the next one in FACILITATOR_URL, or wait. Nothing is lost."})
	v.Facilitators = []FacilitatorRow{
		{Name: "cdp", Network: "Base Sepolia", Answered: "12 min ago", Asked: 204, Failed: 31, Half: "2.1 s", Most: "9 s"},
		{Name: "facilitator.example", Network: "Base Sepolia", Answered: "4 s ago"},
	}
	v.Callbacks = []CallbackRow{{Ago: "3 min", Times: 2, Settlement: "stl_1ChJ5fWnfcVWG99MetSqrT", Outcome: "contradicts: it is paid"}, {Ago: "1 hour", Times: 1}}
	v.Processes[2].Alive, v.Processes[2].Seen = false, "6 min"
	v.Findings = append(v.Findings, Finding{"books", 2, "Payments in the books are not on the chain as the books have them: 1 (missing).", "Their shops see them under Reconciliation."})
	v.Compared = []BooksRow{{Network: "Base Sepolia", Ago: "12 min", Matched: 1204, Found: 1, Differing: 1}, {Network: "Base"}}
	v.Undecided = []UndecidedRow{{Kind: "missing", Count: 1, Oldest: "12 min"}, {Kind: "unmatched", Count: 3, Oldest: "2 days"}}
	return v
}
