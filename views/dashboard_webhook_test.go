package views

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/stretchr/testify/require"

	"xsynesis/id"
)

func TestWebhookPages(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]templ.Component{
		"webhooks":            Webhooks(webhooksExample()),
		"webhooks_none":       Webhooks(WebhooksView{DashboardView: shell("Webhooks", SectionWebhooks), Policy: policyExample()}),
		"webhook":             Webhook(webhookExample()),
		"webhook_fresh":       Webhook(freshWebhookExample()),
		"webhook_paused":      Webhook(webhookExampleIn("paused", "")),
		"webhook_disabled":    Webhook(webhookExampleIn("disabled", "Your server answered 410 Gone on 21 Nov 2026, which asks us to stop.")),
		"webhook_failing":     Webhook(failingWebhookExample()),
		"webhook_new":         WebhookForm(webhookFormExample()),
		"webhook_new_refused": WebhookForm(refusedWebhookExample()),
		"webhook_edit":        WebhookForm(editWebhookExample()),
		"webhook_secret":      WebhookSecret(secretExample(time.Time{})),
		"webhook_rotated":     WebhookSecret(secretExample(at(22, 14, 32, 9))),
		"deliveries":          Deliveries(deliveriesExample()),
		"deliveries_none":     Deliveries(DeliveriesView{DashboardView: shell("Deliveries", SectionWebhooks), Filter: deliveryFilterExample("")}),
		"deliveries_no_match": Deliveries(DeliveriesView{DashboardView: shell("Deliveries", SectionWebhooks), Filter: deliveryFilterExample("failed")}),
		"delivery":            Delivery(deliveryExample()),
		"delivery_raw":        Delivery(rawDeliveryExample()),
		"delivery_queued":     Delivery(queuedDeliveryExample()),
		"delivery_sending":    Delivery(sendingDeliveryExample()),
		"delivery_delivered":  Delivery(deliveredExample()),
		"delivery_failed":     Delivery(failedDeliveryExample()),
		"delivery_cancelled":  Delivery(cancelledDeliveryExample()),
		"replay_new":          ReplayForm(replayFormExample()),
		"replay_counted":      ReplayForm(countedReplayExample(1204)),
		"replay_nothing":      ReplayForm(countedReplayExample(0)),
		"replay_refused":      ReplayForm(refusedReplayExample()),
		"replay":              Replay(replayExample()),
		"replay_done":         Replay(doneReplayExample()),
		"notices":             Notices(noticesExample()),
		"notices_none":        Notices(NoticesView{DashboardView: shell("Notices", SectionNotices)}),
		"webhook_remove":      Confirm(removalExample()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, "dashboard_"+name, page)
			html := render(t, page)
			require.NotContains(t, html, " style=")
			require.NotRegexp(t, `<[^>]* on[a-z]+=`, html)
		})
	}
}

func TestWhatAServerAnsweredIsText(t *testing.T) {
	t.Parallel()
	v := deliveredExample()
	v.Tries[0].Answer = []byte("<script>alert(1)</script><img src=x onerror=alert(2)>")
	v.Tries[0].Got = []Header{{"X-Mark", `"><svg onload=alert(3)>`}}
	html := render(t, Delivery(v))
	require.NotContains(t, html, "<script>alert")
	require.NotContains(t, html, "<img src=x")
	require.NotContains(t, html, "<svg onload")
	require.Contains(t, html, "&lt;script&gt;alert(1)&lt;/script&gt;")
}

