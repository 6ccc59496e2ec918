package handlers

import (
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
)

func itemCalls() []apiCall {
	return []apiCall{
		{
			method: http.MethodPost, path: "/api/items/create", scope: access.ItemsWrite,
			summary: "Put an item on the shelf. Its stock is that of test and live purchases alike, and they part from there.",
			request: itemRequest{}, required: []string{"title", "kind"}, status: 201, answer: itemJSON{}, refusals: []int{400, 401, 403, 409, 422}, run: api.createItem,
		},
		{
			method: http.MethodPost, path: "/api/items/update", scope: access.ItemsWrite,
			summary: "Change what future buyers see. Fields that are not named stay; null takes an optional one away. The stock is that of the key's mode.",
			request: itemUpdate{}, required: []string{"id"}, status: 200, answer: itemJSON{}, refusals: []int{400, 401, 403, 404, 409, 422}, run: api.updateItem,
		},
		{
			method: http.MethodPost, path: "/api/items/archive", scope: access.ItemsWrite,
			summary: "Take an item off the shelf, or with `archived: false` put it back. Purchases under way may still be paid.",
			request: archiveRequest{}, required: []string{"id"}, status: 200, answer: itemJSON{}, refusals: []int{400, 401, 403, 404, 409, 422}, run: api.archiveItem,
		},
		{
			method: http.MethodPost, path: "/api/items/import_keys", scope: access.ItemsWrite,
			summary: "Add licence keys to an item of the kind `key`, in the key's mode. Each is given to one buyer; those that are known already are left out.",
			request: keysRequest{}, required: []string{"id", "keys"}, status: 200, answer: keysJSON{}, refusals: []int{400, 401, 403, 404, 409, 422}, run: api.importKeys,
		},
		{
			method: http.MethodGet, path: "/api/items/list", scope: access.ItemsRead, summary: "List items with their stock, newest first.",
			query: listParams(
				apiParam{"category", "Only this part of the shelf."}, apiParam{"sku", "Only the item with this SKU or barcode."},
				apiParam{"search", "Within titles; or the beginning of a SKU; or a barcode."}, apiParam{"archived", "`true` lists what is off the shelf."},
			),
			status: 200, answer: listJSON[itemJSON]{}, refusals: []int{400, 401, 403}, run: api.listItems,
		},
		{
			method: http.MethodPost, path: "/api/uploads/create", scope: access.ItemsWrite, upload: true,
			summary: "Send a picture (JPEG, PNG or GIF, up to 10 MB; made anew, so nothing else in it is handed on) or, with `purpose=file`, a file for buyers " +
				"(up to 200 MB), as multipart/form-data. The same again is the same upload.",
			status: 201, answer: uploadJSON{}, refusals: []int{400, 401, 403}, run: api.createUpload,
		},
	}
}

// itemRequest is what a seller's program says about an item.
type itemRequest struct {
	Title       field[string]  `json:"title"`
	Description field[string]  `json:"description"`
	Kind        field[string]  `json:"kind"`
	Pricing     field[string]  `json:"pricing"`
	Price       field[*string] `json:"price"`
	AmountCents field[*int64]  `json:"amount_cents"`
	Currency    field[string]  `json:"currency"`
	SKU         field[string]  `json:"sku"`
	Barcode     field[string]  `json:"barcode"`
	Category    field[string]  `json:"category"`
	Image       field[string]  `json:"image"`
	File        field[string]  `json:"file"`
	EditionOf   field[string]  `json:"edition_of"`
	Edition     field[string]  `json:"edition"`
	Stock       field[*int]    `json:"stock"`
	LowStock    field[*int]    `json:"low_stock"`
}

type itemUpdate struct {
	rowRequest
	itemRequest
	AddStock field[*int] `json:"add_stock"`
}

type archiveRequest struct {
	rowRequest
	Archived field[bool] `json:"archived"`
}

type keysRequest struct {
	rowRequest
	Keys []string `json:"keys"`
}

// itemJSON is an item as its seller sees it.
type itemJSON struct {
	ID          id.Item    `json:"id"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Kind        string     `json:"kind"`
	Pricing     string     `json:"pricing"`
	Price       string     `json:"price"`
	Amount      string     `json:"amount"`
	AmountCents int64      `json:"amount_cents"`
	Currency    string     `json:"currency"`
	SKU         string     `json:"sku"`
	Barcode     string     `json:"barcode"`
	Category    string     `json:"category"`
	Image       *id.Upload `json:"image"`
	ImageURL    string     `json:"image_url"`
	File        *id.Upload `json:"file"`
	EditionOf   *id.Item   `json:"edition_of"`
	Edition     string     `json:"edition"`
	Livemode    bool       `json:"livemode"`
	Stock       *int       `json:"stock"`
	Held        int        `json:"held"`
	Free        *int       `json:"free"`
	Sold        int        `json:"sold"`
	LowStock    *int       `json:"low_stock"`
	Status      string     `json:"status"`
	ArchivedAt  *time.Time `json:"archived_at"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
}

