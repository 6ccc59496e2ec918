package views

import (
	"cmp"
	"net/url"
	"strconv"
	"strings"
	"time"

	"xsynesis/id"
	"xsynesis/money"
)

// The pages of paid APIs and of the passes that were paid for.
const (
	EndpointsPath   = "/dashboard/endpoints"
	EndpointNewPath = EndpointsPath + "/new"
	PassesPath      = EndpointsPath + "/passes"

	// SectionEndpoints is the navigation's row of these pages.
	SectionEndpoints Section = "endpoints"
)

// CallPath is an endpoint as programs call it; [EndpointPath] is the same as its seller sees it.
func CallPath(e id.Endpoint) string { return "/x/" + url.PathEscape(string(e)) }

// EndpointPath is one endpoint: what it costs, and who called it.
func EndpointPath(e id.Endpoint) string { return EndpointsPath + "/" + url.PathEscape(string(e)) }

// EndpointEditPath is the form of an existing endpoint; posting to it changes the endpoint.
func EndpointEditPath(e id.Endpoint) string { return EndpointPath(e) + "/edit" }

// EndpointStatusPath takes the field "status": active or disabled.
func EndpointStatusPath(e id.Endpoint) string { return EndpointPath(e) + "/status" }

// EndpointTrialPath is where a seller calls an endpoint himself; posting to it makes the call.
func EndpointTrialPath(e id.Endpoint) string { return EndpointPath(e) + "/trial" }

// EndpointCodesPath is the form of new codes that are good for an endpoint.
func EndpointCodesPath(e id.Endpoint) string {
	return CodeNewPath + "?" + url.Values{"for": {string(e)}}.Encode()
}

// PassesOfPath lists the passes of one endpoint.
func PassesOfPath(e id.Endpoint) string {
	return PassesPath + "?" + url.Values{"endpoint": {string(e)}}.Encode()
}

// PassRevocationPath asks whether to end a pass; posting to it does.
func PassRevocationPath(p id.Pass) string {
	return PassesPath + "/" + url.PathEscape(string(p)) + "/revocation"
}

// EndpointsView is the list of paid APIs.
//
// Shown by GET /dashboard/endpoints. Live: [LiveFragment].
type EndpointsView struct {
	DashboardView
	Endpoints []EndpointRow
	Pages     Pages
}

// EndpointRow is one paid API in the list.
type EndpointRow struct {
	Endpoint id.Endpoint
	Title    string
	URL      string // on the seller's server
	Price    money.USDC
	Pricing  string // "per_request", "one_time" or "subscription"
	Interval string // of a subscription: "month"
	First    bool   // the money is settled before the call
	Disabled bool
}

// EndpointView is one paid API: what is given away, what it costs, and its latest calls.
//
// Shown by GET /dashboard/endpoints/{endpoint}. It posts status (active or disabled) to …/status → 303 here.
// Live: [LiveFragment], on every call.
type EndpointView struct {
	DashboardView
	EndpointRow
	CallURL      string // what programs are given
	Description  string
	MimeType     string
	PayTo        string // the shop's address; empty where there is none that counts
	Network      string // its name
	SecretHeader string // what the seller's server knows the gateway by; empty for nothing
	Timeout      time.Duration
	MaxAnswer    int64 // bytes
	Identified   bool
	Input        string // examples, JSON; empty for none
	Output       string
	Created      time.Time
	Calls        []AttemptRow
}

// EndpointFormView is the form of a new paid API, or of an existing one when Endpoint is set.
//
// Shown by GET /dashboard/endpoints/new and …/{endpoint}/edit. It posts to /dashboard/endpoints → 303 to the endpoint, or
// to …/edit:
//
//	url title description mime_type      text
//	example_input example_output         JSON
//	price                                an amount in USDC
//	pricing_type                         per_request, one_time or subscription, and then billing_interval
//	settle                               after or first
//	secret_header secret                 what the seller's server knows the gateway by; an empty secret keeps the old one
//	timeout_seconds max_answer_bytes     whole numbers; empty for the usual
//	payment_identifier                   on: every payment must carry one
//
// Refused, it comes back with 422, without the secret.
type EndpointFormView struct {
	DashboardView
	Endpoint     id.Endpoint
	Problem      string
	URL          Field
	Title        Field
	Description  Field
	MimeType     Field
	Input        Field
	Output       Field
	Price        Field
	Pricing      Field
	Interval     Field
	Settle       Field
	SecretHeader Field
	Secret       Field // its Value is never filled in
	HasSecret    bool  // one is kept
	Timeout      Field
	MaxAnswer    Field
	Identified   bool
	Once         string // makes a form that is sent twice make one endpoint
}

// TrialView is where a seller calls his own paid API, and sees all that programs see.
//
// Shown by GET /dashboard/endpoints/{endpoint}/trial, and with Steps by POST, which takes method, path (what follows the
// address) and body.
type TrialView struct {
	DashboardView
	Endpoint id.Endpoint
	Title    string
	CallURL  string
	Price    money.USDC
	MayPay   bool // the test wallet pays; else only the price is asked for
	Method   Field
	Path     Field
	Body     Field
	Steps    []TrialStep
	Outcome  string // in one sentence, once there are steps
	Worked   bool
}

// TrialStep is one request and its answer.
type TrialStep struct {
	Name     string
	Method   string
	Path     string
	Sent     []Header
	SentBody string
	Status   string // "402 Payment Required"; empty where nothing was answered
	Problem  string // why not
	Got      []Header
	GotBody  []byte
	Cut      bool // more came than is shown
	Spelled  []Spelled
}

