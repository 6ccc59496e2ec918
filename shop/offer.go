package shop

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// Offer is what a buyer needs to know of what he may buy: what, for how much, from whom, and who is paid.
type Offer struct {
	Endpoint id.Endpoint // what is called, where calls are bought
	Link     Link        // what it is offered by; without an id where items are bought that no link offers
	Merchant id.Merchant
	Shop     string // the merchant's name
	Domain   string
	PayTo    string // lower-case hex
	// Collected tells that the address is kept for the shop, and is not its own.
	Collected bool
	Goods     []Good // the items, where items are sold
	Choice    Choice // what the buyer decided
	Lines     []Line // what he buys, at the prices of now
	Amount    money.USDC
	Code      *HandedIn // what took something off; nil for nothing
}

// Line is one thing bought: its title and unit price are those of the moment, for ever.
type Line struct {
	ItemID     string // an item, an endpoint, the link itself, or empty for a tip or a discount
	Title      string
	Kind       Kind      // of an item; empty for everything else
	File       id.Upload // what its buyer fetches; of a [File] alone
	Qty        int
	UnitAmount money.USDC
	Limited    bool // stock is held for it; not known any more once it is written
	Revoked    bool // what its buyer got is his no more
}

// Good is an item within an offer, as it stands now.
type Good struct {
	Item     id.Item
	Title    string // with its edition
	Kind     Kind
	Pricing  Pricing
	Price    money.USDC
	Image    id.Upload
	File     id.Upload // of a [File]
	Archived bool
	Limited  bool
	Free     int
	Qty      int
	Amount   money.USDC // for one, where the buyer decides; 0 leaves it to what is suggested
}

// gone tells whether it cannot be bought now; of nothing there is always enough.
func (g *Good) gone() bool { return g != nil && (g.Archived || g.Limited && g.Free < g.Qty) }

// Choice is what a buyer decides.
type Choice struct {
	Qty    int        // 0 is one
	Amount money.USDC // for one, where the buyer decides; 0 is the first preset, or the least
	Tip    money.USDC
	// Discount is what the seller takes off, and what it is called. Buyers cannot choose it.
	Discount      money.USDC
	DiscountTitle string
}

const (
	maxQty   = 10_000
	maxLines = 50 // of one purchase
)

// Want is an item that a buyer puts into a basket.
type Want struct {
	Item   id.Item
	Qty    int
	Amount money.USDC // for one, where the buyer decides; 0 leaves it to what is suggested
	Title  string     // of what is no item: an amount that a seller typed
}

// Title is what a purchase is called in lists.
func (o Offer) Title() string {
	if o.Link.Title != "" {
		return o.Link.Title
	}
	return titleOf(o.Goods)
}

// titleOf names the first of several items.
func titleOf(goods []Good) string {
	switch {
	case len(goods) == 0:
		return ""
	case len(goods) == 1 && goods[0].Qty > 1:
		return cut(strconv.Itoa(goods[0].Qty)+" × "+goods[0].Title, maxTitle)
	case len(goods) == 1:
		return goods[0].Title
	}
	more := fmt.Sprintf(" and %d more", len(goods)-1)
	return cut(goods[0].Title, maxTitle-len(more)) + more
}

func cut(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}

// Ships tells whether something of it is sent to an address.
func (o Offer) Ships() bool {
	return slices.ContainsFunc(o.Goods, func(g Good) bool { return g.Kind == Physical })
}

// Asks tells whether the buyer decides something: how many, or how much.
func (o Offer) Asks() (qty, amount bool) {
	if len(o.Goods) == 1 {
		return true, o.Goods[0].Pricing == Minimum || o.Goods[0].Pricing == Any
	}
	return false, o.Link.Sells == SellsOpen
}