func TestUnreadableBytesOfAnAnswerAreMarked(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain\n\ttext": "plain\n\ttext", "caf\xe9": "caf�", "a\x00b\x1b[31m": "a�b�[31m", "paid \u202e05.0": "paid �05.0", "\xff\xfe": "�",
	} {
		text, readable := inert([]byte(in))
		require.Equal(t, want, text)
		require.Equal(t, in == want, readable, want)
	}
	v := deliveredExample()
	v.Tries[0].Answer = []byte("caf\xe9")
	require.Contains(t, render(t, Delivery(v)), "is no text")
}

func TestEveryClassOfFailureHasItsWords(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, class := range []string{"dns", "connect", "tls", "timeout", "refused", "too_large", "reset", "protocol"} {
		o := Try{State: "failed", Class: class, Took: time.Second}.outcome(10 * time.Second)
		require.NotEqual(t, "Failed", o.name, class)
		require.False(t, seen[o.verdict], class)
		seen[o.verdict] = true
		require.NotEmpty(t, o.advice, class)
	}
	for status, want := range map[int]string{302: "Redirects", 401: "signature", 404: "POST", 410: "stop", 429: "Retry-After", 503: "log", 418: "2xx"} {
		require.Contains(t, Try{State: "failed", Status: status}.outcome(time.Second).advice, want)
	}
}

func TestDurationsAreWrittenAsPeopleDo(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		10 * time.Second: "10 seconds", time.Minute: "1 minute", 24 * time.Hour: "24 hours", 72 * time.Hour: "72 hours",
		30 * 24 * time.Hour: "30 days", 212 * time.Millisecond: "212 ms",
	} {
		require.Equal(t, want, span(d))
	}
	require.Equal(t, "2, 4, 8 and 16 minutes", list(policyExample().Waits))
	require.Equal(t, "30 seconds and 2 minutes", list([]time.Duration{30 * time.Second, 2 * time.Minute}))
	for d, want := range map[time.Duration]string{
		6*time.Minute + 4*time.Second: "6 minutes", 55 * time.Second: "1 minute", 12 * time.Second: "12 seconds", -time.Second: "0 seconds",
		90 * time.Minute: "2 hours", 40 * time.Hour: "2 days",
	} {
		require.Equal(t, want, about(d), d.String())
	}
}

// The command must survive a shell with every character that a body can hold.
func TestTheCommandSendsTheSameBody(t *testing.T) {
	t.Parallel()
	v := deliveryExample()
	v.Body = `{"title":"Joe's \"$HOME\" ` + "`id`" + ` \\ $(id) é"}`
	command := v.curl()
	require.NotContains(t, command, "redacted")
	require.Contains(t, command, `-H 'webhook-id: evt_1JD7Q4M2KzXcVb8sTgHyPw'`)
	sh := exec.Command("sh", "-c", "curl() { for a in \"$@\"; do last=$a; done; printf %s \"$last\"; }\n"+command)
	sh.Env = []string{"PATH=/usr/bin:/bin", "WEBHOOK_SECRET=whsec_x"}
	out, err := sh.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, v.Body, string(out))
}

func TestTheCodeHoldsTheSecretOrReadsIt(t *testing.T) {
	t.Parallel()
	for _, l := range languages {
		require.Contains(t, l.code("whsec_abc"), `"whsec_abc"`)
		require.Contains(t, l.code(""), l.fromEnv)
		require.NotContains(t, l.code(""), "{{")
		require.False(t, strings.Contains(l.code(""), "\t") && l.value != "go")
	}
}

func policyExample() PolicyView {
	return PolicyView{
		Waits:   []time.Duration{2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute},
		Timeout: 10 * time.Second, Overlap: 24 * time.Hour, Keep: 30 * 24 * time.Hour, Patience: time.Hour, Silence: 72 * time.Hour, Failures: 100,
	}
}

const hooks = "https://hooks.tidewater.example/hooks/xsynesis"

func webhooksExample() WebhooksView {
	v := WebhooksView{
		DashboardView: shell("Webhooks", SectionWebhooks), Policy: policyExample(),
		Webhooks: []WebhookRow{
			{Subscription: "ws_4", URL: hooks, Events: []string{"payment.completed"}, State: "failing", LastDelivered: at(21, 13, 5, 2), Failed: 3},
			{Subscription: "ws_3", URL: "https://orders.kaffe-nord.example/", Description: "Kitchen printer", State: "active", LastDelivered: at(21, 14, 32, 9)},
			{Subscription: "ws_2", URL: "http://127.0.0.1:3000/webhook", Events: []string{"link.expired", "payment.late"}, State: "paused"},
			{Subscription: "ws_1", URL: "https://an-old-and-very-long-name-of-a-server.tidewater.example/a/long/path/of/many/parts", State: "disabled", LastDelivered: at(2, 9, 0, 0), Failed: 1204},
		},
		Pages: Pages{Older: WebhooksPath + "?before=ws_1"},
	}
	v.Failed, v.Unread, v.Live = 3, 2, WebhooksPath
	return v
}

