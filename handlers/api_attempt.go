package handlers

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
	"xsynesis/x402"
)

// attemptJSON is one purchase, as much of it as the reader may see.
type attemptJSON struct {
	ID             id.Attempt      `json:"id"`
	Status         checkout.Status `json:"status"`
	Title          string          `json:"title"`
	Lines          []lineJSON      `json:"lines"`
	Amount         string          `json:"amount"`
	AmountCents    int64           `json:"amount_cents"`
	AmountReceived string          `json:"amount_received"`
	Currency       string          `json:"currency"`
	Network        string          `json:"network"`
	Asset          string          `json:"asset"`
	PayTo          string          `json:"pay_to"`
	Livemode       bool            `json:"livemode"`
	Simulated      bool            `json:"simulated"`
	PayURL         string          `json:"pay_url"`
	ExpiresAt      time.Time       `json:"expires_at"`
	CreatedAt      time.Time       `json:"created_at"`
	SettledAt      *time.Time      `json:"settled_at"`

	// While it may be paid.
	X402Version     int                  `json:"x402Version,omitempty"`
	Accepts         []x402.RequirementV1 `json:"accepts,omitempty"`
	PaymentRequired *x402.RequiredV2     `json:"payment_required,omitempty"`

	// For the buyer, and for the shop.
	Reference string          `json:"reference,omitempty"`
	Metadata  json.RawMessage `json:"metadata,omitempty"`
	Receipt   *receiptJSON    `json:"receipt,omitempty"`
}

type lineJSON struct {
	ItemID     string `json:"item_id"`
	Title      string `json:"title"`
	Qty        int    `json:"qty"`
	UnitAmount string `json:"unit_amount"`
}

// receiptJSON is what a payer gets for his money. With cart and salt it can be proven without this server.
type receiptJSON struct {
	PaymentAttempt id.Attempt      `json:"payment_attempt"`
	Status         checkout.Status `json:"status"`
	Shop           shopJSON        `json:"shop"`
	Title          string          `json:"title"`
	Amount         string          `json:"amount"`
	AmountCents    int64           `json:"amount_cents"`
	Currency       string          `json:"currency"`
	Network        string          `json:"network"`
	Asset          string          `json:"asset"`
	PayTo          string          `json:"pay_to"`
	Payer          string          `json:"payer"`
	Nonce          string          `json:"nonce,omitempty"`
	SettlementID   id.Settlement   `json:"settlement_id"`
	Transaction    string          `json:"transaction"`
	ExplorerURL    string          `json:"explorer_url,omitempty"`
	Livemode       bool            `json:"livemode"`
	Simulated      bool            `json:"simulated"`
	SettledAt      *time.Time      `json:"settled_at"`
	Cart           json.RawMessage `json:"cart"`
	CartSalt       string          `json:"cart_salt"`
	CartHash       string          `json:"cart_hash"`
	CartBound      bool            `json:"cart_bound"`
	PayURL         string          `json:"pay_url"`
	ReceiptURL     string          `json:"receipt_url"`
	Goods          []goodsJSON     `json:"goods,omitempty"`
	Pass           *boughtPassJSON `json:"pass,omitempty"`
	Message        string          `json:"message,omitempty"`
	LeadsTo        string          `json:"leads_to,omitempty"`
}

// boughtPassJSON is the pass that the buyer of an endpoint gets.
type boughtPassJSON struct {
	ID          id.Pass     `json:"id"`
	EndpointID  id.Endpoint `json:"endpoint_id"`
	EndpointURL string      `json:"endpoint_url"`
	Token       string      `json:"token"`
	ExpiresAt   *time.Time  `json:"expires_at"`
	CallsLeft   *int        `json:"calls_left"`
}

// boughtPass is the pass that a purchase brought its buyer, or nil.
func (h *Handlers) boughtPass(ctx context.Context, p checkout.Purchase) (*boughtPassJSON, error) {
	pass, err := h.Checkout.PassBought(ctx, p)
	if err != nil || pass == nil {
		return nil, err
	}
	return &boughtPassJSON{
		ID: pass.ID, EndpointID: pass.Endpoint, EndpointURL: h.callURL(pass.Endpoint), Token: pass.Token, ExpiresAt: utc(pass.EndsAt), CallsLeft: pass.CallsLeft,
	}, nil
}

