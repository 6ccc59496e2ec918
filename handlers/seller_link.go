package handlers

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/views"
)

func (h *Handlers) links(c echo.Context, s seller) error {
	before, after := c.QueryParam("before"), c.QueryParam("after")
	rows, err := h.Shop.Links(c.Request().Context(), s.Merchant, s.livemode, shop.Page{Before: before, After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	rows, more := trim(rows, after != "")
	v := views.LinksView{DashboardView: h.frame(c, s, "Links", views.SectionLinks, true)}
	for _, l := range rows {
		v.Links = append(v.Links, views.LinkRow{
			Link: l.ID, Title: l.Title, Price: l.Price, Paid: int(l.Payments), Limit: l.MaxPayments, LastPaid: l.LastPaidAt, State: h.linkState(l.Link),
		})
	}
	if len(rows) > 0 {
		v.Pages = pager(c, more, string(rows[0].ID), string(rows[len(rows)-1].ID), len(rows))
	}
	return h.livePage(c, views.Links(v))
}

// linkState is the word on a link's pill.
func (h *Handlers) linkState(l shop.Link) string {
	switch err := l.Open(h.Now()); {
	case errors.Is(err, shop.ErrLinkExpired):
		return "expired"
	case errors.Is(err, shop.ErrSoldOut):
		return "sold_out"
	case errors.Is(err, shop.ErrLinkPaused):
		return "paused"
	case errors.Is(err, shop.ErrLinkEarly):
		return "scheduled"
	default:
		return "open"
	}
}

func (h *Handlers) newLink(c echo.Context, s seller) error {
	return h.Page(c, http.StatusOK, views.LinkForm(views.LinkFormView{DashboardView: h.frame(c, s, "New link", views.SectionLinks, false), Zone: zone}))
}

// zone names the clock of every time that a seller types.
const zone = "UTC"

const formTime = "2006-01-02T15:04"

func (h *Handlers) createLink(c echo.Context, s seller) error {
	form, err := linkForm(c)
	if err == nil {
		var l shop.Link
		if l, err = h.Shop.CreateLink(c.Request().Context(), s.Merchant, s.livemode, form, actor(c, s)); err == nil {
			return c.Redirect(http.StatusSeeOther, views.LinkDetailPath(l.ID))
		}
	}
	return h.linkFormAgain(c, s, "New link", "", err)
}

func (h *Handlers) editLink(c echo.Context, s seller) error {
	l, err := h.ownLink(c, s)
	if err != nil {
		return err
	}
	v := views.LinkFormView{
		DashboardView: h.frame(c, s, "Edit link", views.SectionLinks, false), Link: l.ID, Zone: zone,
		Title: views.Field{Value: l.Title}, Description: views.Field{Value: l.Description}, Price: views.Field{Value: l.Price.String()},
		SuccessURL: views.Field{Value: l.SuccessURL}, Reference: views.Field{Value: l.Reference},
		Offer: views.LinkOffer{Message: views.Field{Value: l.After.Message}, Target: views.Field{Value: l.LeadsTo.URL}, Require: !l.LeadsTo.All},
	}
	if l.StartsAt != nil {
		v.Offer.Starts.Value = l.StartsAt.UTC().Format(formTime)
	}
	if l.MaxPayments > 0 {
		v.MaxPayments.Value = strconv.Itoa(l.MaxPayments)
	}
	if l.ExpiresAt != nil {
		v.Expires.Value = l.ExpiresAt.UTC().Format(formTime)
	}
	return h.Page(c, http.StatusOK, views.LinkForm(v))
}

func (h *Handlers) updateLink(c echo.Context, s seller) error {
	l, err := h.ownLink(c, s)
	if err != nil {
		return err
	}
	form, err := linkForm(c)
	if err == nil {
		write := func(f *shop.LinkForm) error {
			form.Metadata, form.Items, form.Open = f.Metadata, f.Items, f.Open // which the page does not show
			form.Paused, form.After.File, form.After.KeyItem = f.Paused, f.After.File, f.After.KeyItem
			if form.Items != nil || form.Open != nil {
				form.Price = f.Price
			}
			*f = form
			return nil
		}
		if l, err = h.Shop.UpdateLink(c.Request().Context(), s.Merchant, l.ID, write, actor(c, s)); err == nil {
			h.shelf.forget(l.Token)
			return c.Redirect(http.StatusSeeOther, views.LinkDetailPath(l.ID))
		}
	}
	link, parseErr := id.Parse[id.Link](c.Param("link"))
	if parseErr != nil {
		return shop.ErrNotFound
	}
	return h.linkFormAgain(c, s, "Edit link", link, err)
}

// linkForm reads the form; what cannot be read names its field.
func linkForm(c echo.Context) (shop.LinkForm, error) {
	f := shop.LinkForm{
		Title: c.FormValue("title"), Description: c.FormValue("description"), SuccessURL: strings.TrimSpace(c.FormValue("success_url")),
		Reference: c.FormValue("reference"), After: shop.After{Message: c.FormValue("message")},
		LeadsTo: shop.LeadsTo{URL: strings.TrimSpace(c.FormValue("target"))},
	}
	f.LeadsTo.All = f.LeadsTo.URL != "" && c.FormValue("require") == ""
	var err error
	price := strings.TrimSpace(c.FormValue("price"))
	if f.Price, err = money.ParseUSDC(price); err != nil && (price != "" || !f.LeadsTo.All) {
		return f, &shop.FieldError{Field: "price", Message: "Give an amount such as 12.50, with at most six decimals."}
	}
	if text := strings.TrimSpace(c.FormValue("max_payments")); text != "" {
		if f.MaxPayments, err = strconv.Atoi(text); err != nil || f.MaxPayments < 1 {
			return f, &shop.FieldError{Field: "max_payments", Message: "Give a whole number of payments, or leave it empty."}
		}
	}
	if f.StartsAt, err = formMoment(c, "starts_at"); err != nil {
		return f, err
	}
	f.ExpiresAt, err = formMoment(c, "expires_at")
	return f, err
}

// formMoment reads a moment, or nil where none is given.
func formMoment(c echo.Context, name string) (*time.Time, error) {
	text := c.FormValue(name)
	if text == "" {
		return nil, nil //nolint:nilnil // no moment is no mistake
	}
	at, err := time.Parse(formTime, text)
	if err != nil {
		return nil, &shop.FieldError{Field: name, Message: "Give a day and a time, or leave it empty."}
	}
	return &at, nil
}

// linkFormAgain shows the form as it was sent, with what is wrong with it.
func (h *Handlers) linkFormAgain(c echo.Context, s seller, heading string, link id.Link, err error) error {
	v := views.LinkFormView{DashboardView: h.frame(c, s, heading, views.SectionLinks, false), Link: link, Zone: zone}
	fields := map[string]*views.Field{
		"title": &v.Title, "description": &v.Description, "price": &v.Price, "max_payments": &v.MaxPayments,
		"starts_at": &v.Offer.Starts, "expires_at": &v.Expires, "success_url": &v.SuccessURL, "reference": &v.Reference,
		"message": &v.Offer.Message, "target": &v.Offer.Target,
	}
	v.Offer.Require = c.FormValue("require") != ""
	for name, field := range fields {
		field.Value = c.FormValue(name)
	}
	r, name := replyTo(err)
	if r.status >= http.StatusInternalServerError || r.status == http.StatusNotFound {
		return err
	}
	if field, ok := fields[name]; ok {
		field.Problem = r.message
	} else {
		v.Problem = r.message
	}
	return h.Page(c, http.StatusUnprocessableEntity, views.LinkForm(v))
}

func (h *Handlers) ownLink(c echo.Context, s seller) (shop.Link, error) {
	link, err := id.Parse[id.Link](c.Param("link"))
	if err != nil {
		return shop.Link{}, shop.ErrNotFound
	}
	l, err := h.Shop.Link(c.Request().Context(), s.Merchant, link)
	if err == nil && l.Livemode != s.livemode {
		return shop.Link{}, shop.ErrNotFound
	}
	return l, err
}

// attemptsShown is how many of a link's purchases its page lists.
const attemptsShown = 50

func (h *Handlers) showLink(c echo.Context, s seller) error {
	l, err := h.ownLink(c, s)
	if err != nil {
		return err
	}
	totals, err := h.Shop.Totals(c.Request().Context(), l.ID)
	if err != nil {
		return err
	}
	attempts, err := h.Checkout.AttemptsOfLink(c.Request().Context(), s.Merchant, l.ID, attemptsShown)
	if err != nil {
		return err
	}
	v := views.LinkView{
		DashboardView: h.frame(c, s, l.Title, views.SectionLinks, true), Link: l.ID, Token: l.Token, Title: l.Title,
		Description: l.Description, Price: l.Price, State: h.linkState(l), URL: h.PublicURL + views.LinkPath(l.Token),
		Paid: int(totals.Payments), Limit: l.MaxPayments, Received: totals.Received, LastPaid: totals.LastPaidAt, Created: l.CreatedAt.UTC(),
		SuccessURL: l.SuccessURL, Terms: views.LinkTerms{Message: l.After.Message, Target: l.LeadsTo.URL, Free: l.LeadsTo.All, Clicks: int(totals.Clicks.Led)},
		Reference: l.Reference, DevSettle: h.DevSettle, Attempts: attemptRows(attempts),
	}
	if l.StartsAt != nil {
		v.Terms.Starts = l.StartsAt.UTC()
	}
	if l.ExpiresAt != nil {
		v.Expires = l.ExpiresAt.UTC()
	}
	if err := l.Open(h.Now()); err != nil {
		r, _ := replyTo(err)
		v.Over = r.message
	}
	return h.livePage(c, views.Link(v))
}

func attemptRows(attempts []checkout.Listed) []views.AttemptRow {
	rows := make([]views.AttemptRow, len(attempts))
	for i, a := range attempts {
		rows[i] = views.AttemptRow{
			Attempt: a.ID, Time: a.CreatedAt.UTC(), Payer: payer(a.Payer), State: string(a.Status), Open: a.Status == checkout.Open,
			Amount: a.Amount, Pending: !a.Status.Paid(), Simulated: a.Simulated,
		}
	}
	return rows
}

func (h *Handlers) confirmExpire(c echo.Context, s seller) error {
	l, err := h.ownLink(c, s)
	if err != nil {
		return err
	}
	return h.Page(c, http.StatusOK, views.Confirm(views.ConfirmView{
		DashboardView: h.frame(c, s, "Expire link", views.SectionLinks, false), Subject: l.Title, Amount: l.Price,
		Consequence: "Nobody can begin a payment with this link any more. Payments under way are still taken.",
		Action:      views.LinkExpirePath(l.ID), Verb: "Expire link", Back: views.LinkDetailPath(l.ID),
	}))
}

func (h *Handlers) expireLink(c echo.Context, s seller) error {
	l, err := h.ownLink(c, s)
	if err != nil {
		return err
	}
	if _, err := h.Shop.ExpireLink(c.Request().Context(), s.Merchant, l.ID, actor(c, s)); err != nil {
		return err
	}
	h.shelf.forget(l.Token)
	return c.Redirect(http.StatusSeeOther, views.LinkDetailPath(l.ID))
}

func (h *Handlers) confirmDeletion(c echo.Context, s seller) error {
	l, err := h.ownLink(c, s)
	if err != nil {
		return err
	}
	return h.Page(c, http.StatusOK, views.Confirm(views.ConfirmView{
		DashboardView: h.frame(c, s, "Delete link", views.SectionLinks, false), Subject: l.Title, Amount: l.Price,
		Consequence: "Its address leads nowhere any more, and it is in no list. Its sales and receipts stay.",
		Action:      views.LinkDeletionPath(l.ID), Verb: "Delete link", Back: views.LinkDetailPath(l.ID),
	}))
}

func (h *Handlers) deleteLink(c echo.Context, s seller) error {
	l, err := h.ownLink(c, s)
	if err != nil {
		return err
	}
	if err := h.Shop.DeleteLink(c.Request().Context(), s.Merchant, l.ID, actor(c, s)); err != nil {
		return err
	}
	h.shelf.forget(l.Token)
	return c.Redirect(http.StatusSeeOther, views.LinksPath)
}

// simulate pays an open purchase with money that was never there.
func (h *Handlers) simulate(c echo.Context, s seller) error {
	attempt, err := id.Parse[id.Attempt](c.Param("attempt"))
	if err != nil {
		return checkout.ErrNotFound
	}
	mode := checkout.Direct
	if c.FormValue("mode") == string(checkout.Worker) {
		mode = checkout.Worker
	}
	purchase, err := h.Checkout.Purchase(c.Request().Context(), attempt)
	switch {
	case err != nil:
		return err
	case purchase.Livemode != s.livemode:
		return checkout.ErrNotFound
	}
	purchase, err = h.Checkout.Simulate(c.Request().Context(), s.Merchant, attempt, mode)
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.LinkDetailPath(purchase.Link))
}
