package views

import (
	"net/url"
	"strings"
	"time"

	"xsynesis/id"
	"xsynesis/money"
)

// What a shop has to send.
const (
	OrdersPath      = "/dashboard/orders"
	OrdersPrintPath = OrdersPath + "/packing" // of all that wait, or with id=… of those named
)

// SectionOrders is the navigation's row of these pages.
const SectionOrders Section = "orders"

// OrderPath is one order. An order is a sale of something that is sent.
func OrderPath(sale id.Sale) string { return OrdersPath + "/" + url.PathEscape(string(sale)) }

// OrderSentPath notes that an order was sent; [OrderUnsentPath] takes that back.
func OrderSentPath(sale id.Sale) string { return OrderPath(sale) + "/fulfilment" }

// OrderUnsentPath takes back that an order was sent.
func OrderUnsentPath(sale id.Sale) string { return OrderPath(sale) + "/return" }

// OrderPrintPath is the packing slip of one order.
func OrderPrintPath(sale id.Sale) string {
	return OrdersPrintPath + "?" + url.Values{"id": {string(sale)}}.Encode()
}

// OrdersView is the list of what a shop has to send, or has sent.
//
// Shown by GET /dashboard/orders, with sent=1 for the sent ones. Live: [LiveFragment].
type OrdersView struct {
	DashboardView
	Sent      bool
	Orders    []OrderRow
	Pages     Pages
	Undecided bool // payments wait for somebody's decision
	MayFulfil bool // the person may send, and so read who it goes to
}

// OrderRow is one order in the list.
type OrderRow struct {
	Sale    id.Sale
	Time    time.Time // when it was paid, in the shop's location
	Title   string
	Qty     int
	To      string // name and town: "Ada Byron, London GB"; without the name for who does not send
	Amount  money.USDC
	Sent    time.Time // zero: not yet
	Problem string    // why it should not be sent, such as money that went back; empty for nothing
}

// OrderView is one order.
//
// Shown by GET /dashboard/orders/{sale}. It posts note (optional) to …/fulfilment and nothing to …/return; both → 303
// here. A refused note comes back as this page with 422. Live: [LiveFragment].
type OrderView struct {
	DashboardView
	OrderRow
	Attempt   id.Attempt
	Receipt   string // the number that the buyer can say
	Payer     string
	Email     string
	BuyerNote string
	Address   []string // its lines; none where none was given
	SentBy    string
	SentNote  string
	Note      Field
	Others    []OrderRow // what else the same buyer has bought in the same purchase
	MayFulfil bool       // the person may send, and so read who it goes to
}

// PackingView is packing slips to print, each on a page of its own.
//
// Shown by GET /dashboard/orders/packing. It posts nothing.
type PackingView struct {
	Shop  string
	Slips []PackingSlip
	Back  string
	Test  bool
}

// PackingSlip is what goes into one parcel.
type PackingSlip struct {
	Receipt   string
	Paid      time.Time
	Address   []string
	Lines     []PackingLine
	BuyerNote string
}

// PackingLine is something to pack.
type PackingLine struct {
	Qty   int
	Title string
	SKU   string
}

// Place writes a town and its country as a list has them: "London GB".
func Place(city, country string) string { return strings.TrimSpace(city + " " + country) }

// Country is the name of a country by its ISO 3166-1 code, or the code itself.
func Country(code string) string {
	for _, c := range countries {
		if c.Value == code {
			return c.Word
		}
	}
	return code
}

// orderFrame is the frame of these pages.
func orderFrame(v DashboardView) Page {
	p := v.page()
	p.Styles = append(p.Styles, "css/items.css")
	return p
}

// packed is what an order holds, in one line.
func (r OrderRow) packed() string {
	if r.Qty < 2 {
		return r.Title
	}
	return thousands(r.Qty) + " × " + r.Title
}

// mailto writes an e-mail address as one to write to.
func mailto(email string) string {
	return "mailto:" + strings.ReplaceAll(url.PathEscape(email), "%40", "@")
}
