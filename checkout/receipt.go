package checkout

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/gowebpki/jcs"

	"xsynesis/evm"
	"xsynesis/money"
	"xsynesis/x402"
)

// Receipt is what a payer keeps: with it, and a node of the network, anybody can prove the payment without this shop.
type Receipt struct {
	Network     string          `json:"network"` // CAIP-2
	Asset       string          `json:"asset"`
	PayTo       string          `json:"pay_to"`
	Payer       string          `json:"payer"`
	Amount      string          `json:"amount"` // base units
	Nonce       string          `json:"nonce"`
	Transaction string          `json:"transaction"`
	Cart        json.RawMessage `json:"cart"`
	CartSalt    string          `json:"cart_salt,omitempty"`
	CartHash    string          `json:"cart_hash"`
	CartBound   bool            `json:"cart_bound"`
}

// Proven is what the chain says of a receipt that is true.
type Proven struct {
	Network evm.Network
	evm.Proof
	// CartBound tells whether the payer signed for this very cart. A payer who drew a nonce of his own did not: then the
	// cart is what the shop says.
	CartBound bool
	Seller    string
	Lines     []ReceiptLine
}

// ReceiptLine is one thing bought, as the cart has it.
type ReceiptLine struct {
	Title      string
	Qty        int
	UnitAmount money.USDC
}

// ErrReceipt is what every [*ReceiptError] is: a receipt cannot be read, contradicts itself, or is not confirmed by the
// chain.
var ErrReceipt = errors.New("the receipt is not proven")

// ReceiptError says what is wrong with a receipt, in words that can be told to whoever asks.
type ReceiptError struct {
	Part ReceiptPart
	Why  string
}

// ReceiptPart is one of the things that are looked at in a receipt.
type ReceiptPart string

// What is looked at in a receipt, in this order.
const (
	ReceiptForm    ReceiptPart = "form"    // whether it is one
	ReceiptCart    ReceiptPart = "cart"    // whether it is about one purchase, and its cart the one that it names
	ReceiptPayment ReceiptPart = "payment" // whether the chain shows the payment
)

func (e *ReceiptError) Error() string { return ErrReceipt.Error() + ": " + e.Why }

// Is tells that it is an [ErrReceipt].
func (e *ReceiptError) Is(target error) bool { return target == ErrReceipt }

// ReadReceipt reads a receipt, also where an answer of the API holds it.
func ReadReceipt(text []byte) (Receipt, error) {
	var r struct {
		Receipt
		Within *Receipt `json:"receipt"`
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return Receipt{}, &ReceiptError{ReceiptForm, "it is no JSON of a receipt"}
	}
	if r.Within != nil {
		r.Receipt = *r.Within
	}
	if r.Network == "" && r.Transaction == "" {
		return Receipt{}, &ReceiptError{ReceiptForm, "it is no receipt"}
	}
	return r.Receipt, nil
}

// ReceiptOf is the receipt of a paid purchase, or false where no chain can prove one: the money was simulated, or there
// was none.
func ReceiptOf(p Purchase) (Receipt, bool) {
	if !p.Status.Paid() || p.Simulated || p.Claim == nil || p.Settlement == nil || p.Settlement.Transaction == "" {
		return Receipt{}, false
	}
	cart, err := Cart{
		Seller: p.Merchant, Lines: p.Lines, Network: p.Network.ID, Asset: p.Network.Token.Address, PayTo: p.PayTo, Amount: p.Amount,
	}.JSON()
	if err != nil {
		return Receipt{}, false
	}
	r := Receipt{
		Network: p.Network.ID, Asset: p.Network.Token.Address.Hex(), PayTo: p.PayTo.Hex(), Payer: p.Claim.Payer.Hex(), Amount: p.AmountReceived.Units(),
		Nonce: p.Claim.Nonce.Hex(), Transaction: p.Settlement.Transaction, Cart: cart, CartHash: p.CartHash.Hex(), CartBound: p.Claim.Nonce == p.Nonce,
	}
	if r.CartBound { // it says nothing of another nonce
		r.CartSalt = "0x" + hex.EncodeToString(p.Salt[:])
	}
	return r, true
}

// VerifyReceipt proves a receipt: its parts agree, and the token's own logs show this payer's transfer under this nonce.
// chains are by CAIP-2 id. Errors: [ErrReceipt]; [evm.ErrNetwork] without a node of its network; [evm.ErrUnavailable].
func VerifyReceipt(ctx context.Context, chains map[string]*evm.Chain, r Receipt) (Proven, error) {
	chain := chains[r.Network]
	if chain == nil {
		return Proven{}, fmt.Errorf("%w: %.40q has no node here", evm.ErrNetwork, r.Network)
	}
	out := Proven{Network: chain.Network()}
	a, transaction, err := r.authorization(out.Network)
	if err != nil {
		return Proven{}, err
	}
	if err := r.checkCart(&out); err != nil {
		return Proven{}, err
	}
	out.Proof, err = chain.Prove(ctx, transaction, a)
	if errors.Is(err, evm.ErrUnproven) {
		return Proven{}, &ReceiptError{ReceiptPayment, strings.TrimPrefix(err.Error(), evm.ErrUnproven.Error()+": ")}
	}
	return out, err
}