// goodsJSON is what the buyer of a line gets at once.
type goodsJSON struct {
	Line   int      `json:"line"`
	Title  string   `json:"title"`
	URL    string   `json:"url,omitempty"`
	Name   string   `json:"name,omitempty"`
	Size   int64    `json:"size,omitempty"`
	SHA256 string   `json:"sha256,omitempty"`
	Keys   []string `json:"keys,omitempty"`
}

// attempt is a purchase for whoever knows its id; its receipt is for its buyer and its shop.
func (a api) attempt(c echo.Context, who access.Caller) error {
	attempt, err := id.Parse[id.Attempt](c.Param("id"))
	if err != nil {
		return checkout.ErrNotFound
	}
	p, err := a.Checkout.Purchase(c.Request().Context(), attempt)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	buyer, seller := p.IsBuyer(c.QueryParam("k")), owns(who, p.Merchant, p.Livemode)
	j := a.attemptJSON(ctx, p, buyer, seller || a.Checkout.IsReceipt(ctx, p.Attempt, c.QueryParam("receipt")))
	if j.Receipt != nil && (buyer || seller) {
		if j.Receipt.Goods, err = a.goods(ctx, p, buyer); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, j)
}

// goods are what a paid purchase hands out at once; the files' addresses are for the buyer alone.
func (h *Handlers) goods(ctx context.Context, p checkout.Purchase, buyer bool) ([]goodsJSON, error) {
	all, err := h.Checkout.Goods(ctx, p)
	if err != nil {
		return nil, err
	}
	var out []goodsJSON
	for _, g := range all {
		j := goodsJSON{Line: g.Line, Title: g.Title, Keys: g.Keys}
		if f := g.File; f != nil {
			j.Name, j.Size, j.SHA256 = f.Name, f.Size, hex.EncodeToString(f.SHA256[:])
			if buyer {
				j.URL = h.PublicURL + FilePath(p.ID, g.Line, h.Checkout.BuyerToken(ctx, p.Attempt))
			}
		}
		out = append(out, j)
	}
	return out, nil
}

// FilePath is where the buyer of a line fetches its file.
func FilePath(attempt id.Attempt, line int, k string) string {
	return "/pay/" + string(attempt) + "/files/" + strconv.Itoa(line) + "?k=" + url.QueryEscape(k)
}

func (a api) attemptJSON(ctx context.Context, p checkout.Purchase, buyer, seller bool) attemptJSON {
	j := attemptJSON{
		ID: p.ID, Status: p.Status, Title: p.Title, Lines: linesJSON(p.Lines), Amount: p.Amount.Units(), AmountCents: p.Amount.Cents(),
		AmountReceived: p.AmountReceived.Units(), Currency: currencyOf(p.Simulated), Network: p.Network.ID, Asset: assetOf(p),
		PayTo: p.PayTo.Hex(), Livemode: p.Livemode, Simulated: p.Simulated, PayURL: a.PublicURL + views.PurchasePath(string(p.ID), ""),
		ExpiresAt: p.ExpiresAt.UTC(), CreatedAt: p.CreatedAt.UTC(), SettledAt: utc(p.SettledAt),
	}
	if p.Status == checkout.Open && a.Now().Before(p.ExpiresAt) {
		want := a.Checkout.Requirement(p.Attempt)
		required := want.V2()
		j.X402Version, j.Accepts, j.PaymentRequired = 1, acceptsV1(want), &required
	}
	if buyer {
		j.PayURL = a.payURL(ctx, p.Attempt)
	}
	if !buyer && !seller {
		return j
	}
	j.Reference, j.Metadata = p.Reference, p.Metadata
	if p.Status.Paid() {
		receipt := a.receipt(ctx, p, buyer)
		j.Receipt = &receipt
	}
	return j
}