type keysJSON struct {
	Added int      `json:"added"`
	Item  itemJSON `json:"item"`
}

// ImagePath is where a picture is shown.
func ImagePath(upload id.Upload) string { return "/images/" + string(upload) }

func (a api) itemJSON(livemode bool) func(shop.Item) itemJSON {
	return func(i shop.Item) itemJSON {
		j := itemJSON{
			ID: i.ID, Title: i.Title, Description: i.Description, Kind: string(i.Kind), Pricing: string(i.Pricing), Price: i.Price.String(),
			Amount: i.Price.Units(), AmountCents: i.Price.Cents(), Currency: usdc, SKU: i.SKU, Barcode: i.Barcode, Category: i.Category,
			Image: orNull(i.Image), File: orNull(i.File), EditionOf: orNull(i.EditionOf), Edition: i.Edition, Livemode: livemode,
			Held: i.Stock.Held, Sold: i.Stock.Sold(), LowStock: i.LowStock, Status: itemStatus(i), ArchivedAt: utc(i.ArchivedAt),
			CreatedAt: i.CreatedAt.UTC(), UpdatedAt: i.UpdatedAt.UTC(),
		}
		if i.Image != "" {
			j.ImageURL = a.PublicURL + ImagePath(i.Image)
		}
		if i.Stock.Limited {
			here, free := i.Stock.OnHand(), i.Stock.Free()
			j.Stock, j.Free = &here, &free
		}
		return j
	}
}

func itemStatus(i shop.Item) string {
	switch {
	case i.ArchivedAt != nil:
		return "archived"
	case i.Open() != nil:
		return "sold_out"
	default:
		return "active"
	}
}

func orNull[T ~string](v T) *T {
	if v == "" {
		return nil
	}
	return &v
}

func (a api) createItem(c echo.Context, who access.Caller) error {
	var request itemRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	form := shop.ItemForm{Once: who.Once}
	if err := request.fill(&form); err != nil {
		return err
	}
	item, err := a.Shop.CreateItem(c.Request().Context(), who.Merchant, who.Livemode, form, program(c, who))
	if err != nil {
		return err
	}
	a.Hub.Changed("", who.Merchant) // tills show it
	return c.JSON(http.StatusCreated, a.itemJSON(who.Livemode)(item))
}

func (a api) updateItem(c echo.Context, who access.Caller) error {
	var request itemUpdate
	if err := decode(c, &request); err != nil {
		return err
	}
	item, err := rowID[id.Item](request.ID)
	if err != nil {
		return err
	}
	if request.Stock.Set && request.AddStock.Set {
		return &shop.FieldError{Field: "add_stock", Message: "Give stock or add_stock."}
	}
	i, err := a.Shop.UpdateItem(c.Request().Context(), who.Merchant, who.Livemode, item, request.fill, program(c, who))
	if more := request.AddStock.Value; err == nil && more != nil {
		i, err = a.Shop.AddStock(c.Request().Context(), who.Merchant, who.Livemode, item, *more, program(c, who))
	}
	if err != nil {
		return err
	}
	a.Hub.Changed("", who.Merchant)
	return c.JSON(http.StatusOK, a.itemJSON(who.Livemode)(i))
}

func (a api) archiveItem(c echo.Context, who access.Caller) error {
	var request archiveRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	item, err := rowID[id.Item](request.ID)
	if err != nil {
		return err
	}
	i, err := a.Shop.ArchiveItem(c.Request().Context(), who.Merchant, who.Livemode, item, !request.Archived.Set || request.Archived.Value, program(c, who))
	if err != nil {
		return err
	}
	a.Hub.Changed("", who.Merchant)
	return c.JSON(http.StatusOK, a.itemJSON(who.Livemode)(i))
}

func (a api) importKeys(c echo.Context, who access.Caller) error {
	var request keysRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	item, err := rowID[id.Item](request.ID)
	if err != nil {
		return err
	}
	i, added, err := a.Shop.ImportKeys(c.Request().Context(), who.Merchant, who.Livemode, item, request.Keys, program(c, who))
	if err != nil {
		return err
	}
	a.Hub.Changed("", who.Merchant)
	return c.JSON(http.StatusOK, keysJSON{Added: added, Item: a.itemJSON(who.Livemode)(i)})
}

// maxSought is the most that a filter takes of what a seller wrote himself, in characters.
const maxSought = 200