// authorization is the transfer that a receipt names.
func (r Receipt) authorization(n evm.Network) (x402.Authorization, common.Hash, error) {
	wrong := func(what string) (x402.Authorization, common.Hash, error) {
		return x402.Authorization{}, common.Hash{}, &ReceiptError{ReceiptForm, "its " + what + " cannot be"}
	}
	asset, ok := addressIn(r.Asset)
	if !ok || asset != n.Token.Address {
		return wrong("asset")
	}
	a := x402.Authorization{ValidAfter: new(big.Int), ValidBefore: new(big.Int)}
	if a.From, ok = addressIn(r.Payer); !ok {
		return wrong("payer")
	}
	if a.To, ok = addressIn(r.PayTo); !ok {
		return wrong("pay_to")
	}
	units, err := strconv.ParseInt(r.Amount, 10, 64)
	if err != nil || units <= 0 || strconv.FormatInt(units, 10) != r.Amount {
		return wrong("amount")
	}
	a.Value = big.NewInt(units)
	if a.Nonce, ok = hashIn(r.Nonce); !ok {
		return wrong("nonce")
	}
	transaction, ok := hashIn(r.Transaction)
	if !ok {
		return wrong("transaction")
	}
	return a, transaction, nil
}

// checkCart looks whether the cart is what it says, and whether the nonce commits to it.
func (r Receipt) checkCart(out *Proven) error {
	canonical, err := jcs.Transform(r.Cart)
	if err != nil {
		return &ReceiptError{ReceiptCart, "its cart cannot be read"}
	}
	var cart struct {
		Seller  string `json:"seller_id"`
		Network string `json:"network"`
		Asset   string `json:"asset"`
		PayTo   string `json:"pay_to"`
		Amount  string `json:"amount"`
		Lines   []struct {
			Title      string `json:"title"`
			Qty        int    `json:"qty"`
			UnitAmount int64  `json:"unit_amount,string"`
		} `json:"lines"`
	}
	if err := json.Unmarshal(canonical, &cart); err != nil {
		return &ReceiptError{ReceiptCart, "its cart cannot be read"}
	}
	hash := crypto.Keccak256Hash(canonical)
	switch {
	case hash.Hex() != strings.ToLower(r.CartHash):
		return &ReceiptError{ReceiptCart, "the cart is not the one that its hash names"}
	case cart.Network != r.Network || cart.Amount != r.Amount || !strings.EqualFold(cart.Asset, r.Asset) || !strings.EqualFold(cart.PayTo, r.PayTo):
		return &ReceiptError{ReceiptCart, "the cart is about another payment"}
	}
	if salt, ok := hashIn(r.CartSalt); ok {
		out.CartBound = strings.EqualFold(Nonce(salt, hash).Hex(), r.Nonce)
	}
	if out.CartBound != r.CartBound {
		return &ReceiptError{ReceiptCart, "the payment's nonce does not say of the cart what the receipt says"}
	}
	out.Seller = cart.Seller
	for _, l := range cart.Lines {
		out.Lines = append(out.Lines, ReceiptLine{l.Title, l.Qty, money.USDC(l.UnitAmount)})
	}
	return nil
}

// addressIn reads an address; one in mixed case must have the right checksum.
func addressIn(text string) (common.Address, bool) {
	if !common.IsHexAddress(text) || !strings.HasPrefix(text, "0x") {
		return common.Address{}, false
	}
	a := common.HexToAddress(text)
	return a, text == strings.ToLower(text) || text == a.Hex()
}

func hashIn(text string) (common.Hash, bool) {
	b, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil || len(b) != common.HashLength || !strings.HasPrefix(text, "0x") {
		return common.Hash{}, false
	}
	return common.BytesToHash(b), true
}

// Sentences are what is proven, for people: one fact each.
func (p Proven) Sentences() []string {
	out := []string{
		fmt.Sprintf("%s paid %s USDC", p.Payer.Hex(), p.Value.Grouped()),
		fmt.Sprintf("to %s", p.Payee.Hex()),
		fmt.Sprintf("on %s, %s", p.Network.Name, p.Time.UTC().Format(time.RFC1123)),
		fmt.Sprintf("in transaction %s", p.Transaction.Hex()),
	}
	if !p.CartBound {
		return append(out, "The cart is not bound: the payer drew a nonce of his own, so what was bought is the shop's word.")
	}
	out = append(out, "The cart is bound: the payer signed for exactly this:")
	for _, l := range p.Lines {
		out = append(out, fmt.Sprintf("  %d × %s, %s USDC each", l.Qty, l.Title, l.UnitAmount.Grouped()))
	}
	return out
}

// VerifyReceipt is [VerifyReceipt] with this gateway's own nodes.
func (s *Service) VerifyReceipt(ctx context.Context, r Receipt) (Proven, error) {
	return VerifyReceipt(ctx, s.chains, r)
}
