package views

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
)

// host is what people call an address by: its name, and its port where that says something.
func host(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return address
	}
	return u.Host
}

// afterHost is the rest of an address, or nothing where that is only a slash.
func afterHost(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.RequestURI() == "/" {
		return ""
	}
	return u.RequestURI()
}

// eventsOf names what a webhook is told, in few words.
func eventsOf(events []string) string {
	switch len(events) {
	case 0:
		return "Every event"
	case 1:
		return events[0]
	}
	return count(len(events), "event", "events")
}

// policy says when we try, in sentences that are made of the rule itself.
func (p PolicyView) policy() []string {
	lines := []string{"We try at once, then after " + list(p.Waits) + "."}
	lines = append(lines, "Any 2xx answer within "+span(p.Timeout)+" counts as accepted. Redirects are not followed.")
	if p.Patience > 0 {
		lines = append(lines, "Retry-After makes a wait longer, up to "+span(p.Patience)+".")
	}
	if p.Keep > 0 {
		lines = append(lines,
			"Events may arrive in another order. Those of one purchase are numbered: a lower number that comes later is out of date.",
			"Deliveries are kept for "+span(p.Keep)+".")
	}
	if p.Silence > 0 {
		lines = append(lines, "A webhook that accepts nothing for "+span(p.Silence)+" and fails "+strconv.Itoa(p.Failures)+
			" times is turned off, and you are told. An answer of 410 turns it off at once.")
	}
	return lines
}

// list writes durations of one unit as people do: "2, 4, 8 and 16 minutes".
func list(ds []time.Duration) string {
	var parts []string
	for i, d := range ds {
		text := span(d)
		if i < len(ds)-1 {
			if number, unit, _ := strings.Cut(text, " "); strings.HasSuffix(span(ds[len(ds)-1]), unit) {
				text = number
			}
		}
		parts = append(parts, text)
	}
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}

// span writes a duration in its largest whole unit: "10 seconds", "24 hours", "30 days".
func span(d time.Duration) string {
	for _, unit := range []struct {
		size      time.Duration
		one, many string
	}{{24 * time.Hour, "day", "days"}, {time.Hour, "hour", "hours"}, {time.Minute, "minute", "minutes"}, {time.Second, "second", "seconds"}} {
		if d >= unit.size && d%unit.size == 0 && (unit.size < 24*time.Hour || d > 3*unit.size) {
			return count(int(d/unit.size), unit.one, unit.many)
		}
	}
	return millis(d)
}

// about writes a duration by its largest unit, rounded: "6 minutes".
func about(d time.Duration) string {
	for _, unit := range []struct {
		size      time.Duration
		one, many string
	}{{24 * time.Hour, "day", "days"}, {time.Hour, "hour", "hours"}, {time.Minute, "minute", "minutes"}} {
		if d.Round(unit.size) >= unit.size && d >= unit.size*9/10 {
			return count(int(d.Round(unit.size)/unit.size), unit.one, unit.many)
		}
	}
	return count(max(0, int(d.Round(time.Second)/time.Second)), "second", "seconds")
}

// millis writes a short time as it was measured: "212 ms", or "10 s" from two seconds on.
func millis(d time.Duration) string {
	if d < time.Millisecond {
		return "under 1 ms"
	}
	if d < 2*time.Second {
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	}
	return strconv.FormatInt(int64(d.Round(time.Second)/time.Second), 10) + " s"
}

// action is where the form is posted: the list for a new webhook, else its own edit page.
func (v WebhookFormView) action() string {
	if v.Subscription == "" {
		return WebhooksPath
	}
	return WebhookEditPath(v.Subscription)
}

// back is where Cancel leads.
func (v WebhookFormView) back() string {
	if v.Subscription == "" {
		return WebhooksPath
	}
	return WebhookPath(v.Subscription)
}

func (v WebhookFormView) verb() string {
	if v.Subscription == "" {
		return "Create webhook"
	}
	return "Save webhook"
}

// busy is the verb while it is being done.
func (v WebhookFormView) busy() string {
	if v.Subscription == "" {
		return "Creating…"
	}
	return "Saving…"
}

// choices are what a webhook may be told; "all payment events" is offered where a webhook begins.
func (v WebhookFormView) choices() []Option {
	if v.Subscription == "" || v.Choice == EventsPayments {
		return EventChoices
	}
	return slices.DeleteFunc(slices.Clone(EventChoices), func(o Option) bool { return o.Value == EventsPayments })
}

// unfiltered says that an empty list means no deliveries at all, not none that match.
func (f DeliveryFilter) unfiltered() bool {
	return f.Status == "" && f.Event == "" && f.Webhook == "" && f.Search == ""
}

// progress tells how far sending again has come, in words.
func (v ReplayView) progress() string {
	return thousands(v.Done) + " of " + thousands(v.Count) + " sent again"
}

func bellLabel(unread int) string {
	if unread == 0 {
		return "Notices"
	}
	return "Notices, " + strconv.Itoa(unread) + " unread"
}

// polling makes a page's live part fetch itself while something is under way.
func polling(page, every string) templ.Attributes {
	if page == "" {
		return nil
	}
	return templ.Attributes{"hx-get": page, "hx-trigger": "every " + every, "hx-swap": "outerHTML", "hx-target": "this"}
}

// polling asks each second while a try is under way, and else as often as the countdown to the next is worth.
func (v DeliveryView) polling() templ.Attributes {
	if v.Soon {
		return polling(v.Page, "1s")
	}
	return polling(v.Page, "5s")
}

func (v ReplayView) polling() templ.Attributes { return polling(v.Page, "1s") }

// pill is the state of a replay as a delivery's would be called.
func (v ReplayView) pill() string {
	if v.State == "running" {
		return "sending"
	}
	return v.State
}

func orSlash(path string) string { return cmp.Or(path, "/") }

// countedMost is how far what was not delivered is counted: nobody acts differently on a larger figure.
const countedMost = 99

// upTo99 writes a count that may be cut off: "99+".
func upTo99(n int) string {
	if n > countedMost {
		return strconv.Itoa(countedMost) + "+"
	}
	return strconv.Itoa(n)
}

// notDelivered says how many events did not arrive.
func notDelivered(n int) string {
	if n > countedMost {
		return "More than " + strconv.Itoa(countedMost) + " events were not delivered"
	}
	return count(n, "event was", "events were") + " not delivered"
}
