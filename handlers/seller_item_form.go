package handlers

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

// itemFiles says what the form of an item brings: a picture, and where the item is a file, that.
func itemFiles(form url.Values, field string) shop.Purpose {
	switch {
	case field == "image":
		return shop.ImageUpload
	case field == "file" && form.Get("kind") == string(shop.File):
		return shop.FileUpload
	default:
		return ""
	}
}

func (h *Handlers) newItem(c echo.Context, s seller) error {
	return h.itemForm(c, s, http.StatusOK, views.ItemFormView{
		DashboardView: h.frame(c, s, "New item", views.SectionItems, false), Once: id.NewToken(),
	})
}

// itemForm shows the form with what there is to choose from.
func (h *Handlers) itemForm(c echo.Context, s seller, status int, v views.ItemFormView) error {
	var err error
	if v.Categories, err = h.categories(c, s); err != nil {
		return err
	}
	titles, err := h.Shop.Titles(c.Request().Context(), s.Merchant, id.Item(v.EditionOf.Value))
	if err != nil {
		return err
	}
	for _, t := range titles {
		if t.ID != v.Item {
			v.Titles = append(v.Titles, views.ItemChoice{Item: t.ID, Title: t.Title})
		}
	}
	if picture, err := id.Parse[id.Upload](v.Image.Value); err == nil {
		v.ImageURL = smallImage(picture)
	}
	if file, err := id.Parse[id.Upload](v.File.Value); err == nil {
		if v.FileFact, err = h.fileFact(c, s, file); err != nil {
			return err
		}
	}
	return h.Page(c, status, views.ItemForm(v))
}

func (h *Handlers) editItem(c echo.Context, s seller) error {
	i, err := h.ownItem(c, s)
	if err != nil {
		return err
	}
	v := views.ItemFormView{
		DashboardView: h.frame(c, s, "Edit item", views.SectionItems, false), Item: i.ID, Held: i.Stock.Held, Counted: i.Stock.Limited,
		Title: views.Field{Value: i.Title}, Description: views.Field{Value: i.Description}, Kind: views.Field{Value: string(i.Kind)},
		Pricing: views.Field{Value: string(i.Pricing)}, SKU: views.Field{Value: i.SKU}, Barcode: views.Field{Value: i.Barcode},
		Category: views.Field{Value: i.Category}, Image: views.Field{Value: string(i.Image)}, File: views.Field{Value: string(i.File)},
		EditionOf: views.Field{Value: string(i.EditionOf)}, Edition: views.Field{Value: i.Edition},
	}
	if i.Price != 0 {
		v.Price.Value = i.Price.String()
	}
	if i.Stock.Limited {
		v.Stock.Value = strconv.Itoa(i.Stock.OnHand())
		v.StockWas = v.Stock.Value
	}
	if i.LowStock != nil {
		v.LowStock.Value = strconv.Itoa(*i.LowStock)
	}
	return h.itemForm(c, s, http.StatusOK, v)
}

func (h *Handlers) createItem(c echo.Context, s seller, form filed) error {
	f := shop.ItemForm{Once: onceOf(c, s, form.Get("once"))}
	err := form.fillItem(&f)
	var i shop.Item
	if err == nil {
		i, err = h.Shop.CreateItem(c.Request().Context(), s.Merchant, s.livemode, f, actor(c, s))
	}
	if err != nil {
		return h.itemFormAgain(c, s, shop.Item{}, form, err)
	}
	return h.itemChanged(c, s, views.ItemPath(i.ID))
}

func (h *Handlers) updateItem(c echo.Context, s seller, form filed) error {
	i, err := h.ownItem(c, s)
	if err != nil {
		return err
	}
	if _, err := h.Shop.UpdateItem(c.Request().Context(), s.Merchant, s.livemode, i.ID, form.fillItem, actor(c, s)); err != nil {
		return h.itemFormAgain(c, s, i, form, err)
	}
	return h.itemChanged(c, s, views.ItemPath(i.ID))
}

// errRefusedFile is returned where a file of a form was not taken: the form knows which, and why.
var errRefusedFile = &shop.FieldError{Message: "A file was not taken. Nothing else was changed."}

