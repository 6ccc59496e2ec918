package handlers

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/webhook"
)

func webhookCalls() []apiCall {
	row := []int{400, 401, 403, 404, 422}
	return append([]apiCall{
		{
			method: http.MethodPost, path: "/api/webhooks/register", scope: access.WebhooksWrite,
			summary: "Have a server told what happens. The secret is shown this once. Without events it is told of every one.",
			request: webhookRequest{}, required: []string{"url"}, status: 201, answer: webhookSecretJSON{},
			refusals: []int{400, 401, 403, 404, 409, 422}, run: api.registerWebhook,
		},
		{
			method: http.MethodGet, path: "/api/webhooks/list", scope: access.WebhooksRead, summary: "List webhooks, newest first, and how their servers do.",
			query: listParams(), status: 200, answer: listJSON[webhookJSON]{}, refusals: []int{400, 401, 403}, run: api.listWebhooks,
		},
		{
			method: http.MethodPost, path: "/api/webhooks/update", scope: access.WebhooksWrite,
			summary: "Change a webhook. Fields that are not named stay; active pauses it, or takes up again what was paused or disabled.",
			request: webhookUpdate{}, status: 200, answer: webhookJSON{}, refusals: row, run: api.updateWebhook,
		},
		{
			method: http.MethodPost, path: "/api/webhooks/unregister", scope: access.WebhooksWrite,
			summary: "Remove a webhook. What is on its way is cancelled; the log stays.",
			request: webhookRowRequest{}, status: 200, answer: webhookJSON{}, refusals: row, run: api.unregisterWebhook,
		},
		{
			method: http.MethodPost, path: "/api/webhooks/rotate_secret", scope: access.WebhooksWrite,
			summary: "Give a webhook a new secret, shown this once. For 24 hours the secret before signs as well.",
			request: webhookRowRequest{}, status: 200, answer: webhookSecretJSON{}, refusals: []int{400, 401, 403, 404, 409, 422}, run: api.rotateSecret,
		},
		{
			method: http.MethodPost, path: "/api/webhooks/end_overlap", scope: access.WebhooksWrite,
			summary: "Let the newest secret alone sign, before the 24 hours are over.",
			request: webhookRowRequest{}, status: 200, answer: webhookJSON{}, refusals: row, run: api.endOverlap,
		},
	}, deliveryCalls()...)
}

// webhookRequest is what a seller's program says about a webhook.
type webhookRequest struct {
	URL         field[string]   `json:"url"`
	Description field[string]   `json:"description"`
	Events      field[[]string] `json:"events"`
	Active      field[*bool]    `json:"active"`
}

// webhookRowRequest names one webhook, by either name.
type webhookRowRequest struct {
	ID           string `json:"id"`
	Subscription string `json:"webhook_subscription_id"`
}

type webhookUpdate struct {
	webhookRowRequest
	webhookRequest
}

// webhookJSON is a webhook as its seller sees it.
type webhookJSON struct {
	ID              id.Subscription `json:"id"`
	Subscription    id.Subscription `json:"webhook_subscription_id"`
	URL             string          `json:"url"`
	Description     string          `json:"description"`
	Events          []webhook.Type  `json:"events"`
	Active          bool            `json:"active"`
	Status          string          `json:"status"`
	DisabledReason  string          `json:"disabled_reason"`
	RotatingUntil   *time.Time      `json:"rotating_until"`
	LastDeliveredAt *time.Time      `json:"last_delivered_at"`
	FailingSince    *time.Time      `json:"failing_since"`
	Failures        int             `json:"failures"`
	Livemode        bool            `json:"livemode"`
	CreatedAt       time.Time       `json:"created_at"`
	UpdatedAt       time.Time       `json:"updated_at"`
}

// webhookSecretJSON is a webhook together with the secret it was just given.
type webhookSecretJSON struct {
	webhookJSON
	Secret string `json:"secret"`
}

// statusRemoved is a webhook's in the answer to its end.
const statusRemoved = "removed"