func (a api) listItems(c echo.Context, who access.Caller) error {
	page, err := listPage[id.Item](c)
	if err != nil {
		return err
	}
	f := shop.ItemFilter{Category: c.QueryParam("category"), SKU: c.QueryParam("sku"), Search: c.QueryParam("search")}
	switch c.QueryParam("archived") {
	case "", "false":
	case "true":
		f.Archived = true
	default:
		return &shop.FieldError{Field: "archived", Message: "Say true or false."}
	}
	for name, text := range map[string]string{"category": f.Category, "sku": f.SKU, "search": f.Search} {
		if !shop.OneLine(text, maxSought) {
			return &shop.FieldError{Field: name, Message: fmt.Sprintf("Use at most %d printable characters.", maxSought)}
		}
	}
	items, err := a.Shop.Items(c.Request().Context(), who.Merchant, who.Livemode, f, page)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, list(items, page.Limit, func(i shop.Item) string { return string(i.ID) }, a.itemJSON(who.Livemode)))
}

// rowID reads the id of a request that names one row.
func rowID[T interface {
	~string
	Prefix() string
}](text string) (T, error) {
	if text == "" {
		return "", &shop.FieldError{Field: "id", Message: "Say which one."}
	}
	return id.Parse[T](text)
}

// fill writes the members that are there over a form.
func (r itemRequest) fill(f *shop.ItemForm) error {
	for _, m := range []struct {
		from field[string]
		to   *string
	}{
		{r.Title, &f.Title}, {r.Description, &f.Description}, {r.SKU, &f.SKU}, {r.Barcode, &f.Barcode}, {r.Category, &f.Category},
		{r.Edition, &f.Edition},
	} {
		if m.from.Set {
			*m.to = m.from.Value
		}
	}
	if r.Kind.Set {
		f.Kind = shop.Kind(r.Kind.Value)
	}
	if r.Currency.Set && r.Currency.Value != usdc {
		return &shop.FieldError{Field: "currency", Message: "The currency is USDC."}
	}
	for _, n := range []struct {
		from field[*int]
		to   **int
	}{{r.Stock, &f.Stock}, {r.LowStock, &f.LowStock}} {
		if n.from.Set {
			*n.to = n.from.Value
		}
	}
	if err := r.fillRefs(f); err != nil {
		return err
	}
	return r.fillPrice(f)
}

func (r itemRequest) fillRefs(f *shop.ItemForm) (err error) {
	if r.Image.Set {
		if f.Image, err = refersTo[id.Upload]("image", r.Image.Value); err != nil {
			return err
		}
	}
	if r.File.Set {
		if f.File, err = refersTo[id.Upload]("file", r.File.Value); err != nil {
			return err
		}
	}
	if r.EditionOf.Set {
		f.EditionOf, err = refersTo[id.Item]("edition_of", r.EditionOf.Value)
	}
	return err
}

// refersTo reads the id of another row, or none.
func refersTo[T interface {
	~string
	Prefix() string
}](name, text string) (T, error) {
	if text == "" {
		return "", nil
	}
	row, err := id.Parse[T](text)
	if err != nil {
		return "", &shop.FieldError{Field: name, Message: "Give an id that begins with " + row.Prefix() + "."}
	}
	return row, nil
}

// fillPrice reads the price; a price of zero without another word is what is free.
func (r itemRequest) fillPrice(f *shop.ItemForm) error {
	price, err := amountOfRequest(r.Price, r.AmountCents)
	if err != nil {
		return err
	}
	if r.Pricing.Set {
		f.Pricing = shop.Pricing(r.Pricing.Value)
		if f.Pricing == shop.Free || f.Pricing == shop.Any {
			f.Price = 0
		}
	}
	if price == nil {
		return nil
	}
	f.Price = *price
	switch {
	case r.Pricing.Set:
	case *price == 0:
		f.Pricing = shop.Free
	case f.Pricing == shop.Free:
		f.Pricing = shop.Fixed
	}
	return nil
}

// amountOfRequest reads an amount that is given as a decimal or in cents, or nil where it is not given.
func amountOfRequest(price field[*string], cents field[*int64]) (*money.USDC, error) {
	var out *money.USDC
	switch {
	case price.Set && price.Value == nil:
		return nil, &shop.FieldError{Field: "price", Message: "Give a price such as 12.50."}
	case cents.Set && cents.Value == nil:
		return nil, &shop.FieldError{Field: "amount_cents", Message: "Give a whole number."}
	}
	if cents.Set {
		amount, err := money.FromCents(*cents.Value)
		if err != nil {
			return nil, &shop.FieldError{Field: "amount_cents", Message: "Give a whole number, not beyond all measure."}
		}
		out = &amount
	}
	if !price.Set {
		return out, nil
	}
	amount, err := readAmount("price", *price.Value)
	if err != nil {
		return nil, err
	}
	if out != nil && *out != amount {
		return nil, &shop.FieldError{Field: "price", Message: "price and amount_cents are not the same amount."}
	}
	return &amount, nil
}
