package handlers

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/webhook"
)

func deliveryCalls() []apiCall {
	return []apiCall{
		{
			method: http.MethodPost, path: "/api/webhooks/test", scope: access.WebhooksWrite,
			summary: "Send webhook.test to one webhook at once, also where it is paused.",
			request: webhookRowRequest{}, status: 200, answer: deliveryJSON{}, refusals: []int{400, 401, 403, 404, 422}, run: api.testWebhook,
		},
		{
			method: http.MethodGet, path: "/api/webhooks/deliveries", scope: access.WebhooksRead, summary: "List what was sent and is to be sent, newest first.",
			query: listParams(deliveryParams...), status: 200, answer: listJSON[deliveryJSON]{}, refusals: []int{400, 401, 403}, run: api.listDeliveries,
		},
		{
			method: http.MethodGet, path: "/api/webhooks/deliveries/{id}", scope: access.WebhooksRead,
			summary: "One delivery: its event to the letter, and every try with what came back.",
			status:  200, answer: deliveryLogJSON{}, refusals: []int{401, 403, 404}, run: api.delivery,
		},
		{
			method: http.MethodPost, path: "/api/webhooks/redeliver", scope: access.WebhooksWrite,
			summary: "Send one delivery's event again, by id, or everything that failed since a time: with dry_run it is only counted.",
			request: redeliverRequest{}, status: 200, answer: replayJSON{}, refusals: []int{400, 401, 403, 404, 422}, run: api.redeliver,
		},
		{
			method: http.MethodGet, path: "/api/webhooks/replays/{id}", scope: access.WebhooksRead, summary: "How far sending many again has come.",
			status: 200, answer: replayJSON{}, refusals: []int{401, 403, 404}, run: api.replay,
		},
	}
}

var deliveryParams = []apiParam{
	{"webhook_subscription_id", "Only those to this webhook."}, {"status", "pending, delivered, failed or cancelled."}, {"event_type", "Only of this event."},
	{"resource_id", "Only about this row."}, {"replay_id", "Only those that this replay sent again."}, {"from", "Made from the beginning of this day in UTC, or from this moment on."},
	{"to", "Made to the end of this day in UTC, or up to but without this moment."},
}

// deliveryJSON is one event on its way to one webhook.
type deliveryJSON struct {
	ID             id.Delivery     `json:"id"`
	Subscription   id.Subscription `json:"webhook_subscription_id"`
	URL            string          `json:"url"`
	Event          id.Event        `json:"event_id"`
	Type           webhook.Type    `json:"event_type"`
	ResourceID     string          `json:"resource_id"`
	Status         string          `json:"status"`
	Reason         string          `json:"reason"`
	Tries          int             `json:"tries"`
	NextTryAt      *time.Time      `json:"next_try_at"`
	LastStatus     int             `json:"last_status"`
	LastErrorClass string          `json:"last_error_class"`
	LastLatency    int64           `json:"last_latency_ms"`
	LastTryAt      *time.Time      `json:"last_try_at"`
	ReplayOf       *id.Delivery    `json:"replay_of"`
	Replay         *id.Replay      `json:"replay_id"`
	Livemode       bool            `json:"livemode"`
	CreatedAt      time.Time       `json:"created_at"`
	EndedAt        *time.Time      `json:"ended_at"`
}

// deliveryLogJSON is a delivery with its event and all its tries.
type deliveryLogJSON struct {
	deliveryJSON
	Body json.RawMessage `json:"event"`
	Log  []tryJSON       `json:"log"`
}

// tryJSON is one call of a seller's server.
type tryJSON struct {
	Number       int                 `json:"number"`
	Attempt      int                 `json:"attempt"`
	State        string              `json:"state"`
	URL          string              `json:"url"`
	Headers      map[string][]string `json:"request_headers"`
	StartedAt    time.Time           `json:"started_at"`
	EndedAt      *time.Time          `json:"ended_at"`
	Status       int                 `json:"response_status"`
	ErrorClass   string              `json:"error_class"`
	Error        string              `json:"error_message"`
	Connected    int64               `json:"connected_ms"`
	Latency      int64               `json:"latency_ms"`
	TLS          string              `json:"tls"`
	AnswerHeader map[string][]string `json:"response_headers"`
	Answer       string              `json:"response_body"`
	AnswerBytes  int64               `json:"response_bytes"`
	NextTryAt    *time.Time          `json:"next_try_at"`
}