// Choose is the offer with what a buyer decided. Errors: [*FieldError].
func (o Offer) Choose(c Choice) (Offer, error) {
	if c.Qty == 0 {
		c.Qty = 1
	}
	mayQty, mayAmount := o.Asks()
	switch {
	case c.Qty < 1 || c.Qty > maxQty:
		return o, &FieldError{"qty", fmt.Sprintf("Give a whole number from 1 to %d.", maxQty)}
	case c.Qty > 1 && !mayQty:
		return o, &FieldError{"qty", "Only one of this can be bought at a time."}
	case c.Amount < 0 || c.Amount > maxPrice:
		return o, &FieldError{"amount", fmt.Sprintf("Give an amount up to %s USDC.", maxPrice.Grouped())}
	case c.Amount > 0 && !mayAmount && (len(o.Goods) > 0 || c.Amount != o.Link.Price):
		return o, &FieldError{"amount", "The shop decides what this costs."}
	case c.Tip < 0 || c.Tip > maxPrice:
		return o, &FieldError{"tip", fmt.Sprintf("Give an amount up to %s USDC.", maxPrice.Grouped())}
	case c.Discount < 0:
		return o, &FieldError{"discount", "Give an amount above zero."}
	}
	o.Choice = c
	lines, err := o.lines()
	if err != nil {
		return o, err
	}
	o.Lines, o.Amount = lines, 0
	for _, l := range lines {
		o.Amount += l.UnitAmount * money.USDC(l.Qty)
	}
	switch {
	case len(lines) > maxLines:
		return o, &FieldError{"items", fmt.Sprintf("A purchase has at most %d lines.", maxLines)}
	case o.Amount < 0:
		return o, &FieldError{"discount", "The discount is more than the price."}
	case o.Amount > maxPrice:
		return o, &FieldError{"amount", fmt.Sprintf("A purchase can come to at most %s USDC.", maxPrice.Grouped())}
	}
	return o, nil
}

// lines prices what is bought; a tip and a discount are lines of their own, so that lines sum to the amount.
func (o Offer) lines() ([]Line, error) {
	var out []Line
	switch {
	case len(o.Goods) > 0:
		for _, g := range o.Goods {
			l, err := g.line(o.Choice, len(o.Goods) == 1)
			if err != nil {
				return nil, err
			}
			out = append(out, l)
		}
	default:
		amount, err := o.Link.chosen(o.Choice.Amount)
		if err != nil {
			return nil, err
		}
		out = append(out, Line{ItemID: cmp.Or(string(o.Link.passOf()), string(o.Link.ID)), Title: o.Link.Title, File: o.Link.After.File, Qty: 1, UnitAmount: amount})
		if g := o.Link.Gift; g != nil {
			out = append(out, Line{ItemID: string(g.Item), Title: g.Title, Kind: g.Kind, Qty: g.Qty, Limited: g.Limited})
		}
	}
	if o.Choice.Tip > 0 {
		out = append(out, Line{Title: "Tip", Qty: 1, UnitAmount: o.Choice.Tip})
	}
	if o.Choice.Discount > 0 {
		title := strings.TrimSpace(o.Choice.DiscountTitle)
		if title == "" {
			title = "Discount"
		}
		if !OneLine(title, maxTitle) {
			return nil, &FieldError{"discount_title", fmt.Sprintf("Use at most %d printable characters on one line.", maxTitle)}
		}
		out = append(out, Line{Title: title, Qty: 1, UnitAmount: -o.Choice.Discount})
	}
	return out, nil
}

// line is one item at its price; alone says that the offer's choice is about it.
func (g Good) line(c Choice, alone bool) (Line, error) {
	l := Line{ItemID: string(g.Item), Title: g.Title, Kind: g.Kind, File: g.File, Qty: g.Qty, UnitAmount: g.Price, Limited: g.Limited}
	amount := g.Amount
	if alone {
		l.Qty *= c.Qty
		if c.Amount > 0 {
			amount = c.Amount
		}
	}
	switch {
	case l.Qty < 1 || l.Qty > maxQty:
		return l, &FieldError{"qty", fmt.Sprintf("Give a whole number from 1 to %d.", maxQty)}
	case amount == 0 || amount == g.Price:
	case g.Pricing == Fixed || g.Pricing == Free:
		return l, &FieldError{"amount", "The shop decides what this costs."}
	case g.Pricing == Minimum && amount < g.Price:
		return l, &FieldError{"amount", fmt.Sprintf("This costs at least %s USDC.", g.Price.Grouped())}
	case amount < 0 || amount > maxPrice:
		return l, &FieldError{"amount", fmt.Sprintf("Give an amount up to %s USDC.", maxPrice.Grouped())}
	default:
		l.UnitAmount = amount
	}
	if l.UnitAmount > maxPrice/money.USDC(l.Qty) {
		return l, &FieldError{"qty", fmt.Sprintf("A purchase can come to at most %s USDC.", maxPrice.Grouped())}
	}
	return l, nil
}

