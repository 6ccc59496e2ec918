package checkout

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/gowebpki/jcs"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
)

// Line is one thing bought: its title and unit price are those of the moment, for ever.
type Line = shop.Line

// Cart is what one purchase commits to: its hash goes into the payment's nonce, and so onto the chain.
type Cart struct {
	Seller  id.Merchant
	Lines   []Line
	Network string // CAIP-2
	Asset   common.Address
	PayTo   common.Address
	Amount  money.USDC
}

// JSON is the cart in the canonical form of RFC 8785: amounts as text, addresses in lower case.
func (c Cart) JSON() ([]byte, error) {
	type line struct {
		ItemID     string `json:"item_id"`
		Title      string `json:"title"`
		Qty        int    `json:"qty"`
		UnitAmount string `json:"unit_amount"`
	}
	lines := make([]line, len(c.Lines))
	for i, l := range c.Lines {
		lines[i] = line{ItemID: l.ItemID, Title: l.Title, Qty: l.Qty, UnitAmount: l.UnitAmount.Units()}
	}
	plain, err := json.Marshal(map[string]any{
		"v": 1, "seller_id": c.Seller, "lines": lines, "currency": "USDC", "network": c.Network,
		"asset": lower(c.Asset), "pay_to": lower(c.PayTo), "amount": c.Amount.Units(),
	})
	if err != nil {
		return nil, fmt.Errorf("encode cart: %w", err)
	}
	canonical, err := jcs.Transform(plain)
	if err != nil {
		return nil, fmt.Errorf("canonical cart: %w", err)
	}
	return canonical, nil
}

// Hash is keccak256 of the canonical JSON.
func (c Cart) Hash() (common.Hash, error) {
	b, err := c.JSON()
	if err != nil {
		return common.Hash{}, err
	}
	return crypto.Keccak256Hash(b), nil
}

// nonceTag keeps a cart's nonce apart from every other use of the same bytes.
const nonceTag = "xsynesis:cart:v1"

// Nonce is the EIP-3009 nonce that binds a payment to a cart: keccak256(tag ‖ salt ‖ cart hash).
func Nonce(salt [32]byte, cart common.Hash) common.Hash {
	return crypto.Keccak256Hash([]byte(nonceTag), salt[:], cart[:])
}

func lower(a common.Address) string { return strings.ToLower(a.Hex()) }
