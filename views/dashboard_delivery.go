package views

import (
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// outcome is what a try came to: how it is called, how long that took, and the sentence above it with advice.
type outcome struct{ name, detail, verdict, advice string }

// failures are the outcomes without an answer that counts, by the class of the error.
var failures = map[string]outcome{
	"dns":       {"Name not found", "No server of this name", "The name of your server could not be found.", "Is the address spelled right?"},
	"connect":   {"No connection", "Nobody answered the door", "Your server did not take the connection.", "Is it running, and open to the internet?"},
	"tls":       {"No secure connection", "The certificate did not pass", "The secure connection could not be made.", "Is the certificate valid for this name, and not expired?"},
	"refused":   {"Not sent", "This address is not allowed", "We do not send to this address.", "Webhooks go to public https addresses."},
	"too_large": {"Answer too large", "We stopped reading", "The answer was too large to read.", "A status is all we need."},
	"reset":     {"Connection broke off", "Before there was an answer", "The connection broke off before there was an answer.", "Your server's log may say why."},
	"protocol":  {"No HTTP answer", "We could not read it", "What came back was not HTTP.", "Is this the port of your web server?"},
}

// advice is what an answer other than 2xx usually asks for.
func advice(status int) string {
	switch {
	case status == http.StatusGone:
		return "410 asks us to stop, so we did."
	case status >= 300 && status < 400:
		return "Redirects are not followed. Give the final address."
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return "Does it check the signature with the newest secret?"
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return "Does the address take POST?"
	case status == http.StatusTooManyRequests:
		return "Retry-After tells us when to come back."
	case status >= 500:
		return "Your server's log says why."
	}
	return "Any 2xx answer counts as accepted."
}

// outcome words what a try came to.
func (t Try) outcome(timeout time.Duration) outcome {
	took := "Answered in " + millis(t.Took)
	answered := strings.TrimSpace(strconv.Itoa(t.Status) + " " + http.StatusText(t.Status))
	switch {
	case t.State == "running":
		return outcome{"Sending", "Waiting for the answer", "", ""}
	case t.State == "interrupted":
		return outcome{"Interrupted", "On our side, it does not count", "This try was cut short on our side.", "It does not count, and is made again."}
	case t.State == "delivered":
		return outcome{answered, took, "Accepted.", "Answered " + answered + " in " + millis(t.Took) + "."}
	case t.Status >= 300: // a 2xx whose end did not come is a failure of the connection
		return outcome{answered, took, "Your server answered " + answered + ".", advice(t.Status)}
	case t.Class == "timeout":
		return outcome{"No answer", "We waited " + span(timeout), "No answer within " + span(timeout) + ".", "Answer first, then do the slow work."}
	}
	if o, ok := failures[t.Class]; ok {
		return o
	}
	return outcome{"Failed", "Without an answer", "This try failed without an answer.", ""}
}

// said describes the answer's silence.
func (t Try) silence() string {
	switch {
	case t.State == "running":
		return "Nothing yet."
	case t.Status > 0:
		return "An empty body."
	case t.Class == "timeout" && t.Connected > 0:
		return "Nothing. The connection opened in " + millis(t.Connected) + ", then stayed silent."
	}
	return "Nothing."
}

// timings is the small print of an answer.
func (t Try) timings() string {
	var parts []string
	if t.Connected > 0 {
		parts = append(parts, "Connected in "+millis(t.Connected))
	}
	if t.Took > 0 && t.State != "running" {
		parts = append(parts, millis(t.Took)+" in all")
	}
	if t.TLS != "" {
		parts = append(parts, t.TLS)
	}
	return strings.Join(parts, ", ")
}

// size says how much an answer held, and how much of it is kept.
func (t Try) size() string {
	if kept := int64(len(t.Answer)); t.Bytes > kept && kept > 0 {
		return "the first " + count(int(kept), "byte", "bytes") + " of " + thousands(int(t.Bytes))
	}
	return count(int(max(t.Bytes, int64(len(t.Answer)))), "byte", "bytes")
}

// glyph is the state whose outline stands before a try.
func (t Try) glyph() string {
	switch t.State {
	case "running":
		return "sending"
	case "interrupted":
		return "cancelled"
	}
	return t.State
}

// chosen is the try that is shown in full.
func (v DeliveryView) chosen() (Try, bool) {
	for _, t := range v.Tries {
		if t.N == v.Chosen {
			return t, true
		}
	}
	return Try{}, false
}

// planned words a try to come: i counts from the next one.
func (v DeliveryView) planned(i int) outcome {
	n := strconv.Itoa(v.Counted + i + 1)
	detail := "Automatic, try " + n + " of " + strconv.Itoa(v.Most)
	if i > 0 {
		detail = "If try " + strconv.Itoa(v.Counted+i) + " fails"
	}
	switch {
	case i == 0 && !v.Plan[0].After(v.Now):
		return outcome{name: "Next try now", detail: detail}
	case i == 0:
		return outcome{name: "Next try in " + about(v.Plan[0].Sub(v.Now)), detail: detail}
	case i == len(v.Plan)-1:
		return outcome{name: "Last try", detail: detail}
	}
	return outcome{name: "Try " + n, detail: detail}
}

// sentence says where a delivery stands.
func (v DeliveryView) sentence() string {
	switch v.State {
	case "delivered":
		return "Your server has accepted it."
	case "failed":
		return "Your server has not accepted it, and we have stopped trying."
	case "cancelled":
		return v.Reason
	}
	said := "It is on its way to your server."
	if v.State == "pending" {
		said = "Your server has not accepted it yet."
	}
	if v.Waits {
		said += " It waits, since the webhook is paused or your server is busy or failing."
	}
	return said
}

// curl is the command that sends the same again; it signs with a secret that only its reader knows.
func (v DeliveryView) curl() string {
	var b strings.Builder
	b.WriteString("BODY=" + quoted(v.Body) + "\n")
	b.WriteString(`SIGNATURE=$(printf %s "$BODY" | openssl dgst -sha256 -hmac "$WEBHOOK_SECRET" | sed 's/.* //')` + "\n")
	b.WriteString("curl -i " + quoted(v.URL) + ` \` + "\n")
	t, _ := v.chosen()
	for _, h := range t.Sent {
		if !strings.HasPrefix(strings.ToLower(h.Name), "x-webhook-signature") && !strings.EqualFold(h.Name, "webhook-signature") &&
			!strings.EqualFold(h.Name, "host") && !strings.EqualFold(h.Name, "content-length") {
			b.WriteString("  -H " + quoted(h.Name+": "+h.Value) + ` \` + "\n")
		}
	}
	b.WriteString(`  -H "X-Webhook-Signature: $SIGNATURE"` + ` \` + "\n")
	b.WriteString(`  --data-binary "$BODY"`)
	return b.String()
}

// quoted is a text as one word of a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// inert makes text of what a stranger's server sent: unreadable bytes, controls and marks that turn the reading
// direction around become U+FFFD. readable tells whether nothing was changed.
func inert(answer []byte) (text string, readable bool) {
	readable = utf8.Valid(answer)
	text = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			return r
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			readable = false
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(string(answer), string(unicode.ReplacementChar)))
	return text, readable
}

// answer is what a delivery's last try came to, for a cell: "500", "No answer".
func (r DeliveryRow) answer() string {
	switch {
	case r.Status > 0:
		return strconv.Itoa(r.Status)
	case r.Class == "timeout":
		return "No answer"
	case r.Class != "":
		return Try{State: "failed", Class: r.Class}.outcome(0).name
	}
	return ""
}

// took is how long an answer took, to stand after it.
func (r DeliveryRow) took() string {
	if r.Status == 0 {
		return ""
	}
	return ", " + millis(r.Took)
}

// to is where a delivery goes, to stand after its object where there is no column for it.
func (r DeliveryRow) to(everywhere bool) string {
	if !everywhere {
		return ""
	}
	return ", " + host(r.URL)
}

// headerText writes each header on a line of its own, after what stands before.
func headerText(headers []Header) string {
	var b strings.Builder
	for _, h := range headers {
		text, _ := inert([]byte(h.Name + ": " + h.Value))
		b.WriteString("\n" + text)
	}
	return b.String()
}