// chosen is what a link without items costs.
func (l Link) chosen(amount money.USDC) (money.USDC, error) {
	switch {
	case l.Sells != SellsOpen:
		return l.Price, nil
	case amount == 0 && len(l.Presets) > 0:
		return l.Presets[0], nil
	case amount == 0:
		return l.Price, nil
	case amount < l.Price:
		return 0, &FieldError{"amount", fmt.Sprintf("Give at least %s USDC.", l.Price.Grouped())}
	}
	return amount, nil
}

// Offer returns what a link's token stands for, whether or not it is still open, or [ErrNotFound].
func (s *Service) Offer(ctx context.Context, token string) (Offer, error) {
	if _, err := id.ParseToken(token); err != nil {
		return Offer{}, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	row, err := queries.New().LinkByToken(ctx, s.pool, queries.LinkByTokenParams{Token: token, Now: s.now()})
	if err != nil {
		return Offer{}, fmt.Errorf("link by token: %w", notFound(err))
	}
	link, err := s.link(row.Link, row.Goods, row.Gift)
	if err != nil {
		return Offer{}, err
	}
	if row.DuePayTo != nil { // its time has come
		row.PayTo, row.ProvenAt = row.DuePayTo, row.DueProvenAt
	}
	if row.PayTo == nil {
		return Offer{}, fmt.Errorf("link %s: %w", link.ID, ErrNoPayee)
	}
	if link.Livemode && row.ProvenAt == nil {
		return Offer{}, fmt.Errorf("link %s: %w", link.ID, ErrUnproven)
	}
	o := Offer{Link: link, Merchant: link.Merchant, Shop: row.Merchant.Name, Domain: row.Merchant.Domain, PayTo: *row.PayTo, Goods: link.Goods}
	if row.CollectAt != nil {
		o.PayTo, o.Collected = *row.CollectAt, true
	}
	return o.Choose(Choice{})
}

// Basket offers items of one shop that no link offers together. merchant may be empty: then it is that of the items, and
// real money is meant where that shop takes it.
// Errors: [ErrNotFound] for items that are not there, put away, or of several shops; [ErrNoPayee], [ErrUnproven],
// [*FieldError].
func (s *Service) Basket(ctx context.Context, merchant id.Merchant, livemode bool, wants []Want) (Offer, error) {
	if len(wants) == 0 || len(wants) > maxLines {
		return Offer{}, &FieldError{"items", fmt.Sprintf("Name 1 to %d items.", maxLines)}
	}
	for _, w := range wants {
		if w.Qty < 1 || w.Qty > maxQty {
			return Offer{}, &FieldError{"items", fmt.Sprintf("qty is a whole number from 1 to %d.", maxQty)}
		}
		if w.Item == "" && (merchant == "" || w.Title == "" || !OneLine(w.Title, maxTitle)) {
			return Offer{}, &FieldError{"items", "Name an item, or what it is."}
		}
	}
	var err error
	if merchant == "" {
		if merchant, livemode, err = s.owner(ctx, string(wants[0].Item)); err != nil {
			return Offer{}, err
		}
	}
	goods, err := s.Goods(ctx, merchant, livemode, wants)
	if err != nil {
		return Offer{}, err
	}
	for _, g := range goods {
		if g.Archived {
			return Offer{}, fmt.Errorf("item %s: %w", g.Item, ErrNotFound)
		}
	}
	return s.basket(ctx, merchant, livemode, goods)
}

func (s *Service) basket(ctx context.Context, merchant id.Merchant, livemode bool, goods []Good) (Offer, error) {
	payee, err := s.payee(ctx, merchant, livemode, "")
	if err != nil {
		return Offer{}, err
	}
	network, err := s.networks.Network(payee.Network)
	if err != nil {
		return Offer{}, err
	}
	m, err := queries.New().MerchantByID(ctx, s.pool, merchant)
	if err != nil {
		return Offer{}, fmt.Errorf("shop %s: %w", merchant, err)
	}
	o := Offer{
		Link:     Link{Merchant: merchant, Livemode: livemode, Network: network, Sells: SellsItems, Metadata: json.RawMessage("{}"), Goods: goods},
		Merchant: merchant, Shop: m.Name, Domain: m.Domain, PayTo: payee.Address, Goods: goods,
	}
	if payee.Collects {
		deposit, err := queries.New().DepositOf(ctx, s.pool, queries.DepositOfParams{MerchantID: string(merchant), Network: payee.Network})
		if err != nil {
			return Offer{}, fmt.Errorf("deposit address of %s: %w", merchant, err)
		}
		o.PayTo, o.Collected = deposit.Address, true
	}
	return o.Choose(Choice{})
}

// owner finds whose an item is, and whether that shop takes real money.
func (s *Service) owner(ctx context.Context, item string) (id.Merchant, bool, error) {
	row, err := queries.New().ItemOwner(ctx, s.pool, id.Item(item))
	if err != nil {
		return "", false, fmt.Errorf("item %s: %w", item, notFound(err))
	}
	return row.MerchantID, row.Live, nil
}

func goodOf(r queries.ItemsOfferedRow, w Want) Good {
	g := Good{
		Item: r.Item.ID, Title: withEdition(r.Item.Title, r.Item.Edition), Kind: Kind(r.Item.Kind), Pricing: Pricing(r.Item.Pricing), Price: r.Item.Price,
		Archived: r.Item.ArchivedAt != nil, Limited: r.Limited, Free: int(r.Free), Qty: w.Qty, Amount: w.Amount,
	}
	if r.Item.ImageID != nil {
		g.Image = *r.Item.ImageID
	}
	if r.Item.FileID != nil {
		g.File = *r.Item.FileID
	}
	return g
}

// goodsOf reads the items of a link as the database hands them out.
func goodsOf(text []byte) ([]Good, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var rows []struct {
		Item           id.Item
		Title, Edition string
		Kind           Kind
		Pricing        Pricing
		Price          money.USDC
		Image, File    id.Upload
		Archived       bool
		Limited        bool
		Free, Qty      int
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, fmt.Errorf("items of a link: %w", err)
	}
	goods := make([]Good, len(rows))
	for i, r := range rows {
		goods[i] = Good{
			Item: r.Item, Title: withEdition(r.Title, r.Edition), Kind: r.Kind, Pricing: r.Pricing, Price: r.Price, Image: r.Image, File: r.File,
			Archived: r.Archived, Limited: r.Limited, Free: r.Free, Qty: r.Qty,
		}
	}
	return goods, nil
}

func withEdition(title, edition string) string {
	if edition == "" {
		return title
	}
	return title + ", " + edition
}

// OfferTime is how long a 402 may be paid at the price that it named (maxTimeoutSeconds).
const OfferTime = 300 * time.Second

// Honours tells whether what is offered cost this much while an offer may still be out, and returns the offer as it was
// then.
func (s *Service) Honours(ctx context.Context, o Offer, amount money.USDC) (Offer, bool, error) {
	switch {
	case o.Amount == amount:
		return o, true, nil
	case o.Endpoint != "":
		return s.honoursEndpoint(ctx, o, amount)
	case o.Link.Pass != nil:
		return s.honoursPass(ctx, o, amount)
	case len(o.Goods) > 0:
		return s.honoursGoods(ctx, o, amount)
	case o.Link.Sells == SellsOpen: // the buyer says how much, in his request
		return o, false, nil
	}
	ok, err := queries.New().LinkPriceHonoured(ctx, s.pool, queries.LinkPriceHonouredParams{LinkID: o.Link.ID, Price: amount, Now: s.now()})
	if err != nil {
		return o, false, fmt.Errorf("former prices of %s: %w", o.Link.ID, err)
	}
	if ok {
		o.Link.Price = amount
		o, err = o.Choose(o.Choice)
	}
	return o, ok, err
}

// honoursGoods goes back through the moments at which one of the items changed its price.
func (s *Service) honoursGoods(ctx context.Context, o Offer, amount money.USDC) (Offer, bool, error) {
	ids := make([]string, len(o.Goods))
	for i, g := range o.Goods {
		ids[i] = string(g.Item)
	}
	former, err := queries.New().ItemPricesHonoured(ctx, s.pool, queries.ItemPricesHonouredParams{Ids: ids, Now: s.now()})
	if err != nil {
		return o, false, fmt.Errorf("former prices: %w", err)
	}
	then := o
	then.Goods = slices.Clone(o.Goods)
	for _, p := range slices.Backward(former) { // from now into the past
		for i := range then.Goods {
			if then.Goods[i].Item == p.ItemID {
				then.Goods[i].Price = p.Price
			}
		}
		if before, err := then.Choose(o.Choice); err == nil && before.Amount == amount {
			return before, true, nil
		}
	}
	return o, false, nil
}
