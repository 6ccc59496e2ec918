package handlers

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/views"
)

// zone names the clock of every time that a seller types.
const zone = "UTC"

// What the form of a link may be about.
const (
	sellsAmount   = "amount"
	sellsItems    = "items"
	sellsOpen     = "open"
	sellsShort    = "short"
	sellsEndpoint = "endpoint"
)

func (h *Handlers) newLink(c echo.Context, s seller) error {
	v := views.LinkFormView{Offer: views.LinkOffer{Sells: views.Field{Value: sellsAmount}, Require: true}}
	return h.showLinkForm(c, s, http.StatusOK, v)
}

func (h *Handlers) createLink(c echo.Context, s seller) error {
	v, arranged, err := h.sentLink(c, s)
	if err != nil {
		return err
	}
	if arranged {
		return h.showLinkForm(c, s, http.StatusOK, v)
	}
	write, err := readLink(&v)
	if err != nil {
		return h.linkAgain(c, s, v, err)
	}
	var form shop.LinkForm
	write(&form)
	l, err := h.Shop.CreateLink(c.Request().Context(), s.Merchant, s.livemode, form, actor(c, s))
	if err != nil {
		return h.linkAgain(c, s, v, err)
	}
	return c.Redirect(http.StatusSeeOther, views.LinkDetailPath(l.ID))
}

func (h *Handlers) editLink(c echo.Context, s seller) error {
	l, err := h.ownLink(c, s)
	if err != nil {
		return err
	}
	return h.showLinkForm(c, s, http.StatusOK, writtenLink(l))
}

func (h *Handlers) updateLink(c echo.Context, s seller) error {
	l, err := h.ownLink(c, s)
	if err != nil {
		return err
	}
	v, arranged, err := h.sentLink(c, s)
	if err != nil {
		return err
	}
	v.Link = l.ID
	if arranged {
		return h.showLinkForm(c, s, http.StatusOK, v)
	}
	write, err := readLink(&v)
	if err != nil {
		return h.linkAgain(c, s, v, err)
	}
	change := func(f *shop.LinkForm) error { write(f); return nil }
	if l, err = h.Shop.UpdateLink(c.Request().Context(), s.Merchant, l.ID, change, actor(c, s)); err != nil {
		return h.linkAgain(c, s, v, err)
	}
	h.shelf.forget(l.Token)
	return c.Redirect(http.StatusSeeOther, views.LinkDetailPath(l.ID))
}

// linkAgain shows the form as it was sent, with what is wrong with it.
func (h *Handlers) linkAgain(c echo.Context, s seller, v views.LinkFormView, problem error) error {
	r, name := replyTo(problem)
	if r.status >= http.StatusInternalServerError || r.status == http.StatusNotFound {
		return problem
	}
	if field := linkField(&v, name); field != nil {
		field.Problem = r.message
	} else {
		v.Problem = r.message
	}
	return h.showLinkForm(c, s, http.StatusUnprocessableEntity, v)
}

// linkField is the control of the form that a member of a link is typed into, or nil.
func linkField(v *views.LinkFormView, name string) *views.Field {
	return map[string]*views.Field{
		"title": &v.Title, "description": &v.Description, "price": &v.Price, "max_payments": &v.MaxPayments,
		"starts_at": &v.Offer.Starts, "expires_at": &v.Expires, "success_url": &v.SuccessURL, "reference": &v.Reference,
		"message": &v.Offer.Message, "leads_to": &v.Offer.Target, "sells": &v.Offer.Sells, "items": &v.Offer.Find,
		"open_amount.min": &v.Offer.Min, "open_amount.presets": &v.Offer.Presets, "endpoint_id": &v.Offer.Endpoint,
	}[name]
}

