package views

import (
	"net/url"
	"time"

	"xsynesis/id"
	"xsynesis/money"
)

// Where a shop sees whether its books are what the chain says, and decides on what is not.
const (
	ReconciliationPath     = "/dashboard/reconciliation"
	ReconciliationCSVPath  = "/dashboard/reconciliation.csv"
	ReconciliationRunsPath = ReconciliationPath + "/runs" // has the books compared at once
	// ExceptionsPath is where what is to be decided stood before.
	ExceptionsPath = OrdersPath + "/late"
)

// SectionReconciliation is the navigation's row of these pages.
const SectionReconciliation Section = "reconciliation"

// ExceptionPath is one thing to decide on.
func ExceptionPath(exception id.Exception) string {
	return ReconciliationPath + "/" + url.PathEscape(string(exception))
}

// ExceptionAttachPath makes it the payment of a purchase; it takes the field "attempt".
func ExceptionAttachPath(exception id.Exception) string {
	return ExceptionPath(exception) + "/attachment"
}

// ExceptionIgnorePath leaves it at that; it takes the field "reason".
func ExceptionIgnorePath(exception id.Exception) string {
	return ExceptionPath(exception) + "/dismissal"
}

// ExceptionAcceptPath notes that the goods were found after all.
func ExceptionAcceptPath(exception id.Exception) string {
	return ExceptionPath(exception) + "/acceptance"
}

// ReconciliationView is how the books compare with the chains, and what a shop has to decide on.
//
// Shown by GET /dashboard/reconciliation, with decided=1 for what is decided. It posts nothing to …/runs, which → 303 here.
// Live: [LiveFragment].
type ReconciliationView struct {
	DashboardView
	Decided   bool
	Compared  []ComparedRow
	Waiting   []WaitingRow
	Rows      []ExceptionRow
	Pages     Pages
	MayDecide bool
}

// ComparedRow is how the books were last held against one chain.
type ComparedRow struct {
	Network string
	Matched int64
	Amount  money.USDC
	From    int64 // block
	To      int64
	Time    time.Time // when it ended; zero: it is under way
	Ago     string
	Failed  bool
}

// WaitingRow is how much of one kind waits for a decision.
type WaitingRow struct {
	Kind   string
	Count  int64
	Amount money.USDC
	Age    string // of the oldest
}

// ExceptionRow is one thing to decide on, or that was decided.
type ExceptionRow struct {
	Exception  id.Exception
	Kind       string
	Time       time.Time // when it came, or was noticed
	Age        string
	Title      string     // of the purchase that it came for; empty where nobody knows
	Attempt    id.Attempt // likewise
	Payer      string
	Amount     money.USDC
	Resolution string // empty: nobody has decided
}

// ExceptionView is one of them.
//
// Shown by GET /dashboard/reconciliation/{exception}. It posts attempt to …/attachment, reason to …/dismissal, and nothing to
// …/acceptance; all → 303 here. What was refused comes back as this page with 422. Live: [LiveFragment].
type ExceptionView struct {
	DashboardView
	ExceptionRow
	Network        string
	PayTo          string
	Transaction    string
	TransactionURL string
	Decided        time.Time
	By             string
	Because        string
	Meant          []MeantRow
	Purchase       Field
	Reason         Field
	MayAttach      bool
	MayAccept      bool
	MayIgnore      bool
	MayRefund      bool
}

// MeantRow is an unpaid purchase that money may have come for.
type MeantRow struct {
	Attempt id.Attempt
	Title   string
	Amount  money.USDC
	State   string
	Time    time.Time
}

// explained is what a kind of exception is called, and what it means, in a sentence.
type explained struct{ word, glyph, tone, sentence string }

var exceptionKinds = map[string]explained{
	"late_sold_out": {"Paid late", "settled_late", ToneWarn, "This money came after its purchase had ended, and what it bought was sold to others by then. Find the goods, or give the money back."},
	"late_declined": {"Paid late", "settled_late", ToneWarn, "This money came late, and the till did not keep it. Give it back."},
	"unmatched":     {"Not explained", "unknown", ToneWarn, "This money came to your address, and no purchase explains it. Say which purchase it is for, give it back, or keep it."},
	"underpaid":     {"Underpaid", "underpaid", ToneWarn, "This money came for a purchase that costs more. Take it as the payment all the same, or give it back."},
	"overpaid":      {"Overpaid", "overpaid", ToneWarn, "More came than the purchase costs. Give it back, or keep it."},
	"paid_twice":    {"Paid twice", "paid_after_cancel", ToneBad, "This purchase was paid already, and this came besides. Give it back."},
	"missing":       {"Not on the chain", "failed", ToneBad, "Your books have this payment, and no block of the network holds it. Do not send what was bought before somebody has looked."},
	"mismatch":      {"Differs", "unknown", ToneBad, "Your books and the network do not say the same about this payment. Somebody has to look."},
}

func kindOf(kind string) explained {
	if e, ok := exceptionKinds[kind]; ok {
		return e
	}
	return explained{word: kind, glyph: "unknown", tone: ToneWarn}
}

// resolutions are what was decided.
var resolutions = map[string]string{
	"accepted": "Goods found", "attached": "Attached to a purchase", "refunded": "Given back", "returned": "Given back", "ignored": "Left as it is",
	"matched": "Agrees again", "reversed": "Taken back by the network",
}

func resolutionWord(resolution string) string {
	if word, ok := resolutions[resolution]; ok {
		return word
	}
	return resolution
}

// named is what a row is called.
func (r ExceptionRow) named() string {
	if r.Title == "" {
		return "No purchase"
	}
	return r.Title
}

// reconciliationFrame is the frame of these pages.
func reconciliationFrame(v DashboardView) Page {
	p := v.page()
	p.Styles = append(p.Styles, "css/items.css", "css/reconciliation.css")
	return p
}
