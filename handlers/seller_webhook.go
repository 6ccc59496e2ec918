package handlers

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/views"
	"xsynesis/webhook"
)

func (h *Handlers) webhookRoutes(e *echo.Echo) {
	const one = views.WebhooksPath + "/:webhook"
	e.GET(views.WebhooksPath, h.may(access.SeeWebhooks, h.webhooks))
	e.POST(views.WebhooksPath, h.may(access.ChangeWebhooks, h.createWebhook))
	e.GET(views.WebhookNewPath, h.may(access.ChangeWebhooks, h.newWebhook))
	e.GET(one, h.may(access.SeeWebhooks, h.showWebhook))
	e.GET(one+"/edit", h.may(access.ChangeWebhooks, h.editWebhook))
	e.POST(one+"/edit", h.may(access.ChangeWebhooks, h.updateWebhook))
	e.POST(one+"/status", h.may(access.ChangeWebhooks, h.setWebhookStatus))
	e.GET(one+"/rotation", h.may(access.ChangeWebhooks, h.confirmRotation))
	e.POST(one+"/rotation", h.may(access.ChangeWebhooks, h.createRotation))
	e.GET(one+"/rotation/end", h.may(access.ChangeWebhooks, h.confirmRotationEnd))
	e.POST(one+"/rotation/end", h.may(access.ChangeWebhooks, h.endRotation))
	e.POST(one+"/tests", h.may(access.ChangeWebhooks, h.createTest))
	e.GET(one+"/removal", h.may(access.ChangeWebhooks, h.confirmRemoval))
	e.POST(one+"/removal", h.may(access.ChangeWebhooks, h.removeWebhook))
	h.deliveryRoutes(e)
}