// showLinkForm names the items of the form as they are now.
func (h *Handlers) showLinkForm(c echo.Context, s seller, status int, v views.LinkFormView) error {
	heading := "New link"
	if v.Link != "" {
		heading = "Edit link"
	}
	v.DashboardView, v.Zone = h.frame(c, s, heading, views.SectionLinks, false), zone
	wants := make([]shop.Want, len(v.Offer.Lines))
	for i, l := range v.Offer.Lines {
		wants[i] = shop.Want{Item: l.Item, Qty: 1, Title: "Not an item of this shop"}
	}
	goods, err := h.Shop.Goods(c.Request().Context(), s.Merchant, s.livemode, wants)
	if err != nil {
		return err
	}
	for i, g := range goods {
		l := &v.Offer.Lines[i]
		l.Title, l.Pricing, l.Price, l.Stock = g.Title, string(g.Pricing), g.Price, views.StockView{Limited: g.Limited, Free: g.Free}
	}
	if v.Offer.Endpoints, err = h.endpointOptions(c, s, v.Offer.Endpoint.Value); err != nil {
		return err
	}
	return h.Page(c, status, views.LinkForm(v))
}

// endpointOptions are the shop's paid APIs that a link may stand for: those that are on, and the one that it stands for.
func (h *Handlers) endpointOptions(c echo.Context, s seller, chosen string) ([]views.Option, error) {
	all, err := h.Endpoints.List(c.Request().Context(), s.Merchant, s.livemode, shop.Page{Limit: maxEndpointOptions})
	if err != nil {
		return nil, err
	}
	var options []views.Option
	for _, e := range all {
		if e.DisabledAt == nil || string(e.ID) == chosen {
			options = append(options, views.Option{Value: string(e.ID), Word: e.Title + ", " + views.AmountUSDC(e.Price)})
		}
	}
	return options, nil
}

const maxEndpointOptions = 100

// writtenLink is the form of a link as it is.
func writtenLink(l shop.Link) views.LinkFormView {
	v := views.LinkFormView{
		Link: l.ID, Title: views.Field{Value: l.Title}, Description: views.Field{Value: l.Description}, SuccessURL: views.Field{Value: l.SuccessURL},
		Reference: views.Field{Value: l.Reference}, Expires: typedMoment(l.ExpiresAt),
		Offer: views.LinkOffer{
			Sells: views.Field{Value: sellsOf(l)}, Lines: linkLines(l.Goods), Target: views.Field{Value: l.LeadsTo.URL}, Require: !l.LeadsTo.All,
			Starts: typedMoment(l.StartsAt), Asks: l.Asks.Words(), Tips: l.Asks.Tip, Message: views.Field{Value: l.After.Message},
		},
	}
	if l.MaxPayments > 0 {
		v.MaxPayments.Value = strconv.Itoa(l.MaxPayments)
	}
	switch l.Sells {
	case shop.SellsAmount:
		v.Price.Value = l.Price.String()
	case shop.SellsOpen:
		v.Offer.Min.Value = l.Price.String()
		var presets []string
		for _, p := range l.Presets {
			presets = append(presets, p.String())
		}
		v.Offer.Presets.Value = strings.Join(presets, " ")
	case shop.SellsEndpoint:
		v.Offer.Endpoint.Value = string(l.Pass.Endpoint)
	case shop.SellsItems:
	}
	return v
}

// sellsOf is what the form of a link is about.
func sellsOf(l shop.Link) string {
	if l.Sells == shop.SellsAmount && l.LeadsTo.URL != "" {
		return sellsShort
	}
	return string(l.Sells)
}

func linkLines(goods []shop.Good) []views.LinkLine {
	lines := make([]views.LinkLine, len(goods))
	for i, g := range goods {
		lines[i] = views.LinkLine{
			Item: g.Item, Title: g.Title, Pricing: string(g.Pricing), Price: g.Price, Qty: views.Field{Value: strconv.Itoa(g.Qty)},
			Stock: views.StockView{Limited: g.Limited, Free: g.Free},
		}
	}
	return lines
}

// typedMoment is a moment as a control has it; empty for none.
func typedMoment(t *time.Time) views.Field {
	if t == nil {
		return views.Field{}
	}
	return views.Field{Value: t.UTC().Format(formTime)}
}