func webhookExample() WebhookView {
	v := WebhookView{
		DashboardView: shell("hooks.tidewater.example", SectionWebhooks), Subscription: "ws_3vQB7u9dXkZpR2mNcTfWyA", URL: hooks,
		Description: "Orders", Events: []string{"payment.completed", "settlement.confirmed"}, State: "active", Created: at(18, 9, 12, 0),
		LastDelivered: at(21, 14, 32, 9), Latest: deliveryRows(), Policy: policyExample(),
	}
	v.Live = WebhookPath(v.Subscription)
	return v
}

func freshWebhookExample() WebhookView {
	v := webhookExample()
	v.Latest, v.Events, v.Description, v.LastDelivered = nil, nil, "", time.Time{}
	return v
}

func webhookExampleIn(state, reason string) WebhookView {
	v := webhookExample()
	v.State, v.Reason, v.Latest = state, reason, nil
	return v
}

func failingWebhookExample() WebhookView {
	v := webhookExample()
	v.State, v.FailingSince, v.RotatingUntil = "failing", at(21, 13, 40, 0), at(22, 14, 32, 9)
	return v
}

func eventGroupsExample() []EventGroup {
	return []EventGroup{
		{"Payments", []EventOption{
			{"payment.attempt_created", "A buyer began to pay.", false},
			{"payment.completed", "A payment arrived.", true},
			{"payment.late", "A payment arrived after its time.", false},
		}},
		{"Settlements", []EventOption{{"settlement.confirmed", "The chain confirmed a payment.", true}}},
	}
}

func webhookFormExample() WebhookFormView {
	return WebhookFormView{DashboardView: shell("New webhook", SectionWebhooks), Choice: EventsAll, Groups: eventGroupsExample(), Once: "7yGm2QwErTzUiPaSdFgHjK"}
}

func refusedWebhookExample() WebhookFormView {
	v := webhookFormExample()
	v.URL = Field{"https://user:secret@hooks.example/<x>", "An address holds no name and password."}
	v.Description = Field{"Orders & more", ""}
	v.Choice, v.Groups = EventsSome, []EventGroup{{"Payments", []EventOption{{"payment.completed", "A payment arrived.", false}}}}
	v.Events = Field{Problem: "Choose at least one event."}
	v.Problem = "Nothing was created yet."
	return v
}

func editWebhookExample() WebhookFormView {
	v := webhookFormExample()
	v.Heading, v.Subscription, v.Once, v.Choice = "Edit webhook", "ws_3", "", EventsSome
	v.URL, v.Description = Field{Value: hooks}, Field{Value: "Orders"}
	return v
}

func secretExample(until time.Time) WebhookSecretView {
	return WebhookSecretView{
		DashboardView: shell("Keep this secret", SectionWebhooks), Subscription: "ws_3", URL: hooks,
		Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", Until: until,
	}
}

func deliveryFilterExample(status string) DeliveryFilter {
	return DeliveryFilter{
		Status: status, Events: []string{"payment.completed", "settlement.confirmed"},
		Webhooks: []Option{{"ws_4", "hooks.tidewater.example"}, {"ws_3", "Kitchen printer"}},
	}
}

func deliveryRows() []DeliveryRow {
	row := func(i int, event, state string) DeliveryRow {
		return DeliveryRow{
			Delivery: id.Delivery("dlv_" + strconv.Itoa(i)), Time: at(21, 14, 40-i, 9), Event: event,
			Object: "pa_8kQB7u9dXkZpR2mNcTBWy8", ObjectPath: "/pay/pa_8kQB7u9dXkZpR2mNcTBWy8", URL: hooks, State: state, Tries: 1, Most: 5,
		}
	}
	sending, waiting, accepted, failed, cancelled := row(1, "payment.completed", "sending"), row(2, "payment.completed", "pending"),
		row(3, "settlement.confirmed", "delivered"), row(4, "payment.attempt_created", "failed"), row(5, "webhook.test", "cancelled")
	sending.Tries = 0
	waiting.Tries, waiting.Class, waiting.Took, waiting.Next = 3, "timeout", 10*time.Second, at(21, 14, 46, 21)
	accepted.Status, accepted.Took = 204, 41*time.Millisecond
	failed.Tries, failed.Status, failed.Took, failed.Replay = 5, 500, 1980*time.Millisecond, true
	cancelled.Object, cancelled.ObjectPath, cancelled.Class = "ws_3vQB7u9dXkZpR2mNcTfWyA", "", "dns"
	return []DeliveryRow{sending, waiting, accepted, failed, cancelled}
}