func toDeliveryJSON(d webhook.Delivery) deliveryJSON {
	return deliveryJSON{
		ID: d.ID, Subscription: d.Subscription, URL: d.URL, Event: d.Event, Type: d.Type, ResourceID: d.ResourceID, Status: string(d.Status),
		Reason: d.Reason, Tries: d.Tries, NextTryAt: utc(d.NextTry), LastStatus: d.LastStatus, LastErrorClass: d.LastClass,
		LastLatency: d.LastTook.Milliseconds(), LastTryAt: utc(d.LastTryAt), ReplayOf: d.ReplayOf, Replay: d.Replay, Livemode: d.Livemode,
		CreatedAt: d.CreatedAt.UTC(), EndedAt: utc(d.EndedAt),
	}
}

func toTryJSON(t webhook.Try) tryJSON {
	j := tryJSON{
		Number: t.Number, Attempt: t.Attempt, State: t.State, URL: t.URL, Headers: t.Header, StartedAt: t.StartedAt.UTC(), EndedAt: utc(t.EndedAt),
		Status: t.Status, ErrorClass: t.Class, Error: t.Error, Connected: t.Connected.Milliseconds(), Latency: t.Took.Milliseconds(), TLS: t.TLS,
		AnswerHeader: t.AnswerHeader, Answer: string(t.Answer), AnswerBytes: t.AnswerBytes, NextTryAt: utc(t.NextTry),
	}
	if !utf8.Valid(t.Answer) {
		j.Answer = string([]rune(j.Answer)) // U+FFFD for each byte that is no text
	}
	return j
}

func (a api) testWebhook(c echo.Context, who access.Caller) error {
	of, err := whichWebhook(c)
	if err != nil {
		return err
	}
	sent, err := a.Webhooks.Test(c.Request().Context(), who.Merchant, who.Livemode, of)
	if err != nil {
		return err
	}
	d, err := a.Webhooks.Delivery(c.Request().Context(), who.Merchant, who.Livemode, sent)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, toDeliveryJSON(d.Delivery))
}

func (a api) listDeliveries(c echo.Context, who access.Caller) error {
	page, err := listPage[id.Delivery](c)
	if err != nil {
		return err
	}
	filter, err := deliveryFilter(c)
	if err != nil {
		return err
	}
	rows, err := a.Webhooks.Deliveries(c.Request().Context(), who.Merchant, who.Livemode, filter, webhook.Page(page))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, list(rows, page.Limit, func(d webhook.Delivery) string { return string(d.ID) }, toDeliveryJSON))
}

// deliveryFilter reads the query; what no delivery can have is told with its name.
func deliveryFilter(c echo.Context) (webhook.DeliveryFilter, error) {
	f := webhook.DeliveryFilter{
		Status: webhook.DeliveryStatus(c.QueryParam("status")), EventType: webhook.Type(c.QueryParam("event_type")), Resource: c.QueryParam("resource_id"),
	}
	var err error
	if f.Subscription, err = queryID[id.Subscription](c, "webhook_subscription_id"); err != nil {
		return f, err
	}
	if f.Replay, err = queryID[id.Replay](c, "replay_id"); err != nil {
		return f, err
	}
	switch f.Status {
	case "", webhook.Pending, webhook.Delivered, webhook.Failed, webhook.Cancelled:
	default:
		return f, &shop.FieldError{Field: "status", Message: "Give pending, delivered, failed or cancelled."}
	}
	if f.EventType != "" && !f.EventType.Known() {
		return f, &shop.FieldError{Field: "event_type", Message: "There is no such event."}
	}
	if !shop.OneLine(f.Resource, maxID) {
		return f, &shop.FieldError{Field: "resource_id", Message: "Give the id of a row."}
	}
	if f.From, err = moment(c, "from", 0); err != nil {
		return f, err
	}
	f.To, err = moment(c, "to", 1)
	if f.From.Before(time.Unix(0, 0)) {
		f.From = time.Time{} // ids begin with a time, which counts from there
	}
	return f, err
}

// maxID is the most that a filter takes for an id, in characters; ids of all kinds are shorter.
const maxID = 100

// queryID reads a parameter that is the id of a row; empty if it is not there.
func queryID[T interface {
	~string
	Prefix() string
}](c echo.Context, name string) (T, error) {
	text := c.QueryParam(name)
	if text == "" {
		return "", nil
	}
	one, err := id.Parse[T](text)
	if err != nil {
		return "", &shop.FieldError{Field: name, Message: "Give an id such as " + T("").Prefix() + "…"}
	}
	return one, nil
}

