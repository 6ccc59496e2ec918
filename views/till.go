package views

import (
	"net/url"
	"strconv"
	"time"

	"xsynesis/id"
)

// A till keeps one ticket at the server: what is being sold to the customer in front of it. So a tablet that is locked,
// reloaded or broken loses nothing, and every tap is a small form that works without scripts.
//
// Two rules hold for every screen of an unlocked till:
//
//   - A form is answered 303 to the screen that shows what it did, and a refused one with that screen, the sentence in it,
//     and 409 or 422.
//   - A script asks the same addresses with HX-Request and names the part that it wants in HX-Target: one of
//     [TillFragment], [ShelfFragment], [EntryFragment], [TicketFragment], [LiveFragment]. It is given that fragment of the
//     screen, or the whole [TillFragment] where the screen has no such part. If the till is locked by then, or the tablet
//     belongs to no shop any more, it is answered HX-Redirect: /pos.
//
// Times are written with their zone, and the script turns them into the tablet's own: it stands in the shop, and its clock
// is the shop's.
//
// The stream at /pos/events says only that something changed; then each part that lives asks for itself again.
const (
	TillLinesPath     = "/pos/ticket/lines"
	TillDiscountPath  = "/pos/ticket/discount"
	TillReferencePath = "/pos/ticket/reference"
	TillClearPath     = "/pos/ticket/removal"
	TillParkedPath    = "/pos/parked"
	TillChargesPath   = "/pos/charges"
	TillSalesPath     = "/pos/sales"
	TillOfflinePath   = "/pos/offline"
	TillManifestPath  = "/pos/manifest.webmanifest"
	TillWorkerPath    = "/pos/worker.js"
)

// The parts of a till's screens that scripts ask for.
const (
	TillFragment   = "till"   // the whole screen
	ShelfFragment  = "shelf"  // categories and tiles
	EntryFragment  = "entry"  // what is typed, and the keys
	TicketFragment = "ticket" // the sale, its total and Charge
)

// TillShelfPath is the register with a category of tiles, or those that a search finds.
func TillShelfPath(category, search string) string {
	q := url.Values{}
	if category != "" {
		q.Set("category", category)
	}
	if search != "" {
		q.Set("q", search)
	}
	if len(q) == 0 {
		return TillPath
	}
	return TillPath + "?" + q.Encode()
}

// TillEntryPath is the register with the keys typing something else than an amount: [EntryPercent] or [EntryReference].
func TillEntryPath(mode string) string {
	return TillPath + "?" + url.Values{"entry": {mode}}.Encode()
}

// TillItemPath is the register with the keys typing what an item costs whose price is not fixed.
func TillItemPath(item id.Item) string {
	return TillPath + "?" + url.Values{"item": {string(item)}}.Encode()
}

// TillLinePath is where a line of the ticket is changed. Its number stays the line's own when others are removed.
func TillLinePath(line int) string { return TillLinesPath + "/" + strconv.Itoa(line) }

// TillLineRemovalPath is where a line of the ticket is taken away.
func TillLineRemovalPath(line int) string { return TillLinePath(line) + "/removal" }

// TillRecallPath is where a parked ticket is taken up again; the one before it is parked.
func TillRecallPath(parked int) string { return TillParkedPath + "/" + strconv.Itoa(parked) }

// TillChargePath is a purchase as its till shows it, for ever.
func TillChargePath(attempt id.Attempt) string {
	return TillChargesPath + "/" + url.PathEscape(string(attempt))
}

// What is done with a charge: each is posted to.
func tillCancelPath(a id.Attempt) string { return TillChargePath(a) + "/cancellation" }
func tillNextPath(a id.Attempt) string   { return TillChargePath(a) + "/completion" }
func tillAcceptPath(a id.Attempt) string { return TillChargePath(a) + "/acceptance" }
func tillRefundPath(a id.Attempt) string { return TillChargePath(a) + "/refund" }

// tillCancelAsk is the charge with the question whether to cancel it: the customer has opened it already.
func tillCancelAsk(a id.Attempt) string { return TillChargePath(a) + "?cancel=1" }

// CounterPath is a payment link as a display on the counter.
func CounterPath(token string) string { return TillPath + "/" + url.PathEscape(token) }

// CounterEventsPath is the stream that says when somebody has paid at the link, or the link has changed.
func CounterEventsPath(token string) string { return CounterPath(token) + "/events" }

// TillFrame is what every screen of an unlocked till shows.
type TillFrame struct {
	Shop, Till, Cashier string
	Theme               string // the till's own: "light", "dark" or "" to follow the device
	Now                 time.Time
	Test                bool
	LocksAfter          time.Duration // that nobody touches it
}

func (f TillFrame) page(title string) Page {
	p := counterFrame(title, f.Test)
	p.Theme = f.Theme
	if f.LocksAfter > 0 {
		p.Again = int(f.LocksAfter.Seconds()) + 1 // the lock shows without scripts too
	}
	return p
}

// counterFrame is the page around everything that stands on a counter.
func counterFrame(title string, test bool) Page {
	return Page{
		Title:   title,
		Class:   "for-till",
		Styles:  []string{"css/till.css"},
		Scripts: []string{"js/till.js"},
		Test:    test,
		Hidden:  true,
		Install: true,
	}
}

// tillState is what a screen is to the script.
type tillState struct {
	name  string // "register", or the state of a charge: its change is told
	class string
	path  string // the screen's own address
	live  bool   // the whole screen is asked for again on every change
}

// lastFour is how a customer knows his own address again: …9aB0.
func lastFour(address string) string {
	if len(address) <= 4 {
		return address
	}
	return "…" + address[len(address)-4:]
}

// stopwatch writes how long something has lasted: 0:14.
func stopwatch(from, to time.Time) string {
	seconds := int(max(to.Sub(from), 0).Seconds())
	return strconv.Itoa(seconds/60) + ":" + strconv.Itoa(seconds%60/10) + strconv.Itoa(seconds%10)
}
