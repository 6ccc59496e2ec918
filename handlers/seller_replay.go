package handlers

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/views"
	"xsynesis/webhook"
)

func (h *Handlers) replayRoutes(e *echo.Echo) {
	e.GET(views.ReplayNewPath, h.may(access.ChangeWebhooks, h.newReplay))
	e.POST(views.ReplaysPath, h.may(access.ChangeWebhooks, h.createReplay))
	e.GET(views.ReplaysPath+"/:replay", h.may(access.SeeWebhooks, h.showReplay))
}

// newReplay asks what to send again, and counts it where that was said. It changes nothing.
func (h *Handlers) newReplay(c echo.Context, s seller) error {
	v, form, err := h.replayForm(c, s)
	if err != nil || c.QueryParam("count") == "" || v.Since.Problem != "" || v.Rate.Problem != "" {
		return h.replayPage(c, v, http.StatusOK, err)
	}
	form.DryRun = true
	counted, err := h.Webhooks.ReplayFailed(c.Request().Context(), s.Merchant, s.livemode, form, actor(c, s))
	if err == nil {
		v.Counted, v.Count = true, counted.Count
		v.Duration = time.Duration(counted.Count/counted.Rate) * time.Second
	}
	return h.replayPage(c, v, http.StatusOK, err)
}

// replayForm reads the form; a field that was not sent has its usual value.
func (h *Handlers) replayForm(c echo.Context, s seller) (views.ReplayFormView, webhook.ReplayForm, error) {
	v := views.ReplayFormView{
		DashboardView: h.frame(c, s, "Send failed again", views.SectionWebhooks, false), Zone: zone, Webhook: formOr(c, "webhook", ""),
		Since: views.Field{Value: formOr(c, "since", h.Now().UTC().Add(-24*time.Hour).Format(formTime))},
		Rate:  views.Field{Value: formOr(c, "rate", strconv.Itoa(webhook.Policy().PerSecond))},
	}
	form := webhook.ReplayForm{Subscription: id.Subscription(v.Webhook)}
	var err error
	if form.Since, err = time.Parse(formTime, v.Since.Value); err != nil {
		v.Since.Problem = "Give a day and a time."
	}
	if form.Rate, err = strconv.Atoi(v.Rate.Value); err != nil || form.Rate < 1 {
		v.Rate.Problem = "Give a whole number, such as 10."
	}
	v.Webhooks, err = h.webhookOptions(c, s)
	return v, form, err
}

func formOr(c echo.Context, name, otherwise string) string {
	if text := strings.TrimSpace(c.FormValue(name)); text != "" {
		return text
	}
	return otherwise
}

// replayPage shows the form, with what is wrong with it.
func (h *Handlers) replayPage(c echo.Context, v views.ReplayFormView, status int, err error) error {
	if err != nil {
		r, field := replyTo(err)
		fields := map[string]*views.Field{"since": &v.Since, "rate": &v.Rate}
		f, ok := fields[field]
		if !ok {
			return err
		}
		f.Problem = r.message
	}
	if v.Since.Problem != "" || v.Rate.Problem != "" {
		status = http.StatusUnprocessableEntity
	}
	return h.Page(c, status, views.ReplayForm(v))
}

func (h *Handlers) createReplay(c echo.Context, s seller) error {
	v, form, err := h.replayForm(c, s)
	if err != nil || v.Since.Problem != "" || v.Rate.Problem != "" {
		return h.replayPage(c, v, http.StatusOK, err)
	}
	replay, err := h.Webhooks.ReplayFailed(c.Request().Context(), s.Merchant, s.livemode, form, actor(c, s))
	if err != nil {
		return h.replayPage(c, v, http.StatusOK, err)
	}
	return c.Redirect(http.StatusSeeOther, views.ReplayPath(replay.ID))
}

func (h *Handlers) showReplay(c echo.Context, s seller) error {
	replay, err := id.Parse[id.Replay](c.Param("replay"))
	if err != nil {
		return err
	}
	r, err := h.Webhooks.Replay(c.Request().Context(), s.Merchant, s.livemode, replay)
	if err != nil {
		return err
	}
	v := views.ReplayView{
		DashboardView: h.frame(c, s, "Sending again", views.SectionWebhooks, false), Replay: r.ID, Since: r.Since.UTC(), Begun: r.CreatedAt.UTC(),
		Ended: timeOr(r.EndedAt), Count: r.Count, Done: r.Done, Rate: r.Rate, State: r.Status, Delivered: r.Delivered, Failed: r.Failed,
	}
	if r.Subscription != "" {
		if of, err := h.Webhooks.Subscription(c.Request().Context(), s.Merchant, s.livemode, r.Subscription); err == nil {
			v.URL = of.URL
		}
	}
	if r.EndedAt == nil || r.Delivered+r.Failed < r.Done {
		v.Page, v.Refresh = c.Request().URL.RequestURI(), true
	}
	return h.livePage(c, views.Replay(v))
}
