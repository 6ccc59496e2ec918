package views

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"xsynesis/money"
)

// Payee is who gets the money, as a buyer sees it.
type Payee struct {
	Name    string
	Domain  string // "kiosk-nord.example"; empty for none
	Checked bool   // the shop has proven that the domain is its own
	Logo    string // address of an image; empty shows the initials
	Address string // on the chain
	Help    string // where the shop answers buyers: a page or mailto address; empty for none
}

// Cart is what is paid for.
type Cart struct {
	Title  string
	Note   string // one short line below the title
	Image  string // absolute address; empty for none
	Lines  []CartLine
	Amount money.USDC
	Fiat   string // "about 10.80 EUR, tax included"; empty for none
}

// CartLine is one line of a cart; a discount has a negative amount.
type CartLine struct {
	Title    string
	Quantity int
	Amount   money.USDC
}

// OfferView is a payment link's page, where a purchase begins.
type OfferView struct {
	Token string
	URL   string // absolute
	Payee Payee
	Cart  Cart
	QR    QR
	Ask   Ask       // what the buyer decides or tells before he pays
	Code  CodeField // a code that takes something off
	Leads string    // the host that a short link leads to; empty for everything else
	Closing
	Problem    string // the sentence that refuses a purchase that was asked for; empty on GET
	Test       bool
	TestWallet bool // offers a wallet that signs on the development server
}

// Closing says why a link cannot be paid or followed now; the zero Closing is an open one.
type Closing struct {
	Closed     string    // one of the Closed… words, or empty
	ClosedText string    // what the shop says of a pause, in place of our words; empty for ours
	OpensAt    time.Time // of a link whose time is still to come
}

// Why a link cannot be paid; such a page is answered with 410.
const (
	ClosedExpired = "expired"
	ClosedPaused  = "paused"
	ClosedSoldOut = "sold_out"
	ClosedEarly   = "early" // its time is still to come
)

// PurchaseView is the page of one purchase, from the tap on Pay to the receipt.
type PurchaseView struct {
	Attempt    string
	Status     string // as JSON has it: open, settling, settled, …
	Screen     string // shows one of the screens of an open purchase at once; normally empty
	Payee      Payee
	Cart       Cart
	URL        string // absolute, without the buyer's token
	PayURL     string // absolute, with the buyer's token if the reader has it: what wallet apps open
	AgainToken string // the link where the same can be bought again; empty when it is closed
	Number     string // short, to show in the shop
	Network    string // as people call it: "Base Sepolia"
	QR         QR
	TypedData  any // what the wallet signs, as JSON; the page fills in the payer. Only while open
	AddNetwork any // parameters for wallets that do not know the network, as JSON; nil for none

	Now                                  time.Time
	ApprovedAt, SentAt, CheckedAt        time.Time
	CertainBy, ExpiresAt, SettledAt      time.Time
	Payer                                string
	Approval                             string           // the authorization's nonce
	Transaction, TransactionURL, Receipt string           // Receipt is its number
	Refunds                              []PurchaseRefund // what went back, or is on its way
	Thanks                               string           // what the shop tells a buyer who has paid
	BackURL                              string           // the shop's page to return to; empty for none

	// At a till: the page says that it was opened, and offers to add a tip; posted to [TipPath], it leads to the purchase
	// that takes this one's place.
	AtTill bool
	Tip    TipView

	Transfer TransferView // how the buyer may send the money himself
	Received money.USDC   // what came, where it is not the price; 0 otherwise

	Handover Handover // what a buyer who has paid gets, and how

	Test, Simulated, TestWallet bool
}

// TipView is what a customer may add to what he pays at a till.
type TipView struct {
	Chosen  money.USDC
	Choices []TipChoice
	Field   Field // another amount, as it was sent when it was refused
}

// TipChoice is a share of the price.
type TipChoice struct {
	Percent int
	Amount  money.USDC
}

// other is what the field for another amount holds.
func (t TipView) other() string {
	if t.Field.Problem != "" || t.Chosen == 0 {
		return t.Field.Value
	}
	for _, c := range t.Choices {
		if c.Amount == t.Chosen {
			return ""
		}
	}
	return t.Chosen.String()
}