func (a api) delivery(c echo.Context, who access.Caller) error {
	of, err := id.Parse[id.Delivery](c.Param("id"))
	if err != nil {
		return err
	}
	d, err := a.Webhooks.Delivery(c.Request().Context(), who.Merchant, who.Livemode, of)
	if err != nil {
		return err
	}
	j := deliveryLogJSON{deliveryJSON: toDeliveryJSON(d.Delivery), Body: d.Body, Log: make([]tryJSON, len(d.Log))}
	for i, t := range d.Log {
		j.Log[i] = toTryJSON(t)
	}
	return exactly(c, j)
}

// redeliverRequest names one delivery, or a time since which those that failed are meant.
type redeliverRequest struct {
	ID           string            `json:"id"`
	Delivery     string            `json:"delivery_id"`
	FailedSince  field[*time.Time] `json:"failed_since"`
	Subscription string            `json:"webhook_subscription_id"`
	Rate         field[*int]       `json:"rate"`
	DryRun       field[*bool]      `json:"dry_run"`
}

// replayJSON tells of events that are sent again.
type replayJSON struct {
	ID           *id.Replay       `json:"id"`
	Delivery     *id.Delivery     `json:"delivery_id"`
	Subscription *id.Subscription `json:"webhook_subscription_id"`
	DryRun       bool             `json:"dry_run"`
	Status       string           `json:"status"`
	Count        int              `json:"count"`
	Done         int              `json:"done"`
	Delivered    int              `json:"delivered"`
	Failed       int              `json:"failed"`
	Since        *time.Time       `json:"failed_since"`
	Rate         int              `json:"rate"`
	CreatedAt    *time.Time       `json:"created_at"`
	EndedAt      *time.Time       `json:"ended_at"`
}

// statusDone is a replay's whose events are all on their way.
const statusDone = "done"

func (a api) redeliver(c echo.Context, who access.Caller) error {
	var request redeliverRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	one := request.ID
	if one == "" {
		one = request.Delivery
	}
	switch many := request.FailedSince.Value != nil; {
	case (one != "") == many || request.ID != "" && request.Delivery != "" && request.ID != request.Delivery:
		return &shop.FieldError{Field: "id", Message: "Give the id of one delivery, or failed_since for all that failed since a time."}
	case many:
		return a.replayFailed(c, who, request)
	case request.DryRun.Set || request.Rate.Set || request.Subscription != "":
		return &shop.FieldError{Field: "failed_since", Message: "dry_run, rate and webhook_subscription_id go with failed_since."}
	}
	of, err := id.Parse[id.Delivery](one)
	if err != nil {
		return err
	}
	sent, err := a.Webhooks.Redeliver(c.Request().Context(), who.Merchant, who.Livemode, of, program(c, who))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, replayJSON{Delivery: &sent, Status: statusDone, Count: 1, Done: 1})
}

func (a api) replayFailed(c echo.Context, who access.Caller, request redeliverRequest) error {
	form := webhook.ReplayForm{Since: request.FailedSince.Value.UTC()}
	if request.Subscription != "" {
		var err error
		if form.Subscription, err = id.Parse[id.Subscription](request.Subscription); err != nil {
			return err
		}
	}
	if request.Rate.Value != nil {
		form.Rate = *request.Rate.Value
	}
	if request.DryRun.Value != nil {
		form.DryRun = *request.DryRun.Value
	}
	r, err := a.Webhooks.ReplayFailed(c.Request().Context(), who.Merchant, who.Livemode, form, program(c, who))
	if wrong := (*webhook.FieldError)(nil); errors.As(err, &wrong) && wrong.Field == "since" {
		return &webhook.FieldError{Field: "failed_since", Message: wrong.Message}
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, toReplayJSON(r))
}

func toReplayJSON(r webhook.Replay) replayJSON {
	j := replayJSON{
		DryRun: r.ID == "", Status: r.Status, Count: r.Count, Done: r.Done, Delivered: r.Delivered, Failed: r.Failed, Since: utc(&r.Since), Rate: r.Rate,
	}
	if r.ID != "" {
		j.ID, j.CreatedAt, j.EndedAt = &r.ID, utc(&r.CreatedAt), utc(r.EndedAt)
	}
	if r.Subscription != "" {
		j.Subscription = &r.Subscription
	}
	return j
}

func (a api) replay(c echo.Context, who access.Caller) error {
	of, err := id.Parse[id.Replay](c.Param("id"))
	if err != nil {
		return err
	}
	r, err := a.Webhooks.Replay(c.Request().Context(), who.Merchant, who.Livemode, of)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, toReplayJSON(r))
}
