package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/views"
	"xsynesis/webhook"
)

func (h *Handlers) deliveryRoutes(e *echo.Echo) {
	const one = views.DeliveriesPath + "/:delivery"
	e.GET(views.DeliveriesPath, h.may(access.SeeWebhooks, h.deliveries))
	e.GET(one, h.may(access.SeeWebhooks, h.showDelivery))
	e.POST(one+"/replays", h.may(access.ChangeWebhooks, h.createRedelivery))
	h.replayRoutes(e)
}

func (h *Handlers) deliveries(c echo.Context, s seller) error {
	before, after := c.QueryParam("before"), c.QueryParam("after")
	shown, filter, err := h.deliveryFilter(c, s)
	if err != nil {
		return err
	}
	rows, err := h.Webhooks.Deliveries(c.Request().Context(), s.Merchant, s.livemode, filter, webhook.Page{Before: before, After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	rows, more := trim(rows, after != "")
	v := views.DeliveriesView{DashboardView: h.frame(c, s, "Deliveries", views.SectionWebhooks, true), Filter: shown, Deliveries: deliveryRows(rows)}
	if len(rows) > 0 {
		v.Pages = pager(c, more, string(rows[0].ID), string(rows[len(rows)-1].ID), len(rows))
	}
	return h.livePage(c, views.Deliveries(v))
}

// deliveryFilter reads the form above the deliveries. What no delivery can have finds none.
func (h *Handlers) deliveryFilter(c echo.Context, s seller) (views.DeliveryFilter, webhook.DeliveryFilter, error) {
	v := views.DeliveryFilter{
		Status: c.QueryParam("status"), Event: c.QueryParam("event"), Events: eventNames(webhook.Types), Webhook: c.QueryParam("webhook"),
		Search: strings.TrimSpace(c.QueryParam("q")),
	}
	var err error
	v.Webhooks, err = h.webhookOptions(c, s)
	return v, webhook.DeliveryFilter{
		Status: webhook.DeliveryStatus(v.Status), EventType: webhook.Type(v.Event), Subscription: id.Subscription(v.Webhook), Search: v.Search,
	}, err
}

// webhookOptions are the shop's webhooks to choose from.
func (h *Handlers) webhookOptions(c echo.Context, s seller) ([]views.Option, error) {
	rows, err := h.Webhooks.Subscriptions(c.Request().Context(), s.Merchant, s.livemode, webhook.Page{})
	if err != nil {
		return nil, err
	}
	options := make([]views.Option, len(rows))
	for i, r := range rows {
		options[i] = views.Option{Value: string(r.ID), Word: r.Description}
		if r.Description == "" {
			_, options[i].Word, _ = strings.Cut(r.URL, "://")
		}
	}
	return options, nil
}

// latestRowsOfWebhook is how many of a webhook's deliveries its page lists.
const latestRowsOfWebhook = 10

func (h *Handlers) latestDeliveries(c echo.Context, s seller, of id.Subscription) ([]views.DeliveryRow, error) {
	rows, err := h.Webhooks.Deliveries(c.Request().Context(), s.Merchant, s.livemode,
		webhook.DeliveryFilter{Subscription: of}, webhook.Page{Limit: latestRowsOfWebhook})
	return deliveryRows(rows[:min(len(rows), latestRowsOfWebhook)]), err
}

func deliveryRows(rows []webhook.Delivery) []views.DeliveryRow {
	out := make([]views.DeliveryRow, len(rows))
	for i, d := range rows {
		out[i] = views.DeliveryRow{
			Delivery: d.ID, Time: d.CreatedAt.UTC(), Event: string(d.Type), Object: d.ResourceID, ObjectPath: objectPath(d.ResourceID), URL: d.URL,
			State: deliveryState(d), Tries: d.Tries, Most: webhook.Policy().Tries, Status: d.LastStatus, Class: d.LastClass, Took: d.LastTook,
			Replay: d.ReplayOf != nil,
		}
		if d.Tries > 0 {
			out[i].Next = timeOr(d.NextTry)
		}
	}
	return out
}

// deliveryState is the word on a delivery's pill: one whose first try is not over is on its way.
func deliveryState(d webhook.Delivery) string {
	if d.Status == webhook.Pending && d.Tries == 0 {
		return "sending"
	}
	return string(d.Status)
}

// objectPath is the page of what an event tells of, or empty.
func objectPath(object string) string {
	if link, err := id.Parse[id.Link](object); err == nil {
		return views.LinkDetailPath(link)
	}
	if of, err := id.Parse[id.Subscription](object); err == nil {
		return views.WebhookPath(of)
	}
	if attempt, err := id.Parse[id.Attempt](object); err == nil {
		return views.PurchasePath(string(attempt), "")
	}
	return ""
}

// ownDelivery finds the delivery that the address names, with its tries.
func (h *Handlers) ownDelivery(c echo.Context, s seller) (webhook.DeliveryDetail, error) {
	delivery, err := id.Parse[id.Delivery](c.Param("delivery"))
	if err != nil {
		return webhook.DeliveryDetail{}, err
	}
	return h.Webhooks.Delivery(c.Request().Context(), s.Merchant, s.livemode, delivery)
}

// soon is how near a try is whose outcome the page waits for.
const soon = 5 * time.Second

func (h *Handlers) showDelivery(c echo.Context, s seller) error {
	d, err := h.ownDelivery(c, s)
	if err != nil {
		return err
	}
	now := h.Now().UTC()
	v := views.DeliveryView{
		DashboardView: h.frame(c, s, string(d.Type), views.SectionWebhooks, false), Delivery: d.ID, Subscription: d.Subscription, URL: d.URL,
		EventID: string(d.Event), Object: d.ResourceID, State: deliveryState(d.Delivery), Reason: d.Reason,
		Replay: d.ReplayOf != nil, Tries: tryViews(d.Log), Most: webhook.Policy().Tries, Counted: d.Tries,
		Raw: c.QueryParam("view") == "raw", Body: string(d.Body), Pretty: pretty(d.Body), Policy: policyView(), Now: now,
	}
	if _, err := h.Webhooks.Subscription(c.Request().Context(), s.Merchant, s.livemode, d.Subscription); errors.Is(err, webhook.ErrNotFound) {
		v.Gone = true
	}
	v.Detail, v.ObjectPath = aboutObject(d.Body, objectPath(d.ResourceID))
	if d.Status == webhook.Pending {
		v.Page, v.Refresh = c.Request().URL.RequestURI(), true
		v.Waits, v.Soon = d.WaitsSince != nil, d.Sending || d.NextTry.Sub(now) < soon
		if !d.Sending {
			v.Plan = d.Plan
		}
	}
	v.Chosen = chosenTry(c.QueryParam("try"), v.Tries)
	return h.livePage(c, views.Delivery(v))
}

// chosenTry is the one that the address asks for, or else the last.
func chosenTry(asked string, tries []views.Try) int {
	if n, err := strconv.Atoi(asked); err == nil && n >= 1 && n <= len(tries) {
		return n
	}
	return len(tries)
}

// pretty is a body with a line for each member.
func pretty(body []byte) string {
	var out bytes.Buffer
	if err := json.Indent(&out, body, "", "  "); err != nil {
		return string(body)
	}
	return out.String()
}

// aboutObject says in a few words what an event tells of, where it tells of a sale, and which page shows it.
func aboutObject(body []byte, path string) (detail, page string) {
	var event struct {
		Payload struct {
			Attempt  string `json:"payment_attempt_id"`
			Title    string `json:"item_title"`
			Amount   string `json:"amount"`
			Currency string `json:"currency"`
		}
	}
	if err := json.Unmarshal(body, &event); err != nil {
		return "", path
	}
	p := event.Payload
	if path == "" {
		path = objectPath(p.Attempt)
	}
	amount, err := money.ParseUnits(p.Amount)
	if p.Title == "" || err != nil || p.Currency != usdc {
		return p.Title, path
	}
	return p.Title + ", " + views.AmountUSDC(amount), path
}

func tryViews(tries []webhook.Try) []views.Try {
	out := make([]views.Try, len(tries))
	for i, t := range tries {
		out[i] = views.Try{
			N: i + 1, Number: t.Attempt, Time: t.StartedAt.UTC(), State: tryStates[t.State], Status: t.Status, Class: t.Class, Reason: t.Error,
			Connected: t.Connected, Took: t.Took, TLS: t.TLS, Sent: headerLines(t.Header), Got: headerLines(t.AnswerHeader), Answer: t.Answer,
			Bytes: t.AnswerBytes,
		}
	}
	return out
}

// tryStates are the outlines and words of a try.
var tryStates = map[string]string{
	webhook.TryStarted: "running", webhook.TrySucceeded: "delivered", webhook.TryFailed: "failed", webhook.TryInterrupted: "interrupted",
}

// headerLines are the lines of a request or an answer, in order.
func headerLines(h http.Header) []views.Header {
	var out []views.Header
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			out = append(out, views.Header{Name: name, Value: value})
		}
	}
	return out
}

// createRedelivery sends the same event once more and leads to that delivery.
func (h *Handlers) createRedelivery(c echo.Context, s seller) error {
	d, err := h.ownDelivery(c, s)
	if err != nil {
		return err
	}
	sent, err := h.Webhooks.Redeliver(c.Request().Context(), s.Merchant, s.livemode, d.ID, actor(c, s))
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.DeliveryPath(sent))
}
