package views

import (
	"net/url"
	"strconv"
	"time"

	"xsynesis/id"
	"xsynesis/money"
)

// RefundsPath lists the money that went back.
const RefundsPath = "/dashboard/refunds"

// SalePath is one sale as its seller sees it, with all of its purchase.
func SalePath(sale id.Sale) string { return SalesPath + "/" + url.PathEscape(string(sale)) }

// RefundOfSalePath is the form that gives a sale back, with all of its purchase; posting to it does.
func RefundOfSalePath(sale id.Sale) string { return SalePath(sale) + "/refund" }

// RefundOfExceptionPath is the form that gives a payment back which somebody has to decide on; posting to it does.
func RefundOfExceptionPath(exception id.Exception) string {
	return ExceptionPath(exception) + "/refund"
}

// RefundPath is one refund.
func RefundPath(refund id.Refund) string { return RefundsPath + "/" + url.PathEscape(string(refund)) }

// RefundSentPath names the transaction in which the shop's own wallet gave it.
func RefundSentPath(refund id.Refund) string { return RefundPath(refund) + "/transaction" }

// RefundCancelPath calls it off.
func RefundCancelPath(refund id.Refund) string { return RefundPath(refund) + "/cancellation" }

// SaleView is a purchase that was paid, as its seller sees it.
//
// Shown by GET /dashboard/sales/{sale}. It posts nothing. Live: [LiveFragment].
type SaleView struct {
	DashboardView
	Sale           id.Sale
	Attempt        id.Attempt
	State          string // as on the pill
	Receipt        string
	Time           time.Time
	Amount         money.USDC // paid
	Back           money.USDC // of it, given back or on its way
	Fee            money.USDC // that the platform kept
	Channel        string
	Reference      string
	Payer          string
	Network        string
	Transaction    string
	TransactionURL string
	Simulated      bool
	Lines          []SaleLine
	Refunds        []RefundRow
	MayRefund      bool // something is left, and the person may give it back
}

// SaleLine is one thing that was sold.
type SaleLine struct {
	Title   string
	Qty     int
	Amount  money.USDC
	Back    money.USDC
	Revoked bool // its goods are the buyer's no more
}

// path is a sale's own page, or its purchase while it is under way.
func (r SaleRow) path() string {
	if r.Sale == "" {
		return purchasePath(r.Attempt)
	}
	return SalePath(r.Sale)
}

// RefundsView is the list of refunds.
//
// Shown by GET /dashboard/refunds. Live: [LiveFragment].
type RefundsView struct {
	DashboardView
	Rows  []RefundRow
	Pages Pages
}

// RefundRow is one refund in a list.
type RefundRow struct {
	Refund id.Refund
	Time   time.Time
	Title  string
	To     string
	Status string
	Waits  bool // for the shop's own wallet
	Amount money.USDC
}

// state is what the pill says of a refund.
func (r RefundRow) state() string { return refundState(r.Status, r.Waits) }

func refundState(status string, waits bool) string {
	switch {
	case waits:
		return "waiting"
	case status == "completed":
		return "refunded"
	case status == "failed":
		return status
	default:
		return "refunding"
	}
}

// RefundFormView asks what goes back.
//
// Shown by GET …/refund of a sale, or of a payment to decide on. It posts once, what (whole, lines or part), qty-<sale> for each
// line, amount, reason, restock, revoke and free_code to itself → 303 to the refund. What is refused comes back as this page
// with 422, and where nothing is left with 409.
type RefundFormView struct {
	DashboardView
	Sale      id.Sale
	Exception id.Exception
	Once      string // the same form sent twice is one refund
	Title     string
	Payer     string
	Left      money.USDC
	Collected bool // a worker sends it; else the shop's own wallet has to
	What      string
	Lines     []RefundFormLine // none for money that bought nothing
	Amount    Field
	Reason    Field
	Stock     bool   // there are pieces that may be put back
	Goods     bool   // there are goods that may be taken back
	Code      bool   // a code may be freed
	Over      string // why nothing is left to give back, instead of the form
	Restock   bool
	Revoke    bool
	FreeCode  bool
	Problem   string // of the whole form
}

// RefundFormLine is one line of the purchase, and how many pieces of it may go back.
type RefundFormLine struct {
	Sale  id.Sale
	Title string
	Left  money.USDC
	Most  int
	Qty   string // as it was typed
}

func (l RefundFormLine) field() string { return "qty-" + string(l.Sale) }

func (v RefundFormView) back() string {
	if v.Sale != "" {
		return SalePath(v.Sale)
	}
	return ExceptionPath(v.Exception)
}

func (v RefundFormView) action() string {
	if v.Sale != "" {
		return RefundOfSalePath(v.Sale)
	}
	return RefundOfExceptionPath(v.Exception)
}

// RefundView is one refund.
//
// Shown by GET /dashboard/refunds/{refund}. While it waits for the shop's own wallet it posts transaction to …/transaction and
// nothing to …/cancellation; both → 303 here, a refused transaction comes back as this page with 422. Live: [LiveFragment].
type RefundView struct {
	DashboardView
	RefundRow
	Attempt        id.Attempt
	Sale           id.Sale // any of what it gives back; empty for none
	Network        string
	Reason         string
	By             string
	Fee            money.USDC // what of it the platform gave
	Collected      bool
	Effects        []string // what else happens, in sentences
	Lines          []SaleLine
	Transaction    string
	TransactionURL string
	EndedAt        time.Time
	LastError      string
	Transfer       *RefundTransfer // what the shop's own wallet sends; nil where it has not to
	OnItsWay       bool            // the transaction that the shop's own wallet sent
	Named          Field           // the transaction, as it was typed
	MayRefund      bool
}

// RefundTransfer is a transaction for a wallet.
type RefundTransfer struct {
	ChainID uint64
	From    string
	Token   string
	Data    string
}

func (t RefundTransfer) chain() string { return strconv.FormatUint(t.ChainID, 10) }

func refundFrame(v DashboardView) Page {
	p := v.page()
	p.Scripts = append(p.Scripts, "js/refund.js")
	p.Styles = append(p.Styles, "css/items.css", "css/refund.css")
	return p
}

func qtyLabel(l RefundFormLine) string { return "Pieces of " + l.Title }

func mostOf(l RefundFormLine) string { return strconv.Itoa(l.Most) }

// PurchaseRefund is money that went back, as its buyer sees it.
type PurchaseRefund struct {
	Amount         money.USDC
	State          string // as on the pill
	Time           time.Time
	Reason         string
	Transaction    string
	TransactionURL string
}