// sentLink is the form as it was sent. arranged tells that one of the buttons was pressed which look for items, or put
// them into the list or out of it: then nothing is to be saved.
func (h *Handlers) sentLink(c echo.Context, s seller) (v views.LinkFormView, arranged bool, err error) {
	value := func(name string) views.Field { return views.Field{Value: strings.TrimSpace(c.FormValue(name))} }
	v = views.LinkFormView{
		Title: value("title"), Description: value("description"), Price: value("price"), MaxPayments: value("max_payments"),
		Expires: value("expires_at"), SuccessURL: value("success_url"), Reference: value("reference"),
		Offer: views.LinkOffer{
			Sells: value("sells"), Find: value("find"), Endpoint: value("endpoint"), Min: value("min"), Presets: value("presets"), Target: value("target"),
			Require: c.FormValue("require") != "", Starts: value("starts_at"), Tips: c.FormValue("tips") != "", Message: value("message"),
		},
	}
	form, err := c.FormParams()
	if err != nil {
		return v, false, err
	}
	if v.Offer.Sells.Value == "" {
		v.Offer.Sells.Value = sellsAmount
	}
	v.Offer.Asks = form["ask"]
	for i, item := range form["item"] {
		line := views.LinkLine{Item: id.Item(item)}
		if qty := form["qty"]; i < len(qty) {
			line.Qty.Value = strings.TrimSpace(qty[i])
		}
		if v.Offer.Lines = append(v.Offer.Lines, line); i == shop.MaxLines {
			break
		}
	}
	arranged, err = h.arrange(c, s, &v.Offer)
	return v, arranged, err
}

// itemsFound is how many items a search in the form of a link shows.
const itemsFound = 8

// arrange does what a button of the list of items says.
func (h *Handlers) arrange(c echo.Context, s seller, o *views.LinkOffer) (bool, error) {
	add, drop := id.Item(c.FormValue("add")), id.Item(c.FormValue("drop"))
	switch {
	case c.FormValue("do") == "find":
		found, err := h.Shop.Items(c.Request().Context(), s.Merchant, s.livemode, shop.ItemFilter{Search: o.Find.Value}, shop.Page{Limit: itemsFound})
		if err != nil {
			return true, err
		}
		o.Searched = true
		for _, i := range found[:min(len(found), itemsFound)] {
			o.Found = append(o.Found, views.ItemChoice{Item: i.ID, Title: i.FullTitle()})
		}
	case add != "":
		o.Find.Value = ""
		if !slices.ContainsFunc(o.Lines, func(l views.LinkLine) bool { return l.Item == add }) {
			o.Lines = append(o.Lines, views.LinkLine{Item: add, Qty: views.Field{Value: "1"}})
		}
	case drop != "":
		o.Lines = slices.DeleteFunc(o.Lines, func(l views.LinkLine) bool { return l.Item == drop })
	default:
		return false, nil
	}
	o.Sells.Value = sellsItems
	return true, nil
}

// readLink reads the form; what cannot be read names its field. What the form does not show stays as it is.
func readLink(v *views.LinkFormView) (write func(*shop.LinkForm), err error) {
	offer, err := readOffer(v)
	if err != nil {
		return nil, err
	}
	asks, err := shop.AsksOf(v.Offer.Asks)
	if err != nil {
		return nil, err
	}
	asks.Tip = v.Offer.Tips
	most := 0
	if text := v.MaxPayments.Value; text != "" {
		if most, err = strconv.Atoi(text); err != nil || most < 1 {
			return nil, &shop.FieldError{Field: "max_payments", Message: "Give a whole number of payments, or leave it empty."}
		}
	}
	starts, err := readMoment("starts_at", v.Offer.Starts)
	if err != nil {
		return nil, err
	}
	ends, err := readMoment("expires_at", v.Expires)
	if err != nil {
		return nil, err
	}
	return func(f *shop.LinkForm) {
		f.Title, f.Description, f.SuccessURL, f.Reference = v.Title.Value, v.Description.Value, v.SuccessURL.Value, v.Reference.Value
		f.After.Message, f.MaxPayments, f.StartsAt, f.ExpiresAt, f.Asks = v.Offer.Message.Value, most, starts, ends, asks
		offer(f)
	}, nil
}

