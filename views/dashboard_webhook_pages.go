package views

import (
	"time"

	"xsynesis/id"
)

// WebhooksView is the list of the shop's webhooks.
type WebhooksView struct {
	DashboardView
	Webhooks []WebhookRow
	Pages    Pages
	Policy   PolicyView
}

// WebhookRow is one webhook in the list.
type WebhookRow struct {
	Subscription  id.Subscription
	URL           string
	Description   string
	Events        []string  // empty: every event
	State         string    // active, failing, paused or disabled
	LastDelivered time.Time // zero: never
	Failed        int       // deliveries that were given up and are still kept
}

// PolicyView is the rule by which events are delivered, as the pages print it.
type PolicyView struct {
	Waits    []time.Duration // between the tries
	Timeout  time.Duration   // of one try
	Overlap  time.Duration   // how long two secrets sign
	Keep     time.Duration   // how long deliveries are kept
	Patience time.Duration   // the most that Retry-After makes of a wait
	Silence  time.Duration   // without one accepted delivery, and
	Failures int             // as many failed tries, a webhook is turned off
}

// WebhookFormView is the form of a new webhook, or of an existing one when Subscription is set.
type WebhookFormView struct {
	DashboardView
	Subscription id.Subscription
	Problem      string // what is wrong with the whole rather than with one field
	URL          Field
	Description  Field
	Choice       string // one of [EventChoices]
	Groups       []EventGroup
	Events       Field  // only its problem is shown
	Once         string // makes a form that is sent twice make one webhook
}

// The values of the field "choice".
const (
	EventsAll      = "all"
	EventsPayments = "payments"
	EventsSome     = "some"
)

// EventChoices are those values with their words, in the order shown.
var EventChoices = []Option{
	{EventsAll, "Every event, also those added later"}, {EventsPayments, "All payment events"}, {EventsSome, "Only these"},
}

// EventGroup is the events about one kind of thing.
type EventGroup struct {
	Name   string
	Events []EventOption
}

// EventOption is an event that a webhook may be told.
type EventOption struct {
	Type    string // "payment.completed"
	Summary string
	Chosen  bool
}

// WebhookSecretView shows a secret, once, and how to check signatures with it.
type WebhookSecretView struct {
	DashboardView
	Subscription id.Subscription
	URL          string
	Secret       string
	Until        time.Time // until then the secret before signs as well; zero for a webhook's first
}

// WebhookView is one webhook.
type WebhookView struct {
	DashboardView
	Subscription  id.Subscription
	URL           string
	Description   string
	Events        []string // empty: every event
	State         string   // as in [WebhookRow]
	Reason        string   // why it was turned off
	Created       time.Time
	LastDelivered time.Time // zero: never
	FailingSince  time.Time // zero: the last try was accepted
	RotatingUntil time.Time // zero: one secret signs
	Latest        []DeliveryRow
	Policy        PolicyView
}

// DeliveriesView is the list of deliveries of the whole shop.
type DeliveriesView struct {
	DashboardView
	Filter     DeliveryFilter
	Deliveries []DeliveryRow
	Pages      Pages
}

// DeliveryFilter is the form above the deliveries, as it was sent.
type DeliveryFilter struct {
	Status   string // one of [DeliveryStatuses]
	Event    string // empty for all
	Events   []string
	Webhook  string // empty for all
	Webhooks []Option
	Search   string // the id of an event or of what it tells of
}

// DeliveryStatuses are the values of the field "status", in the order shown.
var DeliveryStatuses = []Option{
	{"", "All"}, {"failed", "Failed"}, {"pending", "Trying again"}, {"delivered", "Delivered"},
}

// DeliveryRow is one delivery in a list.
type DeliveryRow struct {
	Delivery   id.Delivery
	Time       time.Time // when it happened that the event tells of
	Event      string    // "payment.completed"
	Object     string    // the id of what it tells of
	ObjectPath string    // its page, or empty
	URL        string    // of the webhook
	State      string    // sending, pending, delivered, failed or cancelled
	Tries      int       // that count
	Most       int
	Status     int           // of the last answer; 0: there was none
	Class      string        // of the last failure, as egress names it
	Took       time.Duration // of the last try
	Next       time.Time     // the next try; zero: none
	Replay     bool          // sent again by hand
}

// DeliveryView is one delivery, with one of its tries in full.
type DeliveryView struct {
	DashboardView
	Delivery     id.Delivery
	Subscription id.Subscription
	URL          string
	EventID      string
	Object       string
	ObjectPath   string
	Detail       string // what the object is for people: "Tide tables, 30 days, 12.50 USDC"
	State        string // as in [DeliveryRow]
	Reason       string // why it was cancelled
	Replay       bool
	Gone         bool // the webhook was removed: nothing more is sent to it
	Tries        []Try
	Plan         []time.Time // the tries to come
	Most         int
	Counted      int // tries that count
	Chosen       int // the number of the try shown; 0: there is none
	Raw          bool
	Body         string // as it was sent
	Pretty       string // the same, a line for each member
	Policy       PolicyView
	Now          time.Time
	Page         string // what it fetches anew while a try is under way or to come; empty: nothing will change
	Soon         bool   // a try is under way, or due
	Waits        bool   // it is due, and may not be sent yet
}

// Try is one try of a delivery.
type Try struct {
	N         int // counts all of them
	Number    int // counts those that count, as the server was told
	Time      time.Time
	State     string // running, delivered, failed or interrupted
	Status    int    // 0: no answer
	Class     string // of a failure, as egress names it
	Reason    string // what the error said
	Connected time.Duration
	Took      time.Duration
	TLS       string
	Sent      []Header // signatures left out
	Got       []Header
	Answer    []byte // the first of it
	Bytes     int64  // of the whole answer
}

// Header is one line of a request or an answer.
type Header struct{ Name, Value string }

// ReplayFormView asks what to send again; with Counted set it says how much that is.
type ReplayFormView struct {
	DashboardView
	Problem  string
	Webhook  string // empty for all
	Webhooks []Option
	Since    Field // 2006-01-02T15:04
	Rate     Field // per second
	Zone     string
	Counted  bool
	Count    int
	Duration time.Duration // how long it will take at that rate
}

// ReplayView shows how sending many again goes.
type ReplayView struct {
	DashboardView
	Replay    id.Replay
	URL       string // of the one webhook it is for; empty for all
	Since     time.Time
	Begun     time.Time
	Ended     time.Time // zero: it is under way
	Count     int
	Done      int    // sent again so far
	Delivered int    // of those, accepted
	Failed    int    // of those, given up again
	Rate      int    // per second
	State     string // running, done or cancelled
	Page      string // what it fetches anew while it is under way; empty: nothing will change
}

// NoticesView is what the shop was told, the newest first.
type NoticesView struct {
	DashboardView
	Notices []NoticeRow
}

// NoticeRow is one notice.
type NoticeRow struct {
	ID     string
	Time   time.Time
	Text   string
	Path   string // of this site; empty for none
	Unread bool
}