// walletApp is a wallet on a phone that opens pages in a browser of its own.
type walletApp struct{ Key, Name, Href string }

// walletApps lists apps with the address that opens page inside each. Universal links only: a custom
// scheme ends in a dead page where the app is missing.
func walletApps(page string) []walletApp {
	if page == "" {
		return []walletApp{{Key: "metamask", Name: "MetaMask"}, {Key: "base", Name: "Base"}, {Key: "trust", Name: "Trust"}}
	}
	page = withVia(page)
	_, bare, _ := strings.Cut(page, "://")
	escaped := url.QueryEscape(page)
	return []walletApp{
		// MetaMask wants the address as it is, not percent-encoded.
		{"metamask", "MetaMask", "https://link.metamask.io/dapp/" + bare},
		{"base", "Base", "https://go.cb-w.com/dapp?cb_url=" + escaped},
		{"trust", "Trust", "https://link.trustwallet.com/open_url?coin_id=60&url=" + escaped},
	}
}

// withVia marks the address as opened in a wallet's browser, where the page asks for approval at once.
func withVia(page string) string {
	if strings.Contains(page, "?") {
		return page + "&via=wallet"
	}
	return page + "?via=wallet"
}

// frame is the page around everything a buyer sees.
func frame(title string, test, testWallet bool) Page {
	p := Page{
		Title:   title,
		Class:   "for-buyer",
		Styles:  []string{"css/checkout.css"},
		Scripts: []string{"js/checkout.js"},
		Test:    test,
		Hidden:  true,
	}
	if testWallet {
		// The wallet announces itself to a listener, so it must come after the page's own script.
		p.Scripts = append(p.Scripts, "js/testwallet.js")
	}
	return p
}

func (v OfferView) page() Page {
	p := frame(v.Cart.Title+", "+v.Payee.Name, v.Test, v.TestWallet)
	if v.Ask.any() {
		p.Scripts = append(p.Scripts, "js/shop.js")
	}
	p.Preview = preview(v.Cart, v.Payee, v.URL)
	return p
}

func (v PurchaseView) page() Page {
	p := frame(v.title(), v.Test, v.TestWallet)
	p.Preview = preview(v.Cart, v.Payee, v.URL)
	p.Refresh = v.live() && (v.Status != "open" || !v.Transfer.open()) // somebody may be typing
	return p
}

func preview(c Cart, p Payee, address string) Preview {
	return Preview{
		Title:       c.Title + ", " + AmountUSDC(c.Amount),
		Description: "Pay " + p.Name + " from your wallet, no network fee.",
		URL:         address,
		Image:       c.Image,
		Price:       c.Amount,
	}
}

func (v PurchaseView) title() string {
	if v.Status == "open" {
		return "Pay " + v.Payee.Name
	}
	return StatusOf(v.Status).Word + ", " + v.Payee.Name
}

// live tells whether the page should expect news.
func (v PurchaseView) live() bool {
	return v.Status == "open" || v.Status == "settling" || v.Status == "unknown" || v.awaited()
}

// events is the stream to listen to, or nothing.
func (v PurchaseView) events() string {
	if v.live() {
		return EventsPath(v.Attempt)
	}
	return ""
}

// ago says how long before now something was: "2 seconds ago".
func ago(t, now time.Time) string {
	d := max(now.Sub(t), 0)
	switch {
	case d < time.Second:
		return "just now"
	case d < time.Minute:
		return plural(int(d.Seconds()), "second") + " ago"
	case d < time.Hour:
		return plural(int(d.Minutes()), "minute") + " ago"
	}
	return plural(int(d.Hours()), "hour") + " ago"
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

// itemCount is what the folded details say: "1 item", "3 items".
func (c Cart) itemCount() string {
	n := 0
	for _, l := range c.Lines {
		if l.Amount >= 0 {
			n += max(l.Quantity, 1)
		}
	}
	return plural(max(n, 1), "item")
}

// single tells that the cart's title already names its only line.
func (c Cart) single() bool { return len(c.Lines) == 1 && c.Lines[0].Title == c.Title }

// lineTitle is "2 × Flat white".
func lineTitle(l CartLine) string {
	if l.Quantity < 1 {
		return l.Title
	}
	return strconv.Itoa(l.Quantity) + " × " + l.Title
}
