package views

import (
	"cmp"
	"time"
)

// Where whoever runs the gateway looks after it. Signing in posts the field "token", signing out posts nothing.
const (
	AdminPath         = "/admin"
	AdminSessionsPath = "/admin/sessions"
	AdminSignOutPath  = "/admin/sign-out"
	AdminJobsPath     = "/admin/jobs"
	metricsPath       = "/metrics"
)

// OperatorSignInView is the door to the operator's pages.
type OperatorSignInView struct {
	Test    bool
	Shut    bool // no token is configured
	Seller  bool // whoever asks is signed in as a seller
	Problem string
}

// AdminView is how the machinery does, and what to do about it.
type AdminView struct {
	Test       bool
	At         time.Time
	Findings   []Finding
	Payments   []StateCount
	Settled    SettledFacts
	Relayers   []RelayerRow
	Chains     []ChainRow
	Queues     []QueueRow
	Deliveries DeliveryFacts
	Processes  []ProcessRow
	// Facilitators and Callbacks are shown where there are some.
	Facilitators []FacilitatorRow
	Callbacks    []CallbackRow
	// Compared and Undecided are about the books, once they were held against some chain.
	Compared  []BooksRow
	Undecided []UndecidedRow
}

// BooksRow is how a network's books compared with its chain the last time.
type BooksRow struct {
	Network                   string
	Ago                       string // empty: it has not ended
	Matched, Found, Differing int64
}

func (r BooksRow) text() string {
	if r.Ago == "" {
		return "comparing now"
	}
	return r.Ago + " ago: " + count(int(r.Matched), "payment agrees", "payments agree") + ", " + thousands(int(r.Found)) + " found late, " +
		thousands(int(r.Differing)) + " differing"
}

// UndecidedRow is what shops have to decide on, of one kind.
type UndecidedRow struct {
	Kind   string
	Count  int64
	Oldest string
}

// FacilitatorRow is who moves payments beside our own relayers.
type FacilitatorRow struct {
	Name, Network, Answered string
	Asked, Failed           int64
	Half, Most              string // within what time half of its answers, and 95 of 100, came; empty without any
}

func (f FacilitatorRow) asked() string {
	if f.Asked == 0 {
		return "nothing"
	}
	return count(int(f.Asked), "time", "times") + ", failed " + thousands(int(f.Failed))
}

// CallbackRow is what a facilitator called back with.
type CallbackRow struct {
	Ago, Settlement, Outcome string
	Times                    int64
}

func (c CallbackRow) came() string {
	if c.Times > 1 {
		return c.Ago + " ago, " + count(int(c.Times), "time", "times")
	}
	return c.Ago + " ago"
}

// Finding is what the figures of one subject mean.
type Finding struct {
	Subject  string
	Level    int // 0 well, 1 look at it today, 2 it hurts
	Sentence string
	Action   string // empty where nothing is to be done
}

// StateCount counts purchases in one state.
type StateCount struct {
	State    string
	Recent   int64  // begun within the last hour
	UnderWay *int64 // whenever they began; nil for states that end a purchase
}

// SettledFacts tell how long payments took.
type SettledFacts struct {
	Count      int64
	Half, Most string // within what time half of them, and 95 of 100, were confirmed
}

// RelayerRow is an address that pays for gas.
type RelayerRow struct {
	Network, Address, Gas string
	Settlements           int64 // that the gas money is enough for
	Seen                  string
	Low                   bool
	QR                    QR // of the address, where Low
}

// ChainRow is a network as this process sees it.
type ChainRow struct {
	Name    string
	Answers bool
	Head    uint64
	Age     string
	Took    string
}

// QueueRow is what stands in a queue.
type QueueRow struct {
	Name                       string
	Waiting, Running, Retrying int64
	Age                        string // of the first job that waits; empty when none does
}

// DeliveryFacts are about messages to merchants' servers.
type DeliveryFacts struct {
	Pending         int64
	Overdue, Oldest string // empty when none is
	Tries           []TryCount
}

// TryCount counts calls with one result.
type TryCount struct {
	Result, Class string
	Count         int64
}

// ProcessRow is a process of the shop.
type ProcessRow struct {
	Role, Host, Version, Queues string
	Alive                       bool
	Since, Seen                 string
}

// subjects are the headings of findings.
var subjects = map[string]string{
	"payments": "Payments", "gas": "Gas money", "chains": "Chains", "queues": "Queues", "webhooks": "Webhooks", "processes": "Processes",
	"facilitators": "Facilitators", "books": "Books and chains",
}

// levels give a finding its word, glyph and tone, as states have them.
var levels = []Status{
	{"Well", "settled", ToneOK},
	{"Look at it", "unknown", ToneWarn},
	{"It hurts", "failed", ToneBad},
}

// verdict is the first sentence of the page.
func (v AdminView) verdict() string {
	if n := v.trouble(); n > 0 {
		return count(n, "thing needs", "things need") + " a look."
	}
	return "All is well."
}

func (v AdminView) trouble() (n int) {
	for _, f := range v.Findings {
		if f.Level > 0 {
			n++
		}
	}
	return n
}

// about are the findings of one subject.
func (v AdminView) about(subject string) (found []Finding) {
	for _, f := range v.Findings {
		if f.Subject == subject {
			found = append(found, f)
		}
	}
	return found
}

// grade is the gravest of findings.
func grade(found []Finding) Status {
	level := 0
	for _, f := range found {
		level = max(level, f.Level)
	}
	return levels[min(level, len(levels)-1)]
}

// counts writes "12 in the last hour, 3 now".
func (s StateCount) counts() string {
	text := thousands(int(s.Recent)) + " in the last hour"
	if s.UnderWay != nil {
		text += ", " + thousands(int(*s.UnderWay)) + " now"
	}
	return text
}

// tone is that of the state, unless there is nothing in it.
func (s StateCount) tone() string {
	if s.Recent == 0 && (s.UnderWay == nil || *s.UnderWay == 0) {
		return ""
	}
	return toneClass(StatusOf(s.State).Tone)
}

// roles are what processes are called.
var roles = map[string]string{"web": "Web", "worker": "Worker", "webhook-dispatcher": "Webhook dispatcher", "all": "All in one"}

func (p ProcessRow) name() string { return cmp.Or(roles[p.Role], p.Role) }

// stands writes what a queue holds.
func (q QueueRow) stands() string {
	text := thousands(int(q.Waiting)) + " waiting, " + thousands(int(q.Running)) + " running"
	if q.Retrying > 0 {
		text += ", " + thousands(int(q.Retrying)) + " to be tried again"
	}
	if q.Age != "" {
		text += "; the first for " + q.Age
	}
	return text
}

// name is a result with what went wrong.
func (t TryCount) name() string {
	words := map[string]string{"succeeded": "Accepted", "failed": "Failed", "interrupted": "Interrupted", "started": "Under way"}
	name := words[t.Result]
	if t.Class != "" {
		name += ", " + t.Class
	}
	return name
}

// adminFrame is the frame of the operator's pages.
func adminFrame(title string, test bool) Page {
	return Page{
		Title: title, Class: "for-operator", Styles: []string{"css/dashboard.css", "css/admin.css"},
		Scripts: []string{"js/htmx-2.0.11.min.js", "js/htmx-sse-2.2.4.min.js", "js/dashboard.js"}, Test: test, Hidden: true,
	}
}
