package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

func (h *Handlers) itemRoutes(e *echo.Echo) {
	const one = views.ItemsPath + "/:item"
	e.GET(views.ItemsPath, h.may(access.SeeItems, h.items))
	e.POST(views.ItemsPath, h.mayFile(access.ChangeItems, itemFiles, h.createItem))
	e.GET(views.ItemNewPath, h.may(access.ChangeItems, h.newItem))
	e.GET(one, h.may(access.SeeItems, h.showItem))
	e.GET(itemEditPath, h.may(access.ChangeItems, h.editItem))
	e.POST(itemEditPath, h.mayFile(access.ChangeItems, itemFiles, h.updateItem))
	e.POST(one+"/stock", h.may(access.ChangeItems, h.addStock))
	e.POST(itemKeysPath, h.mayFile(access.ChangeItems, keyFiles, h.importKeys))
	e.POST(one+"/archive", h.may(access.ChangeItems, h.archiveItem(true)))
	e.POST(one+"/return", h.may(access.ChangeItems, h.archiveItem(false)))
}

func (h *Handlers) items(c echo.Context, s seller) error {
	ctx, before, after := c.Request().Context(), c.QueryParam("before"), c.QueryParam("after")
	f := shop.ItemFilter{Archived: c.QueryParam("archived") == "1", Category: c.QueryParam("category"), Search: strings.TrimSpace(c.QueryParam("q"))}
	rows, err := h.Shop.Items(ctx, s.Merchant, s.livemode, f, shop.Page{Before: before, After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	rows, more := trim(rows, after != "")
	v := views.ItemsView{
		DashboardView: h.frame(c, s, "Items", views.SectionItems, true), Search: f.Search, Category: f.Category, Archived: f.Archived,
		MayChange: s.May(access.ChangeItems),
	}
	if v.Categories, err = h.categories(c, s); err != nil {
		return err
	}
	profile, err := h.Shop.Profile(ctx, s.Merchant)
	if err != nil {
		return err
	}
	v.Storefront = views.ShopPath(profile.Slug)
	for _, i := range rows {
		v.Items = append(v.Items, itemRow(i))
	}
	if len(rows) > 0 {
		v.Pages = pager(c, more, string(rows[0].ID), string(rows[len(rows)-1].ID), len(rows))
	}
	return h.livePage(c, views.Items(v))
}

// categories are the names of the parts of a shop's shelf.
func (h *Handlers) categories(c echo.Context, s seller) ([]string, error) {
	all, err := h.Shop.Categories(c.Request().Context(), s.Merchant)
	names := make([]string, len(all))
	for i, part := range all {
		names[i] = part.Name
	}
	return names, err
}

func itemRow(i shop.Item) views.ItemRow {
	return views.ItemRow{
		Item: i.ID, Title: i.FullTitle(), Image: smallImage(i.Image), Category: i.Category, SKU: i.SKU, Kind: string(i.Kind), Pricing: string(i.Pricing),
		Price: i.Price, Stock: stockView(i), Archived: i.ArchivedAt != nil,
	}
}

// smallImage is the address of a picture's small form, or empty.
func smallImage(picture id.Upload) string {
	if picture == "" {
		return ""
	}
	return ImagePath(picture) + "-small"
}

func stockView(i shop.Item) views.StockView {
	return views.StockView{
		Limited: i.Stock.Limited, Free: i.Stock.Free(), Held: i.Stock.Held, Sold: i.Stock.Sold(), Low: i.LowStock != nil && i.Low(),
	}
}

// ownItem finds the item that the address names.
func (h *Handlers) ownItem(c echo.Context, s seller) (shop.Item, error) {
	item, err := id.Parse[id.Item](c.Param("item"))
	if err != nil {
		return shop.Item{}, err
	}
	return h.Shop.Item(c.Request().Context(), s.Merchant, s.livemode, item)
}

func (h *Handlers) showItem(c echo.Context, s seller) error {
	i, err := h.ownItem(c, s)
	if err != nil {
		return err
	}
	v, err := h.itemView(c, s, i)
	if err != nil {
		return err
	}
	if added, err := strconv.Atoi(c.QueryParam("added")); err == nil {
		v.Flash.Text = views.KeysAdded(added)
	}
	return h.livePage(c, views.ItemPage(v))
}

// itemView shows an item as it is now.
func (h *Handlers) itemView(c echo.Context, s seller, i shop.Item) (views.ItemView, error) {
	ctx := c.Request().Context()
	v := views.ItemView{
		DashboardView: h.frame(c, s, i.Title, views.SectionItems, true), Item: i.ID, Title: i.Title, Edition: i.Edition, Description: i.Description,
		Kind: string(i.Kind), Pricing: string(i.Pricing), Price: i.Price, SKU: i.SKU, Barcode: i.Barcode, Category: i.Category, Stock: stockView(i),
		LowStock: -1, Archived: i.ArchivedAt != nil, Created: i.CreatedAt.UTC(), MayChange: s.May(access.ChangeItems),
	}
	v.Live = views.ItemPath(i.ID) // also where a form was refused
	if i.Image != "" {
		v.Image = ImagePath(i.Image)
	}
	if i.LowStock != nil {
		v.LowStock = *i.LowStock
	}
	profile, err := h.Shop.Profile(ctx, s.Merchant)
	if err != nil {
		return v, err
	}
	v.URL = views.ProductPath(profile.Slug, i.ID)
	if v.File, err = h.fileFact(c, s, i.File); err != nil {
		return v, err
	}
	return v, h.viewEditions(c, s, i, &v)
}

// fileFact is what is known of a file; nothing of what is none of the shop's.
func (h *Handlers) fileFact(c echo.Context, s seller, file id.Upload) (views.FileFact, error) {
	if file == "" {
		return views.FileFact{}, nil
	}
	u, err := h.Shop.Upload(c.Request().Context(), file)
	switch {
	case errors.Is(err, shop.ErrNotFound), err == nil && (u.Merchant != s.Merchant || u.Purpose != shop.FileUpload):
		return views.FileFact{}, nil
	case err != nil:
		return views.FileFact{}, err
	}
	return views.FileFact{Name: u.Name, Bytes: u.Size}, nil
}

// viewEditions adds the other forms of the item's title.
func (h *Handlers) viewEditions(c echo.Context, s seller, i shop.Item, v *views.ItemView) error {
	forms, err := h.Shop.Editions(c.Request().Context(), s.livemode, i)
	if err != nil {
		return err
	}
	for _, form := range forms {
		choice := views.ItemChoice{Item: form.ID, Title: form.FullTitle()}
		switch form.ID {
		case i.ID:
		case i.EditionOf:
			v.EditionOf = choice
		default:
			v.Editions = append(v.Editions, choice)
		}
	}
	return nil
}

// itemAgain shows an item with why a form on its page was refused.
func (h *Handlers) itemAgain(c echo.Context, s seller, i shop.Item, err error, fill func(v *views.ItemView, problem string) bool) error {
	r, _ := replyTo(err)
	if r.status >= http.StatusInternalServerError || r.status == http.StatusNotFound {
		return err
	}
	v, viewErr := h.itemView(c, s, i)
	if viewErr != nil {
		return viewErr
	}
	if !fill(&v, r.message) {
		v.Flash = views.Flash{Text: r.message, Failed: true}
	}
	return h.Page(c, http.StatusUnprocessableEntity, views.ItemPage(v))
}

func (h *Handlers) addStock(c echo.Context, s seller) error {
	i, err := h.ownItem(c, s)
	if err != nil {
		return err
	}
	text := strings.TrimSpace(c.FormValue("more"))
	more, err := wholeNumber("more", strings.Replace(text, "−", "-", 1))
	if err == nil {
		_, err = h.Shop.AddStock(c.Request().Context(), s.Merchant, s.livemode, i.ID, more, actor(c, s))
	}
	if err != nil {
		return h.itemAgain(c, s, i, err, func(v *views.ItemView, problem string) bool {
			v.More = views.Field{Value: text, Problem: problem}
			return true
		})
	}
	return h.itemChanged(c, s, views.ItemPath(i.ID))
}

// itemChanged shows what was changed; tills and other pages show it, too.
func (h *Handlers) itemChanged(c echo.Context, s seller, path string) error {
	h.Hub.Changed("", s.Merchant)
	return c.Redirect(http.StatusSeeOther, path)
}

// keyFiles says that a list of keys may come as a file.
func keyFiles(_ url.Values, field string) shop.Purpose {
	if field == "keys_file" {
		return asText
	}
	return ""
}

func (h *Handlers) importKeys(c echo.Context, s seller, form filed) error {
	i, err := h.ownItem(c, s)
	if err != nil {
		return err
	}
	keys := append(strings.Split(form.Get("keys"), "\n"), strings.Split(form.Get("keys_file"), "\n")...)
	_, added, err := h.Shop.ImportKeys(c.Request().Context(), s.Merchant, s.livemode, i.ID, keys, actor(c, s))
	if err != nil {
		return h.itemAgain(c, s, i, err, func(v *views.ItemView, problem string) bool {
			v.Keys = views.Field{Value: form.Get("keys"), Problem: problem}
			return v.Kind == string(shop.LicenceKey)
		})
	}
	return h.itemChanged(c, s, views.ItemPath(i.ID)+"?added="+strconv.Itoa(added))
}

// archiveItem takes an item off the shelf, or puts it back.
func (h *Handlers) archiveItem(archived bool) func(echo.Context, seller) error {
	return func(c echo.Context, s seller) error {
		i, err := h.ownItem(c, s)
		if err != nil {
			return err
		}
		if _, err := h.Shop.ArchiveItem(c.Request().Context(), s.Merchant, s.livemode, i.ID, archived, actor(c, s)); err != nil {
			return h.itemAgain(c, s, i, err, func(*views.ItemView, string) bool { return false })
		}
		return h.itemChanged(c, s, views.ItemPath(i.ID))
	}
}
