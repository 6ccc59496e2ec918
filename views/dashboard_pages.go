package views

import (
	"time"

	"xsynesis/id"
	"xsynesis/money"
)

// OverviewView is the first page of the dashboard: what was sold, in all and in the chosen period, and what came last.
type OverviewView struct {
	DashboardView
	All       SumView // since the shop began
	Today     SumView
	Week      SumView
	Period    PeriodField
	Sold      SumView // in the chosen period, as all that follows
	Refunded  SumView
	Fee       money.USDC // what the platform kept, less what it gave back with refunds
	Chart     ChartView
	Hours     ChartView // no bars where Chart has them
	Rankings  []RankingView
	Midnight  time.Time // when today began for the shop
	Latest    []SaleRow
	Drifts    []DriftRow    // for those who see money
	Attention int           // payments whose outcome is being checked
	Checklist ChecklistView // what is left before real money, for those who can do it
}

// SumView is what came in over a period.
type SumView struct {
	Amount money.USDC
	Sales  int
}

// SaleRow is one sale in a list.
type SaleRow struct {
	Sale      id.Sale // empty while the purchase is under way
	Attempt   id.Attempt
	Time      time.Time // in the shop's location
	Title     string
	Detail    string // what tells this sale from others of the same name: a quantity, a note
	Channel   string // "Link", "Till", "API"
	Payer     string // the paying address
	State     string // as on the pill
	Amount    money.USDC
	Pending   bool // the amount is not certain yet, or was given back
	Simulated bool
}

// SalesView is the list of sales.
type SalesView struct {
	DashboardView
	Filter SalesFilter
	Days   []SalesDay
	Period string // the chosen period in words: "7 days"
	Total  SumView
	Pages  Pages
	CSV    string // as a file, all sales of these days and this channel
}

// SalesFilter is the form above the sales, as it was sent.
type SalesFilter struct {
	Period   string // one of [SalesPeriods]
	From, To Field  // days as 2006-01-02, read when Period is "custom"
	Channel  string // empty for all
	Channels []Option
	Search   string
}

// SalesPeriods are the values of the field "period", in the order shown.
var SalesPeriods = []Option{
	{"today", "Today"}, {"7d", "7 days"}, {"month", "Month"}, {"all", "All"}, {"custom", "Custom"},
}

// Option is one choice of a field: its value and its word.
type Option struct{ Value, Word string }

// SalesDay is a day's rows, under one heading.
type SalesDay struct {
	Day      time.Time
	Rows     []SaleRow
	Paid     int // payments of the whole day; 0 where nobody counted them
	UnderWay int // rows that are not paid yet
}

// LinksView is the list of payment links.
type LinksView struct {
	DashboardView
	Links []LinkRow
	Pages Pages
}

// LinkRow is one link in the list.
type LinkRow struct {
	Link     id.Link
	Title    string
	Price    money.USDC
	Paid     int
	Limit    int       // 0: as often as anyone likes
	LastPaid time.Time // zero: never
	State    string    // open, scheduled, paused, expired or sold_out
	Pricing  string    // who decides on the price, as an item has it; empty for the seller
}

// LinkFormView is the form of a new link, or of an existing one when Link is set.
type LinkFormView struct {
	DashboardView
	Link        id.Link
	Problem     string // what is wrong with the whole rather than with one field
	Title       Field
	Description Field
	Price       Field
	MaxPayments Field
	Expires     Field // 2006-01-02T15:04 in the shop's location
	SuccessURL  Field
	Reference   Field
	Zone        string // of Expires, in words: "Copenhagen time"
	Offer       LinkOffer
}

// LinkView is one link: how to share it, and every purchase made with it.
type LinkView struct {
	DashboardView
	Link        id.Link
	Token       string
	Title       string
	Description string
	Price       money.USDC
	Pricing     string // who decides on the price, as an item has it; empty for the seller
	State       string // open, scheduled, paused, expired or sold_out
	Over        string // why nobody can pay any more, or empty
	URL         string // what is shared
	Paid        int
	Limit       int
	Received    money.USDC
	LastPaid    time.Time
	Created     time.Time
	Expires     time.Time // zero: never
	SuccessURL  string
	Reference   string
	Attempts    []AttemptRow
	Pages       Pages
	DevSettle   bool // offers to simulate the payment of open purchases
	Terms       LinkTerms
}

// AttemptRow is one purchase in a list.
type AttemptRow struct {
	Attempt   id.Attempt
	Time      time.Time
	Payer     string // empty as long as nobody has signed
	State     string
	Open      bool // nobody has paid yet
	Amount    money.USDC
	Pending   bool // the amount is not certain yet, or was given back
	Simulated bool
}

// SettlementsView is the list of settlements: how each payment reached the chain.
type SettlementsView struct {
	DashboardView
	Settlements []SettlementRow
	Pages       Pages
}

// SettlementRow is one settlement in the list.
type SettlementRow struct {
	Settlement  id.Settlement
	Attempt     id.Attempt
	State       string // the settlement's own: queued, signed, broadcast, confirmed …
	Facilitator string
	Transaction string // hash, or empty
	Explorer    string // where the transaction is shown, or empty
	Age         string // "2 minutes"
	Time        time.Time
	LastError   string
	Amount      money.USDC
	Pending     bool // as in [SaleRow]
	Simulated   bool
}

// ConfirmView asks, on a page of its own, before something that cannot be undone.
type ConfirmView struct {
	DashboardView
	Consequence string // one sentence
	Subject     string // what it is done to
	Amount      money.USDC
	Action      string // where the form is posted
	Verb        string // the button: "Expire link"
	Back        string
	Harmless    bool   // nothing is lost by it
	Once        string // makes a form that is sent twice do one thing
}