func linesJSON(lines []checkout.Line) []lineJSON {
	out := make([]lineJSON, len(lines))
	for i, l := range lines {
		out[i] = lineJSON{ItemID: l.ItemID, Title: l.Title, Qty: l.Qty, UnitAmount: l.UnitAmount.Units()}
	}
	return out
}

// assetOf names the token, or what stands for money that was never there.
func assetOf(p checkout.Purchase) string {
	if p.Simulated {
		return checkout.Simulated
	}
	return p.Network.Token.Address.Hex()
}

// receipt tells of a paid purchase; withGoods is for the buyer alone, and brings what was bought and his token.
func (h *Handlers) receipt(ctx context.Context, p checkout.Purchase, withGoods bool) receiptJSON {
	pay := h.PublicURL + views.PurchasePath(string(p.ID), "")
	j := receiptJSON{
		PaymentAttempt: p.ID, Status: p.Status, Shop: shopJSON{p.Shop, p.Domain}, Title: p.Title, Amount: p.AmountReceived.Units(),
		AmountCents: p.AmountReceived.Cents(), Currency: currencyOf(p.Simulated), Network: p.Network.ID, Asset: assetOf(p),
		PayTo: p.PayTo.Hex(), Livemode: p.Livemode, Simulated: p.Simulated, SettledAt: utc(p.SettledAt),
		CartSalt: hexutil.Encode(p.Salt[:]), CartHash: p.CartHash.Hex(), PayURL: pay, ReceiptURL: pay,
	}
	// The hash in the row was made of these very fields, so they have a canonical form.
	j.Cart, _ = cartOf(p).JSON()
	if s := p.Settlement; s != nil {
		j.SettlementID, j.Transaction, j.Payer = s.ID, s.Transaction, checksum(s.Payer)
		j.ExplorerURL = transactionURL(p.Network.Explorer, s.Transaction, s.Simulated)
	}
	if p.Claim != nil {
		j.Nonce, j.CartBound = p.Claim.Nonce.Hex(), p.Claim.Nonce == p.Nonce
	}
	if withGoods {
		j.ReceiptURL, j.Message, j.LeadsTo = api{h}.payURL(ctx, p.Attempt), p.LinkMessage, p.LeadsTo
	}
	return j
}

// sendReceipt answers with the receipt, and for the buyer with what he bought.
func (h *Handlers) sendReceipt(c echo.Context, p checkout.Purchase, buyer bool) error {
	ctx := c.Request().Context()
	j := h.receipt(ctx, p, buyer)
	if buyer {
		var err error
		if j.Goods, err = h.goods(ctx, p, true); err != nil {
			return err
		}
		if j.Pass, err = h.boughtPass(ctx, p); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, j)
}

func cartOf(p checkout.Purchase) checkout.Cart {
	return checkout.Cart{
		Seller: p.Merchant, Lines: p.Lines, Network: p.Network.ID, Asset: p.Network.Token.Address, PayTo: p.PayTo, Amount: p.Amount,
	}
}

// settleRequest asks for a payment with money that is not there.
type settleRequest struct {
	PaymentAttempt string `json:"payment_attempt_id"`
	Mode           string `json:"mode"`
}

func (a api) settle(c echo.Context, who access.Caller) error {
	var request settleRequest
	if err := decode(c, &request); err != nil {
		return err
	}
	mode := checkout.Mode(request.Mode)
	switch mode {
	case checkout.Direct, checkout.Worker:
	case "":
		mode = checkout.Direct
	default:
		return &shop.FieldError{Field: "mode", Message: "Say direct or worker."}
	}
	if request.PaymentAttempt == "" {
		return &shop.FieldError{Field: "payment_attempt_id", Message: "Say which purchase."}
	}
	own, err := a.ownAttempt(c, who, request.PaymentAttempt)
	if err != nil {
		return err
	}
	p, err := a.Checkout.Simulate(c.Request().Context(), who.Merchant, own.ID, mode)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, a.attemptJSON(c.Request().Context(), p, false, true))
}