func (h *Handlers) webhooks(c echo.Context, s seller) error {
	before, after := c.QueryParam("before"), c.QueryParam("after")
	rows, err := h.Webhooks.Subscriptions(c.Request().Context(), s.Merchant, s.livemode, webhook.Page{Before: before, After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	rows, more := trim(rows, after != "")
	failed, err := h.Webhooks.Undelivered(c.Request().Context(), s.Merchant, s.livemode)
	if err != nil {
		return err
	}
	v := views.WebhooksView{DashboardView: h.frame(c, s, "Webhooks", views.SectionWebhooks, true), Policy: policyView()}
	for _, r := range rows {
		v.Webhooks = append(v.Webhooks, views.WebhookRow{
			Subscription: r.ID, URL: r.URL, Description: r.Description, Events: eventNames(r.Events), State: webhookState(r),
			LastDelivered: timeOr(r.Health.LastDeliveredAt), Failed: failed[r.ID],
		})
	}
	if len(rows) > 0 {
		v.Pages = pager(c, more, string(rows[0].ID), string(rows[len(rows)-1].ID), len(rows))
	}
	return h.livePage(c, views.Webhooks(v))
}

// webhookState is the word on a webhook's pill: an active one whose last tries failed is failing.
func webhookState(s webhook.Subscription) string {
	if s.Status == webhook.Active && s.Health.FailingSince != nil {
		return "failing"
	}
	return string(s.Status)
}

func policyView() views.PolicyView {
	p := webhook.Policy()
	return views.PolicyView{
		Waits: p.Waits, Timeout: p.Timeout, Overlap: p.Overlap, Keep: p.Kept, Patience: p.RetryAfter, Silence: p.DisableAfter, Failures: p.DisableTries,
	}
}

func eventNames(types []webhook.Type) []string {
	out := make([]string, len(types))
	for i, t := range types {
		out[i] = string(t)
	}
	return out
}

// timeOr is a moment, or the zero time where there is none.
func timeOr(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func (h *Handlers) newWebhook(c echo.Context, s seller) error {
	return h.Page(c, http.StatusOK, views.WebhookForm(views.WebhookFormView{
		DashboardView: h.frame(c, s, "New webhook", views.SectionWebhooks, false), Choice: views.EventsAll, Groups: eventGroups(nil), Once: id.NewToken(),
	}))
}

// groupNames are the headings over the events, by the first part of their names.
var groupNames = map[string]string{
	"payment": "Payments", "settlement": "Settlements", "link": "Links", "reservation": "Reservations", "payout": "Payouts", "refund": "Refunds",
	"item": "Items", "notice": "Notices", "webhook": "Tests",
}

// groupOrder is their order: what every shop wants comes first.
var groupOrder = []string{"payment", "settlement", "refund", "payout", "link", "item", "reservation", "notice", "webhook"}

// eventGroups is every event to choose from.
func eventGroups(chosen []webhook.Type) []views.EventGroup {
	var groups []views.EventGroup
	for _, group := range groupOrder {
		g := views.EventGroup{Name: groupNames[group]}
		for _, t := range webhook.Types {
			if t.Group() == group {
				g.Events = append(g.Events, views.EventOption{Type: string(t), Summary: t.Summary(), Chosen: slices.Contains(chosen, t)})
			}
		}
		if len(g.Events) > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

// paymentEvents is the choice "all payment events", as it stands today.
func paymentEvents() []webhook.Type {
	return slices.DeleteFunc(slices.Clone(webhook.Types), func(t webhook.Type) bool { return t.Group() != "payment" })
}

// errNoEvent is the mistake of choosing nothing, which would otherwise mean everything.
var errNoEvent = &webhook.FieldError{Field: "events", Message: "Choose at least one event."}

// webhookForm reads the form.
func webhookForm(c echo.Context) (address, description string, events []webhook.Type, err error) {
	form, err := c.FormParams()
	if err != nil {
		return "", "", nil, echo.ErrBadRequest
	}
	switch form.Get("choice") {
	case views.EventsPayments:
		events = paymentEvents()
	case views.EventsSome:
		if events = eventTypes(form["event"]); len(events) == 0 {
			err = errNoEvent
		}
	}
	return form.Get("url"), form.Get("description"), events, err
}

// createWebhook answers the post itself, since its page shows what is shown once. A form sent twice makes one webhook
// and shows the same secret: its hidden field is an idempotency key.
func (h *Handlers) createWebhook(c echo.Context, s seller) error {
	address, description, events, err := webhookForm(c)
	if err != nil {
		return h.webhookFormAgain(c, s, "", err)
	}
	form := webhook.SubscriptionForm{URL: address, Description: description, Events: events, Active: true, Once: formOnce(c, s)}
	made, secret, err := h.Webhooks.Register(c.Request().Context(), s.Merchant, s.livemode, form, actor(c, s))
	if err != nil {
		return h.webhookFormAgain(c, s, "", err)
	}
	return h.secretPage(c, s, http.StatusCreated, made, secret)
}

// formOnce is the idempotency key of a form, hashed with who sends it; nil for a form that carries none.
func formOnce(c echo.Context, s seller) []byte { return onceOf(c, s, c.FormValue("once")) }

func onceOf(c echo.Context, s seller, text string) []byte {
	token, err := id.ParseToken(text)
	if err != nil {
		return nil
	}
	sum := sha256.Sum256([]byte("form " + string(s.Merchant) + "\x00" + c.Path() + "\x00" + token))
	return sum[:]
}

func (h *Handlers) secretPage(c echo.Context, s seller, status int, of webhook.Subscription, secret string) error {
	return h.Page(c, status, views.WebhookSecret(views.WebhookSecretView{
		DashboardView: h.frame(c, s, "Keep this secret", views.SectionWebhooks, false), Subscription: of.ID, URL: of.URL, Secret: secret,
		Until: timeOr(of.RotatingUntil),
	}))
}

// webhookFormAgain shows the form as it was sent, with what is wrong with it.
func (h *Handlers) webhookFormAgain(c echo.Context, s seller, of id.Subscription, err error) error {
	r, field := replyTo(err)
	if r.status >= http.StatusInternalServerError || r.status == http.StatusNotFound {
		return err
	}
	heading := "New webhook"
	if of != "" {
		heading = "Edit webhook"
	}
	form, _ := c.FormParams() // what could not be read has no values
	v := views.WebhookFormView{
		DashboardView: h.frame(c, s, heading, views.SectionWebhooks, false), Subscription: of, Choice: form.Get("choice"),
		URL: views.Field{Value: form.Get("url")}, Description: views.Field{Value: form.Get("description")},
		Groups: eventGroups(eventTypes(form["event"])), Once: form.Get("once"),
	}
	fields := map[string]*views.Field{"url": &v.URL, "description": &v.Description, "events": &v.Events}
	if f, ok := fields[field]; ok {
		f.Problem = r.message
	} else {
		v.Problem = r.message
	}
	return h.Page(c, http.StatusUnprocessableEntity, views.WebhookForm(v))
}

// ownWebhook finds the webhook that the address names.
func (h *Handlers) ownWebhook(c echo.Context, s seller) (webhook.Subscription, error) {
	of, err := id.Parse[id.Subscription](c.Param("webhook"))
	if err != nil {
		return webhook.Subscription{}, err
	}
	return h.Webhooks.Subscription(c.Request().Context(), s.Merchant, s.livemode, of)
}

func (h *Handlers) editWebhook(c echo.Context, s seller) error {
	of, err := h.ownWebhook(c, s)
	if err != nil {
		return err
	}
	v := views.WebhookFormView{
		DashboardView: h.frame(c, s, "Edit webhook", views.SectionWebhooks, false), Subscription: of.ID, Choice: views.EventsAll,
		URL: views.Field{Value: of.URL}, Description: views.Field{Value: of.Description}, Groups: eventGroups(of.Events),
	}
	if len(of.Events) > 0 {
		v.Choice = views.EventsSome
	}
	return h.Page(c, http.StatusOK, views.WebhookForm(v))
}

func (h *Handlers) updateWebhook(c echo.Context, s seller) error {
	of, err := h.ownWebhook(c, s)
	if err != nil {
		return err
	}
	address, description, events, err := webhookForm(c)
	if err == nil {
		u := webhook.SubscriptionUpdate{URL: &address, Description: &description, Events: &events}
		if _, err = h.Webhooks.Update(c.Request().Context(), s.Merchant, s.livemode, of.ID, u, actor(c, s)); err == nil {
			return c.Redirect(http.StatusSeeOther, views.WebhookPath(of.ID))
		}
	}
	return h.webhookFormAgain(c, s, of.ID, err)
}

func (h *Handlers) showWebhook(c echo.Context, s seller) error {
	of, err := h.ownWebhook(c, s)
	if err != nil {
		return err
	}
	latest, err := h.latestDeliveries(c, s, of.ID)
	if err != nil {
		return err
	}
	u, err := url.Parse(of.URL)
	if err != nil {
		return err
	}
	v := views.WebhookView{
		DashboardView: h.frame(c, s, u.Host, views.SectionWebhooks, true), Subscription: of.ID, URL: of.URL, Description: of.Description,
		Events: eventNames(of.Events), State: webhookState(of), Reason: of.DisabledReason, Created: of.CreatedAt.UTC(),
		LastDelivered: timeOr(of.Health.LastDeliveredAt), FailingSince: timeOr(of.Health.FailingSince), RotatingUntil: timeOr(of.RotatingUntil),
		Latest: latest, Policy: policyView(),
	}
	return h.livePage(c, views.Webhook(v))
}

func (h *Handlers) setWebhookStatus(c echo.Context, s seller) error {
	of, err := h.ownWebhook(c, s)
	if err != nil {
		return err
	}
	active := c.FormValue("status") == string(webhook.Active)
	if _, err := h.Webhooks.Update(c.Request().Context(), s.Merchant, s.livemode, of.ID, webhook.SubscriptionUpdate{Active: &active}, actor(c, s)); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.WebhookPath(of.ID))
}

// createTest sends a test event and leads to its delivery, which shows request and answer as they come.
func (h *Handlers) createTest(c echo.Context, s seller) error {
	of, err := h.ownWebhook(c, s)
	if err != nil {
		return err
	}
	sent, err := h.Webhooks.Test(c.Request().Context(), s.Merchant, s.livemode, of.ID)
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.DeliveryPath(sent))
}

// askFirst is a page that asks before something is done to a webhook.
func (h *Handlers) askFirst(c echo.Context, s seller, ask func(webhook.Subscription) views.ConfirmView) error {
	of, err := h.ownWebhook(c, s)
	if err != nil {
		return err
	}
	v := ask(of)
	v.DashboardView = h.frame(c, s, v.Heading, views.SectionWebhooks, false)
	v.Subject, v.Action, v.Back = strings.TrimPrefix(of.URL, "https://"), c.Request().URL.Path, views.WebhookPath(of.ID)
	return h.Page(c, http.StatusOK, views.Confirm(v))
}

func (h *Handlers) confirmRotation(c echo.Context, s seller) error {
	return h.askFirst(c, s, func(webhook.Subscription) views.ConfirmView {
		return views.ConfirmView{
			DashboardView: views.DashboardView{Heading: "Make a new secret?"}, Verb: "Make new secret", Once: id.NewToken(), Harmless: true,
			Consequence: "It is shown once. For 24 hours the old secret signs as well, so that your server can change over without losing anything.",
		}
	})
}

func (h *Handlers) createRotation(c echo.Context, s seller) error {
	of, err := h.ownWebhook(c, s)
	if err != nil {
		return err
	}
	after, secret, err := h.Webhooks.RotateSecret(c.Request().Context(), s.Merchant, s.livemode, of.ID, formOnce(c, s), actor(c, s))
	if err != nil {
		return err
	}
	return h.secretPage(c, s, http.StatusOK, after, secret)
}

func (h *Handlers) confirmRotationEnd(c echo.Context, s seller) error {
	return h.askFirst(c, s, func(webhook.Subscription) views.ConfirmView {
		return views.ConfirmView{
			DashboardView: views.DashboardView{Heading: "End the old secret?"}, Verb: "End old secret",
			Consequence: "From now on the new secret alone signs. A server that still has the old one will refuse what we send.",
		}
	})
}

func (h *Handlers) endRotation(c echo.Context, s seller) error {
	of, err := h.ownWebhook(c, s)
	if err != nil {
		return err
	}
	if _, err := h.Webhooks.EndOverlap(c.Request().Context(), s.Merchant, s.livemode, of.ID, actor(c, s)); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.WebhookPath(of.ID))
}

func (h *Handlers) confirmRemoval(c echo.Context, s seller) error {
	return h.askFirst(c, s, func(webhook.Subscription) views.ConfirmView {
		return views.ConfirmView{
			DashboardView: views.DashboardView{Heading: "Remove this webhook?"}, Verb: "Remove webhook",
			Consequence: "Nothing more is sent to this address, and what is on its way is cancelled. The deliveries made so far stay in the list.",
		}
	})
}

func (h *Handlers) removeWebhook(c echo.Context, s seller) error {
	of, err := h.ownWebhook(c, s)
	if errors.Is(err, webhook.ErrNotFound) { // the form was sent twice
		return c.Redirect(http.StatusSeeOther, views.WebhooksPath)
	}
	if err != nil {
		return err
	}
	if _, err := h.Webhooks.Unregister(c.Request().Context(), s.Merchant, s.livemode, of.ID, actor(c, s)); err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.WebhooksPath)
}
