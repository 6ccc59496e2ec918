package handlers

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

func (h *Handlers) storefrontRoutes(e *echo.Echo) {
	look := []string{http.MethodGet, http.MethodHead}
	e.Match(look, "/s/:slug", h.atShop(h.storefront))
	e.Match(look, "/s/:slug/items/:item", h.atShop(h.product))
	e.GET("/s/:slug/cart", h.atShop(h.basket))
	e.POST("/s/:slug/cart/lines", h.atShop(h.putIntoCart))
	e.POST("/s/:slug/cart/lines/:number", h.atShop(h.changeCartLine))
	e.POST("/s/:slug/cart/lines/:number/removal", h.atShop(h.removeCartLine))
	e.GET("/s/:slug/checkout", h.atShop(h.shopCheckout))
	e.POST("/s/:slug/checkout", h.atShop(h.buyCart))
}

// cartCookie keeps what stands for a visitor of storefronts; he has a cart in each shop.
const cartCookie = "cart"

// visit is somebody in a storefront.
type visit struct {
	shop.Front
	visitor string // what his browser keeps; empty for somebody new
	cart    shop.Cart
}

// atShop finds the shop that an address names, and its visitor's cart. Nothing is written.
func (h *Handlers) atShop(next func(echo.Context, visit) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx := c.Request().Context()
		front, err := h.Shop.Front(ctx, c.Param("slug"))
		if err != nil {
			return err
		}
		v := visit{Front: front, visitor: h.kept(c, cartCookie)}
		if _, err := id.ParseToken(v.visitor); err != nil {
			v.visitor = "" // nothing that we gave to anybody
		}
		if v.cart, err = h.Shop.Cart(ctx, front.Merchant, v.visitor); err != nil {
			return err
		}
		c.Response().Header().Set("Cache-Control", "private, no-cache")
		return next(c, v)
	}
}

func (v visit) frame() views.ShopFrame {
	return views.ShopFrame{
		Slug: v.Slug, Payee: views.Payee{Name: v.Name, Domain: v.Domain}, InCart: v.cart.Items(), Test: !v.Livemode,
	}
}

const (
	productsShown = 60
	mostPages     = 1000
	// longestSearch is in characters; no title is longer.
	longestSearch = 120
)

// storefront is what a shop has on its shelf.
func (h *Handlers) storefront(c echo.Context, v visit) error {
	ctx := c.Request().Context()
	page, _ := strconv.Atoi(c.QueryParam("page"))
	page = min(max(page, 1), mostPages)
	view := views.ShopView{
		ShopFrame: v.frame(), URL: h.PublicURL + views.ShopPath(v.Slug), Category: c.QueryParam("category"),
		Search: cutTo(strings.TrimSpace(c.QueryParam("q")), longestSearch),
	}
	items, err := h.Shop.Shelf(ctx, v.Merchant, v.Livemode, view.Category, view.Search, (page-1)*productsShown, productsShown)
	if err != nil {
		return err
	}
	categories, err := h.Shop.Categories(ctx, v.Merchant)
	if err != nil {
		return err
	}
	for _, k := range categories {
		view.Categories = append(view.Categories, views.ShopCategory{Name: k.Name, Items: k.Items})
	}
	if page > 1 {
		view.Pages.Newer = views.ShopShelfPath(v.Slug, view.Category, view.Search, page-1)
	}
	if len(items) > productsShown {
		items = items[:productsShown]
		view.Pages.Older = views.ShopShelfPath(v.Slug, view.Category, view.Search, page+1)
	}
	for _, i := range items {
		view.Products = append(view.Products, productOf(i))
	}
	return h.Page(c, http.StatusOK, views.ShopPage(view))
}

func cutTo(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most])
	}
	return text
}

func productOf(i shop.Item) views.Product {
	return views.Product{
		Item: i.ID, Title: i.FullTitle(), Image: smallImage(i.Image), Pricing: string(i.Pricing), Price: i.Price, Limited: i.Stock.Limited,
		Free: i.Stock.Free(), Low: i.Low(),
	}
}

// product is the page of one item.
func (h *Handlers) product(c echo.Context, v visit) error {
	return h.productPage(c, v, c.Param("item"), http.StatusOK, nil)
}

// productPage is an item's page; problem is why it was not put into the cart, or nil.
func (h *Handlers) productPage(c echo.Context, v visit, named string, status int, problem error) error {
	ctx := c.Request().Context()
	item, err := id.Parse[id.Item](named)
	if err != nil {
		return shop.ErrNotFound
	}
	i, err := h.Shop.OnSale(ctx, v.Front, item)
	if err != nil {
		return err
	}
	editions, err := h.Shop.Editions(ctx, v.Livemode, i)
	if err != nil {
		return err
	}
	view := views.ProductView{
		ShopFrame: v.frame(), Product: productOf(i), URL: h.PublicURL + views.ProductPath(v.Slug, i.ID), Description: i.Description, Kind: string(i.Kind),
	}
	if i.Image != "" {
		view.Large = ImagePath(i.Image)
		view.LargeURL = h.PublicURL + view.Large
	}
	for _, e := range editions {
		view.Editions = append(view.Editions, views.EditionLink{
			Item: e.ID, Name: cmp.Or(e.Edition, e.Title), Pricing: string(e.Pricing), Price: e.Price, SoldOut: e.Open() != nil, Here: e.ID == i.ID,
		})
	}
	viewRefusal(&view, asked(c.FormValue), problem)
	return h.Page(c, status, views.ProductPage(view))
}

// viewRefusal adds what was sent, and why it was refused.
func viewRefusal(view *views.ProductView, sent asked, problem error) {
	view.Qty.Value, view.Amount.Value = sent("qty"), sent("amount")
	if view.Amount.Value == "" && view.Pricing == string(shop.Any) && view.Price > 0 {
		view.Amount.Value = view.Price.String() // what is suggested
	}
	if problem == nil {
		return
	}
	view.Problem = cartSentence(problem)
	for _, f := range shop.FieldErrors(problem) {
		switch {
		case f.Field == "qty":
			view.Qty.Problem = f.Message
		case f.Field == "amount" && (view.Pricing == string(shop.Minimum) || view.Pricing == string(shop.Any)):
			view.Amount.Problem = f.Message
		default:
			continue
		}
		view.Problem = "" // it stands beside its field
	}
}