// fillItem writes the form over an item's. What cannot be read names its field.
func (f filed) fillItem(to *shop.ItemForm) error {
	if len(f.refused) > 0 {
		return errRefusedFile
	}
	to.Title, to.Description, to.Category, to.Edition = f.Get("title"), f.Get("description"), f.Get("category"), f.Get("edition")
	to.SKU, to.Barcode = f.Get("sku"), f.Get("barcode")
	if kind := f.Get("kind"); kind != "" {
		to.Kind = shop.Kind(kind)
	}
	var err error
	if to.EditionOf, err = refersTo[id.Item]("edition_of", f.Get("edition_of")); err != nil {
		return err
	}
	if err := f.fillPrice(to); err != nil {
		return err
	}
	if err := f.fillFiles(to); err != nil {
		return err
	}
	return f.fillStock(to)
}

func (f filed) fillPrice(to *shop.ItemForm) error {
	to.Pricing, to.Price = shop.Pricing(f.Get("pricing")), 0
	text := f.Text("price")
	if to.Pricing == shop.Free || to.Pricing == shop.Any && text == "" {
		return nil
	}
	var err error
	to.Price, err = readAmount("price", text)
	return err
}

// upload is what came with the form under a name, or else what the form keeps.
func (f filed) upload(field string) (id.Upload, error) {
	if fresh, ok := f.uploads[field]; ok {
		return fresh, nil
	}
	return refersTo[id.Upload](field, f.Get(field+"_id"))
}

func (f filed) fillFiles(to *shop.ItemForm) error {
	var err error
	if to.Image, err = f.upload("image"); err != nil {
		return err
	}
	if to.File = ""; to.Kind == shop.File {
		to.File, err = f.upload("file")
	}
	return err
}

// fillStock leaves a stock alone that the form shows unchanged: it stays what sales make of it.
func (f filed) fillStock(to *shop.ItemForm) error {
	to.LowStock = nil
	if text := f.Text("low_stock"); text != "" {
		n, err := wholeNumber("low_stock", text)
		if err != nil {
			return err
		}
		to.LowStock = &n
	}
	text := f.Text("stock")
	switch {
	case to.Kind == shop.LicenceKey:
		return nil
	case f.Get("counted") == "":
		to.Stock = nil
		return nil
	case to.Stock != nil && text != "" && text == f.Text("stock_was"):
		return nil
	}
	n, err := wholeNumber("stock", text)
	to.Stock = &n
	return err
}

// itemFormAgain shows the form as it was sent, with what is wrong with it.
func (h *Handlers) itemFormAgain(c echo.Context, s seller, i shop.Item, form filed, err error) error {
	r, field := replyTo(err)
	if r.status >= http.StatusInternalServerError || r.status == http.StatusNotFound {
		return err
	}
	heading := "New item"
	if i.ID != "" {
		heading = "Edit item"
	}
	v := views.ItemFormView{
		DashboardView: h.frame(c, s, heading, views.SectionItems, false), Item: i.ID, Held: i.Stock.Held, Counted: form.Get("counted") != "",
		StockWas: form.Get("stock_was"), Once: form.Get("once"),
	}
	fields := map[string]*views.Field{
		"title": &v.Title, "description": &v.Description, "kind": &v.Kind, "pricing": &v.Pricing, "price": &v.Price, "stock": &v.Stock,
		"low_stock": &v.LowStock, "sku": &v.SKU, "barcode": &v.Barcode, "category": &v.Category, "image": &v.Image, "file": &v.File,
		"edition_of": &v.EditionOf, "edition": &v.Edition,
	}
	for name, f := range fields {
		f.Value, f.Problem = form.Get(name), form.refused[name]
	}
	for _, name := range []string{"image", "file"} {
		kept, _ := form.upload(name) // what is no upload is not kept
		fields[name].Value = string(kept)
	}
	if f, ok := fields[field]; ok {
		f.Problem = r.message
	} else {
		v.Problem = r.message
	}
	return h.itemForm(c, s, http.StatusUnprocessableEntity, v)
}
