package handlers

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

func (h *Handlers) codeRoutes(e *echo.Echo) {
	e.GET(views.CodesPath, h.may(access.SeeCodes, h.codeBatches))
	e.POST(views.CodesPath, h.may(access.ChangeCodes, h.createCodes))
	e.GET(views.CodeNewPath, h.may(access.ChangeCodes, h.newCodes))
	one := views.CodesPath + "/:batch"
	e.GET(one, h.may(access.SeeCodes, h.showCodes))
	e.GET(one+"/codes.csv", h.may(access.SeeCodes, h.codesCSV))
	e.GET(one+"/sheet", h.may(access.SeeCodes, h.codeSheet))
	e.GET(one+"/revocation", h.may(access.ChangeCodes, h.confirmCodesEnd))
	e.POST(one+"/revocation", h.may(access.ChangeCodes, h.revokeCodes))
}

func (h *Handlers) codeBatches(c echo.Context, s seller) error {
	before, after := c.QueryParam("before"), c.QueryParam("after")
	rows, err := h.Shop.CodeBatches(c.Request().Context(), s.Merchant, s.livemode, shop.Page{Before: before, After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	rows, more := trim(rows, after != "")
	v := views.CodeBatchesView{DashboardView: h.frame(c, s, "Codes", views.SectionCodes, true)}
	for _, b := range rows {
		v.Batches = append(v.Batches, h.codeBatchRow(b))
	}
	if len(rows) > 0 {
		v.Pages = pager(c, more, string(rows[0].ID), string(rows[len(rows)-1].ID), len(rows))
	}
	return h.livePage(c, views.CodeBatches(v))
}

func (h *Handlers) codeBatchRow(b shop.Batch) views.CodeBatchRow {
	return views.CodeBatchRow{
		Batch: b.ID, Name: or(b.Name, b.First), Count: b.Codes, Off: offInWords(b.Terms), For: b.Bound, Used: b.Used, Uses: b.Uses * b.Codes,
		State: string(b.Status(h.Now())),
	}
}

func offInWords(t shop.Terms) string {
	switch t.Off {
	case shop.OffPercent:
		return strconv.Itoa(t.Percent) + " % off"
	case shop.OffAmount:
		return t.Amount.Grouped() + " USDC off"
	default:
		return "Free"
	}
}

// ownCodes finds the codes of a page's address.
func (h *Handlers) ownCodes(c echo.Context, s seller) (shop.Batch, error) {
	batch, err := id.Parse[id.CodeBatch](c.Param("batch"))
	if err != nil {
		return shop.Batch{}, shop.ErrNotFound
	}
	return h.Shop.CodeBatch(c.Request().Context(), s.Merchant, s.livemode, batch)
}

func (h *Handlers) showCodes(c echo.Context, s seller) error {
	b, err := h.ownCodes(c, s)
	if err != nil {
		return err
	}
	before, after := c.QueryParam("before"), c.QueryParam("after")
	codes, err := h.Shop.Codes(c.Request().Context(), s.Merchant, s.livemode, shop.CodeFilter{Batch: b.ID}, shop.Page{Before: before, After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	codes, more := trim(codes, after != "")
	if b.First == "" && len(codes) > 0 {
		b.First = codes[0].Code
	}
	v := views.CodeBatchView{
		CodeBatchRow: h.codeBatchRow(b), PerCode: b.Uses, PerWallet: b.PerWallet, From: timeOr(b.From), Until: timeOr(b.Until), Created: b.CreatedAt.UTC(),
		Address: payer(b.Address),
	}
	v.DashboardView = h.frame(c, s, or(b.Name, "Codes"), views.SectionCodes, true)
	for _, code := range codes {
		v.Codes = append(v.Codes, views.CodeRow{ID: code.ID, Code: code.Code, Used: code.Used, Uses: code.Uses, State: string(code.Status(h.Now()))})
	}
	if len(codes) > 0 {
		v.Pages = pager(c, more, string(codes[0].ID), string(codes[len(codes)-1].ID), len(codes))
	}
	return h.livePage(c, views.CodeBatch(v))
}

// allCodes is every code of a batch.
func (h *Handlers) allCodes(c echo.Context, s seller, b shop.Batch) ([]shop.Code, error) {
	return h.Shop.Codes(c.Request().Context(), s.Merchant, s.livemode, shop.CodeFilter{Batch: b.ID}, shop.Page{Limit: shop.MaxCodes})
}

// codeURL is the page of a code's link, with the code filled in; empty for a code that is for no link.
func (h *Handlers) codeURL(code shop.Code) string {
	if code.LinkToken == "" {
		return ""
	}
	return h.PublicURL + views.CodedLinkPath(code.LinkToken, code.Code)
}

// codeColumns keeps its order: programs read these columns by place.
var codeColumns = []string{
	"code", "url", "status", "uses", "used", "takes_off", "valid_from", "valid_until", "address", "name", "id", "batch_id", "created_at", "revoked_at",
}

// codesCSV sends codes as a table (RFC 4180), cells that look like formulas made inert.
func (h *Handlers) codesCSV(c echo.Context, s seller) error {
	b, err := h.ownCodes(c, s)
	if err != nil {
		return err
	}
	codes, err := h.allCodes(c, s, b)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	table := csv.NewWriter(&text)
	table.UseCRLF = true
	rows := [][]string{codeColumns}
	for _, code := range codes {
		rows = append(rows, []string{
			inert(code.Code), h.codeURL(code), string(code.Status(h.Now())), strconv.Itoa(code.Uses), strconv.Itoa(code.Used), inert(offInWords(code.Terms)),
			stamp(code.From), stamp(code.Until), code.Address, inert(b.Name), string(code.ID), string(b.ID), stamp(&code.CreatedAt), stamp(code.RevokedAt),
		})
	}
	if err := table.WriteAll(rows); err != nil {
		return err
	}
	header := c.Response().Header()
	header.Set(headerRows, strconv.Itoa(len(codes)))
	header.Set(echo.HeaderContentDisposition, `attachment; filename="codes-`+h.Now().UTC().Format(time.DateOnly)+`.csv"`)
	return c.Blob(http.StatusOK, "text/csv; charset=utf-8", text.Bytes())
}

// stamp writes a time as tables have it; nothing for none.
func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// codeSheet is the codes that may still be used, to print and to cut out.
func (h *Handlers) codeSheet(c echo.Context, s seller) error {
	b, err := h.ownCodes(c, s)
	if err != nil {
		return err
	}
	codes, err := h.allCodes(c, s, b)
	if err != nil {
		return err
	}
	v := views.CodeSheetView{
		Shop: s.Shop, Test: !s.livemode, Back: views.CodeBatchPath(b.ID), Name: or(b.Name, "Codes"), Off: offInWords(b.Terms), For: b.Bound, Until: timeOr(b.Until),
	}
	for _, code := range codes {
		if status := code.Status(h.Now()); status != shop.CodeActive && status != shop.CodeScheduled {
			continue
		}
		qr, err := views.NewQR(or(h.codeURL(code), code.Code))
		if err != nil {
			return err
		}
		v.Cards = append(v.Cards, views.CodeCard{Code: code.Code, QR: qr})
	}
	return h.Page(c, http.StatusOK, views.CodeSheet(v))
}

func (h *Handlers) confirmCodesEnd(c echo.Context, s seller) error {
	b, err := h.ownCodes(c, s)
	if err != nil {
		return err
	}
	return h.Page(c, http.StatusOK, views.Confirm(views.ConfirmView{
		DashboardView: h.frame(c, s, "Revoke these codes?", views.SectionCodes, false),
		Subject:       or(b.Name, "Codes") + ", " + strconv.Itoa(b.Codes-b.Revoked) + " active",
		Consequence:   "Nobody can use them any more, and they do not come back. What was begun with them may still be paid.",
		Action:        views.CodesRevocationPath(b.ID), Verb: "Revoke all", Back: views.CodeBatchPath(b.ID),
	}))
}

// revokeCodes ends one code of a batch, or all of them.
func (h *Handlers) revokeCodes(c echo.Context, s seller) error {
	b, err := h.ownCodes(c, s)
	if err != nil {
		return err
	}
	if text := c.FormValue("code"); text != "" {
		var code id.Code
		if code, err = id.Parse[id.Code](text); err == nil {
			_, err = h.Shop.RevokeCode(c.Request().Context(), s.Merchant, s.livemode, code, actor(c, s))
		}
	} else {
		_, err = h.Shop.RevokeCodes(c.Request().Context(), s.Merchant, s.livemode, b.ID, actor(c, s))
	}
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.CodeBatchPath(b.ID))
}

func (h *Handlers) newCodes(c echo.Context, s seller) error {
	v := views.CodeFormView{
		DashboardView: h.frame(c, s, "New codes", views.SectionCodes, false), Zone: zone, Once: id.NewToken(),
		Count: views.Field{Value: "1"}, Uses: views.Field{Value: "1"}, For: views.Field{Value: c.QueryParam("for")},
	}
	var err error
	if v.Subjects, err = h.codeSubjects(c, s); err != nil {
		return err
	}
	return h.Page(c, http.StatusOK, views.CodeForm(v))
}

// subjectsShown is how many things of a kind a form of codes offers.
const subjectsShown = 200

// codeSubjects is what codes may be for.
func (h *Handlers) codeSubjects(c echo.Context, s seller) ([]views.CodeSubjects, error) {
	ctx, page := c.Request().Context(), shop.Page{Limit: subjectsShown}
	items, err := h.Shop.Items(ctx, s.Merchant, s.livemode, shop.ItemFilter{}, page)
	if err != nil {
		return nil, err
	}
	links, err := h.Shop.Links(ctx, s.Merchant, s.livemode, page)
	if err != nil {
		return nil, err
	}
	endpoints, err := h.Endpoints.List(ctx, s.Merchant, s.livemode, page)
	if err != nil {
		return nil, err
	}
	all := []views.CodeSubjects{{Kind: "Items"}, {Kind: "Links"}, {Kind: "Paid APIs"}}
	for _, i := range items {
		all[0].All = append(all[0].All, views.Option{Value: string(i.ID), Word: i.Title})
	}
	for _, l := range links {
		all[1].All = append(all[1].All, views.Option{Value: string(l.ID), Word: l.Title})
	}
	for _, e := range endpoints {
		all[2].All = append(all[2].All, views.Option{Value: string(e.ID), Word: e.Title})
	}
	out := all[:0]
	for _, of := range all {
		if len(of.All) > 0 {
			out = append(out, of)
		}
	}
	return out, nil
}

func (h *Handlers) createCodes(c echo.Context, s seller) error {
	form, err := codeForm(c, s)
	if err == nil {
		var b shop.Batch
		if b, err = h.Shop.GenerateCodes(c.Request().Context(), s.Merchant, s.livemode, form, actor(c, s)); err == nil {
			return c.Redirect(http.StatusSeeOther, views.CodeBatchPath(b.ID))
		}
	}
	return h.codeFormAgain(c, s, err)
}

// codeForm reads the form; what cannot be read names its field.
func codeForm(c echo.Context, s seller) (shop.CodeForm, error) {
	f := shop.CodeForm{Name: c.FormValue("name"), Prefix: c.FormValue("prefix"), Once: formOnce(c, s), Terms: shop.Terms{Address: strings.TrimSpace(c.FormValue("address"))}}
	from, fromErr := readMoment("valid_from", views.Field{Value: c.FormValue("valid_from")})
	until, untilErr := readMoment("valid_until", views.Field{Value: c.FormValue("valid_until")})
	f.From, f.Until = from, until
	var countErr, usesErr, walletErr error
	f.Count, countErr = countOf("count", c.FormValue("count"))
	f.Uses, usesErr = countOf("uses", c.FormValue("uses"))
	f.PerWallet, walletErr = countOf("per_wallet", c.FormValue("per_wallet"))
	if err := errors.Join(countErr, usesErr, walletErr, fromErr, untilErr); err != nil {
		return f, err
	}
	if err := fillSubject(&f.Terms, c.FormValue("for")); err != nil {
		return f, err
	}
	if err := fillOff(c, &f.Terms); err != nil {
		return f, err
	}
	own, err := ownWords(c)
	if own != nil {
		f.Own, f.Prefix, f.Count = own, "", 0
	}
	return f, err
}

func fillSubject(t *shop.Terms, of string) (err error) {
	switch {
	case of == "":
	case strings.HasPrefix(of, t.Link.Prefix()):
		t.Link, err = id.Parse[id.Link](of)
	case strings.HasPrefix(of, t.Endpoint.Prefix()):
		t.Endpoint, err = id.Parse[id.Endpoint](of)
	default:
		t.Item, err = id.Parse[id.Item](of)
	}
	return err
}

func fillOff(c echo.Context, t *shop.Terms) (err error) {
	switch c.FormValue("off") {
	case "free":
		t.Off = shop.OffAll
	case "amount":
		t.Off = shop.OffAmount
		t.Amount, err = readAmount("amount_off", strings.TrimSpace(c.FormValue("amount")))
	default:
		t.Off = shop.OffPercent
		t.Percent, err = countOf("percent", c.FormValue("percent"))
	}
	return err
}

// maxOwnFile is more than a thousand of the longest codes take, with other columns beside them.
const maxOwnFile = 1 << 20

// ownWords are the seller's own codes: typed, one a line, or the first column of a file. Nil has them made up.
func ownWords(c echo.Context) ([]string, error) {
	var own []string
	if text := strings.TrimSpace(c.FormValue("own")); text != "" {
		own = strings.Split(text, "\n")
	}
	file, err := c.FormFile("own_file")
	if err != nil || file.Size == 0 { // none was chosen
		return own, nil //nolint:nilerr // a form without a file is as good
	}
	opened, err := file.Open()
	if err != nil {
		return nil, err
	}
	defer opened.Close() //nolint:errcheck // read only
	table := csv.NewReader(io.LimitReader(opened, maxOwnFile))
	table.FieldsPerRecord, table.LazyQuotes = -1, true
	for first := true; ; first = false {
		row, err := table.Read()
		if errors.Is(err, io.EOF) {
			return own, nil
		}
		if err != nil {
			return nil, &shop.FieldError{Field: "codes", Message: "This file could not be read. Use a text or CSV file in UTF-8."}
		}
		word := strings.TrimPrefix(row[0], "\ufeff")
		if first && strings.EqualFold(strings.TrimSpace(word), "code") { // the name of the column
			continue
		}
		if own = append(own, word); len(own) > 2*shop.MaxCodes {
			return own, nil // refused as too many
		}
	}
}

// codeFormAgain shows a refused form as it was sent.
func (h *Handlers) codeFormAgain(c echo.Context, s seller, problem error) error {
	r, field := replyTo(problem)
	if field == "" {
		return problem
	}
	sent := func(name string) views.Field { return views.Field{Value: c.FormValue(name)} }
	v := views.CodeFormView{
		DashboardView: h.frame(c, s, "New codes", views.SectionCodes, false), Zone: zone, Once: c.FormValue("once"),
		Name: sent("name"), Off: sent("off"), Percent: sent("percent"), Amount: sent("amount"), Count: sent("count"), Prefix: sent("prefix"), Own: sent("own"),
		Uses: sent("uses"), PerWallet: sent("per_wallet"), From: sent("valid_from"), Until: sent("valid_until"), For: sent("for"), Address: sent("address"),
	}
	fields := map[string]*views.Field{
		"name": &v.Name, "free": &v.Off, "percent_off": &v.Percent, "percent": &v.Percent, "amount_off": &v.Amount, "count": &v.Count, "prefix": &v.Prefix,
		"codes": &v.Own, "uses": &v.Uses, "per_wallet": &v.PerWallet, "valid_from": &v.From, "valid_until": &v.Until, "item_id": &v.For, "address": &v.Address,
	}
	if f, ok := fields[field]; ok {
		f.Problem = r.message
	} else {
		v.Problem = r.message
	}
	var err error
	if v.Subjects, err = h.codeSubjects(c, s); err != nil {
		return err
	}
	return h.Page(c, http.StatusUnprocessableEntity, views.CodeForm(v))
}
