package views

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"xsynesis/access"
)

// DashboardView is what stands around every page of the dashboard: the shop, who is signed in,
// and where in the navigation we are.
type DashboardView struct {
	Heading  string // the h1 and the window's title
	Section  Section
	Shop     string
	Person   string // "Mette Lund"
	Role     string // "owner"
	Test     bool   // shows the test stripe
	Flash    Flash
	WentLive bool                // the shop takes real money
	Shown    string              // whose rows of which mode these are, as the page says when it looks whether it may stay open; empty: it does not
	Live     string              // this page's own URL with its query; set, the page fetches its [LiveFragment] on every change
	Since    string              // the moment before which all that it shows was read, as the stream of changes knows it
	Failed   int                 // events that were not delivered
	Unread   int                 // notices
	Shops    []ShopChoice        // the person's, where there are several
	Closed   []Section           // what the person's role does not open
	Barred   []access.Permission // what the person's role does not include
	Refresh  bool                // reloads every 5 s where scripts are off, since something is under way
}

// LiveFragment names the part of every dashboard page that is fetched again when something changed.
const LiveFragment = "live"

// Section is a row of the dashboard's navigation.
type Section string

// The rows that exist.
const (
	SectionOverview    Section = "overview"
	SectionSales       Section = "sales"
	SectionSettlements Section = "settlements"
	SectionLinks       Section = "links"
	SectionWebhooks    Section = "webhooks"
	SectionNotices     Section = "notices"
)

// Flash is the one sentence a page says about what was just done. The zero Flash says nothing.
type Flash struct {
	Text   string
	Failed bool
}

// Field is one form field as it was sent, with the sentence that stands in place of its hint when it was refused.
type Field struct {
	Value   string
	Problem string
}

// Pages holds the links of a keyset-paged list; an empty one is drawn as a disabled button.
type Pages struct {
	Newer string
	Older string
}

// initials gives the mark of a shop without a logo: "Kaffe Nord" becomes "KN".
func initials(shop string) string {
	var b strings.Builder
	for _, word := range strings.Fields(shop) {
		first, _ := utf8.DecodeRuneInString(word)
		if !unicode.IsLetter(first) && !unicode.IsDigit(first) {
			continue
		}
		b.WriteRune(unicode.ToUpper(first))
		if utf8.RuneCountInString(b.String()) == 2 {
			break
		}
	}
	return b.String()
}

// The moments of a row are shown in the location the time was given in: the shop's.

func clock(t time.Time) string    { return t.Format("15:04") }
func day(t time.Time) string      { return t.Format("Mon 2 Jan") }
func date(t time.Time) string     { return t.Format("2 Jan 2006") }
func toMinute(t time.Time) string { return t.Format("2 Jan 2006, 15:04") }
func moment(t time.Time) string   { return t.Format("2 Jan 2006, 15:04:05") }

// clockOrDay writes a moment of today by the clock and an older one by its day.
func clockOrDay(t, today time.Time) string {
	if t.Before(today) {
		return t.Format("2 Jan")
	}
	return clock(t)
}

// machineTime is the value of a datetime attribute.
func machineTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// short writes an address or hash as people compare it, 0x7A3f…91Bc; anything of 12 characters or less stays whole.
func short(hex string) string {
	if len(hex) <= 12 {
		return hex
	}
	return hex[:6] + "…" + hex[len(hex)-4:]
}

// shortID writes one of our ids by its end, since ids of one day begin alike: pa_…cTfWyA.
func shortID(id string) string {
	prefix, rest, _ := strings.Cut(id, "_")
	if len(rest) <= 6 {
		return id
	}
	return prefix + "_…" + rest[len(rest)-6:]
}

// count writes "1 sale", "5 sales" and "1,204 sales".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

// thousands writes a whole number with a comma between thousands.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// dashboardFrame is the frame of every page for sellers.
func dashboardFrame(title string, test bool) Page {
	return Page{
		Title:   title,
		Class:   "for-seller",
		Styles:  []string{"css/dashboard.css"},
		Scripts: []string{"js/htmx-2.0.11.min.js", "js/htmx-sse-2.2.4.min.js", "js/dashboard.js"},
		Test:    test,
		Hidden:  true,
	}
}

// page is the frame of this page.
func (v DashboardView) page() Page {
	p := dashboardFrame(v.Heading+" · "+v.Shop, v.Test)
	p.Refresh = v.Refresh
	if v.Shop != "" {
		p.Stripe = goLive(v)
	}
	return p
}

// ShownHeader carries what an open page shows, with every request that the page makes by itself.
const ShownHeader = "Shown"

// shownHeader is that header for the script that asks.
func (v DashboardView) shownHeader() string {
	text, err := json.Marshal(map[string]string{ShownHeader: v.Shown})
	if err != nil {
		panic(err) // a map of text can always be written
	}
	return string(text)
}

// opens tells whether the person's role opens a section.
func (v DashboardView) opens(s Section) bool { return !slices.Contains(v.Closed, s) }

// may tells whether the person's role includes something.
func (v DashboardView) may(p access.Permission) bool { return !slices.Contains(v.Barred, p) }

// behindMore tells whether a phone finds the page's section behind More.
func (v DashboardView) behindMore() bool {
	return slices.Contains([]Section{
		SectionItems, SectionOrders, SectionEndpoints, SectionCodes, SectionBalance, SectionSettlements, SectionReconciliation,
		SectionWebhooks, SectionStaff, SectionAudit, SectionSettings,
	}, v.Section)
}

// role tells screen readers how urgent the sentence is.
func (f Flash) role() string {
	if f.Failed {
		return "alert"
	}
	return "status"
}