// Spelled is what a header says in base64.
type Spelled struct{ Name, JSON string }

// PassesView is the list of passes.
//
// Shown by GET /dashboard/endpoints/passes, with the query endpoint. Live: [LiveFragment].
type PassesView struct {
	DashboardView
	Endpoint id.Endpoint // whose they are; empty for all
	Title    string      // of that endpoint
	Passes   []PassRow
	Pages    Pages
}

// PassRow is one pass.
type PassRow struct {
	Pass     id.Pass
	Endpoint id.Endpoint
	Title    string // of the endpoint
	Payer    string
	Payments int
	Ends     time.Time // zero for never
	State    string    // "active", "expired" or "revoked"
}

var endpointPricings = []kindChoice{
	{"per_request", "Each call", "Every request is paid for."},
	{"one_time", "Once", "Who pays may call for ever, with a pass."},
	{"subscription", "A subscription", "Who pays may call for a while, with a pass."},
}

var endpointSettles = []kindChoice{
	{"after", "After the answer", "The answer is held until it is paid. What fails costs nothing. Up to 4 MiB."},
	{"first", "Before the call", "For work that is dear, and for large or endless answers."},
}

var endpointIntervals = []Option{{"hour", "Hour"}, {"day", "Day"}, {"week", "Week"}, {"month", "Month"}, {"year", "Year"}}

var trialMethods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"}

// per says what the price is paid for: "per call", "per month".
func (r EndpointRow) per() string {
	switch r.Pricing {
	case "one_time":
		return "once"
	case "subscription":
		return "per " + r.Interval
	default:
		return "per call"
	}
}

// settles says when the money moves.
func (r EndpointRow) settles() string {
	if r.First {
		return "Before the call"
	}
	return "After the answer"
}

func (r EndpointRow) givesPass() bool { return r.Pricing != "per_request" }

// endpointState is the word and glyph of a paid API.
func endpointState(disabled bool) (word, glyph, tone string) {
	if disabled {
		return "Off", "rejected", ToneNeutral
	}
	return "On", "settled", ToneOK
}

// passState is the word and glyph of a pass.
func passState(state string) (word, glyph, tone string) {
	switch state {
	case "expired":
		return "Over", "expired", ToneNeutral
	case "revoked":
		return "Revoked", "cancelled", ToneNeutral
	default:
		return "Active", "settled", ToneOK
	}
}

// seconds writes a time that is whole seconds.
func seconds(d time.Duration) string { return count(int(d/time.Second), "second", "seconds") }

// inBytes writes a size as people do, where it is a round one.
func inBytes(n int64) string {
	const kib, mib = 1 << 10, 1 << 20
	switch {
	case n%mib == 0:
		return thousands(int(n/mib)) + " MiB"
	case n%kib == 0:
		return thousands(int(n/kib)) + " KiB"
	default:
		return count(int(n), "byte", "bytes")
	}
}

// command is how a program's owner pays from a shell.
func (v EndpointView) command() string {
	return "# what it costs\ncurl -i " + v.CallURL + "\n\n# pay it\nxsynesis pay --max " + v.Price.String() + " " + v.CallURL
}

func (v EndpointFormView) action() string {
	if v.Endpoint == "" {
		return EndpointsPath
	}
	return EndpointEditPath(v.Endpoint)
}

func (v EndpointFormView) back() string {
	if v.Endpoint == "" {
		return EndpointsPath
	}
	return EndpointPath(v.Endpoint)
}

func (v EndpointFormView) verb() string {
	if v.Endpoint == "" {
		return "Put it on sale"
	}
	return "Save"
}

// secretHint says whether one is kept: it cannot be read again.
func (v EndpointFormView) secretHint() string {
	if v.HasSecret {
		return "One is kept, and nobody can read it again. Empty keeps it, but for an address on another server."
	}
	return "It is sealed, and never shown again."
}

// secretInWords is what the closed fold says it holds.
func (v EndpointFormView) secretInWords() string {
	if v.SecretHeader.Value == "" {
		return "None"
	}
	return v.SecretHeader.Value
}

// examplesInWords is what the closed fold says it holds.
func (v EndpointFormView) examplesInWords() string {
	switch {
	case v.Input.Value != "" && v.Output.Value != "":
		return "Both"
	case v.Input.Value != "":
		return "What is asked"
	case v.Output.Value != "":
		return "What is answered"
	default:
		return "None"
	}
}

// limitsInWords is what the closed fold says it holds.
func (v EndpointFormView) limitsInWords() string {
	most := "4 MiB"
	if n, err := strconv.ParseInt(v.MaxAnswer.Value, 10, 64); err == nil {
		most = inBytes(n)
	}
	return cmp.Or(v.Timeout.Value, "20") + " s, " + most
}

// head is a request's first line and headers.
func (s TrialStep) head() string { return s.Method + " " + s.Path + headerText(s.Sent) }

// answered is an answer's first line and headers.
func (s TrialStep) answered() string { return "HTTP " + s.Status + headerText(s.Got) }

func (s TrialStep) glyph() string {
	switch {
	case s.Status == "" || strings.HasPrefix(s.Status, "5"):
		return "failed"
	case strings.HasPrefix(s.Status, "2"):
		return "settled"
	default:
		return "open"
	}
}

// verb is what the button of a trial does.
func (v TrialView) verb() string {
	if v.MayPay {
		return "Call and pay " + AmountUSDC(v.Price)
	}
	return "Ask for the price"
}