// readOffer reads what the link sells. Only a link to a page is led on by the form; another keeps that it leads somewhere
// as long as it sells the same kind of thing.
func readOffer(v *views.LinkFormView) (write func(*shop.LinkForm), err error) {
	o := &v.Offer
	switch o.Sells.Value {
	case sellsAmount:
		price, err := readAmount("price", v.Price.Value)
		return func(f *shop.LinkForm) {
			f.Price, f.Items, f.Open, f.Endpoint, f.LeadsTo = price, nil, nil, "", shop.LeadsTo{}
		}, err
	case sellsEndpoint:
		endpoint, err := id.Parse[id.Endpoint](o.Endpoint.Value)
		if err != nil {
			return nil, &shop.FieldError{Field: "endpoint_id", Message: "Choose a paid API."}
		}
		return func(f *shop.LinkForm) {
			if f.Endpoint == "" {
				f.LeadsTo = shop.LeadsTo{}
			}
			f.Price, f.Items, f.Open, f.Endpoint = 0, nil, nil, endpoint
		}, nil
	case sellsShort:
		to := shop.LeadsTo{URL: o.Target.Value, All: !o.Require}
		if to.URL == "" {
			return nil, &shop.FieldError{Field: "leads_to", Message: "Say where the link leads."}
		}
		var price money.USDC
		if o.Require {
			price, err = readAmount("price", v.Price.Value)
		}
		return func(f *shop.LinkForm) { f.Price, f.Items, f.Open, f.Endpoint, f.LeadsTo = price, nil, nil, "", to }, err
	case sellsOpen:
		open, err := readOpen(o)
		return func(f *shop.LinkForm) {
			if f.Open == nil {
				f.LeadsTo = shop.LeadsTo{}
			}
			f.Price, f.Items, f.Open, f.Endpoint = 0, nil, open, ""
		}, err
	case sellsItems:
		wants, err := readLines(o.Lines)
		return func(f *shop.LinkForm) {
			if f.Items == nil {
				f.LeadsTo = shop.LeadsTo{}
			}
			f.Price, f.Items, f.Open, f.Endpoint = 0, wants, nil, ""
		}, err
	}
	return nil, &shop.FieldError{Field: "sells", Message: "Choose what the link offers."}
}

// readLines reads how many of each item; what is no number says so at its line.
func readLines(lines []views.LinkLine) ([]shop.Want, error) {
	wants := make([]shop.Want, len(lines))
	for i := range lines {
		l := &lines[i]
		n, err := strconv.Atoi(l.Qty.Value)
		if err != nil || n < 1 {
			l.Qty.Problem = oneOrMore
			return nil, &shop.FieldError{Field: "qty", Message: "How many of each item is a whole number from 1 on."}
		}
		wants[i] = shop.Want{Item: l.Item, Qty: n}
	}
	return wants, nil
}

// readOpen reads what the buyer may give.
func readOpen(o *views.LinkOffer) (*shop.OpenAmount, error) {
	open := &shop.OpenAmount{}
	var err error
	if o.Min.Value != "" {
		if open.Min, err = readAmount("open_amount.min", o.Min.Value); err != nil {
			return nil, err
		}
	}
	apart := func(r rune) bool { return r == ' ' || r == ';' || r == '\t' || r == '\u00a0' }
	for _, text := range strings.FieldsFunc(o.Presets.Value, apart) {
		amount, err := money.ParseUSDC(strings.TrimSuffix(text, ","))
		if err != nil {
			return nil, &shop.FieldError{Field: "open_amount.presets", Message: "Give amounts such as 3 5 10.50, with blanks between them."}
		}
		open.Presets = append(open.Presets, amount)
	}
	return open, nil
}