func toWebhookJSON(s webhook.Subscription) webhookJSON {
	j := webhookJSON{
		ID: s.ID, Subscription: s.ID, URL: s.URL, Description: s.Description, Events: s.Events, Active: s.Status == webhook.Active,
		Status: string(s.Status), DisabledReason: s.DisabledReason, RotatingUntil: utc(s.RotatingUntil),
		LastDeliveredAt: utc(s.Health.LastDeliveredAt), FailingSince: utc(s.Health.FailingSince), Failures: s.Health.Failures,
		Livemode: s.Livemode, CreatedAt: s.CreatedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(),
	}
	if s.RemovedAt != nil {
		j.Active, j.Status = false, statusRemoved
	}
	return j
}

func (a api) registerWebhook(c echo.Context, who access.Caller) error {
	var request webhookRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	form := webhook.SubscriptionForm{URL: request.URL.Value, Description: request.Description.Value, Active: true, Once: who.Once}
	form.Events = eventTypes(request.Events.Value)
	if active := request.Active.Value; active != nil {
		form.Active = *active
	}
	s, secret, err := a.Webhooks.Register(c.Request().Context(), who.Merchant, who.Livemode, form, program(c, who))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, webhookSecretJSON{toWebhookJSON(s), secret})
}

func eventTypes(names []string) []webhook.Type {
	out := make([]webhook.Type, len(names))
	for i, name := range names {
		out[i] = webhook.Type(name)
	}
	return out
}

func (a api) listWebhooks(c echo.Context, who access.Caller) error {
	page, err := listPage[id.Subscription](c)
	if err != nil {
		return err
	}
	rows, err := a.Webhooks.Subscriptions(c.Request().Context(), who.Merchant, who.Livemode, webhook.Page(page))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, list(rows, page.Limit, func(s webhook.Subscription) string { return string(s.ID) }, toWebhookJSON))
}

func (a api) updateWebhook(c echo.Context, who access.Caller) error {
	var request webhookUpdate
	if err := decode(c, &request); err != nil {
		return err
	}
	of, err := request.which()
	if err != nil {
		return err
	}
	u := webhook.SubscriptionUpdate{Active: request.Active.Value}
	if request.URL.Set {
		u.URL = &request.URL.Value
	}
	if request.Description.Set {
		u.Description = &request.Description.Value
	}
	if request.Events.Set {
		events := eventTypes(request.Events.Value)
		u.Events = &events
	}
	s, err := a.Webhooks.Update(c.Request().Context(), who.Merchant, who.Livemode, of, u, program(c, who))
	return answerWebhook(c, s, err)
}

// which is the webhook that a request names.
func (r webhookRowRequest) which() (id.Subscription, error) {
	switch {
	case r.ID == "" && r.Subscription == "":
		return "", &shop.FieldError{Field: "id", Message: "Say which one."}
	case r.ID != "" && r.Subscription != "" && r.ID != r.Subscription:
		return "", &shop.FieldError{Field: "id", Message: "id and webhook_subscription_id are not the same."}
	case r.ID == "":
		return id.Parse[id.Subscription](r.Subscription)
	}
	return id.Parse[id.Subscription](r.ID)
}

func answerWebhook(c echo.Context, s webhook.Subscription, err error) error {
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, toWebhookJSON(s))
}

// whichWebhook reads a request that only names a webhook.
func whichWebhook(c echo.Context) (id.Subscription, error) {
	var request webhookRowRequest
	if err := decode(c, &request); err != nil {
		return "", err
	}
	return request.which()
}

func (a api) unregisterWebhook(c echo.Context, who access.Caller) error {
	of, err := whichWebhook(c)
	if err != nil {
		return err
	}
	s, err := a.Webhooks.Unregister(c.Request().Context(), who.Merchant, who.Livemode, of, program(c, who))
	return answerWebhook(c, s, err)
}

func (a api) rotateSecret(c echo.Context, who access.Caller) error {
	of, err := whichWebhook(c)
	if err != nil {
		return err
	}
	s, secret, err := a.Webhooks.RotateSecret(c.Request().Context(), who.Merchant, who.Livemode, of, who.Once, program(c, who))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, webhookSecretJSON{toWebhookJSON(s), secret})
}

func (a api) endOverlap(c echo.Context, who access.Caller) error {
	of, err := whichWebhook(c)
	if err != nil {
		return err
	}
	s, err := a.Webhooks.EndOverlap(c.Request().Context(), who.Merchant, who.Livemode, of, program(c, who))
	return answerWebhook(c, s, err)
}