func deliveriesExample() DeliveriesView {
	v := DeliveriesView{
		DashboardView: shell("Deliveries", SectionWebhooks), Filter: deliveryFilterExample("failed"), Deliveries: deliveryRows(),
		Pages: Pages{Older: DeliveriesPath + "?before=dlv_1"},
	}
	v.Filter.Status, v.Filter.Event, v.Filter.Webhook, v.Filter.Search = "", "payment.completed", "ws_4", "pa_8kQB7u9dXkZpR2mNcTBWy8"
	v.Failed, v.Live = 1, DeliveriesPath
	return v
}

func sentExample(attempt string) []Header {
	return []Header{
		{"Content-Type", "application/json"}, {"User-Agent", "xSynesis/1"}, {"X-Webhook-Attempt", attempt}, {"X-Webhook-Event", "payment.completed"},
		{"X-Webhook-Signature", "redacted"}, {"webhook-id", "evt_1JD7Q4M2KzXcVb8sTgHyPw"}, {"webhook-signature", "redacted"}, {"webhook-timestamp", "1795268531"},
	}
}

func deliveryExample() DeliveryView {
	v := DeliveryView{
		DashboardView: shell("payment.completed", SectionWebhooks), Delivery: "dlv_9kQB7u9dXkZpR2mNcTAWy9", Subscription: "ws_4", URL: hooks,
		EventID: "evt_1JD7Q4M2KzXcVb8sTgHyPw", Object: "pa_8kQB7u9dXkZpR2mNcTBWy8", ObjectPath: "/pay/pa_8kQB7u9dXkZpR2mNcTBWy8",
		Detail: "Tide tables, 30 days, 12.50\u00a0USDC", State: "pending", Most: 5, Counted: 3, Chosen: 4, Policy: policyExample(), Now: at(21, 14, 40, 21),
		Body:   `{"id":"evt_1JD7Q4M2KzXcVb8sTgHyPw","event_type":"payment.completed","payload":{"amount":"12500000","note":"Joe's <b>cup</b>"}}`,
		Pretty: "{\n  \"id\": \"evt_1JD7Q4M2KzXcVb8sTgHyPw\",\n  \"event_type\": \"payment.completed\",\n  \"payload\": {\n    \"amount\": \"12500000\",\n    \"note\": \"Joe's <b>cup</b>\"\n  }\n}",
		Plan:   []time.Time{at(21, 14, 46, 21), at(21, 15, 2, 21)},
		Tries: []Try{
			{N: 1, Number: 1, Time: at(21, 14, 32, 10), State: "failed", Status: 500, Took: 212 * time.Millisecond, Sent: sentExample("1")},
			{N: 2, Number: 2, Time: at(21, 14, 34, 10), State: "failed", Status: 500, Took: 198 * time.Millisecond, Sent: sentExample("2")},
			{N: 3, Number: 3, Time: at(21, 14, 38, 2), State: "interrupted", Sent: sentExample("3")},
			{N: 4, Number: 3, Time: at(21, 14, 38, 11), State: "failed", Class: "timeout", Connected: 41 * time.Millisecond, Took: 10 * time.Second, TLS: "TLS 1.3", Sent: sentExample("3")},
		},
	}
	v.Page, v.Refresh = DeliveryTryPath(v.Delivery, 4, false), true
	return v
}

func rawDeliveryExample() DeliveryView {
	v := deliveryExample()
	v.Raw, v.Chosen = true, 1
	v.Tries[0].Got = []Header{{"Content-Type", "text/html"}, {"Server", "nginx"}}
	v.Tries[0].Answer, v.Tries[0].Bytes = []byte("<h1>500</h1>\n<script>steal()</script>"), 18_204
	return v
}

func queuedDeliveryExample() DeliveryView {
	v := deliveryExample()
	v.State, v.Tries, v.Counted, v.Chosen, v.Soon, v.Detail = "sending", nil, 0, 0, true, ""
	v.Plan = []time.Time{v.Now, v.Now.Add(2 * time.Minute), v.Now.Add(6 * time.Minute), v.Now.Add(14 * time.Minute), v.Now.Add(30 * time.Minute)}
	return v
}

