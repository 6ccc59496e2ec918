package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

func (h *Handlers) newEndpoint(c echo.Context, s seller) error {
	return h.Page(c, http.StatusOK, views.EndpointForm(views.EndpointFormView{
		DashboardView: h.frame(c, s, "New paid API", views.SectionEndpoints, false), Once: id.NewToken(),
	}))
}

func (h *Handlers) createEndpoint(c echo.Context, s seller) error {
	form := shop.EndpointForm{Once: formOnce(c, s)}
	err := fillEndpoint(c, &form)
	if err == nil {
		var made shop.Endpoint
		if made, err = h.Endpoints.Create(c.Request().Context(), s.Merchant, s.livemode, form, actor(c, s)); err == nil {
			return c.Redirect(http.StatusSeeOther, views.EndpointPath(made.ID))
		}
	}
	return h.endpointFormAgain(c, s, shop.Endpoint{}, err)
}

func (h *Handlers) editEndpoint(c echo.Context, s seller) error {
	e, err := h.ownEndpoint(c, s)
	if err != nil {
		return err
	}
	return h.Page(c, http.StatusOK, views.EndpointForm(views.EndpointFormView{
		DashboardView: h.frame(c, s, "Edit paid API", views.SectionEndpoints, false), Endpoint: e.ID, HasSecret: e.SecretHeader != "", Identified: e.Identified,
		URL: views.Field{Value: e.URL}, Title: views.Field{Value: e.Title}, Description: views.Field{Value: e.Description}, MimeType: views.Field{Value: e.MimeType},
		Input: views.Field{Value: e.Input}, Output: views.Field{Value: e.Output}, Price: views.Field{Value: e.Price.String()},
		Pricing: views.Field{Value: string(e.Pricing)}, Interval: views.Field{Value: string(e.Interval)}, Settle: views.Field{Value: string(e.Settles)},
		SecretHeader: views.Field{Value: e.SecretHeader}, Timeout: views.Field{Value: strconv.Itoa(int(e.Timeout / time.Second))},
		MaxAnswer: views.Field{Value: strconv.FormatInt(e.MaxAnswer, 10)},
	}))
}

func (h *Handlers) updateEndpoint(c echo.Context, s seller) error {
	e, err := h.ownEndpoint(c, s)
	if err != nil {
		return err
	}
	_, err = h.Endpoints.Update(c.Request().Context(), s.Merchant, s.livemode, e.ID, func(f *shop.EndpointForm) error { return fillEndpoint(c, f) }, actor(c, s))
	if err != nil {
		return h.endpointFormAgain(c, s, e, err)
	}
	h.Hub.Changed("", s.Merchant)
	return c.Redirect(http.StatusSeeOther, views.EndpointPath(e.ID))
}

// fillEndpoint reads the form over what there is; what cannot be read names its field. An empty secret keeps the old one.
func fillEndpoint(c echo.Context, f *shop.EndpointForm) error {
	f.URL, f.Title, f.Description, f.MimeType = c.FormValue("url"), c.FormValue("title"), c.FormValue("description"), c.FormValue("mime_type")
	f.SecretHeader, f.Secret = c.FormValue("secret_header"), c.FormValue("secret")
	f.Pricing, f.Settles = shop.PricingType(c.FormValue("pricing_type")), shop.Settles(c.FormValue("settle"))
	f.Interval = ""
	if f.Pricing == shop.Subscription {
		f.Interval = shop.Interval(c.FormValue("billing_interval"))
	}
	f.Identified = c.FormValue("payment_identifier") != ""
	f.Input, f.Output = compactJSON(c.FormValue("example_input")), compactJSON(c.FormValue("example_output"))
	price, priceErr := readAmount("price", c.FormValue("price"))
	timeout, timeoutErr := countOf("timeout_seconds", c.FormValue("timeout_seconds"))
	most, mostErr := countOf("max_answer_bytes", c.FormValue("max_answer_bytes"))
	f.Price, f.Timeout, f.MaxAnswer = price, 0, int64(most)
	if timeout > 0 {
		f.Timeout = wholeSeconds(timeout)
	}
	return errors.Join(priceErr, timeoutErr, mostErr)
}

// compactJSON leaves out what only people need; what is no JSON stays, to be refused.
func compactJSON(text string) string {
	var b bytes.Buffer
	if json.Compact(&b, []byte(text)) != nil {
		return strings.TrimSpace(text)
	}
	return b.String()
}

// endpointFormAgain shows a refused form as it was sent, but for the secret.
func (h *Handlers) endpointFormAgain(c echo.Context, s seller, of shop.Endpoint, problem error) error {
	r, field := replyTo(problem)
	if r.status >= http.StatusInternalServerError || r.status == http.StatusNotFound {
		return problem
	}
	heading := "New paid API"
	if of.ID != "" {
		heading = "Edit paid API"
	}
	sent := func(name string) views.Field { return views.Field{Value: c.FormValue(name)} }
	v := views.EndpointFormView{
		DashboardView: h.frame(c, s, heading, views.SectionEndpoints, false), Endpoint: of.ID, HasSecret: of.SecretHeader != "", Once: c.FormValue("once"),
		URL: sent("url"), Title: sent("title"), Description: sent("description"), MimeType: sent("mime_type"), Input: sent("example_input"),
		Output: sent("example_output"), Price: sent("price"), Pricing: sent("pricing_type"), Interval: sent("billing_interval"), Settle: sent("settle"),
		SecretHeader: sent("secret_header"), Timeout: sent("timeout_seconds"), MaxAnswer: sent("max_answer_bytes"), Identified: c.FormValue("payment_identifier") != "",
	}
	fields := map[string]*views.Field{
		"url": &v.URL, "title": &v.Title, "description": &v.Description, "mime_type": &v.MimeType, "example_input": &v.Input, "example_output": &v.Output,
		"price": &v.Price, "pricing_type": &v.Pricing, "billing_interval": &v.Interval, "settle": &v.Settle, "secret_header": &v.SecretHeader,
		"secret": &v.Secret, "timeout_seconds": &v.Timeout, "max_answer_bytes": &v.MaxAnswer,
	}
	if f, ok := fields[field]; ok {
		f.Problem = r.message
	} else {
		v.Problem = r.message
	}
	return h.Page(c, http.StatusUnprocessableEntity, views.EndpointForm(v))
}
