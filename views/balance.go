package views

import (
	"net/url"
	"strconv"
	"time"

	"xsynesis/id"
	"xsynesis/money"
)

// Money that is kept for a shop.
const (
	SectionBalance Section = "balance"

	BalancePath             = "/dashboard/balance"
	CustodyPath             = BalancePath + "/custody"
	LedgerPath              = "/dashboard/ledger"
	LedgerCSVPath           = LedgerPath + "/journal.csv"
	PayoutsPath             = "/dashboard/payouts"
	PayoutNewPath           = PayoutsPath + "/new"
	PayoutLimitPath         = PayoutsPath + "/limit"
	PayoutEntryPath         = PayoutsPath + "/entries"
	PayoutAddressesPath     = PayoutsPath + "/addresses"
	PayoutAddressRemovePath = PayoutAddressesPath + "/removal"
)

// PayoutPath is one payout.
func PayoutPath(payout id.Payout) string { return PayoutsPath + "/" + url.PathEscape(string(payout)) }

// EntriesPath lists what moved one account.
func EntriesPath(account, network string) string {
	return LedgerPath + "?" + url.Values{"account": {account}, "network": {network}}.Encode()
}

// BalanceView is how a shop's money stands.
//
// Shown by GET /dashboard/balance. It posts nothing. Live: [LiveFragment].
type BalanceView struct {
	DashboardView
	Rows      []BalanceRow
	MayPayOut bool
}

// BalanceRow is how it stands on one network.
type BalanceRow struct {
	ID, Name  string
	Collects  bool       // buyers pay to an address that is kept for the shop
	Kept      bool       // something is kept, or was
	Available money.USDC // owed to the shop
	Pending   money.USDC // being paid to it
	InPayout  money.USDC // on its way to it
	InRefund  money.USDC // on its way to buyers
	Open      money.USDC // without an explanation
	Fees      money.USDC // the platform's
	Deposited money.USDC // what the books say lies there
	Received  money.USDC // by the shop's own address
	Drift     money.USDC // what lies there beyond the books
	Address   string     // that buyers pay now; empty for none
	Explorer  string     // of the address
	OnChain   money.USDC
	Block     uint64 // 0: the network did not answer
}

// DriftRow is a network on which the books and what lies at the address that is kept for the shop differ.
type DriftRow struct {
	Network string
	Amount  money.USDC // beyond the books
}

// text says how far the network is from the books.
func (r DriftRow) text() string {
	amount, more := r.Amount, " more"
	if amount < 0 {
		amount, more = -amount, " less"
	}
	return r.Network + " shows " + AmountUSDC(amount) + more + " than the books at the address that is kept for you. Whoever runs this gateway has to look at it."
}

// BalanceFigure is one number, and the account whose entries it is.
type BalanceFigure struct {
	Name    string
	Account string
	Amount  money.USDC
}

// figures are the numbers beside what is available.
func (r BalanceRow) figures() []BalanceFigure {
	var out []BalanceFigure
	if r.Kept {
		out = append(out,
			BalanceFigure{"On its way to you", "payouts", r.InPayout},
			BalanceFigure{"On its way to buyers", "refunds", r.InRefund},
			BalanceFigure{"Not explained yet", "exceptions", r.Open},
			BalanceFigure{"Platform fee", "fees", r.Fees},
			BalanceFigure{"By the books", "deposit", r.Deposited})
	}
	if !r.Kept || r.Received != 0 {
		out = append(out, BalanceFigure{"To your own address", "wallet", r.Received})
	}
	return out
}

// CustodyView asks who keeps a shop's money.
//
// Shown by GET /dashboard/balance/custody. Form: POST there, with network and collects.
type CustodyView struct {
	DashboardView
	Rows      []CustodyRow
	MayChange bool
	Problem   string
}

// CustodyRow is who keeps it on one network.
type CustodyRow struct {
	ID, Name string
	Collects bool
	Own      string
	Deposit  string // empty where none was ever given to the shop
}

// LedgerView is what moved one account.
//
// Shown by GET /dashboard/ledger. It posts nothing.
type LedgerView struct {
	DashboardView
	Account string
	Network string
	Rows    []LedgerRow
	Pages   Pages
}

// LedgerRow is one entry.
type LedgerRow struct {
	Time           time.Time
	What           string
	Source         string
	Transaction    string
	TransactionURL string
	Amount         money.USDC
	Text           string // the amount, where it is no USDC
}

func (r LedgerRow) amount() string {
	if r.Text != "" {
		return r.Text
	}
	return Amount(r.Amount)
}

// AccountWord is what people call an account.
func AccountWord(account string) string {
	words := map[string]string{
		"available": "Available", "deposit": "Kept for you", "payouts": "On its way to you", "refunds": "On its way to buyers",
		"exceptions": "Not explained yet", "fees": "Platform fee", "wallet": "To your own address", "gas": "Network fees",
	}
	return words[account]
}

// PayoutsView lists payouts, and where money may go.
//
// Shown by GET /dashboard/payouts. Forms: POST [PayoutAddressesPath] with network and address, POST
// [PayoutAddressRemovePath] with network and address, POST [PayoutLimitPath] with limit, POST [PayoutEntryPath] with
// network and nonce. Live: [LiveFragment].
type PayoutsView struct {
	DashboardView
	Rows         []PayoutRow
	Pages        Pages
	Destinations []DestinationRow
	Strays       []StrayRow
	Networks     []Option
	Address      Field
	Limit        Field
	MayPayOut    bool
	Kept         bool // something can be paid out at all
}

// PayoutRow is one payout in a list.
type PayoutRow struct {
	Payout      id.Payout
	Time        time.Time
	Destination string
	Status      string
	Amount      money.USDC
}

// DestinationRow is where money may go.
type DestinationRow struct {
	Network, NetworkName string
	Address              string
	From                 time.Time // zero: at once
	Own                  bool
}

// StrayRow is money that left without the books knowing.
type StrayRow struct {
	Network, Nonce string
	Transaction    string
	To             string
	Amount         money.USDC
}

// PayoutFormView asks how much is paid out, and where to.
//
// Shown by GET /dashboard/payouts/new. Form: POST [PayoutsPath] with network, amount, destination and once.
type PayoutFormView struct {
	DashboardView
	Network      string
	NetworkName  string
	Available    money.USDC
	Amount       Field
	Destination  Field
	Destinations []DestinationRow // those that are known
	Once         string
	Problem      string
}

// PayoutView is one payout.
//
// Shown by GET /dashboard/payouts/{payout}. It posts nothing. Live: [LiveFragment].
type PayoutView struct {
	DashboardView
	PayoutRow
	Network        string
	Transaction    string
	TransactionURL string
	Block          uint64
	Who, From      string
	LastError      string
	Arrived        time.Time
}

func payoutFrame(v DashboardView) Page {
	p := v.page()
	p.Styles = append(p.Styles, "css/items.css", "css/balance.css")
	return p
}

func blockText(block uint64) string { return "block " + strconv.FormatUint(block, 10) }