func sendingDeliveryExample() DeliveryView {
	v := deliveryExample()
	v.State, v.Counted, v.Chosen, v.Soon, v.Plan, v.ObjectPath, v.Detail = "sending", 0, 1, true, nil, "", ""
	v.Tries = []Try{{N: 1, Number: 1, Time: at(21, 14, 32, 10), State: "running", Sent: sentExample("1")}}
	return v
}

func deliveredExample() DeliveryView {
	v := deliveryExample()
	v.State, v.Counted, v.Chosen, v.Plan, v.Page, v.Refresh = "delivered", 1, 1, nil, "", false
	v.Tries = []Try{{
		N: 1, Number: 1, Time: at(21, 14, 32, 10), State: "delivered", Status: 200, Connected: 12 * time.Millisecond, Took: 41 * time.Millisecond, TLS: "TLS 1.3",
		Sent: sentExample("1"), Got: []Header{{"Content-Type", "application/json"}}, Answer: []byte(`{"ok":true}`), Bytes: 11,
	}}
	return v
}

func failedDeliveryExample() DeliveryView {
	v := deliveredExample()
	v.State, v.Replay, v.Counted, v.Chosen = "failed", true, 5, 5
	v.Tries = nil
	for i, class := range []string{"dns", "connect", "tls", "reset", "refused"} {
		v.Tries = append(v.Tries, Try{N: i + 1, Number: i + 1, Time: at(21, 14, 32+1<<i, 10), State: "failed", Class: class, Reason: "This name leads to a private address.", Took: time.Second})
	}
	return v
}

func cancelledDeliveryExample() DeliveryView {
	v := deliveredExample()
	v.State, v.Reason, v.Tries, v.Counted, v.Chosen, v.Gone = "cancelled", "The webhook was unregistered.", nil, 0, 0, true
	v.Heading, v.Object, v.ObjectPath, v.Detail = "webhook.test", "ws_3vQB7u9dXkZpR2mNcTfWyA", "", ""
	return v
}

func replayFormExample() ReplayFormView {
	return ReplayFormView{
		DashboardView: shell("Send failed again", SectionWebhooks), Webhooks: deliveryFilterExample("").Webhooks, Zone: "Copenhagen time",
		Since: Field{Value: "2026-11-20T14:40"}, Rate: Field{Value: "10"},
	}
}

func countedReplayExample(n int) ReplayFormView {
	v := replayFormExample()
	v.Webhook, v.Counted, v.Count, v.Duration = "ws_4", true, n, time.Duration(n/10)*time.Second
	return v
}

func refusedReplayExample() ReplayFormView {
	v := replayFormExample()
	v.Since.Problem, v.Rate = "Give a day and a time.", Field{"a lot", "Give a whole number from 1 to 100."}
	return v
}

func replayExample() ReplayView {
	v := ReplayView{
		DashboardView: shell("Sending again", SectionWebhooks), Replay: "rpl_9kQB7u9dXkZpR2mNcTAWy9", URL: hooks, Since: at(20, 14, 40, 0),
		Begun: at(21, 14, 40, 0), Count: 1204, Done: 380, Delivered: 371, Failed: 2, Rate: 10, State: "running",
	}
	v.Page, v.Refresh = ReplayPath(v.Replay), true
	return v
}

func doneReplayExample() ReplayView {
	v := replayExample()
	v.URL, v.Done, v.Ended, v.State, v.Page, v.Refresh = "", 1204, at(21, 14, 42, 1), "done", "", false
	return v
}

func noticesExample() NoticesView {
	v := NoticesView{DashboardView: shell("Notices", SectionNotices), Notices: []NoticeRow{
		{ID: "ntc_2", Time: at(21, 14, 40, 0), Text: "hooks.tidewater.example was turned off: it answered 410.", Path: WebhookPath("ws_4"), Unread: true},
		{ID: "ntc_1", Time: at(20, 9, 0, 0), Text: "Gas money is low."},
	}}
	v.Unread = 1
	return v
}

func removalExample() ConfirmView {
	return ConfirmView{
		DashboardView: shell("Remove this webhook?", SectionWebhooks), Subject: "hooks.tidewater.example",
		Consequence: "Nothing more is sent to this address.", Action: WebhookRemovalPath("ws_4"), Verb: "Remove webhook", Back: WebhookPath("ws_4"),
	}
}
